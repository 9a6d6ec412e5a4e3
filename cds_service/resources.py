"""Where the card templates and the sample requests are: in the repository, or inside an installed wheel.

A wheel carries both folders inside the package (`_cards`, `_fixtures`). In a checkout they stand beside
the package. An editable install may leave an old copy of the former, so the checkout is looked at first,
and a folder counts only if it holds its manifest, not by its name.
"""

from pathlib import Path

MANIFEST = "manifest.toml"
"""The file that makes a folder one of ours."""

_PACKAGE = Path(__file__).resolve().parent


class ResourceMissing(RuntimeError):
    """A folder that belongs to the distribution is not there."""


def cards_dir() -> Path:
    """Return the folder of the card templates; raises `ResourceMissing`."""
    return find_folder("cards")


def fixtures_dir() -> Path:
    """Return the folder of the sample requests; raises `ResourceMissing`."""
    return find_folder("fixtures")


def find_folder(name: str, package: Path = _PACKAGE) -> Path:
    """Return the folder `name` that belongs to `package`; raises `ResourceMissing`."""
    for folder in (package.parent / name, package / f"_{name}"):
        if (folder / MANIFEST).is_file():
            return folder
    raise ResourceMissing(f"This installation has no {name} folder with a {MANIFEST}.")

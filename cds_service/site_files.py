"""Files that a site writes: read strictly, and every fault told by its place, never by its value."""

import re
import stat
import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from cds_service.settings import SettingsError


class Part(BaseModel):
    """A table of such a file; a member that it does not know is refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )


_Model = TypeVar("_Model", bound=Part)


def read_text(path: Path, subject: str) -> str:
    """Return the text of a file; raises `SettingsError`, which begins with `subject`."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{subject}: the file cannot be read ({type(error).__name__})") from None


def is_open_to_all(path: Path, subject: str) -> bool:
    """Whether every user of the machine may write a file, or put another in its place.

    Raises `SettingsError`, as `read_text`. In a folder such as /tmp everybody may write, but not replace.
    """
    try:
        if path.stat().st_mode & stat.S_IWOTH and not path.is_dir():
            return True
        folders = [path] if path.is_dir() else []
        modes = [folder.stat().st_mode for folder in (*folders, *path.absolute().parents)]
        return any(mode & stat.S_IWOTH and not mode & stat.S_ISVTX for mode in modes)
    except OSError as error:
        raise SettingsError(f"{subject}: the file cannot be read ({type(error).__name__})") from None


def parse_toml(model: type[_Model], text: str, subject: str) -> _Model:
    """Return what a TOML text holds; raises `SettingsError` with the place of each fault."""
    try:
        return model.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{subject}: not TOML: {error}") from None
    except RecursionError:
        raise SettingsError(f"{subject}: nested too deeply") from None
    except ValidationError as error:
        raise SettingsError(f"{subject}: {_reasons(error)}") from None


def _reasons(error: ValidationError) -> str:
    told = []
    for item in error.errors(include_input=False, include_url=False):
        place = re.sub(r"\.(\d+)", r"[\1]", ".".join(str(part) for part in item["loc"]))
        told.append(": ".join(part for part in (place, item["msg"].removeprefix("Value error, ")) if part))
    return "; ".join(told)

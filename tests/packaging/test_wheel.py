"""The wheel, installed where nothing of the checkout is in reach, works from any folder."""

import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from cds_service.app import load_knowledge, publication_of
from cds_service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
# One worker builds the wheel, for all tests of the group.
pytestmark = [pytest.mark.packaging, pytest.mark.xdist_group("wheel")]


def built(sources: Path, out: Path, **environment: str) -> Path:
    """Return a wheel of a folder of sources."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=sources,
        check=True,
        capture_output=True,
        env={**os.environ, **environment},
    )
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script folder of an environment that holds the wheel and borrows only its dependencies.

    They are borrowed by a .pth file, which needs no network. Folders on it come after the environment's own,
    and .pth files inside them are not read, so that an editable install of the checkout stays out of sight.
    """
    home = tmp_path_factory.mktemp("env")
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "--no-index",
            "--no-deps",
            str(wheel),
        ],
        check=True,
        capture_output=True,
    )
    own = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    (own / "borrowed.pth").write_text("\n".join(site.getsitepackages()), encoding="utf-8")
    return home / "bin"


def run(scripts: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command from `/` with an almost empty environment."""
    return subprocess.run(
        [scripts / "rls-cds", *arguments],
        cwd="/",
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize(("folder", "inside"), [("cards", "_cards"), ("fixtures", "_fixtures")])
def test_cards_and_fixtures_travel_inside_the_package_unchanged(
    wheel: Path, folder: str, inside: str
) -> None:
    files = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    assert ROOT / folder / "manifest.toml" in files
    with zipfile.ZipFile(wheel) as archive:
        for path in files:
            name = f"cds_service/{inside}/{path.relative_to(ROOT / folder).as_posix()}"
            assert archive.read(name) == path.read_bytes(), name


def test_the_data_of_the_package_travels_along(wheel: Path) -> None:
    data = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "cds_service").rglob("*")
        if path.is_file()
        and path.suffix not in {".py", ".pyc"}
        and not path.is_relative_to(ROOT / "cds_service/_cards")
    }
    assert any(name.startswith("cds_service/knowledge/data/") for name in data)
    assert data <= names(wheel)


def test_nothing_but_the_package_and_its_licences_is_inside(wheel: Path) -> None:
    assert {name.split("/")[0] for name in names(wheel)} == {
        "cds_service",
        f"rls_iron_cds-{wheel.name.split('-')[1]}.dist-info",
    }
    licences = {Path(name).name for name in names(wheel) if ".dist-info/licenses/" in name}
    assert licences == {"LICENSE", "NOTICE"}


def test_the_installed_code_is_that_of_the_wheel(scripts: Path) -> None:
    found = subprocess.run(
        [scripts / "python", "-c", "import cds_service; print(cds_service.__file__)"],
        cwd="/",
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()).is_relative_to(scripts.parent)


def test_the_knowledge_of_the_wheel_is_sound(scripts: Path) -> None:
    result = run(scripts, "knowledge", "lint")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_wheel_assesses_its_own_sample(scripts: Path, tmp_path: Path) -> None:
    written = run(scripts, "fixtures", "--out", str(tmp_path))
    assert written.returncode == 0, written.stderr
    sample = tmp_path / "readme-patient" / "request.json"
    result = run(scripts, "evaluate", str(sample), "--json")
    assert result.returncode == 0, result.stderr
    topics = [card["source"]["topic"]["code"] for card in json.loads(result.stdout)["cards"]]
    assert topics == ["IRON03", "DRUG01"]


def test_the_wheel_publishes_the_same_resources_as_the_checkout(scripts: Path, tmp_path: Path) -> None:
    result = run(scripts, "knowledge", "publish", "--out", str(tmp_path))
    assert result.returncode == 0, result.stderr
    settings = Settings()
    made = publication_of(settings, load_knowledge(settings))
    assert (tmp_path / "Bundle-knowledge.json").read_bytes() == made.bundle
    assert len(list(tmp_path.iterdir())) == len(made.entries) + 1


def checkout(to: Path, *, mode: int, time: int) -> Path:
    """Copy the sources as another machine would have them: other times, modes and order of files."""
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        to.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, to / name)
    for folder in ("cds_service", "cards", "fixtures"):
        shutil.copytree(ROOT / folder, to / folder, ignore=shutil.ignore_patterns("__pycache__", "_cards"))
    for path in sorted(to.rglob("*"), reverse=time % 2 == 0):
        if path.is_file():
            path.chmod(mode)
            os.utime(path, (time, time))
    return to


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    ours = checkout(tmp_path / "ours" / "src", mode=0o644, time=1_700_000_001)
    theirs = checkout(tmp_path / "theirs" / "a" / "longer" / "path", mode=0o600, time=1_600_000_000)
    first = built(ours, tmp_path / "first", SOURCE_DATE_EPOCH="1795000000", TZ="UTC")
    second = built(theirs, tmp_path / "second", SOURCE_DATE_EPOCH="1795000000", TZ="Pacific/Kiritimati")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        # 18 November 2026; a wheel has even seconds only.
        assert {info.date_time for info in archive.infolist()} == {(2026, 11, 18, 11, 6, 40)}


def test_other_sources_give_other_bytes(tmp_path: Path) -> None:
    ours = checkout(tmp_path / "ours", mode=0o644, time=1_700_000_001)
    first = built(ours, tmp_path / "first", SOURCE_DATE_EPOCH="1795000000")
    (ours / "cds_service" / "ports.py").write_text("", encoding="utf-8")
    assert built(ours, tmp_path / "second", SOURCE_DATE_EPOCH="1795000000").read_bytes() != first.read_bytes()

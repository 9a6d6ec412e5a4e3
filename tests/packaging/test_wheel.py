"""The wheel, installed where nothing of the checkout is in reach, works from any folder."""

import json
import os
import site
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# One worker builds the wheel, for all tests of the group.
pytestmark = [pytest.mark.packaging, pytest.mark.xdist_group("wheel")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return next(out.glob("*.whl"))


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

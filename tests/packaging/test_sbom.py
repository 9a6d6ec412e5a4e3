"""The check of the bill of materials finds what differs; `make sbom` runs it on a real one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sbom

ROOT = Path(__file__).resolve().parents[2]
PINS = (
    "# by a tool\n"
    "flask==3.1.3 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via here\n"
    "pyjwt[crypto]==2.10.1 \\\n    --hash=sha256:cc\n"
    "colorama==0.4.6 ; sys_platform == 'never' \\\n    --hash=sha256:dd\n"
    "Typing_Extensions==4.16.0 ; python_version >= '3' \\\n    --hash=sha256:ee\n"
)


def component(name: str, version: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "version": version, "purl": f"pkg:pypi/{name}", "licenses": ["MIT"], **changes}


def bom() -> dict[str, Any]:
    return {
        "metadata": {"component": {"name": "rls-iron-cds", "version": "1.0"}},
        "components": [
            component("Flask", "3.1.3"),
            component("PyJWT", "2.10.1"),
            component("typing_extensions", "4.16.0"),
        ],
    }


def told(change: Callable[[dict[str, Any]], object]) -> list[str]:
    changed = bom()
    change(changed)
    return list(sbom.problems(changed, PINS))


def test_a_list_of_what_is_pinned_is_sound() -> None:
    assert list(sbom.problems(bom(), PINS)) == []


def test_a_component_that_is_not_locked_is_found() -> None:
    more = component("left-pad", "1.0")
    assert told(lambda b: b["components"].append(more)) == ["left-pad is listed and not pinned"]


def test_a_locked_component_that_is_missing_is_found() -> None:
    assert told(lambda b: b["components"].pop(0)) == ["flask is pinned and not listed"]


def test_another_version_is_found() -> None:
    assert told(lambda b: b["components"][0].update(version="3.1.2")) == ["flask: pinned 3.1.3, listed 3.1.2"]


@pytest.mark.parametrize("part", ["purl", "licenses"])
def test_a_component_that_says_too_little_is_found(part: str) -> None:
    assert told(lambda b: b["components"][0].pop(part)) == [f"Flask has no {part}"]


def test_a_service_without_a_version_is_found() -> None:
    assert told(lambda b: b["metadata"]["component"].pop("version")) == ["the service itself has no version"]


def test_every_direct_dependency_of_the_runtime_is_pinned() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text.partition("\ndependencies = [")[2].partition("\n]")[0]
    named = [line.split('"')[1] for line in block.splitlines() if '"' in line]
    pinned = sbom.locked((ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8"))
    names = {sbom.canonicalize_name(sbom.Requirement(one).name) for one in named}
    assert len(names) >= 10
    assert names <= pinned.keys()

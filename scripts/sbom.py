"""Check that a CycloneDX bill of materials names exactly what a requirements file pins.

python scripts/sbom.py SBOM.json requirements/runtime.txt
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

Versions = Mapping[str, str]


def locked(text: str) -> Versions:
    """Return the pinned versions by name, of the lines whose marker holds on this machine."""
    found: dict[str, str] = {}
    for line in text.replace("\\\n", " ").splitlines():
        pinned = line.partition(" --hash=")[0].partition("#")[0].strip()
        if pinned:
            requirement = Requirement(pinned)
            if requirement.marker is None or requirement.marker.evaluate():
                found[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return found


def listed(bom: Mapping[str, Any]) -> Versions:
    """Return the versions of the components of a bill of materials by name."""
    return {canonicalize_name(one["name"]): str(one["version"]) for one in bom["components"]}


def problems(bom: Mapping[str, Any], requirements: str) -> Iterator[str]:
    """Yield every difference between both, and every component without what a reader needs of it."""
    wanted, found = locked(requirements), listed(bom)
    yield from (f"{name} is pinned and not listed" for name in sorted(wanted.keys() - found.keys()))
    yield from (f"{name} is listed and not pinned" for name in sorted(found.keys() - wanted.keys()))
    for name in sorted(wanted.keys() & found.keys()):
        if wanted[name] != found[name]:
            yield f"{name}: pinned {wanted[name]}, listed {found[name]}"
    for one in bom["components"]:
        yield from (f"{one['name']} has no {part}" for part in ("purl", "licenses") if not one.get(part))
    if not bom["metadata"]["component"].get("version"):
        yield "the service itself has no version"


def main(bom: str, requirements: str) -> int:
    """Return 1 if both differ."""
    told = json.loads(Path(bom).read_text(encoding="utf-8"))
    found = list(problems(told, Path(requirements).read_text(encoding="utf-8")))
    print("\n".join(found) or f"{len(told['components'])} components, as pinned")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

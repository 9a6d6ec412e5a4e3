"""`rls-cds codes check`: what a site's code map maps, by kind and target."""

from collections import Counter

from cds_service.knowledge import Terminology
from cds_service.knowledge.code_map import CodeKind, CodeMap, MappedCode
from cds_service.knowledge.code_map_file import target_name


def codes_text(code_map: CodeMap, terminology: Terminology) -> str:
    """Return the number of codes of each kind and of each target, for a reader at a terminal."""
    lines = []
    for kind in CodeKind:
        codes = [code for code in code_map.codes if code.kind is kind]
        if codes:
            lines.append(f"{kind}: {len(codes)}")
            counts = Counter(_target(code, terminology) for code in codes)
            width = max(map(len, counts))
            lines += (f"  {name:<{width}}  {count}" for name, count in sorted(counts.items()))
    units = sum(code.unit is not None for code in code_map.codes)
    if units:
        lines.append(f"with a unit for results that carry none: {units}")
    bare = sum(not code.system for code in code_map.codes)
    if bare:
        lines.append(f"without a system, for codings that have none: {bare}")
    return "\n".join(lines)


def _target(code: MappedCode, terminology: Terminology) -> str:
    name = target_name(code.kind, code.target_system, code.target_code, terminology)
    return f"{name} ({code.target_code})"

"""How much memory something takes at its peak, that of compiled code included (Linux)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PROCESS = Path("/proc/self")


@dataclass
class Peak:
    """Bytes beyond what stood before, known at the end."""

    bytes: int = 0


@contextmanager
def peak_of() -> Iterator[Peak]:
    """Measure the resident memory of what is done inside."""
    # Writing 5 makes the kernel forget the peak so far (proc(5)).
    (_PROCESS / "clear_refs").write_text("5", encoding="ascii")
    before, peak = _memory("VmRSS"), Peak()
    yield peak
    peak.bytes = _memory("VmHWM") - before


def _memory(field: str) -> int:
    for line in (_PROCESS / "status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise RuntimeError(field)

"""One variant in its own process, so that no variant pays for the heap of another.

    python bench/worker.py VARIANT FOLDER

FOLDER holds the requests as SIZE.json. Lines `cpu SIZE CALLS` on standard input are answered with the CPU
seconds of one call, `memory SIZE 1` with the bytes that a call needs at its peak beyond what stood before.
"""

import gc
import sys
import time
from pathlib import Path

from payloads import EXPECTED_CARDS
from variants import Call, check_cards, make


def cpu_per_call(call: Call, body: bytes, calls: int) -> float:
    """Return CPU seconds per call over `calls` calls."""
    start = time.process_time()
    for _ in range(calls):
        call(body)
    return (time.process_time() - start) / calls


def extra_memory(call: Call, body: bytes) -> int:
    """Return by how many bytes the resident memory peaks during one call."""
    # Writing 5 makes the kernel forget the peak so far (proc(5)).
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _memory("VmRSS")
    call(body)
    return _memory("VmHWM") - before


def _memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise RuntimeError(field)


def main() -> None:
    """Answer the lines of standard input until it ends."""
    variant, folder = sys.argv[1], Path(sys.argv[2])
    call = make(variant)
    # As the server does before it forks, here for every variant alike.
    gc.collect()
    gc.freeze()
    bodies: dict[str, bytes] = {}
    for line in sys.stdin:
        order, size, calls = line.split()
        if size not in bodies:
            # Read, not made here: making it would leave free memory behind that hides what the call takes.
            bodies[size] = (folder / f"{size}.json").read_bytes()
        if order == "memory":
            print(extra_memory(call, bodies[size]), flush=True)
            continue
        answer = call(bodies[size])
        if variant in {"service", "models"}:
            check_cards(answer, EXPECTED_CARDS)
        print(cpu_per_call(call, bodies[size], int(calls)), flush=True)


if __name__ == "__main__":
    main()

"""Time and memory of `rls-cds terminology build-drugs` on made-up files as large as an RxNorm release.

    python bench/rxnorm.py [MILLION_LINES]

writes RXNCONSO, RXNREL and RXNSAT in the proportions of a full release (1.1, 7 and 6 million lines, unless a
factor is given) into a temporary folder, a third of the rows of RxNorm itself, and prints seconds a million
lines and the peak of memory. The names are of no real drug.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from cds_service.terminology_build.release import Release, read_release
from cds_service.terminology_build.rrf import CONSO_FILE, REL_FILE, SAT_FILE

CONSO_LINES, REL_LINES, SAT_LINES = 1_100_000, 7_000_000, 6_000_000
CONCEPTS = 300_000
KINDS = ("SCD", "SCDC", "SBD", "SCDF", "SBDF", "BN", "IN", "PIN", "GPCK", "DF")
RELATIONS = ("consists_of", "has_ingredient", "isa", "tradename_of", "has_dose_form", "contains")


def conso() -> Iterator[str]:
    """Yield rows of names without end."""
    number = 0
    while True:
        number += 1
        source = "RXNORM" if number % 3 == 0 else "MMSL"
        kind = KINDS[number // 3 % len(KINDS)]
        code = 1 + number // 3 % CONCEPTS
        told = f"{source}|{kind}|{code}|substance {number} 10 MG||N|4096|"
        yield f"{code}|ENG||||||{number}|{number}|{code}||{told}\n"


def rel() -> Iterator[str]:
    """Yield rows of relations without end."""
    number = 0
    while True:
        number += 1
        source = "RXNORM" if number % 3 == 0 else "SNOMEDCT_US"
        first, second = 1 + number % CONCEPTS, 1 + number * 7 % CONCEPTS
        relation = RELATIONS[number // 3 % len(RELATIONS)]
        yield f"{first}||CUI|RO|{second}||CUI|{relation}|{number}||{source}||||||\n"


def sat() -> Iterator[str]:
    """Yield rows of attributes without end."""
    number = 0
    while True:
        number += 1
        name = "RXN_HUMAN_DRUG" if number % 50 == 0 else "NDC"
        yield f"{1 + number % CONCEPTS}|||{number}|AUI|{number}|||{name}|RXNORM|00000000{number}|N|4096|\n"


def write(folder: Path, factor: float) -> dict[str, float]:
    """Write the three files and return their lines in millions."""
    plan: tuple[tuple[str, Callable[[], Iterator[str]], int], ...] = (
        (CONSO_FILE, conso, CONSO_LINES),
        (REL_FILE, rel, REL_LINES),
        (SAT_FILE, sat, SAT_LINES),
    )
    lines = {name: int(full * factor) for name, _, full in plan}
    for name, rows, _ in plan:
        with (folder / name).open("w", encoding="utf-8") as file:
            file.writelines(islice(rows(), lines[name]))
    return {name: count / 1e6 for name, count in lines.items()}


def timed(label: str, million: float, work: Callable[[], object]) -> None:
    """Print how long a piece of work takes for a million lines."""
    start = time.perf_counter()
    work()
    spent = time.perf_counter() - start
    print(f"{label:<28} {million:5.2f} million lines  {spent:6.2f} s  {spent / million:5.2f} s a million")


def main(arguments: list[str]) -> int:
    """Print the table."""
    factor = float(arguments[0]) if arguments else 1.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = write(folder, factor)
        releases: list[Release] = []
        timed(
            "names and relations",
            lines[CONSO_FILE] + lines[REL_FILE],
            lambda: releases.append(read_release(folder)),
        )
        timed("names again, for the drugs", lines[CONSO_FILE], lambda: releases[0].names({1, 2, 3}))
        timed("attributes", lines[SAT_FILE], lambda: releases[0].veterinary({1, 2, 3}))
    print(f"peak of memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

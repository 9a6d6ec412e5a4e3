"""Reads the files of an NLM RxNorm release (Rich Release Format) line by line, checking every line.

The layout is that of the RxNorm technical documentation, section 12: UTF-8, one row a line, every column
closed by a bar, no quotes and no header. A file is never held in memory.
"""

from collections.abc import Iterator
from enum import IntEnum
from functools import partial
from pathlib import Path

LONGEST_LINE = 65_536
"""Bytes of the longest line that is read; the documentation allows 3,000 for a name and 4,000 for a value."""


class ReleaseError(ValueError):
    """A release that cannot be read; the text names the file and the line."""

    def __init__(self, file: str, line: int | None, what: str) -> None:
        super().__init__(f"{file}: {what}" if line is None else f"{file}, line {line}: {what}")


class Conso(IntEnum):
    """The columns of RXNCONSO.RRF that are read: one row for each name of a concept."""

    RXCUI = 0
    SAB = 11
    TTY = 12
    CODE = 13
    STR = 14
    SUPPRESS = 16


class Rel(IntEnum):
    """The columns of RXNREL.RRF that are read: the second concept has the relation to the first."""

    RXCUI1 = 0
    STYPE1 = 2
    RXCUI2 = 4
    STYPE2 = 6
    RELA = 7
    SAB = 10
    SUPPRESS = 14


class Sat(IntEnum):
    """The columns of RXNSAT.RRF that are read: one row for each attribute of a concept or name."""

    RXCUI = 0
    ATN = 8
    SAB = 9
    ATV = 10


CONSO_FILE, REL_FILE, SAT_FILE = "RXNCONSO.RRF", "RXNREL.RRF", "RXNSAT.RRF"
_COLUMNS = {CONSO_FILE: 18, REL_FILE: 16, SAT_FILE: 13}


def rows(folder: Path, name: str, wanted: tuple[bytes, ...]) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of the rows that hold one of the wanted texts; raises `ReleaseError`.

    Every line is checked for its encoding and its number of columns, also those that are passed over.
    """
    columns = _COLUMNS[name]
    number = 0
    try:
        with (folder / name).open("rb") as file:
            for number, line in enumerate(iter(partial(file.readline, LONGEST_LINE), b""), 1):
                if not line.isascii() or line.count(b"|") != columns or not line.endswith((b"|\n", b"|\r\n")):
                    _check(name, number, line, columns)
                for text in wanted:
                    if text in line:
                        yield number, line.decode().split("|")
                        break
    except OSError as error:
        raise ReleaseError(str(folder / name), None, f"cannot be read: {error.strerror}") from None
    if number == 0:
        raise ReleaseError(name, None, "is empty")


def _check(name: str, number: int, line: bytes, columns: int) -> None:
    """Raise `ReleaseError` for a line that is not UTF-8, too long or has other columns than documented."""
    try:
        line.decode()
    except UnicodeDecodeError:
        raise ReleaseError(name, number, "is not UTF-8") from None
    if len(line) == LONGEST_LINE:
        raise ReleaseError(name, number, f"is longer than {LONGEST_LINE} bytes")
    found = line.count(b"|")
    if found != columns or not line.rstrip(b"\r\n").endswith(b"|"):
        raise ReleaseError(name, number, f"has {found} columns closed by a bar instead of {columns}")


def rxcui(cell: str, name: str, number: int) -> int:
    """Return the number of a concept; raises `ReleaseError` for anything else."""
    # Eight digits are the documented width; the bound keeps the numbers in four bytes.
    if not (cell.isascii() and cell.isdigit() and len(cell) <= 8):  # noqa: PLR2004 - explained above
        raise ReleaseError(name, number, "has no RxCUI where one belongs")
    return int(cell)

"""From a new process to the first correct answer: `python bench/coldstart.py REQUEST.json`."""

import sys
from pathlib import Path

from payloads import EXPECTED_CARDS
from variants import check_cards, make

if __name__ == "__main__":
    check_cards(make("service")(Path(sys.argv[1]).read_bytes()), EXPECTED_CARDS)

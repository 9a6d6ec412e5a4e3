"""No patient of the scenarios gets another answer than the list says; its diff tells whose answer changed."""

import pytest

from tests.scenarios.answers import FILE, lines


# Which lines run is known from the scenarios themselves.
@pytest.mark.no_cover
def test_every_patient_gets_the_answer_of_the_list() -> None:
    listed, found = FILE.read_text(encoding="utf-8").splitlines(), lines()
    changed = [line for line in found if line not in listed]
    assert changed == [], "if that is meant: python -m tests.scenarios.answers, and look at each of them"
    assert listed == found

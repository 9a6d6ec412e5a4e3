"""Which words are written in a script that is not read."""

import pytest

from cds_service.knowledge.folding import fold, is_foreign


@pytest.mark.parametrize(
    ("word", "is_other"),
    [
        ("iron", False),
        ("\N{LATIN SMALL LETTER O WITH STROKE}", False),
        ("sm\N{LATIN SMALL LETTER O WITH STROKE}rbr\N{LATIN SMALL LETTER O WITH STROKE}d", False),
        ("\N{LATIN SMALL LETTER AE}rlig", False),
        # one letter alone is a sign ("\u03b1-tocopherol"), and micro stands in units
        ("\N{GREEK SMALL LETTER ALPHA}", False),
        ("\N{GREEK SMALL LETTER MU}g", False),
        ("\N{MICRO SIGN}g", False),
        ("\N{CYRILLIC SMALL LETTER ER}\N{CYRILLIC SMALL LETTER A}", True),
        ("ir\N{CYRILLIC SMALL LETTER O}n", True),
        ("\N{GREEK SMALL LETTER MU}\N{GREEK SMALL LETTER ALPHA}", True),
        ("\N{CJK UNIFIED IDEOGRAPH-9435}\N{CJK UNIFIED IDEOGRAPH-5291}", True),
    ],
)
def test_a_word_with_a_letter_of_another_script_is_foreign(word: str, *, is_other: bool) -> None:
    assert is_foreign(word) is is_other


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("FERRITIN", "ferritin"),
        ("Ferritin\N{TRADE MARK SIGN} \N{REGISTERED SIGN}\N{COPYRIGHT SIGN}\N{SERVICE MARK}", "ferritin "),
        ("N\N{NUMERO SIGN}2", "n 2"),
        ("FeX\N{EN DASH}X\N{ACUTE ACCENT}", "fex-x'"),
        ("iron\N{EN DASH}free\N{MINUS SIGN}", "iron-free-"),
        ("St. John\N{RIGHT SINGLE QUOTATION MARK}s", "st. john's"),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER F}e", "fe"),
        ("cr\N{LATIN SMALL LETTER E WITH GRAVE}me", "creme"),
        ("fer\N{SOFT HYPHEN}ri\N{ZERO WIDTH SPACE}tin", "ferritin"),
        ("x\N{COMBINING GRAVE ACCENT}\N{COMBINING LATIN SMALL LETTER X}", "x"),
    ],
)
def test_what_looks_the_same_is_spelt_the_same(text: str, folded: str) -> None:
    assert fold(text) == folded

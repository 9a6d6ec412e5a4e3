"""However a text is mangled, it never turns into a medicine that it does not name: precision comes first."""

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cds_service.knowledge import load
from cds_service.knowledge.drugs import words_of
from cds_service.knowledge.folding import fold, is_foreign

KNOWLEDGE = load()
TERMS = KNOWLEDGE.terminology

NON_DRUGS = (
    *("serotonin", "melatonin", "restless", "legs", "tablet", "nightly", "by mouth", "glucose test strips"),
    *(
        "hydroxychloroquine",
        "chlorpropamide",
        "clomiphene",
        "cyclosporine",
        "celebrex",
        "orapred",
        "lithostat",
    ),
    *("diphenoxylate", "hydroxyurea", "buspirone", "phenytoin", "levetiracetam", "metolazone", "imipenem"),
    *("saline", "insulin glargine", "omega 3", "compression stockings", "DayQuil", "acetaminophen 500 mg"),
    *("Лизиноприл", "σεροτονίνη", "舍曲林片", "パロキセチン", "سيرترالين", "서트랄린", "naïve", "Ménière"),
)
FLAGGED = sorted(name for name, part in KNOWLEDGE.ingredients.items() if part.is_flagged)
# One long word each, so that a slip of one letter leaves no other word.
PLAIN = [name for name in FLAGGED if name.isalpha() and len(name) >= 7]
KNOWN_WORDS = frozenset(word for names in TERMS.drugs.names.values() for name in names for word in name.words)

INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
WIDTH = 0xFEE0


def flagged(text: str) -> frozenset[str]:
    """Return the flagged ingredients that a text names."""
    product = TERMS.drug_by_text(text)
    found = (part.name for part in product.ingredients) if product else ()
    return frozenset(name for name in found if KNOWLEDGE.ingredients[name].is_flagged)


def full_width(text: str) -> str:
    return "".join(chr(ord(c) + WIDTH) if "!" <= c <= "~" else c for c in text)


def tall_man(text: str) -> str:
    return "".join(c.upper() if at % 3 else c.lower() for at, c in enumerate(text))


MANGLES: dict[str, Callable[[str], str]] = {
    "upper": str.upper,
    "lower": str.lower,
    "swapped": str.swapcase,
    "tall man": tall_man,
    "NFC": lambda text: unicodedata.normalize("NFC", text),
    "NFD": lambda text: unicodedata.normalize("NFD", text),
    "NFKC": lambda text: unicodedata.normalize("NFKC", text),
    "NFKD": lambda text: unicodedata.normalize("NFKD", text),
    "full width": full_width,
    "zero width": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "in quotes": lambda text: f"\u201c{text}\u201d",
    "with dashes": lambda text: text.replace(" ", "\u2013"),
    "with slashes": lambda text: text.replace(" ", "/"),
    "with dots": lambda text: text.replace(" ", " . "),
    "with no-break spaces": lambda text: text.replace(" ", "\u00a0"),
    "with marks": lambda text: f"{text}\u00ae\u2122",
}
MANGLE = st.lists(st.sampled_from(sorted(MANGLES)), min_size=1, max_size=4)
WORDS = st.sampled_from(
    [*NON_DRUGS, *PLAIN, "50 mg", "allergic to", "no", "%", "(", ")", "-", "Zoloft", "serto"]
)
quick = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])


def mangled(text: str, names: list[str]) -> str:
    for name in names:
        text = MANGLES[name](text)
    return text


@pytest.mark.parametrize("text", NON_DRUGS)
@pytest.mark.parametrize("name", sorted(MANGLES))
def test_no_mangling_turns_a_non_drug_into_a_drug(text: str, name: str) -> None:
    assert flagged(text) == frozenset()
    assert flagged(MANGLES[name](text)) == frozenset()


@quick
@given(st.lists(st.sampled_from(NON_DRUGS), min_size=1, max_size=5).map(" ".join), MANGLE)
def test_no_mixture_of_manglings_does_either(text: str, names: list[str]) -> None:
    assert flagged(mangled(text, names)) == frozenset()


@quick
@given(st.lists(WORDS, min_size=1, max_size=6).map(" ".join), MANGLE)
@example("sertraline allergic to", ["full width", "zero width"])
def test_mangling_never_adds_a_medicine(text: str, names: list[str]) -> None:
    assert flagged(mangled(text, names)) <= flagged(text)


@quick
@given(st.sampled_from(PLAIN), MANGLE.filter(lambda names: "with marks" not in names))
@example("sertraline", ["with marks", "full width"])
def test_what_looks_the_same_is_the_same(name: str, names: list[str]) -> None:
    assert flagged(mangled(name, names)) == flagged(name) == {name}


@settings(max_examples=500)
@given(st.data(), st.sampled_from(PLAIN))
def test_a_slip_of_one_letter_is_no_name(data: st.DataObject, name: str) -> None:
    at = data.draw(st.integers(0, len(name) - 1))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz"))
    slip = data.draw(st.sampled_from([name[:at] + name[at + 1 :], name[:at] + letter + name[at:]]))
    if slip not in KNOWN_WORDS:
        assert flagged(slip) == frozenset()


@settings(max_examples=500)
@given(st.data(), st.sampled_from(PLAIN))
def test_a_name_inside_a_longer_word_is_no_name(data: st.DataObject, name: str) -> None:
    before, after = data.draw(st.tuples(*[st.sampled_from(["", "x", "de", "iso", "ol", "я"])] * 2))
    word = f"{before}{name}{after}"
    if word not in KNOWN_WORDS:
        assert flagged(word) == frozenset()


@settings(max_examples=1000)
@given(st.text(max_size=40))
def test_any_text_without_a_known_word_is_no_medicine(text: str) -> None:
    if not KNOWN_WORDS & set(words_of(text)):
        assert flagged(text) == frozenset()


@settings(max_examples=1000)
@given(st.text(max_size=40))
def test_any_text_folds_without_raising(text: str) -> None:
    folded = fold(text)
    assert not set(folded) & set(INVISIBLE)
    assert TERMS.is_medicine_readable(text) in {True, False}
    assert TERMS.is_medicine_not_taken(text) in {True, False}


@pytest.mark.parametrize("look_alike", ["s\u0435rtraline", "sertr\u0430line", "\u03bfrap", "\u0455ertraline"])
def test_letters_of_another_script_are_no_latin_ones(look_alike: str) -> None:
    assert flagged(look_alike) == frozenset()
    assert is_foreign(fold(look_alike))
    assert not TERMS.is_medicine_readable(look_alike)


# ---------------------------------------------------------------------------------------------- problems
PROBLEMS = (
    *("restless", "RLS", "restless child", "leg cramps", "no restless legs", "history of restless legs"),
    *("mother has restless legs", "?restless legs", "restless legs ruled out", "prediabetes", "serotonin"),
)


@pytest.mark.parametrize("text", PROBLEMS)
@pytest.mark.parametrize("name", sorted(set(MANGLES) - {"with dashes", "with slashes", "with dots"}))
def test_no_mangling_turns_a_denial_into_a_diagnosis(text: str, name: str) -> None:
    assert "rls" not in TERMS.condition_groups_by_text(MANGLES[name](text))

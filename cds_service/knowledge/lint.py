"""Checks of the knowledge base that a machine can make: forms of codes, sources, orphans, overlaps, dates."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

from cds_service.knowledge.model import Check, Knowledge, Threshold

LOINC = "http://loinc.org"
SNOMED_CT = "http://snomed.info/sct"
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC = "http://www.whocc.no/atc"

# The systems without a check digit: a code, or a category or letter that stands for all below it (ICD-10-CM);
# a number (RxNorm); level 5, the substance (ATC).
_SHAPES = {
    ICD_10_CM: re.compile(r"[A-Z](?:[0-9][0-9A-Z](?:\.[0-9A-Z]{1,4})?)?"),
    RXNORM: re.compile(r"[1-9][0-9]{0,7}"),
    ATC: re.compile(r"[A-Z][0-9]{2}[A-Z]{2}[0-9]{2}"),
}

ALLOWED_OVERLAPS = frozenset(
    {
        frozenset({"rls", "rls_in_pregnancy"}),  # one SNOMED CT code says both
        frozenset({"iron_loss_or_malabsorption", "inflammatory_disease"}),  # bowel inflammation loses iron
        frozenset({"rheumatoid_arthritis", "inflammatory_disease"}),
        frozenset({"ANTIHIST_SEDATING", "DA_ANTIEMETIC"}),  # promethazine blocks histamine and dopamine
    },
)
"""Groups that share codes on purpose."""

_VERHOEFF_MULTIPLY = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
_VERHOEFF_PERMUTE = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 5, 7, 6, 2, 8, 3, 0, 9, 4),
    (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7),
    (9, 4, 5, 3, 1, 2, 6, 8, 7, 0),
    (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5),
    (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the knowledge base that has to be mended."""

    where: str
    what: str

    def __str__(self) -> str:
        """Return the problem on one line."""
        return f"{self.where}: {self.what}"


def is_loinc(code: str) -> bool:
    """Whether a code has the form of LOINC and its check digit (modulus 10)."""
    number, dash, check = code.partition("-")
    if not (dash and number.isascii() and number.isdigit() and check.isascii() and check.isdigit()):
        return False
    total = sum(_luhn(int(digit), is_doubled=place % 2 == 0) for place, digit in enumerate(reversed(number)))
    return len(check) == 1 and (10 - total % 10) % 10 == int(check)


def _luhn(digit: int, *, is_doubled: bool) -> int:
    tens, ones = divmod(2 * digit if is_doubled else digit, 10)
    return tens + ones


def is_snomed(code: str) -> bool:
    """Whether a code is a SNOMED CT identifier with a valid Verhoeff check digit."""
    if not (code.isascii() and code.isdigit() and 6 <= len(code) <= 18):  # noqa: PLR2004 - length of an SCTID
        return False
    state = 0
    for place, digit in enumerate(reversed(code)):
        state = _VERHOEFF_MULTIPLY[state][_VERHOEFF_PERMUTE[place % 8][int(digit)]]
    return state == 0


class _Cited(Protocol):
    """What every entry with sources has."""

    @property
    def citations(self) -> tuple[str, ...]: ...

    @property
    def check(self) -> Check: ...


def lint(knowledge: Knowledge, card_keys: Iterable[str] = ()) -> list[Problem]:
    """Return every problem, in a stable order; `card_keys` are the cards that need a rule."""
    problems = [
        *_check_digits(knowledge),
        *_sources(knowledge),
        *_addresses(knowledge),
        *_dates(knowledge),
        *_orphans(knowledge),
        *_overlaps(knowledge),
        *(Problem(f"rule {key}", "is missing") for key in card_keys if key not in knowledge.rules),
    ]
    return sorted(problems, key=str)


def _check_digits(knowledge: Knowledge) -> Iterator[Problem]:
    checks: Mapping[str, Callable[[str], bool]] = {LOINC: is_loinc, SNOMED_CT: is_snomed}
    for group, codes in knowledge.terminology.codes.items():
        for system, code in codes:
            is_valid = checks.get(system)
            if is_valid is not None and not is_valid(code):
                yield Problem(f"group {group}", f"code {code} has a wrong check digit")
            shape = _SHAPES.get(system)
            if shape is not None and not shape.fullmatch(code):
                yield Problem(f"group {group}", f"code {code} has not the form of its code system")


def _cited(knowledge: Knowledge) -> Iterator[tuple[str, tuple[str, ...], Check]]:
    tables: Mapping[str, Mapping[str, _Cited]] = {
        "threshold": knowledge.thresholds,
        "factor": knowledge.factors,
        "drug class": knowledge.drug_classes,
        "rule": knowledge.rules,
    }
    for kind, table in tables.items():
        for name, entry in table.items():
            yield f"{kind} {name}", entry.citations, entry.check


def _sources(knowledge: Knowledge) -> Iterator[Problem]:
    used: set[str] = set()
    for where, citations, check in _cited(knowledge):
        used.update(citations)
        yield from (
            Problem(where, f"cites {c}, which does not exist")
            for c in citations
            if c not in knowledge.citations
        )
        if not citations and check in {Check.V1, Check.V2}:
            yield Problem(where, f"is marked {check.value} and cites nothing")
        if citations and check is Check.P:
            yield Problem(where, "is a project rule and cites a source")
    yield from (Problem(f"citation {c}", "is cited by nothing") for c in knowledge.citations.keys() - used)


def _addresses(knowledge: Knowledge) -> Iterator[Problem]:
    for citation in knowledge.citations.values():
        if not citation.url.startswith("https://"):
            yield Problem(f"citation {citation.id}", "has no https address")


def _dates(knowledge: Knowledge) -> Iterator[Problem]:
    for threshold in knowledge.thresholds.values():
        if threshold.valid_from > knowledge.date:
            yield Problem(
                f"threshold {threshold.id}", "applies from a day after the date of the knowledge base"
            )
        if threshold.local is not None and not _is_local_window(threshold):
            yield Problem(
                f"threshold {threshold.id}",
                "may be set by a site, but is no project rule in days within its range",
            )
        if threshold.value <= 0:
            yield Problem(f"threshold {threshold.id}", "is not above zero")


def _is_local_window(threshold: Threshold) -> bool:
    """Whether a site may set it: a project rule in days, whose own value lies within the range."""
    least, most = threshold.local or (0, 0)
    return threshold.check is Check.P and threshold.unit == "d" and 0 < least <= threshold.value <= most


def _orphans(knowledge: Knowledge) -> Iterator[Problem]:
    groups = knowledge.terminology.codes.keys()
    drug_groups = frozenset().union(*(i.groups for i in knowledge.ingredients.values()))
    for factor in knowledge.factors.values():
        yield from (
            Problem(f"factor {factor.id}", f"names the group {g}, which has no code")
            for g in factor.groups - groups
        )
        yield from (
            Problem(f"factor {factor.id}", f"names the drug group {g}, which has no ingredient")
            for g in factor.drug_groups - drug_groups
        )
        yield from (
            Problem(f"factor {factor.id}", f"names the look-back {t}, which does not exist")
            for t in factor.look_backs
            if t not in knowledge.thresholds
        )
        yield from (
            Problem(f"factor {factor.id}", f"names the ingredient {i}, which does not exist")
            for i in factor.ingredients - knowledge.ingredients.keys()
        )
    for drug_class in knowledge.drug_classes.values():
        if drug_class.group not in drug_groups:
            yield Problem(f"drug class {drug_class.group}", "has no ingredient")
        if drug_class.factor_id and drug_class.factor_id not in knowledge.factors:
            yield Problem(f"drug class {drug_class.group}", f"names the factor {drug_class.factor_id}")


def _overlaps(knowledge: Knowledge) -> Iterator[Problem]:
    """Yield codes that stand in two groups, unless the groups share codes on purpose."""
    holders: dict[tuple[str, str], list[str]] = {}
    for group, codes in knowledge.terminology.codes.items():
        for coded in codes:
            holders.setdefault(coded, []).append(group)
    for (_, code), groups in holders.items():
        for one, other in combinations(sorted(set(groups)), 2):
            if frozenset({one, other}) not in ALLOWED_OVERLAPS:
                yield Problem(f"code {code}", f"stands in {one} and in {other}")

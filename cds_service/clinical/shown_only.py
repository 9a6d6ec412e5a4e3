"""What is shown where it is on record and never weighs: genes, severity, pregnancy test, mechanisms.

And the vocabulary for the whole: contributing factors, never a cause (docs/rules.md R9.8).
"""

from collections.abc import Iterable

from cds_service.clinical.assessment import Factor
from cds_service.clinical.facts import Analyte, Need, Presence, Result
from cds_service.clinical.findings import (
    Finding,
    Findings,
    denied,
    measured,
    newest_answer,
    present,
    result_evidence,
    unknown,
)
from cds_service.clinical.patient import can_be_pregnant
from cds_service.clinical.picture import Picture
from cds_service.clinical.results import current, usable

FOUND = "contributing factors found"
NONE_FOUND = "no contributing factor found in the record"
# What no record has to tell: it keeps the rest from counting as read as little as a mechanism does.
NOBODY_TOLD = "no relative with restless legs is on record, and nobody denies one"
NONE_SEEN = "no contributing factor found, but not all of the record was read"


def severity(picture: Picture) -> Result | None:
    """Return the newest total of the severity scale, by a code that the site has mapped or by its words."""
    days = picture.knowledge.days("window.lifestyle")
    return current(measured(picture, Analyte.SEVERITY).newest, picture.today, days)


def positive_test(picture: Picture) -> Result | None:
    """Return the newest pregnancy test if it is current, positive, and a pregnancy is possible."""
    if not can_be_pregnant(picture.facts, picture.knowledge, picture.today):
        return None
    newest = newest_answer(picture, Analyte.PREGNANCY_TEST, "window.pregnancy.test")
    return newest if newest is not None and "positive" in newest.code else None


def _severity(picture: Picture) -> Finding:
    newest = severity(picture)
    return present(result_evidence(newest)) if newest is not None else unknown("no total on record")


def _test(picture: Picture) -> Finding:
    if not can_be_pregnant(picture.facts, picture.knowledge, picture.today):
        return Finding(Presence.ABSENT)
    positive = positive_test(picture)
    if positive is not None:
        return present(result_evidence(positive))
    newest = newest_answer(picture, Analyte.PREGNANCY_TEST, "window.pregnancy.test")
    if newest is None:
        return unknown("no current test on record")
    return denied(picture, result_evidence(newest), by=Need.CONTEXT_RESULTS, also=())


def _genes(picture: Picture) -> Finding:
    found = [r for r in usable(picture.facts.results, Analyte.GENE, picture.today) if r.code]
    return present(result_evidence(*found)) if found else unknown("never asked for")


def _mechanism(_: Picture) -> Finding:
    return unknown("no record shows it")


FINDINGS: Findings = {
    "rls.severity": _severity,
    "pregnancy.test": _test,
    "genes": _genes,
    "mechanism.dopamine": _mechanism,
    "mechanism.adenosine": _mechanism,
    "mechanism.glutamate": _mechanism,
}


def presentation(contributing: Iterable[str], opening: Iterable[Factor]) -> str:
    """Return how the whole is called; `opening` are the factors of the closed list, whatever their state."""
    if any(True for _ in contributing):
        return FOUND
    is_read = all(f.presence is Presence.ABSENT or f.reason == NOBODY_TOLD for f in opening)
    return NONE_FOUND if is_read else NONE_SEEN

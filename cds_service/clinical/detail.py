"""The sentences that stand in a card's detail beside its finding (docs/rules.md R4.8 and R2.3)."""

from collections.abc import Iterator

from cds_service.clinical.assessment import DetailLine, Line
from cds_service.clinical.facts import (
    Analyte,
    Certainty,
    ConditionFact,
    IronSearch,
    IssueKind,
    Need,
    NeedState,
    Presence,
    Result,
    ResultNote,
    Sex,
)
from cds_service.clinical.iron import (
    inflamed_by,
    is_above,
    is_at_least,
    is_at_most,
    is_below,
    rests_on_unknown_status,
)
from cds_service.clinical.medicines import Taken, with_group
from cds_service.clinical.metabolic import low_phosphate
from cds_service.clinical.patient import undated_pregnancies
from cds_service.clinical.picture import Picture
from cds_service.clinical.results import Series, current, series, usable
from cds_service.clinical.shown_only import positive_test, severity
from cds_service.clinical.timing import AgeClass
from cds_service.clinical.words import date_words, original_words, result_values, value_words

_RESOURCE_ISSUES = frozenset(
    {
        IssueKind.SKIPPED,
        IssueKind.OTHER_PATIENT,
        IssueKind.WRONG_SHAPE,
        IssueKind.FAILED_VALIDATION,
        IssueKind.UNKNOWN_VERSION,
        IssueKind.MODIFIER_EXTENSION,
    }
)
# A conversion needs no line: the text as sent stands beside the value.
_NOTES_WITH_A_LINE = (
    ResultNote.UNIT_ASSUMED,
    ResultNote.UNIT_OF_SITE,
    ResultNote.UNIT_MISMATCH,
    ResultNote.FROM_TEXT,
    ResultNote.BY_TEXT,
    ResultNote.DATE_OF_ISSUE,
    ResultNote.UNKNOWN_COMPARATOR,
    ResultNote.COMPUTED,
)
_BLOOD_DONOR = ("Z520", "Z52.0")
_FERRITIN_LIMITS = (
    "ferritin.symptom.adult",
    "ferritin.treat.adult",
    "ferritin.iv.adult",
    "ferritin.treat.esrd",
)


def line(kind: Line, **values: str | None) -> DetailLine:
    """Return a detail line with the values that are given."""
    return DetailLine(kind, {key: value for key, value in values.items() if value})


def ferritin_lines(picture: Picture, result: Result | None) -> Iterator[DetailLine]:
    """Yield what must be said about the ferritin that a card shows."""
    if result is not None:
        yield from _result_lines(result, "ferritin")
        yield from _near_threshold(picture, result)
    yield from _skipped_lines(picture.iron.ferritin, "ferritin")
    match picture.iron.searches[IronSearch.FERRITIN]:
        case NeedState.CUT_OFF:
            yield line(Line.OLDER_RESULTS_NOT_READ)
        case NeedState.FAILED:
            yield line(Line.RESULTS_SEARCH_FAILED)


def _result_lines(result: Result, what: str) -> Iterator[DetailLine]:
    if rests_on_unknown_status(result):
        yield line(Line.RESULT_STATUS_UNKNOWN, what=what)
    for note in _NOTES_WITH_A_LINE:
        if note in result.notes:
            yield line(Line.RESULT_NOTE, note=note.value, what=what, original=original_words(result))


def _near_threshold(picture: Picture, result: Result) -> Iterator[DetailLine]:
    """Yield a warning where the molar factor alone decides on which side of a limit a value lies."""
    if ResultNote.CONVERTED_MOLAR not in result.notes or result.interval is None:
        return
    percent = picture.knowledge.threshold("ferritin.near_threshold_percent")
    for limit_id in _FERRITIN_LIMITS:
        threshold = picture.knowledge.thresholds[limit_id]
        margin = threshold.value * percent / 100
        low, high = result.interval.low, result.interval.high
        if low is not None and high is not None and low - margin <= threshold.value <= high + margin:
            yield line(Line.NEAR_THRESHOLD, limit=f"{threshold.value} {threshold.unit}")


def _skipped_lines(results: Series, what: str) -> Iterator[DetailLine]:
    if results.newest is None or not results.skipped:
        return
    yield _skipped_line(results, what)


def _skipped_saturation(results: Series) -> Iterator[DetailLine]:
    """Yield the skipped saturation, also where none can be read: no card is about that alone."""
    if results.skipped:
        yield _skipped_line(results, "TSAT")


def _skipped_line(results: Series, what: str) -> DetailLine:
    first = results.skipped[0]
    return line(
        Line.SKIPPED_RESULT,
        what=what,
        date=date_words(first.when) if first.when else None,
        reason=first.unreadable.value if first.unreadable else None,
        raw=first.shown,
        count=str(len(results.skipped)),
    )


def tsat_lines(picture: Picture) -> Iterator[DetailLine]:
    """Yield what is known about transferrin saturation."""
    tsat = picture.iron.current_tsat
    if tsat is not None:
        kind = Line.TSAT_LOW if is_below(tsat, "tsat.low", picture.knowledge) else Line.TSAT_VALUE
        shown = result_values(tsat, "value")
        yield line(kind, **shown)
        yield from _result_lines(tsat, "TSAT")
    elif picture.iron.was_not_read(IronSearch.TSAT):
        yield line(Line.TSAT_NOT_READ)
    elif picture.iron.searches[IronSearch.TSAT] is NeedState.NOT_ASKED and not picture.iron.tsat.readable:
        yield line(Line.TSAT_NOT_ASKED)
    else:
        old = picture.iron.tsat.newest
        yield line(
            Line.TSAT_UNKNOWN,
            value=value_words(old) if old else None,
            date=date_words(old.when) if old else None,
        )
    yield from _skipped_saturation(picture.iron.tsat)
    if tsat is None and picture.iron.was_not_read(IronSearch.CRP):
        yield line(Line.CRP_NOT_READ)


def tsat_notes(picture: Picture) -> Iterator[DetailLine]:
    """Yield what must be said about a saturation that the card itself shows."""
    tsat = picture.iron.current_tsat
    if tsat is not None:
        yield from _result_lines(tsat, "TSAT")


def unread_result_lines(picture: Picture) -> Iterator[DetailLine]:
    """Yield which results could not be read, for a card that stands alone."""
    if picture.iron.current_tsat is None and picture.iron.was_not_read(IronSearch.TSAT):
        yield line(Line.TSAT_NOT_READ)
    if picture.iron.current_tsat is None and picture.iron.was_not_read(IronSearch.CRP):
        yield line(Line.CRP_NOT_READ)


def assay_line(picture: Picture, ferritin: Result | None) -> Iterator[DetailLine]:
    """Yield the assay note where another laboratory platform could move the value over a limit."""
    is_in_range = not is_below(ferritin, "ferritin.symptom.adult", picture.knowledge)
    if (
        ferritin is not None
        and is_in_range
        and is_at_most(ferritin, "ferritin.assay_note_upper", picture.knowledge)
    ):
        yield line(Line.ASSAY)


def cause_lines(picture: Picture, ferritin: Result | None) -> Iterator[DetailLine]:
    """Yield what asks for the cause of a deficiency, and what speaks against a treatment."""
    if is_below(ferritin, "ferritin.search_cause", picture.knowledge):
        yield line(Line.VERY_LOW_FERRITIN)
    yield from _anaemia(picture)
    yield from _loss_or_malabsorption(picture)
    yield from _phosphate(picture)
    yield from _first_medicine(picture, Line.PPI, "PPI", "H2_BLOCKER")


def _loss_or_malabsorption(picture: Picture) -> Iterator[DetailLine]:
    """Yield the first disease; a blood donor has none, and can pause."""
    found = picture.conditions.of("iron_loss_or_malabsorption")
    donations = tuple(c for c in found if any(code.startswith(_BLOOD_DONOR) for code in c.icd10_codes))
    for condition in _by_text(tuple(c for c in found if c not in donations))[:1]:
        yield line(Line.LOSS_OR_MALABSORPTION, condition=condition.display)
    if donations:
        yield line(Line.BLOOD_DONOR)


def allergy_lines(picture: Picture) -> Iterator[DetailLine]:
    """Yield the allergies to iron by vein and by mouth, on every card that names a treatment with iron."""
    allergies = picture.facts.allergies
    kinds = (
        (Line.IV_IRON_ALLERGY, sorted(a.display for a in allergies if a.is_to_iv_iron)),
        (Line.ORAL_IRON_ALLERGY, sorted(a.display for a in allergies if a.is_to_oral_iron)),
    )
    for kind, displays in kinds:
        for display in displays[:1]:
            yield line(kind, allergy=display)


def caution_lines(picture: Picture) -> Iterator[DetailLine]:
    """Yield what delays iron by vein: inflammation near the ferritin, and pregnancy on dialysis."""
    ferritin = picture.iron.current_ferritin
    crp = inflamed_by(picture.iron, ferritin, picture.knowledge) if ferritin is not None else None
    if crp is not None:
        yield line(Line.CRP_HIGH, **result_values(crp, "value"))
    # The cards of pregnancy say it themselves; kidney failure comes before pregnancy.
    if picture.group == "esrd" and picture.pregnancy.is_present:
        yield line(Line.PREGNANCY_CAUTION)


def recent_dose_line(picture: Picture) -> Iterator[DetailLine]:
    """Yield in the weeks after iron by vein why no iron test is suggested."""
    dose, due = picture.iron.dose, picture.iron.reliable_from
    if dose is not None and due is not None:
        yield line(Line.IRON_UNRELIABLE, date=date_words(dose.day), due=date_words(due))


def _phosphate(picture: Picture) -> Iterator[DetailLine]:
    """Yield the diagnosis, else the laboratory value of a low phosphate."""
    diagnosed = list(_first_condition(picture, "hypophosphataemia", Line.LOW_PHOSPHATE))
    yield from diagnosed
    low = low_phosphate(picture)
    if low is not None and not diagnosed:
        yield line(Line.LOW_PHOSPHATE, **result_values(low, "value"))


def _anaemia(picture: Picture) -> Iterator[DetailLine]:
    limit = _anaemia_limit(picture)
    if limit is None:
        return
    haemoglobins = series(usable(picture.facts.results, Analyte.HAEMOGLOBIN, picture.today))
    newest = current(haemoglobins.newest, picture.today, picture.knowledge.days("window.result"))
    if newest is not None and is_below(newest, limit, picture.knowledge):
        yield line(Line.ANAEMIA, **result_values(newest, "value"))


def _anaemia_limit(picture: Picture) -> str | None:
    """Return the limit of an adult by sex; none is known for children or without a recorded sex."""
    if picture.pregnancy.is_present:
        return "hb.anaemia.pregnant"
    patient = picture.facts.patient
    if patient is None or picture.age is not AgeClass.ADULT:
        return None
    return {Sex.MALE: "hb.anaemia.male", Sex.FEMALE: "hb.anaemia.female"}.get(patient.sex)


def _first_condition(picture: Picture, group: str, kind: Line) -> Iterator[DetailLine]:
    for condition in _by_text(picture.conditions.of(group))[:1]:
        yield line(kind, condition=condition.display)


def _by_text(conditions: tuple[ConditionFact, ...]) -> list[ConditionFact]:
    return sorted(conditions, key=lambda c: c.display)


def _first_medicine(picture: Picture, kind: Line, *groups: str) -> Iterator[DetailLine]:
    found: tuple[Taken, ...] = with_group(picture.medicines, *groups)
    for taken in found[:1]:
        yield line(kind, drug=taken.name)


def diagnosis_lines(picture: Picture) -> Iterator[DetailLine]:
    """Yield a line where restless legs syndrome is known from the words of the record alone."""
    current = picture.conditions.of("rls")
    if current and all(c.certainty is Certainty.BY_TEXT for c in current):
        yield line(Line.RLS_BY_TEXT, condition=_by_text(current)[0].display)


def context_lines(picture: Picture) -> Iterator[DetailLine]:
    """Yield what changes how the values are read."""
    yield from _first_condition(picture, "inflammatory_disease", Line.INFLAMMATORY_DISEASE)
    yield from _first_condition(picture, "iron_disorder_unspecified", Line.IRON_OVERLOAD_UNSPECIFIC)
    yield from _first_medicine(picture, Line.MULTIVITAMIN_WITH_IRON, "IRON_IN_MULTIVITAMIN")
    if not picture.iron.oral:
        yield from _first_medicine(picture, Line.ORAL_IRON_MAYBE, "IRON_ANY")
    if picture.postpartum.is_present:
        delivered = picture.postpartum.when
        yield line(Line.POSTPARTUM, date=date_words(delivered) if delivered else None)
    tested = None if picture.pregnancy.is_present else positive_test(picture)
    if tested is not None:
        yield line(Line.PREGNANCY_TEST, date=date_words(tested.when))
    undated = undated_pregnancies(picture.conditions)
    if undated and picture.pregnancy.presence is Presence.UNKNOWN:
        yield line(Line.PREGNANCY_UNDATED, condition=_by_text(undated)[0].display)
    total = severity(picture)
    if total is not None:
        yield line(Line.SEVERITY, value=value_words(total), date=date_words(total.when))


def ferritin_high_line(picture: Picture) -> Iterator[DetailLine]:
    """Yield a line on a ferritin above the studied range with a saturation in the middle."""
    ferritin, tsat = picture.iron.current_ferritin, picture.iron.current_tsat
    if ferritin is None or tsat is None or picture.esrd.is_present:
        return
    knowledge = picture.knowledge
    is_middle = is_at_least(tsat, "tsat.low", knowledge) and is_at_most(tsat, "tsat.high", knowledge)
    if is_middle and is_above(ferritin, "ferritin.studied_upper", knowledge):
        yield line(
            Line.FERRITIN_HIGH_TSAT_NORMAL,
            value=value_words(ferritin),
            date=date_words(ferritin.when),
            tsat=value_words(tsat),
            tsat_date=date_words(tsat.when),
        )


def unread_lines(picture: Picture) -> Iterator[DetailLine]:
    """Yield what was missing or could not be read."""
    patient = picture.facts.patient
    if any(issue.kind is IssueKind.REPLACED for issue in picture.facts.issues):
        yield line(Line.PATIENT_REPLACED)
    if patient is not None and patient.is_inactive:
        yield line(Line.PATIENT_INACTIVE)
    if picture.facts.unreadable_medicines:
        yield line(Line.MEDICINES_UNREADABLE, count=str(picture.facts.unreadable_medicines))
    medicine_needs = (Need.MEDICATION_STATEMENTS, Need.MEDICATION_REQUESTS, Need.IRON_TREATMENTS)
    if picture.has_failed(*medicine_needs):
        yield line(Line.MEDICINES_NOT_READ)
    if picture.has_failed(Need.PROCEDURES):
        yield line(Line.PROCEDURES_NOT_READ)
    if picture.has_failed(Need.IRON_ORDERS):
        yield line(Line.ORDERS_NOT_READ)
    skipped = sum(i.count for i in picture.facts.issues if i.kind in _RESOURCE_ISSUES)
    if skipped:
        yield line(Line.RECORD_ISSUES, count=str(skipped))

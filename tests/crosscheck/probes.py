"""Pairs of records that differ in one value only, on the two sides of a threshold of the rules.

Each probe is a function of a source of chance, a record and the side: the same chance gives the same record
but for the value in question. Where both sides are answered alike, the probe does not show its threshold.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from tests.crosscheck import facts
from tests.crosscheck.record import ICD_10_CM, RXNORM, Record, day, quantity

Probe = Callable[[Random, Record, bool], None]


@dataclass(frozen=True)
class Threshold:
    """A limit of the rules with the record that stands just before or just beyond it."""

    name: str
    before: str
    beyond: str
    build: Probe
    born: str | None = "1970-01-01"
    gender: str = "male"
    has_rls: bool = True


THRESHOLDS: list[Threshold] = []


def threshold(name: str, before: str, beyond: str, **patient: object) -> Callable[[Probe], Probe]:
    """Register a probe under the name of its threshold."""

    def register(build: Probe) -> Probe:
        THRESHOLDS.append(Threshold(name, before, beyond, build, **patient))  # type: ignore[arg-type] # the fields of one dataclass
        return build

    return register


def record_of(limit: Threshold, rng: Random, *, is_beyond: bool) -> Record:
    """Return the record of one side of a threshold."""
    record = Record(limit.born, limit.gender)
    if limit.has_rls:
        facts.rls(rng, record, is_possible=rng.random() < 0.2)
    facts.noise(rng, record)
    limit.build(rng, record, is_beyond)
    return record


WOMAN = {"born": "1996-01-01", "gender": "female"}
CHILD = {"born": "2015-05-05"}
OPEN = {"born": "2008-11"}


def recent(rng: Random) -> int:
    """Return an age in days that is current for every patient."""
    return rng.randrange(1, 60)


# ------------------------------------------------------------------------------------------- ferritin, ng/mL
def ferritin_probe(
    name: str, before: str, beyond: str, prepare: Probe | None = None, **patient: object
) -> None:
    """Register a probe of the newest ferritin beside what `prepare` adds."""

    @threshold(name, before, beyond, **patient)
    def build(rng: Random, record: Record, is_beyond: bool) -> None:
        if prepare:
            prepare(rng, record, is_beyond)
        facts.ferritin(rng, record, beyond if is_beyond else before, recent(rng))


def with_tsat(*values: str) -> Probe:
    """Return what adds a current TSAT."""
    return lambda rng, record, _: facts.tsat(rng, record, rng.choice(values), recent(rng))


def in_kidney_failure(*values: str) -> Probe:
    """Return what adds kidney failure and a current TSAT, if any."""

    def prepare(rng: Random, record: Record, _: bool) -> None:
        facts.kidney_failure(rng, record)
        if values:
            facts.tsat(rng, record, rng.choice(values), recent(rng))

    return prepare


def in_pregnancy(*values: str) -> Probe:
    """Return what adds a pregnancy and a current TSAT, if any."""

    def prepare(rng: Random, record: Record, _: bool) -> None:
        facts.pregnant(rng, record)
        if values:
            facts.tsat(rng, record, rng.choice(values), recent(rng))

    return prepare


def on_oral_iron(rng: Random, record: Record, _: bool) -> None:
    """Add iron tablets for half a year."""
    facts.takes(rng, record, facts.any_of(rng, "systemic-ORAL-IRON"), since=180)


def inflamed_beside(rng: Random, record: Record, ago: int) -> None:
    """Add a raised CRP near a ferritin of that age."""
    facts.crp(rng, record, "30", ago + rng.randrange(-1, 10))


ferritin_probe("ferritin 50, adult", "49.9", "50", with_tsat("20", "30", "45"))
ferritin_probe("ferritin 75, adult", "75", "75.1", with_tsat("20", "30", "45"))
ferritin_probe("ferritin 75, adult, no rounding", "75", "75.01")
ferritin_probe("ferritin 75, adult, TSAT low", "75", "75.1", with_tsat("15", "19.9"))
ferritin_probe("ferritin 100, adult", "100", "100.1", with_tsat("20", "30", "45"))
ferritin_probe("ferritin 100, adult, TSAT low", "100", "100.1", with_tsat("15", "19.9"))
ferritin_probe("ferritin 300, no TSAT", "300", "300.1")
ferritin_probe("ferritin 200, kidney failure", "199.9", "200", in_kidney_failure("15", "19.9"))
ferritin_probe("ferritin 200, kidney failure, no TSAT", "199.9", "200", in_kidney_failure())
ferritin_probe("ferritin 800, kidney failure", "800", "800.1", in_kidney_failure("15", "30"))
ferritin_probe("ferritin 50, child", "49.9", "50", **CHILD)
ferritin_probe("ferritin 75, pregnancy", "75", "75.1", in_pregnancy("20", "30"), **WOMAN)
ferritin_probe("ferritin 75, oral iron", "75", "75.1", on_oral_iron)
ferritin_probe("ferritin 50, oral iron, child", "49.9", "50", on_oral_iron, **CHILD)
ferritin_probe("ferritin 50, age open", "49.9", "50", with_tsat("25", "35"), **OPEN)
ferritin_probe("ferritin 100, age open", "100", "100.1", with_tsat("25", "35"), **OPEN)
ferritin_probe("ferritin 50, RLS not on record", "49.9", "50", with_tsat("25", "35"), has_rls=False)
ferritin_probe("ferritin plausible up to 100,000", "100000", "100000.1")


@threshold("ferritin 75, status of RLS not known", "75", "75.1", has_rls=False)
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    record.answers["conditions"] = rng.choice(("failed", "not asked", "cut off"))
    facts.tsat(rng, record, "30", recent(rng))
    facts.ferritin(rng, record, "75.1" if is_beyond else "75", recent(rng))


@threshold("ferritin 300 with a raised CRP", "300", "300.1")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    ago = recent(rng)
    inflamed_beside(rng, record, ago)
    facts.ferritin(rng, record, "300.1" if is_beyond else "300", ago)


@threshold("ferritin 75 with a raised CRP", "75", "75.1")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    ago = recent(rng)
    inflamed_beside(rng, record, ago)
    facts.ferritin(rng, record, "75.1" if is_beyond else "75", ago)


@threshold("ferritin without a unit up to 3000", "3000", "3001")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    amount = Decimal("3001" if is_beyond else "3000")
    record.observation("2276-4", day(recent(rng)), valueQuantity=quantity(amount, None))


@threshold("ferritin without a unit from 1", "0.9", "1")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    amount = Decimal("1" if is_beyond else "0.9")
    record.observation("20567-4", day(recent(rng)), valueQuantity=quantity(amount, None))


@threshold("ferritin 50 with a comparator", "<50", "<=50")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    facts.ferritin(rng, record, "50", recent(rng), comparator="<=" if is_beyond else "<")


@threshold("ferritin 75 with a comparator", "<=75", "<=76")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    facts.ferritin(rng, record, "76" if is_beyond else "75", recent(rng), comparator="<=")


@threshold("ferritin 100 with a comparator", ">=100", ">100")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    facts.tsat(rng, record, "30", recent(rng))
    facts.ferritin(rng, record, "100", recent(rng), comparator=">" if is_beyond else ">=")


@threshold("ferritin 300 with a comparator", ">=300", ">300")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    facts.ferritin(rng, record, "300", recent(rng), comparator=">" if is_beyond else ">=")


# --------------------------------------------------------------------------------------------------- TSAT, %
def tsat_probe(
    name: str,
    limit: tuple[str, str],
    ferritins: tuple[str, ...],
    prepare: Probe | None = None,
    **patient: object,
) -> None:
    """Register a probe of TSAT beside a ferritin."""
    before, beyond = limit

    @threshold(name, before, beyond, **patient)
    def build(rng: Random, record: Record, is_beyond: bool) -> None:
        if prepare:
            prepare(rng, record, is_beyond)
        facts.ferritin(rng, record, rng.choice(ferritins), recent(rng))
        facts.tsat(rng, record, beyond if is_beyond else before, recent(rng))


LOW = ("19.9", "20")
HIGH = ("45", "45.1")
tsat_probe("TSAT 20, ferritin 75 to 100", LOW, ("76", "80", "100"))
tsat_probe("TSAT 20, ferritin above 100", LOW, ("101", "250", "350"))
tsat_probe("TSAT 20, pregnancy", LOW, ("80", "120"), in_pregnancy(), **WOMAN)
tsat_probe("TSAT 20, kidney failure", LOW, ("80", "150", "199"), in_kidney_failure())
tsat_probe("TSAT 20, RLS not on record", LOW, ("60", "120"), has_rls=False)
tsat_probe("TSAT 45", HIGH, ("20", "60", "90", "250", "350"))
tsat_probe("TSAT 45, child", HIGH, ("60", "120"), **CHILD)
tsat_probe("TSAT 45, kidney failure", HIGH, ("60", "350"), in_kidney_failure())


@threshold("TSAT 20 with a comparator", "<20", "<=20")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    facts.ferritin(rng, record, "80", recent(rng))
    facts.tsat(rng, record, "20", recent(rng), comparator="<=" if is_beyond else "<")


@threshold("TSAT 20, computed", "79 of 400", "80 of 400")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    facts.ferritin(rng, record, "80", recent(rng))
    facts.iron_and_capacity(rng, record, "80" if is_beyond else "79", "400", recent(rng))


@threshold("TSAT computed within 24 hours", "24 h", "24 h and a minute")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    ago = recent(rng)
    facts.ferritin(rng, record, "80", ago)
    record.observation("2498-4", f"{day(ago + 1)}T08:00:00Z", valueQuantity=quantity(Decimal(45), "ug/dL"))
    minute = "01" if is_beyond else "00"
    record.observation("2500-7", f"{day(ago)}T08:{minute}:00Z", valueQuantity=quantity(Decimal(400), "ug/dL"))


@threshold("TSAT without a unit up to 1.5", "1.5", "1.6")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    facts.ferritin(rng, record, "80", recent(rng))
    amount = Decimal("1.6" if is_beyond else "1.5")
    record.observation("2502-3", day(recent(rng)), valueQuantity=quantity(amount, rng.choice((None, "1"))))


@threshold("TSAT in per cent above 1.5", "1.5", "1.6")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    facts.ferritin(rng, record, rng.choice(("80", "120")), recent(rng))
    amount = Decimal("1.6" if is_beyond else "1.5")
    held = quantity(amount, "%", is_coded=rng.random() < 0.5)
    record.observation(rng.choice(("2502-3", "14801-5")), day(recent(rng)), valueQuantity=held)


# --------------------------------------------------------------------------------------------- days and ages
def days_probe(name: str, last: int, place: Callable[[Random, Record, int], None], **patient: object) -> None:
    """Register a probe of a number of days: the last day that counts, and the one after it."""

    @threshold(name, f"{last} days", f"{last + 1} days", **patient)
    def build(rng: Random, record: Record, is_beyond: bool) -> None:
        place(rng, record, last + is_beyond)


def dated_ferritin(*values: str) -> Callable[[Random, Record, int], None]:
    """Return what adds a ferritin of that age."""
    return lambda rng, record, ago: facts.ferritin(rng, record, rng.choice(values), ago)


def _dated_tsat(ferritins: tuple[str, ...], value: str) -> Callable[[Random, Record, int], None]:
    def place(rng: Random, record: Record, ago: int) -> None:
        facts.ferritin(rng, record, rng.choice(ferritins), recent(rng))
        facts.tsat(rng, record, value, ago)

    return place


def _both_dated_in_kidney_failure(rng: Random, record: Record, ago: int) -> None:
    facts.kidney_failure(rng, record)
    facts.ferritin(rng, record, "150", ago)
    facts.tsat(rng, record, "15", ago)


def _dated_tsat_in_kidney_failure(rng: Random, record: Record, ago: int) -> None:
    facts.kidney_failure(rng, record)
    facts.ferritin(rng, record, "150", recent(rng))
    facts.tsat(rng, record, rng.choice(("15", "30")), ago)


def _dated_ferritin_in_pregnancy(rng: Random, record: Record, ago: int) -> None:
    facts.pregnant(rng, record)
    facts.ferritin(rng, record, rng.choice(("40", "75", "120")), ago)


def _dated_tsat_in_pregnancy(rng: Random, record: Record, ago: int) -> None:
    facts.pregnant(rng, record)
    facts.ferritin(rng, record, "90", recent(rng))
    facts.tsat(rng, record, "15", ago)


def _dated_iv_iron(rng: Random, record: Record, ago: int) -> None:
    facts.iv_iron(rng, record, ago)


def _draw_after_iv_iron(rng: Random, record: Record, later: int) -> None:
    dose = rng.randrange(120, 300)
    facts.iv_iron(rng, record, dose)
    facts.ferritin(rng, record, "60", dose - later)


def _draw_half_a_year_after_iv_iron(rng: Random, record: Record, later: int) -> None:
    dose = rng.randrange(200, 340)
    facts.iv_iron(rng, record, dose)
    facts.ferritin(rng, record, "350", dose - later)


def _on_iron_for(rng: Random, record: Record, since: int) -> None:
    facts.takes(rng, record, facts.any_of(rng, "systemic-ORAL-IRON"), since=since)
    if rng.random() < 0.5:
        facts.ferritin(rng, record, "40", since + 10)


def _draw_on_iron(rng: Random, record: Record, later: int) -> None:
    facts.takes(rng, record, facts.any_of(rng, "systemic-ORAL-IRON"), since=200)
    facts.ferritin(rng, record, rng.choice(("40", "60", "75")), 200 - later)


def _old_draw_on_iron(rng: Random, record: Record, ago: int) -> None:
    facts.takes(rng, record, facts.any_of(rng, "systemic-ORAL-IRON"), since=600)
    facts.ferritin(rng, record, "60", ago)


def _start_unknown(rng: Random, record: Record, ago: int) -> None:
    facts.takes(rng, record, facts.any_of(rng, "systemic-ORAL-IRON"))
    facts.ferritin(rng, record, rng.choice(("40", "90")), ago)


def _crp_apart(rng: Random, record: Record, apart: int) -> None:
    facts.ferritin(rng, record, rng.choice(("80", "140", "300")), 40)
    facts.crp(rng, record, "30", 40 + rng.choice((-1, 1)) * apart)


def _ordered(rng: Random, record: Record, ago: int) -> None:
    code = rng.choice(("2276-4", "20567-4", "50190-8", "75689-0"))
    record.order(
        code,
        day(ago),
        status=rng.choice(("active", "draft", "on-hold")),
        intent=rng.choice(("order", "plan")),
    )
    if rng.random() < 0.5:
        facts.ferritin(rng, record, "60", 400)


def _expected(rng: Random, record: Record, ago: int) -> None:
    status = rng.choice(("registered", "preliminary"))
    value = quantity(Decimal(30), "ng/mL") if status == "preliminary" else None
    record.observation("2276-4", day(ago), status=status, valueQuantity=value)


def _status_of_pregnancy(rng: Random, record: Record, ago: int) -> None:
    facts.pregnancy_status(record, ago, is_pregnant=True)
    facts.ferritin(rng, record, "90", recent(rng))


def _diagnosis_of_pregnancy(rng: Random, record: Record, ago: int) -> None:
    record.condition((ICD_10_CM, rng.choice(("Z34.02", "O09.512", "O26.812", "O99.013"))), onset=day(ago))
    facts.ferritin(rng, record, "90", recent(rng))


@threshold("pregnancy over since it was told", "a day earlier", "a day later", **WOMAN)
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    told = 20
    shape = rng.randrange(3)
    if shape == 0:
        facts.pregnancy_status(record, told, is_pregnant=True)
    elif shape == 1:
        facts.delivery_expected(record, rng.randrange(1, 280))
    else:
        record.condition((ICD_10_CM, rng.choice(("Z34.02", "O26.812"))), onset=day(told))
    code = rng.choice(("O80", "Z37.0", "Z39.2", "O00.101", "O02.1", "O03.9", "O08.9"))
    end = day(told - 1 if is_beyond else told + 1)
    record.condition((ICD_10_CM, code), onset=end, clinical=rng.choice(("active", "resolved", None)))
    facts.ferritin(rng, record, "90", recent(rng))


@threshold("iron overload is for life", "refuted", "resolved")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    verification = rng.choice(("confirmed", "provisional", None)) if is_beyond else "refuted"
    record.condition(
        facts.any_of(rng, "iron-overload"),
        clinical=rng.choice(("inactive", "remission", "resolved")),
        verification=verification,
    )
    facts.ferritin(rng, record, "60", recent(rng))


def _delivery_ahead(rng: Random, record: Record, ahead: int) -> None:
    facts.delivery_expected(record, ahead)
    facts.ferritin(rng, record, "90", recent(rng))


def _dialysis(rng: Random, record: Record, ago: int) -> None:
    record.procedure(facts.any_of(rng, "dialysis-procedure")[1], day(ago))
    facts.ferritin(rng, record, "60", recent(rng))


def _agonist_for(rng: Random, record: Record, since: int) -> None:
    facts.takes(rng, record, facts.any_of(rng, "systemic-RLS-DA", "systemic-RLS-LEVODOPA"), since=since)


def _agonist_gap(rng: Random, record: Record, gap: int) -> None:
    code = facts.any_of(rng, "ingredient-pramipexole", "ingredient-ropinirole", "ingredient-levodopa")
    record.statement(
        code,
        status=rng.choice(("completed", "stopped")),
        effectivePeriod={"start": day(800), "end": day(200)},
    )
    record.statement(code, effectivePeriod={"start": day(200 - gap)})


days_probe("ferritin current for 365 days", 365, dated_ferritin("40", "60", "90", "140"))
days_probe("ferritin current for 365 days, child", 365, dated_ferritin("40", "60"), **CHILD)
days_probe("ferritin current for 365 days, overload", 365, dated_ferritin("350"))
days_probe("TSAT current for 365 days, low", 365, _dated_tsat(("80", "120"), "15"))
days_probe("TSAT current for 365 days, high", 365, _dated_tsat(("60", "120"), "50"))
days_probe("ferritin current for 98 days in pregnancy", 98, _dated_ferritin_in_pregnancy, **WOMAN)
days_probe("TSAT current for 98 days in pregnancy", 98, _dated_tsat_in_pregnancy, **WOMAN)
days_probe("ferritin and TSAT current for 90 days in kidney failure", 90, _both_dated_in_kidney_failure)
days_probe("TSAT current for 90 days in kidney failure", 90, _dated_tsat_in_kidney_failure)
days_probe("IV iron: silence for 55 days", 55, _dated_iv_iron)
days_probe("IV iron: recheck until day 365", 365, _dated_iv_iron)
days_probe("IV iron: ferritin of the first 55 days", 55, _draw_after_iv_iron)
days_probe("IV iron: high ferritin expected for 180 days", 180, _draw_half_a_year_after_iv_iron)
days_probe("oral iron: silence for 83 days", 83, _on_iron_for)
days_probe("oral iron: ferritin of the first 55 days", 55, _draw_on_iron)
days_probe("oral iron: ferritin current for 365 days", 365, _old_draw_on_iron)
days_probe("oral iron, start unknown: ferritin of 90 days", 90, _start_unknown)
days_probe("CRP within 14 days", 14, _crp_apart)
days_probe("order pending for 30 days", 30, _ordered)
days_probe("result expected for 14 days", 14, _expected)
days_probe("pregnancy status valid for 60 days", 60, _status_of_pregnancy, **WOMAN)
days_probe("pregnancy diagnosis valid for 294 days", 294, _diagnosis_of_pregnancy, **WOMAN)
days_probe("delivery up to 300 days ahead", 300, _delivery_ahead, **WOMAN)
days_probe("delivery is tomorrow at the earliest", 0, _delivery_ahead, **WOMAN)
days_probe("dialysis procedure within 90 days", 90, _dialysis)
days_probe("dopaminergic medicine for 365 days", 365, _agonist_for)
days_probe("dopaminergic courses 100 days apart", 100, _agonist_gap)


@threshold("CRP 5 mg/L", "5", "5.1")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    ago = recent(rng)
    facts.ferritin(rng, record, rng.choice(("80", "140")), ago)
    facts.crp(rng, record, "5.1" if is_beyond else "5", ago)


@threshold("age 18", "17", "18", born=None)
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    record.patient["birthDate"] = "2008-11-22" if is_beyond else "2008-11-23"
    facts.ferritin(rng, record, rng.choice(("60", "75", "90")), recent(rng))


@threshold("age 18, date of birth partial", "2008-11", "2008-10", born=None)
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    record.patient["birthDate"] = "2008-10" if is_beyond else "2008-11"
    facts.ferritin(rng, record, rng.choice(("60", "75", "90")), recent(rng))


@threshold("age 10 in pregnancy", "9", "10", born=None, gender="female")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    record.patient["birthDate"] = "2016-11-22" if is_beyond else "2016-11-23"
    facts.pregnant(rng, record)
    facts.ferritin(rng, record, "60", recent(rng))


@threshold("age 55 in pregnancy", "55", "56", born=None, gender="female")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    record.patient["birthDate"] = "1970-11-22" if is_beyond else "1970-11-23"
    facts.pregnant(rng, record)
    facts.ferritin(rng, record, "60", recent(rng))


@threshold("a result of tomorrow is used", "in two days", "tomorrow")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    record.observation("2276-4", day(-1 if is_beyond else -2), valueQuantity=quantity(Decimal(40), "ng/mL"))
    facts.ferritin(rng, record, "60", recent(rng))


# ------------------------------------------------------------------------------------------------- medicines
@threshold("two flagged classes", "1", "2")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    first = rng.choice(("SSRI", "TCA", "LITHIUM", "MAOI"))
    second = rng.choice(("SNRI", "VMAT2", "DA-DEPLETER"))
    alone = tuple(f"systemic-{name}" for name in facts.FLAGGED if name != first)
    code = facts.medicine_of(rng, f"systemic-{first}", outside=alone)
    facts.takes(rng, record, code)
    other = facts.any_of(rng, f"systemic-{second}")
    facts.takes(rng, record, other if is_beyond else code)


@threshold("weight of a flagged medicine", "possible", "full")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    code = facts.any_of(rng, *(f"ingredient-{name}" for name in facts.STRONGEST))
    facts.takes(rng, record, code, is_possible=not is_beyond)


@threshold("a medicine counts on its last day", "ended yesterday", "ends today")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    ends = day(0 if is_beyond else 1)
    code = facts.one_flagged_class(rng)
    shape = rng.randrange(3)
    if shape == 0:
        record.statement(code, effectivePeriod={"start": day(90), "end": ends})
    elif shape == 1:
        record.prescription(code, authoredOn=day(90), dispenseRequest={"validityPeriod": {"end": ends}})
    else:
        timing = {"repeat": {"boundsPeriod": {"end": ends}}}
        record.prescription(code, authoredOn=day(90), dosageInstruction=[{"timing": timing}])


@threshold("a medicine counts from its first day", "starts tomorrow", "starts today")
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    start = day(0 if is_beyond else -1)
    code = facts.one_flagged_class(rng)
    if rng.random() < 0.5:
        record.statement(code, effectivePeriod={"start": start})
    else:
        record.statement(code, effectiveDateTime=start)


def dose_probe(ingredient: str, before: str, beyond: str) -> None:
    """Register a probe of the daily dose of a dopamine agonist."""

    @threshold(f"{ingredient}, mg a day", before, beyond)
    def build(rng: Random, record: Record, is_beyond: bool) -> None:
        total = Decimal(beyond if is_beyond else before)
        parts = rng.choice((1, 2))
        repeat = rng.choice(
            (
                {"frequency": parts, "period": 1, "periodUnit": "d"},
                {"frequency": 1, "period": 24 // parts, "periodUnit": "h"},
            )
        )
        dose = {"doseQuantity": quantity(total / parts, "mg")}
        code = facts.any_of(rng, f"ingredient-{ingredient}")
        record.statement(
            code,
            effectivePeriod={"start": day(200)},
            dosage=[{"timing": {"repeat": repeat}, "doseAndRate": [dose]}],
        )


dose_probe("pramipexole", "0.5", "0.52")
dose_probe("ropinirole", "4", "4.2")
dose_probe("rotigotine", "3", "3.2")


# ------------------------------------------------------------------------------- factors beside the diagnosis
@threshold("two linked factors", "1", "2", has_rls=False)
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    facts.takes(rng, record, facts.one_flagged_class(rng))
    lists = (
        "iron-deficiency",
        "iron-loss-or-malabsorption",
        "multiple-sclerosis",
        "osa",
        "peripheral-neuropathy",
        "diabetic-polyneuropathy",
        "ckd-3",
        "esrd",
        "dialysis",
        "iron-deficiency-anemia",
    )
    code = facts.any_of(rng, *lists)
    if is_beyond:
        record.condition(code, verification=rng.choice(("confirmed", "provisional")))


@threshold("first-degree relatives", "second degree", "first degree", has_rls=False)
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    facts.takes(rng, record, facts.one_flagged_class(rng))
    near = rng.choice(("MTH", "FTH", "SIS", "BRO", "DAU", "SON", "NFTH", "NMTH"))
    far = rng.choice(("AUNT", "UNCLE", "GRFTH", "COUSN"))
    record.relative(near if is_beyond else far, (ICD_10_CM, "G25.81"))


@threshold("eGFR 60 twice", "59.9", "60", has_rls=False)
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    facts.takes(rng, record, facts.one_flagged_class(rng))
    code = facts.any_of(rng, "egfr")[1]
    values = ("45", "60" if is_beyond else "59.9")
    for ago, value in zip((10, 120), values, strict=True):
        amount = quantity(Decimal(value), "mL/min/{1.73_m2}")
        record.observation(code, day(ago), search="contextResults", valueQuantity=amount)


@threshold("eGFR twice, 90 days apart", "89 days", "90 days", has_rls=False)
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    facts.takes(rng, record, facts.one_flagged_class(rng))
    code = facts.any_of(rng, "egfr")[1]
    for ago in (10, 100 if is_beyond else 99):
        amount = quantity(Decimal(40), "mL/min/{1.73_m2}")
        record.observation(code, day(ago), search="contextResults", valueQuantity=amount)


@threshold("proxy medicine", "gabapentin", "gabapentin enacarbil or an agonist", has_rls=False)
def _(rng: Random, record: Record, is_beyond: bool) -> None:
    names = ("gabapentin-enacarbil", "pramipexole", "ropinirole", "rotigotine")
    proxy = facts.any_of(rng, *(f"ingredient-{name}" for name in names))
    facts.takes(rng, record, proxy if is_beyond else (RXNORM, "25480"))

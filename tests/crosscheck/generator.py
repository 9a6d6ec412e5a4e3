"""Made-up patients in any number: pairs at every threshold first, then records of chance.

Each patient is made from the seed of the run and its own number alone, so one patient can be made again
without the others: `python -m tests.crosscheck.generator SEED NUMBER` prints its request.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from tests.crosscheck import facts
from tests.crosscheck.charts import Json
from tests.crosscheck.probes import THRESHOLDS, record_of
from tests.crosscheck.record import ICD_10_CM, RXNORM, SNOMED_CT, Record, day, quantity

PAIRS = 50
"""Pairs of patients at each threshold."""


@dataclass(frozen=True)
class Patient:
    """A made-up patient: the request, and the side of the threshold where it stands, if it stands at one."""

    number: int
    request: Json
    is_screening_on: bool
    threshold: str | None = None
    side: str | None = None


def patients(seed: int, total: int) -> Iterator[Patient]:
    """Yield the patients of a run; the pairs are made in any case, chance fills up to the total."""
    for number in range(max(total, probes_total())):
        yield patient(seed, number)


def probes_total() -> int:
    """Return how many patients stand at a threshold."""
    return len(THRESHOLDS) * 2 * PAIRS


def patient(seed: int, number: int) -> Patient:
    """Return one patient of a run."""
    if number >= probes_total():
        rng = Random(f"{seed}/{number}")
        record = by_chance(rng)
        return Patient(number, record.request(number), record.is_screening_on)
    pair, side = divmod(number, 2)
    limit = THRESHOLDS[pair // PAIRS]
    rng = Random(f"{seed}/{limit.name}/{pair}")
    record = record_of(limit, rng, is_beyond=bool(side))
    told = limit.beyond if side else limit.before
    return Patient(number, record.request(number), record.is_screening_on, limit.name, told)


# ---------------------------------------------------------------------------------------- records of chance
FERRITINS = (
    "4",
    "12",
    "29",
    "49.9",
    "50",
    "60",
    "74.9",
    "75",
    "75.1",
    "90",
    "100",
    "100.1",
    "140",
    "199.9",
    "200",
    "250",
    "300",
    "300.1",
    "350",
    "500",
    "800",
    "800.1",
    "1200",
)
SATURATIONS = ("8", "15", "19.9", "20", "25", "35", "45", "45.1", "60")
AGES = (
    0,
    1,
    5,
    13,
    14,
    15,
    30,
    54,
    55,
    56,
    57,
    83,
    84,
    89,
    90,
    91,
    97,
    98,
    99,
    150,
    179,
    180,
    181,
    300,
    364,
    365,
    366,
    500,
)
DIAGNOSES = (
    "iron-deficiency",
    "iron-deficiency-anemia",
    "iron-loss-or-malabsorption",
    "multiple-sclerosis",
    "osa",
    "peripheral-neuropathy",
    "diabetic-polyneuropathy",
    "ckd-3",
    "ckd-4",
    "ckd-5",
    "ckd-5-or-esrd-combined",
    "parkinson",
    "parkinsonism-secondary",
    "kidney-transplant",
    "esrd",
    "dialysis",
    "anemia-in-pregnancy",
)
BIRTHS = (
    "1970-01-01",
    "1970-01-01",
    "1955-06-30",
    "1990-02-28",
    "1998-12-31",
    "2004",
    "2008-11-22",
    "2008-11-23",
    "2008-11",
    "2008",
    "2008-12",
    "2015-05-05",
    "2012",
    "2019-09-09",
    None,
)


def one_in(rng: Random, times: int) -> bool:
    """Answer yes once in so many times."""
    return rng.randrange(times) == 0


def by_chance(rng: Random) -> Record:
    """Return a record in which anything may meet anything."""
    record = Record(rng.choice(BIRTHS), rng.choice(("male", "female", "female", "other", None)))
    record.is_screening_on = not one_in(rng, 6)
    if one_in(rng, 60):
        record.patient["deceasedDateTime"] = day(50)
    for add in (diagnosis_of_rls, group, other_diagnoses, results, iron_taken, medicines, orders, failures):
        add(rng, record)
    facts.noise(rng, record)
    for found in record.found.values():
        rng.shuffle(found)
    return record


def diagnosis_of_rls(rng: Random, record: Record) -> None:
    """Put restless legs on record in one of the ways that differ."""
    kind = rng.randrange(10)
    if kind < 5:
        facts.rls(rng, record, is_possible=kind == 0)
    elif kind == 5:
        record.condition((ICD_10_CM, "G25.81"), verification=rng.choice(("refuted", "entered-in-error")))
    elif kind == 6:
        ended = rng.choice(
            (
                {"abatementDateTime": day(40)},
                {"abatementPeriod": {"start": day(90), "end": day(40)}},
                {"abatementDateTime": day(-10)},
            )
        )
        record.condition((SNOMED_CT, "32914008"), clinical=rng.choice(("active", "resolved", None)), **ended)
    elif kind == 7:
        record.condition(facts.any_of(rng, "plmd"), verification=rng.choice(("confirmed", "provisional")))
        if one_in(rng, 3):
            record.condition((ICD_10_CM, "G25.81"), verification="refuted")
    if one_in(rng, 20):
        record.condition((ICD_10_CM, "G25.81"), clinical=rng.choice(("inactive", "remission", "resolved")))


def group(rng: Random, record: Record) -> None:
    """Make the patient one of a special group, now and then of two."""
    if one_in(rng, 6):
        facts.kidney_failure(rng, record)
        if one_in(rng, 4):
            record.condition((ICD_10_CM, "Z94.0"))
    if one_in(rng, 5):
        facts.pregnant(rng, record)
    elif one_in(rng, 15):
        facts.pregnancy_status(record, rng.randrange(90), is_pregnant=False)
    elif one_in(rng, 15):
        record.condition((ICD_10_CM, "O26.812"), onset=day(200))
        record.condition(
            (ICD_10_CM, rng.choice(("O80", "Z37.0", "Z39.2", "O03.9"))), onset=day(20), clinical="resolved"
        )


def other_diagnoses(rng: Random, record: Record) -> None:
    """Add diagnoses that count beside restless legs, active or not."""
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
        clinical = rng.choice(("active", "active", "active", "inactive", "resolved", None))
        verification = rng.choice(
            ("confirmed", "confirmed", "provisional", "refuted", "entered-in-error", None)
        )
        record.condition(facts.any_of(rng, *DIAGNOSES), clinical=clinical, verification=verification)
    if one_in(rng, 30):
        record.condition(
            facts.any_of(rng, "iron-overload"),
            clinical=rng.choice(("active", "remission", "resolved", None)),
            verification=rng.choice(("confirmed", "provisional", "refuted")),
        )
    if one_in(rng, 20):
        record.relative(
            rng.choice(("MTH", "BRO", "AUNT", "SON")),
            (ICD_10_CM, "G25.81"),
            status=rng.choice(("completed", "partial", "entered-in-error")),
        )


def results(rng: Random, record: Record) -> None:
    """Add laboratory results of any age, status and certainty."""
    for ago in _distinct(rng, rng.choice((0, 1, 1, 1, 2, 3))):
        any_ferritin(rng, record, rng.choice(FERRITINS), ago)
    for ago in _distinct(rng, rng.choice((0, 0, 1, 1, 2))):
        any_tsat(rng, record, rng.choice(SATURATIONS), ago)
    if one_in(rng, 3):
        for ago in _distinct(rng, rng.choice((1, 1, 2))):
            facts.crp(rng, record, rng.choice(("2", "5", "5.1", "30")), ago)


def any_ferritin(rng: Random, record: Record, value: str, ago: int) -> None:
    """Add a ferritin of any status and certainty."""
    kind = rng.randrange(12)
    if kind == 0:
        facts.ferritin(rng, record, value, ago, comparator=rng.choice(("<", "<=", ">", ">=")))
    elif kind == 1:
        facts.ferritin(rng, record, value, ago, status=rng.choice(("unknown", "preliminary", "cancelled")))
    elif kind == 2:
        unreadable_ferritin(rng, record, value, ago)
    elif kind == 3:
        unusual_ferritin(rng, record, Decimal(value), ago)
    else:
        facts.ferritin(rng, record, value, ago)


def any_tsat(rng: Random, record: Record, value: str, ago: int) -> None:
    """Add a transferrin saturation, measured or to be computed."""
    if one_in(rng, 8):
        facts.tsat(rng, record, value, ago, status=rng.choice(("unknown", "cancelled")))
    elif one_in(rng, 6):
        facts.iron_and_capacity(rng, record, rng.choice(("40", "79", "80", "181")), "400", ago)
    elif one_in(rng, 10):
        facts.tsat(rng, record, value, ago, comparator=rng.choice(("<", "<=", ">", ">=")))
    else:
        facts.tsat(rng, record, value, ago)


def _distinct(rng: Random, number: int) -> list[int]:
    """Return so many ages in days that lie apart, so that no two results of a kind share a day."""
    return rng.sample(AGES[::3], number)


def unusual_ferritin(rng: Random, record: Record, value: Decimal, ago: int) -> None:
    """Add a ferritin as a whole number, as a range, or without a status."""
    kind = rng.randrange(3)
    if kind == 0:
        record.observation("2276-4", day(ago), valueInteger=int(value))
    elif kind == 1:
        ends = {"low": quantity(value, "ng/mL"), "high": quantity(value + rng.randrange(30), "ng/mL")}
        record.observation("2276-4", day(ago), valueRange=ends)
    else:
        record.observation("2276-4", day(ago), status=None, valueQuantity=quantity(value, "ng/mL"))


def unreadable_ferritin(rng: Random, record: Record, value: str, ago: int) -> None:
    """Add a ferritin that has a value and cannot be read."""
    amount = Decimal(value)
    kind = rng.randrange(5)
    if kind == 0:
        record.observation(
            "2276-4", day(ago), valueQuantity=quantity(amount, rng.choice(("mmol/L", "g/dL", "IU/mL")))
        )
    elif kind == 1:
        record.observation("2276-4", None, valueQuantity=quantity(amount, "ng/mL"))
    elif kind == 2:
        record.observation("14723-1", day(ago), valueQuantity=quantity(amount, None))
    elif kind == 3:
        record.observation("2276-4", day(ago), valueString="see the comment of the laboratory")
    else:
        record.observation("2276-4", day(ago), valueQuantity=quantity(Decimal(-1), "ng/mL"))


def iron_taken(rng: Random, record: Record) -> None:
    """Add iron by mouth or by vein."""
    if one_in(rng, 8):
        code = facts.any_of(rng, "systemic-ORAL-IRON")
        facts.takes(rng, record, code, since=rng.choice((*AGES, None)), is_possible=one_in(rng, 5))
    if one_in(rng, 8):
        facts.iv_iron(rng, record, rng.choice(AGES))
        if one_in(rng, 4):
            record.administration(facts.any_of(rng, "systemic-IV-IRON"), at=day(rng.choice(AGES)))
    if one_in(rng, 60):
        facts.takes(rng, record, facts.any_of(rng, "systemic-CHELATOR"), since=100)


def medicines(rng: Random, record: Record) -> None:
    """Add medicines that can worsen restless legs or treat them, current or not."""
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        code = facts.any_of(rng, *(f"systemic-{name}" for name in facts.FLAGGED))
        ended(rng, record, code) if one_in(rng, 3) else facts.takes(
            rng, record, code, since=rng.choice((None, 5, 400)), is_possible=one_in(rng, 4)
        )
    if one_in(rng, 4):
        code = facts.any_of(rng, "systemic-RLS-DA", "systemic-RLS-LEVODOPA")
        ended(rng, record, code) if one_in(rng, 4) else facts.takes(rng, record, code, since=rng.choice(AGES))
    if one_in(rng, 25):
        once = {"timing": {"repeat": {"count": rng.choice((1, 3))}}}
        where = {"coding": [{"code": rng.choice(("inpatient", "outpatient"))}]}
        record.prescription((RXNORM, "6915"), authoredOn=day(1), category=[where], dosageInstruction=[once])


def ended(rng: Random, record: Record, code: tuple[str, str]) -> None:
    """Add a medicine that is not taken now."""
    kind = rng.randrange(4)
    if kind == 0:
        status = rng.choice(("completed", "stopped", "not-taken", "on-hold", "intended", "entered-in-error"))
        record.statement(code, status=status, effectivePeriod={"start": day(600)})
    elif kind == 1:
        record.statement(code, effectivePeriod={"start": day(600), "end": day(rng.choice((1, 200)))})
    elif kind == 2:
        status = rng.choice(("completed", "stopped", "cancelled", "entered-in-error", "unknown", "on-hold"))
        record.prescription(code, status=status, authoredOn=day(600))
    else:
        record.prescription(code, intent=rng.choice(("proposal", "plan", "option")), authoredOn=day(30))
        record.prescription(code, authoredOn=day(30), doNotPerform=True)


def orders(rng: Random, record: Record) -> None:
    """Add orders of iron tests, or results on their way."""
    if one_in(rng, 8):
        code = rng.choice(("2276-4", "14723-1", "50190-8", "2502-3", "718-7"))
        status = rng.choice(("active", "active", "draft", "on-hold", "completed", "revoked"))
        record.order(code, rng.choice((None, day(3), day(30), day(31), day(-3))), status=status)
    if one_in(rng, 20):
        status = rng.choice(("registered", "preliminary"))
        record.observation("2276-4", day(rng.choice((0, 14, 15))), status=status)


def failures(rng: Random, record: Record) -> None:
    """Let searches fail, end early or never be made."""
    if one_in(rng, 12):
        record.answers["ironResults"] = rng.choice(("failed", "cut off", "null", "not asked"))
    if one_in(rng, 8):
        record.answers["conditions"] = rng.choice(("failed", "cut off", "not asked"))
    if one_in(rng, 40):
        record.answers["patient"] = rng.choice(("failed", "not asked"))
    if one_in(rng, 20):
        key = rng.choice(
            ("medicationStatements", "medicationRequests", "procedures", "contextResults", "ironOrders")
        )
        record.answers[key] = rng.choice(("failed", "not asked", "null"))


def main() -> None:
    """Print the request of one patient."""
    seed, number = (int(word) for word in sys.argv[1:3])
    print(json.dumps(patient(seed, number).request, indent=1))


if __name__ == "__main__":
    main()

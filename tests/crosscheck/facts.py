"""Coded facts in the many shapes of real records: other units, codes, statuses and dates of equal meaning."""

import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random

from tests.crosscheck.record import ICD_10_CM, LOINC, RXNORM, SNOMED_CT, Code, Record, day, quantity

LISTS = "https://rls-iron-cds.example.org/ValueSet/"
OIDS = {
    LOINC: "urn:oid:2.16.840.1.113883.6.1",
    SNOMED_CT: "urn:oid:2.16.840.1.113883.6.96",
    ICD_10_CM: "urn:oid:2.16.840.1.113883.6.90",
    RXNORM: "urn:oid:2.16.840.1.113883.6.88",
}

FLAGGED = (
    "SSRI",
    "SNRI",
    "NASSA",
    "TCA",
    "MAOI",
    "ANTIDEP-OTHER",
    "ANTIHIST-SEDATING",
    "ANTIPSYCH-TYPICAL",
    "ANTIPSYCH-ATYPICAL",
    "DA-ANTIEMETIC",
    "LITHIUM",
    "VMAT2",
    "DA-DEPLETER",
)
STRONGEST = ("mirtazapine", "metoclopramide", "prochlorperazine")
NEUTRAL: tuple[Code, ...] = tuple(
    (RXNORM, code)
    for code in (
        "42347",  # bupropion
        "10737",  # trazodone
        "31565",  # nefazodone
        "60842",  # reboxetine
        "28889",  # loratadine
        "87636",  # fexofenadine
        "3626",  # domperidone
        "26225",  # ondansetron
        "25480",  # gabapentin
        "187832",  # pregabalin
        "10689",  # tramadol
        "10582",  # levothyroxine
        "9639",  # selegiline
        "89013",  # aripiprazole
        "2019",  # carbidopa alone
        "7646",  # omeprazole
        "1000091",  # doxepin cream
        "1049723",  # diphenhydramine gel
        "311237",  # ketotifen eye drops
        "2049251",  # mirtazapine ointment
        "1797867",  # azelastine nose spray
        "1116179",  # multivitamin with iron
        "1358763",  # contraceptive pack with iron
        "90176",  # iron, form unknown
        "2287755",  # ferric pyrophosphate citrate for dialysis
    )
)
"""Medicines that no rule of the iron or medicine card reads."""
RECORDED_AS_RLS: tuple[tuple[Code, ...], ...] = (
    ((ICD_10_CM, "G25.81"),),
    ((SNOMED_CT, "32914008"),),
    ((OIDS[ICD_10_CM], "G25.81"),),
    ((OIDS[SNOMED_CT], "32914008"),),
    ((ICD_10_CM, "G2581"),),
    ((SNOMED_CT, "32914008"), (ICD_10_CM, "G25.81")),
)
ASIDE: tuple[Code, ...] = tuple(
    (ICD_10_CM, code) for code in ("I10", "J44.9", "E11.9", "Z72.0", "N17.9", "F90.0")
)
"""Diagnoses that are lines at most."""


@cache
def code_lists() -> dict[str, list[Code]]:
    """Return the code lists of the twin by their short names."""
    held = json.loads((Path(__file__).parent / "codes" / "valuesets.json").read_text(encoding="utf-8"))
    return {
        url.removeprefix(LISTS): [(system, code) for system, codes in by_system.items() for code in codes]
        for url, by_system in held["valueSets"].items()
    }


def any_of(rng: Random, *names: str) -> Code:
    """Return a code of one of the lists."""
    return rng.choice(code_lists()[rng.choice(names)])


def medicine_of(rng: Random, name: str, *, outside: tuple[str, ...] = ()) -> Code:
    """Return a product of a list that stands in none of the others."""
    banned = {code for other in outside for code in code_lists()[other]}
    return rng.choice([code for code in code_lists()[name] if code not in banned])


def one_flagged_class(rng: Random) -> Code:
    """Return a product of exactly one flagged class, and not of those that warn alone."""
    name = rng.choice(FLAGGED)
    others = tuple(f"systemic-{other}" for other in FLAGGED if other != name)
    return medicine_of(rng, f"systemic-{name}", outside=(*others, *(f"ingredient-{it}" for it in STRONGEST)))


def rls(rng: Random, record: Record, *, is_possible: bool = False) -> None:
    """Put restless legs on the problem list."""
    verification = rng.choice(("unconfirmed", "provisional", "differential"))
    record.condition(
        *rng.choice(RECORDED_AS_RLS),
        clinical=rng.choice(("active", "active", "recurrence", "relapse", None)),
        verification=verification if is_possible else rng.choice(("confirmed", "confirmed", None)),
        onset=rng.choice((None, day(400), day(20))),
    )


def _ferritin_shape(rng: Random, value: Decimal) -> tuple[str, str | None, Decimal, bool]:
    shapes: list[tuple[str, str | None, Decimal, bool]] = [
        ("2276-4", "ng/mL", value, True),
        ("2276-4", "ng/mL", value, True),
        ("20567-4", "ng/mL", value, True),
        ("24373-3", "ug/L", value, True),
        ("2276-4", "ug/L", value, False),
        ("2276-4", "\u00b5g/L", value, False),
        ("2276-4", "\u03bcg/L", value, False),
        ("20567-4", "mcg/L", value, False),
        ("2276-4", "ug/dL", value / 10, True),
        ("2276-4", "mg/L", value / 1000, True),
        ("14723-1", "pmol/L", value * Decimal("2.247"), True),
        ("2276-4", "pmol/L", value * Decimal("2.247"), True),
    ]
    if 1 <= value <= 3000:
        shapes.append(("2276-4", None, value, False))
    return rng.choice(shapes)


def ferritin(
    rng: Random,
    record: Record,
    value: str,
    ago: int,
    *,
    comparator: str | None = None,
    status: str | None = None,
    is_plain: bool = False,
    search: str = "ironResults",
) -> None:
    """Add a ferritin of so many ng/mL in any shape of equal meaning."""
    plain = ("2276-4", "ng/mL", Decimal(value), True)
    loinc, unit, amount, is_coded = plain if is_plain else _ferritin_shape(rng, Decimal(value))
    inside = None if is_plain else rng.choice((None, None, None, None, "75689-0"))
    _result(
        rng,
        record,
        loinc,
        ago,
        status=status or rng.choice(("final", "final", "amended", "corrected")),
        inside=inside,
        search=search,
        valueQuantity=quantity(amount, unit, comparator=comparator, is_coded=is_coded),
    )


def _result(rng: Random, record: Record, loinc: str, ago: int, **members: object) -> None:
    """Add a result whose day is told in one of several ways."""
    told = rng.randrange(8)
    at = day(ago)
    if told == 0:
        record.observation(loinc, None, effectiveInstant=f"{at}T09:30:00Z", **members)
    elif told == 1:
        record.observation(loinc, None, effectivePeriod={"start": day(ago + 3), "end": at}, **members)
    elif told == 2:
        record.observation(loinc, f"{at}T23:45:00+00:00", **members)
    elif told == 3:
        # Late in the evening on one side of the world is the next day in UTC.
        record.observation(loinc, f"{day(ago + 1)}T22:00:00-05:00", **members)
    elif told == 4:
        record.observation(loinc, None, effectivePeriod={"start": at}, **members)
    else:
        record.observation(loinc, at, **members)


def tsat(
    rng: Random, record: Record, value: str, ago: int, *, comparator: str | None = None, status: str = "final"
) -> None:
    """Add a transferrin saturation of so many percent."""
    amount = Decimal(value)
    shapes: list[tuple[str, str | None, Decimal, bool]] = [
        ("2502-3", "%", amount, True),
        ("14801-5", "%", amount, True),
        ("2502-3", "%", amount, False),
        ("2502-3", "1", amount / 100, True),
        ("14801-5", None, amount / 100, False),
    ]
    loinc, unit, told, is_coded = rng.choice(shapes)
    held = quantity(told, unit, comparator=comparator, is_coded=is_coded)
    _result(rng, record, loinc, ago, status=status, valueQuantity=held)


def iron_and_capacity(rng: Random, record: Record, iron: str, capacity: str, ago: int) -> None:
    """Add serum iron and binding capacity in ug/dL, from which TSAT follows."""
    apart = rng.choice((0, 0, 1))
    record.observation("2498-4", day(ago), valueQuantity=quantity(Decimal(iron), "ug/dL"))
    record.observation("2500-7", day(ago - apart), valueQuantity=quantity(Decimal(capacity), "ug/dL"))


def crp(rng: Random, record: Record, value: str, ago: int) -> None:
    """Add a C-reactive protein of so many mg/L."""
    amount = Decimal(value)
    unit, told = rng.choice((("mg/L", amount), ("mg/dL", amount / 10)))
    loinc = rng.choice(("1988-5", "30522-7"))
    record.observation(loinc, day(ago), valueQuantity=quantity(told, unit))


def takes(
    rng: Random, record: Record, code: Code, *, since: int | None = None, is_possible: bool = False
) -> None:
    """Add a medicine that is current, as a statement or an order."""
    held = rng.choice(("in place", "in place", "in place", "contained", "beside"))
    start = None if since is None else day(since)
    shape = 0 if is_possible else rng.randrange(4)
    if shape == 3 and start:
        record.prescription(code, held=held, authoredOn=start)
    elif shape == 2 and start:
        record.statement(code, held=held, effectiveDateTime=start)
    else:
        period = {"start": start} if start else None
        record.statement(
            code, status="unknown" if is_possible else "active", held=held, effectivePeriod=period
        )


def iv_iron(rng: Random, record: Record, ago: int) -> None:
    """Add a dose of iron by vein, told as a dose, a statement or, if nothing else, an order."""
    code = any_of(rng, "systemic-IV-IRON")
    shape = rng.randrange(4)
    if shape == 0:
        record.statement(
            code, status=rng.choice(("completed", "active", "unknown")), effectiveDateTime=day(ago)
        )
    elif shape == 1:
        record.prescription(code, status=rng.choice(("completed", "active")), authoredOn=day(ago))
    else:
        record.administration(code, at=day(ago))


def pregnant(rng: Random, record: Record) -> None:
    """Make the patient certainly pregnant, by status, expected day of delivery or diagnosis."""
    shape = rng.randrange(3)
    if shape == 0:
        pregnancy_status(record, rng.randrange(60), is_pregnant=True)
    elif shape == 1:
        delivery_expected(record, rng.randrange(1, 280))
    else:
        code = rng.choice(
            ((ICD_10_CM, "Z34.83"), (ICD_10_CM, "O26.812"), (SNOMED_CT, "77386006"), (ICD_10_CM, "O99.352"))
        )
        record.condition(code, onset=day(rng.randrange(250)))


def pregnancy_status(record: Record, ago: int, *, is_pregnant: bool) -> None:
    """Add the observation that says pregnant or not."""
    says = {"coding": [{"system": SNOMED_CT, "code": "77386006" if is_pregnant else "60001007"}]}
    record.observation("82810-3", day(ago), search="contextResults", valueCodeableConcept=says)


def delivery_expected(record: Record, ahead: int) -> None:
    """Add the expected day of delivery."""
    record.observation("11778-8", day(20), search="contextResults", valueDateTime=day(-ahead))


def kidney_failure(rng: Random, record: Record) -> None:
    """Make the patient one with end-stage renal disease or on dialysis."""
    shape = rng.randrange(4)
    if shape == 0:
        record.procedure(any_of(rng, "dialysis-procedure")[1], day(rng.randrange(60)))
    else:
        record.condition(any_of(rng, "esrd", "esrd-on-dialysis", "dialysis"))


def noise(rng: Random, record: Record) -> None:
    """Add facts that no card depends on."""
    for _ in range(rng.randrange(3)):
        record.condition(rng.choice(ASIDE))
    for _ in range(rng.randrange(3)):
        takes(rng, record, rng.choice(NEUTRAL), since=rng.choice((None, 30, 500)))
    if rng.random() < 0.3:
        record.observation(
            "2276-4",
            day(3),
            status=rng.choice(("entered-in-error", "cancelled")),
            valueQuantity=quantity(Decimal(7), "ng/mL"),
        )
    if rng.random() < 0.2:
        record.observation("86914-9", day(3), valueQuantity=quantity(Decimal(75), "ng/mL"))
    if rng.random() < 0.2:
        ferritin(rng, record, "20", 900)

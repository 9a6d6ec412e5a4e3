"""Random records, in the language of the scenario files."""

from datetime import date
from typing import Any

from hypothesis import strategies as st

from tests.builders import OWN_KEYS, Fact
from tests.vocabulary import ANSWERS, DIAGNOSES, MEDICINES, ORDERS

DAYS = st.dates(min_value=date(2025, 6, 1), max_value=date(2026, 11, 25))
PATIENTS = st.fixed_dictionaries(
    {
        "born": st.sampled_from(["1970-01-01", "1996-01-01", "2008-11-23", "2015", "2008-11", "none"]),
        "sex": st.sampled_from(["male", "female", "other"]),
    },
)


def _named(kind: str, fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Fact]:
    return fields.map(lambda given: {kind: given})


def _result(kind: str, low: int, high: int) -> st.SearchStrategy[Fact]:
    number = st.integers(low * 10, high * 10).map(lambda tenths: tenths / 10)
    value = number | st.tuples(st.sampled_from(["<", "<=", ">", ">="]), number).map(lambda p: f"{p[0]}{p[1]}")
    status = st.sampled_from(["final", "final", "final", "corrected", "unknown", "preliminary", "cancelled"])
    day = DAYS | st.just("none")
    return _named(kind, st.fixed_dictionaries({"value": value, "date": day, "status": status}))


_PERIOD = st.fixed_dictionaries({}, optional={"since": DAYS, "until": DAYS, "asserted": DAYS})
_VERIFICATION = st.sampled_from(["refuted", "provisional", "confirmed"])
_CODE = st.sampled_from(sorted(DIAGNOSES))
_DRUG = st.sampled_from(sorted(MEDICINES))
_STATEMENT = st.builds(
    lambda drug, status, period: {"drug": drug, "status": status, **period},
    _DRUG,
    st.sampled_from(["active", "active", "unknown", "completed", "stopped"]),
    _PERIOD,
)

_HABITS = st.one_of(
    _named(
        "smoking",
        st.fixed_dictionaries({"value": st.sampled_from(sorted(ANSWERS)), "date": DAYS}),
    ),
    _named("AUDIT-C", st.fixed_dictionaries({"value": st.integers(0, 13), "date": DAYS})),
    _named("drinks per day", st.fixed_dictionaries({"value": st.integers(0, 5), "date": DAYS})),
    _named(
        "caffeine intake",
        st.fixed_dictionaries({"date": DAYS, "said": st.sampled_from(["none", "daily", "perhaps"])}),
    ),
    _named("slept", st.lists(st.integers(3, 10), max_size=8)),
    _named("severity", st.fixed_dictionaries({"value": st.integers(0, 45), "date": DAYS})),
    _named("gene studied", st.fixed_dictionaries({"said": st.sampled_from(["MEIS1", "BRCA1"])})),
)
_CHEMISTRY = st.one_of(
    _result("vitamin D", 5, 60),
    _result("vitamin B12", 100, 500),
    _result("folate", 1, 12),
    _result("TSH", 1, 20),
    _result("HbA1c", 4, 9),
    _result("phosphate", 1, 5),
)
_AIRWAY = st.one_of(
    _named("device use", st.fixed_dictionaries({"displayed": st.just("CPAP")}, optional={"until": DAYS})),
    _named("procedure", st.fixed_dictionaries({"snomed": st.just("47545007"), "date": DAYS})),
    st.just({"device": {"snomed": "702172008"}}),
)
MINOR: st.SearchStrategy[Fact] = st.one_of(
    _HABITS,
    _CHEMISTRY,
    _named(
        "diagnosis",
        st.fixed_dictionaries(
            {"code": st.sampled_from(["F11.23", "F17.210", "G43.909", "I10", "I50.9", "J44.9", "Z72.820"])}
        ),
    ),
    _named("takes", st.sampled_from(["caffeine", "nicotine", "levothyroxine"])),
)
"""Facts that can only add a line to a card, whatever else the record holds."""

FACTS: st.SearchStrategy[Fact] = st.one_of(
    st.sampled_from(["RLS", "RLS", "PLMD"]),
    _named("RLS", st.fixed_dictionaries({"verification": _VERIFICATION})),
    _result("ferritin", 1, 900),
    _result("ferritin", 1, 120),
    _result("TSAT", 1, 60),
    _result("CRP", 0, 60),
    _result("haemoglobin", 5, 18),
    _named("diagnosis", st.fixed_dictionaries({"code": _CODE}, optional={"onset": DAYS})),
    _named("takes", _STATEMENT),
    _named("prescribed", st.fixed_dictionaries({"drug": _DRUG, "authored": DAYS})),
    _named("given", st.fixed_dictionaries({"drug": st.just("ferric carboxymaltose"), "date": DAYS})),
    _named("order", st.fixed_dictionaries({"test": st.sampled_from(sorted(ORDERS)), "authored": DAYS})),
    _named(
        "pregnancy status",
        st.fixed_dictionaries({"value": st.sampled_from(["pregnant", "not pregnant"]), "date": DAYS}),
    ),
    _named(
        "allergy",
        st.fixed_dictionaries({"drug": st.sampled_from(["ferric carboxymaltose", "ferrous sulfate"])}),
    ),
    _named("family", st.fixed_dictionaries({"relation": st.sampled_from(["father", "aunt"])})),
    _named(
        "pregnancy test",
        st.fixed_dictionaries({"said": st.sampled_from(["Positive", "negative", "unclear"]), "date": DAYS}),
    ),
    _HABITS,
    _CHEMISTRY,
    _AIRWAY,
)

RECORDS = st.lists(FACTS, max_size=8)
"""Records of a few facts; most of them say something about iron or restless legs."""

SEARCHES = st.sampled_from([key for key in OWN_KEYS if key != "patient"])

JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
"""Any JSON."""

"""What the source attributes say is not used changes no byte of any answer; what they say is used does.

Every sample request, and charts of the bench, are sent again with an element of the patient changed, added or
taken away.
"""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from random import Random
from typing import Any

import pytest

from cds_service.resources import fixtures_dir
from tests.builders import Json, hook_request, prefetch
from tests.harness import service_in
from tests.scenarios.test_scenarios import SCENARIOS

Change = Callable[[Json], None]

US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"
STANDARD = "http://hl7.org/fhir/StructureDefinition"
OMB = "urn:oid:2.16.840.1.113883.6.238"


def extended(*extensions: Json) -> Change:
    """Return a change that adds extensions to the Patient."""

    def change(patient: Json) -> None:
        patient["extension"] = [*patient.get("extension", []), *copy.deepcopy(extensions)]

    return change


def set_to(**members: Any) -> Change:
    """Return a change that sets members of the Patient; None takes one away."""

    def change(patient: Json) -> None:
        patient.update(copy.deepcopy(members))
        for name in [name for name, value in members.items() if value is None]:
            del patient[name]

    return change


def omb(kind: str, code: str, display: str) -> Json:
    """Return the extension of US Core for race or ethnicity."""
    coding = {"system": OMB, "code": code, "display": display}
    return {
        "url": f"{US_CORE}/us-core-{kind}",
        "extension": [
            {"url": "ombCategory", "valueCoding": coding},
            {"url": "text", "valueString": display},
        ],
    }


def concept(system: str, code: str, display: str) -> Json:
    return {"coding": [{"system": system, "code": code, "display": display}]}


SNOMED = "http://snomed.info/sct"
LANGUAGE = "urn:ietf:bcp:47"

PATIENT_CHANGES: dict[str, Change] = {
    "race Black": extended(omb("race", "2054-5", "Black or African American")),
    "race White": extended(omb("race", "2106-3", "White")),
    "race Asian and Native": extended(
        omb("race", "2028-9", "Asian"), omb("race", "1002-5", "American Indian or Alaska Native")
    ),
    "ethnicity Hispanic": extended(omb("ethnicity", "2135-2", "Hispanic or Latino")),
    "ethnicity not Hispanic": extended(omb("ethnicity", "2186-5", "Not Hispanic or Latino")),
    "no extension": set_to(extension=None),
    "language Spanish": set_to(
        communication=[{"language": concept(LANGUAGE, "es", "Spanish"), "preferred": True}], language="es"
    ),
    "language Arabic": set_to(communication=[{"language": concept(LANGUAGE, "ar", "Arabic")}]),
    "no language": set_to(communication=None, language=None),
    "gender identity": extended(
        {
            "url": f"{US_CORE}/us-core-genderIdentity",
            "valueCodeableConcept": concept(SNOMED, "407377005", "Female-to-male transsexual"),
        },
        {
            "url": f"{STANDARD}/patient-genderIdentity",
            "valueCodeableConcept": concept(SNOMED, "33791000087105", "Identifies as nonbinary gender"),
        },
    ),
    "sex assigned at birth": extended({"url": f"{US_CORE}/us-core-birthsex", "valueCode": "F"}),
    "pronouns": extended(
        {
            "url": f"{STANDARD}/individual-pronouns",
            "extension": [
                {"url": "value", "valueCodeableConcept": concept("http://loinc.org", "LA29520-6", "they")}
            ],
        }
    ),
    "religion": extended(
        {
            "url": f"{STANDARD}/patient-religion",
            "valueCodeableConcept": concept(
                "http://terminology.hl7.org/CodeSystem/v3-ReligiousAffiliation", "1013", "Christian"
            ),
        }
    ),
    "nationality and citizenship": extended(
        {
            "url": f"{STANDARD}/patient-nationality",
            "extension": [{"url": "code", "valueCodeableConcept": concept("urn:iso:std:iso:3166", "MX", "")}],
        }
    ),
    "married": set_to(
        maritalStatus=concept("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "M", "Married")
    ),
    "divorced": set_to(
        maritalStatus=concept("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "D", "Divorced")
    ),
    "address of a poor district": set_to(
        address=[{"line": ["1 Shelter Street"], "city": "Nowhere", "postalCode": "60619", "country": "US"}]
    ),
    "address abroad": set_to(address=[{"text": "Calle Falsa 123", "country": "MX"}]),
    "no address": set_to(address=None),
    "another name": set_to(name=[{"family": "Fictional", "given": ["Guadalupe"], "use": "official"}]),
    "no name": set_to(name=None),
    "telephone, contact, photo": set_to(
        telecom=[{"system": "phone", "value": "+52 55 0000 0000"}],
        contact=[{"relationship": [{"text": "wife"}], "gender": "female"}],
    ),
    "twin": set_to(multipleBirthBoolean=True),
    "narrative": set_to(
        text={
            "status": "generated",
            "div": '<div xmlns="http://www.w3.org/1999/xhtml">Homeless, speaks Spanish</div>',
        }
    ),
}

SOCIAL_OBSERVATIONS = {
    "76690-7": ("Sexual orientation", concept(SNOMED, "38628009", "Homosexual")),
    "76691-5": ("Gender identity", concept(SNOMED, "446151000124109", "Identifies as male gender")),
    "76689-9": (
        "Sex assigned at birth",
        concept("http://terminology.hl7.org/CodeSystem/v3-AdministrativeGender", "F", ""),
    ),
    "71802-3": ("Housing status", concept("http://loinc.org", "LA30190-5", "I do not have housing")),
    "82589-3": (
        "Highest level of education",
        concept("http://loinc.org", "LA12456-1", "Less than high school"),
    ),
    "67875-5": ("Employment status", concept("http://loinc.org", "LA17958-2", "Unemployed")),
    "93031-3": ("Medical or non-medical transportation need", concept("http://loinc.org", "LA33-6", "Yes")),
    "76437-3": ("Primary insurance", concept("http://loinc.org", "LA22077-4", "None/uninsured")),
    "54899-0": ("Preferred language", concept(LANGUAGE, "es", "Spanish")),
    "32624-9": ("Race", concept(OMB, "2054-5", "Black or African American")),
}
SOCIAL_CONDITIONS = {
    "Z59.00": "Homelessness unspecified",
    "Z59.41": "Food insecurity",
    "Z60.3": "Acculturation difficulty",
    "Z55.0": "Illiteracy and low-level literacy",
    "Z56.0": "Unemployment, unspecified",
    "Z63.5": "Disruption of family by separation and divorce",
    "Z75.3": "Unavailability and inaccessibility of health care facilities",
    "F64.0": "Transsexualism",
}


def social_resources(patient_id: str) -> list[Json]:
    """Return Observations and Conditions on the social life of a patient."""
    subject = {"reference": f"Patient/{patient_id}"}
    category = concept("http://terminology.hl7.org/CodeSystem/observation-category", "social-history", "")
    observations = [
        {
            "resourceType": "Observation",
            "id": f"social-{code}",
            "status": "final",
            "category": [category],
            "code": concept("http://loinc.org", code, display),
            "subject": subject,
            "effectiveDateTime": "2026-11-20",
            "valueCodeableConcept": value,
        }
        for code, (display, value) in SOCIAL_OBSERVATIONS.items()
    ]
    status = concept("http://terminology.hl7.org/CodeSystem/condition-clinical", "active", "")
    verified = concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed", "")
    conditions = [
        {
            "resourceType": "Condition",
            "id": f"social-{code.replace('.', '-')}",
            "clinicalStatus": status,
            "verificationStatus": verified,
            "code": concept("http://hl7.org/fhir/sid/icd-10-cm", code, display),
            "subject": subject,
            "onsetDateTime": "2026-01-01",
        }
        for code, display in SOCIAL_CONDITIONS.items()
    ]
    return [*observations, *conditions]


@cache
def requests() -> tuple[tuple[str, str], ...]:
    """Return requests as text: every R4 sample, and every fourth scenario."""
    samples = [
        (path.parent.name, path.read_text(encoding="utf-8"))
        for path in sorted(fixtures_dir().rglob("request.json"))
        if not path.parent.name.endswith(("dstu2", "stu3", "r5"))
    ]
    scenarios = [(scenario.case, json.dumps(scenario.body)) for scenario in SCENARIOS[::4]]
    return tuple(
        (name, text) for name, text in [*samples, *scenarios] if _patient(json.loads(text)) is not None
    )


def _patient(body: Json) -> Json | None:
    """Return the Patient that a request brings, None without one."""
    for value in (body.get("prefetch") or {}).values():
        if isinstance(value, dict) and value.get("resourceType") == "Patient":
            return value
    return None


def send(body: Json) -> tuple[int, bytes]:
    reply = service_in("UTC").call(body)
    return reply.status, reply.raw


@cache
def unchanged(text: str) -> tuple[int, bytes]:
    return send(json.loads(text))


def differing(change: Callable[[Json, Json], None]) -> list[str]:
    """Return the requests whose answer changes."""
    found = []
    for name, text in requests():
        body = json.loads(text)
        patient = _patient(body)
        assert patient is not None
        change(body, patient)
        if send(body) != unchanged(text):
            found.append(name)
    return found


def test_there_are_requests_of_every_kind() -> None:
    answers = [unchanged(text) for _, text in requests()]
    assert len(answers) > 100
    topics = {
        card["source"]["topic"]["code"]
        for status, raw in answers
        if status == 200
        for card in json.loads(raw)["cards"]
    }
    assert len(topics) >= 15


@pytest.mark.parametrize("name", PATIENT_CHANGES)
def test_an_element_that_is_not_used_changes_no_answer(name: str) -> None:
    assert differing(lambda _, patient: PATIENT_CHANGES[name](patient)) == []


def test_all_of_them_together_change_no_answer() -> None:
    def change(_: Json, patient: Json) -> None:
        for one in PATIENT_CHANGES.values():
            one(patient)

    assert differing(change) == []


def _with(body: Json, patient: Json, resource_type: str) -> None:
    """Add what the record holds of social life to the list of its type, as a search could bring it."""
    added = [one for one in social_resources(patient["id"]) if one["resourceType"] == resource_type]
    key = {"Condition": "conditions", "Observation": "contextResults"}[resource_type]
    held = body["prefetch"].get(key)
    if isinstance(held, dict) and held.get("resourceType") == "Bundle":
        held["entry"] = [*held.get("entry", []), *({"resource": one} for one in added)]


@pytest.mark.parametrize("resource_type", ["Observation", "Condition"])
def test_findings_on_social_life_change_no_answer(resource_type: str) -> None:
    assert differing(lambda body, patient: _with(body, patient, resource_type)) == []


def test_generated_charts_answer_the_same_whoever_the_patient_is() -> None:
    random = Random(20261122)  # noqa: S311 - the same patients in every run
    names = list(PATIENT_CHANGES)
    for number in range(200):
        body = generated(random)
        answer = send(body)
        changed = json.loads(json.dumps(body))
        for name in random.sample(names, k=random.randint(1, 6)):
            PATIENT_CHANGES[name](changed["prefetch"]["patient"])
        if random.random() < 0.5:
            _with(changed, changed["prefetch"]["patient"], "Condition")
        assert send(changed) == answer, number


def generated(random: Random) -> Json:
    """Return a request with findings drawn at random."""
    record: list[Any] = ["RLS"] if random.random() < 0.7 else []
    if random.random() < 0.8:
        record.append({"ferritin": random.choice([12, 49, 50, 75, 76, 100, 120, 350])})
    if random.random() < 0.5:
        record.append({"TSAT": random.choice([10, 19, 20, 30, 46])})
    if random.random() < 0.4:
        record.append(
            {"takes": random.choice(["sertraline", "mirtazapine", "pramipexole", "ferrous sulfate"])}
        )
    if random.random() < 0.3:
        record.append({"diagnosis": random.choice(["N18.6", "N18.4", "E83.110", "M06.9"])})
    who = {
        "sex": random.choice(["female", "male", "other"]),
        "born": random.choice(["1970-01-01", "2015-05-05"]),
    }
    return hook_request(prefetch(record, of=who))


# ------------------------------------------------------------------------- what is used does change answers
def first_topic(record: list[Any], of: Mapping[str, Any]) -> str:
    cards = json.loads(send(hook_request(prefetch(record, of=of)))[1])["cards"]
    return str(cards[0]["source"]["topic"]["code"]) if cards else "none"


def used() -> Iterator[tuple[str, list[Any], Json, str]]:
    pregnant = {"pregnancy status": {"value": "pregnant", "date": "2026-11-10"}}
    low = ["RLS", {"ferritin": 60}]
    yield "an adult", low, {"born": "1970-01-01"}, "IRON04"
    yield "a child", low, {"born": "2015-01-01"}, "none"
    yield "of unknown age", low, {"born": None}, "IRON16"
    yield "pregnant", [*low, pregnant], {"born": "1996-01-01", "sex": "female"}, "IRON08"
    yield "recorded as male", [*low, pregnant], {"born": "1996-01-01", "sex": "male"}, "IRON04"
    yield "deceased", low, {"deceased": "2026-10-01"}, "none"


@pytest.mark.parametrize(("who", "record", "of", "topic"), list(used()), ids=[who for who, *_ in used()])
def test_birth_date_sex_and_death_are_used_as_the_attributes_say(
    who: str, record: list[Any], of: Json, topic: str
) -> None:
    assert first_topic(record, of) == topic, who


@pytest.mark.parametrize("resource_type", ["Observation", "Condition"])
def test_most_requests_take_what_is_added(resource_type: str) -> None:
    taken = 0
    for _, text in requests():
        body = json.loads(text)
        patient = _patient(body)
        assert patient is not None
        _with(body, patient, resource_type)
        taken += body != json.loads(text)
    assert taken > 60

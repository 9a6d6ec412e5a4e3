"""A record whose standard codes are replaced by local ones gets the same cards, once they are mapped back."""

import copy
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from cds_service.clinical.facts import Certainty
from cds_service.knowledge import load
from cds_service.knowledge.code_map import CodeKind
from cds_service.knowledge.code_map_file import target_name
from cds_service.knowledge.terminology import ATC, RXNORM
from cds_service.resources import fixtures_dir
from cds_service.settings import Settings
from tests.builders import FHIR_SERVER, Fact, Json, hook_request, prefetch
from tests.harness import Service, service_with
from tests.property.strategies import PATIENTS, RECORDS

TERMS = load().terminology
NAMES = sorted(path.parent.name for path in fixtures_dir().glob("*/request.json"))
FEWEST_WITH_CODES = 40
COLUMNS = ("kind", "system", "code", "target_system", "target_code")
LOCAL = "urn:oid:2.999.77"

Code = tuple[str, str]


def request_of(name: str) -> Json:
    body: Json = json.loads((fixtures_dir() / name / "request.json").read_text(encoding="utf-8"))
    return body


def kinds_of(system: str, code: str) -> list[CodeKind]:
    return [kind for kind in CodeKind if target_name(kind, system, code, TERMS) is not None]


def codings_in(value: Any) -> Iterator[Json]:
    """Yield every object with a system and a code, wherever it stands; never a Quantity."""
    if isinstance(value, dict):
        if (
            isinstance(value.get("system"), str)
            and isinstance(value.get("code"), str)
            and "value" not in value
        ):
            yield value
        for member in value.values():
            yield from codings_in(member)
    elif isinstance(value, list):
        for member in value:
            yield from codings_in(member)


def localised(body: Json) -> tuple[Json, set[Code]]:
    """Return the request in local codes, and the standard codes that it had."""
    made = copy.deepcopy(body)
    found: set[Code] = set()
    for coding in codings_in(made.get("prefetch")):
        standard = (TERMS.normalise_system(coding["system"]), coding["code"].strip())
        if kinds_of(*standard):
            found.add(standard)
            coding["system"], coding["code"] = local_of(standard)
    return made, found


def local_of(standard: Code) -> Code:
    system, code = standard
    return LOCAL, f"{system.rpartition('/')[2][:4]}-{code}"


def table_of(codes: set[Code]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(
        (kind.value, *local_of(standard), *standard)
        for standard in sorted(codes)
        for kind in kinds_of(*standard)
    )
    return text.getvalue()


def service_of(folder: Path, table: str | None) -> Service:
    """Return the service with one client, which has this map or none."""
    servers = sorted({request_of(name).get("fhirServer", FHIR_SERVER) for name in NAMES})
    entry = f"[[clients]]\nname = 'site'\nscreening = true\nfhir = {{ servers = {servers} }}\n"
    if table is not None:
        (folder / "codes.csv").write_text(table, encoding="utf-8")
        entry += "code_map = 'codes.csv'\n"
    (folder / "clients.toml").write_text(entry, encoding="utf-8")
    return service_with(Settings(clients=folder / "clients.toml"))


def everything() -> str:
    """Return the map of every code that the knowledge base reads, and of those of the sample patients."""
    codes = {standard for members in TERMS.codes.values() for standard in members}
    codes |= {(RXNORM, code) for code in TERMS.drugs.by_rxnorm} | {(ATC, code) for code in TERMS.drugs.by_atc}
    samples = (localised(request_of(name))[1] for name in NAMES)
    return table_of({standard for standard in codes if kinds_of(*standard)}.union(*samples))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Service, Service]:
    """The service with the map of everything, and the one without."""
    return (
        service_of(tmp_path_factory.mktemp("mapped"), everything()),
        service_of(tmp_path_factory.mktemp("plain"), None),
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_sample_patient_gets_the_same_answer_by_mapped_local_codes(
    pair: tuple[Service, Service], name: str
) -> None:
    mapped, plain = pair
    body = request_of(name)
    made, _ = localised(body)
    assert [c for c in codings_in(made.get("prefetch")) if kinds_of(c["system"], c["code"])] == []
    with_map, without = mapped.call(made), plain.call(body)
    assert (with_map.status, with_map.body) == (without.status, without.body)


def test_most_sample_patients_have_codes_to_replace() -> None:
    assert sum(bool(localised(request_of(name))[1]) for name in NAMES) >= FEWEST_WITH_CODES


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(record=RECORDS, of=PATIENTS)
def test_any_record_gets_the_same_answer_by_mapped_local_codes(
    pair: tuple[Service, Service], record: list[Fact], of: Json
) -> None:
    mapped, plain = pair
    body = hook_request(prefetch(record, of=of))
    made, _ = localised(body)
    assert mapped.call(made).raw == plain.call(body).raw


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(record=RECORDS, of=PATIENTS)
def test_a_map_changes_nothing_for_records_without_local_codes(
    pair: tuple[Service, Service], record: list[Fact], of: Json
) -> None:
    mapped, plain = pair
    body = hook_request(prefetch(record, of=of))
    assert mapped.call(body).raw == plain.call(body).raw


def test_what_only_the_map_told_is_marked_and_nothing_is_left_unmapped(pair: tuple[Service, Service]) -> None:
    mapped, _ = pair
    body = hook_request(prefetch(["RLS", {"ferritin": 40}, {"takes": "sertraline"}]))
    made, codes = localised(body)
    assert len(codes) == 3
    answer = mapped.view(made)
    facts = answer.facts
    told = [
        *(one.certainty for one in (*facts.results, *facts.conditions)),
        *(part.certainty for medicine in facts.medicines for part in medicine.ingredients),
    ]
    assert told == [Certainty.SITE_MAP] * 3
    assert answer.unmapped == ()

"""The examination of FHIR servers over the loopback: what it tells, what it never tells, how it ends."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cds_service.addresses import ServerAddress
from cds_service.cli import main
from cds_service.onboarding.doctor import access_findings
from cds_service.onboarding.findings import suggested_budget, time_findings
from cds_service.onboarding.report import TimePart
from cds_service.ports import FhirAccess
from cds_service.profile import ClientProfile
from tests.builders import Fact
from tests.downgrade import to_version
from tests.fakes.fhir_stub import FhirStub, Reply, Seen, fhir_stub, outcome
from tests.integration.charts import chart
from tests.unit.doctor_charts import (
    CANARIES,
    LOCAL,
    charts,
    condition,
    ferritin,
    local_ferritin,
    medicine,
    patient,
)

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
IDS = ("Zq7CANARY-one", "Zq7CANARY-two")
TOKEN = "Zq7CANARYtoken"  # noqa: S105 - of nobody
FACES = ["text", "json", "html"]


@pytest.fixture
def stub() -> Iterator[FhirStub]:
    with fhir_stub(charts(*IDS)) as running:
        yield running


def run(base: str, *arguments: str, stdin: str = "", **environment: str) -> Result:
    # A budget far above what a search takes, so that a busy machine changes no finding.
    env = {"RLS_CDS_AS_OF": "2026-11-22", "RLS_CDS_FHIR_BUDGET_MS": "30000", "COLUMNS": "120", **environment}
    return CliRunner().invoke(main, ["doctor", base, *arguments], env=env, input=stdin)


def examined(stub: FhirStub, *arguments: str, exit_code: int = 0, **environment: str) -> Json:
    result = run(stub.base, "--format", "json", *arguments, **environment)
    assert result.exit_code == exit_code, result.output
    found: Json = json.loads(result.stdout)
    return found


def told(report: Json, code: str, severity: str | None = None) -> list[str]:
    return [
        f"{one['text']} {one['fix']}"
        for one in report["findings"]
        if one["code"] == code and severity in {None, one["severity"]}
    ]


def row(report: Json, table: str, **members: Any) -> Json:
    (found,) = [one for one in report[table] if all(one[name] == value for name, value in members.items())]
    return dict(found)


# ---------------------------------------------------------------------------------------- a good server
def test_a_server_on_which_all_works(stub: FhirStub) -> None:
    report = examined(stub)
    assert report["format"] == "rls-cds-doctor/1"
    assert (report["patients"], report["foundBy"]) == (2, "2 with a ferritin on record, 0 others")
    assert report["server"]["version"] == "4.0.1"
    assert told(report, "search") == []
    assert [one["severity"] for one in report["findings"]] == ["note"] * len(report["findings"])
    assert {one["key"] for one in report["searches"] if one["byService"]} == {
        *("patient", "ironResults", "contextResults", "conditions", "medicationStatements"),
        *("medicationRequests", "ironTreatmentStatements", "ironTreatmentRequests", "ironAdministrations"),
        *("procedures", "allergies", "ironOrders", "familyHistory", "metabolicResults", "socialHistory"),
        *("sleepDuration", "deviceUse", "devices"),
    }
    assert row(report, "searches", key="ironResults")["statuses"] == {"200": 2}
    assert row(report, "searches", key="ironResults")["entries"] == 2
    counts = {"answered": 2, "cutOff": 0, "failed": 0, "notAsked": 0, "found": 2}
    assert row(report, "needs", need="ironResults") == {"need": "ironResults", **counts}
    assert {one["state"] for one in report["cards"]} == {"can come"}
    # Restless legs, ferritin 31 ng/mL and sertraline: low iron, and a medicine that worsens them.
    assert {one["card"]: one["patients"] for one in report["cards"] if one["patients"]} == {
        "IRON-03": 2,
        "DRUG-01": 2,
    }
    assert (report["noCard"], report["notAssessed"]) == (0, 0)
    counts = {"certainty": "by text", "entries": 2, "patients": 2}
    assert row(report, "read", kind="medicine") == {"kind": "medicine", "name": "sertraline", **counts}
    assert report["units"] == [{"analyte": "ferritin", "unit": "ng/mL", "understood": True, "entries": 2}]


def test_named_patients_are_tried_and_no_others(stub: FhirStub) -> None:
    report = examined(stub, "--patient", IDS[1])
    assert (report["patients"], report["foundBy"]) == (1, "named")
    assert not any(seen.parameters.get("patient") == IDS[0] for seen in stub.seen)


def test_so_many_patients_as_wanted_are_tried_first_those_with_a_ferritin(stub: FhirStub) -> None:
    stub.resources[:0] = [patient("p1"), patient("p2")]
    assert examined(stub, "--patients", "1")["foundBy"] == "1 with a ferritin on record, 0 others"
    assert examined(stub, "--patients", "3")["foundBy"] == "2 with a ferritin on record, 1 others"


def test_settings_can_be_copied(stub: FhirStub) -> None:
    settings = {one["name"]: one["text"] for one in examined(stub)["settings"]}
    assert settings["For the only client, in the environment"] == f"RLS_CDS_FHIR_ALLOW={stub.base}"
    assert f'servers = ["{stub.base}"]' in settings["Or an entry of the clients file"]
    assert "leave out" not in settings["Prefetch keys"]


def test_a_client_that_names_the_server_is_taken_and_not_told_to_name_it(
    stub: FhirStub, tmp_path: Path
) -> None:
    assert "The client default does not name this server" in told(examined(stub), "not-allowed")[0]
    clients = tmp_path / "clients.toml"
    clients.write_text(
        f'[[clients]]\nname = "north"\nscreening = false\n[clients.fhir]\nservers = ["{stub.base}"]\n',
        "utf-8",
    )
    report = examined(stub, RLS_CDS_CLIENTS=str(clients))
    assert report["client"] == "north"
    assert told(report, "not-allowed") == []
    assert row(report, "cards", card="SCREEN-01")["state"] == "switched off"
    assert examined(stub, "--client", "default", RLS_CDS_CLIENTS=str(clients))["client"] == "default"
    assert run(stub.base, "--client", "south", RLS_CDS_CLIENTS=str(clients)).exit_code == 2


# -------------------------------------------------------------------------------------------- local codes
def test_a_laboratory_with_a_local_code_is_named_and_mended_by_the_row(tmp_path: Path) -> None:
    with fhir_stub(charts(*IDS, result=local_ferritin)) as stub:
        report = examined(stub, exit_code=1)
        (problem,) = told(report, "local-code", "problem")
        assert f"Local laboratory code {LOCAL} | FERR looks like ferritin: 2 entries, 2 patients." in problem
        assert row(report, "unmapped", code="FERR")["targetCode"] == "2276-4"
        (ready,) = [one["text"] for one in report["settings"] if "code map" in one["name"]]
        assert ready.splitlines() == [
            "kind,system,code,target_system,target_code",
            f"laboratory,{LOCAL},FERR,http://loinc.org,2276-4",
        ]
        (tmp_path / "codes.csv").write_text(ready, "utf-8")
        clients = tmp_path / "clients.toml"
        entry = '[[clients]]\nname = "north"\nscreening = true\ncode_map = "codes.csv"\n[clients.fhir]\n'
        clients.write_text(f'{entry}servers = ["{stub.base}"]\n', "utf-8")
        mended = examined(stub, RLS_CDS_CLIENTS=str(clients))
    assert told(mended, "local-code") == told(mended, "no-ferritin") == mended["unmapped"] == []
    assert row(mended, "read", name="ferritin")["certainty"] == "by code (site map)"
    assert row(mended, "cards", card="IRON-03")["patients"] == 2


def test_the_target_follows_the_unit_of_the_results() -> None:
    def molar(identity: str) -> Json:
        return local_ferritin(identity, 60, unit="pmol/L")

    with fhir_stub(charts(*IDS, result=molar)) as stub:
        report = examined(stub, exit_code=1)
    assert row(report, "unmapped", code="FERR")["targetCode"] == "14723-1"


def test_a_local_code_that_nothing_recognises_is_shown_where_two_patients_carry_it() -> None:
    def nameless(identity: str, code: str = "X77") -> Json:
        made = local_ferritin(identity)
        made["code"] = {"coding": [{"system": LOCAL, "code": code, "display": "Zq7CANARYdisplay"}]}
        return made

    with fhir_stub(charts(*IDS, result=nameless)) as stub:
        stub.resources.append({**nameless(IDS[0], "ONCE"), "id": "once"})
        report = examined(stub)
    assert [(one["code"], one["entries"], one["patients"]) for one in report["unknownLaboratory"]] == [
        ("X77", 2, 2)
    ]
    assert "ONCE" not in json.dumps(report)
    assert told(report, "no-ferritin") != []


def test_a_medicine_by_words_is_a_note_and_not_a_problem(stub: FhirStub) -> None:
    local = {**medicine(IDS[0]), "id": "local-medicine"}
    local["medicationCodeableConcept"] = {
        "coding": [{"system": "urn:oid:2.999.36.1.2", "code": "8812"}],
        "text": "Sertraline",
    }
    stub.resources.append(local)
    report = examined(stub)
    assert len(told(report, "local-code", "note")) == 1
    assert row(report, "unmapped", code="8812")["looksLike"] == "sertraline"


def test_the_rows_of_every_kind_can_be_used_as_they_are(tmp_path: Path) -> None:
    def local(resource: Json, element: str, code: str, text: str) -> Json:
        return {**resource, element: {"coding": [{"system": LOCAL, "code": code}], "text": text}}

    order = {
        "resourceType": "ServiceRequest",
        "id": "order",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "authoredOn": "2026-11-20",
    }
    records = [
        patient("p1"),
        local(condition("p1"), "code", "P77", "Restless legs syndrome"),
        local_ferritin("p1"),
        local(medicine("p1"), "medicationCodeableConcept", "8812", "Sertraline 50 mg"),
        local(order, "code", "IRONP", "Iron panel"),
        local({**order, "id": "order-2"}, "code", "FE", "Ferritin"),
    ]
    with fhir_stub(records) as stub:
        report = examined(stub, exit_code=1)
        assert {(one["kind"], one["looksLike"], one["targetCode"]) for one in report["unmapped"]} >= {
            ("laboratory", "ferritin", "2276-4"),
            ("order", "iron panel", "50190-8"),
            ("order", "ferritin", "2276-4"),
        }
        (ready,) = [one["text"] for one in report["settings"] if "code map" in one["name"]]
        assert len(ready.splitlines()) == 6
        (tmp_path / "codes.csv").write_text(ready, "utf-8")
        clients = tmp_path / "clients.toml"
        entry = '[[clients]]\nname = "north"\ncode_map = "codes.csv"\n[clients.fhir]\n'
        clients.write_text(f'{entry}servers = ["{stub.base}"]\n', "utf-8")
        assert examined(stub, RLS_CDS_CLIENTS=str(clients))["unmapped"] == []


def test_units_that_are_not_understood_are_a_problem() -> None:
    with fhir_stub(charts(IDS[0])) as stub:
        stub.resources.append(ferritin(IDS[0], unit="mg/dL", number=2))
        stub.resources.append(ferritin(IDS[0], unit="Zq7CANARYunit", number=3))
        report = examined(stub, exit_code=1)
    assert {(one["unit"], one["understood"]) for one in report["units"]} == {
        ("ng/mL", True),
        ("mg/dL", False),
        ("(not shown)", False),
    }
    assert len(told(report, "unit", "problem")) == 2
    assert row(report, "unreadable", analyte="ferritin")["reason"] == "unit not understood"


# ------------------------------------------------------------------------------------ what does not work
def test_a_server_without_statements_is_told_with_the_key_to_leave_out(stub: FhirStub) -> None:
    stub.unknown_types = frozenset({"MedicationStatement"})
    report = examined(stub, exit_code=1)
    found = row(report, "searches", key="medicationStatements")
    assert found["problems"] == {"not found": 2}
    assert found["outcomes"] == {"error processing": 2}
    (problem,) = told(report, "search", "problem")
    assert problem.startswith(
        "MedicationStatement (medicationStatements, ironTreatmentStatements): not found, for 2 of 2 patients."
    )
    assert row(report, "needs", need="medicationStatements")["failed"] == 2
    assert row(report, "cards", card="DRUG-01")["missing"] == ["medicationStatements"]
    assert row(report, "cards", card="IRON-10")["state"] == "can come"
    (keys,) = [one["text"] for one in report["settings"] if one["name"] == "Prefetch keys"]
    assert keys.splitlines()[1] == "leave out: medicationStatements, ironTreatmentStatements"


def test_scopes_that_are_missing_are_told_for_the_type(stub: FhirStub) -> None:
    stub.behaviour = lambda seen: outcome(403) if seen.path.startswith("Condition") else None
    report = examined(stub, exit_code=1)
    assert "Let the token of the calls read Condition" in told(report, "search", "problem")[0]
    assert row(report, "searches", key="conditions")["statuses"] == {"403": 2}
    assert row(report, "cards", card="IRON-03")["state"] == "limited"


def test_without_iron_results_no_card_can_come(stub: FhirStub) -> None:
    def refuse(seen: Seen) -> Reply | None:
        return outcome(403) if seen.path.startswith("Observation") and "patient" in seen.parameters else None

    stub.behaviour = refuse
    report = examined(stub, exit_code=1)
    states = {one["card"]: one["state"] for one in report["cards"]}
    assert states.pop("DATA-01") == "can come"
    assert set(states.values()) == {"cannot come"}
    assert row(report, "cards", card="DATA-01")["patients"] == 2


def test_patients_who_cannot_be_assessed_are_counted(stub: FhirStub) -> None:
    report = examined(stub, "--patient", IDS[0], "--patient", "nobody", exit_code=1)
    assert report["notAssessed"] == 1
    assert "Such a patient is not on this server." in told(report, "search", "problem")[0]
    (problem,) = told(report, "not-assessed", "problem")
    assert problem.startswith("1 of 2 patients could not be assessed at all (412).")


def test_a_slow_server_is_told_with_a_budget_that_would_do(stub: FhirStub) -> None:
    stub.latency = 0.12
    report = examined(stub, exit_code=1, RLS_CDS_FHIR_BUDGET_MS="100")
    assert report["time"]["overBudget"] == 2
    assert report["time"]["maxMs"] >= 120
    (problem,) = told(report, "slow", "problem")
    wanted = int(re.findall(r"Set budget_ms to (\d+)", problem)[0])
    assert wanted >= report["time"]["maxMs"] * 1.5
    assert f"budget_ms = {wanted}" in "".join(one["text"] for one in report["settings"])
    assert row(report, "searches", key="patient")["medianMs"] >= 120


def test_pages_are_counted(stub: FhirStub) -> None:
    stub.page_size = 2
    stub.resources += [ferritin(IDS[0], number=number) for number in range(2, 6)]
    report = examined(stub)
    assert row(report, "searches", key="ironResults")["mostPages"] == 3
    assert row(report, "searches", key="ironResults")["entries"] == 6


def test_a_search_that_has_to_be_posted_is_a_note(stub: FhirStub) -> None:
    def refuse(seen: Seen) -> Reply | None:
        return Reply(414) if seen.method == "GET" and len(seen.target) > 300 else None

    stub.behaviour = refuse
    report = examined(stub)
    assert row(report, "searches", key="ironResults")["fallbacks"] == {"posted to _search": 2}
    assert row(report, "searches", key="ironResults")["statuses"] == {"200": 2, "414": 2}
    keys = "ironResults, contextResults, metabolicResults"
    assert told(report, "fallback") == [f"Not answered at the first try, then posted to _search: {keys}. "]


def test_a_sort_order_that_is_refused_is_a_note(stub: FhirStub) -> None:
    stub.behaviour = lambda seen: (
        outcome(400) if seen.path == "Procedure" and "_sort" in seen.parameters else None
    )
    report = examined(stub)
    found = row(report, "searches", key="procedures")
    assert (found["fallbacks"], found["problems"]) == ({"without a sort order": 2}, {})
    assert found["outcomes"] == {"error processing": 2}


def test_a_server_that_is_busy_once_is_a_note(stub: FhirStub) -> None:
    busy: set[str] = set()

    def once(seen: Seen) -> Reply | None:
        if seen.path != "Procedure" or seen.parameters["patient"] in busy:
            return None
        busy.add(seen.parameters["patient"])
        return Reply(503)

    stub.behaviour = once
    report = examined(stub)
    assert row(report, "searches", key="procedures")["fallbacks"] == {
        "asked a second time, the server being busy": 2
    }


@pytest.mark.parametrize(
    ("release", "version", "searched"),
    [
        ("DSTU2", "1.0.2", {"medicationRequests": "MedicationOrder", "ironOrders": "DiagnosticOrder"}),
        ("STU3", "3.0.2", {"ironOrders": "ProcedureRequest"}),
        ("R5", "5.0.0", {}),
    ],
)
def test_other_releases_are_asked_in_their_words(release: str, version: str, searched: Json) -> None:
    records = [to_version(one, release) for one in charts(*IDS)]
    unknown = {"DSTU2": {"MedicationRequest", "ServiceRequest"}, "STU3": {"ServiceRequest"}, "R5": set()}
    with fhir_stub(records, fhir_version=version, unknown_types=frozenset(unknown[release])) as stub:
        report = examined(stub)
    assert report["server"]["release"] == report["validation"]["release"] == release
    for key, resource_type in searched.items():
        assert row(report, "searches", key=key)["query"].startswith(f"{resource_type}?patient=")
        assert f"asked as {resource_type}" in row(report, "searches", key=key)["fallbacks"]
    (queries,) = [one["text"] for one in report["settings"] if "words of this release" in one["name"]]
    assert all(f"{key}: {resource_type}?" in queries for key, resource_type in searched.items())
    assert row(report, "cards", card="IRON-03")["patients"] == 2
    assert row(report, "cards", card="DRUG-01")["patients"] == 2


def test_a_release_that_is_not_read_is_a_problem(stub: FhirStub) -> None:
    stub.fhir_version = "6.0.0"
    report = examined(stub, exit_code=1)
    assert told(report, "release", "problem") == [
        "The server speaks FHIR 6.0.0, which is not read. R4, R4B, R5, STU3 and DSTU2 are read."
    ]
    assert report["validation"]["release"] == ""


def test_a_server_that_does_not_tell_its_release_is_read_all_the_same(stub: FhirStub) -> None:
    stub.fhir_version = None
    report = examined(stub)
    assert "(not found); the records look like R4" in told(report, "release", "note")[0]
    assert report["validation"]["release"] == "R4"


def test_everything_is_validated_in_full(stub: FhirStub) -> None:
    stub.resources.append({**condition(IDS[0], 2), "Zq7CANARYelement": 1, "onsetDateTime": "2931-07 x"})
    report = examined(stub)
    found = report["validation"]
    assert found["resources"] - found["valid"] == 1
    assert {(one["resourceType"], one["fault"], one["count"]) for one in found["faults"]} == {
        ("Condition", "(any): element that FHIR does not know", 1),
        ("Condition", "onsetDateTime: value error", 1),
    }


def test_what_a_server_declares_stands_beside_what_it_does(stub: FhirStub) -> None:
    statement = {
        "resourceType": "CapabilityStatement",
        "fhirVersion": "4.0.1",
        "software": {"name": "Stub", "version": "7"},
        "format": ["json", "<b>"],
        "rest": [
            {
                "resource": [
                    {"type": "Condition", "interaction": [{"code": "search-type"}]},
                    {"type": "Procedure", "interaction": [{"code": "read"}]},
                ]
            }
        ],
    }
    body = json.dumps(statement).encode()
    stub.behaviour = lambda seen: Reply(body=body) if seen.path == "metadata" else None
    report = examined(stub)
    assert (report["server"]["software"], report["server"]["formats"]) == ("Stub 7", ["json"])
    declared = {one["key"]: one["declared"] for one in report["searches"]}
    assert (declared["conditions"], declared["procedures"], declared["allergies"]) == (
        "yes",
        "no search",
        "no",
    )


# ------------------------------------------------------------------------------------------------ the end
@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (outcome(401), "The server refuses access (401) and no token was given (--token-file)."),
        (outcome(403), "The server refuses access (403) and no token was given (--token-file)."),
        (
            Reply(body=b"<html>", content_type="text/html"),
            "The server answers with a web page (text/html), not FHIR: is this the FHIR base address?",
        ),
        (Reply(body=b"{}", content_type="text/plain"), "something else than FHIR (text/plain)."),
        (
            Reply(body=b'{"hello": 1}'),
            "The server answers with something else than FHIR (application/fhir+json).",
        ),
        (Reply(body=b"[1]"), "The server answers with something else than FHIR"),
        (Reply(302, headers={"Location": "/other"}), "The server redirects; no redirect is followed."),
        (Reply(500), "The server could not be asked: search not answered."),
        (Reply(is_hung_up=True, body=b"{}" * 50), "No connection to the server"),
    ],
)
def test_a_server_that_cannot_be_examined_is_exit_code_2(
    stub: FhirStub, answer: Reply, sentence: str
) -> None:
    stub.behaviour = lambda _seen: answer
    for arguments in ((), ("--patient", IDS[0])):
        result = run(stub.base, *arguments)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert sentence in result.stderr


def test_a_token_that_is_refused_is_told_without_it(stub: FhirStub, tmp_path: Path) -> None:
    stub.token = "another"  # noqa: S105 - of nobody
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n", "utf-8")
    result = run(stub.base, "--token-file", str(file))
    assert result.exit_code == 2
    assert "The server does not accept the token (401)" in result.output
    stub.behaviour = lambda _seen: outcome(403)
    stub.token = None
    result = run(stub.base, "--token-file", str(file))
    assert "The token does not allow this (403)" in result.output
    assert TOKEN not in result.output


def test_a_server_without_patients_asks_for_some(stub: FhirStub) -> None:
    stub.resources.clear()
    result = run(stub.base)
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: The server offers no patients to try. Name some with --patient.\n",
    )


def test_a_server_that_refuses_to_search_for_patients_asks_for_names(stub: FhirStub) -> None:
    stub.behaviour = lambda seen: (
        outcome(400) if "patient" not in seen.parameters and "/" not in seen.path else None
    )
    result = run(stub.base)
    assert result.exit_code == 2
    assert "Name some with --patient." in result.stderr
    stub.behaviour = lambda _seen: None
    assert run(stub.base, "--patient", IDS[0]).exit_code == 0


@pytest.mark.parametrize(
    ("base", "sentence"),
    [
        ("ehr.example.org/fhir", "FHIR_BASE_URL must be an address"),
        ("http://127.0.0.1:1/fhir", "No connection to the server"),
        ("http://169.254.169.254/fhir", "an address that is never called"),
    ],
)
def test_an_address_that_cannot_be_asked_is_exit_code_2(base: str, sentence: str) -> None:
    result = run(base)
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_a_patient_that_is_no_id_is_exit_code_2(stub: FhirStub) -> None:
    result = run(stub.base, "--patient", "Patient/1")
    assert result.exit_code == 2
    assert "--patient takes the id of a Patient" in result.stderr


# ---------------------------------------------------------------------------------------------- the token
def test_the_token_comes_from_a_file_standard_input_or_the_environment(
    stub: FhirStub, tmp_path: Path
) -> None:
    stub.token = TOKEN
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n", "utf-8")
    for result in (
        run(stub.base, "--token-file", str(file)),
        run(stub.base, "--token-file", "-", stdin=f"{TOKEN}\n"),
        run(stub.base, RLS_CDS_DOCTOR_TOKEN=TOKEN),
    ):
        assert result.exit_code == 0, result.output
        assert TOKEN not in result.output
        assert "no-token" not in result.output


@pytest.mark.parametrize("text", ["", "Bearer abc", "a\nb", "ä"])
def test_a_token_file_that_holds_no_token_is_exit_code_2(stub: FhirStub, tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text, "utf-8")
    result = run(stub.base, "--token-file", str(file))
    assert (result.exit_code, stub.seen) == (2, [])
    assert result.stderr == "Error: The token must be one word, without the word Bearer before it\n"


def test_a_token_file_that_is_no_text_is_exit_code_2(stub: FhirStub, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"\xff\xfe")
    assert "not a text file" in run(stub.base, "--token-file", str(file)).stderr


# --------------------------------------------------------------------------------------------- the report
@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("result", [ferritin, local_ferritin])
def test_nothing_of_a_record_is_in_a_report(face: str, result: Any) -> None:
    with fhir_stub(charts(*IDS, result=result)) as stub:
        stub.resources += [
            {**condition(IDS[0], 3), "code": {"text": "Restless legs Zq7CANARYtext"}},
            {**condition(IDS[0], 4), "Zq7CANARYelement": {"Zq7CANARYinner": 1}},
            {**ferritin(IDS[0], number=9), "valueQuantity": {"value": "Zq7CANARYvalue"}},
            {**ferritin(IDS[0], number=10), "status": "Zq7CANARYstatus"},
            {**ferritin(IDS[0], number=11), "effectiveDateTime": "Zq7CANARYday"},
            {
                **medicine(IDS[0]),
                "id": "Zq7CANARYid",
                "medicationReference": {"reference": "Medication/Zq7CANARY"},
            },
        ]
        output = run(stub.base, "--format", face).output
    assert len(output) > 3000
    for canary in CANARIES:
        assert canary not in output


def test_the_address_of_another_server_in_a_record_is_not_told(stub: FhirStub) -> None:
    stub.resources.append(
        {**ferritin(IDS[0], number=5), "subject": {"reference": "https://Zq7CANARY.example.org/Patient/x"}}
    )
    assert "CANARY" not in run(stub.base).output


@pytest.mark.parametrize(
    ("face", "begins"), [("text", "FHIR server examined: "), ("html", "<!DOCTYPE html>")]
)
def test_a_report_goes_to_a_file(stub: FhirStub, tmp_path: Path, face: str, begins: str) -> None:
    out = tmp_path / "report"
    result = run(stub.base, "--format", face, "--out", str(out))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"Report written to {out}.\n"
    assert out.read_text("utf-8").startswith(begins)
    assert "--out:" in run(stub.base, "--out", str(tmp_path / "none" / "report")).stderr


@pytest.mark.parametrize("width", ["80", "120"])
def test_the_text_keeps_to_the_width_but_for_lines_to_copy(stub: FhirStub, width: str) -> None:
    stub.unknown_types = frozenset({"MedicationStatement"})
    output = run(stub.base, COLUMNS=width).stdout
    long = [line for line in output.splitlines() if len(line) > int(width)]
    assert all(
        re.match(r"[A-Z][A-Za-z]+\?patient=|configure: |servers = |screening = ", line) for line in long
    )


def test_every_finding_is_in_every_face(stub: FhirStub) -> None:
    stub.unknown_types = frozenset({"MedicationStatement"})
    report = examined(stub, exit_code=1)
    text = " ".join(run(stub.base).stdout.split())
    page = run(stub.base, "--format", "html").stdout
    for one in report["findings"]:
        assert one["text"] in text
        assert one["text"] in page
    assert "<p>1 problem found. " in page
    assert not re.search(r"<script|src=|<link|url\(", page)


def test_problems_are_exit_code_1_and_the_report_comes_all_the_same(stub: FhirStub) -> None:
    stub.unknown_types = frozenset({"Procedure"})
    result = run(stub.base)
    assert result.exit_code == 1
    assert result.stdout.startswith("FHIR server examined: ")
    assert result.stderr == "Error: 1 problem found\n"


# ------------------------------------------------------------------------------------------ rich records
def test_every_kind_of_record_is_told_in_words_of_the_knowledge_base() -> None:
    facts: list[Fact] = [
        "RLS",
        {"ferritin": 60},
        {"haemoglobin": 13},
        {"takes": {"drug": "sertraline"}},
        {"prescribed": {"drug": "ferrous sulfate", "status": "completed"}},
        {"given": {"drug": "ferric carboxymaltose", "date": "2026-01-05"}},
        {"procedure": {"snomed": "265764009", "date": "2026-10-05"}},
        {"allergy": {"drug": "ferrous sulfate"}},
        {"order": {"test": "ferritin", "authored": "2026-11-20"}},
        {"family": {"relation": "mother"}},
        {"TSH": 3},
        {"smoking": "former smoker"},
        {"slept": [7]},
        {"device": {"snomed": "702172008"}},
        {"device use": {"displayed": "CPAP"}},
    ]
    with fhir_stub(chart("p1", facts)) as stub:
        report = examined(stub)
    found = {(one["kind"], one["name"]) for one in report["read"]}
    assert found >= {
        ("result", "ferritin"),
        ("result", "haemoglobin"),
        ("condition", "rls"),
        ("medicine", "sertraline"),
        ("procedure", "dialysis_procedure"),
        ("allergy", "iron"),
        ("order", "iron test"),
        ("relative", "rls"),
        ("device", "positive_airway_pressure"),
    }
    assert all(one["found"] == 1 for one in report["needs"] if one["need"] != "medicationRequests")
    known = {(one["resourceType"], one["codes"], one["known"]) for one in report["codeSystems"]}
    assert known >= {("Procedure", 1, 1), ("ServiceRequest", 1, 1), ("AllergyIntolerance", 1, 1)}
    assert report["validation"]["valid"] == report["validation"]["resources"]


def test_medicines_without_a_name_and_broken_entries_are_counted(stub: FhirStub) -> None:
    nameless = {**medicine(IDS[0]), "id": "m2", "medicationReference": {"reference": "Medication/gone"}}
    del nameless["medicationCodeableConcept"]
    broken = {**condition(IDS[0], 5), "code": "Zq7CANARY"}
    odd = {**ferritin(IDS[1], number=6), "valueQuantity": {"value": 20}}
    odd["code"] = {
        "coding": [{"system": "Zq7 CANARY", "code": "Zq7 CANARY"}, {"system": LOCAL}],
        "text": "Iron",
    }
    stub.resources += [nameless, broken, odd]
    report = examined(stub, exit_code=1)
    assert report["unreadableMedicines"] == 1
    assert told(report, "medicines")[0].startswith("1 current medicines have no readable name.")
    assert told(report, "medications")[0].startswith("1 medicines refer to a Medication")
    assert told(report, "unusable-resources")[0].startswith("1 resources could not be used as they are")
    assert row(report, "unmapped", looksLike="iron")["code"] == ""
    assert "iron: unit (none) was not understood" in told(report, "unit")[0]
    text = run(stub.base).stdout
    assert "a code that is not shown looks like iron" in text
    assert "CANARY" not in text


@pytest.mark.parametrize(
    ("most", "severities", "budget"),
    [
        (1000, [], 2000),
        (1001, ["note"], 2000),
        (2000, ["note"], 3000),
        (2001, ["problem"], 3100),
        (29_000, ["problem"], 30_000),
    ],
)
def test_time_is_judged_by_the_budget(most: int, severities: list[str], budget: int) -> None:
    time = TimePart(budget_ms=2000, median_ms=10, max_ms=most, over_budget=int(most > 2000))
    assert [one.severity for one in time_findings(time, 3)] == severities
    assert suggested_budget(time) == budget


def test_a_search_that_is_refused_as_a_form_is_asked_by_get(stub: FhirStub) -> None:
    # Long codes make the search of the iron results too long for an address.
    stub.behaviour = lambda seen: outcome(405) if seen.method == "POST" else None
    for number in range(120):
        stub.resources.append(
            {
                **medicine(IDS[0]),
                "id": f"m{number}",
                "medicationReference": {"reference": f"Medication/{number:064}"},
            }
        )
    report = examined(stub)
    found = row(report, "searches", key="referenced medications")
    assert found["fallbacks"] == {"asked by GET, _search being refused": 1}
    assert found["query"] == "Medication?_id=(100 ids)&_count=100"


def test_plain_http_is_told_where_the_service_would_not_ask() -> None:
    address = ServerAddress("http", "ehr.example.org", 80, "/fhir")
    profile = ClientProfile(name="north", is_screening_on=False)
    doctor = SimpleNamespace(access=FhirAccess(address, "token"), profile=profile)
    found = {one.code: one.severity for one in access_findings(doctor)}
    assert found == {"http": "problem", "not-allowed": "note"}


def test_the_schema_describes_what_comes(stub: FhirStub) -> None:
    report = examined(stub)
    schema = json.loads((ROOT / "docs" / "doctor.schema.json").read_text("utf-8"))
    definition = schema["$defs"]["Report"]
    assert set(definition["properties"]) == set(report)
    assert set(definition["required"]) == set(report)

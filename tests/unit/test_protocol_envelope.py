"""The envelope: what a call must hold, what is tolerated, and that no message repeats a value."""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.protocol.envelope import (
    EPIC_FHIR_VERSION,
    LONGEST_ID,
    HookRequest,
    parse_hook_request,
)
from cds_service.protocol.errors import BadRequest
from cds_service.protocol.jsonio import MAX_VALUES

CANARY = "Zq7CANARYx"
TOKEN = f"token-{CANARY}"

VALID: dict[str, Any] = {
    "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
    "hook": "patient-view",
    "fhirServer": "https://ehr.example.org/fhir/",
    "fhirAuthorization": {
        "access_token": TOKEN,
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "Observation.Read (Labs) (R4)",
        "subject": "rls-service",
        "patient": "p1",
    },
    "context": {"userId": "Practitioner/u1", "patientId": "p1", "encounterId": "e1"},
    "prefetch": {"patient": {"resourceType": "Patient", "id": "p1"}},
}


def record_of(call: HookRequest) -> bytes | None:
    return None if call.prefetch is None else bytes(call.prefetch)


def parse(value: object) -> HookRequest:
    return parse_hook_request(json.dumps(value).encode(), expected_hook="patient-view")


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    value = deepcopy(VALID)
    change(value)
    return value


def test_a_complete_request_is_read() -> None:
    call = parse(VALID)
    assert call.hook == "patient-view"
    assert call.hook_instance == VALID["hookInstance"]
    assert (call.patient_id, call.user_id, call.encounter_id) == ("p1", "Practitioner/u1", "e1")
    assert call.fhir_server == "https://ehr.example.org/fhir/"
    assert call.prefetch is not None
    assert json.loads(bytes(call.prefetch)) == VALID["prefetch"]
    authorization = call.fhir_authorization
    assert authorization is not None
    assert (authorization.access_token, authorization.expires_in) == (TOKEN, 300)
    assert (authorization.subject, authorization.patient) == ("rls-service", "p1")
    assert call.version_hint is None


@pytest.mark.parametrize(("patient", "is_for_another"), [("p1", False), ("p2", True)])
def test_access_for_another_patient_is_none_and_is_told(patient: str, is_for_another: bool) -> None:
    call = parse(changed(lambda body: body["fhirAuthorization"].update(patient=patient)))
    assert call.is_access_for_another is is_for_another
    assert (call.fhir_authorization is None) is is_for_another


def test_no_access_at_all_is_not_access_for_another() -> None:
    call = parse(changed(lambda body: body.pop("fhirAuthorization")))
    assert (call.fhir_authorization, call.is_access_for_another) == (None, False)


def test_the_token_is_not_shown() -> None:
    assert CANARY not in repr(parse(VALID))


@pytest.mark.parametrize("name", ["hook", "hookInstance"])
@pytest.mark.parametrize("value", [None, 7, "", "  ", [], {}, True])
def test_required_members_are_strings_that_are_not_empty(name: str, value: object) -> None:
    with pytest.raises(BadRequest, match=name):
        parse(changed(lambda body: body.update({name: value})))


@pytest.mark.parametrize("name", ["patientId", "userId"])
@pytest.mark.parametrize("value", [None, 7, "", "  ", ["p1"], {}])
def test_required_context_fields_are_strings_that_are_not_empty(name: str, value: object) -> None:
    with pytest.raises(BadRequest, match=rf"context\.{name}"):
        parse(changed(lambda body: body["context"].update({name: value})))


@pytest.mark.parametrize("name", ["hook", "hookInstance", "context"])
def test_a_missing_member_is_named(name: str) -> None:
    with pytest.raises(BadRequest, match=rf"^{name} is required\.$") as caught:
        parse(changed(lambda body: body.pop(name)))
    assert caught.value.code == "required"


@pytest.mark.parametrize("context", [[], "p1", 3, True])
def test_the_context_is_an_object(context: object) -> None:
    with pytest.raises(BadRequest, match="context must be an object"):
        parse(changed(lambda body: body.update(context=context)))


def test_another_hook_is_refused_and_the_right_one_named() -> None:
    with pytest.raises(BadRequest, match="hook must be patient-view") as caught:
        parse(changed(lambda body: body.update(hook="order-sign")))
    assert caught.value.code == "value"


@pytest.mark.parametrize("value", ["D1577C69-DFBE-44AD-BA6D-3E05E953B2EA", "42", "not a uuid", "ä"])
def test_any_hook_instance_is_taken(value: str) -> None:
    assert parse(changed(lambda body: body.update(hookInstance=value))).hook_instance == value


@pytest.mark.parametrize(
    "user", ["Practitioner/a", "PractitionerRole/1", "Patient/1", "RelatedPerson/2", "abc"]
)
def test_any_user_is_taken(user: str) -> None:
    assert parse(changed(lambda body: body["context"].update(userId=user))).user_id == user


@pytest.mark.parametrize("value", [None, ""])
def test_an_optional_field_may_be_null_or_empty(value: object) -> None:
    call = parse(changed(lambda body: body["context"].update(encounterId=value)))
    assert call.encounter_id is None


@pytest.mark.parametrize(
    "name", ["hookInstance", "context.patientId", "context.userId", "context.encounterId"]
)
def test_an_identifier_has_a_bounded_length(name: str) -> None:
    def set_to(body: dict[str, Any], value: str) -> None:
        holder, _, member = name.rpartition(".")
        (body[holder] if holder else body)[member] = value

    longest = "é" * LONGEST_ID
    read = parse(changed(lambda body: set_to(body, longest)))
    assert longest in {read.hook_instance, read.patient_id, read.user_id, read.encounter_id}
    with pytest.raises(BadRequest, match=f"^{name} has more than 1024 characters") as caught:
        parse(changed(lambda body: set_to(body, longest + "x")))
    assert caught.value.code == "value"


def test_an_optional_field_of_another_type_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"^context\.encounterId must be a string\.$"):
        parse(changed(lambda body: body["context"].update(encounterId=5)))
    with pytest.raises(BadRequest, match=r"^fhirServer must be a string\.$"):
        parse(changed(lambda body: body.update(fhirServer=["https://ehr.example.org"])))


def test_unknown_members_are_ignored() -> None:
    value = changed(lambda body: body.update(user="u", redirect="https://x.example.org", patient=[1]))
    value["context"]["selections"] = [{"a": 1}]
    value["fhirAuthorization"]["extra"] = True
    assert parse(value).patient_id == "p1"


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"", b"{", b'{"a": NaN}', b"\xff"])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_hook_request(body, expected_hook="patient-view")
    assert caught.value.code == "structure"


def test_members_in_any_order_give_the_same_request() -> None:
    backwards = {name: VALID[name] for name in reversed(VALID)}
    assert parse(backwards) == parse(VALID)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"hook": "patient-view", "hook": "patient-view"}', "the request"),
        (b'{"prefetch": {"a": 1}, "prefetch": {"a": 1}, "hook": "patient-view"}', "the request"),
        (b'{"hook": "patient-view", "context": {"patientId": "1", "patientId": "1"}}', "context"),
        (b'{"hook": "patient-view", "context": {"patientId": "1", "patient\\u0049d": "1"}}', "context"),
        (
            b'{"hook": "patient-view", "hookInstance": "1", "context": {"patientId": "1", "userId": "u"}, %s'
            % b'"fhirAuthorization": {"access_token": "a", "access_token": "b"}}',
            "fhirAuthorization",
        ),
    ],
)
def test_a_repeated_member_is_refused(body: bytes, where: str) -> None:
    with pytest.raises(BadRequest, match=f"A member of {where} is repeated"):
        parse_hook_request(body, expected_hook="patient-view")


def test_repeated_members_below_that_are_not_the_envelope_s_affair() -> None:
    body = (
        b'{"hook": "patient-view", "hookInstance": "1", "extension": {"a": {"b": 1, "b": 2}},'
        b' "context": {"patientId": "1", "userId": "u", "draftOrders": {"id": "1", "id": "2"}},'
        b' "prefetch": {"patient": {"id": "1", "id": "2"}}}'
    )
    call = parse_hook_request(body, expected_hook="patient-view")
    assert record_of(call) == b'{"patient": {"id": "1", "id": "2"}}'


@pytest.mark.parametrize("size", [0, 2000])
@pytest.mark.parametrize("is_first", [True, False])
def test_the_record_is_handed_on_byte_for_byte(size: int, *, is_first: bool) -> None:
    raw = b'{ "x" :"' + b"y" * size + b'"  }'
    rest = b'"hook":"patient-view","hookInstance":"1","context":{"patientId":"1","userId":"u"}'
    member = b'"prefetch" : ' + raw
    body = b"{" + (member + b"," + rest if is_first else rest + b"," + member) + b"}"
    assert record_of(parse_hook_request(body, expected_hook="patient-view")) == raw


@pytest.mark.parametrize(
    "before",
    [
        b'"extension": {"prefetch": %s}',
        b'"extension": {"a": [{"x": {"prefetch":%s}}]}',
        b'"extension": {"other": %s, "prefetch": 3}',
        # what begins alike, and what ends alike
        b'"extension": {"prefetch": {"x":"' + b"y" * 300 + b'"}, "other": %s}',
        b'"extension": {"prefetch": [' + b'"y",' * 500 + b'{"x":"' + b"y" * 300 + b'"}], "other": %s}',
    ],
)
def test_a_copy_of_the_record_elsewhere_changes_nothing(before: bytes) -> None:
    raw = b'{"x":"' + b"y" * 2000 + b'"}'
    rest = b'"hook":"patient-view","hookInstance":"1","context":{"patientId":"1","userId":"u"}'
    body = b"{" + before % raw + b"," + rest + b',"prefetch":' + raw + b"}"
    assert record_of(parse_hook_request(body, expected_hook="patient-view")) == raw


@pytest.mark.parametrize("before", [b"", b'"extension":{"prefetch":"' + b"y" * 2000 + b'"},'])
def test_a_record_of_any_number_of_values_is_taken_since_it_is_not_decoded_here(before: bytes) -> None:
    raw = b'{"x":[' + b"0," * MAX_VALUES + b"0]}"
    rest = b'"hook":"patient-view","hookInstance":"1","context":{"patientId":"1","userId":"u"}'
    body = b"{" + before + b'"prefetch" : ' + raw + b"," + rest + b"}"
    assert record_of(parse_hook_request(body, expected_hook="patient-view")) == raw


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (b'{"x": "\xff"}', "The body is not valid UTF-8."),
        (
            b'{"x": ' + b"[" * 63 + b"]" * 63 + b"}",
            "The body is nested deeper than 64 levels or its brackets do not match.",
        ),
    ],
)
def test_the_record_is_not_decoded_but_its_letters_and_depth_are_checked(record: bytes, told: str) -> None:
    body = b'{"hook":"patient-view","hookInstance":"1","context":{"patientId":"1","userId":"u"},"prefetch":'
    with pytest.raises(BadRequest, match=f"^{re.escape(told)}$"):
        parse_hook_request(body + record + b"}", expected_hook="patient-view")


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null"])
def test_json_that_is_no_object_is_told_as_such(body: bytes) -> None:
    with pytest.raises(BadRequest, match=r"^The body is not a JSON object\.$"):
        parse_hook_request(body, expected_hook="patient-view")


def test_the_extension_has_the_name_that_epic_gave_it() -> None:
    assert EPIC_FHIR_VERSION == "com.epic.cdshooks.request.fhir-version"


def test_an_escaped_member_name_is_the_same_member() -> None:
    raw = b'{"x":"' + b"y" * 2000 + b'"}'
    rest = b'"hook":"patient-view","hookInstance":"1","context":{"patientId":"1","userId":"u"}'
    body = b"{" + rest + b',"pre\\u0066etch":' + raw + b"}"
    assert record_of(parse_hook_request(body, expected_hook="patient-view")) == raw


def test_no_prefetch_and_null_are_the_same() -> None:
    assert parse(changed(lambda body: body.pop("prefetch"))).prefetch is None
    assert parse(changed(lambda body: body.update(prefetch=None))).prefetch is None
    assert record_of(parse(changed(lambda body: body.update(prefetch={})))) == b"{}"


@pytest.mark.parametrize("value", [[], "x", 1, False])
def test_prefetch_is_an_object(value: object) -> None:
    with pytest.raises(BadRequest, match="prefetch must be an object"):
        parse(changed(lambda body: body.update(prefetch=value)))


@pytest.mark.parametrize("server", [None, ""])
def test_an_authorization_needs_a_server(server: object) -> None:
    with pytest.raises(BadRequest, match="fhirServer is required"):
        parse(changed(lambda body: body.update(fhirServer=server)))


@pytest.mark.parametrize("value", ["x", 1, []])
def test_an_authorization_is_an_object(value: object) -> None:
    with pytest.raises(BadRequest, match="fhirAuthorization must be an object"):
        parse(changed(lambda body: body.update(fhirAuthorization=value)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("access_token", None),
        ("access_token", ""),
        ("token_type", "mac"),
        ("token_type", None),
        ("expires_in", "soon"),
        ("expires_in", True),
        ("expires_in", []),
        ("expires_in", float("1e400")),
        ("scope", 5),
        ("subject", 5),
        ("patient", 5),
    ],
)
def test_a_wrong_authorization_is_refused(name: str, value: object) -> None:
    body = json.dumps(changed(lambda body: body["fhirAuthorization"].update({name: value})))
    with pytest.raises(BadRequest, match=rf"^fhirAuthorization\.{name} (?:must be|is required)"):
        parse_hook_request(body.replace("Infinity", "1e400").encode(), expected_hook="patient-view")


@pytest.mark.parametrize(
    ("sent", "read"), [(300, 300), ("300", 300), (299.7, 299), (0, 0), (-5, -5), (None, None)]
)
def test_the_lifetime_of_a_token_is_read_leniently(sent: object, read: int | None) -> None:
    authorization = parse(
        changed(lambda body: body["fhirAuthorization"].update(expires_in=sent))
    ).fhir_authorization
    assert authorization is not None
    assert authorization.expires_in == read


def test_scope_and_subject_may_be_missing_and_bearer_in_any_case() -> None:
    def change(body: dict[str, Any]) -> None:
        body["fhirAuthorization"] = {"access_token": "a", "token_type": "bearer"}

    authorization = parse(changed(change)).fhir_authorization
    assert authorization is not None
    assert (authorization.scope, authorization.subject, authorization.patient) == ("", "", None)


def test_no_authorization_is_fine() -> None:
    assert parse(changed(lambda body: body.update(fhirAuthorization=None))).fhir_authorization is None
    assert parse(changed(lambda body: body.pop("fhirAuthorization"))).fhir_server is not None


def test_a_token_for_another_patient_is_not_used() -> None:
    call = parse(changed(lambda body: body["fhirAuthorization"].update(patient="p2")))
    assert call.fhir_authorization is None
    assert call.patient_id == "p1"


@pytest.mark.parametrize(
    ("extension", "hint"),
    [
        ({EPIC_FHIR_VERSION: "DSTU2"}, "DSTU2"),
        ({EPIC_FHIR_VERSION: ""}, None),
        ({EPIC_FHIR_VERSION: 4}, None),
        ({}, None),
        (None, None),
        ("x", None),
        ([], None),
    ],
)
def test_epic_names_its_fhir_version(extension: object, hint: str | None) -> None:
    assert parse(changed(lambda body: body.update(extension=extension))).version_hint == hint


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from([*VALID, *VALID["context"], *VALID["fhirAuthorization"]]), inner
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from(list(VALID)),
)
def test_any_value_in_any_place_is_read_or_refused(value: object, name: str) -> None:
    told = outcome_of(changed(lambda body: body.update({name: value})))
    assert told == "read" or (told.endswith(".") and CANARY not in told)


@pytest.mark.parametrize("path", ["hook", "hookInstance", "fhirServer", "context", "prefetch"])
def test_no_message_repeats_what_was_sent(path: str) -> None:
    for value in (CANARY, [CANARY], {CANARY: CANARY}):
        assert CANARY not in outcome_of(changed(lambda body, value=value: body.update({path: value})))


def outcome_of(body: object) -> str:
    """Return "read", or what is told when a request is refused."""
    try:
        return "read" if parse(body).patient_id else ""
    except BadRequest as error:
        return str(error)

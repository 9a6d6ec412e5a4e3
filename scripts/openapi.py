"""The addresses of the service as an OpenAPI 3.1 document, docs/openapi.yaml; `scripts/docs.py` writes it.

Schemas of answers and of feedback come from the models that the service uses; the request of the hook is
checked by hand in `protocol/envelope.py`, and described here.
"""

from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from cds_service import __version__
from cds_service.protocol.envelope import LONGEST_ID
from cds_service.protocol.feedback import FeedbackRequest
from cds_service.protocol.responses import CardsResponse, Discovery
from cds_service.web.discovery import DESCRIPTION, HOOK, SERVICE_ID, TITLE

Json = dict[str, Any]

_REF = "#/components/schemas/{model}"
_SERVICE = f"/cds-services/{SERVICE_ID}"
_TEXT: Json = {"type": "string", "pattern": r"\S"}
_OPTIONAL: Json = {"type": ["string", "null"]}
_ID: Json = {"type": "string", "pattern": r"\S", "maxLength": LONGEST_ID}
_HTML = "text/html"

HOOK_REQUEST: Json = {
    "type": "object",
    "required": ["hook", "hookInstance", "context"],
    "properties": {
        "hook": {"const": HOOK},
        "hookInstance": {**_ID, "description": "any text; it need not be a UUID"},
        "context": {
            "type": "object",
            "required": ["patientId", "userId"],
            "properties": {
                "patientId": _ID,
                "userId": _ID,
                "encounterId": {**_OPTIONAL, "maxLength": LONGEST_ID},
            },
        },
        "fhirServer": {**_OPTIONAL, "description": "base address; asked only if it is one of the client's"},
        "fhirAuthorization": {
            "type": ["object", "null"],
            "required": ["access_token", "token_type"],
            "properties": {
                "access_token": _TEXT,
                "token_type": {"type": "string", "pattern": "^[Bb][Ee][Aa][Rr][Ee][Rr]$"},
                "expires_in": {"type": ["number", "null"]},
                "scope": _OPTIONAL,
                "subject": _OPTIONAL,
                "patient": _OPTIONAL,
            },
        },
        "prefetch": {
            "type": ["object", "null"],
            "description": "FHIR resources by the keys of discovery, or by others; anything that cannot be "
            "read is said on the card, and is no reason to refuse the call",
        },
        "extension": {"type": ["object", "null"]},
    },
}
OUTCOME: Json = {
    "type": "object",
    "required": ["resourceType", "issue"],
    "additionalProperties": False,
    "properties": {
        "resourceType": {"const": "OperationOutcome"},
        "issue": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["severity", "code", "diagnostics"],
                "additionalProperties": False,
                "properties": {
                    "severity": {"enum": ["error", "warning"]},
                    "code": {"type": "string"},
                    "diagnostics": {"type": "string"},
                    "details": {"type": "object", "properties": {"text": {"type": "string"}}},
                },
            },
        },
    },
}
STATES: Json = {
    "type": "object",
    "required": ["status", "parts"],
    "additionalProperties": False,
    "properties": {
        "status": {"enum": ["ready", "not ready"]},
        "parts": {"type": "object", "additionalProperties": {"enum": ["ok", "fault"]}},
    },
}
VERSIONS: Json = {
    "type": "object",
    "required": ["service", "knowledge"],
    "additionalProperties": {"type": "string"},
}
# What the errors of a call mean; all have the same body.
ERRORS = {
    "400": "the request cannot be read, or is not as CDS Hooks asks",
    "401": "no valid token of a known client (where callers are trusted by token)",
    "404": "nothing at this address",
    "412": "the patient or the iron results are not available, and restless legs are not on record",
    "413": "the body is larger than the limit",
    "415": "another media type, charset or Content-Encoding than JSON in UTF-8",
    "429": "the client has made too many calls; Retry-After says when to come again",
    "500": "a fault in the service, with an incident id",
    "503": "callers cannot be checked, or the audit log cannot be kept; Retry-After",
}


def document() -> Json:
    """Return the OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": __version__, "description": DESCRIPTION},
        "servers": [{"url": "/", "description": "or below the path prefix of a proxy"}],
        "paths": _paths(),
        "components": {
            "schemas": {**_models(), "HookRequest": HOOK_REQUEST, "OperationOutcome": OUTCOME},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "a signed token of a known client, good once (docs/clients.md)",
                },
            },
        },
    }


def as_yaml() -> str:
    """Return the document as it stands in docs/openapi.yaml."""
    head = "# Written by `make docs` from scripts/openapi.py and the models of the service.\n"
    return head + yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=110)


def _models() -> Json:
    """Return the schemas of the service's own models, with those that they are made of."""
    kinds: list[tuple[type[BaseModel], Any]] = [
        (CardsResponse, "serialization"),
        (Discovery, "serialization"),
        (FeedbackRequest, "validation"),
    ]
    _, made = models_json_schema(kinds, ref_template=_REF)
    found: Json = made["$defs"]
    return found


def _paths() -> Json:
    return {
        "/": {"get": _page("start", "The start page, for people")},
        "/healthz": {"get": _told("health", "Whether the process answers", {"200": VERSIONS})},
        "/readyz": {
            "get": _told(
                "readiness", "Whether every part that calls need is in order", {"200": STATES, "503": STATES}
            )
        },
        "/version": {"get": _told("version", "What runs here", {"200": VERSIONS})},
        "/metrics": {
            "get": {
                "operationId": "metrics",
                "summary": "Counters for Prometheus, where RLS_CDS_METRICS is on",
                "responses": {"200": _answer("all counters", {"type": "string"}, "text/plain")},
            }
        },
        "/basis": {"get": _page("basis", "The public basis of the cards")},
        "/basis/{name}": {
            "get": {
                **_page(
                    "basisPage",
                    "A page of the public basis: a card by its key or topic code, factors, source-attributes",
                ),
                "parameters": [_in_path("name")],
            }
        },
        "/basis/source-attributes.json": {
            "get": _told("sourceAttributes", "The source attributes as data", {"200": {"type": "object"}})
        },
        "/knowledge/": {
            "get": _published("publication", "The knowledge base as FHIR R4: a Bundle, or a page")
        },
        "/knowledge/{kind}/{identity}": {
            "get": {
                **_published("publishedResource", "One published resource, by its type and id"),
                "parameters": [_in_path("kind"), _in_path("identity")],
            }
        },
        "/cds-services": {
            "get": _call("discover", "CDS Hooks discovery", "Discovery", ("401", "429", "503"))
        },
        _SERVICE: {"post": _post("assess", "The hook patient-view", "HookRequest", "CardsResponse")},
        f"{_SERVICE}/feedback": {
            "post": _post("feedback", "What became of cards", "FeedbackRequest", None),
        },
    }


def _answer(told: str, schema: Json, media_type: str = "application/json") -> Json:
    return {"description": told, "content": {media_type: {"schema": schema}}}


def _ref(model: str) -> Json:
    return {"$ref": _REF.format(model=model)}


def _error(status: str) -> Json:
    return _answer(ERRORS[status], _ref("OperationOutcome"))


def _page(name: str, summary: str) -> Json:
    responses = {"200": _answer("a page", {"type": "string"}, _HTML)}
    if name == "basisPage":
        missing = _error("404")
        missing["content"][_HTML] = {"schema": {"type": "string"}}
        responses["404"] = missing
    return {"operationId": name, "summary": summary, "responses": responses}


def _in_path(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _published(name: str, summary: str) -> Json:
    good = _answer("FHIR R4", {"type": "object", "required": ["resourceType"]}, "application/fhir+json")
    responses = {"200": good}
    if name == "publication":
        good["content"][_HTML] = {"schema": {"type": "string"}}
    else:
        responses["404"] = _error("404")
    return {"operationId": name, "summary": summary, "responses": responses}


def _told(name: str, summary: str, answers: dict[str, Json]) -> Json:
    responses = {status: _answer(summary, schema) for status, schema in answers.items()}
    return {"operationId": name, "summary": summary, "responses": responses}


def _call(name: str, summary: str, answer: str | None, errors: tuple[str, ...]) -> Json:
    good = _ref(answer) if answer else {"type": "object", "additionalProperties": False}
    return {
        "operationId": name,
        "summary": summary,
        # Without a client that is trusted by token nobody needs one (development).
        "security": [{"token": []}, {}],
        "responses": {"200": _answer("answered", good), **{status: _error(status) for status in errors}},
    }


def _post(name: str, summary: str, body: str, answer: str | None) -> Json:
    errors = [status for status in ERRORS if status != "404" and (answer or status != "412")]
    return {
        **_call(name, summary, answer, tuple(errors)),
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref(body)}}},
    }

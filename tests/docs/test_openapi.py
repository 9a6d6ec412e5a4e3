"""The OpenAPI document describes what is there: every address, every method, answers of the models."""

import re
from pathlib import Path

import openapi
import yaml
from jsonschema import Draft202012Validator

from cds_service.app import create_app
from cds_service.settings import Settings

FILE = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"


def test_exactly_the_addresses_that_are_served_are_described() -> None:
    app = create_app(Settings(metrics=True))
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        # Two slashes are the same address; every address answers HEAD and OPTIONS.
        if "//" not in rule.rule
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {(path, method) for path, item in openapi.document()["paths"].items() for method in item}
    assert described == served


def test_the_file_is_the_document() -> None:
    assert yaml.safe_load(FILE.read_text(encoding="utf-8")) == openapi.document()


def test_every_reference_leads_to_a_schema_and_every_schema_is_one() -> None:
    document = openapi.document()
    schemas = document["components"]["schemas"]
    named = set(re.findall(r"#/components/schemas/(\w+)", FILE.read_text(encoding="utf-8")))
    assert named <= schemas.keys()
    assert {"CardsResponse", "Discovery", "FeedbackRequest", "HookRequest", "OperationOutcome"} <= named
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)

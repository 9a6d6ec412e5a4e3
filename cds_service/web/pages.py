"""The start page for people and the health check for machines."""

from collections.abc import Mapping

import msgspec
from flask import Blueprint, Response

from cds_service.web.discovery import DESCRIPTION, INTENDED_USE, SERVICE_ID, TITLE
from cds_service.web.html import page
from cds_service.web.http import json_response


def pages_blueprint(versions: Mapping[str, str]) -> Blueprint:
    """Return `/` and `/healthz`; `versions` names what runs here, for both."""
    blueprint = Blueprint("pages", __name__, template_folder="templates")
    health = msgspec.json.encode({"status": "ok", **versions})

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return json_response(health)

    @blueprint.get("/")
    def start() -> Response:
        return page(
            "start.html",
            title=TITLE,
            description=DESCRIPTION.removesuffix(INTENDED_USE),
            intended_use=INTENDED_USE,
            service_id=SERVICE_ID,
            versions=versions,
        )

    return blueprint

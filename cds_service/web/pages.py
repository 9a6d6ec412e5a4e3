"""The start page for people and the health check for machines."""

import base64
import hashlib
from collections.abc import Mapping

import msgspec
from flask import Blueprint, Response, render_template

from cds_service.web.discovery import DESCRIPTION, INTENDED_USE, SERVICE_ID, TITLE
from cds_service.web.http import json_response

STYLE = """
:root { color-scheme: light dark; }
body { font: 1.05rem/1.6 system-ui, sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; }
h2 { font-size: 1.2rem; margin-top: 2rem; }
.use { border-inline-start: .3rem solid #b45309; padding: .1rem 1rem; }
code { font-size: .95em; overflow-wrap: anywhere; }
dt { font-weight: 600; }
dd { margin: 0 0 .6rem; }
"""


def pages_blueprint(versions: Mapping[str, str]) -> Blueprint:
    """Return `/` and `/healthz`; `versions` names what runs here, for both."""
    blueprint = Blueprint("pages", __name__, template_folder="templates")
    health = msgspec.json.encode({"status": "ok", **versions})
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src '{_hash(STYLE)}'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ],
    )

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return json_response(health)

    @blueprint.get("/")
    def start() -> Response:
        page = render_template(
            "start.html",
            title=TITLE,
            description=DESCRIPTION.removesuffix(INTENDED_USE),
            intended_use=INTENDED_USE,
            service_id=SERVICE_ID,
            style=STYLE,
            versions=versions,
        )
        response = Response(page, content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = policy
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return blueprint


def _hash(style: str) -> str:
    """Return the CSP source that allows exactly this inline style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}"

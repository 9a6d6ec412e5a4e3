"""The composition root: settings and collaborators in, a Flask application out."""

import logging
import time
from collections.abc import Callable
from functools import partial

from flask import Flask, Response, g, request

from cds_service import __version__
from cds_service.adapters.clock import FixedClock, SystemClock
from cds_service.adapters.metrics import InProcessMetrics
from cds_service.adapters.quiet import NothingKnown
from cds_service.assess import Answer, PatientView
from cds_service.assess import assess as assess_patient
from cds_service.fhir.validation import warm_up
from cds_service.knowledge import Knowledge, load
from cds_service.ports import Clock, Metrics
from cds_service.protocol.prefetch import prefetch_templates
from cds_service.rendering import CardLibrary
from cds_service.settings import Settings, load_profile, load_settings
from cds_service.web.errors import register_errors
from cds_service.web.http import add_standing_headers
from cds_service.web.logs import log_event
from cds_service.web.pages import pages_blueprint
from cds_service.web.service import Assess, service_blueprint

IRON_GROUPS = (
    "ferritin",
    "ferritin_molar",
    "tsat",
    "iron_mass",
    "iron_molar",
    "tibc_mass",
    "tibc_molar",
    "crp",
    "crp_hs",
    "crp_molar",
)
"""Groups of Observation codes that the prefetch key `ironResults` asks for."""

CONTEXT_GROUPS = ("hemoglobin", "hemoglobin_molar", "egfr", "pregnancy_status", "pregnancy_edd")
"""Groups of Observation codes that the prefetch key `contextResults` asks for."""


def create_app(
    settings: Settings,
    *,
    assess: Assess | None = None,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
    timer: Callable[[], float] = time.perf_counter,
) -> Flask:
    """Return the WSGI application; a collaborator that is not given is the real one.

    Raises `SettingsError` or the loaders' errors, so that a broken installation fails before the first call.
    """
    knowledge = load()
    app = Flask("cds_service", static_folder=None)
    # Two slashes are part of an address here; by default Werkzeug would redirect them away.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    register_errors(app, max_body=settings.max_body)
    app.register_blueprint(
        service_blueprint(
            assess=assess or build_assess(settings, clock=clock, knowledge=knowledge),
            prefetch=templates(knowledge),
            metrics=metrics or InProcessMetrics(),
            max_body=settings.max_body,
        ),
    )
    app.register_blueprint(pages_blueprint({"service": __version__, "knowledge": knowledge.version}))
    _register_frame(app, knowledge.version, timer)
    return app


def warm_app(settings: Settings) -> Flask:
    """Return the application with everything loaded that the first calls would otherwise wait for."""
    app = create_app(settings)
    warm_up()
    return app


def build_assess(
    settings: Settings,
    *,
    clock: Clock | None = None,
    knowledge: Knowledge | None = None,
) -> Callable[[PatientView], Answer]:
    """Return the use case with its real collaborators, those given excepted."""
    return partial(
        assess_patient,
        knowledge=knowledge or load(),
        profile=load_profile(settings),
        clock=clock or system_clock(settings),
        quiet=NothingKnown(),
        cards=CardLibrary.load(),
        canonical_base=settings.canonical_base,
    )


def system_clock(settings: Settings) -> Clock:
    """Return the machine's clock, or the fixed day of `RLS_CDS_AS_OF`."""
    return FixedClock(settings.zone, settings.as_of) if settings.as_of else SystemClock(settings.zone)


def templates(knowledge: Knowledge) -> dict[str, str]:
    """Return the prefetch templates with the codes of the knowledge base."""
    codes = knowledge.terminology.loinc_codes
    return dict(prefetch_templates(codes(*IRON_GROUPS), codes(*CONTEXT_GROUPS)))


def _register_frame(app: Flask, knowledge_version: str, timer: Callable[[], float]) -> None:
    """Answer preflights, put the standing headers on every answer, log one line for it."""

    @app.before_request
    def begin() -> Response | None:
        g.began = timer()
        # Before routing: a browser must get its preflight answered also where the call itself is refused.
        return _preflight() if request.method == "OPTIONS" else None

    @app.after_request
    def finish(response: Response) -> Response:
        log_event(
            "call",
            logging.INFO,
            method=request.method if request.method in _METHODS else "other",
            route=request.url_rule.rule if request.url_rule else "unknown",
            status=response.status_code,
            duration_ms=round((timer() - g.began) * 1000, 2),
            cards=g.get("cards", []),
            issues=g.get("issues", []),
            knowledge=knowledge_version,
        )
        return add_standing_headers(response)


def _preflight() -> Response:
    """Return the answer to OPTIONS at any address; `Allow` only where something answers."""
    response = Response(status=204)
    if request.url_rule is not None:
        response.headers["Allow"] = ", ".join(sorted(request.url_rule.methods or ()))
    return response


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def app_from_environment() -> Flask:
    """Return the application of this process's environment, for any WSGI server (`cds_service.app:...()`)."""
    return create_app(load_settings())

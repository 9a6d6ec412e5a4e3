"""The composition root: settings and collaborators in, a Flask application out."""

import time
from collections.abc import Callable
from dataclasses import replace

from flask import Flask

from cds_service import __version__
from cds_service.adapters.clock import FixedClock, SystemClock
from cds_service.adapters.metrics import InProcessMetrics
from cds_service.adapters.on_demand import OnDemandSource
from cds_service.adapters.quiet import NothingKnown
from cds_service.assess import Answer, PatientView
from cds_service.assess import assess as assess_patient
from cds_service.clients import load_clients
from cds_service.completion import Completion
from cds_service.fhir import warm_up
from cds_service.knowledge import Knowledge, load
from cds_service.knowledge.local import with_windows, without_snomed
from cds_service.ports import Clock, Metrics, RecordSource
from cds_service.rendering import CardLibrary
from cds_service.settings import Settings
from cds_service.web.discovery import templates
from cds_service.web.errors import register_errors
from cds_service.web.frame import register_frame
from cds_service.web.pages import pages_blueprint
from cds_service.web.service import Assess, service_blueprint


def create_app(
    settings: Settings,
    *,
    assess: Assess | None = None,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
    source: RecordSource | None = None,
    timer: Callable[[], float] = time.perf_counter,
) -> Flask:
    """Return the WSGI application; a collaborator that is not given is the real one.

    Raises `SettingsError` or the loaders' errors, so that a broken installation fails before the first call.
    """
    knowledge = load_knowledge(settings)
    app = Flask("cds_service", static_folder=None)
    # Two slashes are part of an address here; by default Werkzeug would redirect them away.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    register_errors(app, max_body=settings.max_body)
    app.register_blueprint(
        service_blueprint(
            assess=assess
            or build_assess(settings, clock=clock, knowledge=knowledge, source=source or OnDemandSource()),
            prefetch=templates(knowledge),
            metrics=metrics or InProcessMetrics(),
            max_body=settings.max_body,
        ),
    )
    versions = {"service": __version__, "knowledge": knowledge.version}
    app.register_blueprint(pages_blueprint(versions if settings.snomed else {**versions, "snomed": "off"}))
    register_frame(app, knowledge_version=knowledge.version, timer=timer)
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
    source: RecordSource | None = None,
) -> Callable[[PatientView], Answer]:
    """Return the use case with its real collaborators, those given excepted.

    Without a `source` it asks no FHIR server.
    """
    knowledge = knowledge or load_knowledge(settings)
    clients = load_clients(settings)
    clock = clock or system_clock(settings)
    cards = CardLibrary.load()
    completion = Completion(source, templates(knowledge)) if source is not None else None

    knowledge_of = {one.name: with_windows(knowledge, one.windows) for one in clients.all}

    def assess(call: PatientView) -> Answer:
        profile = clients.profile_of(call.fhir_server)
        return assess_patient(
            replace(call, client=profile.name),
            knowledge=knowledge_of[profile.name],
            profile=profile,
            clock=clock,
            quiet=NothingKnown(),
            cards=cards,
            canonical_base=settings.canonical_base,
            completion=completion,
        )

    return assess


def load_knowledge(settings: Settings) -> Knowledge:
    """Return the packaged knowledge, without SNOMED CT where the site has no licence for it."""
    return load() if settings.snomed else without_snomed(load())


def system_clock(settings: Settings) -> Clock:
    """Return the machine's clock, or the fixed day of `RLS_CDS_AS_OF`."""
    return FixedClock(settings.zone, settings.as_of) if settings.as_of else SystemClock(settings.zone)

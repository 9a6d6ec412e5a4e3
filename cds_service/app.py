"""The composition root: settings and collaborators in, a Flask application out."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from flask import Flask

from cds_service import __version__
from cds_service.adapters.audit_log import ChainedLog, Head, moment
from cds_service.adapters.audited import AuditedSource
from cds_service.adapters.clock import FixedClock, SystemClock
from cds_service.adapters.metrics import InProcessMetrics
from cds_service.adapters.on_demand import OnDemandSource
from cds_service.adapters.quiet import NothingKnown
from cds_service.adapters.rate_limit import TokenBuckets
from cds_service.adapters.traced import NoTraces, TracedSource
from cds_service.assess import Answer, PatientView
from cds_service.assess import assess as assess_patient
from cds_service.clients import Clients, packaged_profile, refuse_mixture
from cds_service.completion import Completion
from cds_service.fhir import warm_up
from cds_service.knowledge import Knowledge, load
from cds_service.knowledge.local import without_snomed
from cds_service.live import LiveClients
from cds_service.ports import (
    CallerRefusedError,
    CheckedReplayStore,
    Clock,
    Metrics,
    RecordSource,
    Refusal,
    ReplayStore,
    Tracer,
)
from cds_service.profile import ClientProfile
from cds_service.rendering import CardLibrary
from cds_service.settings import PREFIX, Settings, SettingsError
from cds_service.trust import SANDBOX_KEYS
from cds_service.web.audit import register_audit
from cds_service.web.auth import Anybody, Callers, TokenCallers
from cds_service.web.basis import basis_blueprint
from cds_service.web.discovery import DESCRIPTION, HOOK, SERVICE_ID, TITLE, templates
from cds_service.web.errors import register_errors
from cds_service.web.frame import register_frame
from cds_service.web.logs import log_event
from cds_service.web.operations import Page, Readiness, operations_blueprint
from cds_service.web.pages import pages_blueprint
from cds_service.web.published import published_blueprint
from cds_service.web.service import Assess, service_blueprint

if TYPE_CHECKING:
    from cds_service.published import Publication

_SHORTEST_KEY = 32
# Restless legs on record and nothing else: the iron results are missing.
_MADE_UP = (
    b'{"patient":{"resourceType":"Patient","id":"readiness"},'
    b'"conditions":{"resourceType":"Condition","id":"c1","subject":{"reference":"Patient/readiness"},'
    b'"code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"G25.81"}]}}}'
)


def create_app(
    settings: Settings,
    *,
    assess: Assess | None = None,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
    source: RecordSource | None = None,
    tracer: Tracer | None = None,
    timer: Callable[[], float] = time.perf_counter,
) -> Flask:
    """Return the WSGI application; a collaborator that is not given is the real one.

    Raises `SettingsError` or the loaders' errors, so that a broken installation fails before the first call.
    """
    knowledge = load_knowledge(settings)
    tracer = tracer or tracer_of(settings)
    audit = audit_log(settings)
    source = observed(source or OnDemandSource(), tracer, audit)
    live = live_clients(settings, knowledge)
    refuse_mixture(settings, live.current().clients)
    cards = CardLibrary.load(public_url=settings.public_url)
    store = replay_store(settings, live)
    metrics, page = (metrics, None) if metrics is not None else metrics_of(settings)
    assess = assess or assess_with(
        settings, live, clock=clock, knowledge=knowledge, source=source, cards=cards
    )
    app = Flask("cds_service", static_folder=None)
    # Two slashes are part of an address here; by default Werkzeug would redirect them away.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    register_errors(app, max_body=settings.max_body)
    app.register_blueprint(
        service_blueprint(
            assess=assess,
            callers=callers_of(settings, live, source, store),
            prefetch=templates(knowledge),
            metrics=metrics,
            max_body=settings.max_body,
        ),
    )
    app.register_blueprint(basis_blueprint(knowledge))
    app.register_blueprint(published_blueprint(partial(publication_of, settings, knowledge)))
    off = {} if settings.snomed else {"snomed": "off"}
    versions = {"service": __version__, "knowledge": knowledge.version}
    app.register_blueprint(pages_blueprint({**versions, **off}))
    more = {"knowledge_hash": knowledge.hash, "cards": cards.version, "cards_hash": cards.hash}
    readiness = Readiness(readiness_parts(assess, live, store, audit), timer)
    app.register_blueprint(operations_blueprint({**versions, **more, **off}, readiness, page))
    register_frame(
        app,
        knowledge_version=knowledge.version,
        timer=timer,
        origins=partial(origins_for, live),
        metrics=metrics,
        tracer=tracer,
    )
    if audit is not None:
        told = f"service {__version__}, knowledge {knowledge.version} ({knowledge.hash})"
        register_audit(app, audit, now=moment, versions=told)
    return app


def warm_app(settings: Settings) -> Flask:
    """Return the application with everything loaded that the first calls would otherwise wait for."""
    app = create_app(settings)
    warm_up()
    return app


def live_clients(settings: Settings, knowledge: Knowledge) -> LiveClients:
    """Return the clients, read again when their files change; raises `SettingsError`."""
    return LiveClients(settings, knowledge, check=partial(_check_keys, settings), told=_tell_of_clients)


def refused_keys(settings: Settings) -> frozenset[str]:
    """Return the thumbprints of keys that nobody may sign with."""
    return SANDBOX_KEYS if settings.environment == "production" else frozenset()


def _check_keys(settings: Settings, clients: Clients) -> None:
    """Refuse a file of keys that holds none; raises `SettingsError`."""
    for profile in clients.named:
        if profile.trust is not None and profile.trust.keys is not None:
            # The token library is loaded only where callers are trusted by token.
            from cds_service.adapters.keys import KeySetError, read_key_set  # noqa: PLC0415 - on demand

            try:
                read_key_set(profile.trust.keys, refused_keys(settings))
            except KeySetError as error:
                told = f"{PREFIX}CLIENTS: client {profile.name}: trust: keys_file: {error}"
                raise SettingsError(told) from None


def _tell_of_clients(fault: str) -> None:
    if fault:
        log_event("clients file refused, the clients before it go on", logging.ERROR, fault=fault)
    else:
        log_event("clients file read again")


def metrics_of(settings: Settings) -> tuple[Metrics, Page | None]:
    """Return where counts go, and the page that shows them: in memory and unseen where metrics are off."""
    if not settings.metrics:
        return InProcessMetrics(), None
    from cds_service.adapters.prometheus import PrometheusMetrics  # noqa: PLC0415 - loaded where it is on

    metrics = PrometheusMetrics()
    return metrics, metrics.page


def tracer_of(settings: Settings) -> Tracer:
    """Return where the times of calls go; raises `SettingsError` where what sends them is not installed."""
    if settings.traces is None:
        return NoTraces()
    try:
        from cds_service.adapters.traces import OtlpTracer  # noqa: PLC0415 - loaded where it is on
    except ModuleNotFoundError:
        raise SettingsError(f"{PREFIX}TRACES needs the extra: pip install 'rls-iron-cds[traces]'") from None
    return OtlpTracer(settings.traces, __version__)


def observed(source: RecordSource, tracer: Tracer, audit: ChainedLog | None) -> RecordSource:
    """Return the source with its searches timed, and written down where an audit log is kept."""
    traced = TracedSource(source, tracer)
    return traced if audit is None else AuditedSource(traced, audit, moment)


def readiness_parts(
    assess: Assess, live: LiveClients, store: CheckedReplayStore | None, audit: ChainedLog | None
) -> dict[str, Callable[[], None]]:
    """Return a check for each part that calls need; it raises what is wrong."""
    parts: dict[str, Callable[[], None]] = {"assessment": partial(_answer_a_made_up_patient, assess)}
    if live.current().clients.files:
        parts["clients"] = partial(_check_clients, live)
    if store is not None:
        parts["store"] = store.check
    if audit is not None:
        parts["audit"] = audit.check
    return parts


def _answer_a_made_up_patient(assess: Assess) -> None:
    """Run knowledge, rules and wording once: this patient gets DATA-01, whatever a client has set."""
    call = PatientView(SERVICE_ID, "readiness", "readiness", _MADE_UP)
    if not assess(call).cards:
        raise RuntimeError


def _check_clients(live: LiveClients) -> None:
    """Raise where the clients file was changed to one that is not taken."""
    live.current()
    if live.fault:
        raise SettingsError(live.fault)


def replay_store(settings: Settings, live: LiveClients) -> CheckedReplayStore | None:
    """Return the store of used tokens, None where callers are not trusted by token."""
    if not live.current().clients.is_authenticating or settings.store is None:
        return None
    from cds_service.adapters.store import SqlReplayStore, engine_of  # noqa: PLC0415 - on demand, as above

    return SqlReplayStore(partial(engine_of, settings.store))


def callers_of(
    settings: Settings, live: LiveClients, source: RecordSource, store: ReplayStore | None
) -> Callers:
    """Return who tells the clients apart: by token where one of them is trusted, else nobody does."""
    if store is None or settings.public_url is None:
        return Anybody()
    from cds_service.adapters.keys import KeySets  # noqa: PLC0415 - on demand, as above
    from cds_service.adapters.tokens import TokenVerifier  # noqa: PLC0415 - the same

    return TokenCallers(
        TokenVerifier(KeySets(source, refused=refused_keys(settings)), store),
        TokenBuckets(settings.workers),
        lambda: live.current().clients.named,
        settings.public_url,
    )


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
    live = live_clients(settings, knowledge)
    cards = CardLibrary.load(public_url=settings.public_url)
    return assess_with(settings, live, clock=clock, knowledge=knowledge, source=source, cards=cards)


def assess_with(
    settings: Settings,
    live: LiveClients,
    *,
    clock: Clock | None,
    knowledge: Knowledge,
    source: RecordSource | None,
    cards: CardLibrary,
) -> Callable[[PatientView], Answer]:
    """Return the use case for these clients."""
    clock = clock or system_clock(settings)
    completion = Completion(source, templates(knowledge)) if source is not None else None

    def assess(call: PatientView) -> Answer:
        serving = live.current()
        profile = profile_for(call, serving.clients)
        return assess_patient(
            call,
            knowledge=serving.knowledge[profile.name],
            profile=profile,
            clock=clock,
            quiet=NothingKnown(),
            cards=cards,
            canonical_base=settings.canonical_base,
            completion=completion and replace(completion, local_codes=serving.local_codes[profile.name]),
        )

    return assess


def profile_for(call: PatientView, clients: Clients) -> ClientProfile:
    """Return the profile of a call: that of the proven client, else by the FHIR server that it names.

    Raises `CallerRefusedError` for a client that left the file since its token was checked.
    """
    if call.client is None:
        return clients.profile_of(call.fhir_server)
    try:
        return clients.called(call.client)
    except SettingsError:
        raise CallerRefusedError(Refusal.UNKNOWN_ISSUER) from None


def audit_log(settings: Settings) -> ChainedLog | None:
    """Return the audit log of `RLS_CDS_AUDIT`, None where none is kept; raises `SettingsError`."""
    if settings.audit is None:
        return None
    if not settings.audit.is_dir() or not os.access(settings.audit, os.W_OK):
        raise SettingsError(f"{PREFIX}AUDIT: no folder in which this user may write")
    return ChainedLog(settings.audit, key=audit_key(settings), told=_tell_head)


def audit_key(settings: Settings) -> bytes:
    """Return the key of the chain, b"" without one; raises `SettingsError`."""
    if settings.audit_key_file is None:
        return b""
    try:
        key = settings.audit_key_file.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"{PREFIX}AUDIT_KEY_FILE: cannot be read ({type(error).__name__})") from None
    if len(key) < _SHORTEST_KEY:
        raise SettingsError(f"{PREFIX}AUDIT_KEY_FILE: must hold at least {_SHORTEST_KEY} bytes")
    return key


def _tell_head(head: Head) -> None:
    log_event("audit head", head=str(head))


def origins_for(live: LiveClients, client: ClientProfile | None) -> frozenset[str] | None:
    """Return the web pages that may read an answer: any where nobody is authenticated, else a client's own.

    For a preflight, and where a caller was refused, those of all clients: no token tells them apart there.
    """
    clients = live.current().clients
    if not clients.is_authenticating:
        return None
    return clients.origins if client is None else client.origins


def load_knowledge(settings: Settings) -> Knowledge:
    """Return the packaged knowledge, without SNOMED CT where the site has no licence for it."""
    return load() if settings.snomed else without_snomed(load())


def publication_of(settings: Settings, knowledge: Knowledge) -> "Publication":
    """Return the knowledge as FHIR resources; the orders have the codes of the packaged profile."""
    # Whoever asks for cards never waits for these.
    from cds_service.basis import load_library  # noqa: PLC0415 - loaded with the first demand
    from cds_service.published import Service, publish  # noqa: PLC0415 - the same

    service = Service(SERVICE_ID, HOOK, TITLE, DESCRIPTION)
    codings = packaged_profile(settings).order_codings
    return publish(load_library(knowledge), settings.canonical_base, service, codings)


def system_clock(settings: Settings) -> Clock:
    """Return the machine's clock, or the fixed day of `RLS_CDS_AS_OF`."""
    return FixedClock(settings.zone, settings.as_of) if settings.as_of else SystemClock(settings.zone)

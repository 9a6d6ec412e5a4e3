"""The build sheet: everything that an analyst enters in the EHR, and what has to be entered on our side.

Every value of the service comes from the code that serves it, every fact about a vendor from
`vendors.toml`; nothing is written twice.
"""

import json
from collections.abc import Iterable, Mapping

import msgspec

from cds_service.clinical.assessment import CardKey, Order
from cds_service.completion import in_words_of, search
from cds_service.fhir import FhirVersion
from cds_service.onboarding.vendors import Vendor
from cds_service.ports import Search
from cds_service.profile import ClientProfile, Trust
from cds_service.protocol.prefetch import PATIENT_TOKEN
from cds_service.protocol.responses import MAX_SUMMARY
from cds_service.rendering import CardLibrary
from cds_service.settings import PREFIX
from cds_service.trust import TrustPart
from cds_service.web.discovery import DESCRIPTION, HOOK, SERVICE_ID, TITLE

FORMAT = "rls-cds-build-sheet/1"
"""Name and version of the JSON; the number grows when a member changes its meaning or goes."""

_REFERENCED = "Medication"
_TRUST = ("issuer", "tenant", "keys_url", "algorithms", "subject", "audience", "lifetime_s", "leeway_s")
_CARDS = (
    "At most two cards, of indicator info or warning; critical is not used.",
    f"summary has at most {MAX_SUMMARY} characters, detail is GitHub-Flavored Markdown.",
    "Every card has a uuid, a topic and override reasons; none has an extension or a SMART link.",
    "A suggestion creates one draft ServiceRequest of intent proposal; selectionBehavior is any.",
    "What is missing is said on the card; with RLS on record, missing required data comes as card DATA-01.",
)


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all parts: frozen, camel case in JSON."""


class Query(_Part, frozen=True, kw_only=True):
    """One prefetch key with its query in the words of a FHIR release."""

    key: str
    query: str
    release: str


class Code(_Part, frozen=True, kw_only=True):
    """One code with what it means; `on` tells on which cards it stands."""

    code: str
    system: str
    display: str
    on: str = ""


class Coding(_Part, frozen=True, kw_only=True):
    """One coding of an order; an empty code is for the site to fill in."""

    system: str
    code: str
    display: str


class OrderCodes(_Part, frozen=True, kw_only=True):
    """The codings of one kind of order: as configured, and the places for the site's own."""

    order: str
    text: str
    configured: tuple[Coding, ...]
    to_fill_in: tuple[Coding, ...]


class Access(_Part, frozen=True, kw_only=True):
    """What has to be readable of one resource type; `apis` are the vendor's own names."""

    resource_type: str
    smart_v1: str
    smart_v2: str
    apis: tuple[str, ...]


class Link(_Part, frozen=True, kw_only=True):
    """An address that cards link to."""

    label: str
    url: str


class Field(_Part, frozen=True, kw_only=True):
    """A field with its value."""

    name: str
    value: str


class BuildSheet(_Part, frozen=True, kw_only=True):
    """Everything on the sheet of one client."""

    format: str
    client: str
    vendor: str
    source: str
    reads_discovery: bool
    hook: str
    service_id: str
    addresses: tuple[Field, ...]
    release: str
    prefetch: tuple[Query, ...]
    left_out: tuple[Query, ...]
    other_releases: tuple[Query, ...]
    topics: tuple[Code, ...]
    override_reasons: tuple[Code, ...]
    orders: tuple[OrderCodes, ...]
    access: tuple[Access, ...]
    links: tuple[Link, ...]
    token: tuple[Field, ...]
    registration: tuple[Field, ...]
    facts: tuple[str, ...]
    cards: tuple[str, ...]
    clients_file: str
    settings: tuple[Field, ...]


def build_sheet(
    client: str,
    vendor: Vendor,
    *,
    base_url: str,
    profile: ClientProfile,
    templates: Mapping[str, str],
    cards: CardLibrary,
    canonical_base: str,
) -> BuildSheet:
    """Return the sheet of a client; `templates` are the prefetch queries as discovery serves them."""
    queries = _queries(templates, vendor.release)
    access = tuple(_access(vendor, queries))
    links = tuple(_links(cards, canonical_base))
    orders = tuple(_orders(vendor, profile, cards))
    names = _names(base_url, access, links)
    return BuildSheet(
        format=FORMAT,
        client=client,
        vendor=vendor.name,
        source=vendor.source,
        reads_discovery=vendor.reads_discovery,
        hook=HOOK,
        service_id=SERVICE_ID,
        addresses=(
            Field(name="discovery (GET)", value=names["discovery_url"]),
            Field(name="service (POST)", value=names["service_url"]),
            Field(name="feedback (POST)", value=names["feedback_url"]),
        ),
        release=vendor.release,
        prefetch=tuple(one for one in queries if one.key not in vendor.left_out),
        left_out=tuple(one for one in queries if one.key in vendor.left_out),
        other_releases=tuple(_differing(templates, vendor)),
        topics=tuple(_topics(cards, canonical_base)),
        override_reasons=tuple(_override_reasons(cards, canonical_base)),
        orders=orders,
        access=access,
        links=links,
        token=tuple(_fields(vendor.token.items(), names)),
        registration=tuple(_fields(vendor.registration, names)),
        facts=vendor.facts,
        cards=_CARDS,
        clients_file=clients_file(client, profile, orders, vendor.trust),
        settings=_settings(base_url, canonical_base),
    )


def _names(base_url: str, access: Iterable[Access], links: Iterable[Link]) -> Mapping[str, str]:
    """Return what the names in braces of `vendors.toml` stand for."""
    service = f"{base_url}/cds-services/{SERVICE_ID}"
    return {
        "hook": HOOK,
        "title": TITLE,
        "description": DESCRIPTION,
        "service_url": service,
        "discovery_url": f"{base_url}/cds-services",
        "feedback_url": f"{service}/feedback",
        "scopes": ", ".join(one.smart_v1 for one in access),
        "links": ", ".join(one.url for one in links),
    }


# ------------------------------------------------------------------------------------------- queries
def query_of(query: Search) -> str:
    """Return a search as it is typed: type, parameters, nothing encoded."""
    path = query.resource_type if query.resource_id is None else f"{query.resource_type}/{query.resource_id}"
    parameters = "&".join(f"{name}={value}" for name, value in query.parameters)
    return f"{path}?{parameters}" if parameters else path


def worded(templates: Mapping[str, str], release: FhirVersion) -> Mapping[str, str]:
    """Return each prefetch key with its query in the words of a release."""
    return {
        key: query_of(in_words_of(release, search(key, template, PATIENT_TOKEN)))
        for key, template in templates.items()
    }


def _queries(templates: Mapping[str, str], release: FhirVersion) -> tuple[Query, ...]:
    found = worded(templates, release)
    return tuple(Query(key=key, query=query, release=release) for key, query in found.items())


def _differing(templates: Mapping[str, str], vendor: Vendor) -> Iterable[Query]:
    """Yield the queries that the vendor's other releases want in other words."""
    usual = worded(templates, vendor.release)
    for release in vendor.other_releases:
        for one in _queries(templates, release):
            if one.query != usual[one.key] or one.key in vendor.left_out:
                yield one


# --------------------------------------------------------------------------------------------- codes
def _topics(cards: CardLibrary, base: str) -> Iterable[Code]:
    for key in CardKey:
        topic = cards.fixed_parts(key, base).source.topic
        if topic is not None:
            yield Code(code=topic.code, system=topic.system, display=topic.display or "", on=key.value)


def _override_reasons(cards: CardLibrary, base: str) -> Iterable[Code]:
    """Yield each reason once, with the cards that offer it."""
    found: dict[str, tuple[Code, list[str]]] = {}
    for key in CardKey:
        for reason in cards.fixed_parts(key, base).override_reasons:
            code = Code(code=reason.code, system=reason.system, display=reason.display or "")
            found.setdefault(reason.code, (code, []))[1].append(key.value)
    for code, keys in found.values():
        on = "all cards" if len(keys) == len(CardKey) else ", ".join(keys)
        yield msgspec.structs.replace(code, on=on)


def _links(cards: CardLibrary, base: str) -> Iterable[Link]:
    found = {link.url: link.label for key in CardKey for link in cards.fixed_parts(key, base).links}
    return (Link(label=label, url=url) for url, label in found.items())


def _orders(vendor: Vendor, profile: ClientProfile, cards: CardLibrary) -> Iterable[OrderCodes]:
    for order in Order:
        text = cards.templates.shared["orders"][order]["text"]
        codings = profile.order_codings.get(order.value, ())
        systems = {one.system for one in codings}
        yield OrderCodes(
            order=order.value,
            text=text,
            configured=tuple(Coding(system=c.system, code=c.code, display=c.display) for c in codings),
            to_fill_in=tuple(
                Coding(system=system, code="", display="")
                for system in vendor.order_systems
                if system not in systems
            ),
        )


def _access(vendor: Vendor, queries: Iterable[Query]) -> Iterable[Access]:
    types = [
        one.query.partition("?")[0].partition("/")[0] for one in queries if one.key not in vendor.left_out
    ]
    for resource_type in dict.fromkeys([*types, _REFERENCED]):
        yield Access(
            resource_type=resource_type,
            smart_v1=f"patient/{resource_type}.read",
            smart_v2=f"patient/{resource_type}.rs",
            apis=vendor.apis.get(resource_type, ()),
        )


def _fields(pairs: Iterable[tuple[str, str]], named: Mapping[str, str]) -> Iterable[Field]:
    return (Field(name=name, value=value.format_map(named)) for name, value in pairs)


# ------------------------------------------------------------------------------------------ our side
def _settings(base_url: str, canonical_base: str) -> tuple[Field, ...]:
    return (
        Field(name=f"{PREFIX}ENVIRONMENT", value="production"),
        Field(name=f"{PREFIX}PUBLIC_URL", value=base_url),
        Field(name=f"{PREFIX}STORE", value="such as sqlite:////var/lib/rls/store.db"),
        Field(name=f"{PREFIX}AUDIT", value="the folder of the audit log, such as /var/log/rls"),
        Field(name=f"{PREFIX}CLIENTS", value="path of the file below"),
        Field(
            name=f"{PREFIX}CANONICAL_BASE", value=f"{canonical_base} (never change it after the first call)"
        ),
        Field(name=f"{PREFIX}ZONE", value="time zone of the site, such as Europe/Vienna"),
    )


def clients_file(
    client: str, profile: ClientProfile, orders: Iterable[OrderCodes] = (), trust: TrustPart | None = None
) -> str:
    """Return the `[[clients]]` entry of a profile as TOML; places for site codes stand in comments.

    `trust` is taken where the profile trusts nobody.
    """
    servers = [f"{one.origin}{one.path}" for one in profile.fhir.servers]
    is_packaged = profile.name == _DEFAULT
    # What the packaged profile allows in development is no decision of the site.
    screening = "true" if profile.is_screening_on and not is_packaged else "false"
    lines = [
        "[[clients]]",
        f"name = {_toml(client if is_packaged else profile.name)}",
        f"screening = {screening}".ljust(27) + "# may SCREEN-01 be shown: the site decides",
        '# code_map = "codes.csv"   # the site\'s own codes: docs/code-map.md',
        '# policy = "policy.toml"   # look-backs and cards: docs/policy.md',
        "",
        "[clients.fhir]",
        f"servers = {_toml(servers)}  ".ljust(27) + "# base address that the calls name as fhirServer",
        f"budget_ms = {profile.fhir.budget_ms}",
        "",
        *_trust_lines(profile.trust or trust),
    ]
    for order in orders:
        for coding in order.configured:
            lines += ["", f"[[clients.orders.{_toml(order.order)}]]", *_coding_lines(coding)]
        for coding in order.to_fill_in:
            lines += ["", f"# [[clients.orders.{_toml(order.order)}]]"]
            lines += [f"# {line}" for line in _coding_lines(coding)]
    return "\n".join(lines)


_DEFAULT = "default"


def _trust_lines(trust: Trust | TrustPart | None) -> list[str]:
    if trust is None:
        return ["# [clients.trust]          # whose tokens are trusted: docs/clients.md"]
    values = {name: getattr(trust, name) for name in _TRUST if getattr(trust, name) is not None}
    if trust.keys_url is None:
        values["keys_file"] = "KEYS.json"
    return ["[clients.trust]", *(f"{name} = {_toml(value)}" for name, value in values.items())]


def _coding_lines(coding: Coding) -> list[str]:
    return [f"{name} = {_toml(getattr(coding, name))}" for name in ("system", "code", "display")]


def _toml(value: object) -> str:
    """Return a string or a list of strings as TOML, which takes what JSON writes."""
    return json.dumps(value, ensure_ascii=False)

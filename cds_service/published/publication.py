"""All published resources together, as bytes that are the same for the same knowledge base."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from cds_service.basis import Library
from cds_service.profile import OrderCoding
from cds_service.published.keys import code_source, code_systems
from cds_service.published.libraries import PLAN, cql_texts, libraries
from cds_service.published.plan import Service, activity_definitions, plan_definition
from cds_service.published.scheme import Json, Scheme
from cds_service.published.valuesets import value_sets

__all__ = ["Entry", "Publication", "Service", "publish"]

_LISTS = ("systemic-", "ingredient-")


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource: its type, id and title, and its JSON."""

    kind: str
    id: str
    title: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Publication:
    """Every published resource, and all of them as one Bundle of the type collection."""

    version: str
    entries: tuple[Entry, ...]
    bundle: bytes

    def find(self, kind: str, identity: str) -> Entry | None:
        """Return the resource of a type and id, None where there is none."""
        return next((one for one in self.entries if (one.kind, one.id) == (kind, identity)), None)

    def by_kind(self) -> Mapping[str, tuple[Entry, ...]]:
        """Return the resources by their type, in the order of the publication."""
        kinds = dict.fromkeys(one.kind for one in self.entries)
        return {kind: tuple(one for one in self.entries if one.kind == kind) for kind in kinds}


def publish(
    library: Library, base: str, service: Service, codings: Mapping[str, Sequence[OrderCoding]]
) -> Publication:
    """Return the publication of a library under a canonical base.

    `codings` are those of the suggested orders, by kind of order.
    """
    scheme = Scheme(base.rstrip("/"), library)
    resources = tuple(_resources(scheme, service, codings))
    entries = [
        {"fullUrl": scheme.canonical(one["resourceType"], one["id"]), "resource": one} for one in resources
    ]
    bundle = {"resourceType": "Bundle", "id": "knowledge", "type": "collection", "entry": entries}
    return Publication(
        version=scheme.version,
        entries=tuple(Entry(one["resourceType"], one["id"], one["title"], _bytes(one)) for one in resources),
        bundle=_bytes(bundle),
    )


def _resources(
    scheme: Scheme, service: Service, codings: Mapping[str, Sequence[OrderCoding]]
) -> Iterator[Json]:
    texts = cql_texts(scheme)
    named = (url.rpartition("/")[2] for one in texts.values() for url in one.value_sets)
    yield plan_definition(scheme, service, texts[PLAN])
    yield from activity_definitions(scheme, codings)
    yield from libraries(scheme, texts)
    yield from code_systems(scheme)
    yield code_source(scheme)
    yield from value_sets(scheme, (name for name in named if name.startswith(_LISTS)))


def _bytes(resource: Json) -> bytes:
    return msgspec.json.format(msgspec.json.encode(resource), indent=1) + b"\n"

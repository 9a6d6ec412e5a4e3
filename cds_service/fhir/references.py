"""References between resources: relative, absolute, contained.

An absolute reference counts only under the address of the client's FHIR server, because ids are unique
within one server only.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec

from cds_service.fhir import lean
from cds_service.fhir.decoding import UNREADABLE, Place, ResourceStore

REFERABLE_TYPES = frozenset({"Medication"})
"""The types that something we read refers to; only these are kept for look-up."""

_RESTFUL = re.compile(
    r"(?:([a-zA-Z]+://[^\s?#]*)/)?([A-Za-z]+)/([^\s/?#]+)(?:/_history/[A-Za-z0-9.-]{1,64})?"
)

MAX_REFERENCE = 2048
"""Longer references are not followed."""


_resource = msgspec.json.Decoder(lean.Resource | None)


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed reference: server address or "" if relative, resource type, id."""

    base: str
    resource_type: str
    resource_id: str


def parse_reference(reference: str) -> Target | None:
    """Return the parts of a relative or absolute RESTful reference, None for any other form."""
    if len(reference) > MAX_REFERENCE:
        return None
    match = _RESTFUL.fullmatch(reference.strip())
    if match is None:
        return None
    base, resource_type, resource_id = match[1] or "", match[2], match[3]
    return Target(normalise_base(base), resource_type, resource_id)


def normalise_base(address: str) -> str:
    """Return a server address for comparison: scheme and host in lower case, no slash at the end."""
    if not address:
        return ""
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        return address.strip().rstrip("/")
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


@dataclass(frozen=True, slots=True)
class Referable:
    """A resource that others may refer to, with the prefetch key and the entry address it came under."""

    key: str
    full_url: str | None
    resource: lean.Resource


@dataclass(slots=True)
class ReferenceIndex:
    """Look-up of referred resources; built when the first reference is followed."""

    find: Callable[[], Iterable[Referable]] = tuple
    fhir_server: str | None = None
    _by_name: dict[tuple[str | None, str], lean.Resource] | None = field(default=None, repr=False)

    def resolve(self, reference: lean.Reference, owner: lean.Resource, key: str) -> lean.Resource | None:
        """Return the referred resource: contained in `owner`, else under the same key, else under any."""
        address = reference.reference
        if not address:
            return None
        if address.startswith("#"):
            return _contained(owner, address[1:])
        return self._look_up(address.strip(), key)

    def id_on_server(self, address: str, resource_type: str) -> str | None:
        """Return the id of a resource of this type on the client's own server, None for anything else."""
        target = parse_reference(address)
        if target is None or target.resource_type != resource_type or not self._is_trusted(target):
            return None
        return target.resource_id

    def _look_up(self, address: str, key: str) -> lean.Resource | None:
        index = self._index()
        names = [address]
        target = parse_reference(address)
        if target is not None and self._is_trusted(target):
            names.append(f"{target.resource_type}/{target.resource_id}")
        for scope in (key, None):
            for name in names:
                found = index.get((scope, name))
                if found is not None:
                    return found
        return None

    def _is_trusted(self, target: Target) -> bool:
        return not target.base or not self.fhir_server or target.base == normalise_base(self.fhir_server)

    def _index(self) -> dict[tuple[str | None, str], lean.Resource]:
        if self._by_name is None:
            self._by_name = _index(self.find())
        return self._by_name


def find_referables(store: ResourceStore, places: Iterable[Place]) -> Iterator[Referable]:
    """Yield the resources that others refer to; an unreadable one is as if not supplied."""
    for place in places:
        try:
            entry = store.entry(place)
        except UNREADABLE:
            continue
        if entry.resource is not None:
            yield Referable(place.key, entry.fullUrl, entry.resource)


def _contained(owner: lean.Resource, local_id: str) -> lean.Resource | None:
    for raw in owner.contained or ():
        resource = _decode(raw)
        if resource is None or resource.id is None or not is_acceptable(resource):
            continue
        # Some libraries write the sign of the reference into the id as well, and ids without quotes.
        if str(resource.id).removeprefix("#") == local_id.removeprefix("#"):
            return resource
    return None


def _decode(raw: msgspec.Raw) -> lean.Resource | None:
    try:
        resource: lean.Resource | None = _resource.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return resource


def _index(referables: Iterable[Referable]) -> dict[tuple[str | None, str], lean.Resource]:
    index: dict[tuple[str | None, str], lean.Resource] = {}
    for referable in referables:
        if not is_acceptable(referable.resource):
            continue
        names = [referable.full_url] if referable.full_url else []
        if referable.resource.id:
            names.append(f"{referable.resource.resourceType}/{referable.resource.id}")
        for name in names:
            # The first one under a name stays; no scope means under any key.
            index.setdefault((referable.key, name), referable.resource)
            index.setdefault((None, name), referable.resource)
    return index


def is_acceptable(resource: lean.Resource) -> bool:
    """Whether nothing in a resource may change its meaning in a way that we do not know (FHIR R4 2.3.1).

    The parts that are read count too: any of them may carry a modifier extension.
    """
    if resource.modifierExtension or resource.implicitRules:
        return False
    for group in (resource.component, resource.dosageInstruction, resource.reaction, resource.condition):
        if group is not None and _has_modifier(group):
            return False
    dosage = resource.dosage
    if dosage is None:
        return True
    return not _has_modifier(dosage if isinstance(dosage, list) else [dosage])


def _has_modifier(
    parts: Sequence[lean.Component] | Sequence[lean.Dosage] | Sequence[lean.Reaction | lean.FamilyCondition],
) -> bool:
    return any(part.modifierExtension for part in parts)

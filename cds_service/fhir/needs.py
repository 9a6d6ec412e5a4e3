"""The table of needs: per need how far it was answered, and the resources of this patient that were found.

Reading fills it (`fhir.prefetch`), extraction reads it (`fhir.extract`); the rules never see it. The
resources stay in their lean shape; references between them are followed only when something asks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from cds_service.clinical.facts import DataIssue, IronSearch, Need, NeedState, Source
from cds_service.fhir import lean
from cds_service.fhir.decoding import Place, ResourceStore
from cds_service.fhir.references import ReferenceIndex
from cds_service.fhir.versions import FhirVersion

TYPE_NEEDS: Mapping[str, Need] = {
    "Patient": Need.PATIENT,
    "Condition": Need.CONDITIONS,
    "MedicationStatement": Need.MEDICATION_STATEMENTS,
    "MedicationRequest": Need.MEDICATION_REQUESTS,
    "MedicationAdministration": Need.IRON_TREATMENTS,
    "Procedure": Need.PROCEDURES,
    "AllergyIntolerance": Need.ALLERGIES,
    "ServiceRequest": Need.IRON_ORDERS,
    "FamilyMemberHistory": Need.FAMILY_HISTORY,
    "DeviceUseStatement": Need.DEVICE_USE,
    "Device": Need.DEVICES,
}
"""The need that a resource type fills by its mere type; Observations are told apart by their codes."""


class Item(msgspec.Struct, gc=False, frozen=True):
    """One readable resource of this patient; `full_url` is its Bundle.entry.fullUrl.

    A chart has thousands of them and most say nothing to the rules, so that `source` and `place` are made
    when they are asked for.
    """

    number: int
    resource: lean.Resource
    key: str
    path: tuple[int, ...] = ()
    full_url: str | None = None

    @property
    def source(self) -> Source:
        """The resource as facts name it; its key is unique in the request."""
        return Source(self.number, self.resource.resourceType or "", id_of(self.resource))

    @property
    def place(self) -> Place:
        """Where the resource stands in the prefetch."""
        return Place(self.key, self.path)


def id_of(resource: lean.Resource) -> str | None:
    """Return the id of a resource as text."""
    return None if resource.id is None else str(resource.id)


@dataclass(frozen=True, slots=True)
class Salvaged:
    """A resource that cannot be used, whose code could still be read.

    It exists, so that its absence must not be concluded: a laboratory result becomes an unreadable one.
    `when` is its effective date or its date of authoring as sent, None when it has none.
    """

    source: Source
    code: lean.CodeableConcept
    status: str | None = None
    when: str | None = None


@dataclass(slots=True)
class NeedsTable:
    """What the supplied data answers; `items_by_type` holds each resource once, by resource type.

    `unasked` are our own keys that were not supplied and ask something that nothing else answered,
    `next_links` the addresses of the pages that follow a supplied Bundle, by its key; `release` is the one
    in which the resources came.
    """

    states: Mapping[Need, NeedState]
    iron_searches: Mapping[IronSearch, NeedState]
    items_by_type: Mapping[str, Sequence[Item]]
    unasked: tuple[str, ...] = ()
    next_links: Mapping[str, str] = field(default_factory=dict)
    release: FhirVersion = FhirVersion.R4
    issues: tuple[DataIssue, ...] = ()
    salvaged: Sequence[Salvaged] = ()
    references: ReferenceIndex = field(default_factory=ReferenceIndex)
    store: ResourceStore = field(default_factory=lambda: ResourceStore({}))

    def items(self, resource_type: str) -> Sequence[Item]:
        """Return the resources of one type, () when there is none."""
        return self.items_by_type.get(resource_type, ())

    def resolve(self, reference: lean.Reference, item: Item) -> lean.Resource | None:
        """Return the resource that `item` refers to: contained, else of its own Bundle, else of any."""
        return self.references.resolve(reference, item.resource, item.key)

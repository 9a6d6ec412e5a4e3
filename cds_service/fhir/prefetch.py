"""From the prefetch to the table of needs: every supplied resource of this patient, and what was not said.

Thousands of resources may come and few matter. Each one costs a look at its type, an Observation one at
its codes too; only those that can become a fact are looked at further.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from cds_service.clinical.facts import DataIssue, IssueKind, NeedState, Source
from cds_service.fhir import lean
from cds_service.fhir.answers import OBSERVATION, Answers, Contents, read_self_link
from cds_service.fhir.decoding import (
    UNREADABLE,
    Head,
    HeadEntry,
    Place,
    ResourceStore,
    Supplied,
    decode_head,
    list_of,
    split_prefetch,
)
from cds_service.fhir.needs import TYPE_NEEDS, Item, NeedsTable, Salvaged
from cds_service.fhir.references import (
    REFERABLE_TYPES,
    Ownership,
    PatientMatcher,
    Referable,
    ReferenceIndex,
    is_acceptable,
)
from cds_service.fhir.salvage import Remains, remains_of, salvage
from cds_service.fhir.sieve import Sieve
from cds_service.fhir.versions import (
    FOREIGN_TYPES,
    FhirVersion,
    foreign_version,
    is_foreign_observation,
    version_of_hint,
)
from cds_service.knowledge import Terminology

READ_TYPES = frozenset(TYPE_NEEDS) | {OBSERVATION}
_OUTCOME = "OperationOutcome"
_BUNDLE = "Bundle"
_PATIENT = "Patient"
# The type that an issue names when the sender's own word for it is not one that we know.
_ANY_TYPE = "Resource"
_NO_DATA = frozenset({"warning", "information", "success"})
_link = msgspec.json.Decoder(lean.Link)
_number = msgspec.json.Decoder(int)
_outcome_issues = msgspec.json.Decoder(list[lean.OutcomeIssue])


@dataclass(frozen=True, slots=True)
class Call:
    """What the call says about its prefetch.

    `own_keys` maps the prefetch keys of our templates to the need that each fills (values of facts.Need).
    """

    own_keys: Mapping[str, str]
    patient_id: str
    fhir_server: str | None = None
    version_hint: str | None = None


def read_prefetch(prefetch: bytes | msgspec.Raw | None, call: Call, terminology: Terminology) -> NeedsTable:
    """Return the table of needs that a prefetch fills; raises PrefetchUnreadable if it is no object."""
    reader = _Reader(prefetch or b"{}", call, terminology)
    reader.read()
    return reader.table()


class _Reader:
    """The reading of one prefetch."""

    def __init__(self, prefetch: bytes | msgspec.Raw, call: Call, terminology: Terminology) -> None:
        values = split_prefetch(prefetch)
        self._supplied = [decode_head(key, raw) for key, raw in values.items()]
        self._store = ResourceStore(values)
        self._terminology = terminology
        self._call = call
        self._answers = Answers(call.own_keys, terminology)
        self._sieve = Sieve(terminology)
        self._matcher = PatientMatcher(call.patient_id, call.fhir_server, self._patient_names)
        hinted = version_of_hint(call.version_hint)
        self._hinted = None if hinted is FhirVersion.R4 else hinted
        self._items: dict[str, list[Item]] = {}
        self._count = 0
        self._seen: dict[tuple[str, str | int], lean.Resource] = {}
        self._issues: dict[tuple[IssueKind, str, str], int] = {}
        self._salvaged: list[Salvaged] = []
        self._referables: list[Place] = []
        self._damage: list[tuple[str, Contents, NeedState]] = []

    def read(self) -> None:
        """Read every value, then judge what each of them answers."""
        contents = [self._read_value(value) for value in self._supplied]
        for one in contents:
            self._answers.add_value(one)
        for resource_type, one, state in self._damage:
            self._answers.add(self._answers.questions_of_damage(resource_type, one), state)

    def table(self) -> NeedsTable:
        """Return what was read."""
        patients = self._items.get(_PATIENT)
        if patients is not None and len(patients) > 1:
            # Two versions of the patient: the fuller one, whatever their order.
            patients.sort(key=lambda item: _fullness(item.resource), reverse=True)
        store, places = self._store, self._referables
        return NeedsTable(
            states=self._answers.states(),
            iron_searches=self._answers.iron_searches(),
            items_by_type=self._items,
            issues=tuple(DataIssue(*issue, count) for issue, count in sorted(self._issues.items())),
            salvaged=tuple(self._salvaged),
            references=ReferenceIndex(lambda: _referables(store, places), self._call.fhir_server),
            store=store,
        )

    def _patient_names(self) -> Iterator[str]:
        """Yield the entry addresses under which the patient's own resource was supplied."""
        waiting = [(Place(one.key), one.head) for one in self._supplied if one.head is not None]
        while waiting:
            place, bundle = waiting.pop()
            for number, entry in enumerate(bundle.entry or ()):
                head = entry.resource if entry is not None else None
                if head is None or head.resourceType not in {_BUNDLE, _PATIENT}:
                    continue
                inner = Place(place.key, (*place.path, number))
                if head.resourceType == _BUNDLE:
                    waiting.append((inner, head))
                else:
                    yield from self._names_of_patient(inner)

    def _names_of_patient(self, place: Place) -> Iterator[str]:
        entry = self._decode(place)
        if entry is None or entry.resource is None or not entry.fullUrl:
            return
        if self._matcher.owner_of_patient(entry.resource.id) is Ownership.OWN:
            yield entry.fullUrl

    def _decode(self, place: Place) -> lean.Entry | None:
        try:
            return self._store.entry(place)
        except UNREADABLE:
            return None

    def _note(self, kind: IssueKind, resource_type: str, detail: str) -> None:
        issue = (kind, resource_type if resource_type in _NAMED_TYPES else _ANY_TYPE, detail)
        self._issues[issue] = self._issues.get(issue, 0) + 1

    # ------------------------------------------------------------------------------------ values
    def _read_value(self, supplied: Supplied) -> Contents:
        contents = Contents(supplied.key)
        if not supplied.is_readable:
            contents.is_failed = True
            self._note(IssueKind.WRONG_SHAPE, _ANY_TYPE, "prefetch value is not a resource")
        elif supplied.head is not None:
            self._read_top(supplied.head, contents)
        if self._hinted is not None and contents.matches:
            contents.is_failed = True
        if contents.is_failed:
            self._note(IssueKind.SEARCH_FAILED, _ANY_TYPE, "prefetch value reports an error or is unreadable")
        elif contents.is_cut_off:
            self._note(IssueKind.CUT_OFF, _BUNDLE, "not every page or entry was supplied readably")
        return contents

    def _read_top(self, head: Head, contents: Contents) -> None:
        if head.resourceType == _BUNDLE:
            self._read_bundle(head, contents)
        elif not head.resourceType:
            contents.is_failed = True
            self._note(IssueKind.WRONG_SHAPE, _ANY_TYPE, "resourceType missing")
        else:
            self._read_entries([HeadEntry(resource=head)], contents, None)

    def _read_bundle(self, bundle: Head, contents: Contents) -> None:
        if _is_given(bundle.implicitRules):
            contents.is_failed = True
            self._note(IssueKind.MODIFIER_EXTENSION, _BUNDLE, "implicitRules")
            return
        self._read_links(bundle, contents)
        self._read_entries(bundle.entry or (), contents, ())
        total = _total(bundle)
        if total is not None and total > contents.matches:
            contents.is_cut_off = True

    def _read_links(self, bundle: Head, contents: Contents) -> None:
        for raw in list_of(bundle.link):
            try:
                link = _link.decode(raw)
            except UNREADABLE:
                # It may have been the link to the next page.
                contents.is_cut_off = True
                continue
            if link.relation == "next":
                contents.is_cut_off = True
            elif link.relation == "self":
                contents.self_link = read_self_link(link.url, self._terminology)

    def _read_entries(
        self, entries: Sequence[HeadEntry | None], contents: Contents, path: tuple[int, ...] | None
    ) -> None:
        """Go through the resources of a Bundle at `path`; None stands for a value that is one resource."""
        keeps, held, key = self._sieve.keeps, contents.held, contents.key
        for number, entry in enumerate(entries):
            if entry is None or (head := entry.resource) is None:
                continue
            search = entry.search
            is_match = search is None or search.mode != "include"
            resource_type = head.resourceType
            if resource_type not in READ_TYPES:
                place = Place(key, () if path is None else (*path, number))
                self._take_other(head, contents, place, is_match=is_match)
                continue
            contents.matches += is_match
            is_kept = keeps(head, resource_type)
            if is_kept or (resource_type not in held and resource_type != OBSERVATION):
                place = Place(key, () if path is None else (*path, number))
                self._take(resource_type, contents, place, is_match=is_match, is_kept=is_kept)
            elif not contents.has_laboratory and is_match and resource_type == OBSERVATION:
                self._look_at_unread(head, contents)

    def _look_at_unread(self, head: Head, contents: Contents) -> None:
        """Note that a Bundle holds (laboratory) Observations, by one that becomes no result."""
        is_laboratory = b'"laboratory"' in bytes(head.category).lower()
        if OBSERVATION in contents.held and not is_laboratory:
            return
        if self._hinted is not None or is_foreign_observation(head.category, head.context):
            self._refuse_version(OBSERVATION, contents)
        elif self._matcher.owner_of_raw(head.subject) in _USABLE:
            contents.held.add(OBSERVATION)
            contents.has_laboratory = is_laboratory

    def _take_other(self, head: Head, contents: Contents, place: Place, *, is_match: bool) -> None:
        """Take a resource of a type that no need is made of."""
        resource_type = head.resourceType
        if resource_type == _BUNDLE:
            self._read_inner(head, contents, place)
        elif resource_type == _OUTCOME:
            contents.is_failed = contents.is_failed or _is_error(head)
        elif not resource_type:
            contents.is_cut_off = True
            self._note(IssueKind.WRONG_SHAPE, _ANY_TYPE, "resource without a readable resourceType")
        else:
            contents.matches += is_match
            if resource_type in FOREIGN_TYPES:
                self._refuse_version(FOREIGN_TYPES[resource_type], contents)
            elif is_match:
                contents.held.add(resource_type)
            if resource_type in REFERABLE_TYPES:
                self._referables.append(place)

    def _read_inner(self, bundle: Head, contents: Contents, place: Place) -> None:
        """Read a Bundle inside a Bundle as part of it: its links tell only whether it was cut off."""
        links = Contents(contents.key)
        self._read_links(bundle, links)
        contents.is_cut_off = contents.is_cut_off or links.is_cut_off
        if _is_given(bundle.implicitRules):
            contents.is_cut_off = True
            self._note(IssueKind.MODIFIER_EXTENSION, _BUNDLE, "implicitRules")
            return
        self._read_entries(bundle.entry or (), contents, place.path)

    # --------------------------------------------------------------------------------- resources
    def _take(
        self, resource_type: str, contents: Contents, place: Place, *, is_match: bool, is_kept: bool
    ) -> None:
        """Read a resource in full and keep it, unless something forbids it.

        One that is not kept still shows, by its version and subject, what its Bundle answers.
        """
        entry = self._decode(place)
        if entry is None or entry.resource is None:
            self._read_broken(resource_type, contents, place, is_match=is_match)
            return
        resource = entry.resource
        if self._hinted is not None or foreign_version(resource) is not None:
            self._refuse_version(resource_type, contents)
            return
        owner = self._owner(resource, resource_type)
        if owner not in _USABLE:
            self._leave_out(resource_type, contents, owner)
            return
        if is_match:
            contents.held.add(resource_type)
            if resource_type == OBSERVATION and not contents.has_laboratory:
                contents.has_laboratory = self._sieve.is_laboratory(resource)
        if is_kept:
            self._keep(entry, resource, resource_type, contents, place)

    def _keep(
        self, entry: lean.Entry, resource: lean.Resource, resource_type: str, contents: Contents, place: Place
    ) -> None:
        if entry.modifierExtension or not is_acceptable(resource):
            self._note(IssueKind.MODIFIER_EXTENSION, resource_type, "modifierExtension or implicitRules")
            self._bury(resource_type, remains_of(resource), contents)
            return
        if self._is_repeated(resource, resource_type):
            return
        if resource_type != _PATIENT and _has_no_subject(resource):
            self._note(IssueKind.CLEANED, resource_type, "subject missing, taken as the patient of the call")
        item = Item(self._next_number(), resource, place.key, place.path, entry.fullUrl)
        self._items.setdefault(resource_type, []).append(item)

    def _owner(self, resource: lean.Resource, resource_type: str) -> Ownership:
        if resource_type == _PATIENT:
            return self._matcher.owner_of_patient(resource.id)
        return self._matcher.owner(resource.subject or resource.patient)

    def _next_number(self) -> int:
        self._count += 1
        return self._count

    def _is_repeated(self, resource: lean.Resource, resource_type: str) -> bool:
        """Whether the same resource was kept before; two versions under one id both count."""
        if not resource.id:
            return False
        earlier = self._seen.setdefault((resource_type, resource.id), resource)
        return earlier is not resource and earlier == resource

    def _leave_out(self, resource_type: str, contents: Contents, owner: Ownership) -> None:
        self._note(IssueKind.OTHER_PATIENT, resource_type, owner.value)
        if owner is Ownership.UNVERIFIABLE:
            self._damage.append((resource_type, contents, NeedState.CUT_OFF))

    def _refuse_version(self, resource_type: str, contents: Contents) -> None:
        self._note(IssueKind.UNKNOWN_VERSION, resource_type, "not FHIR R4")
        self._damage.append((resource_type, contents, NeedState.FAILED))

    def _read_broken(self, resource_type: str, contents: Contents, place: Place, *, is_match: bool) -> None:
        remains = salvage(self._store.text(place))
        if resource_type == _PATIENT:
            owner = self._matcher.owner_of_patient(remains.resource_id)
        else:
            owner = self._matcher.owner(remains.subject)
        if owner is Ownership.OTHER:
            self._leave_out(resource_type, contents, Ownership.OTHER)
            return
        self._note(IssueKind.WRONG_SHAPE, resource_type, "element of an unexpected type")
        if is_match:
            contents.held.add(resource_type)
        self._bury(resource_type, remains, contents)

    def _bury(self, resource_type: str, remains: Remains, contents: Contents) -> None:
        """Make sure that nobody concludes the absence of what an unusable resource may have said."""
        code = remains.code
        if resource_type == OBSERVATION and code is not None:
            if self._sieve.may_matter(resource_type, code):
                self._salvage(resource_type, remains, code)
            return
        if code is not None and not self._sieve.may_matter(resource_type, code):
            return
        state = NeedState.FAILED if resource_type == _PATIENT else NeedState.CUT_OFF
        self._damage.append((resource_type, contents, state))
        if code is not None:
            self._salvage(resource_type, remains, code)

    def _salvage(self, resource_type: str, remains: Remains, code: lean.CodeableConcept) -> None:
        source = Source(self._next_number(), resource_type, remains.resource_id)
        self._salvaged.append(Salvaged(source, code, remains.status, remains.when))


_USABLE = frozenset({Ownership.OWN, Ownership.UNSTATED})
_NAMED_TYPES = READ_TYPES | REFERABLE_TYPES | frozenset(FOREIGN_TYPES) | {_BUNDLE, _OUTCOME}


def _has_no_subject(resource: lean.Resource) -> bool:
    subject = resource.subject or resource.patient
    return subject is None or not subject.reference


def _is_given(raw: msgspec.Raw) -> bool:
    return bytes(raw) not in (b"", b"null", b'""')


def _is_error(outcome: Head) -> bool:
    """Whether an OperationOutcome says more than "nothing found": error, fatal, or nothing readable."""
    try:
        issues = _outcome_issues.decode(outcome.issue)
    except UNREADABLE:
        return True
    severities = {(issue.severity or "").lower() for issue in issues}
    return not severities or not severities <= _NO_DATA


def _total(bundle: Head) -> int | None:
    try:
        return _number.decode(bundle.total)
    except UNREADABLE:
        return None


def _fullness(resource: lean.Resource) -> tuple[int, bytes]:
    text = msgspec.json.encode(resource)
    return len(text), text


def _referables(store: ResourceStore, places: Sequence[Place]) -> Iterator[Referable]:
    """Yield the resources that others refer to; an unreadable one is as if not supplied."""
    for place in places:
        try:
            entry = store.entry(place)
        except UNREADABLE:
            continue
        if entry.resource is not None:
            yield Referable(place.key, entry.fullUrl, entry.resource)

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
from cds_service.fhir.decoding import UNREADABLE, Broken, Supplied, decode_prefetch
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
from cds_service.fhir.versions import FOREIGN_TYPES, FhirVersion, foreign_version, version_of_hint
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


@dataclass(frozen=True, slots=True)
class Call:
    """What the call says about its prefetch.

    `own_keys` maps the prefetch keys of our templates to the need that each fills (values of facts.Need).
    """

    own_keys: Mapping[str, str]
    patient_id: str
    fhir_server: str | None = None
    version_hint: str | None = None


def read_prefetch(prefetch: bytes | None, call: Call, terminology: Terminology) -> NeedsTable:
    """Return the table of needs that a prefetch fills; raises PrefetchUnreadable on anything but an object."""
    supplied = decode_prefetch(prefetch) if prefetch is not None else []
    reader = _Reader(call, terminology, supplied)
    reader.read()
    return reader.table()


class _Reader:
    """The reading of one prefetch."""

    def __init__(self, call: Call, terminology: Terminology, supplied: Sequence[Supplied]) -> None:
        self._supplied = supplied
        self._terminology = terminology
        self._server = call.fhir_server
        self._answers = Answers(call.own_keys, terminology)
        self._sieve = Sieve(terminology)
        self._matcher = PatientMatcher(
            call.patient_id, call.fhir_server, lambda: _patient_names(supplied, call.patient_id)
        )
        hinted = version_of_hint(call.version_hint)
        self._hinted = None if hinted is FhirVersion.R4 else hinted
        self._items: dict[str, list[Item]] = {}
        self._count = 0
        self._seen: dict[tuple[str, str | int], lean.Resource] = {}
        self._issues: dict[tuple[IssueKind, str, str], int] = {}
        self._salvaged: list[Salvaged] = []
        self._referables: list[Referable] = []
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
        return NeedsTable(
            states=self._answers.states(),
            iron_searches=self._answers.iron_searches(),
            items_by_type=self._items,
            issues=tuple(DataIssue(*issue, count) for issue, count in sorted(self._issues.items())),
            salvaged=tuple(self._salvaged),
            references=ReferenceIndex(self._referables, self._server),
        )

    def _note(self, kind: IssueKind, resource_type: str, detail: str) -> None:
        issue = (kind, resource_type if resource_type in _NAMED_TYPES else _ANY_TYPE, detail)
        self._issues[issue] = self._issues.get(issue, 0) + 1

    # ------------------------------------------------------------------------------------ values
    def _read_value(self, supplied: Supplied) -> Contents:
        contents = Contents(supplied.key)
        value = supplied.value
        if not supplied.is_readable:
            contents.is_failed = True
            self._note(IssueKind.WRONG_SHAPE, _ANY_TYPE, "prefetch value is not a resource")
        elif value is not None:
            self._read_top(value, contents)
        for broken in supplied.broken:
            self._read_broken(broken, contents)
        if self._hinted is not None and contents.matches:
            contents.is_failed = True
        if contents.is_failed:
            self._note(IssueKind.SEARCH_FAILED, _ANY_TYPE, "prefetch value reports an error or is unreadable")
        elif contents.is_cut_off:
            self._note(IssueKind.CUT_OFF, _BUNDLE, "not every page or entry was supplied readably")
        return contents

    def _read_top(self, value: lean.Resource, contents: Contents) -> None:
        resource_type = value.resourceType
        if resource_type == _BUNDLE:
            self._read_bundle(value, contents)
        elif not resource_type:
            contents.is_failed = True
            self._note(IssueKind.WRONG_SHAPE, _ANY_TYPE, "resourceType missing")
        elif resource_type == OBSERVATION and not self._sieve.is_read(value):
            contents.matches += 1
            self._look_at_unread(value, contents)
        elif resource_type in READ_TYPES:
            contents.matches += 1
            self._take(value, resource_type, contents, (), None, is_match=True)
        else:
            contents.matches += resource_type != _OUTCOME
            self._take_other(value, contents, (), None, is_match=True)

    def _read_bundle(self, bundle: lean.Resource, contents: Contents) -> None:
        if bundle.implicitRules:
            contents.is_failed = True
            self._note(IssueKind.MODIFIER_EXTENSION, _BUNDLE, "implicitRules")
            return
        self._read_links(bundle, contents)
        self._read_entries(bundle, contents, ())
        total = _total(bundle)
        if total is not None and total > contents.matches:
            contents.is_cut_off = True

    def _read_links(self, bundle: lean.Resource, contents: Contents) -> None:
        for raw in bundle.link or ():
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

    def _read_entries(self, bundle: lean.Resource, contents: Contents, path: tuple[int, ...]) -> None:
        is_read = self._sieve.is_read
        matches = 0
        for number, entry in enumerate(bundle.entry or ()):
            if entry is None or (resource := entry.resource) is None:
                continue
            search = entry.search
            is_match = search is None or search.mode != "include"
            matches += is_match
            resource_type = resource.resourceType
            if resource_type == OBSERVATION and not is_read(resource):
                if is_match and not contents.has_laboratory:
                    self._look_at_unread(resource, contents)
            elif resource_type in READ_TYPES:
                place = (*path, number)
                if entry.modifierExtension:
                    self._refuse(resource, resource_type, contents, "modifierExtension of the entry")
                else:
                    self._take(resource, resource_type, contents, place, entry.fullUrl, is_match=is_match)
            else:
                matches -= is_match and resource_type in _CONTAINERS
                self._take_other(resource, contents, (*path, number), entry.fullUrl, is_match=is_match)
        contents.matches += matches

    def _look_at_unread(self, resource: lean.Resource, contents: Contents) -> None:
        """Note that there are Observations, and laboratory ones, though this one becomes no result."""
        if self._matcher.owner(resource.subject) in _USABLE:
            contents.held.add(OBSERVATION)
            contents.has_laboratory = self._sieve.is_laboratory(resource)

    def _take_other(
        self,
        resource: lean.Resource,
        contents: Contents,
        path: tuple[int, ...],
        full_url: str | None,
        *,
        is_match: bool,
    ) -> None:
        """Take a resource of a type that no need is made of."""
        resource_type = resource.resourceType
        if resource_type == _BUNDLE:
            self._read_links_of_inner(resource, contents)
            self._read_entries(resource, contents, path)
        elif resource_type == _OUTCOME:
            contents.is_failed = contents.is_failed or _is_error(resource)
        elif not resource_type:
            contents.is_cut_off = True
            self._note(IssueKind.WRONG_SHAPE, _ANY_TYPE, "resourceType missing")
        elif resource_type in FOREIGN_TYPES:
            self._refuse_version(FOREIGN_TYPES[resource_type], contents)
        else:
            if is_match:
                contents.held.add(resource_type)
            if resource_type in REFERABLE_TYPES:
                self._take_referable(resource, resource_type, contents, full_url)

    def _read_links_of_inner(self, bundle: lean.Resource, contents: Contents) -> None:
        """Take from an inner Bundle only whether it was cut off: it does not name the outer search."""
        inner = Contents(contents.key)
        self._read_links(bundle, inner)
        contents.is_cut_off = contents.is_cut_off or inner.is_cut_off or bool(bundle.implicitRules)

    def _take_referable(
        self, resource: lean.Resource, resource_type: str, contents: Contents, full_url: str | None
    ) -> None:
        if is_acceptable(resource):
            self._referables.append(Referable(contents.key, full_url, resource))
        else:
            self._note(IssueKind.MODIFIER_EXTENSION, resource_type, "modifierExtension or implicitRules")

    # --------------------------------------------------------------------------------- resources
    def _take(
        self,
        resource: lean.Resource,
        resource_type: str,
        contents: Contents,
        path: tuple[int, ...],
        full_url: str | None,
        *,
        is_match: bool,
    ) -> None:
        """Keep a resource of a type that we read, unless something forbids it."""
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
        if owner is Ownership.UNSTATED:
            self._note(IssueKind.CLEANED, resource_type, "subject missing, taken as the patient of the call")
        if not is_acceptable(resource):
            self._refuse(resource, resource_type, contents, "modifierExtension or implicitRules")
        elif not self._is_repeated(resource, resource_type):
            items = self._items.setdefault(resource_type, [])
            items.append(Item(self._next_number(), resource, contents.key, path, full_url))

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

    def _refuse(self, resource: lean.Resource, resource_type: str, contents: Contents, why: str) -> None:
        self._note(IssueKind.MODIFIER_EXTENSION, resource_type, why)
        self._bury(resource_type, remains_of(resource), contents)

    def _read_broken(self, broken: Broken, contents: Contents) -> None:
        remains = salvage(broken.raw)
        resource_type = remains.resource_type
        self._note(IssueKind.WRONG_SHAPE, resource_type or _ANY_TYPE, "element of an unexpected type")
        if resource_type is None:
            contents.is_cut_off = True
            return
        contents.matches += not broken.is_included
        if resource_type in FOREIGN_TYPES:
            self._refuse_version(FOREIGN_TYPES[resource_type], contents)
        elif resource_type == _OUTCOME:
            contents.is_failed = True
        elif resource_type not in READ_TYPES:
            contents.held.add(resource_type)
        elif self._matcher.owner(remains.subject) is Ownership.OTHER:
            self._leave_out(resource_type, contents, Ownership.OTHER)
        else:
            contents.held.add(resource_type)
            self._bury(resource_type, remains, contents)

    def _bury(self, resource_type: str, remains: Remains, contents: Contents) -> None:
        """Make sure that nobody concludes the absence of what an unusable resource may have said."""
        code = remains.code
        if resource_type == OBSERVATION and code is not None:
            if self._sieve.is_read_code(code):
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
_CONTAINERS = frozenset({_BUNDLE, _OUTCOME})
_NAMED_TYPES = READ_TYPES | REFERABLE_TYPES | frozenset(FOREIGN_TYPES) | _CONTAINERS


def _is_error(outcome: lean.Resource) -> bool:
    """Whether an OperationOutcome says more than "nothing found": error, fatal, or nothing readable."""
    severities = {(issue.severity or "").lower() for issue in outcome.issue or ()}
    return not severities or not severities <= _NO_DATA


def _total(bundle: lean.Resource) -> int | None:
    try:
        return _number.decode(bundle.total)
    except UNREADABLE:
        return None


def _fullness(resource: lean.Resource) -> tuple[int, bytes]:
    text = msgspec.json.encode(resource)
    return len(text), text


def _patient_names(supplied: Sequence[Supplied], patient_id: str) -> Iterator[str]:
    """Yield the entry addresses under which the patient's own resource was supplied."""
    waiting = [one.value for one in supplied if one.value is not None]
    while waiting:
        for entry in waiting.pop().entry or ():
            resource = entry.resource if entry is not None else None
            if entry is None or resource is None:
                continue
            if resource.resourceType == _BUNDLE:
                waiting.append(resource)
            elif resource.resourceType == _PATIENT and resource.id == patient_id and entry.fullUrl:
                yield entry.fullUrl

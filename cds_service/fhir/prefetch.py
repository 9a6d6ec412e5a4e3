"""From the prefetch to the table of needs: every supplied resource of this patient, and what was not said.

Thousands of resources may come and few matter. Each one costs a look at its type, an Observation one at
its codes too; only those that can become a fact are looked at further.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import msgspec

from cds_service.clinical.facts import DataIssue, IssueKind, NeedState, Source
from cds_service.fhir import lean
from cds_service.fhir.answers import OBSERVATION, Answers, Contents
from cds_service.fhir.bundles import (
    degrade,
    entries_of,
    modifier_of,
    outcome_state,
    read_links,
    response_state,
    total_of,
)
from cds_service.fhir.decoding import (
    UNREADABLE,
    Call,
    Fetched,
    Head,
    HeadEntry,
    Place,
    ResourceStore,
    Supplied,
    decode_head,
    pages_by_key,
    split_prefetch,
)
from cds_service.fhir.needs import TYPE_NEEDS, Item, NeedsTable, Salvaged
from cds_service.fhir.ownership import (
    Ownership,
    PatientMatcher,
    SuppliedPatient,
    find_patients,
    subject_gap,
    worst,
)
from cds_service.fhir.references import REFERABLE_TYPES, ReferenceIndex, find_referables, is_acceptable
from cds_service.fhir.repeats import repeated_keys
from cds_service.fhir.salvage import Remains, remains_of, salvage
from cds_service.fhir.sieve import Sieve
from cds_service.fhir.translation import Translated, translate
from cds_service.fhir.versions import (
    FOREIGN_TYPES,
    FhirVersion,
    is_foreign,
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
# No address in a reference can be like it: it holds a blank.
_NO_SERVER = "no server"


def read_prefetch(prefetch: bytes | msgspec.Raw | None, call: Call, terminology: Terminology) -> NeedsTable:
    """Return the table of needs that a prefetch fills; raises PrefetchUnreadable if it is no object."""
    supplied = split_prefetch(prefetch or b"{}")
    call = replace(call, repeated=repeated_keys(prefetch or b"{}", supplied))
    values = {**supplied, **pages_by_key(call.fetched)}
    try:
        return _read(values, call, terminology)
    except _ContestedError as contested:
        return _read(values, replace(call, fhir_server=contested.base or _NO_SERVER), terminology)


def _read(values: Mapping[str, msgspec.Raw], call: Call, terminology: Terminology) -> NeedsTable:
    hinted = version_of_hint(call.version_hint)
    if hinted in {None, FhirVersion.R4}:
        # Nearly every record is R4: it is read at once, and rewritten only when it shows that it is not.
        with suppress(_NotR4):
            return _Reader(values, call, terminology).read()
    if hinted is FhirVersion.OTHER:
        return _Reader(values, call, terminology, Translated(values, {}, {}), is_unknown=True).read()
    translated = translate(values, hinted)
    return _Reader(translated.values, call, terminology, translated).read()


class _NotR4(Exception):
    """Raised while reading R4 at the first resource that certainly is not."""


class _ContestedError(Exception):
    """Raised where one patient id occurs on several servers, none of which the call names."""

    def __init__(self, base: str) -> None:
        self.base = base


class _Reader:
    """The reading of one prefetch; `translated` when it was rewritten before, `is_unknown` when it cannot be.

    Without `translated`, a resource that is not R4 ends the reading.
    """

    def __init__(
        self,
        values: Mapping[str, msgspec.Raw],
        call: Call,
        terminology: Terminology,
        translated: Translated | None = None,
        *,
        is_unknown: bool = False,
    ) -> None:
        pages = {key for one in call.fetched for key in one.place_keys}
        heads = {key: decode_head(key, raw) for key, raw in values.items()}
        self._supplied = [head for key, head in heads.items() if key not in pages]
        self._pages = {key: head for key, head in heads.items() if key in pages}
        self._store = ResourceStore(values, translated.origins if translated is not None else None)
        self._translated = translated
        self._is_unknown = is_unknown
        self._terminology = terminology
        self._call = call
        self._answers = Answers(call.own_keys, terminology)
        self._sieve = Sieve(terminology)
        self._matcher = PatientMatcher(call.patient_id, call.fhir_server, self._patients)
        self._items: dict[str, list[Item]] = {}
        self._count = 0
        self._seen: dict[tuple[str, str | int], lean.Resource] = {}
        self._issues: dict[tuple[IssueKind, str, str], int] = {}
        self._salvaged: list[Salvaged] = []
        self._referables: list[Place] = []
        self._damage: list[tuple[str, Contents, NeedState]] = []
        self._next_links: dict[str, str] = {}

    def read(self) -> NeedsTable:
        """Return the table, after reading every value and judging what each of them answers."""
        added = {one.key: one for one in self._call.fetched}
        for value in self._supplied:
            self._read_value(value.key, [value], added.pop(value.key, None))
        for key, one in added.items():
            self._read_value(key, [], one)
        base = self._matcher.contested_base()
        if base is not None:
            raise _ContestedError(base)
        for resource_type, contents, state in self._damage:
            self._answers.add(self._answers.questions_of_damage(resource_type, contents), state)
        for (resource_type, version), count in self._translated.counts.items() if self._translated else ():
            self._issues[IssueKind.CLEANED, resource_type, f"read from FHIR {version}"] = count
        return self._table()

    def _table(self) -> NeedsTable:
        keys = {value.key for value in self._supplied}
        patients = self._items.get(_PATIENT)
        if patients is not None and len(patients) > 1:
            # Two versions of the patient: the fuller one, whatever their order.
            patients.sort(key=lambda item: _fullness(item.resource), reverse=True)
        store, places = self._store, self._referables
        return NeedsTable(
            states=self._answers.states(),
            iron_searches=self._answers.iron_searches(),
            items_by_type=self._items,
            unasked=tuple(
                key for key in self._call.own_keys if key not in keys and self._answers.is_open(key)
            ),
            next_links=self._next_links,
            release=FhirVersion.R4 if self._translated is None else self._translated.release,
            issues=tuple(DataIssue(*issue, count) for issue, count in sorted(self._issues.items())),
            salvaged=tuple(self._salvaged),
            references=ReferenceIndex(lambda: find_referables(store, places), self._call.fhir_server),
            store=store,
        )

    def _patients(self) -> Iterator[SuppliedPatient]:
        supplied = (*self._supplied, *self._pages.values())
        heads = ((Place(one.key), one.head) for one in supplied if one.head is not None)
        return find_patients(heads, self._store)

    def _decode(self, place: Place) -> lean.Entry | None:
        try:
            return self._store.entry(place)
        except UNREADABLE:
            return None

    def _note(self, kind: IssueKind, resource_type: str, detail: str) -> None:
        issue = (kind, resource_type if resource_type in _NAMED_TYPES else _ANY_TYPE, detail)
        self._issues[issue] = self._issues.get(issue, 0) + 1

    # ------------------------------------------------------------------------------------ values
    def _read_value(self, key: str, supplied: list[Supplied], fetched: Fetched | None) -> None:
        """Read one value: as it was supplied, and the pages that the FHIR server added to it."""
        contents = Contents(key)
        if key in self._call.repeated:
            contents.is_failed = True
            self._note(IssueKind.WRONG_SHAPE, _ANY_TYPE, "prefetch key repeated")
        if fetched is not None:
            supplied = [*supplied, *(self._pages[page] for page in fetched.place_keys)]
            contents.is_failed |= fetched.problem is not None and not supplied
            self._note_problem(fetched)
        for page in supplied:
            self._read_page(page, contents)
        if self._is_unknown and contents.matches:
            contents.is_failed = True
        if contents.next_url is not None or contents.total > contents.matches:
            contents.is_cut_off = True
        if contents.is_failed and supplied:
            self._note(IssueKind.SEARCH_FAILED, _ANY_TYPE, "prefetch value reports an error or is unreadable")
        elif contents.is_cut_off:
            self._note(IssueKind.CUT_OFF, _BUNDLE, "not every page or entry was supplied readably")
            if contents.next_url:
                self._next_links[key] = contents.next_url
        if fetched is None or not fetched.is_lookup:
            self._answers.add_value(contents)

    def _note_problem(self, fetched: Fetched) -> None:
        if fetched.problem is not None:
            self._note(IssueKind.SEARCH_FAILED, fetched.resource_type, f"FHIR server: {fetched.problem}")

    def _read_page(self, supplied: Supplied, contents: Contents) -> None:
        contents.page = supplied.key
        contents.next_url = None
        if not supplied.is_readable:
            contents.is_failed = True
            self._note(IssueKind.WRONG_SHAPE, _ANY_TYPE, "prefetch value is not a resource")
        elif supplied.head is not None:
            self._read_top(supplied.head, contents)

    def _read_top(self, head: Head, contents: Contents) -> None:
        if head.resourceType == _BUNDLE:
            self._read_bundle(head, contents, Place(contents.page))
        elif not head.resourceType:
            contents.is_failed = True
            self._note(IssueKind.WRONG_SHAPE, _ANY_TYPE, "resourceType missing")
        else:
            self._read_entries([HeadEntry(resource=head)], contents, None)

    def _read_bundle(self, bundle: Head, contents: Contents, place: Place) -> None:
        if modifier := modifier_of(bundle):
            contents.is_failed = True
            self._note(IssueKind.MODIFIER_EXTENSION, _BUNDLE, modifier)
            return
        read_links(bundle, contents, self._terminology)
        self._read_entries(entries_of(bundle, contents, self._store, place), contents, place.path)
        total = total_of(bundle)
        contents.total = max(contents.total, total or 0)
        contents.is_cut_off |= total is None

    def _read_entries(
        self, entries: Sequence[HeadEntry | None], contents: Contents, path: tuple[int, ...] | None
    ) -> None:
        """Go through the resources of a Bundle at `path`; None stands for a value that is one resource."""
        keeps, held, key = self._sieve.keeps, contents.held, contents.page
        for number, entry in enumerate(entries):
            if entry is None or (head := entry.resource) is None:
                self._read_hollow(entry, contents)
                continue
            if entry.response is not lean.ABSENT:
                degrade(contents, response_state(entry.response))
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
                self._look_at_unread(head, contents, (*(path or ()), number))

    def _read_hollow(self, entry: HeadEntry | None, contents: Contents) -> None:
        """Note an entry that holds no resource where one belongs."""
        contents.is_cut_off = True
        self._note(IssueKind.WRONG_SHAPE, _BUNDLE, "entry without a readable resource")
        if entry is not None and entry.response is not lean.ABSENT:
            degrade(contents, response_state(entry.response))

    def _look_at_unread(self, head: Head, contents: Contents, path: tuple[int, ...]) -> None:
        """Note that a Bundle holds (laboratory) Observations, by one that becomes no result."""
        is_laboratory = b'"laboratory"' in bytes(head.category).lower()
        if OBSERVATION in contents.held and not is_laboratory:
            return
        if self._is_unknown or is_foreign_observation(head.category, head.context):
            self._refuse_version(OBSERVATION, contents)
        elif self._matcher.owner_of_raw(head.subject, Place(contents.page, path)) in _USABLE:
            contents.held.add(OBSERVATION)
            contents.has_laboratory = is_laboratory

    def _take_other(self, head: Head, contents: Contents, place: Place, *, is_match: bool) -> None:
        """Take a resource of a type that no need is made of."""
        resource_type = head.resourceType
        if resource_type == _BUNDLE:
            self._read_inner(head, contents, place)
        elif resource_type == _OUTCOME:
            degrade(contents, outcome_state(head))
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
        read_links(bundle, links, self._terminology)
        contents.is_cut_off |= links.is_cut_off or links.next_url is not None
        if modifier := modifier_of(bundle):
            contents.is_cut_off = True
            self._note(IssueKind.MODIFIER_EXTENSION, _BUNDLE, modifier)
            return
        matches, total = contents.matches, total_of(bundle)
        self._read_entries(entries_of(bundle, contents, self._store, place), contents, place.path)
        contents.is_cut_off |= total is None or total > contents.matches - matches

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
        if self._is_unknown or is_foreign(resource):
            self._refuse_version(resource_type, contents)
            return
        owner = self._owner(resource, resource_type, place)
        if owner not in _USABLE:
            self._leave_out(resource_type, contents, owner)
            return
        if is_match:
            contents.held.add(resource_type)
            if resource_type == OBSERVATION and not contents.has_laboratory:
                contents.has_laboratory = self._sieve.is_laboratory(resource)
        if is_kept and self._is_judgeable(resource, contents):
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
        if resource_type != _PATIENT and (gap := subject_gap(resource)):
            self._note(IssueKind.CLEANED, resource_type, gap)
        item = Item(self._next_number(), resource, place.key, place.path, entry.fullUrl)
        self._items.setdefault(resource_type, []).append(item)

    def _is_judgeable(self, resource: lean.Resource, contents: Contents) -> bool:
        """Whether it can be told what a resource is about; an Observation that hides it may be any result."""
        if resource.resourceType != OBSERVATION or self._sieve.is_judgeable(resource.code):
            return True
        contents.is_cut_off |= self._answers.asks_results(contents)
        return bool(resource.component)

    def _owner(self, resource: lean.Resource, resource_type: str, place: Place) -> Ownership:
        if resource_type == _PATIENT:
            return self._matcher.owner_of_patient(resource.id)
        return self._matcher.owner(resource, place)

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
        if self._translated is None:
            raise _NotR4
        self._note(IssueKind.UNKNOWN_VERSION, resource_type, "not recognised as FHIR DSTU2, STU3, R4 or R5")
        self._damage.append((resource_type, contents, NeedState.FAILED))

    def _read_broken(self, resource_type: str, contents: Contents, place: Place, *, is_match: bool) -> None:
        remains = salvage(self._store.text(place))
        if resource_type == _PATIENT:
            owner = self._matcher.owner_of_patient(remains.resource_id)
        else:
            owner_by = self._matcher.owner_by
            owner = worst(owner_by(remains.subject, place), owner_by(remains.patient, place))
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
        if resource_type == OBSERVATION and not self._sieve.is_judgeable(code):
            code = None
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


def _fullness(resource: lean.Resource) -> tuple[int, bytes]:
    text = msgspec.json.encode(resource)
    return len(text), text

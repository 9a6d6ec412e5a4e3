"""L0, the first level of strictness: a typed decode of just the elements that are read (FHIR R4).

One struct stands for every resource type: an unknown type must not fail the decode, and the fields
that can change the meaning of a resource are present whatever its type. A value of the wrong shape
makes that one resource unreadable (`fhir.prefetch` then decodes entry by entry and records it).
Numbers stay raw JSON text so that `Decimal` is exact.
"""

from typing import Annotated

import msgspec

ABSENT = msgspec.Raw(b"")
"""The value of a raw element that is not there (a raw element cannot be part of a union)."""


NoModifiers = Annotated[list[msgspec.Raw], msgspec.Meta(max_length=0)] | None
"""A modifier extension where FHIR has none: whatever it says, the resource is then not readable."""


class Lean(msgspec.Struct, gc=False, frozen=True):
    """Base of all lean shapes: unknown members are skipped, none can form a reference cycle."""


class Coding(Lean, frozen=True):
    """Coding."""

    system: str | None = None
    code: str | None = None
    display: str | None = None
    modifierExtension: NoModifiers = None


class CodeableConcept(Lean, frozen=True):
    """CodeableConcept."""

    coding: list[Coding] | None = None
    text: str | None = None
    # R5's CodeableReference, where R4 has a CodeableConcept
    concept: msgspec.Raw = ABSENT
    reference: msgspec.Raw = ABSENT
    modifierExtension: NoModifiers = None


class Period(Lean, frozen=True):
    """Period."""

    start: str | None = None
    end: str | None = None
    modifierExtension: NoModifiers = None


class Quantity(Lean, frozen=True):
    """Quantity; `value` is the raw JSON text of the number (or string, where a sender quotes it)."""

    value: msgspec.Raw = ABSENT
    comparator: str | None = None
    unit: str | None = None
    system: str | None = None
    code: str | None = None
    modifierExtension: NoModifiers = None


class Range(Lean, frozen=True):
    """Range."""

    low: Quantity | None = None
    high: Quantity | None = None
    modifierExtension: NoModifiers = None


class Reference(Lean, frozen=True):
    """Reference: relative, absolute, contained (`#id`), by identifier or display only."""

    reference: str | None = None
    type: str | None = None
    display: str | None = None
    identifier: msgspec.Raw = ABSENT
    modifierExtension: NoModifiers = None


class Repeat(Lean, frozen=True):
    """Timing.repeat."""

    boundsPeriod: Period | None = None
    count: msgspec.Raw = ABSENT
    frequency: msgspec.Raw = ABSENT
    period: msgspec.Raw = ABSENT
    periodUnit: str | None = None
    modifierExtension: NoModifiers = None


class Timing(Lean, frozen=True):
    """Timing."""

    repeat: Repeat | None = None
    code: CodeableConcept | None = None
    modifierExtension: NoModifiers = None


class DoseAndRate(Lean, frozen=True):
    """Dosage.doseAndRate."""

    doseQuantity: Quantity | None = None
    doseRange: Range | None = None
    modifierExtension: NoModifiers = None


class Dosage(Lean, frozen=True):
    """Dosage of a statement or request; MedicationAdministration.dosage has `dose` and `route`."""

    modifierExtension: list[msgspec.Raw] | None = None
    text: str | None = None
    timing: Timing | None = None
    asNeededBoolean: bool | None = None
    asNeededCodeableConcept: CodeableConcept | None = None
    route: CodeableConcept | None = None
    doseAndRate: list[DoseAndRate] | None = None
    sequence: msgspec.Raw = ABSENT
    dose: Quantity | None = None
    # where DSTU2 and STU3 have the dose; never read from here
    doseQuantity: msgspec.Raw = ABSENT


class DispenseRequest(Lean, frozen=True):
    """MedicationRequest.dispenseRequest."""

    validityPeriod: Period | None = None
    modifierExtension: NoModifiers = None


class Component(Lean, frozen=True):
    """Observation.component."""

    modifierExtension: list[msgspec.Raw] | None = None
    code: CodeableConcept | None = None
    valueQuantity: Quantity | None = None
    valueString: str | None = None
    valueCodeableConcept: CodeableConcept | None = None
    valueDateTime: str | None = None
    valueInteger: msgspec.Raw = ABSENT
    valueRange: Range | None = None
    valueBoolean: msgspec.Raw = ABSENT
    valueRatio: msgspec.Raw = ABSENT
    valueSampledData: msgspec.Raw = ABSENT
    valueTime: msgspec.Raw = ABSENT
    valuePeriod: msgspec.Raw = ABSENT
    dataAbsentReason: CodeableConcept | None = None


class Reaction(Lean, frozen=True):
    """AllergyIntolerance.reaction."""

    modifierExtension: list[msgspec.Raw] | None = None
    substance: CodeableConcept | None = None
    manifestation: list[CodeableConcept] | None = None


class FamilyCondition(Lean, frozen=True):
    """FamilyMemberHistory.condition."""

    modifierExtension: list[msgspec.Raw] | None = None
    code: CodeableConcept | None = None


class Link(Lean, frozen=True):
    """Bundle.link."""

    relation: str | None = None
    url: str | None = None


class Search(Lean, frozen=True):
    """Bundle.entry.search."""

    mode: str | None = None


class OutcomeIssue(Lean, frozen=True):
    """OperationOutcome.issue."""

    severity: str | None = None
    code: str | None = None


class Resource(Lean, frozen=True):
    """Any resource: the union of the elements that are read from the types that we know."""

    resourceType: str | None = None
    # a number where a sender forgot the quotes
    id: str | int | None = None
    implicitRules: str | None = None
    modifierExtension: list[msgspec.Raw] | None = None
    # decoded when something refers to it: an odd contained resource must not cost its container
    contained: list[msgspec.Raw] | None = None
    status: str | None = None
    code: CodeableConcept | None = None
    category: list[CodeableConcept | str] | CodeableConcept | str | None = None
    subject: Reference | None = None
    patient: Reference | None = None
    # Observation
    focus: msgspec.Raw = ABSENT
    effectiveDateTime: str | None = None
    effectiveInstant: str | None = None
    effectivePeriod: Period | None = None
    effectiveTiming: msgspec.Raw = ABSENT
    issued: str | None = None
    valueQuantity: Quantity | None = None
    valueString: str | None = None
    valueCodeableConcept: CodeableConcept | None = None
    valueDateTime: str | None = None
    valueInteger: msgspec.Raw = ABSENT
    valueRange: Range | None = None
    valueBoolean: msgspec.Raw = ABSENT
    valueRatio: msgspec.Raw = ABSENT
    valueSampledData: msgspec.Raw = ABSENT
    valueTime: msgspec.Raw = ABSENT
    valuePeriod: msgspec.Raw = ABSENT
    dataAbsentReason: CodeableConcept | None = None
    component: list[Component] | None = None
    # Condition and AllergyIntolerance; DSTU2 and STU3 have plain codes here, which must not fail the decode.
    clinicalStatus: CodeableConcept | str | None = None
    verificationStatus: CodeableConcept | str | None = None
    onsetDateTime: str | None = None
    onsetPeriod: Period | None = None
    recordedDate: str | None = None
    abatementDateTime: str | None = None
    abatementPeriod: Period | None = None
    abatementAge: msgspec.Raw = ABSENT
    abatementRange: msgspec.Raw = ABSENT
    abatementString: str | None = None
    abatementBoolean: bool | None = None
    criticality: str | None = None
    reaction: list[Reaction] | None = None
    # medicines
    medicationCodeableConcept: CodeableConcept | None = None
    medicationReference: Reference | None = None
    medication: msgspec.Raw = ABSENT
    intent: str | None = None
    doNotPerform: bool | None = None
    authoredOn: str | None = None
    dateAsserted: str | None = None
    dosage: list[Dosage] | Dosage | None = None
    dosageInstruction: list[Dosage] | None = None
    dispenseRequest: DispenseRequest | None = None
    form: CodeableConcept | None = None
    taken: str | None = None
    wasNotTaken: bool | None = None
    # Procedure
    performedDateTime: str | None = None
    performedPeriod: Period | None = None
    occurrenceDateTime: str | None = None
    occurrencePeriod: msgspec.Raw = ABSENT
    # Device and DeviceUseStatement; what the type and the names say is decoded when it is asked for
    device: msgspec.Raw = ABSENT
    deviceName: msgspec.Raw = ABSENT
    timingPeriod: Period | None = None
    timingDateTime: str | None = None
    recordedOn: str | None = None
    # FamilyMemberHistory
    relationship: CodeableConcept | None = None
    condition: list[FamilyCondition] | None = None
    # Patient
    gender: str | None = None
    birthDate: str | None = None
    deceasedBoolean: bool | None = None
    deceasedDateTime: str | None = None
    active: msgspec.Raw = ABSENT
    # Elements by which fhir.versions tells other releases; their contents are never used
    name: msgspec.Raw = ABSENT
    context: msgspec.Raw = ABSENT
    requester: msgspec.Raw = ABSENT
    participant: msgspec.Raw = ABSENT
    assertedDate: msgspec.Raw = ABSENT
    substance: msgspec.Raw = ABSENT
    notDone: msgspec.Raw = ABSENT
    notPerformed: msgspec.Raw = ABSENT
    notGiven: msgspec.Raw = ABSENT
    wasNotGiven: msgspec.Raw = ABSENT
    whenUsed: msgspec.Raw = ABSENT
    # Bundle and OperationOutcome; `link` is also an element of Patient
    type: msgspec.Raw = ABSENT
    total: msgspec.Raw = ABSENT
    link: list[msgspec.Raw] | None = None
    entry: list["Entry | None"] | None = None
    issue: list[OutcomeIssue] | None = None


class Entry(Lean, frozen=True):
    """Bundle.entry."""

    modifierExtension: list[msgspec.Raw] | None = None
    fullUrl: str | None = None
    resource: Resource | None = None
    search: Search | None = None

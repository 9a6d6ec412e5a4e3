"""The facts that the rules read: what a record says, free of FHIR, with every unknown kept as unknown.

Nothing here decides anything. The `fhir` room fills these values from resources; `clinical.evaluate`
reads them. Quantities are exact (`Decimal`), partial dates are intervals, and each fact names the
resource that it came from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from cds_service.clinical.interval import Interval


class Presence(StrEnum):
    """The three answers that every finding can have."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Need(StrEnum):
    """What the service asks of a record; one or more prefetch keys fill each (protocol/prefetch.py)."""

    PATIENT = "patient"
    IRON_RESULTS = "ironResults"
    CONTEXT_RESULTS = "contextResults"
    CONDITIONS = "conditions"
    MEDICATION_STATEMENTS = "medicationStatements"
    MEDICATION_REQUESTS = "medicationRequests"
    # Completed courses of the last 400 days: statements, requests and administrations fill it together,
    # since a prefetch template is one query of one type.
    IRON_TREATMENTS = "ironTreatments"
    PROCEDURES = "procedures"
    ALLERGIES = "allergies"
    IRON_ORDERS = "ironOrders"
    # What follows only ever adds a line or a factor: no card waits for it.
    FAMILY_HISTORY = "familyHistory"
    METABOLIC_RESULTS = "metabolicResults"
    SOCIAL_HISTORY = "socialHistory"
    SLEEP = "sleepDuration"
    DEVICE_USE = "deviceUse"
    DEVICES = "devices"


class NeedState(StrEnum):
    """How far a need was answered."""

    ANSWERED = "answered"
    CUT_OFF = "cut off"
    FAILED = "failed"
    NOT_ASKED = "not asked"


class IronSearch(StrEnum):
    """The parts of the iron results that can be answered, cut off or fail one by one."""

    FERRITIN = "ferritin"
    TSAT = "transferrin saturation"
    CRP = "C-reactive protein"


@dataclass(frozen=True, slots=True)
class Source:
    """The resource that a fact was read from; `key` is unique within one request."""

    key: int
    resource_type: str
    resource_id: str | None = None


@dataclass(frozen=True, slots=True)
class PartialDate:
    """A date as a record gives it: every day that it may mean, both ends included, and how it came.

    `earliest` and `latest` are calendar days in the configured zone; `instant` (aware) orders facts
    of one day and equals midnight of `earliest` in the configured zone when no time was given.
    """

    earliest: date
    latest: date
    instant: datetime
    shown: str

    @property
    def is_exact(self) -> bool:
        """Whether the day itself is known."""
        return self.earliest == self.latest


class ResultStatus(StrEnum):
    """Observation statuses that matter; anything else is not a result (docs/rules.md R8.1)."""

    FINAL = "final"
    AMENDED = "amended"
    CORRECTED = "corrected"
    UNKNOWN = "unknown"
    PRELIMINARY = "preliminary"
    REGISTERED = "registered"


class Analyte(StrEnum):
    """What a result measures."""

    FERRITIN = "ferritin"
    TSAT = "tsat"
    IRON = "iron"
    TIBC = "tibc"
    CRP = "crp"
    HAEMOGLOBIN = "haemoglobin"
    EGFR = "egfr"
    PREGNANCY_STATUS = "pregnancy status"
    DELIVERY_DATE = "estimated delivery date"
    PREGNANCY_TEST = "pregnancy test"
    HBA1C = "hba1c"
    B12 = "b12"
    FOLATE = "folate"
    VITAMIN_D = "vitamin d"
    TSH = "tsh"
    PHOSPHATE = "phosphate"
    SMOKING = "smoking status"
    ALCOHOL_SCORE = "alcohol score"
    DRINKS = "drinks per day"
    CAFFEINE = "caffeine intake"
    SLEEP = "sleep duration"
    SEVERITY = "severity score"
    GENE = "gene studied"


class Unreadable(StrEnum):
    """Why a result that exists cannot be used."""

    NO_DATE = "no date"
    UNIT = "unit not understood"
    UNIT_MISSING = "unit missing"
    NOT_A_NUMBER = "not a number"
    IMPLAUSIBLE = "implausible value"
    FRACTION = "probably a fraction"
    INVALID_RESOURCE = "record entry not valid"


class ResultNote(StrEnum):
    """What was assumed or converted while a result was read; each is shown beside the value."""

    UNIT_ASSUMED = "unit assumed"
    UNIT_OF_SITE = "unit assumed by the site"
    UNIT_MISMATCH = "unit does not fit the code"
    CONVERTED = "converted"
    CONVERTED_MOLAR = "converted from a molar unit"
    FROM_TEXT = "value read from text"
    BY_TEXT = "test recognised by its name only"
    DATE_OF_ISSUE = "date of issue"
    UNKNOWN_COMPARATOR = "comparator not understood"
    COMPUTED = "computed from iron and TIBC"


class Certainty(StrEnum):
    """How a concept was recognised, the surest first."""

    CODED = "by code"
    SITE_MAP = "by code (site map)"
    BY_TEXT = "by text"


@dataclass(frozen=True, slots=True)
class Result:
    """One Observation, or one component of it, of an analyte that the rules read.

    `interval` is in the canonical unit: ferritin ng/mL, TSAT %, iron and TIBC umol/L, CRP mg/L,
    haemoglobin g/dL, eGFR mL/min/1.73m2, the others as units.toml has them. It is None when `unreadable`
    is set or for coded results.
    `shown` is the value as sent, comparator and unit included ("60 ng/mL", "<10 ug/L", "168 pmol/L");
    `shown_canonical` the converted text ("74.8 ng/mL", one decimal at most) and None if not converted.
    `code` holds the concept groups of a coded value (pregnancy status) or what an answer says (smoking,
    pregnancy test, gene, caffeine); `day_value` a date value (EDD).
    """

    source: Source
    analyte: Analyte
    status: ResultStatus
    when: PartialDate | None
    interval: Interval | None
    shown: str
    shown_canonical: str | None = None
    issued: datetime | None = None
    unreadable: Unreadable | None = None
    notes: frozenset[ResultNote] = frozenset()
    code: frozenset[str] = frozenset()
    day_value: PartialDate | None = None
    sources: tuple[Source, ...] = ()
    certainty: Certainty = Certainty.CODED


class Verification(StrEnum):
    """Condition.verificationStatus, reduced to what the rules ask."""

    CONFIRMED = "confirmed"
    UNCERTAIN = "uncertain"
    REFUTED = "refuted"
    ENTERED_IN_ERROR = "entered-in-error"


TAKEN_BACK = frozenset({Verification.REFUTED, Verification.ENTERED_IN_ERROR})
"""An entry with one of these says nothing of the patient."""


@dataclass(frozen=True, slots=True)
class ConditionFact:
    """One Condition that belongs to at least one concept group of the knowledge base.

    `is_clinically_active`: clinicalStatus active, recurrence, relapse or absent. `abated` holds the
    abatement date; `has_abatement` is set by any abatement[x]. `onset` else `recorded` dates it.
    """

    source: Source
    groups: frozenset[str]
    display: str
    is_clinically_active: bool
    verification: Verification
    certainty: Certainty = Certainty.CODED
    has_abatement: bool = False
    abated: PartialDate | None = None
    onset: PartialDate | None = None
    recorded: PartialDate | None = None
    icd10_codes: tuple[str, ...] = ()


class MedicineKind(StrEnum):
    """The kind of record that names a medicine."""

    STATEMENT = "MedicationStatement"
    REQUEST = "MedicationRequest"
    ADMINISTRATION = "MedicationAdministration"


class Route(StrEnum):
    """Where a product acts; taken from the coded product, else dose form or route, else text."""

    ORAL = "oral"
    INJECTION = "injection"
    OROMUCOSAL = "oromucosal"
    TRANSDERMAL = "transdermal"
    RECTAL = "rectal"
    TOPICAL = "topical"
    OPHTHALMIC = "ophthalmic"
    NASAL_INHALED = "nasal_inhaled"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class IngredientFact:
    """One ingredient of a product: its knowledge name and the drug groups that it counts for here.

    Groups are those of the product where the product decides (doxepin 3 mg, multivitamins).
    """

    name: str
    groups: frozenset[str]
    certainty: Certainty = Certainty.CODED


@dataclass(frozen=True, slots=True)
class MedicineFact:
    """One medicine record that names at least one ingredient of the knowledge base.

    `status` and `intent` are the record's own R4 codes ("" when missing). For statements `start` and
    `end` are the effective period, `asserted` dateAsserted; for requests `authored` is authoredOn and
    `end` the earlier of validityPeriod.end and boundsPeriod.end; for administrations `start` is when
    it was given. `daily_dose_mg` is None unless each dosage states mg and how often.
    """

    source: Source
    kind: MedicineKind
    status: str
    ingredients: tuple[IngredientFact, ...]
    route: Route
    display: str
    intent: str = ""
    start: PartialDate | None = None
    end: PartialDate | None = None
    asserted: PartialDate | None = None
    authored: PartialDate | None = None
    is_as_needed: bool = False
    is_not_to_be_given: bool = False
    is_single_inpatient_dose: bool = False
    daily_dose_mg: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ProcedureFact:
    """One completed or in-progress Procedure of a concept group (dialysis), dated by its end or start."""

    source: Source
    groups: frozenset[str]
    display: str
    when: PartialDate | None
    certainty: Certainty = Certainty.CODED


@dataclass(frozen=True, slots=True)
class DeviceFact:
    """One device of a concept group (positive airway pressure) in the hands of the patient.

    `is_in_use`: the record says so today, without an end; otherwise `when` is the last day that it tells of.
    """

    source: Source
    groups: frozenset[str]
    display: str
    is_in_use: bool
    when: PartialDate | None
    certainty: Certainty = Certainty.CODED


@dataclass(frozen=True, slots=True)
class AllergyFact:
    """One allergy or reaction to an iron medicine that stands, of the allergy list or the problem list.

    `is_to_iv_iron`: to one that is given by vein; `is_to_oral_iron`: to one that is swallowed, or to iron
    without more. A reaction to iron that names no product is both.
    """

    source: Source
    display: str
    is_to_iv_iron: bool
    is_to_oral_iron: bool = False
    is_high_criticality: bool = False
    names_anaphylaxis: bool = False
    certainty: Certainty = Certainty.CODED


@dataclass(frozen=True, slots=True)
class OrderFact:
    """One ServiceRequest for ferritin or the iron panel with status active, draft or on-hold."""

    source: Source
    status: str
    authored: PartialDate | None
    certainty: Certainty = Certainty.CODED


@dataclass(frozen=True, slots=True)
class FamilyFact:
    """Restless legs syndrome in a blood relative (FamilyMemberHistory, or text of another record).

    `is_denied`: the record says of the whole family that nobody has it.
    """

    source: Source
    display: str
    is_first_degree: bool
    certainty: Certainty = Certainty.CODED
    is_denied: bool = False


class Sex(StrEnum):
    """Patient.gender (administrative)."""

    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PatientFact:
    """The patient; `birth` None when the birth date is missing or unreadable.

    `is_inactive`: the record is marked as not in use, which may mean that it was created by mistake.
    """

    source: Source
    sex: Sex
    birth: PartialDate | None
    is_deceased: bool = False
    is_inactive: bool = False


class IssueKind(StrEnum):
    """What was cleaned up or skipped while a record was read. Never carries values."""

    CLEANED = "cleaned up"
    SKIPPED = "skipped"
    OTHER_PATIENT = "belongs to another patient"
    REPLACED = "replaced by another record"
    WRONG_SHAPE = "wrong shape"
    FAILED_VALIDATION = "not valid FHIR"
    UNKNOWN_VERSION = "FHIR version not read"
    CUT_OFF = "list cut off"
    SEARCH_FAILED = "search failed"
    UNRESOLVED_REFERENCE = "reference not resolved"
    MODIFIER_EXTENSION = "modifier extension not understood"


@dataclass(frozen=True, slots=True)
class DataIssue:
    """One clean-up or skipped resource: what kind, which resource type, which element; no values, no ids."""

    kind: IssueKind
    resource_type: str
    detail: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that was read about one patient.

    `patient` is None when the Patient resource of the context was not available. `needs` holds a state
    for every `Need`; `iron_searches` one for every `IronSearch`. `unreadable_medicines` counts current
    medicine records without a readable name. `iron_overload_lines` and the like are derived by the rules.
    """

    patient: PatientFact | None
    needs: Mapping[Need, NeedState]
    iron_searches: Mapping[IronSearch, NeedState]
    results: tuple[Result, ...] = ()
    conditions: tuple[ConditionFact, ...] = ()
    medicines: tuple[MedicineFact, ...] = ()
    procedures: tuple[ProcedureFact, ...] = ()
    devices: tuple[DeviceFact, ...] = ()
    allergies: tuple[AllergyFact, ...] = ()
    orders: tuple[OrderFact, ...] = ()
    family: tuple[FamilyFact, ...] = ()
    family_denials: tuple[FamilyFact, ...] = ()
    unreadable_medicines: int = 0
    issues: tuple[DataIssue, ...] = ()

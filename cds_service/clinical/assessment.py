"""What the rules answer: factors, at most two cards, and for every other card why it was not shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from cds_service.clinical.facts import Certainty, PartialDate, Presence, Source


class RlsStatus(StrEnum):
    """The five values of docs/rules.md R1."""

    DOCUMENTED = "documented"
    POSSIBLE = "possible"
    RULED_OUT = "ruled out"
    UNKNOWN = "unknown"
    NOT_RECORDED = "not recorded"


class CardKey(StrEnum):
    """Every card that patient-view can show."""

    IRON_01 = "IRON-01"
    IRON_02 = "IRON-02"
    IRON_03 = "IRON-03"
    IRON_04 = "IRON-04"
    IRON_05 = "IRON-05"
    IRON_07 = "IRON-07"
    IRON_08 = "IRON-08"
    IRON_09 = "IRON-09"
    IRON_10 = "IRON-10"
    IRON_11 = "IRON-11"
    IRON_12 = "IRON-12"
    IRON_12B = "IRON-12b"
    IRON_13 = "IRON-13"
    IRON_14 = "IRON-14"
    IRON_16 = "IRON-16"
    GATE_01 = "GATE-01"
    SCREEN_01 = "SCREEN-01"
    DATA_01 = "DATA-01"
    DRUG_01 = "DRUG-01"
    DA_01 = "DA-01"

    @property
    def topic_code(self) -> str:
        """Return the alphanumeric code of `source.topic` (clients lock cards out by it)."""
        return self.value.replace("-", "")


class Indicator(IntEnum):
    """CDS Hooks indicator, ordered by urgency."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3


class Form(StrEnum):
    """Which wording of a card's template applies."""

    STANDARD = "standard"
    NEVER = "never"  # no ferritin on record
    STALE = "stale"  # newest ferritin too old for its group
    UNREADABLE = "unreadable"  # nothing readable, or the deciding value is indeterminate
    PARTIAL = "partial"  # one of two values that decide together is missing
    AGE_OPEN = "age open"  # adult or child is not known; both thresholds are named
    START_UNKNOWN = "start unknown"  # oral iron without a start date
    AGE_AND_UNREADABLE = "age decides"  # the value is readable, the age class decides and is open


class Line(StrEnum):
    """Sentences that can stand in a card's detail; `cards/lines.toml` words each of them."""

    TSAT_ALONE = "tsat-alone"
    TSAT_LOW = "tsat-low"
    TSAT_VALUE = "tsat-value"
    TSAT_UNKNOWN = "tsat-unknown"
    TSAT_NOT_READ = "tsat-not-read"
    TSAT_NOT_ASKED = "tsat-not-asked"
    CRP_NOT_READ = "crp-not-read"
    RESULT_STATUS_UNKNOWN = "result-status-unknown"
    RESULT_NOTE = "result-note"
    NEAR_THRESHOLD = "near-threshold"
    ASSAY = "assay"
    SKIPPED_RESULT = "skipped-result"
    OLDER_RESULTS_NOT_READ = "older-results-not-read"
    RESULTS_SEARCH_FAILED = "results-search-failed"
    VERY_LOW_FERRITIN = "very-low-ferritin"
    ANAEMIA = "anaemia"
    LOSS_OR_MALABSORPTION = "loss-or-malabsorption"
    BLOOD_DONOR = "blood-donor"
    RLS_BY_TEXT = "rls-by-text"
    INFLAMMATORY_DISEASE = "inflammatory-disease"
    IRON_OVERLOAD_UNSPECIFIC = "iron-disorder-unspecified"
    FERRITIN_HIGH_TSAT_NORMAL = "ferritin-high-tsat-normal"
    MULTIVITAMIN_WITH_IRON = "multivitamin-with-iron"
    ORAL_IRON_MAYBE = "oral-iron-maybe"
    IV_IRON_ALLERGY = "iv-iron-allergy"
    ORAL_IRON_ALLERGY = "oral-iron-allergy"
    CRP_HIGH = "crp-high"
    PREGNANCY_CAUTION = "pregnancy-caution"
    IRON_UNRELIABLE = "iron-unreliable"
    LOW_PHOSPHATE = "low-phosphate"
    PPI = "ppi"
    DOPAMINERGIC = "dopaminergic"
    PARTIAL_AGONIST = "partial-agonist"
    AKATHISIA = "akathisia"
    MEDICINES_UNREADABLE = "medicines-unreadable"
    MEDICINES_NOT_READ = "medicines-not-read"
    PROCEDURES_NOT_READ = "procedures-not-read"
    ORDERS_NOT_READ = "orders-not-read"
    PARKINSON_NOT_CHECKED = "parkinson-not-checked"
    POSTPARTUM = "postpartum"
    PATIENT_REPLACED = "patient-replaced"
    PATIENT_INACTIVE = "patient-inactive"
    PREGNANCY_TEST = "pregnancy-test"
    PREGNANCY_UNDATED = "pregnancy-undated"
    SEVERITY = "severity"
    DOPAMINE_PATHWAY = "dopamine-pathway"
    RECORD_ISSUES = "record-issues"


class NotChecked(StrEnum):
    """What could have silenced or reversed the card and was not read."""

    CURRENT_IRON = "current iron"
    OVERLOAD = "iron overload"
    PREGNANCY = "pregnancy"
    KIDNEY_FAILURE = "kidney failure"
    IRON_ALLERGY = "iron allergy"


class Order(StrEnum):
    """Laboratory orders that a card can suggest."""

    FERRITIN = "ferritin"
    IRON_PANEL = "iron panel"
    CRP = "C-reactive protein"


@dataclass(frozen=True, slots=True)
class Deciding:
    """One finding that decided a card, for its fingerprint: kind, value, unit, date; nothing else.

    For medicine cards `kind` is "medicine" and `value` the ingredient.
    """

    kind: str
    value: str
    unit: str = ""
    day: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a factor has its state: where it was read, what it says, when, and how it was recognised."""

    source: Source
    text: str
    when: PartialDate | None = None
    certainty: Certainty = Certainty.CODED
    is_possible: bool = False


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor of the knowledge base (its `id`), its state, weight A to D, and its evidence."""

    id: str
    presence: Presence
    weight: str
    evidence: tuple[Evidence, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DrugItem:
    """One medicine on a DRUG-01, DA-01 or GATE-01 card, merged over all records of its ingredient."""

    ingredient: str
    classes: tuple[str, ...]
    is_possible: bool
    is_as_needed: bool
    is_old_entry: bool
    start: PartialDate | None
    certainty: Certainty
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class DetailLine:
    """A `Line` with the values that its wording needs (plain strings, not yet neutralised)."""

    line: Line
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CardDecision:
    """A card to show: which wording, how urgent, with which values; no text of ours.

    `values` are plain strings for the template (value, date, tsat, crp, start, due, days, age, reason,
    ...), as sent by the record and not yet neutralised. `deciding` feeds the fingerprint. `rules` are
    ids of `knowledge` rules that led here: their citations and verification marks decide whether the
    card says "awaiting clinical review" or "project rule".
    """

    key: CardKey
    indicator: Indicator
    form: Form
    values: Mapping[str, str]
    deciding: tuple[Deciding, ...]
    rules: tuple[str, ...]
    orders: tuple[Order, ...] = ()
    lines: tuple[DetailLine, ...] = ()
    not_checked: tuple[NotChecked, ...] = ()
    drugs: tuple[DrugItem, ...] = ()
    factor_ids: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Withheld:
    """A card that was not shown, and why (a sentence for `evaluate --explain`)."""

    key: CardKey
    reason: str


class Outcome(StrEnum):
    """How the call ends."""

    ANSWERED = "answered"
    REQUIRED_DATA_MISSING = "required data missing"


@dataclass(frozen=True, slots=True)
class Assessment:
    """The whole answer of the rules for one patient and one day.

    `sources` names every resource that decided something (for full validation); `missing` names what
    is required and was not available when the outcome is REQUIRED_DATA_MISSING; `presentation` says whether
    contributing factors were found; `is_child`, that the patient is certainly one, for whom no medicine is
    named as an alternative.
    """

    rls: RlsStatus
    is_plmd_only: bool
    outcome: Outcome
    cards: tuple[CardDecision, ...]
    withheld: tuple[Withheld, ...]
    factors: tuple[Factor, ...]
    sources: frozenset[Source]
    missing: tuple[str, ...] = ()
    rls_sources: tuple[Source, ...] = ()
    presentation: str = ""
    is_child: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """What a site may decide about the rules.

    A card of `cards_off` is not shown and nothing takes its place; DATA-01 cannot be switched off, since
    its absence would be read as "all clear".
    """

    is_screening_on: bool = True
    cards_off: frozenset[CardKey] = frozenset()

    def __post_init__(self) -> None:
        """Refuse what would turn a failure into silence; raises ValueError."""
        if CardKey.DATA_01 in self.cards_off:
            raise ValueError(f"{CardKey.DATA_01} cannot be switched off")

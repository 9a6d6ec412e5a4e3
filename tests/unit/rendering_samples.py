"""Decisions as the rules make them, one for every card and form, with realistic values."""

from collections.abc import Mapping
from functools import cache

from cds_service.clinical.assessment import (
    Assessment,
    CardDecision,
    CardKey,
    Deciding,
    DetailLine,
    DrugItem,
    Evidence,
    Factor,
    Form,
    Indicator,
    Line,
    NotChecked,
    Order,
    Outcome,
    RlsStatus,
)
from cds_service.clinical.facts import Certainty, Presence, Source
from cds_service.knowledge import Knowledge, load
from cds_service.profile import ClientProfile, OrderCoding
from cds_service.protocol.responses import Card
from cds_service.rendering import CardLibrary, RenderContext

BASE = "https://rls-iron-cds.example.org"
RLS = Source(1, "Condition", "rls-1")
CONTEXT = RenderContext(
    service_id="rls-iron-assessment",
    hook_instance="4a1c7e8e-3a55-4c69-9a50-3f1f0a4f7f10",
    client="default",
    patient_id="patient-1",
    canonical_base=BASE,
)
PROFILE = ClientProfile(
    name="default",
    is_screening_on=True,
    order_codings={
        Order.FERRITIN: (OrderCoding("http://loinc.org", "2276-4", "Ferritin"),),
        Order.IRON_PANEL: (
            OrderCoding("http://loinc.org", "50190-8", "Iron and iron binding capacity panel"),
        ),
        Order.CRP: (OrderCoding("http://loinc.org", "1988-5", "C reactive protein"),),
    },
)
DRUG_CARDS = frozenset({CardKey.DRUG_01, CardKey.DA_01, CardKey.GATE_01})
FINDING = Deciding("ferritin", "60", "ng/mL", "2026-11-01")

VALUES: Mapping[str, str] = {
    "value": "60 ng/mL",
    "original": "6.0 ug/dL",
    "date": "2026-11-01",
    "tsat": "19.9 %",
    "tsat_original": "0.199",
    "tsat_date": "2026-11-03",
    "crp": "30 mg/L",
    "crp_original": "3.0 mg/dL",
    "crp_date": "2026-11-05",
    "age": "366 days",
    "age_reason": "age near 18",
    "reason": "unit not understood",
    "raw": "60 mmol/L",
    "what": "TSAT",
    "why": "missing",
    "band": "75-100",
    "start": "2026-05-01",
    "due": "2026-07-24",
    "days": "205",
    "drawn_day": "184",
    "group": "adult",
    "state": "failed",
    "resource": "Observation",
    "drug": "deferasirox",
    "condition": "Hereditary haemochromatosis",
    "possible": "yes",
    "on_iron": "yes",
    "dose": "0.75 mg/day",
    "dose_limit": "0.5 mg/day",
    "note": "unit assumed",
    "limit": "75 ng/mL",
    "count": "2",
    "allergy": "Iron dextran",
    "iv_blocked": "",
    "oral_blocked": "",
    "is_high": "",
    "other_use": "",
    "fcm_blocked": "",
}
SPECIAL: Mapping[CardKey, Mapping[str, str]] = {
    CardKey.IRON_14: {"what": "tsat", "group": "esrd"},
    CardKey.DATA_01: {"what": "laboratory results"},
}
LISTED_FACTORS = ("family_history", "osa.untreated", "nicotine")


@cache
def library() -> CardLibrary:
    return CardLibrary.load()


def knowledge() -> Knowledge:
    return load()


def all_forms() -> list[tuple[CardKey, Form]]:
    return [(key, form) for key, card in library().templates.cards.items() for form in card.forms]


def assessment(
    rls: RlsStatus = RlsStatus.DOCUMENTED,
    *,
    is_plmd_only: bool = False,
    factors: tuple[Factor, ...] | None = None,
    rls_sources: tuple[Source, ...] = (RLS,),
) -> Assessment:
    return Assessment(
        rls=rls,
        is_plmd_only=is_plmd_only,
        outcome=Outcome.ANSWERED,
        cards=(),
        withheld=(),
        factors=tuple(factor(i) for i in LISTED_FACTORS) if factors is None else factors,
        sources=frozenset(),
        rls_sources=rls_sources,
    )


def factor(
    factor_id: str,
    presence: Presence = Presence.PRESENT,
    *,
    certainty: Certainty = Certainty.CODED,
    is_possible: bool = False,
) -> Factor:
    evidence = Evidence(RLS, "on record", certainty=certainty, is_possible=is_possible)
    return Factor(factor_id, presence, "C", (evidence,))


def drug(
    ingredient: str,
    *classes: str,
    is_possible: bool = False,
    is_as_needed: bool = False,
    is_old_entry: bool = False,
    certainty: Certainty = Certainty.CODED,
) -> DrugItem:
    return DrugItem(ingredient, classes, is_possible, is_as_needed, is_old_entry, None, certainty, (RLS,))


def values_of(key: CardKey, form: Form, *, is_full: bool = True) -> dict[str, str]:
    wanted = library().templates.cards[key].forms[form].wanted
    names = wanted.required | wanted.optional if is_full else wanted.required
    values = {name: VALUES[name] for name in names}
    if not is_full and key is CardKey.IRON_14:
        values |= {"tsat": VALUES["tsat"], "tsat_date": VALUES["tsat_date"]}
    return values | {name: text for name, text in SPECIAL.get(key, {}).items() if name in values}


def decision(
    key: CardKey = CardKey.IRON_04,
    form: Form = Form.STANDARD,
    *,
    values: Mapping[str, str] | None = None,
    indicator: Indicator = Indicator.WARNING,
    deciding: tuple[Deciding, ...] = (FINDING,),
    rules: tuple[str, ...] | None = None,
    orders: tuple[Order, ...] = (Order.FERRITIN, Order.IRON_PANEL),
    lines: tuple[DetailLine, ...] = (DetailLine(Line.MEDICINES_UNREADABLE, {"count": "1"}),),
    not_checked: tuple[NotChecked, ...] = (NotChecked.CURRENT_IRON,),
    drugs: tuple[DrugItem, ...] | None = None,
    factor_ids: tuple[str, ...] = LISTED_FACTORS,
) -> CardDecision:
    default_drugs = (drug("sertraline", "SSRI"),) if key in DRUG_CARDS else ()
    return CardDecision(
        key=key,
        indicator=indicator,
        form=form,
        values=values_of(key, form) if values is None else values,
        deciding=deciding,
        rules=(key.value,) if rules is None else rules,
        orders=orders,
        lines=lines,
        not_checked=not_checked,
        drugs=default_drugs if drugs is None else drugs,
        factor_ids=factor_ids,
    )


def render(
    made: CardDecision | None = None,
    of: Assessment | None = None,
    *,
    profile: ClientProfile = PROFILE,
    context: RenderContext = CONTEXT,
) -> Card:
    return library().render(
        made or decision(),
        assessment=of or assessment(),
        knowledge=knowledge(),
        profile=profile,
        context=context,
    )

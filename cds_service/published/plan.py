"""The service as a PlanDefinition with one action for each card, and its orders as ActivityDefinitions."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from cds_service.basis import CardPage
from cds_service.clinical.assessment import CardKey, Order
from cds_service.knowledge import Citation
from cds_service.knowledge.notices import NOTICES
from cds_service.profile import OrderCoding
from cds_service.published.keys import ORDER_SYSTEM, order_code, topic
from cds_service.published.libraries import PLAN, CqlText
from cds_service.published.scheme import PATIENT, Json, Scheme, concept

ECA_RULE = concept("http://terminology.hl7.org/CodeSystem/plan-definition-type", "eca-rule", "ECA Rule")
IDENTIFIER = "text/cql-identifier"
_PREPARED = frozenset({Order.FERRITIN, Order.IRON_PANEL})


@dataclass(frozen=True, slots=True)
class Service:
    """The service whose answers the plan describes: id, hook, what it is called, what it does."""

    id: str
    hook: str
    title: str
    description: str


def plan_definition(scheme: Scheme, service: Service, text: CqlText) -> Json:
    """Return the plan; a condition stands where the CQL library `text` has a value for the card."""
    library = scheme.library
    pages = library.cards()
    action = {
        "title": service.title,
        "description": "At most one card on iron and one on medicines are shown; which, its condition says.",
        "trigger": [{"type": "named-event", "name": service.hook}],
        "action": [_card(scheme, page, text) for page in pages],
    }
    return {
        **scheme.resource(
            "PlanDefinition",
            service.id,
            name="RlsIronAssessment",
            title=service.title,
            type=ECA_RULE,
            subjectCodeableConcept=PATIENT,
            description=service.description,
            usage=f"{library.about['use']['users']} {library.about['use']['patients']}",
            purpose=library.about["use"]["validation"],
        ),
        "relatedArtifact": _cited(library.knowledge.citations.values()),
        "library": [f"{scheme.canonical('Library', PLAN)}|{text.version}"],
        "action": [action],
    }


def _card(scheme: Scheme, page: CardPage, text: CqlText) -> Json:
    shown = f"Shows {page.key.value}"
    condition = {"kind": "applicability", "expression": {"language": IDENTIFIER, "expression": shown}}
    offered = [_suggestion(scheme, page.key, order) for order in orders_of(page.key)]
    return {
        "id": page.key.topic_code,
        "prefix": page.key.value,
        "title": page.subject,
        "description": f"{page.rule.text} ({page.rule.verified.words}).{_awaits(page)}",
        "textEquivalent": " ".join(page.basis.conditions),
        "code": [{"coding": [topic(scheme, page.key)]}],
        **({"documentation": _cited(page.sources)} if page.sources else {}),
        **({"condition": [condition]} if shown in text.definitions else {}),
        **({"selectionBehavior": "any", "action": offered} if offered else {}),
    }


def _awaits(page: CardPage) -> str:
    if not page.awaits_review or page.rule.verified.awaits_review:
        return ""
    return " Sentences on the card are awaiting clinical review."


def _cited(citations: Iterable[Citation]) -> list[Json]:
    return [
        {"type": "citation", "label": one.id, "citation": one.reference, "url": one.url} for one in citations
    ]


def _suggestion(scheme: Scheme, key: CardKey, order: Order) -> Json:
    shared = scheme.library.templates.shared
    definition = scheme.canonical("ActivityDefinition", order_code(order))
    made = {
        "title": shared["orders"][order]["label"],
        "description": shared["orders"][order]["description"],
        "definitionCanonical": f"{definition}|{scheme.version}",
    }
    if order in _PREPARED:
        instruction = shared["instructions"][scheme.library.templates.cards[key].instruction]
        expression = {"language": "text/fhirpath", "expression": f"'{instruction}'"}
        made["dynamicValue"] = [{"path": "patientInstruction", "expression": expression}]
    return made


def orders_of(key: CardKey) -> tuple[Order, ...]:
    """Return the orders that a card can suggest."""
    text = files("cds_service.published").joinpath("plan.toml").read_text(encoding="utf-8")
    return tuple(map(Order, tomllib.loads(text).get(key.value, ())))


def activity_definitions(scheme: Scheme, codings: Mapping[str, Sequence[OrderCoding]]) -> Iterator[Json]:
    """Yield the orders; `codings` are those of their ServiceRequests by kind of order."""
    for order in Order:
        words = scheme.library.templates.shared["orders"][order]
        listed = codings.get(order, ())
        code = {"coding": [{"system": c.system, "code": c.code, "display": c.display} for c in listed]}
        notices = [NOTICES[system] for system in sorted({one.system for one in listed}) if system in NOTICES]
        yield {
            **scheme.resource(
                "ActivityDefinition",
                order_code(order),
                name="".join(part[:1].upper() + part[1:] for part in order_code(order).split("-")),
                title=words["text"],
                subjectCodeableConcept=PATIENT,
                description=f"{words['description']}. A proposal: a clinician decides, changes and signs it.",
            ),
            **({"copyright": " ".join(notices)} if notices else {}),
            "topic": [concept(f"{scheme.base}/{ORDER_SYSTEM}", order_code(order), words["text"])],
            "kind": "ServiceRequest",
            "code": {**(code if listed else {}), "text": words["text"]},
            "intent": "proposal",
        }

"""The code systems of our keys, and the one extension that the ValueSets use."""

from collections.abc import Iterator, Mapping

from cds_service.clinical.assessment import CardKey, Order
from cds_service.knowledge.terminology import OWN, OWN_CODES
from cds_service.published.scheme import CODE_SOURCE, Json, Scheme

ORDER_SYSTEM = "CodeSystem/order"


def order_code(order: Order) -> str:
    """Return the code of an order, which is the id of its ActivityDefinition too."""
    return order.value.lower().replace(" ", "-")


def code_systems(scheme: Scheme) -> Iterator[Json]:
    """Yield the code systems of topics, override reasons, orders, and results without a standard code."""
    library = scheme.library
    shared = library.templates.shared
    topics = {page.key.topic_code: (page.subject, page.rule.text) for page in library.cards()}
    reasons = shared["override"]["all"] | shared["override"]["drug"]
    yield _code_system(
        scheme, shared["topic"]["system"], "Card topics", "What a card is about: its `source.topic`.", topics
    )
    yield _code_system(
        scheme,
        shared["override"]["system"],
        "Override reasons",
        "Why advice is not followed; those on medicines are offered on cards about medicines only.",
        {code: (words, "") for code, words in reasons.items()},
    )
    yield _code_system(
        scheme,
        ORDER_SYSTEM,
        "Suggested orders",
        "The laboratory orders that a card can suggest.",
        {
            order_code(one): (shared["orders"][one]["text"], shared["orders"][one]["description"])
            for one in Order
        },
    )
    own = _code_system(
        scheme,
        "CodeSystem/observation",
        "Results",
        "Results for which no standard code is known; the code map of a site can name them.",
        {code: (group.replace("_", " "), "") for code, group in OWN_CODES.items()},
    )
    # Code maps have named it before it was published.
    yield {**own, "url": OWN}


def topic(scheme: Scheme, key: CardKey) -> Json:
    """Return the coding of a card's topic."""
    shared = scheme.library.templates.shared
    subject = scheme.library.templates.cards[key].topic
    return {
        "system": f"{scheme.base}/{shared['topic']['system']}",
        "code": key.topic_code,
        "display": subject,
    }


def _code_system(
    scheme: Scheme, place: str, title: str, description: str, codes: Mapping[str, tuple[str, str]]
) -> Json:
    """Return a complete code system; `codes` has the display and the definition ("" for none) of each."""
    identity = place.rpartition("/")[2]
    return {
        **scheme.resource(
            "CodeSystem",
            identity,
            name="".join(part.capitalize() for part in identity.split("-")),
            title=title,
            description=description,
        ),
        "caseSensitive": True,
        "content": "complete",
        "count": len(codes),
        "concept": [
            {"code": code, "display": display, **({"definition": words} if words else {})}
            for code, (display, words) in codes.items()
        ],
    }


def code_source(scheme: Scheme) -> Json:
    """Return the definition of the extension that names where the codes of an include were confirmed."""
    url = scheme.canonical("StructureDefinition", CODE_SOURCE)
    words = "The public source in which code and meaning were seen together."
    return {
        **scheme.resource(
            "StructureDefinition",
            CODE_SOURCE,
            name="CodeSource",
            title="Source of the codes",
            description=words,
        ),
        "fhirVersion": "4.0.1",
        "kind": "complex-type",
        "abstract": False,
        "context": [{"type": "element", "expression": "ValueSet.compose.include"}],
        "type": "Extension",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Extension",
        "derivation": "constraint",
        "snapshot": {"element": _elements(url, words)},
        "differential": {"element": [_elements(url, words)[number] for number in (0, 2, 3, 4)]},
    }


def _elements(url: str, words: str) -> list[Json]:
    """Return the elements of the extension: itself, then id, extension, url and value of `Extension`."""
    return [
        {
            "id": "Extension",
            "path": "Extension",
            "short": "Source of the codes",
            "definition": words,
            "min": 0,
            "max": "1",
            "base": {"path": "Extension", "min": 0, "max": "*"},
        },
        _element("id", "Unique id for inter-element referencing", "Element.id", 0, "1", "string"),
        _element("extension", "None", "Element.extension", 0, "0", "Extension"),
        {**_element("url", "Its address", "Extension.url", 1, "1", "uri"), "fixedUri": url},
        _element("value[x]", "The source", "Extension.value[x]", 1, "1", "string"),
    ]


def _element(name: str, short: str, base: str, least: int, most: str, kind: str) -> Json:
    most_of_base = "*" if name == "extension" else "1"
    return {
        "id": f"Extension.{name}",
        "path": f"Extension.{name}",
        "short": short,
        "definition": f"{short}.",
        "min": least,
        "max": most,
        "base": {"path": base, "min": 1 if name == "url" else 0, "max": most_of_base},
        "type": [{"code": kind}],
    }

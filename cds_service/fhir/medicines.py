"""Medicine records as facts: which product by which route, whether current, how much (docs/rules.md R8.12).

A product is found by its RxNorm code, else its ATC code, else its words. What the record names but the
knowledge base does not know is no fact; what it does not name at all is counted as unreadable.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal

import msgspec

from cds_service.clinical.facts import (
    Certainty,
    IngredientFact,
    IssueKind,
    MedicineFact,
    MedicineKind,
    PartialDate,
    Route,
)
from cds_service.fhir.lean import CodeableConcept, Dosage, Quantity, Repeat, Resource
from cds_service.fhir.needs import Item, Salvaged
from cds_service.fhir.products import coded_product, concepts_of, products_certainty
from cds_service.fhir.quantities import is_given, parse_number
from cds_service.fhir.reading import ATC, RXNORM, Reading, bounded, codes_of, label, texts
from cds_service.knowledge import DrugProduct, ProductIngredient
from cds_service.knowledge.code_map import CodeKind
from cds_service.knowledge.drugs import ATC_LOCAL

_UNKNOWN = Route.UNKNOWN.value
_MAYBE_CURRENT = frozenset({"active", "unknown", ""})
_NO_ORDER_INTENTS = frozenset({"proposal", "plan", "option"})
_INPATIENT = "inpatient"
_IV_IRON = frozenset({"IV_IRON"})
_SWALLOWED_IRON = frozenset({"ORAL_IRON", "IRON_ANY"})
_ATC_LOCAL = tuple((prefix, Route(route)) for prefix, route in ATC_LOCAL)
# In this order: "apply one patch", "oral inhalation" and "buccal tablet" name the special route first.
_ROUTE_WORDS = tuple(
    (route, re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE))
    for route, words in (
        (Route.OPHTHALMIC, ("ophthalmic", "ocular", "conjunctival", "intraocular", "eyes?")),
        (
            Route.NASAL_INHALED,
            ("nasal(?:ly)?", "intranasal(?:ly)?", "nostrils?", r"inhal\w*", r"nebuli\w*", "respiratory"),
        ),
        (Route.TRANSDERMAL, ("transdermal(?:ly)?", "patch(?:es)?")),
        (Route.OROMUCOSAL, ("sublingual(?:ly)?", "buccal(?:ly)?", "oromucosal", "under the tongue")),
        (Route.RECTAL, ("rectal(?:ly)?", "per rectum", "suppositor(?:y|ies)", "enema")),
        (
            Route.TOPICAL,
            (
                "topical(?:ly)?",
                "cutaneous",
                "to (?:the )?skin",
                "cream",
                "ointment",
                "lotion",
                "otic",
                "ears?",
            ),
        ),
        (
            Route.INJECTION,
            (
                *("intravenous(?:ly)?", "intramuscular(?:ly)?", "subcutaneous(?:ly)?", "intrathecal"),
                *("epidural", "parenteral", r"inject\w*", r"infus\w*", "iv", "im", "sc", "sq", "subq"),
            ),
        ),
        (
            Route.ORAL,
            (
                *("oral(?:ly)?", "by mouth", "per os", "po", r"swallow\w*", "tablets?", "tabs?"),
                *("capsules?", "caps?", "syrup", "lozenges?", "nasogastric", "gastrostomy", "enteral"),
            ),
        ),
    )
)
_MG_PER_UNIT = {"mg": Decimal(1), "g": Decimal(1000), "ug": Decimal("0.001"), "mcg": Decimal("0.001")}
_DAYS_PER_UNIT = {"h": (1, 24), "d": (1, 1), "wk": (7, 1)}
# HL7 v3 GTSAbbreviation.
_TIMES_A_DAY = {"qd": 1, "am": 1, "pm": 1, "bed": 1, "bid": 2, "tid": 3, "qid": 4}
_EXACT = Context(prec=40)
_LARGEST_DOSE = Decimal(1_000_000)
# Characters of an instruction that are looked at; a route is named early.
_LONGEST_INSTRUCTION = 400


@dataclass(frozen=True, slots=True)
class _Named:
    """A product as far as it was recognised; `is_named` when the record gives any word for it."""

    ingredients: tuple[IngredientFact, ...] = ()
    route: Route = Route.UNKNOWN
    display: str = ""
    is_named: bool = True
    usual_route: Route = Route.UNKNOWN


class MedicineReader:
    """Reads the medicine records of one request; `unreadable` counts the current ones without a name."""

    def __init__(self, reading: Reading) -> None:
        """Start with nothing read."""
        self._reading = reading
        self._texts: dict[str, DrugProduct | None] = {}
        self.unreadable = 0

    def read(self, item: Item, kind: MedicineKind) -> MedicineFact | None:
        """Return the fact of one record, None when it names no ingredient of the knowledge base."""
        resource = item.resource
        concepts, form = self._concepts(item, kind)
        named = self.name(concepts)
        if not named.ingredients:
            if not named.is_named:
                self._count_unreadable(resource, kind)
            return None
        return self._fact(item, kind, named, form)

    def count_invalid(self, salvaged: Salvaged, kind: MedicineKind) -> None:
        """Count a record that is not valid, unless its words show that it is none of our medicines."""
        named = self.name([salvaged.code])
        is_current = (salvaged.status or "").strip().lower() in _MAYBE_CURRENT
        if (
            (named.ingredients or not named.is_named)
            and is_current
            and kind is not MedicineKind.ADMINISTRATION
        ):
            self.unreadable += 1

    def _concepts(
        self, item: Item, kind: MedicineKind
    ) -> tuple[list[CodeableConcept], CodeableConcept | None]:
        reference = item.resource.medicationReference
        medication = self._reading.resolve(reference, item) if reference is not None else None
        if reference is not None and medication is None and not reference.display:
            self._reading.issues.add(IssueKind.UNRESOLVED_REFERENCE, kind.value, "medicationReference")
        form = medication.form if medication is not None else None
        return concepts_of(item.resource, medication), form

    def name(self, concepts: Sequence[CodeableConcept]) -> _Named:
        """Return what the concepts of one medicine name: by RxNorm, else by ATC, else by words."""
        products = list(self._coded(concepts, RXNORM))
        told: DrugProduct | None = None
        if not products:
            products = list(self._coded(concepts, ATC))
            told = self._iron_by_vein(concepts) if _is_iron_to_swallow(products) else None
        if told is not None or not products:
            first = told or next(self._by_text(concepts), None)
            if first is None:
                is_readable = self._reading.terminology.is_medicine_readable
                return _Named(is_named=any(is_readable(words) for c in concepts for words in texts(c)))
            return self._completed(first.ingredients, first.name, concepts, Certainty.BY_TEXT)
        ingredients, route, display = _most_specific(products)
        certainty = products_certainty(self._reading, (c for one in concepts for c in one.coding or ()))
        if route is not Route.UNKNOWN:
            return _Named(_facts(ingredients, certainty), route, display)
        named = self._completed(ingredients, display, concepts, certainty)
        usual = {p.usual_route for p in products}
        return replace(named, usual_route=Route(usual.pop())) if len(usual) == 1 else named

    def _iron_by_vein(self, concepts: Sequence[CodeableConcept]) -> DrugProduct | None:
        """Return the IV iron that the words name: lists made from substances file some under oral iron."""
        return next((p for p in self._by_text(concepts) if _has_group(p, _IV_IRON)), None)

    def _completed(
        self,
        ingredients: tuple[ProductIngredient, ...],
        display: str,
        concepts: Sequence[CodeableConcept],
        certainty: Certainty,
    ) -> _Named:
        """Return a product of which the ingredients are known, with what its words add.

        The words may name the form, the strength that changes the class, or a second ingredient. Words
        that leave out a known ingredient are about something else.
        """
        known = {i.name for i in ingredients}
        atc_route = self._atc_route(concepts)
        told = [p for p in self._by_text(concepts) if known <= {i.name for i in p.ingredients}]
        if not told:
            return _Named(_facts(ingredients, certainty), atc_route, display)
        best = next((p for p in told if p.route != _UNKNOWN), told[0])
        facts = tuple(
            IngredientFact(i.name, i.groups, certainty if i.name in known else Certainty.BY_TEXT)
            for i in best.ingredients
        )
        return _Named(facts, _first_route(atc_route, Route(best.route)), best.name or display)

    def _coded(self, concepts: Iterable[CodeableConcept], system: str) -> Iterator[DrugProduct]:
        for concept in concepts:
            for coding in concept.coding or ():
                if self._reading.meaning(CodeKind.MEDICINE, coding).system == system:
                    product = coded_product(self._reading, coding)
                    if product is not None:
                        yield product

    def _atc_route(self, concepts: Iterable[CodeableConcept]) -> Route:
        """Return the local route that every ATC code of the product agrees on."""
        meanings = (self._reading.meaning(CodeKind.MEDICINE, c) for one in concepts for c in one.coding or ())
        routes = {
            next((r for prefix, r in _ATC_LOCAL if one.code.upper().startswith(prefix)), None)
            for one in meanings
            if one.code and one.system == ATC
        }
        # Some senders list every ATC code of the substance, creams and tablets alike.
        return (routes.pop() or Route.UNKNOWN) if len(routes) == 1 else Route.UNKNOWN

    def _by_text(self, concepts: Iterable[CodeableConcept]) -> Iterator[DrugProduct]:
        for concept in concepts:
            displays = [c.display for c in concept.coding or () if c.display]
            for text in (*displays, concept.text):
                product = self._of_text(text) if text else None
                if product is not None:
                    yield product

    def _of_text(self, text: str) -> DrugProduct | None:
        if text not in self._texts:
            terminology = self._reading.terminology
            product = terminology.drug_by_text(text)
            is_taken = product is not None and not terminology.is_medicine_not_taken(text)
            self._texts[text] = product if is_taken else None
        return self._texts[text]

    def _count_unreadable(self, resource: Resource, kind: MedicineKind) -> None:
        self._reading.issues.add(IssueKind.SKIPPED, kind.value, "medication: no readable name")
        if kind is MedicineKind.ADMINISTRATION or _status(resource) not in _MAYBE_CURRENT:
            return
        start, end = self._times(resource, kind)
        is_over = end is not None and end.latest < self._reading.today
        is_ahead = start is not None and start.earliest > self._reading.today
        is_no_order = (resource.intent or "").strip().lower() in _NO_ORDER_INTENTS
        if not (is_over or is_ahead or is_no_order or _is_not_to_be_given(resource)):
            self.unreadable += 1

    def _times(self, resource: Resource, kind: MedicineKind) -> tuple[PartialDate | None, PartialDate | None]:
        read, name = self._reading.date, kind.value
        if kind is MedicineKind.REQUEST:
            dispense = resource.dispenseRequest
            validity = dispense.validityPeriod if dispense is not None else None
            _, valid_until = self._reading.period(validity, name, "dispenseRequest.validityPeriod")
            return None, _earlier(valid_until, self._bounds_end(resource))
        start, end = self._reading.period(resource.effectivePeriod, name, "effectivePeriod")
        return read(resource.effectiveDateTime, name, "effectiveDateTime") or start, end

    def _bounds_end(self, resource: Resource) -> PartialDate | None:
        """Return the last end of the dosages' bounds, None while one of them is open."""
        ends: list[PartialDate] = []
        for dosage in _dosages(resource):
            repeat = _repeat(dosage)
            period = repeat.boundsPeriod if repeat is not None else None
            _, end = self._reading.period(period, MedicineKind.REQUEST.value, "dosage.boundsPeriod")
            if end is None:
                return None
            ends.append(end)
        return max(ends, key=lambda e: e.latest, default=None)

    def _fact(
        self, item: Item, kind: MedicineKind, named: _Named, form: CodeableConcept | None
    ) -> MedicineFact:
        resource, name = item.resource, kind.value
        start, end = self._times(resource, kind)
        dosages = _dosages(resource)
        return MedicineFact(
            source=item.source,
            kind=kind,
            status=_status(resource),
            ingredients=named.ingredients,
            route=_first_route(named.route, _route_of(form, dosages), named.usual_route),
            display=bounded(named.display) or label(resource.medicationCodeableConcept, name),
            intent=(resource.intent or "").strip().lower(),
            start=start,
            end=end,
            asserted=self._reading.date(resource.dateAsserted, name, "dateAsserted"),
            authored=self._reading.date(resource.authoredOn, name, "authoredOn"),
            is_as_needed=any(_is_as_needed(d) for d in dosages),
            is_not_to_be_given=_is_not_to_be_given(resource),
            is_single_inpatient_dose=_is_inpatient(resource) and _is_single_dose(dosages),
            daily_dose_mg=daily_dose_mg(dosages),
        )


def _has_group(product: DrugProduct, groups: frozenset[str]) -> bool:
    return any(i.groups & groups for i in product.ingredients)


def _is_iron_to_swallow(products: Sequence[DrugProduct]) -> bool:
    return bool(products) and all(_has_group(p, _SWALLOWED_IRON) for p in products)


def _most_specific(
    products: Sequence[DrugProduct],
) -> tuple[tuple[ProductIngredient, ...], Route, str]:
    """Return the clinical drug among several codes of one product, else all ingredients together."""
    clinical_drugs = [p for p in products if p.route != _UNKNOWN]
    if clinical_drugs:
        best = max(clinical_drugs, key=lambda p: len(p.ingredients))
        return best.ingredients, Route(best.route), best.name
    merged = {i.name: i for p in products for i in p.ingredients}
    widest = max(products, key=lambda p: len(p.ingredients))
    display = widest.name if len(widest.ingredients) == len(merged) else " / ".join(merged)
    return tuple(merged.values()), Route.UNKNOWN, display


def _facts(ingredients: Iterable[ProductIngredient], certainty: Certainty) -> tuple[IngredientFact, ...]:
    return tuple(IngredientFact(i.name, i.groups, certainty) for i in ingredients)


def _first_route(*routes: Route) -> Route:
    return next((r for r in routes if r is not Route.UNKNOWN), Route.UNKNOWN)


def _route_of(form: CodeableConcept | None, dosages: Sequence[Dosage]) -> Route:
    spoken = [*texts(form)]
    for dosage in dosages:
        spoken.extend(texts(dosage.route))
    instructions = (_route_by_instruction(d.text) for d in dosages if d.text)
    return _first_route(*(route_by_words(words) for words in spoken), *instructions)


def _route_by_instruction(text: str) -> Route:
    # A sentence to the patient may name an eye or the skin for other reasons: one route or none.
    text = text[:_LONGEST_INSTRUCTION]
    found = [route for route, pattern in _ROUTE_WORDS if pattern.search(text)]
    return found[0] if len(found) == 1 else Route.UNKNOWN


def route_by_words(words: str) -> Route:
    """Return the route that a dose form or a route of administration names."""
    words = words[:_LONGEST_INSTRUCTION]
    for route, pattern in _ROUTE_WORDS:
        if pattern.search(words):
            return route
    return Route.UNKNOWN


def _status(resource: Resource) -> str:
    return (resource.status or "").strip().lower()


def _is_not_to_be_given(resource: Resource) -> bool:
    return bool(resource.doNotPerform)


def _dosages(resource: Resource) -> Sequence[Dosage]:
    if resource.dosageInstruction:
        return resource.dosageInstruction
    dosage = resource.dosage
    return [dosage] if isinstance(dosage, Dosage) else dosage or ()


def _repeat(dosage: Dosage) -> Repeat | None:
    return dosage.timing.repeat if dosage.timing is not None else None


def _is_as_needed(dosage: Dosage) -> bool:
    return bool(dosage.asNeededBoolean) or dosage.asNeededCodeableConcept is not None


def _is_inpatient(resource: Resource) -> bool:
    categories = resource.category if isinstance(resource.category, list) else [resource.category]
    return any(_INPATIENT in codes_of(category) for category in categories)


def _is_single_dose(dosages: Sequence[Dosage]) -> bool:
    repeats = [_repeat(d) for d in dosages]
    return bool(repeats) and all(r is not None and _number(r.count) == 1 for r in repeats)


def _earlier(one: PartialDate | None, other: PartialDate | None) -> PartialDate | None:
    if one is None or other is None:
        return one or other
    return one if one.latest <= other.latest else other


def daily_dose_mg(dosages: Sequence[Dosage]) -> Decimal | None:
    """Return the dose in mg a day, None unless every dosage gives an amount and a frequency.

    Doses as needed have no daily amount, and steps of a titration are not taken together.
    """
    if any(is_given(d.sequence) and _number(d.sequence) != 1 for d in dosages):
        return None
    total = Decimal(0)
    for dosage in dosages:
        amount, times = _amount_mg(dosage), _times_a_day(dosage)
        if amount is None or times is None or _is_as_needed(dosage):
            return None
        total = _EXACT.add(total, _EXACT.multiply(amount, times))
    return total if 0 < total < _LARGEST_DOSE else None


def _amount_mg(dosage: Dosage) -> Decimal | None:
    rates = dosage.doseAndRate or ()
    if len(rates) != 1 or rates[0].doseQuantity is None:
        return None
    quantity: Quantity = rates[0].doseQuantity
    unit = (quantity.code or quantity.unit or "").strip().lower().replace("µ", "u").replace("μ", "u")
    number, factor = _number(quantity.value), _MG_PER_UNIT.get(unit)
    if number is None or factor is None or quantity.comparator:
        return None
    return _EXACT.multiply(number, factor)


def _times_a_day(dosage: Dosage) -> Decimal | None:
    timing, repeat = dosage.timing, _repeat(dosage)
    if timing is None:
        return None
    if repeat is None or not repeat.periodUnit:
        times = next((t for c in codes_of(timing.code) if (t := _TIMES_A_DAY.get(c))), None)
        return Decimal(times) if times else None
    length = _DAYS_PER_UNIT.get(repeat.periodUnit.strip().lower())
    frequency = _number(repeat.frequency) if is_given(repeat.frequency) else Decimal(1)
    period = _number(repeat.period) if is_given(repeat.period) else Decimal(1)
    if length is None or frequency is None or period is None or not period > 0:
        return None
    days, parts = length
    return _EXACT.divide(_EXACT.multiply(frequency, Decimal(parts)), _EXACT.multiply(period, Decimal(days)))


def _number(raw: msgspec.Raw) -> Decimal | None:
    """Return a raw JSON number of a size that can be computed with."""
    number = parse_number(bytes(raw).decode().strip())
    return number if number is not None and 0 <= number < _LARGEST_DOSE else None

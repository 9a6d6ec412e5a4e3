"""The detail of a card in GitHub-Flavored Markdown: short sections, the finding first."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from cds_service.clinical.assessment import (
    Assessment,
    CardDecision,
    CardKey,
    DrugItem,
    Evidence,
    Factor,
    Line,
)
from cds_service.clinical.facts import Certainty, Presence
from cds_service.knowledge import Check, DrugClass, Knowledge, RuleDefinition
from cds_service.rendering.neutral import markdown
from cds_service.rendering.templates import Templates

MAX_ITEMS = 6
"""Factors or medicines that are shown in full; the others are named only."""

MAX_NAMED = 12

# What a card says anyway: its own finding, or one factor that holds another.
_SAID_BY_CARD: Mapping[CardKey, frozenset[str]] = {CardKey.IRON_10: frozenset({"ferritin.inflamed"})}
_SAID_BY_FACTOR: Mapping[str, str] = {"kidney.disease": "kidney.esrd"}


class DetailWriter:
    """Writes the details of cards with one set of templates and one knowledge base."""

    def __init__(self, templates: Templates, knowledge: Knowledge) -> None:
        self._templates = templates
        self._knowledge = knowledge
        self.windows = knowledge.windows
        self._headings: Mapping[str, str] = templates.shared["headings"]
        self._citations: Mapping[str, str] = templates.shared["citations"]
        # What depends on the knowledge alone is written once, not for each card.
        self._rule_lines = {i: self._rule(rule, rule.text) for i, rule in knowledge.rules.items()}
        classes = knowledge.drug_classes.items()
        self._class_lines = {name: self._class(found, found.alternative) for name, found in classes}
        # What may be taken instead was judged in adults only.
        self._lines_for_children = {name: self._class(found, "") for name, found in classes}
        self._footers = {awaits: self._footer(awaits_review=awaits) for awaits in (False, True)}

    def write(
        self,
        decision: CardDecision,
        *,
        assessment: Assessment,
        values: Mapping[str, Any],
        wording: Mapping[str, str],
    ) -> str:
        """Return the whole detail; `values` and `wording` are those of the card and of the RLS status."""
        card = self._templates.cards[decision.key]
        form = card.forms[decision.form]
        lines = self._lines(decision, wording)
        rules = tuple(dict.fromkeys(decision.rules))
        own_values = [leaf.render(values) for leaf in form.values]
        own_options = [leaf.render(values) for leaf in form.options]
        blocks = (
            f"**{form.finding.render(values)}**",
            self._section("values", own_values + lines["values"]),
            self._section("medicines", self._medicines(decision, assessment)),
            self._section(
                "rule", [*self._rules(decision, form.rule.render(values).strip(), rules), *lines["rule"]]
            ),
            self._section("options", lines["options"] + own_options),
            self._section("factors", self._factors(decision, assessment)),
            self._section("missing", lines["missing"]),
            self._not_checked(decision),
            self._footers[card.awaits_review or self._awaits_review(decision, assessment)],
        )
        return "\n\n".join(filter(None, blocks))

    def _section(self, heading: str, items: Iterable[str]) -> str:
        bullets = [f"- {item}" for item in items if item]
        return "\n".join((f"**{self._headings[heading]}**\n", *bullets)) if bullets else ""

    def _phrase(self, name: str, /, **values: object) -> str:
        return self._templates.phrases[name].render(values)

    def _lines(self, decision: CardDecision, wording: Mapping[str, str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {"values": [], "options": [], "missing": [], "rule": []}
        if wording["note"]:
            found[wording["note_section"]].append(wording["note"])
        # The note on assays explains the results, so it stands below all of them.
        for item in sorted(decision.lines, key=lambda found: found.line is Line.ASSAY):
            text = self._templates.lines[item.line]
            text.wanted.check(item.values, item.line)
            written = text.leaf.render(text.wanted.filled(item.values, markdown))
            if written not in found[text.section]:
                found[text.section].append(written)
        return found

    def _rules(self, decision: CardDecision, own: str, rules: Iterable[str]) -> Iterator[str]:
        for rule_id in rules:
            is_reworded = own and rule_id == decision.key
            rule = self._knowledge.rules[rule_id]
            yield self._rule(rule, own) if is_reworded else self._rule_lines[rule_id]

    def _rule(self, rule: RuleDefinition, text: str) -> str:
        return self._phrase("detail.rule_item", text=text.rstrip("."), sources=self._sources(rule))

    def _awaits_review(self, decision: CardDecision, assessment: Assessment) -> bool:
        """Whether a rule of the card, or a factor that a card of factors rests on, awaits review."""
        checks = [self._knowledge.rules[rule_id].check for rule_id in decision.rules]
        if decision.key is CardKey.SCREEN_01:
            found = shown_factors(decision, assessment)
            checks += (self._knowledge.factors[factor.id].check for factor in found)
        return any(check.awaits_review for check in checks)

    def _sources(self, rule: RuleDefinition) -> str:
        if rule.check is Check.P:
            return self._phrase("detail.project_rule")
        names = (self._citations[c] for c in rule.citations if c in self._citations)
        return ", ".join(dict.fromkeys(names)) or self._phrase("detail.no_source")

    def _medicines(self, decision: CardDecision, assessment: Assessment) -> Iterator[str]:
        shown, others = decision.drugs[:MAX_ITEMS], decision.drugs[MAX_ITEMS:]
        yield from map(self._medicine, shown)
        if others:
            yield self._phrase("medicines.more", names=_named(drug.ingredient for drug in others))
        if decision.key is CardKey.DRUG_01:
            yield from self._classes(decision.drugs, self._class_texts(assessment))

    def _medicine(self, drug: DrugItem) -> str:
        remarks = {
            "remark_possible": drug.is_possible,
            "remark_old_entry": drug.is_old_entry,
            "remark_as_needed": drug.is_as_needed,
            "remark_by_text": drug.certainty is Certainty.BY_TEXT,
        }
        written = [self._phrase(f"medicines.{name}") for name, applies in remarks.items() if applies]
        if drug.start is not None:
            written.insert(0, self._phrase("medicines.remark_start", start=markdown(drug.start.shown)))
        return self._phrase(
            "medicines.item",
            name=markdown(drug.ingredient),
            classes=", ".join(found.name for found in self._known_classes(drug)),
            remarks="; ".join(written),
        )

    def _known_classes(self, drug: DrugItem) -> list[DrugClass]:
        classes = self._knowledge.drug_classes
        return [classes[group] for group in drug.classes if group in classes]

    def _class_texts(self, assessment: Assessment) -> Mapping[str, str]:
        return self._lines_for_children if assessment.is_child else self._class_lines

    def _classes(self, drugs: Iterable[DrugItem], written: Mapping[str, str]) -> Iterator[str]:
        found = {c.group: c for drug in drugs for c in self._known_classes(drug)}
        yield from (written[group] for group in found)
        tapered = [c.name for c in found.values() if c.taper_caution]
        if tapered:
            yield self._phrase("medicines.taper", names=", ".join(tapered))

    def _class(self, found: DrugClass, alternative: str) -> str:
        return self._phrase("medicines.class", name=found.name, why=found.why, alternative=alternative)

    def _factors(self, decision: CardDecision, assessment: Assessment) -> Iterator[str]:
        found = shown_factors(decision, assessment)
        for factor in found[:MAX_ITEMS]:
            definition = self._knowledge.factors[factor.id]
            # Behind the colon a medicine has its alternatives, which were judged in adults only.
            is_cut = assessment.is_child and definition.is_opening and bool(definition.drug_groups)
            line = definition.line.partition(":")[0] if is_cut else definition.line
            remarks = self._remarks(factor)
            yield self._phrase("detail.factor_item", line=line.rstrip("."), remarks=remarks)
        if len(found) > MAX_ITEMS:
            names = (self._knowledge.factors[factor.id].name for factor in found[MAX_ITEMS:])
            yield self._phrase("detail.factors_more", names=_named(names))

    def _remarks(self, factor: Factor) -> str:
        marks = {
            "detail.remark_possible": _all(factor.evidence, lambda e: e.is_possible),
            "detail.remark_by_text": _all(factor.evidence, lambda e: e.certainty is Certainty.BY_TEXT),
            "detail.remark_review": self._knowledge.factors[factor.id].awaits_review,
        }
        return ", ".join(self._phrase(name) for name, applies in marks.items() if applies)

    def _not_checked(self, decision: CardDecision) -> str:
        names = [self._templates.not_checked[what] for what in dict.fromkeys(decision.not_checked)]
        return self._phrase("detail.not_checked", items="; ".join(names)) if names else ""

    def _footer(self, *, awaits_review: bool) -> str:
        versions = self._phrase(
            "detail.versions",
            knowledge=self._knowledge.version,
            knowledge_hash=self._knowledge.hash,
            cards=self._templates.version,
            cards_hash=self._templates.hash,
        )
        review = self._phrase("detail.awaits_review") if awaits_review else ""
        return " ".join(filter(None, (versions, review, self._phrase("detail.intended_use"))))


def shown_factors(decision: CardDecision, assessment: Assessment) -> list[Factor]:
    """Return the factors that a card names, in its order: those that are present and not yet said."""
    present = {f.id: f for f in assessment.factors if f.presence is Presence.PRESENT}
    said = _SAID_BY_CARD.get(decision.key, frozenset())
    named = [i for i in dict.fromkeys(decision.factor_ids) if i in present and i not in said]
    return [present[i] for i in named if _SAID_BY_FACTOR.get(i) not in named]


def _named(names: Iterable[str]) -> str:
    """Return names only, cut off after a dozen."""
    found = [markdown(name) for name in names]
    hidden = len(found) - MAX_NAMED
    return ", ".join(found[:MAX_NAMED]) + (f" (+{hidden})" if hidden > 0 else "")


def _all(evidence: Iterable[Evidence], applies: Callable[[Evidence], bool]) -> bool:
    """Whether there is evidence and all of it is of one sort: stronger evidence outweighs weaker."""
    marks = [applies(item) for item in evidence]
    return bool(marks) and all(marks)

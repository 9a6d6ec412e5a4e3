"""Wording: decisions of the rules become CDS Hooks cards, with the templates of the top-level `cards/`.

Nothing here decides anything. Every text that came from a record is neutralised before it meets a
template, and all identifiers are derived, so that the same request gives the same cards.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from cds_service.clinical.assessment import Assessment, CardDecision, CardKey, Indicator, RlsStatus
from cds_service.knowledge import Knowledge
from cds_service.profile import ClientProfile
from cds_service.protocol.responses import Card, Coding, LinkModel, Source
from cds_service.rendering.detail import DetailWriter, shown_factors
from cds_service.rendering.identity import card_uuid, fingerprint
from cds_service.rendering.neutral import markdown, plain
from cds_service.rendering.orders import suggestions
from cds_service.rendering.summary import fitted
from cds_service.rendering.templates import (
    CardTemplateError,
    Templates,
    packaged_templates,
    read_templates,
)

__all__ = ["CardLibrary", "CardTemplateError", "FixedParts", "RenderContext"]

_INDICATORS: Mapping[Indicator, Literal["info", "warning", "critical"]] = {
    Indicator.INFO: "info",
    Indicator.WARNING: "warning",
    Indicator.CRITICAL: "critical",
}


@dataclass(frozen=True, slots=True)
class RenderContext:
    """What a card needs of the call: who asked, about whom, and the base of all our code systems.

    `is_exposed`: a development service answers whom it does not know, and the card says so.
    """

    service_id: str
    hook_instance: str
    client: str
    patient_id: str
    canonical_base: str
    is_exposed: bool = False


@dataclass(frozen=True, slots=True)
class FixedParts:
    """The parts of a card that depend on nothing but its key and the canonical base."""

    source: Source
    override_reasons: tuple[Coding, ...]
    links: tuple[LinkModel, ...]


class CardLibrary:
    """The card templates, read and compiled once; renders decisions.

    With the public address of the deployment each card links to its page of the public basis, if the address
    is https: cards link to nothing else.
    """

    def __init__(self, templates: Templates, public_url: str | None = None) -> None:
        self._templates = templates
        self._public_url = public_url
        self._fixed: dict[tuple[CardKey, str], FixedParts] = {}
        self._writers: dict[str, DetailWriter] = {}

    @classmethod
    def load(cls, directory: Path | None = None, *, public_url: str | None = None) -> Self:
        """Return the library of a directory, by default of the `cards/` that belongs to this package."""
        return cls(packaged_templates() if directory is None else read_templates(directory), public_url)

    @property
    def version(self) -> str:
        """Return the version of the wording."""
        return self._templates.version

    @property
    def hash(self) -> str:
        """Return the first 12 hexadecimal digits of the SHA-256 over all template files."""
        return self._templates.hash

    @property
    def templates(self) -> Templates:
        """Return the compiled templates, for checks and explanations."""
        return self._templates

    def render(
        self,
        decision: CardDecision,
        *,
        assessment: Assessment,
        knowledge: Knowledge,
        profile: ClientProfile,
        context: RenderContext,
    ) -> Card:
        """Return the card; raise CardTemplateError when the decision's values do not fit its template."""
        identity = card_uuid(
            client=context.client,
            hook_instance=context.hook_instance,
            service_id=context.service_id,
            key=decision.key,
            fingerprint=fingerprint(decision.deciding),
        )
        offered = suggestions(
            decision,
            assessment=assessment,
            profile=profile,
            patient_id=context.patient_id,
            card=identity,
            templates=self._templates,
        )
        summary, detail = self._texts(decision, assessment, knowledge)
        if context.is_exposed:
            detail = f"{detail} {self._templates.phrases['detail.exposed'].constant}"
        fixed = self.fixed_parts(decision.key, context.canonical_base)
        return Card(
            uuid=identity,
            summary=summary,
            detail=detail,
            indicator=_INDICATORS[decision.indicator],
            source=fixed.source,
            suggestions=offered,
            selection_behavior="any" if offered else None,
            override_reasons=fixed.override_reasons,
            links=fixed.links,
        )

    def _texts(self, decision: CardDecision, assessment: Assessment, knowledge: Knowledge) -> tuple[str, str]:
        form = self._templates.cards[decision.key].forms.get(decision.form)
        if form is None:
            message = f"{decision.key} has no form {decision.form}"
            raise CardTemplateError(message)
        form.wanted.check(decision.values, f"{decision.key} {decision.form}")
        wording = self._wording(assessment)
        shared: dict[str, Any] = {
            "rls": wording["mid"],
            "Rls": wording["start"],
            "on_record": assessment.rls is not RlsStatus.UNKNOWN,
            "is_plmd": assessment.is_plmd_only,
            "is_child": assessment.is_child,
            "drug_count": len(decision.drugs),
            "ingredients": tuple(drug.ingredient for drug in decision.drugs),
            "lines": frozenset(item.line.value for item in decision.lines),
            "windows": self._writer(knowledge).windows,
        }
        summary = fitted(
            form,
            prefix=self._prefix(assessment),
            values={**shared, **form.wanted.filled(decision.values, plain)},
            lists={name: _LISTS[name](decision, assessment, knowledge) for name in form.lists},
            more=self._templates.phrases["summary.more"],
        )
        values = {**shared, **form.wanted.filled(decision.values, markdown)}
        writer = self._writer(knowledge)
        return summary, writer.write(decision, assessment=assessment, values=values, wording=wording)

    def _writer(self, knowledge: Knowledge) -> DetailWriter:
        writer = self._writers.get(knowledge.hash)
        if writer is None:
            writer = self._writers[knowledge.hash] = DetailWriter(self._templates, knowledge)
        return writer

    def _wording(self, assessment: Assessment) -> Mapping[str, str]:
        name = "plmd" if assessment.is_plmd_only else assessment.rls.name.lower()
        wording: Mapping[str, str] = self._templates.shared["rls"][name]
        return wording

    def _prefix(self, assessment: Assessment) -> str:
        if assessment.rls is not RlsStatus.UNKNOWN:
            return ""
        return self._templates.phrases["summary.prefix_unknown"].constant

    def fixed_parts(self, key: CardKey, base: str) -> FixedParts:
        """Return what every card of a key carries: its source and topic, override reasons and links."""
        fixed = self._fixed.get((key, base))
        if fixed is None:
            fixed = self._fixed[key, base] = _fixed_parts(
                self._templates, key, base.rstrip("/"), self._public_url
            )
        return fixed


def _fixed_parts(templates: Templates, key: CardKey, base: str, public_url: str | None) -> FixedParts:
    card, shared = templates.cards[key], templates.shared
    topic = Coding(code=key.topic_code, system=f"{base}/{shared['topic']['system']}", display=card.topic)
    reasons = dict(shared["override"]["all"])
    if card.overrides == "drug":
        reasons |= shared["override"]["drug"]
    system = f"{base}/{shared['override']['system']}"
    return FixedParts(
        source=Source(label=shared["source"]["label"], url=shared["source"]["url"], topic=topic),
        override_reasons=tuple(Coding(code=c, system=system, display=d) for c, d in reasons.items()),
        links=(
            *(LinkModel(type="absolute", **shared["links"][name]) for name in card.links),
            *_basis_link(templates, key, public_url),
        ),
    )


def _basis_link(templates: Templates, key: CardKey, public_url: str | None) -> tuple[LinkModel, ...]:
    if public_url is None or not public_url.startswith("https://"):
        return ()
    label = templates.shared["basis"]["label"]
    return (LinkModel(type="absolute", label=label, url=f"{public_url}/basis/{key.topic_code}"),)


def _drug_names(decision: CardDecision, _assessment: Assessment, _knowledge: Knowledge) -> list[str]:
    return [drug.ingredient for drug in decision.drugs]


def _factor_names(decision: CardDecision, assessment: Assessment, knowledge: Knowledge) -> list[str]:
    return [knowledge.factors[factor.id].name for factor in shown_factors(decision, assessment)]


_LISTS: Mapping[str, Callable[[CardDecision, Assessment, Knowledge], list[str]]] = {
    "drugs": _drug_names,
    "factors": _factor_names,
}

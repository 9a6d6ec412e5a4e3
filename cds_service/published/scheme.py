"""What all published resources have in common: canonical addresses, status, version, publisher."""

from dataclasses import dataclass
from html import escape
from typing import Any

from cds_service.basis import Library

Json = dict[str, Any]

CODE_SOURCE = "code-source"
"""The extension that names where a code was confirmed."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """The base of all canonical addresses, and the knowledge that is published under it."""

    base: str
    library: Library

    @property
    def version(self) -> str:
        """Return the version of the knowledge base."""
        return self.library.knowledge.version

    def canonical(self, kind: str, identity: str) -> str:
        """Return the canonical URL of a resource, without a version."""
        return f"{self.base}/{kind}/{identity}"

    def resource(
        self, kind: str, identity: str, *, title: str, description: str, version: str = "", **elements: object
    ) -> Json:
        """Return a draft of a conformance resource; `elements` are those of its kind.

        The version is that of the knowledge base where none is given. The narrative is title and description.
        """
        return {
            "resourceType": kind,
            "id": identity,
            "text": {"status": "generated", "div": _narrative(title, description)},
            "url": self.canonical(kind, identity),
            "version": version or self.version,
            "title": title,
            "status": "draft",
            "experimental": True,
            "date": self.library.knowledge.date.isoformat(),
            "publisher": self.library.about["developer"],
            "description": description,
            **elements,
        }


def _narrative(title: str, description: str) -> str:
    told = f"<p><b>{escape(title)}</b></p><p>{escape(description)}</p>"
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{told}</div>'


def concept(system: str, code: str, display: str) -> Json:
    """Return a CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code, "display": display}]}


PATIENT = concept("http://hl7.org/fhir/resource-types", "Patient", "Patient")
"""Whom plan, orders and rules are about."""

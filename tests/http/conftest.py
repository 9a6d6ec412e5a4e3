"""The web application with a use case that answers what a test wants it to answer."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from flask.testing import FlaskClient

from cds_service.adapters.metrics import InProcessMetrics
from cds_service.app import create_app
from cds_service.assess import Answer, PatientView
from cds_service.clinical.assessment import (
    Assessment,
    CardDecision,
    CardKey,
    Form,
    Indicator,
    Outcome,
    RlsStatus,
)
from cds_service.clinical.facts import DataIssue, Facts, IssueKind
from cds_service.protocol.responses import Card, Coding, Source
from cds_service.settings import Settings

DECISION = CardDecision(CardKey.IRON_03, Indicator.WARNING, Form.STANDARD, {}, (), ())
ASSESSMENT = Assessment(
    rls=RlsStatus.DOCUMENTED,
    is_plmd_only=False,
    outcome=Outcome.ANSWERED,
    cards=(DECISION,),
    withheld=(),
    factors=(),
    sources=frozenset(),
)
FACTS = Facts(
    patient=None,
    needs={},
    iron_searches={},
    issues=(DataIssue(IssueKind.CLEANED, "Observation", "code"),),
)
CARD = Card(
    uuid="3b8a2e0c-6d1f-5a6b-9a49-0d4f6f6a7c11",
    summary="Ferritin 20 ng/mL (2026-11-01): low for RLS",
    indicator="warning",
    source=Source(
        label="RLS iron assessment",
        topic=Coding(code="IRON03", system="https://rls-iron-cds.example.org/CodeSystem/card-topic"),
    ),
)
ANSWER = Answer((CARD,), ASSESSMENT, FACTS)


@dataclass
class FakeAssess:
    """Keeps the calls and answers, or raises, what it was given."""

    answer: Answer = ANSWER
    error: Exception | None = None
    calls: list[PatientView] = field(default_factory=list)

    def __call__(self, call: PatientView) -> Answer:
        """Return the answer."""
        self.calls.append(call)
        if self.error is not None:
            raise self.error
        return self.answer


@dataclass(frozen=True)
class Web:
    """A client, and what stands behind it."""

    client: FlaskClient
    assess: FakeAssess
    metrics: InProcessMetrics


@pytest.fixture
def make_web() -> Callable[..., Web]:
    """Build the application around a fake use case, with other settings or an error to raise."""

    def make(*, error: Exception | None = None, **settings: object) -> Web:
        assess, metrics = FakeAssess(error=error), InProcessMetrics()
        app = create_app(Settings.model_validate(settings), assess=assess, metrics=metrics)
        return Web(app.test_client(), assess, metrics)

    return make


@pytest.fixture
def web(make_web: Callable[..., Web]) -> Web:
    """The application in its default settings."""
    return make_web()

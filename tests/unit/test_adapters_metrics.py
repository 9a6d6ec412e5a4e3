"""What is counted: names and labels of a closed catalogue, the same in memory and for Prometheus."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from cds_service.adapters.metrics import CATALOGUE, InProcessMetrics
from cds_service.adapters.prometheus import PrometheusMetrics
from cds_service.ports import Metrics
from tests.http.requests import CANARY

MAKERS: list[Callable[[], Metrics]] = [InProcessMetrics, PrometheusMetrics]


def lines(metrics: PrometheusMetrics) -> dict[str, float]:
    text, media_type = metrics.page()
    assert media_type.startswith("text/plain")
    pairs = (line.rpartition(" ") for line in text.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def test_what_is_counted_stands_on_the_page_of_prometheus() -> None:
    metrics = PrometheusMetrics()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: metrics.count("card", card="IRON-03", service="s"), range(500)))
    metrics.count("call", route="/r", status="200")
    for seconds in (0.004, 0.2, 60.0):
        metrics.observe("call_seconds", seconds, route="/r")
    found = lines(metrics)
    assert found['rls_cds_cards_total{card="IRON-03",service="s"}'] == 500
    assert found['rls_cds_calls_total{route="/r",status="200"}'] == 1
    limits = ("0.005", "0.1", "0.25", "10.0", "+Inf")
    buckets = [found[f'rls_cds_call_seconds_bucket{{le="{le}",route="/r"}}'] for le in limits]
    assert buckets == [1, 1, 2, 2, 3]
    assert found['rls_cds_call_seconds_count{route="/r"}'] == 3
    assert found['rls_cds_call_seconds_sum{route="/r"}'] == pytest.approx(60.204)


def test_two_applications_do_not_share_their_counters() -> None:
    one, other = PrometheusMetrics(), PrometheusMetrics()
    one.count("silent", service="s")
    assert lines(one)['rls_cds_silent_answers_total{service="s"}'] == 1
    assert 'rls_cds_silent_answers_total{service="s"}' not in lines(other)


def test_measured_values_are_summed_in_memory() -> None:
    metrics = InProcessMetrics()
    metrics.observe("call_seconds", 0.5, route="/r")
    metrics.observe("call_seconds", 1.5, route="/r")
    assert metrics.observed("call_seconds", route="/r") == (2, 2.0)
    assert metrics.observed("call_seconds", route="/other") == (0, 0.0)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("cart", {"card": "IRON-03"}),
        ("card", {"card": "IRON-03"}),
        ("silent", {"service": "s", "patient": "p"}),
    ],
)
def test_nothing_is_counted_outside_the_catalogue(
    make: Callable[[], Metrics], name: str, labels: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match="not in the catalogue"):
        make().count(name, **labels)


@pytest.mark.parametrize(
    ("name", "labels", "published"),
    [
        ("card", {"service": "s", "card": CANARY}, 'rls_cds_cards_total{card="other",service="s"}'),
        ("data_issue", {"kind": CANARY}, 'rls_cds_data_issues_total{kind="other"}'),
        ("refusal", {"cause": CANARY}, 'rls_cds_refusals_total{cause="other"}'),
        ("search", {"outcome": CANARY}, 'rls_cds_searches_total{outcome="other"}'),
        (
            "feedback",
            {"service": "s", "outcome": CANARY},
            'rls_cds_feedback_total{outcome="other",service="s"}',
        ),
        (
            "unmapped_code",
            {"kind": CANARY, "group": "ferritin"},
            'rls_cds_unmapped_codes_total{group="ferritin",kind="other"}',
        ),
        ("call", {"route": "/r", "status": CANARY}, 'rls_cds_calls_total{route="/r",status="other"}'),
    ],
)
def test_a_label_outside_its_list_is_counted_without_being_named(
    name: str, labels: dict[str, str], published: str
) -> None:
    metrics = PrometheusMetrics()
    metrics.count(name, **labels)
    assert lines(metrics)[published] == 1
    assert CANARY not in metrics.page()[0].decode()


def test_every_label_has_a_list_or_is_known_to_be_one_of_ours() -> None:
    ours = {"route", "service", "group"}
    assert {
        label for family in CATALOGUE.values() for label, values in family.labels.items() if values is None
    } == ours

"""From a decision to a card: wording by RLS status, identity, suggestions, lists, and errors."""

import json
import re
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, time
from types import MappingProxyType

import pytest
from fhir.resources.R4B.servicerequest import ServiceRequest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.clinical.assessment import (
    CardKey,
    Deciding,
    DetailLine,
    Form,
    Indicator,
    Line,
    Order,
    RlsStatus,
)
from cds_service.clinical.facts import Certainty, PartialDate, Presence, Source
from cds_service.knowledge import Check
from cds_service.profile import ClientProfile
from cds_service.protocol.responses import Card, to_json
from cds_service.rendering import CardTemplateError, RenderContext
from cds_service.rendering.identity import card_uuid, fingerprint, suggestion_uuid
from tests.unit.rendering_samples import (
    CONTEXT,
    FINDING,
    PROFILE,
    VALUES,
    all_forms,
    assessment,
    decision,
    drug,
    factor,
    knowledge,
    library,
    render,
    values_of,
)

BARE = ClientProfile(name="bare", is_screening_on=True)


def detail_of(card: Card) -> str:
    assert card.detail is not None
    return card.detail


def section(card: Card, heading: str) -> list[str]:
    found = re.search(rf"\*\*{heading}\*\*\n\n((?:- .*\n?)+)", detail_of(card))
    return found.group(1).strip().split("\n") if found else []


class TestWording:
    def test_the_value_its_date_and_the_conversion_stand_in_summary_and_detail(self) -> None:
        values = {"value": "74.8 ng/mL", "original": "168 pmol/L", "date": "2026-11-01"}
        card = render(decision(values=values))
        assert card.summary == (
            "Ferritin 74.8 ng/mL (168 pmol/L, 2026-11-01): at or below 75, "
            "iron treatment can be considered for RLS"
        )
        assert section(card, "Values")[0] == "- Ferritin 74.8 ng/mL, converted from 168 pmol/L (2026-11-01)"

    @pytest.mark.parametrize(
        ("key", "value", "start"),
        [
            (CardKey.IRON_03, "below 10 ng/mL", "Ferritin below 10 ng/mL (2026-11-01): low for RLS"),
            (CardKey.IRON_04, "below 75 ng/mL", "Ferritin below 75 ng/mL (2026-11-01): at or below 75"),
        ],
    )
    def test_comparators_read_as_words(self, key: CardKey, value: str, start: str) -> None:
        assert render(decision(key, values={"value": value, "date": "2026-11-01"})).summary.startswith(start)

    def test_possible_rls_is_called_possible(self) -> None:
        card = render(decision(CardKey.IRON_01, values={}), assessment(RlsStatus.POSSIBLE))
        assert card.summary.startswith("Possible RLS on record, no ferritin found")
        assert "- RLS is recorded, but not as confirmed" in section(card, "Missing or not read")

    def test_limb_movements_alone_take_the_place_of_rls(self) -> None:
        card = render(decision(CardKey.IRON_03), assessment(RlsStatus.POSSIBLE, is_plmd_only=True))
        assert "iron can be considered for periodic limb movement disorder" in card.summary
        assert "project rule" in section(card, "Rule")[-1]

    def test_an_unknown_status_is_said(self) -> None:
        card = render(decision(CardKey.IRON_01, values={}), assessment(RlsStatus.UNKNOWN))
        assert card.summary.startswith("If restless legs: No ferritin found")
        assert "was not read in full" in section(card, "Missing or not read")[0]

    def test_a_line_stands_once(self) -> None:
        line = DetailLine(Line.MEDICINES_NOT_READ)
        lines = section(render(decision(lines=(line, line))), "Missing or not read")
        assert lines == ["- The medicine list was not read in full"]

    def test_nothing_special_is_said_of_a_documented_status(self) -> None:
        card = render(decision(lines=(), not_checked=()))
        assert section(card, "Missing or not read") == []
        assert "Not checked" not in detail_of(card)

    @pytest.mark.parametrize("indicator", Indicator)
    def test_the_indicator_is_that_of_the_decision(self, indicator: Indicator) -> None:
        assert render(decision(indicator=indicator)).indicator == indicator.name.lower()

    @pytest.mark.parametrize(("key", "form"), all_forms())
    def test_long_values_fit_and_are_never_cut(self, key: CardKey, form: Form) -> None:
        values = values_of(key, form)
        values |= {
            name: "at least 12345.6 ng/mL" for name in ("value", "tsat", "crp", "original") if name in values
        }
        for rls, is_plmd_only in ((RlsStatus.UNKNOWN, False), (RlsStatus.POSSIBLE, True)):
            card = render(decision(key, form, values=values), assessment(rls, is_plmd_only=is_plmd_only))
            assert len(card.summary) <= 139
            assert set(re.findall(r"\b12[\d.]*", card.summary)) <= {"12345.6"}

    def test_a_result_stands_above_the_note_on_assays(self) -> None:
        lines = (DetailLine(Line.ASSAY), DetailLine(Line.TSAT_VALUE, {"value": "25 %", "date": "2026-11-01"}))
        values = section(render(decision(lines=lines)), "Values")
        assert values[-2].startswith("- Transferrin saturation (TSAT) 25 %")
        assert values[-1].startswith("- Assays differ")

    def test_the_day_of_the_draw_is_not_the_length_of_the_course(self) -> None:
        course = {"days": "205", "drawn_day": "184", "group": "adult"}
        values = {"value": "60 ng/mL", "date": "2026-11-01", **course}
        card = render(decision(CardKey.IRON_12B, values=values))
        assert card.summary.startswith("Ferritin 60 ng/mL (2026-11-01) after 184 days of oral iron")
        assert "205" not in card.summary
        assert "205 days up to today" in section(card, "Values")[-1]

    def test_a_value_in_no_band_is_not_called_readable(self) -> None:
        values = {"value": "below 100 ng/mL", "date": "2026-11-01", "age_reason": "age near 18"}
        readable = render(decision(CardKey.IRON_16, Form.AGE_AND_UNREADABLE, values=values))
        assert "The value is readable" in detail_of(readable)
        values["reason"] = "indeterminate"
        card = render(decision(CardKey.IRON_16, Form.AGE_AND_UNREADABLE, values=values))
        assert "readable" not in detail_of(card)
        assert "range too wide to decide" in detail_of(card)

    def test_overload_says_only_what_was_measured(self) -> None:
        high = {"what": "ferritin", "value": "350 ng/mL", "date": "2026-11-01"}
        detail = detail_of(render(decision(CardKey.IRON_14, values=high)))
        assert "may point to iron overload" in detail
        assert "stays above" not in detail
        assert "upper end of the range studied for ferric carboxymaltose in RLS (IRLSSG 2018)" in detail
        assert "Inflammation is the commoner reason" in detail
        found = {"what": "tsat", "tsat": "50 %", "tsat_date": "2026-11-01"}
        detail = detail_of(render(decision(CardKey.IRON_14, values=found)))
        assert "if TSAT stays above 45 %" in detail
        assert "Inflammation" not in detail


class TestRulesAndSources:
    def test_a_guideline_rule_names_the_guideline(self) -> None:
        rule = knowledge().rules["IRON-04"]
        assert rule.check is not Check.P
        assert section(render(), "Rule")[0].startswith(f"- {rule.text.rstrip('.')} (AASM 2025")

    def test_a_project_rule_is_named_as_such_and_not_as_the_guidelines(self) -> None:
        own = next(i for i, rule in knowledge().rules.items() if rule.check is Check.P)
        line = section(render(decision(rules=("IRON-04", own, own))), "Rule")[-1]
        assert line.endswith("(project rule, not the guideline's)")
        assert "AASM 2025" not in line

    def test_a_rule_stands_once(self) -> None:
        assert len(section(render(decision(rules=("IRON-04", "IRON-04"))), "Rule")) == 1

    def test_a_form_can_word_the_rule_anew_but_not_its_source(self) -> None:
        card = render(decision(CardKey.IRON_03, Form.AGE_OPEN))
        assert "up to the age of 17" in section(card, "Rule")[0]
        assert "(AASM 2025" in section(card, "Rule")[0]

    def test_a_card_says_when_its_own_wording_awaits_review(self) -> None:
        assert "Parts of this rule await clinical review." in detail_of(render(decision(CardKey.IRON_13)))

    def test_a_card_says_when_one_of_its_rules_awaits_review(self) -> None:
        settled = [i for i, rule in knowledge().rules.items() if not rule.awaits_review]
        waiting = [i for i, rule in knowledge().rules.items() if rule.awaits_review]
        without = detail_of(render(decision(CardKey.IRON_01, values={}, rules=tuple(settled[:1]))))
        assert "await clinical review" not in without
        for rule_id in waiting[:1]:
            detail = detail_of(render(decision(CardKey.IRON_01, values={}, rules=(rule_id,))))
            assert "await clinical review" in detail

    def test_a_screening_card_rests_on_its_factors(self) -> None:
        made = decision(CardKey.SCREEN_01, values={}, factor_ids=("family_history",))
        settled = assessment(RlsStatus.NOT_RECORDED, factors=(factor("family_history"),))
        assert "await clinical review" not in detail_of(render(made, settled))
        made = replace(made, factor_ids=("neuropathy",))
        waiting = assessment(RlsStatus.NOT_RECORDED, factors=(factor("neuropathy"),))
        assert "await clinical review" in detail_of(render(made, waiting))


class TestFactors:
    def test_only_present_factors_are_listed_in_the_order_of_the_decision(self) -> None:
        found = (
            factor("hypertension", is_possible=True),
            factor("family_history", certainty=Certainty.BY_TEXT),
            factor("osa.untreated", Presence.UNKNOWN),
        )
        made = decision(factor_ids=("family_history", "osa.untreated", "hypertension", "hypertension"))
        lines = section(render(made, assessment(factors=found)), "Contributing factors found")
        expected = [knowledge().factors[name].line.rstrip(".") for name in ("family_history", "hypertension")]
        assert lines == [f"- {expected[0]} (recognised by text)", f"- {expected[1]} (possible)"]

    def test_no_factor_no_section(self) -> None:
        assert "Contributing" not in detail_of(render(decision(factor_ids=())))

    def test_many_factors_are_named_only(self) -> None:
        ids = tuple(sorted(knowledge().factors))[:24]
        card = render(decision(factor_ids=ids), assessment(factors=tuple(map(factor, ids))))
        lines = section(card, "Contributing factors found")
        assert len(lines) == 7
        assert lines[-1].startswith("- Also: ")
        assert lines[-1].endswith("(+6)")

    def test_the_screening_card_names_three_factors(self) -> None:
        ids = ("family_history", "osa.untreated", "hypertension", "copd", "diabetes")
        made = decision(CardKey.SCREEN_01, values={}, factor_ids=ids)
        card = render(made, assessment(RlsStatus.NOT_RECORDED, factors=tuple(map(factor, ids))))
        assert card.summary.startswith("Linked to restless legs: ")
        assert " and 2 more. Ask about leg symptoms; if present, check iron" in card.summary

    @pytest.mark.parametrize(
        ("names", "factor_ids", "listed"),
        [
            ({"value", "date"}, (), "ferritin 60 ng/mL (2026-11-01)"),
            ({"tsat", "tsat_date"}, (), "TSAT 19.9 % (2026-11-03)"),
            (
                {"value", "date"},
                ("copd",),
                "ferritin 60 ng/mL (2026-11-01), chronic obstructive lung disease",
            ),
            (
                {"value", "date", "tsat", "tsat_date"},
                ("family_history", "copd"),
                "ferritin 60 ng/mL (2026-11-01), TSAT 19.9 % (2026-11-03)",
            ),
        ],
    )
    def test_the_screening_card_names_low_values_first(
        self, names: set[str], factor_ids: tuple[str, ...], listed: str
    ) -> None:
        made = decision(
            CardKey.SCREEN_01, values={name: VALUES[name] for name in names}, factor_ids=factor_ids
        )
        card = render(made, assessment(RlsStatus.NOT_RECORDED, factors=tuple(map(factor, factor_ids))))
        assert card.summary == (
            f"Linked to restless legs: {listed}. Ask about leg symptoms; if present, review iron"
        )

    def test_the_screening_card_needs_no_factor(self) -> None:
        made = decision(CardKey.SCREEN_01, values={}, factor_ids=())
        card = render(made, assessment(RlsStatus.NOT_RECORDED, factors=()))
        assert card.summary == (
            "Findings linked to restless legs are on record. Ask about leg symptoms; if present, check iron"
        )

    def test_the_screening_card_does_not_ask_for_a_value_that_is_known(self) -> None:
        of = assessment(RlsStatus.NOT_RECORDED)
        low = render(decision(CardKey.SCREEN_01, values={"value": "12 ng/mL", "date": "2026-11-01"}), of)
        assert "test ferritin" not in detail_of(low)
        assert "test ferritin" in detail_of(render(decision(CardKey.SCREEN_01, values={}), of))

    @pytest.mark.parametrize(
        ("key", "present", "shown"),
        [
            # Kidney failure rests on a secondary source, the others on read ones or on rules of the project.
            (CardKey.IRON_09, ("kidney.disease", "kidney.esrd"), {"kidney.esrd": True}),
            (CardKey.IRON_09, ("kidney.disease",), {"kidney.disease": False}),
            (CardKey.IRON_10, ("ferritin.inflamed", "hypertension"), {"hypertension": False}),
            (CardKey.IRON_04, ("ferritin.inflamed",), {"ferritin.inflamed": False}),
        ],
    )
    def test_a_factor_that_is_said_already_is_left_out(
        self, key: CardKey, present: tuple[str, ...], shown: dict[str, bool]
    ) -> None:
        card = render(decision(key, factor_ids=present), assessment(factors=tuple(map(factor, present))))
        expected = [
            f"- {knowledge().factors[name].line.rstrip('.')}" + " (awaiting clinical review)" * awaits
            for name, awaits in shown.items()
        ]
        assert section(card, "Contributing factors found") == expected


class TestMedicines:
    @pytest.mark.parametrize(
        ("names", "shown"),
        [
            (["sertraline"], "May worsen RLS: sertraline. "),
            (["sertraline", "hydroxyzine"], "May worsen RLS: sertraline and hydroxyzine. "),
            (["a1", "b2", "c3"], "May worsen RLS: a1, b2 and c3. "),
            (["a1", "b2", "c3", "d4", "e5"], "May worsen RLS: a1, b2, c3 and 2 more. "),
        ],
    )
    def test_the_summary_names_at_most_three(self, names: list[str], shown: str) -> None:
        card = render(decision(CardKey.DRUG_01, drugs=tuple(drug(name, "SSRI") for name in names)))
        assert card.summary == f"{shown}Review need or alternatives"

    def test_long_names_are_shortened_one_step_at_a_time(self) -> None:
        names = ["dextromethorphan hydrobromide with bupropion", "chlorpheniramine maleate", "x" * 70, "y"]
        made = decision(CardKey.GATE_01, drugs=tuple(drug(name, "RLS_DA") for name in names))
        summary = render(made, assessment(RlsStatus.NOT_RECORDED)).summary
        assert len(summary) <= 139
        assert summary.endswith("if it is for RLS, record it and check iron")
        assert summary.count("…") == 3
        assert "and 1 more are on the list" in summary

    def test_every_remark_of_a_medicine_is_shown(self) -> None:
        item = drug(
            "citalopram",
            "SSRI",
            is_possible=True,
            is_as_needed=True,
            is_old_entry=True,
            certainty=Certainty.BY_TEXT,
        )
        started = replace(item, start=_day("2024-01-01"))
        lines = section(render(decision(CardKey.DRUG_01, drugs=(started,))), "Medicines")
        name = knowledge().drug_classes["SSRI"].name
        assert lines[0] == (
            f"- **citalopram**: {name} (since 2024-01-01; status unknown, please confirm; "
            "old entry, please confirm; as needed; recognised by name)"
        )

    def test_each_class_is_explained_once_with_its_alternative(self) -> None:
        drugs = (drug("sertraline", "SSRI"), drug("citalopram", "SSRI"), drug("kava", "NO_SUCH_CLASS"))
        lines = section(render(decision(CardKey.DRUG_01, drugs=drugs)), "Medicines")
        found = knowledge().drug_classes["SSRI"]
        assert [line for line in lines if line.startswith(f"- {found.name}: ")] == [
            f"- {found.name}: {found.why} Alternative: {found.alternative}"
        ]
        assert lines[2] == "- **kava**"
        assert f"Never stop abruptly ({found.name})" in lines[-1]

    def test_no_word_on_tapering_where_it_does_not_matter(self) -> None:
        card = render(decision(CardKey.DRUG_01, drugs=(drug("hydroxyzine", "ANTIHIST_SEDATING"),)))
        assert "abruptly" not in detail_of(card)

    def test_many_medicines_are_named_only(self) -> None:
        drugs = tuple(drug(f"drug{n}", "LITHIUM" if n else "NO_SUCH_CLASS") for n in range(8))
        lines = section(render(decision(CardKey.DRUG_01, drugs=drugs)), "Medicines")
        assert "- Also: drug6, drug7" in lines

    def test_dopaminergic_medicines_are_not_explained_as_worsening(self) -> None:
        card = render(decision(CardKey.DA_01, values={}, drugs=(drug("pramipexole", "RLS_DA"),)))
        assert card.summary == "On pramipexole for RLS: ask about augmentation and impulse control"
        assert len(section(card, "Medicines")) == 1

    @pytest.mark.parametrize(
        ("names", "said", "not_said"),
        [
            (("pramipexole",), "against standard use (conditional)", "strong|not rated"),
            (
                ("cabergoline",),
                "Cabergoline: strongly against (heart valve disease",
                "standard use|not rated",
            ),
            (("cabergoline", "ropinirole"), "against standard use (conditional)", "not rated"),
            (("bromocriptine",), "Bromocriptine was not rated", "strong|standard use"),
            (("pergolide",), "Pergolide was not rated", "strong|standard use"),
            (("levodopa",), "against standard use (conditional)", "World Sleep Society endorsed|strong"),
        ],
    )
    def test_each_dopaminergic_medicine_has_its_own_rating(
        self, names: tuple[str, ...], said: str, not_said: str
    ) -> None:
        drugs = tuple(drug(name, "RLS_DA") for name in names)
        card = render(decision(CardKey.DA_01, values={}, drugs=drugs))
        assert said in section(card, "Rule")[0]
        assert not re.search(not_said, detail_of(card))

    def test_gabapentin_enacarbil_is_no_medicine_for_parkinson(self) -> None:
        of = assessment(RlsStatus.NOT_RECORDED)
        one = render(decision(CardKey.GATE_01, drugs=(drug("gabapentin enacarbil"),)), of)
        assert not re.search("Parkinson|dopaminergic", detail_of(one))
        other = render(decision(CardKey.GATE_01, drugs=(drug("ropinirole", "RLS_DA"),)), of)
        assert "often used for restless legs syndrome (RLS), or for Parkinson's disease" in detail_of(other)


class TestSuggestions:
    @pytest.mark.parametrize("order", Order)
    def test_a_suggestion_is_one_valid_draft_order(self, order: Order) -> None:
        card = render(decision(orders=(order,)))
        (suggestion,) = card.suggestions
        (action,) = suggestion.actions
        assert action.type == "create"
        assert action.resource is not None
        resource = ServiceRequest.model_validate(dict(action.resource))
        assert (resource.status, resource.intent) == ("draft", "proposal")
        assert resource.subject.reference == "Patient/patient-1"
        assert resource.reasonReference[0].reference == "Condition/rls-1"
        coding = PROFILE.order_codings[order][0]
        assert (resource.code.coding[0].code, resource.code.coding[0].system) == (coding.code, coding.system)

    def test_no_iron_before_the_draw(self) -> None:
        card = render(decision(orders=(Order.FERRITIN, Order.IRON_PANEL, Order.CRP)))
        instructions = [_resource(card, n).get("patientInstruction") for n in range(3)]
        text = "morning sample; no iron tablets or iron-rich supplements for 24 hours before"
        assert instructions == [text, text, None]

    def test_a_high_iron_is_repeated_fasting(self) -> None:
        card = render(decision(CardKey.IRON_14, orders=(Order.FERRITIN,)))
        assert _resource(card, 0)["patientInstruction"].startswith("fasting")

    def test_selection_behaviour_stands_beside_suggestions_only(self) -> None:
        assert render().selection_behavior == "any"
        without = render(decision(orders=()))
        assert without.selection_behavior is None
        assert without.suggestions == ()

    def test_an_order_without_a_site_code_keeps_its_text(self) -> None:
        resource = _resource(render(profile=BARE), 0)
        assert resource["code"] == {"text": "Ferritin, serum or plasma"}
        ServiceRequest.model_validate(resource)

    def test_only_usable_condition_ids_are_referenced(self) -> None:
        sources = (
            Source(1, "Condition", None),
            Source(2, "Condition", "not valid/../x"),
            Source(3, "Observation", "obs"),
            Source(4, "Condition", "b"),
            Source(5, "Condition", "a"),
        )
        resource = _resource(render(of=assessment(rls_sources=sources)), 0)
        assert resource["reasonReference"] == [{"reference": "Condition/a"}, {"reference": "Condition/b"}]
        assert "reasonReference" not in _resource(render(of=assessment(rls_sources=())), 0)


class TestIdentity:
    def test_the_same_request_gives_the_same_card(self) -> None:
        assert to_json(render()) == to_json(render())

    def test_all_uuids_are_of_version_5_and_differ(self) -> None:
        card = render()
        ids = [card.uuid, *(suggestion.uuid for suggestion in card.suggestions)]
        assert len(set(ids)) == len(ids)
        assert {uuid.UUID(found).version for found in ids if found is not None} == {5}

    @pytest.mark.parametrize(
        "context",
        [
            replace(CONTEXT, hook_instance="another"),
            replace(CONTEXT, client="another"),
            replace(CONTEXT, service_id="another"),
        ],
    )
    def test_another_call_gives_another_uuid(self, context: RenderContext) -> None:
        assert render(context=context).uuid != render().uuid

    @pytest.mark.parametrize(
        "deciding",
        [
            (),
            (replace(FINDING, value="61"),),
            (replace(FINDING, unit="pmol/L"),),
            (replace(FINDING, day="2026-11-02"),),
            (replace(FINDING, kind="tsat"),),
            (FINDING, Deciding("medicine", "sertraline")),
        ],
    )
    def test_another_finding_gives_another_uuid(self, deciding: tuple[Deciding, ...]) -> None:
        assert render(decision(deciding=deciding)).uuid != render().uuid

    def test_another_card_gives_another_uuid(self) -> None:
        assert render(decision(CardKey.IRON_05)).uuid != render().uuid

    def test_nothing_else_changes_the_uuid(self) -> None:
        other = decision(
            values={"value": "60 ng/mL", "date": "2026-11-01"},
            indicator=Indicator.INFO,
            rules=("IRON-03",),
            lines=(),
            not_checked=(),
            factor_ids=(),
            orders=(Order.FERRITIN,),
        )
        sources = (Source(9, "Condition", "other"),)
        context = replace(CONTEXT, patient_id="other", canonical_base="https://other.example.org")
        card = render(other, assessment(rls_sources=sources), context=context, profile=BARE)
        assert card.uuid == render().uuid
        assert card.suggestions[0].uuid == render().suggestions[0].uuid

    @given(st.permutations([FINDING, Deciding("tsat", "15", "%", "2026-11-01"), Deciding("medicine", "x")]))
    def test_the_order_of_findings_does_not_matter(self, deciding: list[Deciding]) -> None:
        assert fingerprint(deciding) == fingerprint(sorted(deciding, key=lambda item: item.kind))

    def test_parts_do_not_run_into_each_other(self) -> None:
        first = card_uuid(
            client="a", hook_instance="bc", service_id="s", key=CardKey.IRON_01, fingerprint="f"
        )
        second = card_uuid(
            client="ab", hook_instance="c", service_id="s", key=CardKey.IRON_01, fingerprint="f"
        )
        assert first != second
        assert fingerprint([Deciding("a", "b")]) != fingerprint([Deciding("ab", "")])

    def test_identifiers_are_pinned_because_feedback_refers_to_them(self) -> None:
        assert suggestion_uuid("card", "ferritin") == "be9140e9-a8af-554e-989e-8d4436ac87db"
        assert fingerprint([FINDING]) == "e10aba3e03e3a55acf19edf78581ad04a8cf1caaba78d2f6aa897a6578f98cf9"


class TestWire:
    @pytest.mark.parametrize(("key", "form"), all_forms())
    def test_no_null_and_no_empty_member(self, key: CardKey, form: Form) -> None:
        card = json.loads(to_json(render(decision(key, form))))
        assert not list(_empty_members(card))
        assert ("selectionBehavior" in card) is ("suggestions" in card)

    def test_a_lone_surrogate_does_not_break_the_answer(self) -> None:
        values = values_of(CardKey.IRON_14, Form.STANDARD) | {"condition": "iron \ud83d overload"}
        assert b"iron overload" in to_json(render(decision(CardKey.IRON_14, values=values)))

    def test_the_base_of_the_systems_takes_a_trailing_slash(self) -> None:
        card = render(context=replace(CONTEXT, canonical_base="https://site.example.org/"))
        assert card.source.topic is not None
        assert card.source.topic.system == "https://site.example.org/CodeSystem/card-topic"


class TestErrors:
    @pytest.mark.parametrize(
        ("values", "said"),
        [
            ({"value": "60 ng/mL"}, "missing ..date"),
            ({"value": "60 ng/mL", "date": ""}, "missing ..date"),
            ({"value": "60 ng/mL", "date": "2026-11-01", "crp": "30 mg/L"}, "unknown ..crp"),
        ],
    )
    def test_values_that_do_not_fit_are_refused(self, values: dict[str, str], said: str) -> None:
        with pytest.raises(CardTemplateError, match=said):
            render(decision(values=values))

    def test_a_form_that_does_not_exist_is_refused(self) -> None:
        with pytest.raises(CardTemplateError, match="no form"):
            render(replace(decision(), form=Form.NEVER))

    def test_a_line_whose_values_do_not_fit_is_refused(self) -> None:
        with pytest.raises(CardTemplateError, match="tsat-value"):
            render(decision(lines=(DetailLine(Line.TSAT_VALUE, {"value": "25 %"}),)))

    def test_the_version_and_hash_of_the_wording_are_known(self) -> None:
        assert re.fullmatch(r"\d{4}\.\d+\.\d+", library().version)
        assert re.fullmatch(r"[0-9a-f]{12}", library().hash)

    def test_values_may_be_read_only(self) -> None:
        values = MappingProxyType({"value": "60 ng/mL", "date": "2026-11-01"})
        assert "60 ng/mL" in render(decision(values=values)).summary


def _resource(card: Card, index: int) -> dict[str, object]:
    resource = card.suggestions[index].actions[0].resource
    assert resource is not None
    return dict(resource)


def _day(text: str) -> PartialDate:
    day = date.fromisoformat(text)
    return PartialDate(day, day, datetime.combine(day, time(), UTC), text)


def _empty_members(value: object) -> list[object]:
    if isinstance(value, dict):
        return [found for member in value.values() for found in _empty_members(member)]
    if isinstance(value, list):
        return [value] * (not value) + [found for member in value for found in _empty_members(member)]
    return [value] if value is None or value == "" else []

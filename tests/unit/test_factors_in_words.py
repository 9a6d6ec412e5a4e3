"""A disease or habit that a record tells in words alone never leaves its factor `absent`."""

import re

import pytest

from cds_service.clinical.assessment import Factor
from cds_service.clinical.facts import Certainty, Presence
from cds_service.knowledge import load
from tests.builders import Fact, hook_request, prefetch
from tests.harness import service_in

# By the factor, a text that says so; a second one where the factor has several groups.
TOLD = {
    "rls.diagnosis": ("Restless legs syndrome",),
    "rls.plmd": ("Periodic limb movement disorder",),
    "iron.deficiency_diagnosis": ("Iron deficiency", "Iron deficiency anemia", "Anemia in pregnancy"),
    "iron.loss_or_malabsorption": ("GI bleed", "Celiac disease", "Blood donor"),
    "iron.overload": ("Hereditary hemochromatosis",),
    "pregnancy": ("Pregnancy, 9 weeks",),
    "postpartum": ("Normal vaginal delivery", "Postpartum"),
    "kidney.disease": ("Chronic kidney disease, stage 3", "On hemodialysis"),
    "kidney.esrd": ("End-stage renal disease",),
    "family_history": ("Mother has restless legs",),
    "neuropathy": ("Peripheral neuropathy", "Diabetic polyneuropathy", "Diabetic neuropathy"),
    "multiple_sclerosis": ("Multiple sclerosis",),
    "osa.untreated": ("Obstructive sleep apnea",),
    "diabetes": ("Type 2 diabetes mellitus",),
    "gestational_diabetes": ("Gestational diabetes",),
    "parkinson": ("Parkinson's disease", "Drug-induced parkinsonism"),
    "spinal_cord": ("Spinal cord injury", "Cervical myelopathy"),
    "stroke": ("Stroke",),
    "migraine": ("Migraine",),
    "hypertension": ("Hypertension",),
    "coronary_disease": ("Coronary artery disease",),
    "heart_failure": ("Heart failure",),
    "arrhythmia": ("Atrial fibrillation",),
    "copd": ("COPD",),
    "interstitial_lung_disease": ("Interstitial lung disease",),
    "alcohol": ("Alcohol use disorder",),
    "nicotine": ("Tobacco use disorder", "Tobacco user"),
    "caffeine": ("Caffeine dependence",),
    "sleep_deprivation": ("Sleep deprivation",),
    "insomnia": ("Insomnia",),
    "menopause": ("Menopause",),
    "hormone_therapy": ("Hormone replacement therapy",),
    "hypothyroidism": ("Hypothyroidism",),
    "b12_folate": ("Vitamin B12 deficiency", "Folate deficiency"),
    "vitamin_d": ("Vitamin D deficiency",),
    "rheumatoid_arthritis": ("Rheumatoid arthritis",),
    "inflammatory_disease": ("Crohn's disease",),
    "withdrawal": ("Opioid withdrawal",),
    "phosphate.low": ("Hypophosphatemia",),
    "adhd": ("ADHD",),
}
# Shown by more than a code group.
BY_RULES = {"pregnancy", "postpartum", "kidney.disease", "kidney.esrd", "family_history"}
# Of the codes of their factor only: a text about it names the other group.
CODES_ONLY = {"b12_deficiency_anemia", "folate_deficiency_anemia"}
# Read where restless legs themselves are not on record, which opens no card for them.
WITHOUT_RLS = {"rls.diagnosis", "rls.plmd"}
DIAGNOSES = "diagnos.s.* by code or words"


def found(factor_id: str, text: str, **when: str) -> Factor:
    """Return a factor where a Condition has this text: of a woman of 40, or of a girl."""
    born = "2014-01-01" if factor_id == "adhd" else "1986-01-01"
    record: list[Fact] = [{"ferritin": 60}, {"diagnosis": {"text": text, **when}}]
    if factor_id not in WITHOUT_RLS:
        record.append("RLS")
    body = hook_request(prefetch(record, of={"sex": "female", "born": born}))
    assessment = service_in("UTC").view(body).assessment
    return next(one for one in assessment.factors if one.id == factor_id)


@pytest.mark.parametrize(("factor_id", "text"), [(i, text) for i, texts in TOLD.items() for text in texts])
def test_a_text_alone_shows_its_factor(factor_id: str, text: str) -> None:
    factor = found(factor_id, text, recorded="2026-11-01")
    assert factor.presence is Presence.PRESENT
    # Evidence of overload is that of its card, which remarks nothing on words.
    certainty = Certainty.CODED if factor_id == "iron.overload" else Certainty.BY_TEXT
    assert {(item.text, item.certainty) for item in factor.evidence} == {(text, certainty)}


@pytest.mark.parametrize(("factor_id", "text"), [(i, text) for i, texts in TOLD.items() for text in texts])
def test_a_text_without_a_date_leaves_no_factor_absent(factor_id: str, text: str) -> None:
    assert found(factor_id, text).presence is not Presence.ABSENT


def test_attention_deficit_counts_in_children_only() -> None:
    def told(born: str) -> Factor:
        record: list[Fact] = ["RLS", {"ferritin": 60}, {"diagnosis": {"text": "ADHD"}}]
        assessment = service_in("UTC").view(hook_request(prefetch(record, of={"born": born}))).assessment
        return next(one for one in assessment.factors if one.id == "adhd")

    child, near_18, adult = told("2014-01-01"), told("2008-11"), told("1970-01-01")
    assert [item.is_possible for item in child.evidence] == [False]
    assert [item.is_possible for item in near_18.evidence] == [True]
    assert (adult.presence, adult.reason) == (Presence.UNKNOWN, "not applied to this group")


def test_no_factor_of_diagnoses_is_left_out() -> None:
    by_groups = {one.id for one in load().factors.values() if one.groups}
    assert TOLD.keys() == by_groups | BY_RULES


def test_each_group_of_diagnoses_has_words() -> None:
    knowledge = load()
    told = {
        group
        for texts in TOLD.values()
        for text in texts
        for group in knowledge.terminology.condition_groups_by_text(text)
    }
    groups = {group for one in knowledge.factors.values() for group in one.groups}
    assert groups - told == CODES_ONLY


def test_what_is_said_of_the_detection_names_the_words() -> None:
    factors = load().factors
    assert [i for i in TOLD if "words" not in factors[i].detected] == []
    by_diagnosis = {
        i for i, one in factors.items() if re.search("diagnos.s.* by code or words", one.detected)
    }
    assert by_diagnosis == TOLD.keys() - {"postpartum", "family_history"}


@pytest.mark.parametrize(
    ("factor_id", "text"),
    [
        ("stroke", "Family history of stroke"),
        ("stroke", "Heat stroke"),
        ("spinal_cord", "Spinal cord stimulator"),
        ("interstitial_lung_disease", "Interstitial lung disease ruled out"),
        ("menopause", "Premenopausal"),
        ("withdrawal", "Withdrawal bleeding"),
        ("iron.loss_or_malabsorption", "No evidence of GI bleed"),
        ("pregnancy", "Pregnancy test negative"),
        ("pregnancy", "Ectopic pregnancy"),
        ("postpartum", "Postpartum depression"),
    ],
)
def test_what_a_text_does_not_assert_stays_absent(factor_id: str, text: str) -> None:
    assert found(factor_id, text, recorded="2026-11-01").presence is Presence.ABSENT

"""What free text says and, more often, does not say."""

import pytest

from tests.unit.test_knowledge_terminology import TERMS


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("Restless legs syndrome", {"rls"}),
        ("RESTLESS-LEG SYNDROME", {"rls"}),
        ("RLS (restless legs)", {"rls"}),
        ("restless RLS", {"rls"}),
        ("Willis-Ekbom disease", {"rls"}),
        ("Ekbom's disease, RLS", {"rls"}),
        ("Familial restless legs syndrome", {"rls"}),
        ("Restless legs, not intractable; Restless legs syndrome", {"rls"}),
        ("Denies pain; restless legs", {"rls"}),
        ("Periodic limb movement disorder", {"plmd"}),
        ("Parkinson\u2019s disease", {"parkinson"}),
        ("Parkinsonism", {"parkinson"}),
        ("Drug-induced parkinsonism", {"parkinsonism_secondary"}),
        ("Multiple sclerosis, relapsing", {"multiple_sclerosis"}),
        ("ESRD on hemodialysis", {"esrd", "dialysis"}),
        ("Kidney transplant recipient", {"kidney_transplant"}),
        ("Chronic kidney disease stage 3", {"ckd"}),
        ("Hereditary haemochromatosis", {"iron_overload"}),
        ("Iron deficiency anemia", {"iron_deficiency_anemia"}),
        ("Anaemia due to iron deficiency", {"iron_deficiency_anemia"}),
        ("Iron deficiency without anemia", {"iron_deficiency"}),
        ("Iron deficiency", {"iron_deficiency"}),
        ("Type 2 diabetes mellitus without complications", {"diabetes"}),
        ("Diabetic peripheral neuropathy", {"diabetes", "diabetic_polyneuropathy", "peripheral_neuropathy"}),
        ("Peripheral neuropathy", {"peripheral_neuropathy"}),
        ("OSA on CPAP", {"osa"}),
        ("COPD", {"copd"}),
        ("Essential (primary) hypertension", {"hypertension"}),
        ("Crohn's disease", {"inflammatory_disease", "iron_loss_or_malabsorption"}),
    ],
)
def test_conditions_that_a_text_asserts(text: str, groups: set[str]) -> None:
    assert TERMS.condition_groups_by_text(text) == groups


@pytest.mark.parametrize(
    "text",
    [
        "",
        "RLS",
        "restless",
        "Restless child",
        "Restless legs?",
        "history of restless legs",
        "Hx of restless legs",
        "h/o restless legs",
        "FH: restless legs",
        "Family history of restless legs syndrome",
        "Restless legs, mother",
        "No restless legs",
        "No restless legs; Restless legs syndrome",
        "without restless legs",
        "denies restless legs",
        "restless legs: no",
        "restless legs - no",
        "restless legs in remission",
        "former restless legs",
        "screening for restless legs",
        "rule out restless legs",
        "r/o restless legs",
        "suspected restless legs",
        "Anemia without iron deficiency",
        "prediabetes",
        "Diabetes insipidus",
        "Nondiabetic",
        "amyotrophic lateral sclerosis",
        "Wolff-Parkinson-White syndrome",
        "Pulmonary hypertension",
        "Not on dialysis",
        "Hemochromatosis carrier",
        "Awaiting kidney transplant",
        "Acute kidney injury",
        "Pregnant",
        "Fracture of forearm",
    ],
)
def test_conditions_that_a_text_does_not_assert(text: str) -> None:
    assert TERMS.condition_groups_by_text(text) == frozenset()


@pytest.mark.parametrize(
    ("text", "is_family"),
    [
        ("Family history of restless legs syndrome", True),
        ("FH: RLS (restless legs)", True),
        ("Mother has restless legs", True),
        ("Restless legs in the family", True),
        ("No family history of restless legs", False),
        ("Family history of restless legs: denied", False),
        ("Family history of epilepsy", False),
        ("Familial restless legs", False),
        ("Restless legs", False),
        ("FH: RLS", False),
    ],
)
def test_relatives(text: str, *, is_family: bool) -> None:
    assert TERMS.is_family_history_text_of_rls(text) is is_family


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("Ferritin", "ferritin"),
        ("FERRITIN, SERUM", "ferritin"),
        ("S-Ferritin", "ferritin"),
        ("ferritin_level", "ferritin"),
        ("Ferritin, body fluid", None),
        ("Red cell ferritin", None),
        ("Ferritin; goal", None),
        ("Transferrin receptor/ferritin ratio", None),
        ("Apoferritin", None),
        ("Transferrin saturation", "tsat"),
        ("TSAT", "tsat"),
        ("Iron saturation", "tsat"),
        ("Iron % Saturation", "tsat"),
        ("Iron/TIBC", "tsat"),
        ("% Saturation", None),
        ("Oxygen saturation", None),
        ("TIBC", "tibc"),
        ("Total iron-binding capacity", "tibc"),
        ("Unsaturated iron binding capacity", None),
        ("UIBC", None),
        ("Iron", "iron"),
        ("Iron, serum", "iron"),
        ("Iron panel", None),
        ("Iron stain", None),
        ("Liver iron", None),
        ("C-reactive protein", "crp"),
        ("hs-CRP", "crp"),
        ("Hemoglobin", "haemoglobin"),
        ("Hgb", "haemoglobin"),
        ("Hb", "haemoglobin"),
        ("Hemoglobin A1c", None),
        ("Mean corpuscular hemoglobin", None),
        ("Transferrin", None),
        ("Glucose", None),
        ("", None),
    ],
)
def test_analytes(text: str, group: str | None) -> None:
    assert TERMS.observation_group_by_text(text) == group

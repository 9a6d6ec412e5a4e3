"""The codes that the scenarios, fixtures and property tests use, by the name that a clinician would say."""

LOINC = "http://loinc.org"
SNOMED_CT = "http://snomed.info/sct"
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"


# name -> LOINC code, display, unit, search
LABORATORY = {
    "ferritin": ("2276-4", "Ferritin [Mass/volume] in Serum or Plasma", "ng/mL", "ironResults"),
    "TSAT": ("2502-3", "Iron saturation [Mass Fraction] in Serum or Plasma", "%", "ironResults"),
    "iron": ("2498-4", "Iron [Mass/volume] in Serum or Plasma", "ug/dL", "ironResults"),
    "TIBC": ("2500-7", "Iron binding capacity [Mass/volume] in Serum or Plasma", "ug/dL", "ironResults"),
    "CRP": ("1988-5", "C reactive protein [Mass/volume] in Serum or Plasma", "mg/L", "ironResults"),
    "haemoglobin": ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", "contextResults"),
    "eGFR": (
        "62238-1",
        (
            "Glomerular filtration rate/1.73 sq M.predicted [Volume Rate/Area] in Serum, Plasma or Blood "
            "by Creatinine-based formula (CKD-EPI)"
        ),
        "mL/min/{1.73_m2}",
        "contextResults",
    ),
    "HbA1c": ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", "metabolicResults"),
    "vitamin B12": (
        "2132-9",
        "Cobalamin (Vitamin B12) [Mass/volume] in Serum or Plasma",
        "pg/mL",
        "metabolicResults",
    ),
    "folate": ("2284-8", "Folate [Mass/volume] in Serum or Plasma", "ng/mL", "metabolicResults"),
    "vitamin D": (
        "1989-3",
        "25-hydroxyvitamin D3 [Mass/volume] in Serum or Plasma",
        "ng/mL",
        "metabolicResults",
    ),
    "TSH": ("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma", "m[IU]/L", "metabolicResults"),
    "phosphate": ("2777-1", "Phosphate [Mass/volume] in Serum or Plasma", "mg/dL", "metabolicResults"),
    "blood glucose": ("2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dL", "contextResults"),
}

# name -> LOINC code (None: the site has no standard code), text, unit, search
QUESTIONS: dict[str, tuple[str | None, str, str | None, str]] = {
    "smoking": ("72166-2", "Tobacco smoking status", None, "socialHistory"),
    "AUDIT-C": ("75626-2", "Total score [AUDIT-C]", "{score}", "socialHistory"),
    "drinks per day": ("74013-4", "Alcoholic drinks per day", "{drinks}/d", "socialHistory"),
    "caffeine intake": (None, "Caffeine intake", "cups/d", "socialHistory"),
    "severity": (None, "IRLS total score", "{score}", "socialHistory"),
    "pregnancy test": (
        "2106-3",
        "Choriogonadotropin (pregnancy test) [Presence] in Urine",
        None,
        "contextResults",
    ),
    "gene studied": ("48018-6", "Gene studied [ID]", None, "contextResults"),
}
"""Questions whose answers are numbers, codes or words."""

ANSWERS = {
    "daily smoker": (SNOMED_CT, "449868002", "Smokes tobacco daily (finding)"),
    "former smoker": (SNOMED_CT, "8517006", "Ex-smoker (finding)"),
    "never smoker": (SNOMED_CT, "266919005", "Never smoked tobacco (finding)"),
    "smoking unknown": (SNOMED_CT, "266927001", "Tobacco smoking consumption unknown (finding)"),
}

NAMED_DIAGNOSES = {
    "RLS": (ICD_10_CM, "G25.81", "Restless legs syndrome"),
    "PLMD": (ICD_10_CM, "G47.61", "Periodic limb movement disorder"),
}

DIAGNOSES = {
    "C92.1": "Chronic myeloid leukemia",
    "D51.0": "Vitamin B12 deficiency anemia due to intrinsic factor deficiency",
    "E03.9": "Hypothyroidism, unspecified",
    "E11.9": "Type 2 diabetes mellitus without complications",
    "E11.42": "Type 2 diabetes mellitus with diabetic polyneuropathy",
    "E55.9": "Vitamin D deficiency, unspecified",
    "E61.1": "Iron deficiency",
    "E83.10": "Disorder of iron metabolism, unspecified",
    "E83.110": "Hereditary hemochromatosis",
    "E83.39": "Other disorders of phosphorus metabolism",
    "F10.20": "Alcohol dependence, uncomplicated",
    "F11.23": "Opioid dependence with withdrawal",
    "F15.20": "Other stimulant dependence, uncomplicated",
    "F17.210": "Nicotine dependence, cigarettes, uncomplicated",
    "F90.0": "Attention-deficit hyperactivity disorder, predominantly inattentive type",
    "G20": "Parkinson's disease",
    "G20.A1": "Parkinson's disease without dyskinesia, without mention of fluctuations",
    "G25.81": "Restless legs syndrome",
    "G35.A": "Relapsing-remitting multiple sclerosis",
    "G43.909": "Migraine, unspecified, not intractable, without status migrainosus",
    "G47.00": "Insomnia, unspecified",
    "G47.33": "Obstructive sleep apnea (adult) (pediatric)",
    "G62.9": "Polyneuropathy, unspecified",
    "G95.9": "Disease of spinal cord, unspecified",
    "I10": "Essential (primary) hypertension",
    "I25.10": "Atherosclerotic heart disease of native coronary artery without angina pectoris",
    "I48.91": "Unspecified atrial fibrillation",
    "I50.9": "Heart failure, unspecified",
    "I63.9": "Cerebral infarction, unspecified",
    "J84.112": "Idiopathic pulmonary fibrosis",
    "J44.9": "Chronic obstructive pulmonary disease, unspecified",
    "K50.90": "Crohn's disease, unspecified, without complications",
    "M06.9": "Rheumatoid arthritis, unspecified",
    "N95.1": "Menopausal and female climacteric states",
    "N17.9": "Acute kidney failure, unspecified",
    "N18.4": "Chronic kidney disease, stage 4 (severe)",
    "N18.6": "End stage renal disease",
    "O03.9": "Complete or unspecified spontaneous abortion without complication",
    "O26.812": "Pregnancy related exhaustion and fatigue, second trimester",
    "O80": "Encounter for full-term uncomplicated delivery",
    "Z33.1": "Pregnant state, incidental",
    "Z52.01": "Autologous blood donor",
    "Z72.0": "Tobacco use",
    "Z72.820": "Sleep deprivation",
    "Z79.890": "Hormone replacement therapy",
    "Z82.0": "Family history of epilepsy and other diseases of the nervous system",
    "Z94.0": "Kidney transplant status",
    "Z99.2": "Dependence on renal dialysis",
}
"""ICD-10-CM codes of the scenarios."""

MEDICINES = {
    "aripiprazole": ("89013", "aripiprazole"),
    "azelastine nasal spray": (
        "1797867",
        "azelastine hydrochloride 0.137 MG/ACTUAT Metered Dose Nasal Spray",
    ),
    "bupropion": ("42347", "bupropion"),
    "caffeine": ("1886", "caffeine"),
    "carbidopa and levodopa": ("197444", "carbidopa 25 MG / levodopa 100 MG Oral Tablet"),
    "citalopram": ("2556", "citalopram"),
    "contraceptive pack with iron": (
        "1358763",
        (
            "{21 (ethinyl estradiol 0.02 MG / norethindrone acetate 1 MG Oral Tablet) / "
            "7 (ferrous fumarate 75 MG Oral Tablet) } Pack"
        ),
    ),
    "deferasirox": ("614373", "deferasirox"),
    "diphenhydramine 25 mg": ("1049630", "diphenhydramine hydrochloride 25 MG Oral Tablet"),
    "diphenhydramine gel": ("1049723", "diphenhydramine hydrochloride 0.01 MG/MG Topical Gel"),
    "doxepin 3 mg": ("966787", "doxepin 3 MG Oral Tablet"),
    "doxepin cream": ("1000091", "doxepin hydrochloride 50 MG/ML Topical Cream"),
    "ferric carboxymaltose": ("1435169", "15 ML ferric carboxymaltose 50 MG/ML Injection"),
    "ferrous sulfate": ("310325", "ferrous sulfate 325 MG Oral Tablet"),
    "fexofenadine": ("87636", "fexofenadine"),
    "fluoxetine": ("310385", "fluoxetine 20 MG Oral Capsule"),
    "gabapentin": ("25480", "gabapentin"),
    "hydroxyzine": ("995258", "hydroxyzine hydrochloride 25 MG Oral Tablet"),
    "iron sucrose": ("1741261", "10 ML iron sucrose 20 MG/ML Injection"),
    "ketotifen eye drops": ("311237", "ketotifen 0.25 MG/ML Ophthalmic Solution"),
    "levothyroxine": ("10582", "levothyroxine"),
    "loratadine": ("28889", "loratadine"),
    "metoclopramide": ("311666", "metoclopramide 10 MG Oral Tablet"),
    "mirtazapine": ("311725", "mirtazapine 15 MG Oral Tablet"),
    "multivitamin with iron": (
        "1116179",
        (
            "ascorbic acid 100 MG / calcium carbonate 200 MG / cholecalciferol 0.01 MG / "
            "copper sulfate 2 MG / dl-alpha tocopheryl acetate 30 UNT / ferrous fumarate 65 MG / "
            "folic acid 1 MG / magnesium oxide 10 MG / niacinamide 20 MG / potassium iodide 0.15 MG / "
            "pyridoxine hydrochloride 5 MG / retinol acetate 4000 UNT / riboflavin 3.4 MG / "
            "thiamine mononitrate 3 MG / vitamin B12 0.012 MG / zinc sulfate 15 MG Oral Tablet"
        ),
    ),
    "nicotine": ("7407", "nicotine"),
    "olanzapine with fluoxetine": ("403970", "fluoxetine 25 MG / olanzapine 12 MG Oral Capsule"),
    "paroxetine": ("32937", "paroxetine"),
    "pramipexole": ("859033", "pramipexole dihydrochloride 0.125 MG Oral Tablet"),
    "promethazine": ("992447", "promethazine hydrochloride 25 MG Oral Tablet"),
    "quetiapine": ("312744", "quetiapine 25 MG Oral Tablet"),
    "ropinirole": ("314208", "ropinirole 1 MG Oral Tablet"),
    "sertraline": ("312941", "sertraline 50 MG Oral Tablet"),
    "trazodone": ("10737", "trazodone"),
    "venlafaxine": ("39786", "venlafaxine"),
}
"""RxNorm codes of the scenarios: clinical drugs where the form matters, ingredients elsewhere."""

RELATIVES = {"father": "FTH", "mother": "MTH", "sister": "SIS", "aunt": "AUNT", "wife": "WIFE"}
ORDERS = {
    "ferritin": ("2276-4", "Ferritin [Mass/volume] in Serum or Plasma"),
    "iron panel": ("50190-8", "Iron and Iron binding capacity panel - Serum or Plasma"),
}
PREGNANCY_STATUS = {
    "pregnant": ("77386006", "Pregnancy (finding)"),
    "not pregnant": ("60001007", "Not pregnant (finding)"),
}

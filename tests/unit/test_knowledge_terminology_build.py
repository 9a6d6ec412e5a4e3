"""The script behind the code groups: verified rows only, and the same lists give the same files."""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "build_valuesets.py"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
HEAD = "system,code,display,group,source,verified"
LISTS = {
    "icd10cm": [
        HEAD,
        "http://hl7.org/fhir/sid/icd-10-cm,G25.81,Restless legs syndrome,rls,a tabular list,yes",
        "http://hl7.org/fhir/sid/icd-10-cm,O00-O9A,Pregnancy,pregnancy_chapter,a range,yes",
    ],
    "snomed": [HEAD, "http://snomed.info/sct,130989002,Sleep deprivation,sleep_deprivation,memory,no"],
    "loinc": [
        HEAD,
        'http://loinc.org,2276-4,Ferritin,ferritin,"a public code list, 12345678901",yes',
        "http://loinc.org,14724-9,Ferritin?,ferritin_unconfirmed,id 12345678901,no",
        "http://loinc.org,11580-8,Thyrotropin,tsh,from memory,no",
    ],
    "atc": [
        HEAD,
        "http://www.whocc.no/atc,N05AN01,lithium,LITHIUM,a table,yes",
        "http://www.whocc.no/atc,N06A,ANTIDEPRESSANTS,class,a table,yes",
    ],
    "rxnorm_ingredients": [
        f"{HEAD},ingredient,atc_level5",
        f"{RXNORM},42351,Lithium Carbonate,LITHIUM,a list,yes,lithium carbonate,N05AN01",
        f"{RXNORM},,agomelatine,ANTIDEP_OTHER,none,no,agomelatine,N06AX22",
    ],
    "rxnorm_clinical_drugs": [
        f"{HEAD},ingredients_matched,route,kind",
        f"{RXNORM},2,lithium carbonate 300 MG Oral Capsule [Quiet Water],LITHIUM,table,yes,lithium,oral,SBD",
        f"{RXNORM},1,lithium carbonate 300 MG Oral Capsule,LITHIUM,a table,yes,lithium,oral,SCD",
        f"{RXNORM},3,lithium carbonate 900 MG Oral Capsule,LITHIUM,a table,no,lithium,oral,SCD",
    ],
}


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_valuesets", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_lists(folder: Path, lists: Mapping[str, Sequence[str]] = LISTS) -> Path:
    folder.mkdir()
    for name, lines in lists.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def built(tmp_path: Path) -> dict[str, str]:
    target = tmp_path / "out"
    assert load_script().main([str(write_lists(tmp_path / "codes")), str(target)]) == 0
    return {str(p.relative_to(target)): p.read_text("utf-8") for p in sorted(target.rglob("*.json"))}


def members(text: str) -> dict[str, list[dict[str, Any]]]:
    entries = json.loads(text)["entry"]
    return {e["resource"]["identifier"][0]["value"]: e["resource"]["expansion"]["contains"] for e in entries}


def test_only_verified_rows_are_written(tmp_path: Path) -> None:
    files = built(tmp_path)
    conditions, observations = (
        members(files[f"valuesets/{name}.json"]) for name in ("conditions", "observations")
    )
    assert "sleep_deprivation" not in conditions
    assert [m["code"] for m in conditions["rls"]] == ["G25.81"]
    assert [m["code"] for m in conditions["pregnancy_chapter"]] == ["O"]
    added = {"phosphate", "phosphate_molar", "gene_studied"}
    assert observations.keys() == {"ferritin", "ferritin_unconfirmed"} | added
    assert "display" not in observations["ferritin_unconfirmed"][0]
    assert "12345678901" not in files["valuesets/observations.json"]


def test_medicines_have_one_spelling_and_no_names_of_others(tmp_path: Path) -> None:
    files = built(tmp_path)
    drugs = json.loads(files["drugs.json"])
    assert drugs["ingredients"]["lithium"] == {"groups": ["LITHIUM"], "rxnorm": ["42351"], "atc": ["N05AN01"]}
    assert drugs["ingredients"]["agomelatine"]["rxnorm"] == []
    assert drugs["products"] == [[["lithium"], "oral", "lithium 300 mg oral capsule"]]
    assert drugs["clinical_drugs"] == {"1": 0, "2": 0}
    assert drugs["brands"] == {"quiet water": [["lithium"], "oral"]}
    assert "ANTIDEPRESSANTS" not in "".join(files.values())


def test_the_same_lists_give_the_same_files(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    assert built(one) == built(other)


def test_a_row_whose_groups_fit_no_ingredient_stops_the_build(tmp_path: Path) -> None:
    row = f"{RXNORM},9,both,SSRI;TCA,a table,yes,lithium;agomelatine,oral,SCD"
    lists = {**LISTS, "rxnorm_clinical_drugs": [LISTS["rxnorm_clinical_drugs"][0], row]}
    with pytest.raises(SystemExit, match="groups of 9"):
        load_script().files(write_lists(tmp_path / "codes", lists))


def test_without_lists_it_says_how_to_call_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert load_script().main([]) == 2
    assert "usage" in capsys.readouterr().err

"""The published resources are FHIR, hang together, and say just what the knowledge base says."""

import base64
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from cds_service.app import load_knowledge, publication_of
from cds_service.clinical.assessment import CardKey, Order
from cds_service.fhir.strict import strict_faults
from cds_service.fhir.validation import model_of
from cds_service.fhir.versions import FhirVersion
from cds_service.knowledge import load
from cds_service.knowledge.code_map import CodeKind
from cds_service.knowledge.terminology import ATC, ICD_10_CM, LOINC, OWN, RXNORM, SNOMED_CT
from cds_service.published import Publication
from cds_service.published.plan import orders_of
from cds_service.rendering import CardLibrary
from cds_service.settings import Settings
from tests.builders import hook_request, prefetch
from tests.crosscheck.generator import patient, probes_total
from tests.crosscheck.service import SERVICE, client
from tests.crosscheck.worked import cases

BASE = "https://rls-iron-cds.example.org"
DATA = files("cds_service.knowledge") / "data"
TWIN = Path(__file__).parents[1] / "crosscheck" / "codes" / "valuesets.json"
DRAFT = {"PlanDefinition", "ActivityDefinition", "Library", "CodeSystem", "StructureDefinition", "ValueSet"}
ROUTED = ("systemic-", "ingredient-")

Json = dict[str, Any]
Codes = set[tuple[str, str]]


@cache
def publication(*, snomed: bool = True, base: str = BASE) -> Publication:
    settings = Settings(snomed=snomed, canonical_base=base)
    return publication_of(settings, load_knowledge(settings))


def resources(made: Publication | None = None) -> dict[str, Json]:
    """Return the resources by their canonical URL."""
    return {one["url"]: one for one in (json.loads(e.body) for e in (made or publication()).entries)}


def of_kind(kind: str, made: Publication | None = None) -> dict[str, Json]:
    """Return the resources of a type by their id."""
    return {one["id"]: one for one in resources(made).values() if one["resourceType"] == kind}


def plan() -> Json:
    return of_kind("PlanDefinition")["rls-iron-assessment"]


def actions() -> dict[str, Json]:
    """Return the actions of the cards by their keys."""
    return {one["prefix"]: one for one in plan()["action"][0]["action"]}


def cql(library: Json) -> str:
    (content,) = library["content"]
    assert content["contentType"] == "text/cql"
    return base64.b64decode(content["data"]).decode()


def composed(value_set: Json) -> Codes:
    includes = value_set.get("compose", {}).get("include", ())
    return {(one["system"], code["code"]) for one in includes for code in one["concept"]}


def groups(made: Publication | None = None) -> dict[str, Codes]:
    """Return the codes of each group of the knowledge base by the group's own name."""
    sets = of_kind("ValueSet", made).values()
    return {one["identifier"][0]["value"]: composed(one) for one in sets if "identifier" in one}


# ------------------------------------------------------------------------------------------------- FHIR
@pytest.mark.parametrize("snomed", [True, False])
def test_every_resource_is_valid_r4_by_the_model_library(snomed: bool) -> None:
    entries = publication(snomed=snomed).entries
    assert {one.kind for one in entries} == DRAFT
    faults = {f"{e.kind}/{e.id}": strict_faults(e.body, e.kind, FhirVersion.R4) for e in entries}
    assert {name: found for name, found in faults.items() if found} == {}


def test_the_bundle_holds_every_resource_once_and_is_valid() -> None:
    bundle = json.loads(publication().bundle)
    assert bundle["type"] == "collection"
    assert [one["resource"] for one in bundle["entry"]] == list(resources().values())
    assert len(publication().entries) == len(resources())
    made = [one["resource"] for one in bundle["entry"]]
    full = [f"{BASE}/{one['resourceType']}/{one['id']}" for one in made]
    assert [one["fullUrl"] for one in bundle["entry"]] == full
    model_of("Bundle", FhirVersion.R4).model_validate(bundle)


def test_all_are_drafts_of_the_knowledge_version_under_the_scheme_and_name_no_person() -> None:
    knowledge = load()
    for url, one in resources().items():
        assert url in {f"{BASE}/{one['resourceType']}/{one['id']}", OWN}
        assert (one["status"], one["experimental"]) == ("draft", True)
        assert one["date"] == knowledge.date.isoformat()
        assert one["publisher"] == "The contributors of the open-source project rls-iron-cds (Apache-2.0)"
        assert not {"author", "editor", "reviewer", "endorser", "contact", "approvalDate"} & one.keys()
        assert re.fullmatch(r"[A-Z][A-Za-z0-9_]{0,254}", one["name"]), url
        if one["resourceType"] != "Library":
            assert one["version"] == knowledge.version


def strings(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every string with the name of its element."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for member, part in value.items():
            yield from strings(part, member)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part, name)


@pytest.mark.parametrize("base", [BASE, "https://cds.example.net/rls"])
@pytest.mark.parametrize("snomed", [True, False])
def test_every_canonical_of_ours_leads_to_a_resource_of_the_set(snomed: bool, base: str) -> None:
    made = resources(publication(snomed=snomed, base=base))
    seen = set()
    for one in made.values():
        own = {f"{one['url']}/expansion/{one['version']}", f"{base}/code-group"}
        for name, text in strings(one):
            for url in re.findall(rf"{re.escape(base)}[^'\"<\s]*", text):
                canonical, _, version = url.partition("|")
                assert canonical in made or url in own, f"{one['url']} {name}: {url}"
                assert not version or made[canonical]["version"] == version
                seen.add(canonical)
        if one["resourceType"] == "Library":
            named = re.findall(r"^valueset .*: '(.*)'$", cql(one), re.MULTILINE)
            assert set(named) <= made.keys()
            depends = {r["resource"].partition("|")[0] for r in one.get("relatedArtifact", ())}
            assert set(named) <= depends
    assert len(seen) > 200


def test_another_base_leaves_nothing_of_the_packaged_one() -> None:
    for one in publication(base="https://cds.example.net/rls").entries:
        assert b"rls-iron-cds.example.org" not in one.body
        if one.kind == "Library":
            assert "rls-iron-cds.example.org" not in cql(json.loads(one.body))


def test_the_same_knowledge_gives_the_same_bytes_in_any_process() -> None:
    script = (
        "import hashlib; from cds_service.app import load_knowledge, publication_of;"
        "from cds_service.settings import Settings; s = Settings();"
        "print(hashlib.sha256(publication_of(s, load_knowledge(s)).bundle).hexdigest())"
    )
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])}
        found = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
        )
        assert found.stdout.strip() == sha256(publication().bundle).hexdigest()


# ------------------------------------------------------------------------------------------- value sets
def test_every_published_code_is_read_as_its_group() -> None:
    terminology = load().terminology

    def read_as(group: str, system: str, code: str) -> bool:
        if system in {SNOMED_CT, ICD_10_CM}:
            # A letter stands for its chapter and is no code itself.
            return group in terminology.condition_groups(system, code if len(code) > 1 else f"{code}26")
        if system in {LOINC, OWN}:
            is_result = terminology.observation_group(system, code) == group
            return is_result or group in terminology.coded_value_groups(system, code)
        find = terminology.drug_by_rxnorm if system == RXNORM else terminology.drug_by_atc
        product = find(code)
        return product is not None and any(group in part.groups for part in product.ingredients)

    published = groups()
    assert sum(map(len, published.values())) > 3000
    wrong = [
        (group, *code) for group, codes in published.items() for code in codes if not read_as(group, *code)
    ]
    assert wrong == []


def raw_codes() -> Iterator[tuple[str, str, str]]:
    """Yield group, system and code of every row of the data files that says what is read."""
    for name in ("conditions", "medicines", "observations"):
        for entry in json.loads(DATA.joinpath("valuesets", f"{name}.json").read_bytes())["entry"]:
            value_set = entry["resource"]
            for include in value_set["compose"]["include"]:
                for one in include["concept"]:
                    yield value_set["identifier"][0]["value"], include["system"], one["code"]
    extra = tomllib.loads(DATA.joinpath("extra_codes.toml").read_text(encoding="utf-8"))
    drugs = json.loads(DATA.joinpath("drugs.json").read_bytes())
    for row in extra["answers"]:
        yield from ((group, LOINC, row["code"]) for group in row["groups"])
    for row in extra["iron_by_atc"]:
        yield from ((group, ATC, row["code"]) for group in row["groups"])
    own = {row["name"]: row["groups"] for row in extra["ingredient"]}
    own |= {name: row["groups"] for name, row in drugs["ingredients"].items()}
    for code, name in extra["atc"].items():
        yield from ((group, ATC, code) for group in own[name])
    # Written by hand: the results that have no standard code.
    yield from (("caffeine_intake", OWN, "caffeine-intake"), ("severity_score", OWN, "irls-total"))
    for row in drugs["ingredients"].values():
        for system, codes in ((RXNORM, row["rxnorm"]), (ATC, row["atc"])):
            yield from ((group, system, code) for code in codes for group in row["groups"])


def test_every_code_of_the_data_files_is_published_in_its_group_and_no_other() -> None:
    raw: dict[str, Codes] = {}
    for group, system, code in raw_codes():
        raw.setdefault(group, set()).add((system, code))
    assert groups() == raw


def test_expansions_hold_what_is_composed_and_codes_of_atc_have_no_names() -> None:
    for one in of_kind("ValueSet").values():
        contains = one["expansion"]["contains"]
        assert {(c["system"], c["code"]) for c in contains} == composed(one)
        assert one["expansion"]["total"] == len(contains) == len(composed(one)) > 0
        assert not [c for c in contains if c["system"] == ATC and "display" in c]


def test_codes_that_say_that_a_disorder_is_over_are_excluded() -> None:
    excluded = {
        code["code"]: one["identifier"][0]["value"]
        for one in of_kind("ValueSet").values()
        for part in one["compose"].get("exclude", ())
        for code in part["concept"]
    }
    assert excluded == {
        **dict.fromkeys(("F10.11", "F10.21", "F10.91"), "alcohol_disorder"),
        **dict.fromkeys(("F17.201", "F17.211", "F17.221", "F17.291"), "nicotine_dependence"),
    }
    terminology = load().terminology
    assert not any(terminology.condition_groups(ICD_10_CM, code) for code in excluded)


def test_lists_of_medicines_by_route_are_those_of_the_second_implementation() -> None:
    # Its author made them from the code tables without a look at the service. They lack extra_codes.toml.
    extra = tomllib.loads(DATA.joinpath("extra_codes.toml").read_text(encoding="utf-8"))
    ours = {n: composed(one) for n, one in of_kind("ValueSet").items() if n.startswith(ROUTED)}
    theirs = {
        url.rpartition("/")[2]: {(system, code) for system, codes in lists.items() for code in codes}
        for url, lists in json.loads(TWIN.read_bytes())["valueSets"].items()
    }
    theirs = {name: codes for name, codes in theirs.items() if name.startswith(ROUTED)}
    more = {(ATC, code) for code in (*extra["atc"], *(row["code"] for row in extra["iron_by_atc"]))}
    assert ours.keys() == theirs.keys()
    assert len(ours) > 25
    for name, codes in theirs.items():
        assert codes <= ours[name], name
        assert ours[name] - codes <= more, name


@pytest.mark.parametrize(
    ("list_", "code", "is_in"),
    [
        ("systemic-SSRI", (RXNORM, "36437"), True),  # sertraline
        ("systemic-TCA", (ATC, "D04AX01"), False),  # doxepin for the skin
        ("systemic-TCA", (ATC, "N06AA12"), True),  # doxepin
        ("systemic-ANTIHIST-SEDATING", (ATC, "R06AA02"), True),  # diphenhydramine
        ("systemic-ANTIHIST-SEDATING", (ATC, "D04AA32"), False),  # diphenhydramine for the skin
        ("ingredient-levodopa", (RXNORM, "6375"), True),
        ("systemic-RLS-LEVODOPA", (RXNORM, "2019"), False),  # carbidopa alone
    ],
)
def test_a_list_holds_what_reaches_the_body(list_: str, code: tuple[str, str], is_in: bool) -> None:
    assert (code in composed(of_kind("ValueSet")[list_])) is is_in


def test_without_a_licence_no_code_of_snomed_ct_is_published() -> None:
    made, whole = publication(snomed=False), publication()
    assert any(SNOMED_CT.encode() in one.body for one in whole.entries)
    assert any(SNOMED_CT in cql(one) for one in of_kind("Library").values())
    for one in made.entries:
        assert SNOMED_CT.encode() not in one.body, one.id
        assert b"SNOMED International" not in one.body, one.id
    for library in of_kind("Library", made).values():
        assert SNOMED_CT not in cql(library)
    assert [(one.kind, one.id) for one in made.entries] == [(one.kind, one.id) for one in whole.entries]
    for group, codes in groups().items():
        assert groups(made)[group] == {code for code in codes if code[0] != SNOMED_CT}


def test_a_group_that_has_codes_of_snomed_ct_only_is_empty_and_says_why() -> None:
    one = of_kind("ValueSet", publication(snomed=False))["gestational-diabetes"]
    assert "compose" not in one
    assert (one["expansion"]["total"], one["expansion"]["contains"]) == (0, [])
    assert "SNOMED CT, which is switched off" in one["description"]


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (LOINC, "This material contains content from LOINC"),
        (SNOMED_CT, "SNOMED International"),
        (RXNORM, "U.S. National Library of Medicine"),
        (ATC, "WHO Collaborating Centre"),
        (ICD_10_CM, "ICD-10-CM"),
    ],
)
def test_whoever_owns_a_code_is_named_beside_it_and_nobody_else(system: str, words: str) -> None:
    for kind in ("ValueSet", "ActivityDefinition"):
        for one in of_kind(kind).values():
            used = {code[0] for code in composed(one)} | {
                c["system"] for c in one.get("code", {}).get("coding", ())
            }
            assert (words in one.get("copyright", "")) is (system in used), one["id"]


# ------------------------------------------------------------------------------------- plan and orders
def test_the_plan_is_an_eca_rule_on_patient_view_with_an_action_for_every_card() -> None:
    assert plan()["type"]["coding"][0]["code"] == "eca-rule"
    (service,) = plan()["action"]
    assert service["trigger"] == [{"type": "named-event", "name": "patient-view"}]
    assert list(actions()) == [key.value for key in CardKey]


def test_every_condition_is_a_value_of_the_library_of_the_plan() -> None:
    (named,) = plan()["library"]
    library = resources()[named.partition("|")[0]]
    definitions = set(re.findall(r'^define "(Shows [^"]+)":', cql(library), re.MULTILINE))
    found = {}
    for key, action in actions().items():
        (condition,) = action["condition"]
        assert condition["kind"] == "applicability"
        assert condition["expression"]["language"] == "text/cql-identifier"
        found[key] = condition["expression"]["expression"]
    assert found == {key.value: f"Shows {key.value}" for key in CardKey}
    assert definitions == set(found.values())


def test_an_action_says_the_rule_how_far_it_was_verified_and_its_sources() -> None:
    low, stale = actions()["IRON-03"], actions()["IRON-02"]
    assert low["title"] == "Low ferritin"
    assert low["description"].startswith("Adults: iron at a ferritin of 75 ng/mL or less")
    assert "(read in the primary source)" in low["description"]
    assert low["description"].endswith("awaiting clinical review.")
    assert "certainly below 50 ng/mL" in low["textEquivalent"]
    sources = {one["label"]: one["url"] for one in low["documentation"]}
    assert sources["AASM25"] == "https://doi.org/10.5664/jcsm.11390"
    assert all(one["type"] == "citation" for one in low["documentation"])
    assert "rule of this project" in stale["description"]
    labels = {one["label"] for one in plan()["relatedArtifact"]}
    assert labels == load().citations.keys()


def suggested(numbers: Iterable[int]) -> dict[str, set[tuple[str, str | None]]]:
    """Return what cards suggest to the worked cases and to some made-up patients, by topic code."""
    requests = [(case.request, case.is_screening_on) for case in cases()]
    requests += [(one.request, one.is_screening_on) for one in (patient(20261122, n) for n in numbers)]
    # Beside most iron cards DA-01 suggests nothing, since no test is suggested twice.
    requests.append((hook_request(prefetch(["RLS", {"ferritin": 120}, {"takes": "pramipexole"}])), True))
    found: dict[str, set[tuple[str, str | None]]] = {}
    for request, is_screening_on in requests:
        answer = client(is_screening_on=is_screening_on).post(SERVICE, json=request).get_json()
        for card in answer.get("cards", ()):
            offered = found.setdefault(card["source"]["topic"]["code"], set())
            made = [one["actions"][0]["resource"] for one in card.get("suggestions", ())]
            offered |= {(one["code"]["text"], one.get("patientInstruction")) for one in made}
    return found


def test_the_orders_of_an_action_are_those_that_its_card_suggests() -> None:
    orders = {f"{BASE}/ActivityDefinition/{i}": one for i, one in of_kind("ActivityDefinition").items()}
    told = {}
    for action in actions().values():
        offered = set()
        for one in action.get("action", ()):
            definition, _, version = one["definitionCanonical"].partition("|")
            assert version == load().version
            values = {v["path"]: v["expression"]["expression"] for v in one.get("dynamicValue", ())}
            instruction = values.get("patientInstruction")
            offered.add((orders[definition]["code"]["text"], instruction and instruction.strip("'")))
        told[action["code"][0]["coding"][0]["code"]] = offered
    assert told == suggested(range(0, probes_total(), 75))


def test_an_order_is_a_proposal_with_codes_that_the_knowledge_base_reads() -> None:
    terminology = load().terminology
    found = of_kind("ActivityDefinition")
    assert found.keys() == {"ferritin", "iron-panel", "c-reactive-protein"}
    for one in found.values():
        assert (one["kind"], one["intent"]) == ("ServiceRequest", "proposal")
        for coding in one["code"]["coding"]:
            meaning = terminology.meaning(CodeKind.ORDER, coding["system"], coding["code"])
            assert terminology.observation_group(meaning.system, meaning.code), coding
    assert found["ferritin"]["code"]["coding"][0]["code"] == "2276-4"
    assert {order for key in CardKey for order in orders_of(key)} == set(Order)


# -------------------------------------------------------------------------------- libraries and our keys
def test_the_libraries_include_one_another_by_the_versions_that_are_published() -> None:
    libraries = of_kind("Library")
    assert libraries.keys() == {
        "FHIRHelpers",
        "RLSIronCards",
        "RLSIronFacts",
        "RLSIronPlan",
        "RLSIronTerminology",
    }
    for name, one in libraries.items():
        text = cql(one)
        assert text == (files("cds_service.published") / "cql" / f"{name}.cql").read_text(encoding="utf-8")
        assert f"library {name} version '{one['version']}'" in text
        for included, version in re.findall(r"^include (\w+) version '(.*?)'", text, re.MULTILINE):
            assert libraries[included]["version"] == version
        for parameter in one.get("parameter", ()):
            assert f'parameter "{parameter["name"]}"' in text
    facts = {one["name"]: one["type"] for one in libraries["RLSIronFacts"]["parameter"]}
    assert facts == {
        "Today": "date",
        "Patient Read": "boolean",
        "Iron Search Complete": "boolean",
        "Conditions Complete": "boolean",
    }


def test_cards_use_the_codes_of_the_published_systems() -> None:
    systems = {
        url: {code["code"]: code["display"] for code in one["concept"]}
        for url, one in resources().items()
        if one["resourceType"] == "CodeSystem"
    }
    cards, used = CardLibrary.load(), set()
    for key in CardKey:
        fixed = cards.fixed_parts(key, BASE)
        topic = fixed.source.topic
        assert topic is not None
        for coding in (topic, *fixed.override_reasons):
            assert systems[coding.system][coding.code] == coding.display
            used.add((coding.system, coding.code))
    assert systems.pop(OWN).keys() == {"caffeine-intake", "irls-total"}
    own = {(url, code) for url, codes in systems.items() for code in codes if not url.endswith("/order")}
    assert used == own
    assert systems[f"{BASE}/CodeSystem/order"].keys() == of_kind("ActivityDefinition").keys()

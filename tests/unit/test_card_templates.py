"""The card templates: complete, declared as cards/README.md says, short enough, and worded as agreed."""

import re
import shutil
from pathlib import Path

import pytest
from jinja2.exceptions import SecurityError

from cds_service.clinical.assessment import CardKey, DetailLine, Form, Line, NotChecked, RlsStatus
from cds_service.rendering import CardLibrary
from cds_service.rendering.neutral import utf16_length
from cds_service.rendering.templates import CardTemplateError, read_templates
from cds_service.resources import cards_dir
from tests.unit.rendering_samples import (
    BASE,
    CONTEXT,
    LISTED_FACTORS,
    PROFILE,
    VALUES,
    all_forms,
    assessment,
    decision,
    drug,
    knowledge,
    library,
    render,
    values_of,
)

WORDINGS = [
    (RlsStatus.DOCUMENTED, False),
    (RlsStatus.POSSIBLE, False),
    (RlsStatus.POSSIBLE, True),
    (RlsStatus.UNKNOWN, False),
    (RlsStatus.NOT_RECORDED, False),
]
DRUG_OVERRIDES = {"benefit-outweighs", "no-alternative", "tolerated"}
OVERRIDES = {
    "already-ordered": "Already ordered or drawn elsewhere",
    "recent-outside": "Recent result outside this system",
    "not-rls": "Patient does not have RLS",
    "mild-rls": "Symptoms too mild to treat",
    "declined": "Patient declined",
    "contraindicated": "Iron contraindicated",
    "specialist": "Managed by a specialist",
    "palliative": "Goals of care",
}
MAX_DETAIL = 1700
FORMS = pytest.mark.parametrize(("key", "form"), all_forms())


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(cards_dir(), tmp_path / "cards"))


def replace(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new), encoding="utf-8")


def readme_tables() -> list[list[str]]:
    lines = (cards_dir() / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in rows if not set(row[0]) <= set("-")]


def takes(key: CardKey, form: Form, name: str) -> bool:
    return name in library().templates.cards[key].forms[form].wanted.optional


def names_in(cell: str) -> set[str]:
    return set(re.findall(r"[a-z_]+", re.sub(r"\([^)]*\)", "", cell))) - {"name"}


@FORMS
@pytest.mark.parametrize(("rls", "is_plmd_only"), WORDINGS)
@pytest.mark.parametrize("is_full", [True, False])
def test_every_form_renders_in_full(
    key: CardKey, form: Form, rls: RlsStatus, is_plmd_only: bool, is_full: bool
) -> None:
    if key in {CardKey.SCREEN_01, CardKey.GATE_01} and rls is RlsStatus.UNKNOWN:
        return  # both cards need a problem list that was read
    values = values_of(key, form, is_full=is_full)
    card = render(decision(key, form, values=values), assessment(rls, is_plmd_only=is_plmd_only))
    assert card.detail is not None
    assert 0 < utf16_length(card.summary) <= 139
    assert not card.summary.endswith("…")
    assert card.summary.startswith("If restless legs: ") is (rls is RlsStatus.UNKNOWN)
    assert len(card.summary.splitlines()) == 1
    for text in (card.summary, card.detail):
        assert not re.search(r"[{}]|None|Undefined|\(\)|  | ,| \.|\.\.", text)
    assert "- \n" not in card.detail


@FORMS
def test_the_detail_is_short_and_shows_its_parts(key: CardKey, form: Form) -> None:
    values = values_of(key, form, is_full=False)
    detail = render(decision(key, form, values=values)).detail
    assert detail is not None
    assert len(detail) <= MAX_DETAIL
    assert detail.startswith("**")
    for part in ("**Rule**", "**Options**", "**Contributing factors found**", "**Missing or not read**"):
        assert part in detail
    assert (
        re.search(r"(?i)doing nothing|waiting is an option|nothing is needed", detail)
        or form == "age decides"
    )
    assert f"Knowledge {knowledge().version} ({knowledge().hash})" in detail
    assert f"cards {library().version} ({library().hash})" in detail
    assert "Not checked: current iron treatment." in detail
    assert "For clinicians, who decide" in detail


@FORMS
def test_every_declared_value_is_shown(key: CardKey, form: Form) -> None:
    text = library().templates.cards[key].forms[form]
    used = {name for leaf in (*text.summary, *text.detail) for name in leaf.names}
    assert text.wanted.required | text.wanted.optional <= used


@FORMS
def test_a_summary_gives_a_date_with_every_value(key: CardKey, form: Form) -> None:
    values = values_of(key, form, is_full=False)
    summary = render(decision(key, form, values=values)).summary
    for value, date in (("value", "date"), ("tsat", "tsat_date"), ("crp", "crp_date")):
        if value in values and values[value] in summary:
            assert values[date] in summary


@FORMS
def test_iron_products_come_with_their_warning(key: CardKey, form: Form) -> None:
    card = render(decision(key, form))
    assert card.detail is not None
    if re.search(r"(?i)carboxymaltose|FCM", card.detail) and key is not CardKey.IRON_14:  # advises no iron
        assert "phosphate" in card.detail
        assert "FDA label search (ferric carboxymaltose)" in {link.label for link in card.links}
    if "elemental iron" in card.detail:
        assert "How to give oral iron" in " ".join(link.label for link in card.links)


@FORMS
@pytest.mark.parametrize("group", ["adult", "child", "open", "pregnant", "esrd"])
@pytest.mark.parametrize("band", ["75-100", "above 75", "above 100"])
def test_nothing_suggests_iron_by_vein_after_a_reaction_to_it(
    key: CardKey, form: Form, group: str, band: str
) -> None:
    if not takes(key, form, "iv_blocked"):
        return
    given = values_of(key, form) | {"iv_blocked": "yes", "fcm_blocked": "yes"}
    given |= {name: text for name, text in (("group", group), ("band", band)) if name in given}
    card = render(decision(key, form, values=given))
    assert card.detail is not None
    text = f"{card.summary}\n{card.detail}"
    assert text.count("No iron by vein without specialist advice") == 1
    assert not re.search(r"(?i)carboxymaltose|FCM|dextran|ferumoxytol|sucrose (?!trial)|by vein only", text)
    assert not re.search(
        r"(?i)(consider|about|is the option|suggests|only the|first:) ?(IV|iron by vein)", text
    )
    assert "IV is the option" not in text


@FORMS
def test_low_phosphate_comes_before_ferric_carboxymaltose(key: CardKey, form: Form) -> None:
    if not takes(key, form, "fcm_blocked"):
        return
    detail = render(decision(key, form, values=values_of(key, form) | {"fcm_blocked": "yes"})).detail
    assert detail is not None
    assert "strong recommendation" not in detail
    assert re.search(r"(?i)low phosphate (is )?on record", detail)
    assert "correct" in detail


@pytest.mark.parametrize("key", [CardKey.IRON_03, CardKey.IRON_07, CardKey.IRON_12B])
def test_what_a_line_says_is_not_said_again(key: CardKey) -> None:
    lines = (
        DetailLine(Line.IV_IRON_ALLERGY, {"allergy": "Iron dextran"}),
        DetailLine(Line.VERY_LOW_FERRITIN),
    )
    detail = render(
        decision(key, lines=lines, values=values_of(key, Form.STANDARD) | {"iv_blocked": "yes"})
    ).detail
    assert detail is not None
    assert len(re.findall(r"(?i)no iron by vein without specialist advice", detail)) == 1
    assert len(re.findall("blood loss", detail)) == 1


@FORMS
def test_no_wording_claims_a_cause_or_gives_an_order(key: CardKey, form: Form) -> None:
    card = render(decision(key, form))
    text = f"{card.summary} {card.detail}"
    assert not re.search(
        r"(?i)primary RLS|secondary RLS|idiopathic|causes? (of )?RLS|prescribe\b|dipyridamole", text
    )
    assert not re.search(r"(?i)\b(give|start|order) (ferrous|ferric|iron by|IV iron)", text)


@pytest.mark.parametrize("form", [Form.AGE_OPEN])
def test_an_open_age_names_both_limits_and_neither_group(form: Form) -> None:
    card = render(decision(CardKey.IRON_03, form, factor_ids=()))
    assert card.detail is not None
    assert not re.search(r"(?i)\b(adults?|child|children)\b", f"{card.summary} {card.detail}")
    assert {"50", "75"} <= set(re.findall(r"\d+", card.summary))


@pytest.mark.parametrize("key", CardKey)
def test_topic_reasons_and_links(key: CardKey) -> None:
    card = render(decision(key, next(iter(library().templates.cards[key].forms))))
    assert card.source.topic is not None
    assert card.source.topic.code == key.value.replace("-", "")
    assert card.source.topic.code.isalnum()
    assert card.source.topic.system == f"{BASE}/CodeSystem/card-topic"
    assert card.source.label == "RLS iron assessment (AASM 2025)"
    assert card.source.url == "https://doi.org/10.5664/jcsm.11390"
    reasons = {reason.code: reason.display for reason in card.override_reasons}
    assert OVERRIDES.items() <= reasons.items()
    expected = DRUG_OVERRIDES if key in {CardKey.DRUG_01, CardKey.DA_01, CardKey.GATE_01} else set()
    assert reasons.keys() - OVERRIDES.keys() == expected
    assert {reason.system for reason in card.override_reasons} == {f"{BASE}/CodeSystem/override-reason"}
    assert "https://doi.org/10.5664/jcsm.11390" in {link.url for link in card.links}
    assert {link.type for link in card.links} == {"absolute"}


@pytest.mark.parametrize("key", CardKey)
def test_a_card_links_to_its_basis_where_the_deployment_has_a_public_address(key: CardKey) -> None:
    made = decision(key, next(iter(library().templates.cards[key].forms)))
    without = render(made)
    assert "Basis of this card" not in {link.label for link in without.links}
    public = CardLibrary(library().templates, "https://cds.example.org/rls")
    card = public.render(
        made, assessment=assessment(), knowledge=knowledge(), profile=PROFILE, context=CONTEXT
    )
    *others, basis = card.links
    assert tuple(others) == without.links
    assert (basis.type, basis.label) == ("absolute", "Basis of this card")
    assert basis.url == f"https://cds.example.org/rls/basis/{key.topic_code}"


@pytest.mark.parametrize("address", [None, "http://localhost:8080"])
def test_cards_link_to_no_address_that_is_not_https(address: str | None) -> None:
    made = decision(CardKey.IRON_03)
    public = CardLibrary(library().templates, address)
    card = public.render(
        made, assessment=assessment(), knowledge=knowledge(), profile=PROFILE, context=CONTEXT
    )
    assert card.links == render(made).links


def test_topics_are_told_apart() -> None:
    topics = [card.topic for card in library().templates.cards.values()]
    assert len(set(topics)) == len(topics)


@pytest.mark.parametrize("line", Line)
def test_every_line_renders_with_all_values_and_with_the_least(line: Line) -> None:
    text = library().templates.lines[line]
    for names in (text.wanted.required, text.wanted.required | text.wanted.optional):
        values = {name: VALUES[name] for name in names}
        detail = render(decision(lines=(DetailLine(line, values),))).detail
        assert detail is not None
        shown = text.leaf.render({**dict.fromkeys(text.wanted.optional, ""), **values})
        assert f"- {shown}\n" in detail
        assert not re.search(r"[{}]|\(\)|  | ,| \.", shown)


@pytest.mark.parametrize("what", NotChecked)
def test_everything_not_checked_has_words(what: NotChecked) -> None:
    detail = render(decision(not_checked=(what, what))).detail
    assert detail is not None
    assert f"Not checked: {library().templates.not_checked[what]}." in detail


def test_the_readme_lists_every_form_with_its_values() -> None:
    rows = {(row[0], row[1]): row for row in readme_tables() if row[0] in set(CardKey)}
    assert set(rows) == {(key.value, form.value) for key, form in all_forms()}
    for key, form in all_forms():
        wanted = library().templates.cards[key].forms[form].wanted
        row = rows[key.value, form.value]
        assert names_in(row[2]) == wanted.required, (key, form)
        assert names_in(row[3]) == wanted.optional - {"original", "tsat_original"}, (key, form)


def test_the_readme_lists_every_line_with_its_values() -> None:
    rows = {name.strip(): row for row in readme_tables() for name in row[0].split(",")}
    for line, text in library().templates.lines.items():
        row = rows[line.value]
        assert names_in(row[1]) == text.wanted.required, line
        assert names_in(row[2]) - {"original"} == text.wanted.optional - {"original", "tsat_original"}, line
        assert row[3] == text.section, line


def test_every_citation_has_a_short_name() -> None:
    assert set(knowledge().citations) <= set(library().templates.shared["citations"])


def test_every_card_has_its_rule() -> None:
    assert {key.value for key in CardKey} <= set(knowledge().rules)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("IRON-03.toml", "{{ ferritin }}", "{{ ferritine }}"),
        ("IRON-03.toml", "{{ ferritin }}", "{{ ferritin"),
        ("IRON-03.toml", "{{ ferritin }}", "{{ value|shout }}"),
        ("IRON-03.toml", "[forms.standard]", "[forms.normal]"),
        ("IRON-03.toml", '"label"', '"shop"'),
        ("IRON-03.toml", 'overrides = "iron"', 'overrides = "gold"'),
        ("IRON-14.toml", '"fasting"', '"dancing"'),
        ("IRON-04.toml", 'finding = "', 'finding = "{{ drugs }} '),
        ("lines.toml", "[assay]", "[essay]"),
        ("lines.toml", 'section = "missing"', 'section = "margin"'),
        ("lines.toml", "{{ count }} medicine", "{{ number }} medicine"),
        ("not_checked.toml", '"pregnancy" =', '"pregnant" ='),
        ("shared.toml", '"no date" =', '"nodate" ='),
        ("shared.toml", '"unit assumed" =', '"unit guessed" ='),
        ("shared.toml", '"cut off" =', '"cut" ='),
        ("shared.toml", '[orders."iron panel"]', '[orders."panel"]'),
    ],
)
def test_a_template_that_does_not_fit_is_found_at_start(copied: Path, name: str, old: str, new: str) -> None:
    replace(copied, name, old, new)
    with pytest.raises((CardTemplateError, ValueError)):
        read_templates(copied)


def test_a_missing_or_unknown_file_is_found_at_start(copied: Path) -> None:
    (copied / "IRON-99.toml").write_text("", encoding="utf-8")
    with pytest.raises(CardTemplateError, match="IRON-99"):
        read_templates(copied)
    (copied / "IRON-99.toml").rename(copied / "notes.txt")
    (copied / "IRON-05.toml").unlink()
    with pytest.raises(CardTemplateError, match="IRON-05"):
        read_templates(copied)


def test_templates_run_in_a_sandbox(copied: Path) -> None:
    replace(copied, "IRON-01.toml", "{{ draw }}", "{{ rls.__class__.__mro__ }}")
    texts = read_templates(copied).cards[CardKey.IRON_01].forms[Form.STANDARD]
    values = {"rls": "RLS", "Rls": "RLS", "on_record": True, "drug_count": 0}
    with pytest.raises(SecurityError):
        [leaf.render(values) for leaf in texts.options]


def test_the_hash_covers_every_file(copied: Path) -> None:
    before = read_templates(copied)
    assert (before.hash, before.version) == (library().hash, library().version)
    replace(copied, "not_checked.toml", "allergy to iron products", "iron allergy")
    assert read_templates(copied).hash != before.hash


def test_the_factor_lines_and_medicine_lines_are_plain_text() -> None:
    words = [text for item in knowledge().factors.values() for text in (item.line, item.name)]
    words += [text for c in knowledge().drug_classes.values() for text in (c.name, c.why, c.alternative)]
    words += [rule.text for rule in knowledge().rules.values()]
    for text in words:
        assert not re.search(r"[<>*_`\[\]|~#]|://|www\.|\n", text), text


def test_samples_name_factors_that_exist() -> None:
    assert set(LISTED_FACTORS) <= set(knowledge().factors)
    assert drug("sertraline", "SSRI").classes[0] in knowledge().drug_classes

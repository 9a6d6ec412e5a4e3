"""The files of a renewal: `drugs.json` and the drug value sets, with the source of every code."""

import tomllib
from collections.abc import Collection, Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from cds_service.knowledge.notices import NOTICES
from cds_service.knowledge.terminology import ATC, RXNORM
from cds_service.terminology_build.release import read_release
from cds_service.terminology_build.renewal import Renewal, Wishes, renew
from cds_service.terminology_build.rules import load_rules
from cds_service.terminology_build.table import Table, read_table, table_json
from cds_service.terminology_build.valuesets import Edition, Row, collection, pretty, read_rows

DRUGS, MEDICINES = "drugs.json", "valuesets/medicines.json"


def packaged() -> Traversable:
    """Return the data folder of the knowledge base."""
    return files("cds_service.knowledge") / "data"


def renew_packaged(folder: Path, wishes: Wishes) -> Renewal:
    """Return the packaged drug table renewed from the release in a folder; raises `ReleaseError`."""
    before = read_table((packaged() / DRUGS).read_bytes())
    return renew(before, read_release(folder), load_rules(), _other_atc(), wishes)


def _other_atc() -> frozenset[str]:
    """Return the ATC codes that the knowledge base reads by its extra codes."""
    extra = tomllib.loads((packaged() / "extra_codes.toml").read_text(encoding="utf-8"))
    return frozenset([*extra["atc"], *(row["code"] for row in extra["iron_by_atc"])])


def files_of(renewal: Renewal, edition: Edition, release: str) -> dict[str, str]:
    """Return the files to write, by their path in the data folder; `release` is the day of the release."""
    before = {(r.system, r.code): r for r in read_rows((packaged() / MEDICINES).read_bytes())}
    rows = medicine_rows(renewal, before, release)
    return {
        MEDICINES: pretty(collection("medicines", rows, edition)),
        DRUGS: table_json(renewal.after, *edition, (NOTICES[RXNORM], NOTICES[ATC])),
    }


def medicine_rows(renewal: Renewal, before: Mapping[tuple[str, str], Row], release: str) -> Iterator[Row]:
    """Yield the codes of medicines by group: ingredients, ATC codes, drugs.

    A code that is in use in the release has the release as its source, any other the source that it had.
    """
    source = f"RxNorm, release of {release} (NLM): SAB="
    after = renewal.after
    for ingredient in after.ingredients.values():
        for code in ingredient.rxnorm:
            row = Row(RXNORM, code, renewal.ingredient_names.get(code, "").casefold(), "", f"{source}RXNORM")
            yield from _in_groups(row if row.display else before[RXNORM, code], ingredient.groups)
    for ingredient in after.ingredients.values():
        for code in ingredient.atc:
            yield from _in_groups(
                before.get((ATC, code), Row(ATC, code, "", "", f"{source}ATC")), ingredient.groups
            )
    yield from _drug_rows(after, renewal.kept, before, f"{source}RXNORM")


def _drug_rows(
    after: Table, kept: Collection[str], before: Mapping[tuple[str, str], Row], source: str
) -> Iterator[Row]:
    for code in sorted(after.products, key=int):
        product = after.products[code]
        old = before.get((RXNORM, code))
        origin = old.source if code in kept and old is not None else source
        groups = dict.fromkeys(g for _, part in product.ingredients for g in part)
        yield from _in_groups(Row(RXNORM, code, product.name, "", origin), groups)


def _in_groups(row: Row, groups: Collection[str]) -> Iterator[Row]:
    return (row._replace(group=group) for group in groups)

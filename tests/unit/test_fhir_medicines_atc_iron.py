"""Iron by its ATC code: lists made from substances file some irons for infusion under oral iron."""

from typing import Any

import pytest

from tests.unit.test_fhir_medicines import ATC, medicine


def read(code: str, text: str | None = None, route: str | None = None) -> tuple[dict[str, set[str]], str]:
    """Return the groups by ingredient and the route of a medicine that is coded in ATC."""
    extra: dict[str, Any] = {"dosage": [{"route": {"text": route}}]} if route else {}
    concept = {"coding": [{"system": ATC, "code": code}], "text": text}
    found = medicine(medicationCodeableConcept=concept, **extra)
    return {i.name: set(i.groups) for i in found.ingredients}, found.route.value


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (("B03AB02",), ({"iron": {"IRON_ANY"}}, "oral")),
        (("B03AB05",), ({"ferric polymaltose": {"IRON_ANY"}}, "oral")),
        (("B03AB02", None, "intravenous"), ({"iron": {"IRON_ANY"}}, "injection")),
        (("B03AB02", "Venofer 20 mg/mL"), ({"iron sucrose": {"IV_IRON"}}, "injection")),
        (("B03AB02", "iron sucrose 200 mg IV"), ({"iron sucrose": {"IV_IRON"}}, "injection")),
        (("B03AB05", "Ferinject"), ({"ferric carboxymaltose": {"IV_IRON"}}, "injection")),
        (("B03AB05", "iron polymaltose injection"), ({"ferric polymaltose": {"IV_IRON"}}, "injection")),
        (("B03AA", "Monofer"), ({"ferric derisomaltose": {"IV_IRON"}}, "injection")),
        (("B03AB05", "Maltofer"), ({"ferric polymaltose": {"ORAL_IRON"}}, "oral")),
        (("B03AC", "Feosol"), ({"iron": {"IV_IRON"}}, "injection")),
        (
            ("N04BA02", "levodopa/carbidopa"),
            ({"levodopa": {"RLS_LEVODOPA"}, "carbidopa": {"RLS_LEVODOPA"}}, "unknown"),
        ),
        (("N04BA02", "Madopar"), ({"levodopa": {"RLS_LEVODOPA"}}, "oral")),
        (("D04AA32",), ({"diphenhydramine": {"ANTIHIST_SEDATING"}}, "topical")),
        (("R06AA52",), ({"diphenhydramine": {"ANTIHIST_SEDATING"}}, "unknown")),
    ],
)
def test_the_words_tell_iron_by_vein_from_iron_to_swallow(
    written: tuple[str, ...], expected: tuple[dict[str, set[str]], str]
) -> None:
    assert read(*written) == expected

"""Everything that the cards ask about one patient, derived once from the facts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from cds_service.clinical.assessment import NotChecked, RlsStatus
from cds_service.clinical.conditions import (
    CurrentConditions,
    RlsFinding,
    current_conditions,
    rls_finding,
)
from cds_service.clinical.facts import Facts, IronSearch, Need, NeedState, Presence, Sex
from cds_service.clinical.iron import IronPicture, bands, iron_picture
from cds_service.clinical.medicines import Taken, current_medicines, flagged_groups
from cds_service.clinical.patient import (
    State,
    can_be_pregnant,
    kidney_failure,
    postpartum,
    pregnancy,
)
from cds_service.clinical.timing import AgeClass, age_class
from cds_service.knowledge import Knowledge


@dataclass(frozen=True, slots=True)
class Picture:
    """The patient as the cards see them on the day of assessment."""

    facts: Facts
    knowledge: Knowledge
    today: date
    rls: RlsFinding
    conditions: CurrentConditions
    medicines: tuple[Taken, ...]
    flagged: tuple[tuple[Taken, frozenset[str]], ...]
    age: AgeClass
    esrd: State
    pregnancy: State
    postpartum: State
    iron: IronPicture
    bands: Mapping[str, Presence]

    @property
    def group(self) -> str:
        """Return the group whose limits apply: esrd, pregnant, child, adult or open (age not known)."""
        if self.esrd.is_present:
            return "esrd"
        if self.pregnancy.is_present:
            return "pregnant"
        if self.age is AgeClass.CHILD:
            return "child"
        return "open" if self.age.is_open else "adult"

    @property
    def has_rls(self) -> bool:
        """Whether RLS itself is documented or possible (limb movements alone do not count)."""
        is_named = self.rls.status in {RlsStatus.DOCUMENTED, RlsStatus.POSSIBLE}
        return is_named and not self.rls.is_plmd_only

    def is_answered(self, *needs: Need) -> bool:
        """Whether every one of these needs was answered completely."""
        return all(self.facts.needs[need] is NeedState.ANSWERED for need in needs)

    def has_failed(self, *needs: Need) -> bool:
        """Whether one of these needs failed or was cut off."""
        return any(self.facts.needs[need] in {NeedState.FAILED, NeedState.CUT_OFF} for need in needs)


def build_picture(facts: Facts, knowledge: Knowledge, today: date) -> Picture:
    """Return the picture of the patient."""
    conditions = current_conditions(facts, today)
    medicines = current_medicines(facts, today)
    esrd = kidney_failure(facts, conditions, knowledge, today)
    pregnant = pregnancy(facts, conditions, knowledge, today)
    birth = facts.patient.birth if facts.patient else None
    age = age_class(birth, today, int(knowledge.threshold("age.adult")))
    window = _window(knowledge, is_esrd=esrd.is_present, is_pregnant=pregnant.is_present)
    iron = iron_picture(facts, medicines, knowledge, today, window)
    flagged = tuple((m, groups) for m in medicines if (groups := flagged_groups(m, knowledge)))
    return Picture(
        facts=facts,
        knowledge=knowledge,
        today=today,
        rls=rls_finding(facts, conditions),
        conditions=conditions,
        medicines=medicines,
        flagged=flagged,
        age=age,
        esrd=esrd,
        pregnancy=pregnant,
        postpartum=postpartum(facts, knowledge, today, is_pregnant=pregnant.is_present),
        iron=iron,
        bands=bands(iron, age, is_esrd=esrd.is_present, is_pregnant=pregnant.is_present, knowledge=knowledge),
    )


def _window(knowledge: Knowledge, *, is_esrd: bool, is_pregnant: bool) -> int:
    if is_esrd:
        return knowledge.days("window.result.esrd")
    return knowledge.days("window.result.pregnant" if is_pregnant else "window.result")


def is_test_useless(picture: Picture) -> bool:
    """Whether no card suggests an iron test: one is on its way, or IV iron makes it unreliable for now."""
    return bool(picture.iron.pending) or picture.iron.reliable_from is not None


def not_checked(picture: Picture, *, is_treatment_named: bool) -> tuple[NotChecked, ...]:
    """Return what could have silenced or reversed an iron card and was not read.

    An allergy to iron changes only a card that names a treatment.
    """
    patient = picture.facts.patient
    is_female = patient is not None and patient.sex is Sex.FEMALE
    may_be_pregnant = is_female and can_be_pregnant(picture.facts, picture.knowledge, picture.today)
    medicine_needs = (Need.MEDICATION_STATEMENTS, Need.MEDICATION_REQUESTS, Need.IRON_TREATMENTS)
    is_kidney_open = not picture.esrd.is_present and not picture.is_answered(Need.CONDITIONS, Need.PROCEDURES)
    # An entry without a date was read: the line on it says so.
    is_pregnancy_read = picture.is_answered(Need.CONDITIONS, Need.CONTEXT_RESULTS)
    is_pregnancy_open = (
        picture.pregnancy.presence is Presence.UNKNOWN and may_be_pregnant and not is_pregnancy_read
    )
    open_questions = {
        NotChecked.CURRENT_IRON: not picture.is_answered(*medicine_needs),
        NotChecked.OVERLOAD: not _is_overload_read(picture),
        NotChecked.PREGNANCY: is_pregnancy_open,
        NotChecked.KIDNEY_FAILURE: is_kidney_open,
        NotChecked.IRON_ALLERGY: is_treatment_named and not picture.is_answered(Need.ALLERGIES),
    }
    return tuple(question for question, is_open in open_questions.items() if is_open)


def _is_overload_read(picture: Picture) -> bool:
    """Whether diagnosis, chelators and saturation were read, each of which could show iron overload."""
    is_tsat_read = picture.iron.searches[IronSearch.TSAT] is NeedState.ANSWERED
    is_tsat_known = is_tsat_read or picture.iron.current_tsat is not None
    needs = (Need.CONDITIONS, Need.MEDICATION_STATEMENTS, Need.MEDICATION_REQUESTS)
    return is_tsat_known and picture.is_answered(*needs)

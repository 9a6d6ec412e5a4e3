"""Which part of a record each card rests on: without it the card does not come, or says less.

Written down here for people; tests/unit/test_onboarding_card_needs.py holds it against what the rules do
when that part of a record cannot be read.
"""

from collections.abc import Mapping

from cds_service.clinical.assessment import CardKey
from cds_service.clinical.facts import Need

_PATIENT, _IRON, _CONTEXT = Need.PATIENT, Need.IRON_RESULTS, Need.CONTEXT_RESULTS
_CONDITIONS, _TREATMENTS, _PROCEDURES = Need.CONDITIONS, Need.IRON_TREATMENTS, Need.PROCEDURES
_MEDICINES = (Need.MEDICATION_STATEMENTS, Need.MEDICATION_REQUESTS)

OPTIONAL: tuple[Need, ...] = (
    Need.FAMILY_HISTORY,
    Need.METABOLIC_RESULTS,
    Need.SOCIAL_HISTORY,
    Need.SLEEP,
    Need.DEVICE_USE,
    Need.DEVICES,
)
"""What only adds lines and factors, and findings to those that SCREEN-01 counts: a site may leave it out."""

REQUIRED: tuple[Need, ...] = (_PATIENT, _IRON)
"""What no card but DATA-01 comes without."""

_BASE = (*REQUIRED, _CONDITIONS)

CARD_NEEDS: Mapping[CardKey, tuple[Need, ...]] = {
    CardKey.IRON_01: (*_BASE, _CONTEXT, *_MEDICINES, _TREATMENTS, Need.IRON_ORDERS),
    CardKey.IRON_02: (*_BASE, Need.IRON_ORDERS),
    CardKey.IRON_03: (*_BASE, _CONTEXT, *_MEDICINES),
    CardKey.IRON_04: (*_BASE, _CONTEXT, *_MEDICINES, _TREATMENTS),
    CardKey.IRON_05: (*_BASE, _CONTEXT, *_MEDICINES),
    CardKey.IRON_07: (*_BASE, *_MEDICINES),
    CardKey.IRON_08: (*_BASE, _CONTEXT, *_MEDICINES),
    CardKey.IRON_09: (*_BASE, _PROCEDURES, Need.IRON_ORDERS),
    CardKey.IRON_10: _BASE,
    CardKey.IRON_11: (*_BASE, _CONTEXT, _PROCEDURES),
    CardKey.IRON_12: (*_BASE, *_MEDICINES),
    CardKey.IRON_12B: (*_BASE, *_MEDICINES),
    CardKey.IRON_13: (*_BASE, _TREATMENTS),
    CardKey.IRON_14: (*_BASE, *_MEDICINES, _TREATMENTS),
    CardKey.IRON_16: (*_BASE, _CONTEXT, *_MEDICINES),
    CardKey.GATE_01: (*_BASE, *_MEDICINES),
    CardKey.SCREEN_01: (*_BASE, *_MEDICINES, Need.IRON_ORDERS, Need.FAMILY_HISTORY, Need.DEVICE_USE),
    CardKey.DATA_01: (_CONDITIONS,),
    CardKey.DRUG_01: (*_BASE, *_MEDICINES),
    CardKey.DA_01: (*_BASE, *_MEDICINES, _TREATMENTS),
}
"""The needs of each card, in the order in which they matter."""

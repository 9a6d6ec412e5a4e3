"""L2, the third level of strictness: full validation of a whole resource, nothing cleaned up before.

For those who set a server up; a call never asks so much. What is told holds paths and kinds of faults, never
a value, nor a name that is not FHIR's.
"""

import re
from collections.abc import Sequence

from pydantic import ValidationError

from cds_service.fhir import check_dstu2
from cds_service.fhir.bounds import OutOfBounds, load_bounded
from cds_service.fhir.releases import RELEASES
from cds_service.fhir.validation import find_code_outside, model_of
from cds_service.fhir.versions import FhirVersion

_TYPE = re.compile(r"[A-Z][A-Za-z]{2,40}")
_UNKNOWN = "extra_forbidden"
_WHOLE = "the resource"


def strict_faults(text: bytes, resource_type: str, version: FhirVersion) -> tuple[str, ...]:
    """Return the faults of a resource, each once as "element path: kind"; () for a valid one.

    Positions in lists are left out. DSTU2 has no model: its first fault among the elements that are read.
    A release that is not read raises KeyError.
    """
    try:
        resource = load_bounded(text)
    except OutOfBounds as error:
        return (f"{_WHOLE}: {error}",)
    if not isinstance(resource, dict) or not _TYPE.fullmatch(resource_type):
        return (f"{_WHOLE}: not a resource",)
    if version is FhirVersion.DSTU2:
        fault = check_dstu2.find_fault(resource, resource_type)
        return (fault,) if fault else ()
    outside = find_code_outside(resource, resource_type, RELEASES[version])
    faults = [outside] if outside else []
    try:
        model_of(resource_type, version).model_validate(resource)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        faults += [_fault(one["loc"], one["type"]) for one in found]
    except (ImportError, AttributeError):
        faults.append(f"{_WHOLE}: no type of FHIR {version}")
    except (ArithmeticError, KeyError, RecursionError, TypeError, ValueError):
        faults.append(f"{_WHOLE}: cannot be validated")
    return tuple(dict.fromkeys(faults))


def _fault(path: Sequence[int | str], kind: str) -> str:
    names = [part for part in path if isinstance(part, str)]
    if kind == _UNKNOWN:
        # The name is the sender's own.
        return f"{'.'.join([*names[:-1], '(any)'])}: element that FHIR does not know"
    return f"{'.'.join(names) or _WHOLE}: {kind.replace('_', ' ')}"

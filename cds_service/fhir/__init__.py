"""Reading records as they really are: bundles, versions, clean-up, validation, extraction into facts."""

from cds_service.fhir.decoding import Fetched, PrefetchUnreadable
from cds_service.fhir.record import Record, open_record
from cds_service.fhir.unmapped import UnmappedCode, unmapped_codes
from cds_service.fhir.validation import warm_up
from cds_service.fhir.versions import FhirVersion, version_of_hint

__all__ = [
    "Fetched",
    "FhirVersion",
    "PrefetchUnreadable",
    "Record",
    "UnmappedCode",
    "open_record",
    "unmapped_codes",
    "version_of_hint",
    "warm_up",
]

"""The real FHIR server access, loaded when a call first needs it.

The HTTP library costs a good part of the start, and a client that sends its whole prefetch never needs it.
"""

from contextlib import AbstractContextManager
from threading import Lock

from cds_service.ports import FhirAccess, RecordSession, RecordSource


class OnDemandSource:
    """Opens sessions of the real source; the first one waits for it to be loaded."""

    def __init__(self) -> None:
        self._source: RecordSource | None = None
        self._loading = Lock()

    def open(self, access: FhirAccess, *, budget_seconds: float) -> AbstractContextManager[RecordSession]:
        """Return a session whose time starts now; loading is no part of it."""
        return self._loaded().open(access, budget_seconds=budget_seconds)

    def _loaded(self) -> RecordSource:
        with self._loading:
            if self._source is None:
                from cds_service.adapters.fhir_server import HttpRecordSource  # noqa: PLC0415 - on demand

                source = HttpRecordSource()
                source.warm_up()
                self._source = source
            return self._source

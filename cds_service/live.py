"""The clients of this moment: read again when a file of theirs changes, without dropping a call.

A call keeps the clients with which it began. A new file with a fault changes nothing: the clients before it
go on, and the fault is told in the log and by readiness.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cds_service.clients import Clients, load_clients
from cds_service.clinical.facts import Analyte
from cds_service.completion import LocalCodes
from cds_service.knowledge import Knowledge
from cds_service.knowledge.local import with_windows
from cds_service.profile import ClientProfile
from cds_service.settings import PREFIX, Settings, SettingsError

CHECK_EVERY = 1.0

Mark = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Serving:
    """One state of the clients file, with the knowledge and the local result codes of each client by name."""

    clients: Clients
    knowledge: Mapping[str, Knowledge]
    local_codes: Mapping[str, LocalCodes]


def serving_of(clients: Clients, knowledge: Knowledge) -> Serving:
    """Return the clients with the knowledge base as each of them has set it."""
    own = {one.name: _knowledge_of(one, knowledge) for one in clients.all}
    return Serving(clients, own, {name: _local_codes(one) for name, one in own.items()})


def _knowledge_of(profile: ClientProfile, knowledge: Knowledge) -> Knowledge:
    return with_windows(knowledge, profile.windows).with_code_map(profile.code_map)


def _local_codes(knowledge: Knowledge) -> LocalCodes:
    return {Analyte(name): codes for name, codes in knowledge.terminology.local_results().items()}


class LiveClients:
    """The current state; one object serves one process."""

    def __init__(
        self,
        settings: Settings,
        knowledge: Knowledge,
        *,
        check: Callable[[Clients], None],
        told: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the clients; raises `SettingsError` for a fault.

        `check` raises it too for what only outer rooms can check; `told` gets the reason for which a
        changed file was not taken, "" when one was.
        """
        self._settings = settings
        self._knowledge = knowledge
        self._check = check
        self._told = told
        self._now = now
        self._lock = threading.Lock()
        self._checked_at = now()
        self.fault = ""
        self._current, self._mark = self._read()

    def current(self) -> Serving:
        """Return the clients of this moment."""
        if self._settings.clients is not None and self._now() - self._checked_at >= CHECK_EVERY:
            self._look()
        return self._current

    def _look(self) -> None:
        """Read again if a file has changed; whoever comes meanwhile goes on with what there is."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._checked_at = self._now()
            if _mark_of(self._current.clients.files) != self._mark:
                self._take()
        finally:
            self._lock.release()

    def _take(self) -> None:
        try:
            read, mark = self._read()
            _refuse_another_mode(read.clients, self._current.clients)
            self._current, self._mark, self.fault = read, mark, ""
        except SettingsError as error:
            self._keep(str(error))
        except Exception as error:  # noqa: BLE001 - whatever a file does to its readers, calls go on
            self._keep(f"{PREFIX}CLIENTS: cannot be read ({type(error).__name__})")
        self._told(self.fault)

    def _keep(self, fault: str) -> None:
        """Go on with what there is; a file that is wrong today is not read again until it changes."""
        self._mark = _mark_of(self._current.clients.files)
        self.fault = fault

    def _read(self) -> tuple[Serving, Mark]:
        """Return the state of the files; which files they are is known only once they were read.

        Read until nothing changed meanwhile, so that no change is missed.
        """
        clients = load_clients(self._settings)
        mark: Mark = ()
        while mark != (mark := _mark_of(clients.files)):
            clients = load_clients(self._settings)
        self._check(clients)
        return serving_of(clients, self._knowledge), mark


def _refuse_another_mode(read: Clients, current: Clients) -> None:
    """How callers are told apart is built once; a slip must not open a service that was closed."""
    if read.is_authenticating != current.is_authenticating:
        raise SettingsError("trust is given to clients, or taken from them, by a new start only")


def _mark_of(files: tuple[Path, ...]) -> Mark:
    return tuple(map(_mark, files))


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

"""The store before the service starts: its tables are those of this release, or it does not start."""

from cds_service.ports import StoreUnavailableError
from cds_service.settings import PREFIX, Settings, SettingsError


def ready_store(settings: Settings) -> None:
    """Upgrade an embedded SQLite store, and check any other; raises `SettingsError`.

    A database that several hosts share is upgraded by hand, once: `rls-cds store upgrade`.
    """
    if (settings.store or "").startswith("sqlite:"):
        upgrade(settings)
        return
    # Loaded where a store is, and nowhere else: the database library costs a good part of the start.
    from cds_service.adapters.store import StoreError, engine_of, is_current  # noqa: PLC0415 - see above

    try:
        if not is_current(engine_of(settings.store or "")):
            raise SettingsError(f"{PREFIX}STORE: its tables are of another release: rls-cds store upgrade")
    except (StoreError, StoreUnavailableError) as error:
        raise SettingsError(f"{PREFIX}STORE: {error}") from None


def upgrade(settings: Settings) -> None:
    """Bring the tables up to this release; raises `SettingsError`."""
    if settings.store is None:
        raise SettingsError(f"{PREFIX}STORE names no store")
    from cds_service.adapters.store import StoreError, engine_of, upgrade_store  # noqa: PLC0415 - see above

    try:
        upgrade_store(engine_of(settings.store))
    except (StoreError, StoreUnavailableError) as error:
        raise SettingsError(f"{PREFIX}STORE: {error}") from None

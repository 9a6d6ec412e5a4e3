"""The lines that a site puts into its settings after a look at its server."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cds_service.addresses import ServerAddress
from cds_service.onboarding.report import MapRow, SettingPart
from cds_service.onboarding.sheet import clients_file
from cds_service.profile import ClientProfile
from cds_service.protocol.prefetch import PREFETCH_NEEDS
from cds_service.settings import PREFIX

_COLUMNS = ("kind", "system", "code", "target_system", "target_code")


def site_settings(
    address: ServerAddress,
    profile: ClientProfile,
    *,
    budget_ms: int,
    left_out: Sequence[str],
    unmapped: Iterable[MapRow],
    queries: Mapping[str, str],
) -> tuple[SettingPart, ...]:
    """Return what to set so that this server is asked, in time, and its codes are understood.

    `queries` are the prefetch queries that its release wants in other words than those of discovery.
    """
    entry = clients_file("ehr", _with_server(profile, address, budget_ms))
    parts = [
        SettingPart(
            name="For the only client, in the environment", text=f"{PREFIX}FHIR_ALLOW={base_of(address)}"
        ),
        SettingPart(name="Or an entry of the clients file", text=entry),
        SettingPart(name="Prefetch keys", text=_keys(left_out)),
    ]
    if queries:
        lines = "\n".join(f"{key}: {query}" for key, query in queries.items())
        parts.append(SettingPart(name="Prefetch queries in the words of this release", text=lines))
    rows = [row for row in unmapped if row.code and row.target_code]
    if rows:
        name = "Rows for the site's code map; a person has to check each"
        parts.append(SettingPart(name=name, text=code_map_lines(rows)))
    return tuple(parts)


def base_of(address: ServerAddress) -> str:
    """Return a base address as it is written in settings."""
    return f"{address.origin}{address.path}"


def _with_server(profile: ClientProfile, address: ServerAddress, budget_ms: int) -> ClientProfile:
    servers = dict.fromkeys((*profile.fhir.servers, address))
    return replace(profile, fhir=replace(profile.fhir, servers=tuple(servers), budget_ms=budget_ms))


def _keys(left_out: Sequence[str]) -> str:
    lines = [f"configure: {', '.join(key for key in PREFETCH_NEEDS if key not in left_out)}"]
    if left_out:
        lines.append(f"leave out: {', '.join(left_out)}")
    return "\n".join(lines)


def code_map_lines(rows: Iterable[MapRow]) -> str:
    """Return rows of a code map as CSV, with their header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([row.kind, row.system, row.code, row.target_system, row.target_code] for row in rows)
    return out.getvalue().rstrip("\n")

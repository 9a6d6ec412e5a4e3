"""The doctor's report in the order in which it is read: what to do first, the tables behind it after that."""

from collections.abc import Iterator, Mapping, Sequence

from cds_service.onboarding.document import (
    Block,
    Document,
    Items,
    Listing,
    Literal,
    Paragraph,
    Section,
    Table,
)
from cds_service.onboarding.report import Finding, MapRow, Report, SearchRow

_MOST_FAULTS = 40


def report_document(report: Report) -> Document:
    """Return the report as a document."""
    sections = (
        Section("What to do", tuple(_findings(report))),
        Section("Settings", tuple(Listing(one.text, one.name) for one in report.settings)),
        Section("Server", tuple(_server(report))),
        Section("Searches", tuple(_searches(report))),
        Section("What the cards need", (_needs(report), _cards(report))),
        Section("What was understood", tuple(_understood(report))),
        Section("Local codes", tuple(_local_codes(report))),
        Section("Data issues", tuple(_issues(report))),
        Section("Validation in full", tuple(_validation(report))),
    )
    return Document(f"FHIR server examined: {report.server.base}", tuple(_lead(report)), sections)


def _lead(report: Report) -> Iterator[Block]:
    verdict = f"{report.verdict}." if report.problems else "Everything that the cards need works."
    yield Paragraph(
        f"{verdict} {report.patients} patients tried ({report.found_by}), as client {report.client}, by"
        f" service {report.service} with knowledge {report.knowledge}."
    )
    yield Paragraph(
        "This report holds codes, units and counts. It holds no name, id, value, date or text of a record;"
        " words beside local codes are never shown."
    )


def _findings(report: Report) -> Iterator[Block]:
    for severity, title in (("problem", "Problems"), ("note", "Notes")):
        found = [one for one in report.findings if one.severity == severity]
        if found:
            yield Paragraph(f"{title}:")
            yield Items(tuple(_sentence(one) for one in found))
    if not report.findings:
        yield Paragraph("Nothing.")


def _sentence(one: Finding) -> str:
    return f"{one.text} {one.fix}".strip()


def _server(report: Report) -> Iterator[Block]:
    server = report.server
    rows = (
        ("base address", Literal(server.base)),
        ("FHIR version", server.version or f"not told ({server.problem})"),
        ("software", server.software or "not told"),
        ("formats", ", ".join(server.formats) or "not told"),
        ("time of a patient", f"median {report.time.median_ms} ms, at most {report.time.max_ms} ms"),
        ("budget of a call", f"{report.time.budget_ms} ms; over it: {report.time.over_budget} patients"),
    )
    yield Table("What the server says of itself, and its time", ("item", "value"), rows)


def _searches(report: Report) -> Iterator[Block]:
    rows = tuple(
        (
            Literal(row.key),
            row.declared,
            _counts(row.statuses),
            _counts(row.problems),
            str(row.entries),
            str(row.most_pages),
            f"{row.median_ms} / {row.max_ms}",
        )
        for row in report.searches
    )
    head = ("key", "declared", "HTTP", "problem", "entries", "pages", "ms median / most")
    yield Table("What the service asks; entries over all patients, pages of the longest answer", head, rows)
    remarks = tuple(_remark(row) for row in report.searches if row.fallbacks or row.outcomes)
    if remarks:
        yield Items(remarks)
    yield Listing("\n".join(row.query for row in report.searches), "As they were asked last")
    extra = [row.key for row in report.searches if not row.by_service]
    if extra:
        yield Paragraph(f"Asked by this examination alone, to find local codes: {', '.join(extra)}.")


def _remark(row: SearchRow) -> str:
    parts = [f"{told} ({count})" for told, count in row.fallbacks.items()]
    parts += [f"OperationOutcome {told} ({count})" for told, count in row.outcomes.items()]
    return f"{row.key}: {'; '.join(parts)}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{told} ({count})" for told, count in counts.items())


def _needs(report: Report) -> Table:
    head = ("need", "answered", "cut off", "failed", "not asked", "with findings")
    rows = tuple(
        (
            Literal(row.need),
            *(str(count) for count in (row.answered, row.cut_off, row.failed, row.not_asked, row.found)),
        )
        for row in report.needs
    )
    return Table("How far each need was answered, in patients", head, rows)


def _cards(report: Report) -> Table:
    rows = [
        (row.card, str(row.state), ", ".join(row.missing), str(row.patients) if row.patients else "")
        for row in report.cards
    ]
    rows.append(("no card", "", "", str(report.no_card)))
    rows.append(("not assessed (412)", "", "", str(report.not_assessed)))
    head = ("card", "state", "needs not answered for everybody", "patients")
    return Table("The cards, and how many of the tried patients get them", head, tuple(rows))


def _understood(report: Report) -> Iterator[Block]:
    if report.read:
        rows = tuple(
            (row.kind, row.name, row.certainty, str(row.entries), str(row.patients)) for row in report.read
        )
        head = ("kind", "read as", "how", "entries", "patients")
        yield Table("What the rules read, in words of the knowledge base", head, rows)
    if report.units:
        units = tuple(
            (row.analyte, Literal(row.unit), "yes" if row.understood else "no", str(row.entries))
            for row in report.units
        )
        yield Table("Units", ("result", "unit", "understood", "results"), units)
    if report.unreadable:
        reasons = tuple((row.analyte, row.reason, str(row.entries)) for row in report.unreadable)
        yield Table("Results that could not be used", ("result", "why", "results"), reasons)
    if report.code_systems:
        systems = tuple(
            (row.resource_type, Literal(row.system), str(row.codes), str(row.known), str(row.entries))
            for row in report.code_systems
        )
        head = ("resource type", "code system", "codes", "used by the rules", "entries")
        yield Table("Code systems; most codes of a chart mean nothing to the rules", head, systems)


def _local_codes(report: Report) -> Iterator[Block]:
    if not report.unmapped and not report.unknown_laboratory:
        yield Paragraph("No local code stands out.")
    if report.unmapped:
        caption = "Local codes that are recognised by their words alone, and what they may count as"
        yield _map_table(caption, report.unmapped)
    if report.unknown_laboratory:
        caption = "Local laboratory codes that say nothing to the service, carried by two patients or more"
        yield _map_table(caption, report.unknown_laboratory)


def _map_table(caption: str, listed: Sequence[MapRow]) -> Table:
    rows = tuple(
        (
            row.kind,
            Literal(row.system or "(none)") if row.code else "(not shown)",
            Literal(row.code) if row.code else "(not shown)",
            row.looks_like,
            Literal(row.target_code),
            str(row.entries),
            str(row.patients),
        )
        for row in listed
    )
    head = ("kind", "system", "code", "looks like", "counts as", "entries", "patients")
    return Table(caption, head, rows)


def _issues(report: Report) -> Iterator[Block]:
    if not report.issues:
        yield Paragraph("None.")
        return
    rows = tuple(
        (row.kind, row.resource_type, row.detail, str(row.count), str(row.patients)) for row in report.issues
    )
    head = ("kind", "resource type", "detail", "times", "patients")
    yield Table("What was cleaned up or skipped while reading", head, rows)


def _validation(report: Report) -> Iterator[Block]:
    found = report.validation
    if not found.release:
        yield Paragraph("Not done: the release of the server is not read.")
        return
    yield Paragraph(f"{found.valid} of {found.resources} resources are valid FHIR {found.release}.")
    if found.faults:
        rows = tuple((row.resource_type, row.fault, str(row.count)) for row in found.faults[:_MOST_FAULTS])
        yield Table("Faults by element, most frequent first", ("resource type", "fault", "resources"), rows)
    if len(found.faults) > _MOST_FAULTS:
        yield Paragraph(f"{len(found.faults) - _MOST_FAULTS} more kinds of faults; the JSON holds all.")

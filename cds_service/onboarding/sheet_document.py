"""The build sheet in the order in which it is typed."""

from collections.abc import Iterable, Iterator

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
from cds_service.onboarding.sheet import BuildSheet, Field, Query


def sheet_document(sheet: BuildSheet) -> Document:
    """Return the sheet as a document."""
    lead = (Paragraph(f"What is said of the client comes from: {sheet.source}. Check it at the site."),)
    sections = (
        Section("Service and addresses", tuple(_addresses(sheet))),
        Section("What to know of the client", (Items(sheet.facts),)),
        Section("What to know of the cards", (Items(sheet.cards),)),
        Section("Prefetch", tuple(_prefetch(sheet))),
        Section("Access to the FHIR server", (_access(sheet),)),
        Section("Topics, for the lock-out of cards", (_topics(sheet),)),
        Section("Override reasons to map", (_reasons(sheet),)),
        Section("Order codes", tuple(_orders(sheet))),
        Section("Links to allow", (_links(sheet),)),
        Section("Token of the calls", tuple(_token(sheet))),
        Section("On our side", tuple(_our_side(sheet))),
    )
    return Document(f"Build sheet for {sheet.vendor}: RLS iron assessment", lead, sections)


def _addresses(sheet: BuildSheet) -> Iterator[Block]:
    read = (
        "reads discovery" if sheet.reads_discovery else "does not read discovery: everything is typed by hand"
    )
    yield Paragraph(f"The client {read}. FHIR release to register for: {sheet.release}.")
    named = [
        Field(name="hook", value=sheet.hook),
        Field(name="service id", value=sheet.service_id),
        *sheet.addresses,
    ]
    yield _field_table("What is called", named)
    if sheet.registration:
        yield _field_table("Fields of the vendor's registration", sheet.registration)


def _field_table(caption: str, fields: Iterable[Field]) -> Table:
    return Table(caption, ("field", "value"), tuple((one.name, Literal(one.value)) for one in fields))


def _prefetch(sheet: BuildSheet) -> Iterator[Block]:
    yield Paragraph("One query for each key, to be copied whole. docs/epic.md tells what each key adds.")
    yield from _listings(sheet.prefetch)
    if sheet.left_out:
        keys = ", ".join(one.key for one in sheet.left_out)
        yield Paragraph(f"Not offered in {sheet.release}, leave out: {keys}.")
    for release in dict.fromkeys(one.release for one in sheet.other_releases):
        yield Paragraph(f"Where {release} is registered instead, these keys take other queries:")
        yield from _listings(one for one in sheet.other_releases if one.release == release)


def _listings(queries: Iterable[Query]) -> Iterator[Listing]:
    return (Listing(one.query, one.key) for one in queries)


def _access(sheet: BuildSheet) -> Table:
    rows = tuple(
        (
            Literal(one.resource_type),
            Literal(one.smart_v1),
            Literal(one.smart_v2),
            "; ".join(one.apis) or "look it up",
        )
        for one in sheet.access
    )
    head = ("resource type", "SMART v1", "SMART v2", "name at the vendor")
    return Table("What the token of a call must allow, where the service completes the data", head, rows)


def _topics(sheet: BuildSheet) -> Table:
    rows = tuple((Literal(one.code), one.display, one.on) for one in sheet.topics)
    return Table(f"source.topic; system {sheet.topics[0].system}", ("code", "display", "card"), rows)


def _reasons(sheet: BuildSheet) -> Table:
    rows = tuple((Literal(one.code), one.display, one.on) for one in sheet.override_reasons)
    return Table(f"System {sheet.override_reasons[0].system}", ("code", "display", "on"), rows)


def _orders(sheet: BuildSheet) -> Iterator[Block]:
    yield Paragraph(
        "The codings of suggested orders come from the client's entry in the clients file."
        " A row without a code is for the site's own orderable."
    )
    rows = tuple(
        (order.order, Literal(coding.system), Literal(coding.code), coding.display)
        for order in sheet.orders
        for coding in (*order.configured, *order.to_fill_in)
    )
    yield Table("Codings by kind of order", ("order", "system", "code", "display"), rows)


def _links(sheet: BuildSheet) -> Table:
    rows = tuple((one.label, Literal(one.url)) for one in sheet.links)
    return Table("All are absolute links; no SMART application is started", ("label", "address"), rows)


def _token(sheet: BuildSheet) -> Iterator[Block]:
    yield Paragraph(
        "What the client signs each call with; the service holds it against the table [clients.trust] below."
    )
    yield _field_table("Header fields and claims", sheet.token)


def _our_side(sheet: BuildSheet) -> Iterator[Block]:
    yield _field_table("Settings of the service", sheet.settings)
    yield Listing(sheet.clients_file, "clients file", "toml")

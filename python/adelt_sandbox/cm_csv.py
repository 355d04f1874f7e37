"""The CM360 report file: a header block of varying length, rows, grand total."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa

from adelt_sandbox.tabular import Query, Totals, csv_line, csv_rows, results

NO_DATA = "No data returned by the reporting service."
ZONE = "America/New_York"


@dataclass(frozen=True)
class Heading:
    """What the block above the data says.

    Attributes:
        name: Name of the report.
        account_id: CM360 account.
        as_of: When the report ran.
        start: First day.
        end: Last day.
        filters: Dimension and condition of each filter.
        variant: Picks one of the forms the block and the empty report come in.
    """

    name: str
    account_id: str
    as_of: datetime
    start: date
    end: date
    filters: Sequence[tuple[str, str]]
    variant: int


def report(query: Query, delivery: Iterable[pa.Table], heading: Heading) -> Iterator[bytes]:
    """The file, piece by piece."""
    yield from _block(heading)
    header = csv_line(query.headers)
    totals = Totals(query)
    rows = csv_rows(query, results(query, delivery), totals)
    first = next(rows, None)
    if first is None and heading.variant % 2:
        yield f"{NO_DATA}\n".encode()
        return
    yield b"Report Fields\n"
    yield header
    if first is not None:
        yield first
        yield from rows
    blanks = ["---"] * (len(query.dimensions) - 1)
    yield csv_line(["Grand Total:", *blanks, *totals.cells()])


def _block(heading: Heading) -> Iterator[bytes]:
    local = heading.as_of.astimezone(ZoneInfo(ZONE))
    hour = local.hour % 12 or 12
    yield csv_line([heading.name])
    if heading.variant % 3 == 1:
        yield b"\n"
    elif heading.variant % 3 == 2:
        yield csv_line([f"{heading.name} {heading.end.isoformat()}"])
    yield csv_line(["Date/Time Generated", f"{_short(local.date())} {hour}:{local:%M %p}"])
    yield csv_line(["Report Time Zone", ZONE])
    yield csv_line(["Account ID", heading.account_id])
    yield csv_line(["Date Range", f"{_short(heading.start)} - {_short(heading.end)}"])
    for label, condition in heading.filters:
        yield csv_line([label, condition])
    if heading.variant % 3 == 2:
        yield csv_line(["MRC Accredited Metrics", "Impressions, Clicks"])
    yield b"\n"


def _short(day: date) -> str:
    return f"{day.month}/{day.day}/{day:%y}"

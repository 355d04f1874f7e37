"""The Bid Manager report file: header, rows, totals, blank line, footer."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime

import pyarrow as pa

from adelt_sandbox.tabular import Query, Totals, csv_line, csv_rows, results

NO_DATA = "No data returned by the reporting service."
FINALITY = (
    "Reporting numbers from the previous month are finalized (for billing purposes) on the first of each month, "
    "unless communicated otherwise. Some numbers in reports may fluctuate for up to seven days before matching "
    "billing numbers."
)
ACCREDITED = ("Billable Impressions", "Clicks", "Impressions")


def report(
    query: Query,
    delivery: Iterable[pa.Table],
    *,
    with_totals: bool,
    as_of: datetime,
    start: date,
    end: date,
    filters: Sequence[tuple[str, str]],
) -> Iterator[bytes]:
    """The file, piece by piece. `end` is the last day; `filters` are label and text of the filter lines."""
    yield csv_line(query.headers)
    totals = Totals(query)
    yield from csv_rows(query, results(query, delivery), totals)
    if not totals.rows:
        yield f"{NO_DATA}\n".encode()
    elif with_totals:
        yield csv_line([*[""] * len(query.dimensions), *totals.cells()])
    yield b"\n"
    yield csv_line(["Report Time:", as_of.astimezone(UTC).strftime("%Y/%m/%d %H:%M GMT")])
    yield csv_line(["Date Range:", f"{start:%Y/%m/%d} to {end:%Y/%m/%d}"])
    for dimension in query.dimensions:
        yield csv_line(["Group By:", dimension.label])
    accredited = [item.header for item in query.metrics if item.header in ACCREDITED]
    if accredited:
        yield csv_line(
            [
                "MRC Accredited Metrics",
                ", ".join(accredited),
                "Active View metrics are accredited only when Measurement Source = Measured",
            ]
        )
    yield csv_line([FINALITY])
    for label, text in filters:
        yield csv_line([f"Filter by {label}:", text])

"""Find the rows in a report file: what is header, data, totals and footer, by bytes from both ends.

Facts: Bid Manager files are header, rows, a totals row with empty dimensions, a blank line, a footer that starts with
`Report Time:`. CM360 files are a block of a varying number of lines up to `Report Fields`, the header, rows, and a row
that starts with `Grand Total:`. Both say `No data returned by the reporting service.` when there is nothing. The cost
is constant: only the two ends are read, whatever the size of the file.
"""

import csv
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adelt_sources.catalog import TableSpec
from adelt_sources.errors import InputError, SourceError

NO_DATA = b"No data returned by the reporting service."
_END = 1 << 16  # bytes read from an end at first; doubled until the mark is found


@dataclass(frozen=True)
class ReportFile:
    """Where the rows of a report file are.

    Attributes:
        path: The file.
        skip_lines: Physical lines before the first row.
        end: Byte after the last row.
        header: Column titles; empty when the report has no data.
        totals: Cells of the totals row, or None.
        footer: Footer (Bid Manager) or header block (CM360) as label to text; repeated labels are joined by `; `.
    """

    path: Path
    skip_lines: int
    end: int
    header: list[str]
    totals: list[str] | None
    footer: dict[str, str] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether the report says that it has no data."""
        return not self.header


def bid_manager(path: Path, spec: TableSpec) -> ReportFile:
    """Read the ends of a Bid Manager report.

    Raises:
        SourceError: The file is cut short (no footer): ask for it again.
        InputError: Its columns are not those of the declaration.
    """
    size = path.stat().st_size
    mark = _find_last(path, size, b"\nReport Time:")
    head = _first_line(path)
    if head is None or mark is None:
        if NO_DATA in path.read_bytes()[:_END]:
            return ReportFile(path, 0, 0, [], None)
        raise _cut_short(path, "it has no `Report Time:` footer")
    footer_bytes = _read(path, mark + 1, size)
    footer = _pairs(footer_bytes)
    if NO_DATA in _read(path, 0, min(size, _END)):
        return ReportFile(path, 0, 0, [], None, footer)
    header = _cells(head)
    _check_header(header, spec, path)
    end = _before_blank_lines(path, mark + 1)
    totals = None
    dimensions = len(spec.role("dimension"))
    start, line = _last_line(path, end)
    cells = _cells(line)
    if start > 0 and len(cells) == len(header) and not any(cells[:dimensions]):
        totals, end = cells, start
    elif spec.facts["report"]["totals"] and start > 0:
        raise _cut_short(path, "it has no totals row")
    return ReportFile(path, 1, end, header, totals, footer)


def campaign_manager(path: Path, spec: TableSpec) -> ReportFile:
    """Read the ends of a Campaign Manager 360 report.

    Raises:
        SourceError: The file is cut short (no `Grand Total:`): ask for it again.
        InputError: Its columns are not those of the declaration.
    """
    size = path.stat().st_size
    head = _read(path, 0, min(size, _END))
    fields = head.find(b"\nReport Fields")
    block = _pairs(head[: fields if fields >= 0 else len(head)])
    if NO_DATA in head:
        return ReportFile(path, 0, 0, [], None, block)
    if fields < 0:
        raise _cut_short(path, "it has no `Report Fields` line")
    header_start = head.find(b"\n", fields + 1) + 1
    header_end = head.find(b"\n", header_start)
    if header_start == 0 or header_end < 0:
        raise _cut_short(path, "it ends in its header")
    header = _cells(head[header_start:header_end])
    _check_header(header, spec, path)
    mark = _find_last(path, size, b"\nGrand Total:")
    if mark is None:
        raise _cut_short(path, "it has no `Grand Total:` row")
    tail = _read(path, mark + 1, size)
    totals = _cells(tail.split(b"\n", 1)[0])
    if len(totals) != len(header):
        raise _cut_short(path, "its `Grand Total:` row is not complete")
    return ReportFile(path, head.count(b"\n", 0, header_end + 1), mark + 1, header, totals, block)


@contextmanager
def only_rows(report: ReportFile) -> Iterator[None]:
    """Cut the file after its last row while a parser reads it, then put the end back.

    The file is this run's own; in place costs nothing, a copy would cost as much as the parse.
    """
    size = report.path.stat().st_size
    tail = _read(report.path, report.end, size)
    os.truncate(report.path, report.end)
    try:
        yield
    finally:
        with report.path.open("ab") as out:
            out.write(tail)


def _check_header(header: list[str], spec: TableSpec, path: Path) -> None:
    expected = [c.header for c in spec.columns if c.header]
    if header == expected:
        return
    where = f"{spec.qualified}, header of {path.name}"
    twice = sorted({title for title in header if header.count(title) > 1} - _doubles(expected))
    missing = [title for title in expected if title not in header]
    extra = [title for title in header if title not in expected]
    if twice:
        what = f"the report has the column `{twice[0]}` twice"
    elif missing and extra:
        what = f"the report has `{extra[0]}` where `{missing[0]}` is declared"
    elif missing:
        what = f"the report has no column `{missing[0]}`"
    elif extra:
        what = f"the report has a column that is not declared: `{extra[0]}`"
    else:
        what = "the report's columns are in another order than declared"
    fix = f"compare the header with `adelt tables {spec.source}.{spec.name}`; nothing was loaded"
    raise InputError(what, where=where, fix=fix)


def _doubles(titles: list[str]) -> set[str]:
    return {title for title in titles if titles.count(title) > 1}


def _cut_short(path: Path, why: str) -> SourceError:
    return SourceError(
        f"the report is cut short: {why}",
        where=str(path),
        fix="run it again; the file is kept for inspection",
    )


def _read(path: Path, start: int, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(max(0, end - start))


def _first_line(path: Path) -> bytes | None:
    with path.open("rb") as file:
        line = file.readline(1 << 20)
    return line.removesuffix(b"\n") if line.endswith(b"\n") else None


def _find_last(path: Path, size: int, mark: bytes) -> int | None:
    """Offset of the last `mark`, searching ever longer ends of the file."""
    length = _END
    while True:
        start = max(0, size - length)
        found = _read(path, start, size).rfind(mark)
        if found >= 0:
            return start + found
        # Footers are a few kilobytes: a file without one in its last 16 MiB has none.
        if start == 0 or length >= 1 << 24:
            return None
        length *= 4


def _before_blank_lines(path: Path, offset: int) -> int:
    """Byte after the last line before the blank lines that end at `offset`."""
    start = max(0, offset - _END)
    text = _read(path, start, offset)
    kept = text.rstrip(b"\r\n")
    if len(kept) == len(text):
        return offset
    newline = 2 if text[len(kept) : len(kept) + 1] == b"\r" else 1
    return start + len(kept) + newline


def _last_line(path: Path, end: int) -> tuple[int, bytes]:
    """Start and text of the line that ends at `end`."""
    start = max(0, end - _END)
    text = _read(path, start, end).rstrip(b"\r\n")
    newline = text.rfind(b"\n")
    return start + newline + 1, text[newline + 1 :]


def _cells(line: bytes) -> list[str]:
    text = line.decode("utf-8-sig").rstrip("\r")
    return next(csv.reader([text]), [])


def _pairs(block: bytes) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for cells in csv.reader(io.StringIO(block.decode("utf-8-sig", "replace"))):
        if not cells or not any(cells):
            continue
        label, text = cells[0].rstrip(":"), ", ".join(cell for cell in cells[1:] if cell)
        pairs[label] = f"{pairs[label]}; {text}" if pairs.get(label) and text else text
    return pairs

"""From delivery to the rows of a report: filter, group, add up and write as CSV, chunk by chunk.

Both report APIs use this. Memory follows the size of a chunk, or of one day of results where days come
grouped, never the size of the report.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pyarrow as pa
import pyarrow.acero
import pyarrow.compute

ROWS_PER_WRITE = 65_536
# The published types of these functions know neither plain strings nor nested calls.
pc: Any = pyarrow.compute
Column = Any


@dataclass(frozen=True)
class Dimension:
    """A way to split a report.

    Attributes:
        header: Text above the column.
        column: Delivery column it comes from.
        kind: `text`, `id`, `date`, `month`, `week` or `year`.
        footer: Label in the `Group By` and `Filter by` lines, where it differs from the header.
    """

    header: str
    column: str
    kind: str = "text"
    footer: str = ""

    @property
    def label(self) -> str:
        """Name of the dimension in the lines after the data."""
        return self.footer or self.header


@dataclass(frozen=True)
class Metric:
    """A number in a report.

    Attributes:
        header: Text above the column.
        column: Delivery column that is added up.
        kind: `count`, `decimal_count` (written `1.00`), `amount` (six decimals) or `ratio`.
        over: For ratios, the delivery column to divide by.
        factor: For ratios, what the quotient is multiplied with.
    """

    header: str
    column: str
    kind: str = "count"
    over: str = ""
    factor: int = 1


@dataclass(frozen=True)
class Query:
    """What a report asks for.

    Attributes:
        dimensions: Columns to group by, in the order of the request.
        metrics: Columns to add up, in the order of the request.
        filters: Allowed values per delivery column; all columns must match.
        unique: True if the dimensions hold the full grain, so that rows need no grouping.
        missing: What stands for an id that is not there.
        date_format: `/` or `-` between year, month and day.
    """

    dimensions: tuple[Dimension, ...]
    metrics: tuple[Metric, ...]
    filters: Mapping[str, frozenset[str]]
    unique: bool
    missing: str
    date_separator: str = "/"

    @property
    def headers(self) -> list[str]:
        """Text above the columns."""
        return [*(item.header for item in self.dimensions), *(item.header for item in self.metrics)]


class Totals:
    """Sums of every delivery column a report uses, kept while rows pass by."""

    def __init__(self, query: Query) -> None:
        self.rows = 0
        self._query = query
        self._sums: dict[str, Decimal] = {name: Decimal(0) for name in _columns(query.metrics)}

    def add(self, table: pa.Table) -> None:
        """Count a chunk of finished rows."""
        self.rows += table.num_rows
        for name in self._sums:
            value = pc.sum(table[name]).as_py()
            self._sums[name] += Decimal(value or 0)

    def cells(self) -> list[str]:
        """The totals as they are written below the data."""
        return [self._cell(metric) for metric in self._query.metrics]

    def _cell(self, metric: Metric) -> str:
        value = self._sums[metric.column]
        if metric.kind == "ratio":
            return _ratio(value, self._sums[metric.over], metric.factor)
        if metric.kind == "decimal_count":
            return f"{value:.2f}"
        return f"{value:.6f}" if metric.kind == "amount" else f"{value:.0f}"


def results(query: Query, delivery: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Rows of the report: columns `k0`.. for the dimensions and the sums under their delivery names."""
    by_date = any(item.kind == "date" for item in query.dimensions)
    pending: list[pa.Table] = []
    pending_date = None
    for chunk in delivery:
        chunk = _filtered(query, chunk)
        if not chunk.num_rows:
            continue
        keyed = _keyed(query, chunk)
        if query.unique:
            yield keyed
            continue
        if by_date:
            first = pc.min(chunk["date"]).as_py()
            if pending and first != pending_date:
                yield _grouped(query, pending)
                pending = []
            pending_date = pc.max(chunk["date"]).as_py()
        pending.append(keyed)
        if len(pending) > 8:
            pending = [_grouped(query, pending)]
    if pending:
        yield _grouped(query, pending)


def csv_rows(query: Query, tables: Iterable[pa.Table], totals: Totals) -> Iterator[bytes]:
    """The rows as CSV bytes, quoted only where a cell needs it."""
    for table in tables:
        totals.add(table)
        for start in range(0, table.num_rows, ROWS_PER_WRITE):
            yield _csv(query, table.slice(start, ROWS_PER_WRITE))


def csv_line(cells: Sequence[str]) -> bytes:
    """One line of CSV."""
    return (",".join(_quoted(cell) for cell in cells) + "\n").encode()


def _quoted(cell: str) -> str:
    if any(mark in cell for mark in ',"\r\n'):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _columns(metrics: Sequence[Metric]) -> list[str]:
    names = [name for metric in metrics for name in (metric.column, metric.over) if name]
    return list(dict.fromkeys(names))


def _filtered(query: Query, table: pa.Table) -> pa.Table:
    for column, allowed in query.filters.items():
        values = table[column].cast(pa.string())
        table = table.filter(pc.is_in(values, value_set=pa.array(sorted(allowed), pa.string())))
    return table


def _keyed(query: Query, table: pa.Table) -> pa.Table:
    arrays, names = [], []
    for index, dimension in enumerate(query.dimensions):
        arrays.append(_key(dimension, table[dimension.column], query.date_separator))
        names.append(f"k{index}")
    for name in _columns(query.metrics):
        arrays.append(table[name])
        names.append(name)
    return pa.table(arrays, names=names)


def _key(dimension: Dimension, values: Column, separator: str) -> Column:
    if dimension.kind in ("text", "id", "date"):
        return values
    text = values.cast(pa.string())
    if dimension.kind == "year":
        return pc.utf8_slice_codeunits(text, 0, 4)
    if dimension.kind == "month":
        return pc.replace_substring(pc.utf8_slice_codeunits(text, 0, 7), "-", separator)
    return pc.floor_temporal(values, unit="week", week_starts_monday=False)


def _grouped(query: Query, tables: Sequence[pa.Table]) -> pa.Table:
    table = pa.concat_tables(tables)
    keys = [f"k{index}" for index in range(len(query.dimensions))]
    sums = _columns(query.metrics)
    grouped = table.group_by(keys, use_threads=False).aggregate([(name, "sum") for name in sums])
    arrays = [grouped[key] for key in keys]
    arrays += [grouped[f"{name}_sum"].cast(table.schema.field(name).type) for name in sums]
    merged = pa.table(arrays, names=[*keys, *sums])
    return merged.sort_by([(key, "ascending") for key in keys]) if keys else merged


def _csv(query: Query, table: pa.Table) -> bytes:
    table = table.combine_chunks()
    cells = [
        _dimension_cells(dimension, table[f"k{index}"], query)
        for index, dimension in enumerate(query.dimensions)
    ]
    cells += [_metric_cells(metric, table) for metric in query.metrics]
    lines = pc.binary_join_element_wise(pc.binary_join_element_wise(*cells, ","), "", "\n")
    return b"".join(_text_bytes(chunk) for chunk in lines.chunks)


def _text_bytes(array: Any) -> bytes:
    """The characters of a string array, one after the other, straight from its buffer."""
    if not len(array):
        return b""
    _, offsets, data = array.buffers()
    ends = memoryview(offsets).cast("i")
    return bytes(memoryview(data)[ends[array.offset] : ends[array.offset + len(array)]])


def _dimension_cells(dimension: Dimension, values: Column, query: Query) -> Column:
    text = values.cast(pa.string())
    if dimension.kind in ("date", "week"):
        text = pc.replace_substring(text, "-", query.date_separator)
    text = pc.fill_null(text, query.missing)
    if dimension.kind != "text":
        return text
    special = pc.match_substring_regex(text, '[",\r\n]')
    if not pc.any(special).as_py():
        return text
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(text, '"', '""'), '"', "")
    return pc.if_else(special, quoted, text)


def _metric_cells(metric: Metric, table: pa.Table) -> Column:
    values = table[metric.column]
    if metric.kind == "ratio":
        pairs = zip(values.to_pylist(), table[metric.over].to_pylist(), strict=True)
        cells = [_ratio(Decimal(top or 0), Decimal(below or 0), metric.factor) for top, below in pairs]
        return pa.chunked_array([pa.array(cells, pa.string())])
    if metric.kind == "amount":
        return pc.fill_null(values, Decimal(0)).cast(pa.string())
    text = pc.fill_null(values, 0).cast(pa.string())
    return pc.binary_join_element_wise(text, ".00", "") if metric.kind == "decimal_count" else text


def _ratio(top: Decimal, below: Decimal, factor: int) -> str:
    value = top * factor / below if below else Decimal(0)
    return f"{value.quantize(Decimal('0.000001'), ROUND_HALF_UP):f}"

"""Convert the JSON objects of the Google APIs to the declared columns, losing nothing.

The APIs write camelCase, int64 as strings and times as RFC 3339. Columns are snake_case at every depth, typed. What the
declaration does not know is kept under its path in `_unknown_fields` and counted.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from adelt_sources.catalog import ListOf, Record, Scalar, TableSpec, Type
from adelt_sources.errors import SourceError
from adelt_sources.types import arrow_schema

_BATCH = 5_000


@lru_cache(maxsize=4096)
def snake_case(name: str) -> str:
    """`dv360ToCmCostReportingEnabled` -> `dv360_to_cm_cost_reporting_enabled`."""
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name).lower()


class RecordWriter:
    """Writes API objects of one table to a Parquet file in bounded memory.

    Attributes:
        rows: Rows written so far.
        unknown: How often each field that is not declared was seen, by its path.
    """

    def __init__(self, spec: TableSpec, target: Path) -> None:
        self._spec = spec
        self._target = target
        self._record = Record({c.name: c.type for c in spec.role("field")})
        self._schema = arrow_schema(spec.columns)
        self._writer = pq.ParquetWriter(target, self._schema)
        self._waiting: list[dict[str, Any]] = []
        self.rows = 0
        self.unknown: Counter[str] = Counter()

    def add(self, objects: Iterable[Mapping[str, Any]], constants: Mapping[str, Any]) -> None:
        """Convert and write objects.

        Args:
            objects: As the API gave them.
            constants: Values of adelt's own columns.

        Raises:
            SourceError: A value does not fit its declared type.
        """
        for item in objects:
            unknown: dict[str, Any] = {}
            row = self._convert(item, self._record, "", unknown)
            self.unknown.update(re.sub(r"\[\d+\]", "[]", path) for path in unknown)
            row["_unknown_fields"] = json.dumps(unknown, sort_keys=True) if unknown else None
            self._waiting.append({**row, **constants})
            self.rows += 1
            if len(self._waiting) >= _BATCH:
                self._flush()

    def close(self) -> Path:
        """Write what is left and finish the file."""
        self._flush()
        self._writer.close()
        return self._target

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
            self._waiting = []

    def _convert(self, value: Any, type_: Type, path: str, unknown: dict[str, Any]) -> Any:
        if value is None:
            return None
        if isinstance(type_, Record):
            row: dict[str, Any] = {}
            for name, inner in value.items():
                column = snake_case(name)
                below = f"{path}.{name}" if path else name
                if column in type_.fields:
                    row[column] = self._convert(inner, type_.fields[column], below, unknown)
                else:
                    unknown[below] = inner
            return row
        if isinstance(type_, ListOf):
            return [self._convert(item, type_.item, f"{path}[{n}]", unknown) for n, item in enumerate(value)]
        try:
            return _scalar(value, type_)
        except (TypeError, ValueError) as error:
            raise SourceError(
                f"`{path}` is {json.dumps(value)[:80]}, declared as {type_.name}",
                where=self._spec.qualified,
                fix=f"nothing was loaded; mend the type in tables/{self._spec.source}.yml",
                exit_code=2,
            ) from error


def _scalar(value: Any, type_: Scalar) -> Any:
    match type_.name:
        case "bigint":
            return int(value)
        case "double":
            return float(value)
        case "bool":
            if not isinstance(value, bool):
                raise TypeError("not a boolean")
            return value
        case "timestamp":
            return datetime.fromisoformat(value)
        case "date":
            return date.fromisoformat(value)
        case "json":
            return json.dumps(value, sort_keys=True)
        case _:
            if not isinstance(value, str):
                raise TypeError("not text")
            return value

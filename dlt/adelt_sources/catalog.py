"""The catalogue of tables: what `tables/*.yml` declares, as values.

Importing this module costs a YAML parser and nothing else, so that planning and `--help` stay fast.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from adelt_sources.errors import InputError

TABLES = Path(__file__).parent / "tables"

SCALARS = ("bigint", "text", "bool", "double", "date", "timestamp", "decimal", "json")


@dataclass(frozen=True)
class Scalar:
    """A scalar type by its dlt name; `decimal` is decimal(18, 6), `timestamp` is in UTC."""

    name: str


@dataclass(frozen=True)
class ListOf:
    """A list (BigQuery: ARRAY, DuckDB: LIST)."""

    item: "Type"


@dataclass(frozen=True)
class Record:
    """A nested record (BigQuery and DuckDB: STRUCT) with its fields in order."""

    fields: Mapping[str, "Type"]


Type = Scalar | ListOf | Record


@dataclass(frozen=True)
class Column:
    """One column of a raw table.

    Attributes:
        name: Column name in the warehouse (snake_case).
        type: Its type.
        description: One sentence for people; ends up in the warehouse's docs.
        role: `dimension`, `metric`, `field` (of an entity) or `meta` (added by adelt).
        api_name: Name in the request (reports); empty otherwise.
        header: Text expected in the header of a report file; empty otherwise.
    """

    name: str
    type: Type
    description: str
    role: str = "field"
    api_name: str = ""
    header: str = ""


@dataclass(frozen=True)
class TableSpec:
    """One raw table: where it goes, what it looks like, how a load replaces rows.

    Attributes:
        source: Source it belongs to, for example `dv360_reports`.
        name: Table name in the source, for example `standard`.
        dataset: Raw dataset (schema) in the warehouse.
        table: Table name in the warehouse.
        description: One sentence for people.
        key: Columns that identify a row within one account and day; `a.b` reaches into a record.
        write: Write mode: `replace_window`, `snapshot`, `merge` or `replace`.
        account: Column that holds the account a load is scoped to.
        date: Column that holds the day a load is scoped to.
        columns: Columns in order, adelt's own (`_run_id`, ...) last.
        partition_by: Partition column on BigQuery.
        cluster_by: Cluster columns on BigQuery.
        lookback_days: Days before the interval that pipelines ask for again; `interval.lookback` of each does it.
        facts: Everything else the declaration says (the API method, the report type, ...).
    """

    source: str
    name: str
    dataset: str
    table: str
    description: str
    key: tuple[str, ...]
    write: str
    account: str
    date: str
    columns: tuple[Column, ...]
    partition_by: str
    cluster_by: tuple[str, ...]
    lookback_days: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def qualified(self) -> str:
        """The table as people name it: `raw_dv360.report_standard`."""
        return f"{self.dataset}.{self.table}"

    def role(self, role: str) -> list[Column]:
        """The columns of one role, in order."""
        return [column for column in self.columns if column.role == role]


@dataclass(frozen=True)
class Source:
    """What one file in `tables/` declares."""

    name: str
    dataset: str
    description: str
    tables: Mapping[str, TableSpec]


_ENTITY_META = (
    Column(
        "_unknown_fields",
        Scalar("json"),
        "Fields the declaration does not know, kept as JSON; null if none",
        "meta",
    ),
    Column("_account_id", Scalar("bigint"), "Account the row was read from (0 for public files)", "meta"),
    Column("_snapshot_date", Scalar("date"), "Day whose state the row describes", "meta"),
)
_ACCOUNT_META = (Column("_account_id", Scalar("bigint"), "Account the report was asked for", "meta"),)
_RUN_META = (
    Column("_run_id", Scalar("text"), "Run that loaded the row", "meta"),
    Column("_loaded_at", Scalar("timestamp"), "When that run loaded it", "meta"),
)


def sources() -> list[str]:
    """Names of all sources, in alphabetical order."""
    return sorted(path.stem for path in TABLES.glob("*.yml"))


def catalog(source: str) -> Mapping[str, TableSpec]:
    """The tables of a source by name.

    Raises:
        InputError: There is no such source.
    """
    return source_spec(source).tables


def table_spec(source: str, table: str) -> TableSpec:
    """The declaration of one table.

    Raises:
        InputError: There is no such source or table; the fix names the closest one.
    """
    tables = catalog(source)
    if table not in tables:
        raise InputError(
            f"source `{source}` has no table `{table}`",
            where=source,
            fix=_did_you_mean(table, tables, "table"),
        )
    return tables[table]


@cache
def source_spec(source: str) -> Source:
    """Read one file of `tables/`.

    Raises:
        InputError: There is no such source.
    """
    path = TABLES / f"{source}.yml"
    if source not in sources():
        raise InputError(
            f"there is no source `{source}`", where=source, fix=_did_you_mean(source, sources(), "source")
        )
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    raw = yaml.load(path.read_text("utf-8"), Loader=loader)
    records = raw.get("records", {})
    tables = {name: _table(source, name, raw, spec, records) for name, spec in raw["tables"].items()}
    return Source(source, raw["dataset"], raw["description"], tables)


def _table(
    source: str, name: str, raw: Mapping[str, Any], spec: dict[str, Any], records: Mapping[str, Any]
) -> TableSpec:
    write = {**raw["write"], **spec.get("write", {})}
    columns = [_column(column, records) for column in spec["columns"]]
    is_report = "report" in spec
    named = {column.name for column in columns}
    meta = _ACCOUNT_META if is_report and write["account"] not in named else () if is_report else _ENTITY_META
    known = {"table", "description", "key", "write", "columns", "partition_by", "cluster_by", "lookback_days"}
    return TableSpec(
        source=source,
        name=name,
        dataset=raw["dataset"],
        table=spec.get("table", name),
        description=spec["description"],
        key=tuple(spec["key"]),
        write=write["mode"],
        account=write["account"],
        date=write["date"],
        columns=(*columns, *meta, *_RUN_META),
        partition_by=spec.get("partition_by", write["date"]),
        cluster_by=tuple(spec.get("cluster_by", [write["account"]])),
        lookback_days=spec.get("lookback_days", 0),
        facts={key: value for key, value in spec.items() if key not in known},
    )


def _column(raw: Mapping[str, Any], records: Mapping[str, Any]) -> Column:
    role = "dimension" if "dimension" in raw else "metric" if "metric" in raw else "field"
    return Column(
        name=raw["name"],
        type=_type(raw["type"], records),
        description=raw["description"],
        role=role,
        api_name=raw.get(role, ""),
        header=raw.get("header", ""),
    )


def _type(raw: Any, records: Mapping[str, Any]) -> Type:
    if isinstance(raw, list):
        return ListOf(_type(raw[0], records))
    if raw in SCALARS:
        return Scalar(raw)
    return Record({name: _type(value, records) for name, value in records[raw].items()})


def _did_you_mean(word: str, options: Mapping[str, Any] | list[str], kind: str) -> str:
    close = difflib.get_close_matches(word, list(options), n=1)
    known = ", ".join(sorted(options))
    return f"did you mean `{close[0]}`?" if close else f"{kind}s there are: {known}"


def walk(type_: Type) -> Iterator[Type]:
    """The type and every type inside it, outermost first."""
    yield type_
    if isinstance(type_, ListOf):
        yield from walk(type_.item)
    elif isinstance(type_, Record):
        for inner in type_.fields.values():
            yield from walk(inner)

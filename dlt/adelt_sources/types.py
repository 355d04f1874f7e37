"""Column types of the catalogue in the dialects that need them: DuckDB's SQL and Arrow.

JSON is kept as text: the JSON functions of both warehouses read text, and Parquet has no other way to carry it.
"""

from typing import cast

import pyarrow as pa

from adelt_sources.catalog import Column, ListOf, Record, Scalar, Type

DECIMAL_PRECISION, DECIMAL_SCALE = 18, 6

_DUCKDB = {
    "bigint": "BIGINT",
    "text": "VARCHAR",
    "bool": "BOOLEAN",
    "double": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
    "decimal": f"DECIMAL({DECIMAL_PRECISION},{DECIMAL_SCALE})",
    "json": "VARCHAR",
}
_ARROW = {
    "bigint": pa.int64(),
    "text": pa.string(),
    "bool": pa.bool_(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "decimal": pa.decimal128(DECIMAL_PRECISION, DECIMAL_SCALE),
    "json": pa.string(),
}


def duckdb_type(type_: Type) -> str:
    """The type in DuckDB's SQL, for example `STRUCT("id" BIGINT)[]`."""
    if isinstance(type_, ListOf):
        return f"{duckdb_type(type_.item)}[]"
    if isinstance(type_, Record):
        return "STRUCT(" + ", ".join(f'"{n}" {duckdb_type(t)}' for n, t in type_.fields.items()) + ")"
    return _DUCKDB[type_.name]


def arrow_type(type_: Type) -> pa.DataType:
    """The type in Arrow; JSON is text."""
    if isinstance(type_, ListOf):
        return pa.list_(arrow_type(type_.item))
    if isinstance(type_, Record):
        return pa.struct([pa.field(name, arrow_type(inner)) for name, inner in type_.fields.items()])
    return cast(pa.DataType, _ARROW[type_.name])


def arrow_schema(columns: tuple[Column, ...] | list[Column]) -> pa.Schema:
    """An Arrow schema of nullable columns, in the order given."""
    return pa.schema([pa.field(column.name, arrow_type(column.type)) for column in columns])


def is_nested(type_: Type) -> bool:
    """Whether the type is a list or a record."""
    return not isinstance(type_, Scalar)


def duckdb_type_of_arrow(type_: pa.DataType) -> str:
    """The DuckDB type of an Arrow type (nested types reach dlt as Arrow types only)."""
    if pa.types.is_struct(type_):
        return "STRUCT(" + ", ".join(f'"{f.name}" {duckdb_type_of_arrow(f.type)}' for f in type_) + ")"
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return f"{duckdb_type_of_arrow(type_.value_type)}[]"
    for name, arrow in _ARROW.items():
        if type_ == arrow and name != "json":
            return _DUCKDB[name]
    raise TypeError(f"no DuckDB type for the Arrow type {type_}")

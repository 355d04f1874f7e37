"""Files of an export: what they are called, which options they are written with, and what cannot be written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote

from adelt.steps.context import Context
from adelt_sources.scope import literal

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # what Hive, Spark and BigQuery call the folder of null


@dataclass(frozen=True)
class File:
    """One file of an export.

    Attributes:
        name: Its path below the folder.
        rows: Rows; None where one count is for several files.
        bytes: Its size.
        crc32c: Its checksum in base64.
        partition: Column and value that all its rows have, and that is not in it.
    """

    name: str
    rows: int | None
    bytes: int
    crc32c: str
    partition: Mapping[str, Any]


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        files: The files, by name.
        rows: Rows in all.
        columns: Names and types of the columns, those of the query.
        cost: Bytes billed, slot milliseconds and job ids, where the warehouse bills.
    """

    files: tuple[File, ...]
    rows: int
    columns: tuple[tuple[str, str], ...]
    cost: Mapping[str, Any]


def check_columns(context: Context, names: Sequence[str], nested: Sequence[str]) -> None:
    """Refuse columns that the format or the partitions cannot hold.

    Raises:
        InputError: One is; nothing has been written.
    """
    column = context.action["partition_by"]
    if column and column not in names:
        raise context.bad(f"there is no column `{column}` to partition by", f"columns: {', '.join(names)}")
    if column in nested:
        raise context.bad(
            f"`{column}` is nested and cannot be partitioned by", "take a date, a text or a whole number"
        )
    if nested and context.action["format"] == "csv":
        raise context.bad(f"a CSV file cannot hold the nested column `{nested[0]}`", "use parquet or ndjson")


def values(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The values of a column, in order, null last."""
    return sorted((row[0] for row in rows), key=lambda value: (value is None, str(value)))


def equals(context: Context, column: str, value: Any, mark: str) -> str:
    """The condition for one value of the partition column.

    Args:
        context: The task.
        column: The column.
        value: The value.
        mark: What the dialect puts around names.

    Raises:
        InputError: Such values cannot name a folder.
    """
    name = f"{mark}{column}{mark}"
    if value is None:
        return f"{name} IS NULL"
    if isinstance(value, bool) or type(value) not in (str, int, date):
        raise context.bad(
            f"`{column}` cannot be partitioned by: {value!r}", "take a date, a text or a whole number"
        )
    return f"{name} = {literal(value, mark)}"


def folder_of(column: str, value: Any) -> str:
    """The folder of one value of the partition column."""
    return f"{column}={_NO_VALUE if value is None else quote(str(value), safe='')}"


def compression(context: Context) -> str:
    """How the files are compressed."""
    default = "snappy" if context.action["format"] == "parquet" else "none"
    return str(context.action["compression"] or default)


def ending(context: Context) -> str:
    """What the names of the files end with."""
    form = str(context.action["format"])
    return f"{form}.gz" if form != "parquet" and compression(context) == "gzip" else form

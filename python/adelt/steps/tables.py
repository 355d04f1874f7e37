"""Which rows of the warehouse an action means."""

import re

from adelt import settings
from adelt.definition.check import TABLE_PATTERN
from adelt.steps.context import Context
from adelt_sources.warehouse import BigQuery, DuckDb


def query(context: Context) -> str:
    """The query of an action with `table` and `where`, or `sql`.

    Raises:
        InputError: The table's name is none.
    """
    action = context.action
    if action["sql"]:
        return str(action["sql"]).strip().rstrip(";")
    table = str(action["table"])
    if not re.fullmatch(TABLE_PATTERN, table):
        raise context.bad(f"`{table}` is no table", "write it as dataset.table")
    dataset, _, name = table.partition(".")
    dataset = f"{_prefix(context, dataset)}{dataset}"
    warehouse = context.settings.warehouse
    quoted = f'"{dataset}"."{name}"'
    if isinstance(warehouse, BigQuery):
        quoted = f"`{warehouse.project}.{dataset}.{name}`"
    return f"SELECT * FROM {quoted}" + (f" WHERE {action['where']}" if action["where"] else "")


def _prefix(context: Context, dataset: str) -> str:
    """What the target puts in front of a dataset; dbt's may have one of their own."""
    warehouse = context.settings.warehouse
    raw = "" if isinstance(warehouse, DuckDb) else warehouse.prefix
    return raw if dataset.startswith("raw_") else settings.schema_prefix() or raw

"""What a statement would scan: the bytes of the columns of the tables it names, in the partitions that its literals leave.

The emulator has no cost model. This one is BigQuery's for what adelt sends: a bound on a partition column prunes if it is a
literal, and not otherwise; columns that are not named are not read; data types have the sizes that Google's pricing
page gives (8 bytes for numbers, dates and times, 2 and its length for a text, 16 for NUMERIC). Rows that a MERGE or DELETE may
touch count whole.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError

from adelt_sandbox.bigquery.trees import tree

_FIXED = {"BIGINT": 8, "DOUBLE": 8, "DATE": 8, "BOOLEAN": 1, "TIMESTAMP WITH TIME ZONE": 8, "TIMESTAMP": 8}
_DECIMAL_BYTES = 16
_BOUNDS = (exp.Between, exp.GTE, exp.GT, exp.LTE, exp.LT, exp.EQ, exp.In)


def scanned(sql: str, context: Any) -> int:
    """Bytes that BigQuery would process for a statement.

    Args:
        sql: One statement in GoogleSQL.
        context: The emulator's, with its catalog and engine.
    """
    try:
        statement = tree(sql)
    except SqlglotError:
        return 0
    changes = isinstance(statement, exp.Merge | exp.Delete | exp.Update)
    return sum(_table(statement, meta, context, whole=changes) for meta in _tables(statement, context, set()))


def _tables(statement: exp.Expression, context: Any, seen: set[str]) -> Iterator[Any]:
    """Every stored table that a statement names, through views."""
    for table in statement.find_all(exp.Table):
        meta = table.db and context.catalog.get_table(table.catalog, table.db, table.name)
        if not meta or (name := f"{meta.dataset_id}.{meta.table_id}") in seen:
            continue
        seen.add(name)
        if meta.table_type == "VIEW":
            with contextlib.suppress(SqlglotError):
                yield from _tables(tree(meta.view_query), context, seen)
        else:
            yield meta


def _table(statement: exp.Expression, meta: Any, context: Any, *, whole: bool) -> int:
    from bqemulator.storage.sql_identifiers import quoted_table_ref

    name = quoted_table_ref(meta.project_id, meta.dataset_id, meta.table_id)
    columns = {row[0]: row[1] for row in context.engine.execute(f"DESCRIBE {name}").fetchall()}
    named = {column.name for column in statement.find_all(exp.Column)}
    if whole or statement.find(exp.Star):
        named = set(columns)
    sizes = [_size(column, type_) for column, type_ in columns.items() if column in named]
    partition = meta.time_partitioning.field if meta.time_partitioning else None
    where = _pruned(statement, partition) if partition else "TRUE"
    found = context.engine.execute(
        f"SELECT sum({' + '.join(sizes) or '0'}) FROM {name} WHERE {where}"
    ).fetchone()
    return int(found[0] or 0)


def _pruned(statement: exp.Expression, partition: str) -> str:
    """The bounds on a partition column that are literals, as DuckDB reads them."""
    bounds = {
        bound.transform(_bare).sql(dialect="duckdb")
        for bound in statement.find_all(*_BOUNDS)
        if isinstance(bound.this, exp.Column) and bound.this.name == partition and _is_literal(bound)
    }
    return " AND ".join(sorted(bounds)) or "TRUE"


def _is_literal(bound: exp.Expression) -> bool:
    others = [node for node in bound.find_all(exp.Column) if node is not bound.this]
    return not others and bound.find(exp.Select) is None


def _bare(node: exp.Expression) -> exp.Expression:
    return exp.column(node.name) if isinstance(node, exp.Column) else node


def _size(column: str, type_: str) -> str:
    if type_ in _FIXED:
        return f'CASE WHEN "{column}" IS NULL THEN 0 ELSE {_FIXED[type_]} END'
    if type_.startswith("DECIMAL"):
        return f'CASE WHEN "{column}" IS NULL THEN 0 ELSE {_DECIMAL_BYTES} END'
    return f'coalesce(2 + octet_length(encode("{column}"::VARCHAR)), 0)'

"""The action `sql`: statements on the warehouse, in one transaction."""

import time
from collections.abc import Mapping
from datetime import date
from typing import Any

from adelt.ledger.rows import Operation
from adelt.steps.context import Context, StepError, StepResult
from adelt_sources.warehouse import BigQuery, DuckDb


def step(context: Context) -> StepResult:
    """Run the statements; all of them count, or none.

    On DuckDB while holding the warehouse's lock; on BigQuery as one script, in a transaction if all of it changes rows:
    BigQuery cannot create or drop tables in one.

    Raises:
        StepError: A statement failed; the warehouse is as it was.
        InputError: There is no such file, or the SQL cannot be read.
    """
    text = _text(context)
    begun = time.monotonic()
    warehouse = context.settings.warehouse
    if isinstance(warehouse, DuckDb):
        count, rows = _on_duckdb(context, warehouse, text)
        details: Mapping[str, Any] = {}
    else:
        count, rows, details = _on_bigquery(context, warehouse, text)
    for row in rows[:20]:
        print(*row, sep="\t")
    name = context.action.get("file") or context.task.id
    operation = Operation(
        "QUERY",
        str(name),
        rows=len(rows),
        bytes=details.get("bytes_billed"),
        seconds=time.monotonic() - begun,
        details=details,
    )
    return StepResult(f"{count} statement{'s' * (count != 1)}", operations=(operation,))


def _on_duckdb(context: Context, warehouse: DuckDb, text: str) -> tuple[int, list[Any]]:
    import duckdb

    from adelt_sources.lock import opened, warehouse_lock

    params = context.action["params"]
    with (
        warehouse_lock(
            warehouse.file,
            holder=context.where,
            on_wait=lambda who: context.tell("wait", f"the warehouse is used by {who}"),
        ),
        opened(warehouse.file) as con,
    ):
        context.tell("sql", "running")
        try:
            statements = con.extract_statements(text)
            con.begin()
            for statement in statements:
                con.execute(statement, _used(statement, params))
            rows = _fetch_all(con)
            con.commit()
        except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
            raise context.bad(f"the SQL does not work: {error}", "nothing was changed") from error
        except duckdb.Error as error:
            raise StepError(
                f"the SQL failed: {error}", where=context.where, fix="nothing was changed"
            ) from error
    return len(statements), rows


def _on_bigquery(
    context: Context, warehouse: BigQuery, text: str
) -> tuple[int, list[Any], Mapping[str, Any]]:
    import sqlglot
    from google.cloud.bigquery import ScalarQueryParameter

    from adelt_sources import bigquery

    try:
        statements = [one for one in sqlglot.parse(text, read="bigquery") if one is not None]
    except sqlglot.errors.ParseError as error:
        raise context.bad(f"the SQL does not work: {error}", "nothing was changed") from error
    many = len(statements) > 1
    changes_rows = (sqlglot.exp.Insert, sqlglot.exp.Update, sqlglot.exp.Delete, sqlglot.exp.Merge)
    in_transaction = many and all(isinstance(one, changes_rows) for one in statements)
    script = (
        f"BEGIN TRANSACTION;\n{text.rstrip().rstrip(';')};\nCOMMIT TRANSACTION;" if in_transaction else text
    )
    named = {node.name for one in statements for node in one.find_all(sqlglot.exp.Parameter)}
    parameters = [
        ScalarQueryParameter(name, _bigquery_type(value), value)
        for name, value in context.action["params"].items()
        if name in named
    ]
    labels = {"pipeline": context.plan.pipeline, "task": context.task.task, "run": context.run_id}
    with bigquery.connected(warehouse, labels) as connection:
        context.tell("sql", "running")
        job_id = bigquery.new_job_id(context.run_id, context.task.id)
        job = connection.run(script, job_id, where=context.where, parameters=parameters)
        rows = [] if many else [tuple(row.values()) for row in job.result()]
        return len(statements), rows, connection.cost.as_dict()


def _bigquery_type(value: Any) -> str:
    if isinstance(value, bool):
        return "BOOL"
    if isinstance(value, int):
        return "INT64"
    if isinstance(value, float):
        return "FLOAT64"
    return "DATE" if isinstance(value, date) else "STRING"


def _text(context: Context) -> str:
    file = context.action.get("file")
    if not file:
        return str(context.action["statement"])
    path = context.settings.project / str(file)
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise context.bad(f"the SQL file cannot be read: {error.strerror}", f"is {path} right?") from error


def _used(statement: Any, params: dict[str, Any]) -> dict[str, Any] | None:
    return {name: params[name] for name in statement.named_parameters if name in params} or None


def _fetch_all(con: Any) -> list[Any]:
    return con.fetchall() if con.description else []

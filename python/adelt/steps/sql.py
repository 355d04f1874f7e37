"""The action `sql`: statements on the warehouse, in one transaction."""

import time
from typing import Any

from adelt.ledger.rows import Operation
from adelt.steps.context import Context, StepError, StepResult
from adelt_sources.warehouse import DuckDb


def step(context: Context) -> StepResult:
    """Run the statements while holding the warehouse's lock; all of them count, or none.

    Raises:
        StepError: A statement failed; the warehouse is as it was.
        InputError: There is no such file, or the SQL cannot be read.
    """
    import duckdb

    from adelt_sources.lock import warehouse_lock

    text = _text(context)
    params = context.action["params"]
    begun = time.monotonic()
    warehouse = context.settings.warehouse
    assert isinstance(warehouse, DuckDb)
    with (
        warehouse_lock(
            warehouse.file,
            holder=context.where,
            on_wait=lambda who: context.tell("wait", f"the warehouse is used by {who}"),
        ),
        duckdb.connect(str(warehouse)) as con,
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
    for row in rows[:20]:
        print(*row, sep="\t")
    name = context.action.get("file") or context.task.id
    operation = Operation("QUERY", str(name), rows=len(rows), seconds=time.monotonic() - begun)
    return StepResult(f"{len(statements)} statement{'s' * (len(statements) != 1)}", operations=(operation,))


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

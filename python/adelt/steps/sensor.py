"""The action `sensor`: wait for a file, a query or another pipeline."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from adelt.steps.context import Context, StepError, StepResult
from adelt.window import parse_day, parse_duration
from adelt_sources.warehouse import DuckDb


def step(context: Context) -> StepResult:
    """Look again and again until it is there.

    Raises:
        StepError: It was not there in time.
    """
    action = context.action
    what, look = _look(context)
    poll = parse_duration(action["poll"]).total_seconds()
    patience = parse_duration(action["timeout"]).total_seconds()
    begun = time.monotonic()
    while not (found := look()):
        left = patience - (time.monotonic() - begun)
        if left <= 0:
            raise StepError(
                f"{what} did not come within {action['timeout']}",
                where=context.where,
                fix="look why it is late, or raise the sensor's timeout",
            )
        context.tell("wait", f"waiting for {what}")
        time.sleep(min(poll, left))
    return StepResult(f"{what} is there", outputs={"found": found})


def _look(context: Context) -> tuple[str, Callable[[], Any]]:
    action = context.action
    if action["file"]:
        return str(action["file"]), lambda: _files(context, str(action["file"]))
    if action["sql"]:
        return "the query to be true", lambda: _query(context, str(action["sql"]))
    name = str(action["pipeline"]["name"])
    return f"a success of pipeline `{name}`", lambda: _succeeded(context, name)


def _files(context: Context, pattern: str) -> list[str]:
    """Files that match; none unless there are as many as are waited for."""
    import fsspec

    action = context.action
    try:
        if "://" in pattern:
            fs, path = fsspec.core.url_to_fs(
                pattern, skip_instance_cache=True
            )  # nor a listing of the last look
        else:
            fs, path = fsspec.filesystem("file"), str(context.settings.project / pattern)
    except (ImportError, ValueError) as error:
        raise context.bad(f"`{pattern}` cannot be opened: {error}") from error
    try:
        found = fs.find(path, detail=True) if pattern.endswith("/") else fs.glob(path, detail=True)
    except OSError as error:
        print(f"looking failed, looking again: {error}")
        return []
    if action["updated_after"]:
        day = parse_day(str(action["updated_after"]), f"{context.where}: updated_after")
        found = {name: facts for name, facts in found.items() if _written(facts) >= day}
    return sorted(found) if len(found) >= action["min_files"] else []


def _written(facts: Mapping[str, Any]) -> date:
    """The day a file was written, in UTC: what file systems tell differs."""
    for key in ("updated", "mtime", "LastModified", "last_modified", "created"):
        match facts.get(key):
            case str() as text:
                return datetime.fromisoformat(text).astimezone(UTC).date()
            case datetime() as instant:
                return instant.astimezone(UTC).date()
            case int() | float() as seconds:
                return datetime.fromtimestamp(seconds, UTC).date()
    return date.min


def _query(context: Context, sql: str) -> bool:
    """The query's first value."""
    warehouse = context.settings.warehouse
    if isinstance(warehouse, DuckDb):
        return _query_duckdb(context, warehouse, sql)
    from google.api_core.exceptions import NotFound

    from adelt_sources import bigquery, errors

    with bigquery.connected(warehouse, {"pipeline": context.plan.pipeline}) as connection:
        try:
            _, rows = connection.ask(sql)
        except errors.InputError as error:
            if isinstance(error.__cause__, NotFound):
                return False  # a table that is not there yet is what one waits for
            raise
    return bool(rows and rows[0][0])


def _query_duckdb(context: Context, warehouse: DuckDb, sql: str) -> bool:
    """The lock is held for a moment, because a writer excludes readers."""
    import duckdb

    from adelt_sources.lock import warehouse_lock

    if warehouse.is_gone:
        return False
    with (
        warehouse_lock(warehouse.file, holder=context.where),
        duckdb.connect(str(warehouse.file), read_only=True) as con,
    ):
        try:
            row = con.execute(sql).fetchone()
        except duckdb.CatalogException:
            return False  # a table that is not there yet is what one waits for
        except duckdb.Error as error:
            raise context.bad(f"the query does not work: {error}") from error
    return bool(row and row[0])


def _succeeded(context: Context, name: str) -> bool:
    from adelt.engine import open_ledger

    interval = context.plan.interval
    return open_ledger(context.settings).succeeded(
        name, str(interval.start), str(interval.end), context.settings.environment
    )

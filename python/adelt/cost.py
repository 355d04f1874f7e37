"""What a run would cost on BigQuery, before it is run; asking is free."""

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Any

from adelt.errors import InputError
from adelt.preview import Preview, TaskPreview
from adelt.settings import Settings
from adelt.window import Interval, parse_interval
from adelt_sources.warehouse import BigQuery

if TYPE_CHECKING:
    from adelt_sources.bigquery import Connection


def estimate(here: Settings, previews: Iterable[Preview]) -> dict[str, int | None]:
    """Bytes that each task would be billed for.

    An `ingest` rewrites the partitions of its window: a dry run of reading them says how large they are now. A `sql` task is
    asked for by a dry run of its statement. A `dbt` task is taken from its last run, which is what BigQuery billed then.

    Args:
        here: Settings; the target is on BigQuery.
        previews: What would be run.

    Returns:
        `pipeline interval task` to bytes; None where nothing is known yet.
    """
    from adelt_sources import bigquery

    assert isinstance(here.warehouse, BigQuery)
    result: dict[str, int | None] = {}
    with bigquery.connected(here.warehouse) as connection:
        for preview in previews:
            for task in preview.tasks:
                if task.state == "run" and task.kind in ("ingest", "sql", "dbt"):
                    result[name_of(preview, task)] = _task(here, connection, task)
    return result


def name_of(preview: Preview, task: TaskPreview) -> str:
    """How a task is called in an estimate."""
    return f"{preview.pipeline} {preview.interval} {task.id}"


def check(here: Settings, bytes_: Iterable[int | None]) -> None:
    """Refuse a run that would cost more than its target allows.

    Raises:
        InputError: The tasks together exceed `max_run_bytes`; nothing has been run.
    """
    assert isinstance(here.warehouse, BigQuery)
    total, limit = sum(one or 0 for one in bytes_), here.warehouse.max_run_bytes
    if limit is not None and total > limit:
        raise InputError(
            f"the run would be billed for {total:,} bytes, {limit:,} are allowed",
            where=f"target {here.target}",
            fix="take fewer days or tasks (--select), or raise max_run_bytes in deploy/targets.yml; adelt plan shows each task",
        )


def _task(here: Settings, connection: "Connection", task: TaskPreview) -> int | None:
    if task.kind == "ingest":
        return _ingest(connection, task.action, parse_interval(task.window))
    if task.kind == "sql":
        return _sql(here, connection, task)
    from adelt.engine import open_ledger

    if not here.ledger.exists():
        return None
    return open_ledger(here).last_cost(task.pipeline, task.instance, here.environment)


def _ingest(connection: "Connection", action: Any, window: Interval) -> int | None:
    from google.api_core.exceptions import NotFound

    from adelt_sources.bigquery_tables import qualified
    from adelt_sources.catalog import table_spec
    from adelt_sources.errors import SourceError
    from adelt_sources.scope import Scope

    spec = table_spec(str(action["source"]), str(action["table"]))
    first: date = window.last_day if spec.write == "snapshot" else window.start
    scope = Scope({}, (spec.date, first, window.last_day))
    table = f"`{connection.warehouse.project}.{qualified(connection, spec)}`"
    try:
        return connection.estimate(
            f"SELECT * FROM {table} WHERE {scope.bounds('', '`')}", where=spec.qualified
        )
    except SourceError as error:
        if isinstance(error.__cause__, NotFound) or "was not found" in str(error):
            return 0  # the first load of a table rewrites nothing
        raise


def _sql(here: Settings, connection: "Connection", task: TaskPreview) -> int | None:
    if task.action.get("params"):
        return None  # its text is known only with the values of the run
    file = task.action.get("file")
    text = (here.project / str(file)).read_text("utf-8") if file else str(task.action["statement"])
    return connection.estimate(text, where=task.id)

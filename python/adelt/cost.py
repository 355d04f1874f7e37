"""What a run would cost on BigQuery, before it is run; asking is free."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adelt.errors import InputError
from adelt.plan import Plan, PlannedTask
from adelt.preview import Preview, TaskPreview
from adelt.settings import Settings
from adelt.window import Interval, parse_interval
from adelt_sources.warehouse import BigQuery

if TYPE_CHECKING:
    from adelt_sources.bigquery import Connection

KINDS = ("ingest", "sql", "dbt")  # tasks that BigQuery bills


@dataclass(frozen=True)
class _Asked:
    """A task that is asked for."""

    pipeline: str
    task: str
    kind: str
    action: Mapping[str, Any]
    interval: Interval
    window: Interval


def estimate(here: Settings, preview: Preview) -> dict[str, int | None]:
    """Bytes that each task of a run would be billed for.

    An `ingest` rewrites the partitions of its window: a dry run of reading them says how large they are now. A `sql` task is
    asked for by a dry run of its statement. A `dbt` task is taken from its last run, which is what BigQuery billed then
    for its window, for as many days as this one's window has.

    Args:
        here: Settings; the target is on BigQuery.
        preview: What would be run.

    Returns:
        Task to bytes; None where nothing is known yet.
    """
    from adelt_sources import bigquery

    assert isinstance(here.warehouse, BigQuery)
    result: dict[str, int | None] = {}
    with bigquery.connected(here.warehouse) as connection:
        for task in preview.tasks:
            if task.kind in KINDS and task.state in ("run", "later"):
                is_known = task.state == "run"
                result[task.id] = _bytes(here, connection, _asked(preview, task)) if is_known else None
    return result


def check(here: Settings, preview: Preview) -> list[str]:
    """Refuse a run that would cost more than its target allows.

    Args:
        here: Settings; the target is on BigQuery.
        preview: What would be run.

    Returns:
        The tasks of which nothing is known yet; the estimate goes without them.

    Raises:
        InputError: The tasks together exceed `max_run_bytes`; nothing has been run.
    """
    found = estimate(here, preview)
    _refuse(
        here, sum(one or 0 for one in found.values()), f"the run of {preview.pipeline} for {preview.interval}",
        "take fewer days or tasks (--select), or raise max_run_bytes in deploy/targets.yml; adelt plan shows each task",
    )  # fmt: skip
    return [task for task, one in found.items() if one is None]


def check_task(here: Settings, plan: Plan, task: PlannedTask, action: Mapping[str, Any]) -> None:
    """Refuse a task that alone would cost more than its target allows a run, whoever starts it.

    Args:
        here: Settings; the target is on BigQuery.
        plan: The plan of its run.
        task: The task.
        action: Its action, filled in.

    Raises:
        InputError: It exceeds `max_run_bytes`; nothing has been done.
    """
    if task.kind in KINDS:
        asked = _Asked(plan.pipeline, task.id, task.kind, action, plan.interval, plan.window)
        _check_one(here, asked, f"{plan.pipeline}.{task.id} for {plan.interval}")


def check_ingest(here: Settings, source: str, table: str, window: Interval) -> None:
    """Refuse a table that somebody brings by hand, if that would cost more than its target allows a run.

    Raises:
        InputError: It exceeds `max_run_bytes`; nothing has been done.
    """
    asked = _Asked("", "", "ingest", {"source": source, "table": table}, window, window)
    _check_one(here, asked, f"{source}.{table} for {window}")


def _check_one(here: Settings, asked: _Asked, what: str) -> None:
    from adelt_sources import bigquery

    assert isinstance(here.warehouse, BigQuery)
    with bigquery.connected(here.warehouse) as connection:
        found = _bytes(here, connection, asked)
    if found is None:
        print("what it will cost is not known")
    _refuse(here, found or 0, what, "take fewer days, or raise max_run_bytes in deploy/targets.yml")


def _refuse(here: Settings, total: int, what: str, fix: str) -> None:
    assert isinstance(here.warehouse, BigQuery)
    limit = here.warehouse.max_run_bytes
    if limit is not None and total > limit:
        raise InputError(
            f"{what} would be billed for {total:,} bytes, {limit:,} are allowed",
            where=f"target {here.target}",
            fix=fix,
        )


def _asked(preview: Preview, task: TaskPreview) -> _Asked:
    window = parse_interval(task.window)
    return _Asked(
        task.pipeline, task.instance, task.kind, task.action, parse_interval(preview.interval), window
    )


def _bytes(here: Settings, connection: "Connection", asked: _Asked) -> int | None:
    if asked.kind == "ingest":
        return _ingest(connection, asked.action, asked.window)
    if asked.kind == "sql":
        return _sql(here, connection, asked)
    return _dbt(here, asked)


def _ingest(connection: "Connection", action: Mapping[str, Any], window: Interval) -> int | None:
    from adelt_sources.bigquery_tables import qualified
    from adelt_sources.catalog import table_spec
    from adelt_sources.scope import Scope

    spec = table_spec(str(action["source"]), str(action["table"]))
    first = window.last_day if spec.write == "snapshot" else window.start
    scope = Scope({}, (spec.date, first, window.last_day))
    table = f"`{connection.warehouse.project}.{qualified(connection, spec)}`"
    text = f"SELECT * FROM {table} WHERE {scope.bounds('', '`')}"
    # The first load of a table rewrites nothing.
    return _dry_run(connection, text, spec.qualified, otherwise=0)


def _sql(here: Settings, connection: "Connection", asked: _Asked) -> int | None:
    if asked.action.get("params"):
        return None  # its text is known only with the values of the run
    file = asked.action.get("file")
    text = (here.project / str(file)).read_text("utf-8") if file else str(asked.action["statement"])
    # What it reads is perhaps made by a task before it.
    return _dry_run(connection, text, asked.task, otherwise=None)


def _dry_run(connection: "Connection", sql: str, where: str, *, otherwise: int | None) -> int | None:
    """Bytes of a statement; something else if it names a table that is not there."""
    from google.api_core.exceptions import NotFound

    from adelt_sources.errors import SourceError

    try:
        return connection.estimate(sql, where=where)
    except SourceError as error:
        if isinstance(error.__cause__, NotFound) or "was not found" in str(error):
            return otherwise
        raise


def _dbt(here: Settings, asked: _Asked) -> int | None:
    from adelt.engine import open_ledger

    if not here.ledger.exists():
        return None
    last = open_ledger(here).last_cost(asked.pipeline, asked.task, here.environment)
    if last is None:
        return None
    billed, interval = last
    # Its look-back is not written down: the one of now.
    before = parse_interval(interval).extended(asked.interval.start - asked.window.start)
    return -(-billed * asked.window.days // before.days)

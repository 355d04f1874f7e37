"""The four resources as rows of the ledger, with the names that Orchestra gives their fields."""

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adelt.ledger.owner import Owner, is_alive
from adelt.serve.filters import AssetFilters, OperationFilters, Paging, RunFilters, TaskFilters

Row = dict[str, Any]

# Nobody but a writer can close what a dead process holds, so that is shown as closed.
_STATUS = (
    "CASE WHEN {0}.status = 'RUNNING' AND NOT alive({0}.lease_owner, {0}.heartbeat_at)"
    " THEN 'FAILED' ELSE {0}.status END"
)
_INTEGRATION = "CASE t.kind WHEN 'dbt' THEN 'DBT_CORE' ELSE 'PYTHON' END"

_RUNS = f"""
SELECT p.id, p.pipeline AS pipelineId, p.pipeline AS pipelineName, NULL AS accountId, p.env AS envId,
  p.env AS envName, {_STATUS.format("p")} AS runStatus, p.trigger, p.parent_run_id, p.backfill_id AS backfillId,
  (SELECT json_group_array(c.id) FROM pipeline_run c WHERE c.parent_run_id = p.id) AS children,
  p.message, p.created_at AS createdAt, coalesce(p.completed_at, p.started_at, p.created_at) AS updatedAt,
  p.completed_at AS completedAt, p.started_at AS startedAt, NULL AS branch, NULL AS 'commit',
  p.spec_digest AS pipelineVersion, p.interval_start AS intervalStart, p.interval_end AS intervalEnd,
  p.inputs AS runInputs, p.code_version AS engineVersion, p.created_at AS at, p.id AS sort
FROM pipeline_run p"""

_TASKS = f"""
SELECT t.id, t.run_id AS pipelineRunId, t.pipeline AS pipelineId, t.pipeline AS pipelineName,
  t.task AS taskId, t.instance AS taskName, {_STATUS.format("t")} AS status, t.message, NULL AS externalMessage,
  NULL AS platformLink, NULL AS connectionId, t.matrix AS taskParameters, {_INTEGRATION} AS integration,
  t.kind, t.env AS envId, t.env AS envName, t.attempt, t.exit_code AS exitCode, t.started_at AS createdAt,
  t.started_at AS startedAt, coalesce(t.completed_at, t.started_at) AS updatedAt, t.completed_at AS completedAt,
  t.outputs, t.metrics, (SELECT sum(r.value) FROM json_each(t.metrics, '$.requests') r) AS apiRequests,
  t.started_at AS at, t.id AS sort
FROM task_run t"""

_OPERATIONS = f"""
SELECT o.task_run_id || ':' || o.id AS id, o.task_run_id AS taskRunId, t.run_id AS pipelineRunId,
  t.pipeline AS pipelineId, t.pipeline AS pipelineName, t.task AS taskId, t.instance AS taskName,
  o.kind AS operationType, o.asset AS operationName, o.asset AS assetName, t.env AS envId, t.env AS envName,
  o.status, o.message, {_INTEGRATION} AS integration, o.rows AS rowsAffected, o.bytes,
  o.seconds AS operationDuration, o.external_id AS externalId,
  json_extract(o.details, '$.bytes_billed') AS bytesBilled, json_extract(o.details, '$.slot_ms') AS slotMs,
  t.started_at AS startedAt,
  t.completed_at AS completedAt, coalesce(t.completed_at, t.started_at) AS createdAt,
  coalesce(t.completed_at, t.started_at) AS at, o.id AS sort
FROM operation o JOIN task_run t ON t.id = o.task_run_id"""

_ASSETS = f"""
SELECT a.id AS assetName, a.type AS assetType, a.env AS envId, a.env AS envName, p.pipeline AS pipelineId,
  a.run_id AS pipelineRunId, {_INTEGRATION} AS integration, a.last_success AS lastSuccess,
  substr(a.last_interval, 1, instr(a.last_interval, '/') - 1) AS intervalStart,
  substr(a.last_interval, instr(a.last_interval, '/') + 1) AS intervalEnd,
  a.last_success AS updatedAt, a.last_success AS at, a.env || '/' || a.id AS sort
FROM asset a LEFT JOIN pipeline_run p ON p.id = a.run_id
LEFT JOIN task_run t ON t.id = (
  SELECT o.task_run_id FROM task_run s JOIN operation o ON o.task_run_id = s.id
  WHERE s.run_id = a.run_id AND o.asset = a.id ORDER BY o.id DESC LIMIT 1)"""


class History:
    """A ledger to look at."""

    def __init__(self, path: Path) -> None:
        """Read the ledger at a path; it must be there."""
        self._path = path

    def runs(self, asked: RunFilters) -> Row:
        """A page of pipeline runs, newest first."""
        filters = {"runStatus": asked.status, "pipelineId": asked.pipeline_ids, "id": asked.pipeline_run_ids}
        return self._page(_RUNS, asked, filters)

    def tasks(self, asked: TaskFilters) -> Row:
        """A page of task runs, every attempt, newest first."""
        return self._page(_TASKS, asked, {**_of_tasks(asked), "id": asked.task_run_ids})

    def operations(self, asked: OperationFilters) -> Row:
        """A page of operations, newest first."""
        filters = {
            "taskRunId": asked.task_run_ids,
            "operationType": asked.operation_type,
            "externalId": asked.external_id,
        }
        return self._page(_OPERATIONS, asked, {**_of_tasks(asked), **filters})

    def assets(self, asked: AssetFilters) -> Row:
        """A page of assets, the latest success first."""
        filters = {
            "assetType": asked.type,
            "integration": asked.integration,
            "pipelineId": asked.pipeline_ids,
            "pipelineRunId": asked.pipeline_run_ids,
        }
        return self._page(_ASSETS, asked, filters)

    def run(self, run_id: str) -> Row | None:
        """One run; None if there is none of that id."""
        found: list[Row] = self.runs(RunFilters(pipeline_run_ids=(run_id,)))["results"]
        return found[0] if found else None

    def log(self, run_id: str, task_run_id: str) -> Path | None:
        """Where the log of a task run is; None if it has none."""
        with self._connection() as con:
            row = con.execute(
                "SELECT log_path FROM task_run WHERE id = ? AND run_id = ?", (task_run_id, run_id)
            ).fetchone()
        return Path(row["log_path"]) if row and row["log_path"] else None

    def _page(self, select: str, asked: Paging, filters: Mapping[str, tuple[str, ...]]) -> Row:
        tests: list[str] = []
        values: list[Any] = []
        for name, allowed in filters.items():
            if allowed:
                tests.append(f"{name} IN (SELECT value FROM json_each(?))")
                values.append(json.dumps(allowed))
        start, end = getattr(asked, "time_from", None), getattr(asked, "time_to", None)
        if start is not None and end is not None:
            tests.append("at >= ? AND at < ?")
            values += [_text(start), _text(end)]
        where = f"WHERE {' AND '.join(tests)}" if tests else ""
        offset = (asked.page - 1) * asked.page_size
        with self._connection() as con:
            con.execute("BEGIN")  # the total and the rows are of one moment
            total = con.execute(f"SELECT count(*) FROM ({select}) {where}", values).fetchone()[0]
            rows = con.execute(
                f"SELECT * FROM ({select}) {where} ORDER BY at DESC, sort DESC LIMIT ? OFFSET ?",
                (*values, asked.page_size, offset),
            ).fetchall()
        results = [_shape(dict(row)) for row in rows]
        return {"page": asked.page, "pageSize": asked.page_size, "total": total, "results": results}

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        con = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=10, isolation_level=None
        )
        con.row_factory = sqlite3.Row
        con.create_function("alive", 2, _alive)
        try:
            yield con
        finally:
            con.close()


def _of_tasks(asked: TaskFilters) -> dict[str, tuple[str, ...]]:
    return {
        "status": asked.status,
        "pipelineId": asked.pipeline_ids,
        "pipelineRunId": asked.pipeline_run_ids,
        "integration": asked.integration,
    }


def _shape(row: Row) -> Row:
    """A row of the ledger as it is sent."""
    del row["at"], row["sort"]
    environment = row["envId"]
    # The name of an environment holds a path or a project; its id says no more than that it is the same one.
    row["envId"] = _identity(environment)
    row["envName"] = environment.partition(":")[0]
    if "assetName" in row:
        row = {"assetId": _identity(f"{environment}/{row['assetName']}"), **row}
    for name in ("runInputs", "taskParameters", "outputs", "metrics"):
        if name in row:
            row[name] = json.loads(row[name])
    if "trigger" in row:
        cause = {"triggerType": row.pop("trigger"), "pipelineRunId": row.pop("parent_run_id")}
        row["triggeredBy"] = [cause]
        row["childPipelineRuns"] = [{"pipelineRunId": child} for child in json.loads(row.pop("children"))]
    return row


def _identity(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"adelt:{text}"))


def _text(moment: datetime) -> str:
    """A time as the ledger writes it, so that the order of the texts is that of the times."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _alive(owner: str | None, heartbeat: float | None) -> bool:
    return owner is not None and is_alive(Owner.from_text(owner), time.time() - (heartbeat or 0.0))

"""What the ledger can be asked; nothing is written here."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from adelt.ledger.rows import Done, Experience
from adelt.ledger.store import Store


class Queries(Store):
    """Questions about runs, tasks and assets."""

    # what has been done

    def done(self, key: str) -> Done | None:
        """How a piece of work was done; None if it was not, or not successfully the last time."""
        return self.all_done([key]).get(key)

    def all_done(self, keys: Iterable[str]) -> dict[str, Done]:
        """How pieces of work were done, by key; without those that were not, or not successfully the last time."""
        with self.connection() as con:
            found = {key: last_success(con, key) for key in keys}
        return {key: done for key, done in found.items() if done}

    def last_done(
        self,
        environment: str,
        start: str,
        end: str,
        pipeline: str,
        tasks: Iterable[str],
        pipelines: Iterable[str],
    ) -> str:
        """When work for an interval was last done; empty if it never was.

        Args:
            environment: Target and warehouse.
            start: First day of the interval.
            end: Day after its last.
            pipeline: The pipeline that the tasks are of.
            tasks: Tasks that count, in whatever run.
            pipelines: Other pipelines whose tasks count, all of them.
        """
        with self.connection() as con:
            found = con.execute(
                "SELECT max(t.completed_at) FROM pipeline_run p JOIN task_run t ON t.run_id = p.id"
                " WHERE p.env = ? AND p.interval_start = ? AND p.interval_end = ?"
                " AND t.attempt > 0 AND t.status IN ('SUCCEEDED', 'WARNING')"
                " AND (p.pipeline = ? AND t.task IN (SELECT value FROM json_each(?))"
                " OR p.pipeline IN (SELECT value FROM json_each(?)))",
                (environment, start, end, pipeline, json.dumps(list(tasks)), json.dumps(list(pipelines))),
            ).fetchone()[0]
        return found or ""

    def succeeded(self, pipeline: str, start: str, end: str, environment: str) -> bool:
        """Whether a pipeline's last run for an interval was a success."""
        with self.connection() as con:
            row = con.execute(
                "SELECT status FROM pipeline_run WHERE pipeline = ? AND interval_start = ? AND interval_end = ? AND env = ?"
                " AND status <> 'SKIPPED' ORDER BY created_at DESC LIMIT 1",
                (pipeline, start, end, environment),
            ).fetchone()
        return row is not None and row["status"] in ("SUCCEEDED", "WARNING")

    def undone(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys that nothing has done yet, or that are to be done again."""
        with self.connection() as con:
            rows = con.execute(
                "SELECT w.value FROM json_each(?) w WHERE coalesce((SELECT t.status = 'SUCCEEDED' AND NOT t.forgotten"
                " FROM task_run t WHERE t.key = w.value AND t.attempt > 0"
                " ORDER BY t.started_at DESC, t.id DESC LIMIT 1), 0) = 0",
                (json.dumps(list(keys)),),
            ).fetchall()
        return {row[0] for row in rows}

    def experience(self, pipeline: str, environment: str) -> dict[str, Experience]:
        """What tasks of a pipeline have taken so far, by task: the mean of their successes."""
        with self.connection() as con:
            rows = con.execute(
                "SELECT task, count(*) AS n, avg((julianday(completed_at) - julianday(started_at)) * 86400) AS seconds,"
                " json_group_array(json(coalesce(json_extract(metrics, '$.requests'), '{}'))) AS requests FROM task_run"
                " WHERE pipeline = ? AND env = ? AND status = 'SUCCEEDED' AND attempt > 0 GROUP BY task",
                (pipeline, environment),
            ).fetchall()
        found = {}
        for row in rows:
            total: Counter[str] = Counter()
            for one in json.loads(row["requests"]):
                total.update(one)
            found[row["task"]] = Experience(
                row["n"], row["seconds"], {api: count / row["n"] for api, count in total.items()}
            )
        return found

    def told(self, pipeline: str, instance: str, environment: str) -> set[tuple[str, str]]:
        """What a task, with its item, has told whom so far: keys and receivers."""
        with self.connection() as con:
            rows = con.execute(
                "SELECT o.external_id, o.asset FROM task_run t JOIN operation o ON o.task_run_id = t.id"
                " WHERE t.pipeline = ? AND t.instance = ? AND t.env = ? AND o.kind = 'ALERT' AND o.status = 'SUCCEEDED'",
                (pipeline, instance, environment),
            ).fetchall()
        return {(row["external_id"], row["asset"]) for row in rows}

    # runs and what they did

    def runs(self, limit: int = 20, pipeline: str = "") -> list[dict[str, Any]]:
        """Runs, newest first."""
        with self.connection() as con:
            rows = con.execute(
                "SELECT p.*, (SELECT count(*) FROM task_run t WHERE t.run_id = p.id AND t.status = 'FAILED') AS failed_tasks,"
                " (SELECT count(DISTINCT instance) FROM task_run t WHERE t.run_id = p.id) AS tasks"
                " FROM pipeline_run p WHERE ? IN ('', pipeline) ORDER BY created_at DESC, id DESC LIMIT ?",
                (pipeline, limit),
            ).fetchall()
        return [_plain(row) for row in rows]

    def find_runs(self, prefix: str) -> list[dict[str, Any]]:
        """Runs whose id begins or ends with a text."""
        with self.connection() as con:
            rows = con.execute(
                "SELECT * FROM pipeline_run WHERE substr(id, 1, ?) = ? OR substr(id, -?) = ? ORDER BY created_at",
                (len(prefix), prefix, len(prefix), prefix),
            ).fetchall()
        return [_plain(row) for row in rows]

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        """Tasks of a run, every attempt, in the order they began."""
        with self.connection() as con:
            rows = con.execute(
                "SELECT * FROM task_run WHERE run_id = ? ORDER BY started_at, id", (run_id,)
            ).fetchall()
        return [_plain(row) for row in rows]

    def operations(self, run_id: str) -> list[dict[str, Any]]:
        """Operations of a run's tasks."""
        with self.connection() as con:
            rows = con.execute(
                "SELECT o.*, t.instance FROM operation o JOIN task_run t ON t.id = o.task_run_id WHERE t.run_id = ?"
                " ORDER BY o.id",
                (run_id,),
            ).fetchall()
        return [_plain(row) for row in rows]

    def last_cost(self, pipeline: str, task: str, environment: str) -> tuple[int, str] | None:
        """Bytes billed by the last success of a task, and the interval of its run; None if nothing says so."""
        with self.connection() as con:
            row = con.execute(
                "SELECT sum(json_extract(o.details, '$.bytes_billed')), p.interval_start || '/' || p.interval_end"
                " FROM (SELECT id, run_id FROM task_run WHERE pipeline = ? AND instance = ? AND env = ?"
                " AND status = 'SUCCEEDED' AND attempt > 0 ORDER BY id DESC LIMIT 1) t"
                " JOIN pipeline_run p ON p.id = t.run_id JOIN operation o ON o.task_run_id = t.id",
                (pipeline, task, environment),
            ).fetchone()
        return None if row[0] is None else (int(row[0]), str(row[1]))

    def assets(self) -> list[dict[str, Any]]:
        """Every asset with its last success."""
        with self.connection() as con:
            return [_plain(row) for row in con.execute("SELECT * FROM asset ORDER BY env, id").fetchall()]


def last_success(con: sqlite3.Connection, key: str) -> Done | None:
    """How a piece of work was done, in a transaction; None if it was not, or not successfully the last time."""
    row = con.execute(
        "SELECT run_id, completed_at, outputs, digest, status, forgotten FROM task_run"
        " WHERE key = ? AND attempt > 0 ORDER BY started_at DESC, id DESC LIMIT 1",
        (key,),
    ).fetchone()
    if row is None or row["status"] != "SUCCEEDED" or row["forgotten"]:
        return None
    return Done(row["run_id"], row["completed_at"], json.loads(row["outputs"]), row["digest"])


def _plain(row: sqlite3.Row) -> dict[str, Any]:
    result = dict(row)
    for name in ("inputs", "matrix", "metrics", "outputs", "details"):
        if name in result:
            result[name] = json.loads(result[name])
    return result

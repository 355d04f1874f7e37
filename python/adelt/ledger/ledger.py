"""Writing the ledger. Each public method is one transaction."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from adelt.ledger.owner import Owner, is_alive, this_process
from adelt.ledger.queries import Queries, last_success
from adelt.ledger.rows import Claimed, Done, Held, NewRun, NewTask, Operation

# What an operation leaves, in the words of Orchestra's Metadata API; a query, a test or a purge leaves nothing.
_ASSET_TYPES = {
    "INGESTION": "TABLE", "MATERIALISATION": "TABLE", "SEED": "TABLE", "SNAPSHOT": "TABLE",
    "EXPORT": "DATASET", "TRANSFER": "DATASET",
}  # fmt: skip
_LEASED = ("backfill", "pipeline_run", "task_run")  # tables whose rows a process holds while they are RUNNING
_DIED = "the process died before it could say how it ended"
WAREHOUSE_KINDS = ("ingest", "dbt", "sql", "pipeline", "export")


class Ledger(Queries):
    """The run history of one adelt home; safe to use from several threads and processes."""

    def __init__(
        self,
        path: Path,
        *,
        new_id: Callable[[], str],
        clock: Callable[[], float] = time.time,
        owner: Owner | None = None,
    ) -> None:
        """Open the ledger; it is created if missing.

        Args:
            path: The SQLite file.
            new_id: Makes ids that sort by time (uuid7).
            clock: Gives the time, in seconds.
            owner: Holder of leases taken through this object; this process by default.
        """
        super().__init__(path, clock)
        self._new_id, self._owner = new_id, owner or this_process()

    # runs

    def claim_run(self, run: NewRun, limit: int) -> Held | None:
        """Begin a run unless the pipeline has as many as it may; then say who is in the way.

        Runs whose process died are closed first.
        """
        with self.transaction() as con:
            self.close_dead(con)
            live = con.execute(
                "SELECT id, lease_owner FROM pipeline_run WHERE pipeline = ? AND env = ? AND status = 'RUNNING'"
                " AND trigger <> 'task' ORDER BY created_at",
                (run.pipeline, run.environment),
            ).fetchall()
            if len(live) >= limit:
                return Held(live[0]["id"], Owner.from_text(live[0]["lease_owner"]).pid)
            self._insert_run(con, run)
        return None

    def ensure_run(self, run: NewRun) -> None:
        """Note a run that another engine conducts, unless it is known."""
        with self.transaction() as con:
            row = con.execute("SELECT trigger FROM pipeline_run WHERE id = ?", (run.id,)).fetchone()
            if row is None:
                self._insert_run(con, run)
            elif row["trigger"] == "task":
                con.execute(
                    "UPDATE pipeline_run SET status = 'RUNNING', completed_at = NULL, lease_owner = ?, heartbeat_at = ?"
                    " WHERE id = ?",
                    (self._owner.to_text(), self._clock(), run.id),
                )

    def settle_run(self, run_id: str) -> None:
        """Give a run that another engine conducts the state of its tasks so far."""
        with self.transaction() as con:
            states = [
                row["status"]
                for row in con.execute(
                    "SELECT status FROM task_run t WHERE run_id = ? AND attempt ="
                    " (SELECT max(attempt) FROM task_run o WHERE o.run_id = t.run_id AND o.instance = t.instance)",
                    (run_id,),
                )
            ]
            for status in ("RUNNING", "FAILED", "CANCELLED", "WARNING", "SUCCEEDED"):
                if status in states or status == "SUCCEEDED":
                    con.execute(
                        "UPDATE pipeline_run SET status = ?, completed_at = ? WHERE id = ? AND trigger = 'task'",
                        (status, self.now(), run_id),
                    )
                    return

    def _insert_run(self, con: sqlite3.Connection, run: NewRun) -> None:
        now = self.now()
        con.execute(
            "INSERT INTO pipeline_run (id, pipeline, key, spec_digest, code_version, env, trigger, interval_start,"
            " interval_end, inputs, status, created_at, started_at, backfill_id, parent_run_id, lease_owner, heartbeat_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'RUNNING', ?, ?, ?, ?, ?, ?)",
            (
                *(run.id, run.pipeline, run.key, run.digest, run.code_version, run.environment, run.trigger),
                *(run.interval_start, run.interval_end, _json(run.inputs), now, now, run.backfill_id),
                *(run.parent_run_id, self._owner.to_text(), self._clock()),
            ),
        )

    def finish_run(self, run_id: str, status: str, message: str = "") -> None:
        """Close a run."""
        with self.transaction() as con:
            con.execute(
                "UPDATE pipeline_run SET status = ?, message = ?, completed_at = ? WHERE id = ?",
                (status, message, self.now(), run_id),
            )
            con.execute("DELETE FROM slot WHERE holder LIKE ? || '/%'", (run_id,))

    def note_run(self, run_id: str, message: str) -> None:
        """Change what a run says of itself."""
        with self.transaction() as con:
            con.execute("UPDATE pipeline_run SET message = ? WHERE id = ?", (message, run_id))

    # tasks

    def claim_task(
        self, task: NewTask, *, force: bool = False, if_changed: bool = False
    ) -> Claimed | Done | Held:
        """Take a task, unless it is done or another living process is at it.

        Args:
            task: The task.
            force: Do it although it is done.
            if_changed: Do it although it is done if its definition has changed since.
        """
        with self.transaction() as con:
            self.close_dead(con)
            running = con.execute(
                "SELECT t.run_id, t.lease_owner, p.status <> 'RUNNING' AS ending FROM task_run t"
                " JOIN pipeline_run p ON p.id = t.run_id WHERE t.key = ? AND t.status = 'RUNNING'",
                (task.key,),
            ).fetchone()
            if running is not None:
                holder = Owner.from_text(running["lease_owner"])
                return Held(running["run_id"], holder.pid, bool(running["ending"]))
            done = None if force else last_success(con, task.key)
            if done and not (if_changed and done.digest != task.digest):
                return done
            attempt = con.execute(
                "SELECT count(*) FROM task_run WHERE run_id = ? AND instance = ? AND attempt > 0",
                (task.run_id, task.instance),
            ).fetchone()[0]
            identity = self._new_id()
            self._insert_task(con, task, identity, attempt + 1, "RUNNING", "")
            return Claimed(identity, attempt + 1)

    def _insert_task(
        self, con: sqlite3.Connection, task: NewTask, identity: str, attempt: int, status: str, message: str
    ) -> None:
        now = self.now()
        con.execute(
            "INSERT INTO task_run (id, run_id, pipeline, task, instance, matrix, kind, key, digest, env, attempt, status,"
            " message, started_at, completed_at, lease_owner, heartbeat_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(
                    identity,
                    task.run_id,
                    task.pipeline,
                    task.task,
                    task.instance,
                    _json(task.item),
                    task.kind,
                    task.key,
                ),
                *(
                    task.digest,
                    task.environment,
                    attempt,
                    status,
                    message,
                    now,
                    None if status == "RUNNING" else now,
                ),
                *(self._owner.to_text(), self._clock()),
            ),
        )

    def note_task(self, task: NewTask, status: str, message: str) -> None:
        """Record a task that did not run: skipped, or done before."""
        with self.transaction() as con:
            self._insert_task(con, task, self._new_id(), 0, status, message)

    def set_log(self, task_run_id: str, path: Path) -> None:
        """Say where a task's log is."""
        with self.transaction() as con:
            con.execute("UPDATE task_run SET log_path = ? WHERE id = ?", (str(path), task_run_id))

    def finish_task(
        self,
        task_run_id: str,
        status: str,
        exit_code: int,
        message: str = "",
        *,
        metrics: Mapping[str, Any] | None = None,
        outputs: Mapping[str, Any] | None = None,
        operations: Iterable[Operation] = (),
    ) -> None:
        """Close a task with what it did; assets of successful operations get the run's interval, unless they have later days."""
        with self.transaction() as con:
            con.execute(
                "UPDATE task_run SET status = ?, exit_code = ?, message = ?, completed_at = ?, metrics = ?, outputs = ?"
                " WHERE id = ?",
                (
                    status,
                    exit_code,
                    message,
                    self.now(),
                    _json(metrics or {}),
                    _json(outputs or {}),
                    task_run_id,
                ),
            )
            for operation in operations:
                self._add_operation(con, task_run_id, operation)

    def _add_operation(self, con: sqlite3.Connection, task_run_id: str, operation: Operation) -> None:
        con.execute(
            "INSERT INTO operation (task_run_id, kind, asset, status, rows, bytes, seconds, external_id, message, details)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(
                    task_run_id,
                    operation.kind,
                    operation.asset,
                    operation.status,
                    operation.rows,
                    operation.bytes,
                ),
                *(operation.seconds, operation.external_id, operation.message, _json(operation.details)),
            ),
        )
        type_ = _ASSET_TYPES.get(operation.kind, "")
        if operation.status != "SUCCEEDED" or not type_:
            return
        if operation.details.get("materialized") == "view":
            type_ = "VIEW"
        con.execute(
            "INSERT INTO asset (id, env, type, last_success, last_interval, run_id)"
            " SELECT ?, p.env, ?, ?, p.interval_start || '/' || p.interval_end, p.id"
            " FROM task_run t JOIN pipeline_run p ON p.id = t.run_id WHERE t.id = ?"
            " ON CONFLICT (env, id) DO UPDATE SET type = excluded.type,"
            " last_success = excluded.last_success, run_id = excluded.run_id,"
            # A backfill of old days takes nothing from the newest ones.
            " last_interval = iif(substr(excluded.last_interval, instr(excluded.last_interval, '/') + 1)"
            " < substr(last_interval, instr(last_interval, '/') + 1), last_interval, excluded.last_interval)",
            (operation.asset, type_, self.now(), task_run_id),
        )

    def task_ended(
        self, task: NewTask, started: int, status: str, exit_code: int, message: str, log: str
    ) -> None:
        """See that a task whose process has ended is closed, also if the process could not do it, or not even begin.

        Args:
            task: The task.
            started: How many processes the run has started for it.
            status: How it ended.
            exit_code: Exit code of the process.
            message: One line.
            log: The process's log file.
        """
        with self.transaction() as con:
            con.execute(
                "UPDATE task_run SET status = ?, exit_code = ?, message = ?, completed_at = ?"
                " WHERE run_id = ? AND instance = ? AND status = 'RUNNING'",
                (status, exit_code, message, self.now(), task.run_id, task.instance),
            )
            known = con.execute(
                "SELECT count(*) FROM task_run WHERE run_id = ? AND instance = ?",
                (task.run_id, task.instance),
            ).fetchone()[0]
            if known < started:  # it ended before it had taken the task, so this was no attempt at it
                identity = self._new_id()
                self._insert_task(con, task, identity, 0, status, message)
                con.execute(
                    "UPDATE task_run SET exit_code = ?, log_path = ? WHERE id = ?", (exit_code, log, identity)
                )

    def mark_warning(self, run_id: str, instance: str) -> None:
        """Make a failure that is allowed a warning."""
        with self.transaction() as con:
            con.execute(
                "UPDATE task_run SET status = 'WARNING' WHERE run_id = ? AND instance = ? AND status = 'FAILED'",
                (run_id, instance),
            )

    def forget(self, environment: str) -> int:
        """Forget what was done in a warehouse that is gone; how many tasks that were."""
        with self.transaction() as con:
            con.execute("DELETE FROM asset WHERE env = ?", (environment,))
            marks = ", ".join("?" * len(WAREHOUSE_KINDS))
            return con.execute(
                f"UPDATE task_run SET forgotten = 1 WHERE env = ? AND forgotten = 0 AND kind IN ({marks})"
                " AND status = 'SUCCEEDED'",
                (environment, *WAREHOUSE_KINDS),
            ).rowcount

    # leases

    def heartbeat(self) -> None:
        """Renew every lease of this process."""
        with self.transaction() as con:
            for table in _LEASED:
                con.execute(
                    f"UPDATE {table} SET heartbeat_at = ? WHERE lease_owner = ? AND status = 'RUNNING'",
                    (self._clock(), self._owner.to_text()),
                )
            con.execute(
                "UPDATE slot SET heartbeat_at = ? WHERE lease_owner = ?",
                (self._clock(), self._owner.to_text()),
            )

    def take_slot(self, pool: str, holder: str, limit: int) -> bool:
        """Take one of the places of a pool that pipelines share; False if they are all taken."""
        with self.transaction() as con:
            for row in con.execute("SELECT * FROM slot WHERE pool = ?", (pool,)).fetchall():
                if not is_alive(Owner.from_text(row["lease_owner"]), self._clock() - row["heartbeat_at"]):
                    con.execute("DELETE FROM slot WHERE pool = ? AND holder = ?", (pool, row["holder"]))
            if con.execute("SELECT count(*) FROM slot WHERE pool = ?", (pool,)).fetchone()[0] >= limit:
                return False
            con.execute(
                "INSERT OR REPLACE INTO slot VALUES (?, ?, ?, ?)",
                (pool, holder, self._owner.to_text(), self._clock()),
            )
            return True

    def free_slot(self, pool: str, holder: str) -> None:
        """Give a place back."""
        with self.transaction() as con:
            con.execute("DELETE FROM slot WHERE pool = ? AND holder = ?", (pool, holder))

    def recover(self) -> int:
        """Close runs and tasks whose process died; how many there were."""
        with self.transaction() as con:
            return self.close_dead(con)

    def close_dead(self, con: sqlite3.Connection) -> int:
        """Close what dead processes hold, in a transaction."""
        closed = 0
        for table in _LEASED:
            for row in con.execute(
                f"SELECT id, lease_owner, heartbeat_at FROM {table} WHERE status = 'RUNNING'"
            ).fetchall():
                if not is_alive(Owner.from_text(row["lease_owner"]), self._clock() - row["heartbeat_at"]):
                    con.execute(
                        f"UPDATE {table} SET status = 'FAILED', message = ?, completed_at = ? WHERE id = ?",
                        (_DIED, self.now(), row["id"]),
                    )
                    closed += 1
        return closed

    def lease(self) -> tuple[str, float]:
        """What a row says that this process holds: its owner, and when it was last heard of."""
        return self._owner.to_text(), self._clock()


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)

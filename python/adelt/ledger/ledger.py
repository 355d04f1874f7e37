"""Reading and writing the ledger. Each public method is one transaction."""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adelt.ledger.owner import Owner, is_alive, this_process
from adelt.ledger.rows import Claimed, Done, Experience, Held, NewRun, NewTask, Operation

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pipeline_run (
  id TEXT PRIMARY KEY, pipeline TEXT NOT NULL, key TEXT NOT NULL, spec_digest TEXT NOT NULL, code_version TEXT NOT NULL,
  env TEXT NOT NULL, trigger TEXT NOT NULL, interval_start TEXT NOT NULL, interval_end TEXT NOT NULL, inputs TEXT NOT NULL,
  status TEXT NOT NULL, message TEXT NOT NULL DEFAULT '', created_at TEXT NOT NULL, started_at TEXT, completed_at TEXT,
  backfill_id TEXT, parent_run_id TEXT, lease_owner TEXT, heartbeat_at REAL
);
CREATE INDEX IF NOT EXISTS pipeline_run_live ON pipeline_run (pipeline, status);
CREATE INDEX IF NOT EXISTS pipeline_run_key ON pipeline_run (key);
CREATE TABLE IF NOT EXISTS task_run (
  id TEXT PRIMARY KEY, run_id TEXT NOT NULL REFERENCES pipeline_run (id), pipeline TEXT NOT NULL, task TEXT NOT NULL,
  instance TEXT NOT NULL, matrix TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, env TEXT NOT NULL,
  attempt INTEGER NOT NULL, status TEXT NOT NULL, exit_code INTEGER, message TEXT NOT NULL DEFAULT '', started_at TEXT NOT NULL,
  completed_at TEXT, log_path TEXT, metrics TEXT NOT NULL DEFAULT '{}', outputs TEXT NOT NULL DEFAULT '{}',
  forgotten INTEGER NOT NULL DEFAULT 0, lease_owner TEXT, heartbeat_at REAL
);
CREATE INDEX IF NOT EXISTS task_run_run ON task_run (run_id);
CREATE INDEX IF NOT EXISTS task_run_key ON task_run (key, id);
CREATE UNIQUE INDEX IF NOT EXISTS task_run_one_per_key ON task_run (key) WHERE status = 'RUNNING';
CREATE TABLE IF NOT EXISTS operation (
  id INTEGER PRIMARY KEY, task_run_id TEXT NOT NULL REFERENCES task_run (id), kind TEXT NOT NULL, asset TEXT NOT NULL,
  status TEXT NOT NULL, rows INTEGER, bytes INTEGER, seconds REAL, external_id TEXT, message TEXT NOT NULL DEFAULT '',
  details TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS operation_task ON operation (task_run_id);
CREATE TABLE IF NOT EXISTS asset (
  id TEXT NOT NULL, env TEXT NOT NULL, type TEXT NOT NULL, last_success TEXT NOT NULL, last_interval TEXT NOT NULL,
  run_id TEXT NOT NULL, PRIMARY KEY (env, id)
);
CREATE INDEX IF NOT EXISTS pipeline_run_backfill ON pipeline_run (backfill_id) WHERE backfill_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS pipeline_run_parent ON pipeline_run (parent_run_id) WHERE parent_run_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS backfill (
  id TEXT PRIMARY KEY, env TEXT NOT NULL, spec TEXT NOT NULL, status TEXT NOT NULL, message TEXT NOT NULL DEFAULT '',
  created_at TEXT NOT NULL, completed_at TEXT, lease_owner TEXT NOT NULL, heartbeat_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS backfill_chunk (
  backfill_id TEXT NOT NULL REFERENCES backfill (id), number INTEGER NOT NULL, pipeline TEXT NOT NULL,
  interval_start TEXT NOT NULL, interval_end TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'PLANNED', run_id TEXT,
  tries INTEGER NOT NULL DEFAULT 0, exit_code INTEGER, message TEXT NOT NULL DEFAULT '', started_at TEXT, completed_at TEXT,
  PRIMARY KEY (backfill_id, number)
);
CREATE TABLE IF NOT EXISTS slot (
  pool TEXT NOT NULL, holder TEXT NOT NULL, lease_owner TEXT NOT NULL, heartbeat_at REAL NOT NULL, PRIMARY KEY (pool, holder)
);
"""
_VERSION = 4
# What an operation leaves, in the words of Orchestra's Metadata API; a query, a test or a purge leaves nothing.
_ASSET_TYPES = {
    "INGESTION": "TABLE", "MATERIALISATION": "TABLE", "SEED": "TABLE", "SNAPSHOT": "TABLE",
    "EXPORT": "DATASET", "TRANSFER": "DATASET",
}  # fmt: skip
_NO_TABLES = "EXPORT", "TRANSFER", "PURGE", "QUERY"  # kinds whose assets were called tables before version 4
_LEASED = ("backfill", "pipeline_run", "task_run")  # tables whose rows a process holds while they are RUNNING
_DIED = "the process died before it could say how it ended"
WAREHOUSE_KINDS = ("ingest", "dbt", "sql", "pipeline", "export")


class Ledger:
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
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._clock, self._new_id = path, clock, new_id
        self._owner = owner or this_process()
        if self._version() < _VERSION:
            self._create()

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
            done = None if force else _done(con, task.key)
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

    def told(self, pipeline: str, instance: str, environment: str) -> set[tuple[str, str]]:
        """What a task, with its item, has told whom so far: keys and receivers."""
        with self.connection() as con:
            rows = con.execute(
                "SELECT o.external_id, o.asset FROM task_run t JOIN operation o ON o.task_run_id = t.id"
                " WHERE t.pipeline = ? AND t.instance = ? AND t.env = ? AND o.kind = 'ALERT' AND o.status = 'SUCCEEDED'",
                (pipeline, instance, environment),
            ).fetchall()
        return {(row["external_id"], row["asset"]) for row in rows}

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

    def done(self, key: str) -> Done | None:
        """How a piece of work was done; None if it was not, or not successfully the last time."""
        return self.all_done([key]).get(key)

    def all_done(self, keys: Iterable[str]) -> dict[str, Done]:
        """How pieces of work were done, by key; without those that were not, or not successfully the last time."""
        with self.connection() as con:
            found = {key: _done(con, key) for key in keys}
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

    # history

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

    # plumbing

    def _version(self) -> int:
        with self.connection() as con:
            return int(con.execute("PRAGMA user_version").fetchone()[0])

    def _create(self) -> None:
        """Make the tables. Under a lock: SQLite does not wait for others when it changes the journal's mode."""
        from filelock import FileLock  # slow to import, and needed once in the life of a ledger

        with FileLock(f"{self._path}.lock", timeout=60):
            if self._version() == _VERSION:
                return
            with self.connection() as con:
                con.execute("PRAGMA journal_mode = WAL")
                con.executescript(_SCHEMA)
                con.execute(
                    "DELETE FROM asset WHERE type = 'TABLE' AND id IN"
                    f" (SELECT asset FROM operation WHERE kind IN ({', '.join('?' * len(_NO_TABLES))}))",
                    _NO_TABLES,
                )
                con.execute(f"PRAGMA user_version = {_VERSION}")

    def lease(self) -> tuple[str, float]:
        """What a row says that this process holds: its owner, and when it was last heard of."""
        return self._owner.to_text(), self._clock()

    def now(self) -> str:
        """The time as it is written down."""
        return (
            datetime.fromtimestamp(self._clock(), UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with."""
        con = sqlite3.connect(self._path, timeout=60, isolation_level=None)
        con.row_factory = sqlite3.Row
        try:
            con.execute("PRAGMA synchronous = NORMAL")
            yield con
        finally:
            con.close()

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Keep one connection open, so that others which close are not the last: that one empties the journal, slowly."""
        with self.connection() as con:
            con.execute("PRAGMA user_version").fetchone()  # nothing is open before something is read
            yield

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection to write with: everything that the block does, or nothing."""
        with self.connection() as con:
            con.execute("BEGIN IMMEDIATE")
            try:
                yield con
            except BaseException:
                con.execute("ROLLBACK")
                raise
            con.execute("COMMIT")


def _done(con: sqlite3.Connection, key: str) -> Done | None:
    row = con.execute(
        "SELECT run_id, completed_at, outputs, digest, status, forgotten FROM task_run"
        " WHERE key = ? AND attempt > 0 ORDER BY started_at DESC, id DESC LIMIT 1",
        (key,),
    ).fetchone()
    if row is None or row["status"] != "SUCCEEDED" or row["forgotten"]:
        return None
    return Done(row["run_id"], row["completed_at"], json.loads(row["outputs"]), row["digest"])


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _plain(row: sqlite3.Row) -> dict[str, Any]:
    result = dict(row)
    for name in ("inputs", "matrix", "metrics", "outputs", "details"):
        if name in result:
            result[name] = json.loads(result[name])
    return result

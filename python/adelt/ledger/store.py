"""The ledger's file: its tables, and connections to it."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

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
_NO_TABLES = "EXPORT", "TRANSFER", "PURGE", "QUERY"  # kinds whose assets were called tables before version 4


class Store:
    """A ledger's SQLite file, which is made if it is missing."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """Open it.

        Args:
            path: The file.
            clock: Gives the time, in seconds.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._clock = path, clock
        if self._version() < _VERSION:
            self._create()

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

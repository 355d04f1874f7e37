"""Backfills in the ledger: what was planned, what has become of each chunk, and which backfill is at work."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from adelt.ledger.ledger import Ledger
from adelt.ledger.owner import Owner
from adelt.ledger.rows import Held

OPEN = (
    "PLANNED",
    "STARTING",
    "RUNNING",
    "FAILED",
    "CANCELLED",
    "UNKNOWN",
)  # states of chunks that are still to do


@dataclass(frozen=True)
class Chunk:
    """One run that a backfill consists of.

    Attributes:
        number: Its place in the plan, from 1.
        pipeline: Pipeline.
        interval_start: First day.
        interval_end: Day after the last day.
        status: PLANNED, RUNNING, SUCCEEDED, WARNING, FAILED or CANCELLED; in another engine also STARTING (it is being
            asked to) or UNKNOWN (nobody knows whether it took it).
        run_id: The last run that did it, or tried to.
        tries: How often it was begun.
        exit_code: Of the last try.
        message: What went wrong.
        started_at: When the last try was begun.
    """

    number: int
    pipeline: str
    interval_start: str
    interval_end: str
    status: str = "PLANNED"
    run_id: str | None = None
    tries: int = 0
    exit_code: int | None = None
    message: str = ""
    started_at: str | None = None


@dataclass(frozen=True)
class Work:
    """What the runs of a backfill, and those they started, have done here.

    Attributes:
        tasks: Tasks that were begun.
        tries: How often, all together.
        begun_again: Tasks that were begun more than once.
        done_again: Tasks that were begun once more after they had succeeded.
    """

    tasks: int
    tries: int
    begun_again: int
    done_again: int


@dataclass(frozen=True)
class Backfill:
    """A backfill as it was recorded.

    Attributes:
        id: Its id.
        env: What it loads.
        spec: What was asked for.
        status: RUNNING, SUCCEEDED, FAILED or CANCELLED.
        message: How it ended.
        created_at: When it was planned.
        chunks: Its chunks, in order.
    """

    id: str
    env: str
    spec: dict[str, Any]
    status: str
    message: str
    created_at: str
    chunks: tuple[Chunk, ...]

    @property
    def missing(self) -> tuple[Chunk, ...]:
        """Chunks that are not done."""
        return tuple(chunk for chunk in self.chunks if chunk.status in OPEN)


class Backfills:
    """The backfills of a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def begin(self, new_id: str, env: str, spec: dict[str, Any], chunks: Sequence[Chunk]) -> Held | None:
        """Record a backfill with all its chunks, and hold it; or say which living one has a pipeline in common."""
        with self._ledger.transaction() as con:
            self._ledger.close_dead(con)
            if held := self._overlapping(con, env, {chunk.pipeline for chunk in chunks}):
                return held
            con.execute(
                "INSERT INTO backfill (id, env, spec, status, created_at, lease_owner, heartbeat_at)"
                " VALUES (?, ?, ?, 'RUNNING', ?, ?, ?)",
                (new_id, env, json.dumps(spec, default=str), self._ledger.now(), *self._ledger.lease()),
            )
            con.executemany(
                "INSERT INTO backfill_chunk (backfill_id, number, pipeline, interval_start, interval_end)"
                " VALUES (?, ?, ?, ?, ?)",
                [(new_id, c.number, c.pipeline, c.interval_start, c.interval_end) for c in chunks],
            )
        return None

    def resume(self, backfill: Backfill, *, elsewhere: bool = False) -> Held | None:
        """Hold a backfill again; or say which living one, perhaps itself, is in the way.

        Args:
            backfill: The backfill.
            elsewhere: Whether its runs are another engine's, which go on without this process.
        """
        with self._ledger.transaction() as con:
            self._ledger.close_dead(con)
            if held := self._overlapping(con, backfill.env, {chunk.pipeline for chunk in backfill.chunks}):
                return held
            con.execute(
                "UPDATE backfill SET status = 'RUNNING', message = '', completed_at = NULL, lease_owner = ?,"
                " heartbeat_at = ? WHERE id = ?",
                (*self._ledger.lease(), backfill.id),
            )
            if not elsewhere:
                con.execute(
                    "UPDATE backfill_chunk SET status = 'PLANNED' WHERE backfill_id = ? AND status = 'RUNNING'",
                    (backfill.id,),
                )
        return None

    def _overlapping(self, con: Any, env: str, pipelines: Iterable[str]) -> Held | None:
        row = con.execute(
            "SELECT b.id, b.lease_owner FROM backfill b JOIN backfill_chunk c ON c.backfill_id = b.id"
            " WHERE b.status = 'RUNNING' AND b.env = ? AND c.pipeline IN (SELECT value FROM json_each(?)) LIMIT 1",
            (env, json.dumps(sorted(pipelines))),
        ).fetchone()
        return Held(row["id"], Owner.from_text(row["lease_owner"]).pid) if row else None

    def chunk_begins(self, backfill_id: str, number: int, status: str = "RUNNING") -> str:
        """Note that a chunk is being done, or that another engine is being asked to; when that was."""
        now = self._ledger.now()
        with self._ledger.transaction() as con:
            con.execute(
                "UPDATE backfill_chunk SET status = ?, tries = tries + 1, started_at = ?, completed_at = NULL"
                " WHERE backfill_id = ? AND number = ?",
                (status, now, backfill_id, number),
            )
        return now

    def chunk_runs(self, backfill_id: str, number: int, run_id: str) -> None:
        """Note which run of another engine does a chunk."""
        with self._ledger.transaction() as con:
            con.execute(
                "UPDATE backfill_chunk SET status = 'RUNNING', run_id = ?, exit_code = NULL, message = '',"
                " completed_at = NULL WHERE backfill_id = ? AND number = ?",
                (run_id, backfill_id, number),
            )

    def has_run(self, run_id: str) -> bool:
        """Whether a run of another engine is known as that of a chunk."""
        with self._ledger.connection() as con:
            return bool(con.execute("SELECT 1 FROM backfill_chunk WHERE run_id = ?", (run_id,)).fetchone())

    def loaded_at(self, backfill_id: str, late: Iterable[tuple[str, str]]) -> str:
        """When the last task was done for a backfill instead of found done; empty if none was.

        Args:
            backfill_id: The backfill.
            late: Pipeline and name of tasks that do not count: they wait for the others.
        """
        with self._ledger.connection() as con:
            row = con.execute(
                "SELECT coalesce(max(t.completed_at), '') FROM pipeline_run p JOIN task_run t ON t.run_id = p.id"
                " WHERE p.backfill_id = ? AND t.attempt > 0 AND t.status IN ('SUCCEEDED', 'WARNING')"
                " AND p.pipeline || '.' || t.task NOT IN (SELECT value FROM json_each(?))",
                (backfill_id, json.dumps([".".join(one) for one in late])),
            ).fetchone()
        return str(row[0])

    def chunk_waits(self, backfill_id: str, number: int) -> None:
        """Note that a chunk was not begun after all."""
        with self._ledger.transaction() as con:
            con.execute(
                "UPDATE backfill_chunk SET status = 'PLANNED', tries = tries - 1, message = ''"
                " WHERE backfill_id = ? AND number = ?",
                (backfill_id, number),
            )

    def chunk_ends(
        self, backfill_id: str, number: int, status: str, run_id: str | None, exit_code: int, message: str
    ) -> None:
        """Note how a chunk ended."""
        with self._ledger.transaction() as con:
            con.execute(
                "UPDATE backfill_chunk SET status = ?, run_id = ?, exit_code = ?, message = ?, completed_at = ?"
                " WHERE backfill_id = ? AND number = ?",
                (status, run_id, exit_code, message, self._ledger.now(), backfill_id, number),
            )

    def finish(self, backfill_id: str, status: str, message: str) -> None:
        """Let go of a backfill."""
        with self._ledger.transaction() as con:
            con.execute(
                "UPDATE backfill SET status = ?, message = ?, completed_at = ? WHERE id = ?",
                (status, message, self._ledger.now(), backfill_id),
            )

    def work(self, backfill_id: str) -> Work:
        """How often the tasks of a backfill were begun."""
        with self._ledger.connection() as con:
            row = con.execute(
                "WITH RECURSIVE run (id) AS (SELECT id FROM pipeline_run WHERE backfill_id = ?"
                " UNION SELECT p.id FROM run JOIN pipeline_run p ON p.parent_run_id = run.id),"
                " task AS (SELECT count(*) AS tries, max(t.id) AS last,"
                " min(CASE WHEN t.status = 'SUCCEEDED' AND NOT t.forgotten THEN t.id END) AS success"
                " FROM run JOIN task_run t ON t.run_id = run.id WHERE t.attempt > 0 GROUP BY t.key)"
                " SELECT count(*), coalesce(sum(tries), 0), coalesce(sum(tries > 1), 0),"
                " coalesce(sum(last > success), 0) FROM task",
                (backfill_id,),
            ).fetchone()
        return Work(*row)

    def find(self, text: str) -> list[Backfill]:
        """Backfills whose id begins or ends with a text, oldest first; `last` is the newest one."""
        with self._ledger.connection() as con:
            rows = con.execute(
                "SELECT * FROM backfill WHERE ? IN (substr(id, 1, ?), substr(id, -?)) OR ? = 'last' ORDER BY id",
                (text, len(text), len(text), text),
            ).fetchall()
            rows = rows[-1:] if text == "last" else rows
            return [self._read(con, row) for row in rows]

    def _read(self, con: Any, row: Any) -> Backfill:
        chunks = con.execute(
            "SELECT number, pipeline, interval_start, interval_end, status, run_id, tries, exit_code, message,"
            " started_at FROM backfill_chunk WHERE backfill_id = ? ORDER BY number",
            (row["id"],),
        ).fetchall()
        return Backfill(
            row["id"],
            row["env"],
            json.loads(row["spec"]),
            row["status"],
            row["message"],
            row["created_at"],
            tuple(Chunk(**dict(chunk)) for chunk in chunks),
        )

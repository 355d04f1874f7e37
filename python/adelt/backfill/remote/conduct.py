"""Have another engine do the chunks of a backfill, and watch its runs until they are over.

Whatever is about to be sent is noted before, and what came of it after: a process that is killed in between leaves a chunk that
is STARTING, whose run is looked for when the backfill is resumed. Runs that were started go on without this process.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from adelt.backfill.conduct import Ended, exit_code, finish, ready
from adelt.backfill.plan import BackfillPlan, PlannedChunk
from adelt.backfill.remote.client import LostError, RejectedError
from adelt.backfill.remote.engine import ENDED, Engine, Order, RunState, Stopped
from adelt.engine import heartbeat, on_signals
from adelt.errors import AdeltError
from adelt.ledger import Ledger
from adelt.ledger.backfills import Backfill, Backfills, Chunk
from adelt.run import events

_SLICE = 0.1  # seconds of sleep between looks at whether to stop
_SHORTEST, _LONGEST = 2.0, 30.0  # seconds between looks at the runs
_UNKNOWN = "it is not known whether it was started"


class Pause:
    """Waiting that `stop` ends, which may be called from a signal handler."""

    def __init__(self) -> None:
        self.stopped = False

    def stop(self) -> None:
        """Wait no more."""
        self.stopped = True

    def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            Stopped: It was stopped before or meanwhile.
        """
        until = time.monotonic() + seconds
        while not self.stopped and (left := until - time.monotonic()) > 0:
            time.sleep(min(_SLICE, left))
        if self.stopped:
            raise Stopped


def conduct_elsewhere(
    ledger: Ledger,
    backfill: Backfill,
    plan: BackfillPlan,
    engine: Engine,
    pause: Pause,
    listener: events.Listener,
    on_end: Callable[[Ended], None],
    *,
    patience: Mapping[str, float] | None = None,
    retry_unknown: bool = False,
) -> int:
    """Have an engine do what is missing of a backfill that this process holds.

    Args:
        ledger: The ledger.
        backfill: What is recorded of it.
        plan: The same plan that was recorded.
        engine: Who runs the chunks.
        pause: How the engine waits; SIGINT and SIGTERM end it.
        listener: Called when a run begins.
        on_end: Called with every chunk that has ended, or whose run is not known.
        patience: `poll_min` and `poll_max`, seconds between looks, that differ from 2 and 30.
        retry_unknown: Start again what may have been started, where nobody knows.

    Returns:
        Exit code: 0 if every chunk succeeded, 1 if a retry may help, 2 if it cannot, 130 if it was stopped.

    Raises:
        AdeltError: The engine cannot be reached any more, or refuses everything. Its runs go on, and what is noted is right.
    """
    work = _Work(Backfills(ledger), backfill, plan, engine, listener, on_end)
    more = patience or {}
    shortest = more.get("poll_min", _SHORTEST)
    trouble: AdeltError | None = None
    with heartbeat(ledger), on_signals(pause.stop):
        try:
            work.adopt(retry_unknown=retry_unknown)
            wait = shortest
            while work.begin(pause):
                pause.sleep(wait)
                wait = (
                    shortest
                    if work.look()
                    else min(wait * 1.5, max(shortest, more.get("poll_max", _LONGEST)))
                )
        except Stopped:
            pass
        except AdeltError as error:
            trouble = error
        code = exit_code(work.states, work.codes, stopped=pause.stopped)
        finish(work.store, backfill.id, work.states, code, trouble.what if trouble else "")
    if trouble:
        raise trouble
    return code


class _Work:
    """What is left of a backfill."""

    def __init__(
        self,
        store: Backfills,
        backfill: Backfill,
        plan: BackfillPlan,
        engine: Engine,
        listener: events.Listener,
        on_end: Callable[[Ended], None],
    ) -> None:
        self.store, self._id, self._engine = store, backfill.id, engine
        self._listener, self._on_end = listener, on_end
        self._records = {chunk.number: chunk for chunk in backfill.chunks}
        self._parallel = plan.spec.parallel
        self.states = {chunk.number: chunk.status for chunk in backfill.chunks}
        self.codes: dict[int, int] = {}
        missing = {chunk.number for chunk in backfill.missing}
        self._waiting = [chunk for chunk in plan.chunks if chunk.number in missing]
        self.active: dict[str, PlannedChunk] = {}  # by run

    def adopt(self, *, retry_unknown: bool) -> None:
        """Find the runs that were begun before."""
        for chunk in tuple(self._waiting):
            record = self._records[chunk.number]
            if record.status == "RUNNING" and record.run_id:
                self._goes_on(chunk, record.run_id)
            elif record.status in ("STARTING", "UNKNOWN"):
                self._look_for(chunk, record, retry_unknown=retry_unknown)
        self._adopt_mended()

    def _look_for(self, chunk: PlannedChunk, record: Chunk, *, retry_unknown: bool) -> None:
        found = self._engine.find(self._order(chunk, record))
        if found is not None:
            self.store.chunk_runs(self._id, chunk.number, found)
            self._goes_on(chunk, found)
        elif self._engine.knows_all:
            self.store.chunk_waits(self._id, chunk.number)
            self._records[chunk.number] = replace(record, status="PLANNED", tries=record.tries - 1)
            self.states[chunk.number] = "PLANNED"
        elif not retry_unknown:
            self._waiting.remove(chunk)
            self._ends(chunk, record.run_id, RunState("UNKNOWN", record.message or _UNKNOWN))

    def _adopt_mended(self) -> None:
        """Runs that failed may have been repaired in the engine since."""
        over = {
            record.run_id: chunk
            for chunk in self._waiting
            if (record := self._records[chunk.number]).status in ("FAILED", "CANCELLED") and record.run_id
        }
        if not over:
            return
        for run_id, state in self._engine.states(
            {one: chunk.pipeline for one, chunk in over.items()}
        ).items():
            if state.status not in ("FAILED", "CANCELLED"):
                self.store.chunk_runs(self._id, over[run_id].number, run_id)
                self._goes_on(over[run_id], run_id)

    def begin(self, pause: Pause) -> bool:
        """Start what may begin; whether a run is at work.

        Raises:
            Stopped: It is to stop.
            AdeltError: The engine starts nothing any more.
        """
        while chosen := ready(self._waiting, self.states, min(1, self._parallel - len(self.active))):
            if pause.stopped:
                raise Stopped
            self._start(chosen[0])
        return bool(self.active)

    def _start(self, chunk: PlannedChunk) -> None:
        number, record = chunk.number, self._records[chunk.number]
        begun_at = self.store.chunk_begins(self._id, number, "STARTING")
        record = replace(record, tries=record.tries + 1, started_at=begun_at)
        self.states[number] = "STARTING"
        try:
            run_id = self._engine.start(self._order(chunk, record))
        except LostError as error:
            self._waiting.remove(chunk)
            self._ends(chunk, record.run_id, RunState("UNKNOWN", f"{_UNKNOWN}: {error.what}"))
            return
        except RejectedError as error:
            self._waiting.remove(chunk)
            self._ends(chunk, record.run_id, RunState("FAILED", error.what), error.exit_code)
            return
        except (AdeltError, Stopped):
            # An engine that knows all is asked again; another has raised LostError if it may have taken the order.
            if not self._engine.knows_all:
                self.store.chunk_waits(self._id, number)
                self.states[number] = "PLANNED"
            raise
        self.store.chunk_runs(self._id, number, run_id)
        self._goes_on(chunk, run_id)

    def look(self) -> bool:
        """See which runs are over; whether one is."""
        ended = False
        for run_id, state in self._engine.states(
            {run: chunk.pipeline for run, chunk in self.active.items()}
        ).items():
            if state.status in ENDED:
                ended = True
                self._ends(self.active.pop(run_id), run_id, state)
        return ended

    def _goes_on(self, chunk: PlannedChunk, run_id: str) -> None:
        self._waiting.remove(chunk)
        self.active[run_id] = chunk
        self.states[chunk.number] = "RUNNING"
        self._listener(events.RunStarted(chunk.pipeline, run_id, str(chunk.interval), 0))

    def _ends(
        self, chunk: PlannedChunk, run_id: str | None, state: RunState, code: int | None = None
    ) -> None:
        code = code if code is not None else int(state.status not in ("SUCCEEDED", "WARNING"))
        self.states[chunk.number], self.codes[chunk.number] = state.status, code
        self.store.chunk_ends(self._id, chunk.number, state.status, run_id, code, state.message)
        self._on_end(Ended(chunk, state.status, code, run_id, state.message, state.seconds or 0.0))

    def _order(self, chunk: PlannedChunk, record: Chunk) -> Order:
        return Order(chunk, self._id, record.tries, record.started_at or "", self.store.has_run)

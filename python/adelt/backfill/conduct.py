"""Do the chunks of a backfill, several at a time, in this process; each one is a run of its own in the ledger."""

import itertools
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from adelt.backfill.plan import BackfillPlan, PlannedChunk
from adelt.engine import RunRequest, Stops, heartbeat, on_signals, run_pipeline
from adelt.errors import AdeltError
from adelt.ledger import Ledger
from adelt.ledger.backfills import Backfill, Backfills
from adelt.run import events
from adelt.run.workers import Workers
from adelt.settings import Settings
from adelt.window import Interval

DONE = ("SUCCEEDED", "WARNING")


@dataclass(frozen=True)
class Ended:
    """How one chunk ended.

    Attributes:
        chunk: The chunk.
        status: SUCCEEDED, WARNING, FAILED or CANCELLED; in another engine also UNKNOWN.
        exit_code: 0, 1 (a retry may help), 2 (it cannot) or 130 (stopped).
        run_id: Its run; None if it could not begin.
        message: What went wrong.
        seconds: How long it took.
    """

    chunk: PlannedChunk
    status: str
    exit_code: int
    run_id: str | None
    message: str
    seconds: float


def conduct(
    here: Settings,
    ledger: Ledger,
    backfill: Backfill,
    plan: BackfillPlan,
    workers: Workers | None,
    listener: events.Listener,
    on_end: Callable[[Ended], None],
) -> int:
    """Do what is missing of a backfill that this process holds.

    A chunk that fails leaves the others alone; SIGINT and SIGTERM end it in good order. What was done stays done, also after
    a kill: a chunk that was at work then is missing.

    Args:
        here: Settings.
        ledger: The ledger.
        backfill: What is recorded of it.
        plan: The same plan that was recorded.
        workers: Where tasks are forked.
        listener: Called with every event of every run, from several threads.
        on_end: Called with every chunk that has ended.

    Returns:
        Exit code: 0 if every chunk succeeded, 1 if a retry may help, 2 if it cannot, 130 if it was stopped.
    """
    stops, store = Stops(), Backfills(ledger)
    states = {chunk.number: chunk.status for chunk in backfill.chunks}
    codes: dict[int, int] = {}
    failed: dict[int, str] = {}
    missing = {chunk.number for chunk in backfill.missing}
    late = [(chunk.pipeline, task) for chunk in plan.chunks if chunk.after for task in chunk.select]
    waiting = [chunk for chunk in plan.chunks if chunk.number in missing]
    ended: queue.SimpleQueue[Ended] = queue.SimpleQueue()
    lock = threading.Lock()

    def tell(event: events.Event) -> None:
        with lock:
            listener(event)

    def work(chunk: PlannedChunk) -> None:
        request = RunRequest(
            chunk.definition,
            chunk.interval,
            chunk.inputs,
            chunk.select,
            # Its tasks may have been done for the same days, but from rows that have been loaded again since.
            force=chunk.force,
            since=store.loaded_at(backfill.id, late) if chunk.after else "",
            trigger="backfill",
            workers=workers,
            backfill=backfill.id,
            runs=max(plan.spec.parallel, chunk.definition.pipeline.concurrency.runs),
            stops=stops,
        )
        try:
            done = run_pipeline(here, request, [tell])
            result = Ended(chunk, done.status, done.exit_code, done.run_id, done.message, done.seconds)
        except AdeltError as error:
            result = Ended(chunk, "FAILED", error.exit_code, None, str(error), 0.0)
        except BaseException as error:
            result = Ended(chunk, "FAILED", 1, None, f"{type(error).__name__}: {error}", 0.0)
        ended.put(result)

    active = 0
    with heartbeat(ledger), on_signals(stops.stop):
        while True:
            for chunk in ready(waiting, states, plan.spec.parallel - active) if not stops.stopped else ():
                waiting.remove(chunk)
                store.chunk_begins(backfill.id, chunk.number)
                threading.Thread(target=work, args=(chunk,), daemon=True).start()
                active += 1
            if not active:
                break
            result = ended.get()
            active -= 1
            number = result.chunk.number
            states[number], codes[number] = result.status, result.exit_code
            if result.exit_code:
                failed[number] = result.message
            store.chunk_ends(
                backfill.id, number, result.status, result.run_id, result.exit_code, result.message
            )
            on_end(result)
        code = exit_code(states, codes, stopped=stops.stopped)
        missed = "" if stops.stopped else _alert(here, backfill, plan, states, failed, tell)
        finish(store, backfill.id, states, code, missed)
    return code


def _alert(
    here: Settings,
    backfill: Backfill,
    plan: BackfillPlan,
    states: Mapping[int, str],
    failed: Mapping[int, str],
    listener: events.Listener,
) -> str:
    """Tell whom each pipeline names, once for all its chunks; who could not be told."""
    missed: list[str] = []
    for name, pipeline in {chunk.pipeline: chunk.definition.pipeline for chunk in plan.chunks}.items():
        if not (pipeline.on_failure or pipeline.on_success):
            continue
        from adelt import alerts  # late: it is not for most backfills

        chunks = [chunk for chunk in plan.chunks if chunk.pipeline == name]
        found = {states[chunk.number] for chunk in chunks}
        message = alerts.BackfillEnded(
            pipeline=name,
            backfill_id=backfill.id,
            interval=str(
                Interval(min(c.interval.start for c in chunks), max(c.interval.end for c in chunks))
            ),
            status="FAILED" if found - set(DONE) else "WARNING" if "WARNING" in found else "SUCCEEDED",
            environment=here.target,
            chunks=len(chunks),
            failed={str(chunk.interval): failed[chunk.number] for chunk in chunks if chunk.number in failed},
        )
        for told in alerts.tell(pipeline, message, here):
            listener(events.RunTold(name, backfill.id, told.whom, told.error))
            missed += [f"could not tell {told.whom}: {told.error}"] if told.error else []
    return "; ".join(missed)


def finish(
    store: Backfills, backfill_id: str, states: Mapping[int, str], code: int, message: str = ""
) -> None:
    """Let go of a backfill, and note how it ended."""
    left = sum(state not in DONE for state in states.values())
    status = {0: "SUCCEEDED", 130: "CANCELLED"}.get(code, "FAILED")
    missing = f"{left} of {len(states)} chunks are missing" if left else ""
    store.finish(backfill_id, status, "; ".join(filter(None, (missing, message))))


def ready(waiting: Sequence[PlannedChunk], states: Mapping[int, str], places: int) -> list[PlannedChunk]:
    """Chunks that may begin now: as many as there are places."""
    found = (chunk for chunk in waiting if all(states[number] in DONE for number in chunk.after))
    return list(itertools.islice(found, max(0, places)))


def exit_code(states: Mapping[int, str], codes: Mapping[int, int], *, stopped: bool) -> int:
    """The exit code of a backfill whose chunks are in these states, and ended with these codes."""
    if all(state in DONE for state in states.values()):
        return 0
    if stopped:
        return 130
    return 2 if codes and all(code in (0, 2) for code in codes.values()) else 1

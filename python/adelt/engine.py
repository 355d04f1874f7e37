"""Where the parts meet: definition, plan, executor, ledger. What `adelt run` calls."""

import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adelt import __version__, ids, settings, stale, warm
from adelt.definition import Definition
from adelt.definition.model import Pipeline
from adelt.definition.templates import as_text, slug
from adelt.errors import InputError
from adelt.ledger import WAREHOUSE_KINDS, Held, Ledger, NewRun, NewTask
from adelt.ledger.owner import HEARTBEAT_SECONDS
from adelt.plan import Group, Plan, PlannedTask, instances, make_plan
from adelt.plan.command import task_words
from adelt.run import Executor, events
from adelt.run.process import Command
from adelt.run.workers import Workers
from adelt.settings import Settings
from adelt.window import Interval

_POLL_SECONDS = 1.0  # between looks at whether another run has ended


@dataclass(frozen=True)
class RunRequest:
    """What to run.

    Attributes:
        definition: The pipeline.
        interval: What the run is for.
        inputs: Inputs that are given.
        select: Tasks to run alone; empty runs all.
        force: Run tasks although they are done.
        if_changed: Run tasks although they are done if their definition has changed since.
        since: Run tasks although they are done if that was before this time, as the ledger writes it.
        trigger: Who started it: `manual`, `pipeline` or `demo`.
        parent_run: Run that started it.
        stack: Pipelines that run around it.
        workers: Where tasks of `warm.KINDS` are forked; without them every task is started from nothing.
        backfill: The backfill it is a chunk of.
        runs: Runs of the pipeline at a time, if not what the definition says.
        stops: Who stops it, if not SIGINT and SIGTERM: runs that are conducted in threads share one.
    """

    definition: Definition
    interval: Interval
    inputs: Mapping[str, Any] = field(default_factory=dict)
    select: tuple[str, ...] = ()
    force: bool = False
    if_changed: bool = False
    since: str = ""
    trigger: str = "manual"
    parent_run: str | None = None
    stack: tuple[str, ...] = ()
    workers: Workers | None = None
    backfill: str | None = None
    runs: int | None = None
    stops: "Stops | None" = None


class Stops:
    """Stops every run that it watches, and those to come; `stop` may be called from a signal handler, twice kills."""

    def __init__(self) -> None:
        self.stopped = False
        self._executors: list[Executor] = []

    def stop(self) -> None:
        """Stop."""
        self.stopped = True
        for executor in tuple(self._executors):
            executor.stop()

    @contextmanager
    def watching(self, executor: Executor) -> Iterator[None]:
        """Watch a run while the block runs."""
        self._executors.append(executor)
        if self.stopped:
            executor.stop()
        try:
            yield
        finally:
            self._executors.remove(executor)


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Attributes:
        run_id: The run.
        pipeline: Its pipeline.
        interval: What it was for.
        status: SUCCEEDED, WARNING, FAILED, SKIPPED or CANCELLED.
        exit_code: 0, 1 (a retry may help), 2 (it cannot) or 130 (stopped).
        seconds: How long it took.
        message: What failed, in one line.
        tasks: State of every task of the definition.
    """

    run_id: str
    pipeline: str
    interval: str
    status: str
    exit_code: int
    seconds: float = 0.0
    message: str = ""
    tasks: Mapping[str, str] = field(default_factory=dict)


def open_ledger(here: Settings) -> Ledger:
    """The ledger of an adelt home."""
    return Ledger(here.ledger, new_id=ids.new_id)


class History:
    """What has been done, to look at; nothing is written."""

    def __init__(self, here: Settings) -> None:
        """Look into the ledger of an adelt home; there may be none yet."""
        self._here, self._ledger = here, open_ledger(here) if here.ledger.exists() else None
        self._gone = here.warehouse.is_gone

    def done(self, task: PlannedTask, plan: Plan, definition: Definition) -> str:
        """The run that has done a task; empty if none has, what it built on is newer, or it is gone with the warehouse."""
        if self._ledger is None or (self._gone and task.kind in WAREHOUSE_KINDS):
            return ""
        found = self._ledger.done(task.key)
        built = stale.built_on(self._ledger, definition, plan, task.task, self._here.project)
        return found.run_id if found and not stale.is_stale(found, built) else ""

    def outputs(self, plan: Plan, definition: Definition) -> Mapping[str, Any]:
        """Outputs of tasks that are over."""
        return outputs_of(self._ledger, plan, definition) if self._ledger else {}


def run_pipeline(here: Settings, request: RunRequest, listeners: Sequence[events.Listener] = ()) -> RunResult:
    """Run a pipeline for one interval.

    SIGINT and SIGTERM stop it in good order while it runs, if this is the main thread.

    Args:
        here: Settings.
        request: What to run.
        listeners: Called with every event.

    Raises:
        InputError: The inputs are wrong; nothing has run.
    """
    plan = make_plan(request.definition, request.interval, request.inputs, here.environment, request.select)
    ledger = open_ledger(here)
    ledger.recover()
    if here.warehouse.is_gone:
        ledger.forget(here.environment)  # what was loaded is gone with the file
    run = NewRun(
        id=ids.new_id(),
        pipeline=plan.pipeline,
        key=plan.key,
        digest=plan.digest,
        environment=plan.environment,
        interval_start=str(plan.interval.start),
        interval_end=str(plan.interval.end),
        inputs=plan.inputs,
        code_version=__version__,
        trigger=request.trigger,
        parent_run_id=request.parent_run,
        backfill_id=request.backfill,
    )
    if (refused := _wait_for_turn(ledger, plan, run, request, listeners)) is not None:
        return refused
    around = _Around(here, request, plan, ledger, run.id)
    executor = Executor(
        plan,
        run.id,
        around,
        [_recorder(ledger, plan, around), *listeners],
        force=request.force,
        jitter=random.Random(),
    )
    with heartbeat(ledger), (request.stops or _Signals()).watching(executor):
        try:
            outcome = executor.run()
        except BaseException as error:
            ledger.finish_run(run.id, "FAILED", f"{type(error).__name__}: {error}")
            raise
        ledger.finish_run(run.id, outcome.status, outcome.message)
    result = RunResult(
        run.id, plan.pipeline, str(plan.interval), outcome.status, outcome.exit_code, outcome.seconds,
        outcome.message, outcome.states,
    )  # fmt: skip
    _tell(listeners, events.RunFinished(plan.pipeline, run.id, result.status, result.seconds, result.message))
    if request.backfill is None:  # which tells once, when it is over
        _alert(here, ledger, request.definition.pipeline, result, listeners)
    return result


def _alert(
    here: Settings,
    ledger: Ledger,
    pipeline: Pipeline,
    result: RunResult,
    listeners: Sequence[events.Listener],
) -> None:
    """Tell whom the pipeline names; who could not be told is added to the run's message."""
    if not (pipeline.on_failure or pipeline.on_success):
        return
    from adelt import alerts  # late: it is not for most runs

    message = alerts.RunEnded(
        result.pipeline, result.run_id, result.interval, result.status, here.target, result.seconds,
        result.message, result.tasks,
    )  # fmt: skip
    everyone = alerts.tell(pipeline, message, here)
    missed = [f"could not tell {told.whom}: {told.error}" for told in everyone if told.error]
    if missed:
        ledger.note_run(result.run_id, "; ".join(filter(None, (result.message, *missed))))
    for told in everyone:
        _tell(listeners, events.RunTold(result.pipeline, result.run_id, told.whom, told.error))


@contextmanager
def heartbeat(ledger: Ledger) -> Iterator[None]:
    """Renew this process's leases while the block runs."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(HEARTBEAT_SECONDS):
            ledger.heartbeat()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        with ledger.kept_open():
            yield
    finally:
        over.set()
        thread.join()


def log_path(here: Settings, run_id: str, task_id: str, attempt: int) -> Path:
    """The log file of one attempt at a task."""
    return here.home / "logs" / run_id / f"{slug(task_id)[:100]}.{attempt}.log"


def outputs_of(ledger: Ledger, plan: Plan, definition: Definition) -> dict[str, Any]:
    """Outputs of tasks that are over; those of a matrix are lists in the order of its items."""
    result: dict[str, Any] = {}
    for group in plan.groups:
        tasks = group.tasks
        if tasks is None:  # a matrix whose list another task put out
            try:
                tasks = instances(definition, plan, group, result)
            except InputError:  # it has not, so far
                tasks = ()
        tasks = tasks or ()
        done = ledger.all_done(task.key for task in tasks)
        found = [done[task.key].outputs for task in tasks if task.key in done]
        if len(tasks) == 1 and found and not tasks[0].item:
            result[group.name] = found[0]
        elif found:
            names = dict.fromkeys(name for one in found for name in one)
            result[group.name] = {name: [one[name] for one in found if name in one] for name in names}
    return result


def new_task(plan: Plan, task: PlannedTask, run_id: str) -> NewTask:
    """A planned task as the ledger notes it."""
    return NewTask(
        run_id,
        plan.pipeline,
        task.task,
        task.id,
        task.item,
        task.kind,
        task.key,
        task.digest,
        plan.environment,
    )


class _Around:
    """What the executor asks for."""

    def __init__(self, here: Settings, request: RunRequest, plan: Plan, ledger: Ledger, run_id: str) -> None:
        self._here, self._request, self._plan = here, request, plan
        self._ledger, self._run_id = ledger, run_id
        self._pool = request.definition.pipeline.concurrency.group
        self._limit = request.definition.pipeline.concurrency.tasks
        self.seen: dict[str, PlannedTask] = {}
        self._built: dict[
            str, str
        ] = {}  # task of the definition -> when what it needs was last done, by other runs

    def done(self, task: PlannedTask) -> str:
        self.seen[task.id] = task
        found = self._ledger.done(task.key)
        if found is None or (self._request.if_changed and found.digest != task.digest):
            return ""
        if task.task not in self._built:
            self._built[task.task] = stale.built_on(
                self._ledger, self._request.definition, self._plan, task.task, self._here.project
            )
        old = stale.is_stale(found, max(self._built[task.task], self._request.since))
        return "" if old else found.run_id

    def outputs(self, plan: Plan) -> Mapping[str, Any]:
        return outputs_of(self._ledger, plan, self._request.definition)

    def expand(self, plan: Plan, group: Group, outputs: Mapping[str, Any]) -> tuple[PlannedTask, ...]:
        return instances(self._request.definition, plan, group, outputs) or ()

    def command(self, plan: Plan, task: PlannedTask, attempt: int, *, force: bool) -> Command:
        self.seen[task.id] = task
        force = force or bool(self._request.since and not self.done(task))
        return Command(
            argv=task_command(plan, task, self._run_id, force=force, if_changed=self._request.if_changed),
            env=settings.child_environment(
                {
                    **self._here.variables,
                    "ADELT_PIPELINE_STACK": ",".join((*self._request.stack, plan.pipeline)),
                    "PYTHONUNBUFFERED": "1",
                },
            ),
            cwd=self._here.project,
            log=log_path(self._here, self._run_id, task.id, attempt),
            fork=self._request.workers if task.kind in warm.KINDS else None,
            lend=self._request.workers if task.kind == "pipeline" else None,
        )

    def take_slot(self, task: PlannedTask) -> bool:
        if (
            self._pool is None or task.kind == "pipeline"
        ):  # whose tasks need places, and would wait for its own
            return True
        return self._ledger.take_slot(self._pool, f"{self._run_id}/{task.id}", self._limit)

    def free_slot(self, task: PlannedTask) -> None:
        if self._pool is not None:
            self._ledger.free_slot(self._pool, f"{self._run_id}/{task.id}")


def task_command(
    plan: Plan, task: PlannedTask, run_id: str, *, force: bool = False, if_changed: bool = False
) -> list[str]:
    """The command line that does one task; every engine calls the same."""
    # -P: the project folder holds `dlt` and `dbt`, which must not be found before the installed packages.
    words = [sys.executable, "-P", "-m", "adelt"]
    words += task_words(
        f"{plan.pipeline}.{task.task}",
        item={name: as_text(value) for name, value in task.item.items()},
        when=("--interval", str(plan.interval)),
        run_id=run_id,
        inputs={name: _input_text(value) for name, value in plan.inputs.items() if value is not None},
    )
    words += ["--force"] if force else []
    words += ["--if-changed"] if if_changed else []
    return words


def _input_text(value: Any) -> str:
    if isinstance(value, list):
        import json

        return json.dumps(value, default=str)
    return as_text(value)


def _wait_for_turn(
    ledger: Ledger, plan: Plan, run: NewRun, request: RunRequest, listeners: Sequence[events.Listener]
) -> RunResult | None:
    """Begin the run when its pipeline may have one more; the result at once if it is not to wait."""
    told = ""
    begun = time.monotonic()
    while (held := ledger.claim_run(run, request.runs or plan.runs)) is not None:
        message = _held(held, plan)
        if request.stops and request.stops.stopped:
            return RunResult(run.id, plan.pipeline, str(plan.interval), "CANCELLED", 130, 0.0, "stopped")
        if plan.on_limit != "queue":
            status = "SKIPPED" if plan.on_limit == "skip" else "FAILED"
            code = 0 if plan.on_limit == "skip" else 1
            _tell(listeners, events.RunFinished(plan.pipeline, run.id, status, 0.0, message))
            return RunResult(run.id, plan.pipeline, str(plan.interval), status, code, 0.0, message)
        if message != told:
            _tell(listeners, events.RunWaiting(plan.pipeline, run.id, message))
            told = message
        time.sleep(min(_POLL_SECONDS, 0.1 + time.monotonic() - begun))
    return None


def _held(held: Held, plan: Plan) -> str:
    return f"pipeline `{plan.pipeline}` is running: run {held.run_id}, process {held.pid}"


def _tell(listeners: Sequence[events.Listener], event: events.Event) -> None:
    for listener in listeners:
        listener(event)


def _recorder(ledger: Ledger, plan: Plan, around: _Around) -> events.Listener:
    """Writes to the ledger what task processes cannot write themselves: tasks that never ran, and those that died."""
    planned = {task.id: task for task in plan.tasks}
    started: Counter[str] = Counter()

    def record(event: events.Event) -> None:
        if isinstance(event, events.TaskStarted) and event.pipeline == plan.pipeline:
            started[event.task] += 1
        if not isinstance(event, events.TaskFinished) or event.pipeline != plan.pipeline:
            return
        task = planned.get(event.task) or around.seen.get(event.task)
        if task is None:
            return
        if event.exit_code is None:
            status = "SKIPPED" if event.status == "DONE" else event.status
            message = f"done {event.message}" if event.status == "DONE" else event.message
            ledger.note_task(new_task(plan, task, event.run_id), status, message)
            return
        if event.status in ("FAILED", "RETRYING", "WARNING", "CANCELLED"):
            status = "CANCELLED" if event.status == "CANCELLED" else "FAILED"
            noted = new_task(plan, task, event.run_id)
            ledger.task_ended(noted, started[event.task], status, event.exit_code, event.message, event.log)
        if event.status == "WARNING":
            ledger.mark_warning(event.run_id, event.task)

    return record


class _Signals(Stops):
    """Lets SIGINT and SIGTERM stop a run, if this is the main thread."""

    @contextmanager
    def watching(self, executor: Executor) -> Iterator[None]:
        with super().watching(executor), on_signals(self.stop):
            yield


@contextmanager
def on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at SIGINT and SIGTERM while the block runs, if this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

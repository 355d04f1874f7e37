"""Conduct a plan: start what may start, watch it, try again, stop it, and tell the listeners."""

import heapq
import itertools
import queue
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from adelt.errors import AdeltError
from adelt.plan import Group, Plan, PlannedTask
from adelt.run import events, retry
from adelt.run.process import GRACE_SECONDS, Command, Ended, Process
from adelt.run.schedule import Scheduler, Settled, State

_POLL_SECONDS = 0.5  # between looks at a pool whose places are taken


class Surroundings(Protocol):
    """What the executor needs to know from outside; it imports neither ledger nor terminal."""

    def done(self, task: PlannedTask) -> str:
        """The run that has done a task; empty if none has."""

    def outputs(self, plan: Plan) -> Mapping[str, Any]:
        """Outputs of tasks that are over, by task name."""

    def expand(self, plan: Plan, group: Group, outputs: Mapping[str, Any]) -> tuple[PlannedTask, ...]:
        """The items of a group whose matrix another task has put out."""

    def command(self, plan: Plan, task: PlannedTask, attempt: int, *, force: bool) -> Command:
        """The process that does a task."""

    def take_slot(self, task: PlannedTask) -> bool:
        """Take a place in the pool that pipelines share; False if all are taken."""

    def free_slot(self, task: PlannedTask) -> None:
        """Give the place back."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: SUCCEEDED, WARNING, FAILED or CANCELLED.
        exit_code: 0, 1 (a retry may help), 2 (it cannot) or 130.
        seconds: How long it took.
        states: State of every group.
        message: What failed, in one line.
    """

    status: str
    exit_code: int
    seconds: float
    states: Mapping[str, str]
    message: str = ""


@dataclass
class _Running:
    task: PlannedTask
    group: Group
    process: Process
    attempt: int
    log: Path
    news: events.TaskFinished | None = None


class Executor:
    """Runs one plan. `run` blocks; `stop` may be called from a signal handler."""

    def __init__(
        self,
        plan: Plan,
        run_id: str,
        around: Surroundings,
        listeners: Sequence[events.Listener],
        *,
        force: bool = False,
        grace: float = GRACE_SECONDS,
        jitter: random.Random | None = None,
    ) -> None:
        """Prepare.

        Args:
            plan: What to run.
            run_id: The run.
            around: Ledger, commands and pools, behind one interface.
            listeners: Called with every event, in this thread.
            force: Run tasks although they are done.
            grace: Seconds between asking a task to stop and killing it.
            jitter: Randomness of delays.
        """
        self._plan, self._run_id, self._around, self._listeners = plan, run_id, around, listeners
        self._force, self._grace, self._jitter = force, grace, jitter or random.Random()
        self._scheduler = Scheduler(plan.groups, plan.limit)
        self._groups = {group.name: group for group in plan.groups}
        # SimpleQueue.put may be called from a signal handler; Queue.put may not.
        self._inbox: queue.SimpleQueue[tuple[str, Any, Any]] = queue.SimpleQueue()
        self._running: dict[str, _Running] = {}
        self._attempts: dict[str, int] = {}
        self._asked: set[str] = set()
        self._delayed: list[tuple[float, int, PlannedTask]] = []
        self._counter = itertools.count()
        self._failures: list[tuple[str, int, str]] = []
        self._stops = 0

    def stop(self) -> None:
        """Stop everything; a second call kills."""
        self._inbox.put(("stop", None, None))

    def run(self) -> Outcome:
        """Run to the end."""
        begun = time.monotonic()
        tasks = sum(len(group.tasks or ()) for group in self._plan.groups)
        self._tell(events.RunStarted(*self._who, str(self._plan.interval), tasks))
        try:
            self._loop()
        except BaseException:
            for running in self._running.values():
                running.process.kill()
            raise
        return self._outcome(time.monotonic() - begun)

    @property
    def _who(self) -> tuple[str, str]:
        return self._plan.pipeline, self._run_id

    def _tell(self, event: events.Event) -> None:
        for listener in self._listeners:
            listener(event)

    def _loop(self) -> None:
        while True:
            waiting_for_slot = False
            if not self._stops:
                self._advance()
                waiting_for_slot = self._start_ready()
            if not self._running and (self._scheduler.over or self._stops):
                return
            self._receive(self._patience(waiting_for_slot))

    def _patience(self, waiting_for_slot: bool) -> float | None:
        """Seconds to wait for news; None when only news can change anything."""
        if waiting_for_slot:
            return _POLL_SECONDS
        if self._delayed:
            return max(0.0, self._delayed[0][0] - time.monotonic())
        return None

    def _advance(self) -> None:
        while True:
            settled, expand = self._scheduler.advance()
            for name in expand:
                try:
                    outputs = self._around.outputs(self._plan)
                    tasks = self._around.expand(self._plan, self._groups[name], outputs)
                    self._scheduler.expanded(name, tasks)
                except AdeltError as error:
                    settled += self._scheduler.reject(name, str(error.what))
                    self._failures.append((name, error.exit_code, error.what))
            for item in settled:
                self._tell_settled(item)
            reused = self._reuse()
            if not settled and not expand and not reused:
                return

    def _tell_settled(self, item: Settled) -> None:
        state = (
            "FAILED"
            if item.state is State.FAILED
            else "CANCELLED"
            if item.state is State.CANCELLED
            else "SKIPPED"
        )
        self._tell(
            events.TaskFinished(
                *self._who, item.task.id if item.task else item.group, state, message=item.why
            )
        )

    def _reuse(self) -> bool:
        """Leave out tasks that are done, unless what they are built on ran again."""
        found = False
        for task in self._scheduler.candidates():
            if task.id in self._attempts or task.id in self._asked or self._stale(task):
                continue
            self._asked.add(task.id)  # once: who does it meanwhile is found when its process claims it
            if run := self._around.done(task):
                self._scheduler.finished(task.id, State.DONE)
                self._tell(events.TaskFinished(*self._who, task.id, "DONE", message=f"by run {run}"))
                found = True
        return found

    def _stale(self, task: PlannedTask) -> bool:
        return self._force or any(
            self._scheduler.ran(need) for need in self._groups[task.task].needs if need in self._groups
        )

    def _start_ready(self) -> bool:
        """Start what may start; whether something waits for a pool."""
        now = time.monotonic()
        while self._delayed and self._delayed[0][0] <= now:
            heapq.heappop(self._delayed)
        for task in self._scheduler.ready({task.id for _, _, task in self._delayed}):
            if not self._around.take_slot(task):
                return True
            self._start(task)
        return False

    def _start(self, task: PlannedTask) -> None:
        group = self._groups[task.task]
        attempt = self._attempts.get(task.id, 0) + 1
        self._attempts[task.id] = attempt
        command = self._around.command(self._plan, task, attempt, force=self._stale(task))
        process = Process(
            command,
            on_line=lambda line: self._inbox.put(("line", task.id, line)),
            on_end=lambda ended: self._inbox.put(("end", task.id, ended)),
            timeout=group.timeout,
            grace=self._grace,
        )
        self._running[task.id] = _Running(task, group, process, attempt, command.log)
        self._scheduler.started(task.id)
        self._tell(events.TaskStarted(*self._who, task.id, attempt, str(command.log)))
        try:
            process.start()
        except OSError as error:
            command.log.write_text(f"the process could not be started: {error}\n", "utf-8")
            self._inbox.put(("end", task.id, Ended(1, 0.0)))

    def _receive(self, seconds: float | None) -> None:
        try:
            kind, task_id, value = self._inbox.get(timeout=seconds)
        except queue.Empty:
            return
        if kind == "stop":
            self._halt()
        elif kind == "line":
            self._news(task_id, value)
        else:
            self._ended(self._running.pop(task_id), value)

    def _halt(self) -> None:
        self._stops += 1
        for running in self._running.values():
            if self._stops > 1:
                running.process.kill()
            else:
                running.process.stop()
        if self._stops == 1:
            self._delayed.clear()
            for item in self._scheduler.cancel_all():
                self._tell_settled(item)

    def _news(self, task_id: str, line: str) -> None:
        event = events.from_line(line)
        running = self._running.get(task_id)
        if event is None or running is None:
            return
        if isinstance(event, events.TaskFinished) and event.run_id == self._run_id and event.task == task_id:
            running.news = event  # how it ended in its own words; its process must end too
        elif event.run_id == self._run_id:
            self._tell(event)
        else:
            # A pipeline that this task runs: pass it on under this pipeline's name.
            values = {**vars(event), "pipeline": f"{self._plan.pipeline}.{event.pipeline}"}
            self._tell(type(event)(**values))

    def _ended(self, running: _Running, ended: Ended) -> None:
        task, news = running.task, running.news
        self._around.free_slot(task)
        if ended.stopped and (self._stops or self._scheduler.state(task.id) is not State.RUNNING):
            self._finish(running, State.CANCELLED, ended, "stopped")
            return
        if ended.stopped:
            self._finish(running, State.CANCELLED, ended, "stopped because another item failed")
            return
        if ended.exit_code == 0 and not ended.timed_out:
            state = State.DONE if news and news.status == "DONE" else State.SUCCEEDED
            self._finish(running, state, ended, news.message if news else "")
            return
        code = 1 if ended.timed_out else ended.exit_code
        message = _why(running, ended)
        if not self._stops and retry.will_retry(code, running.attempt, running.group.retry):
            seconds = retry.delay(running.attempt, running.group.retry, self._jitter)
            self._tell(events.TaskFinished(*self._who, task.id, "RETRYING", ended.seconds, message, code))
            self._tell(events.TaskRetry(*self._who, task.id, running.attempt, seconds, message))
            self._scheduler.paused(task.id)
            heapq.heappush(self._delayed, (time.monotonic() + seconds, next(self._counter), task))
            return
        self._finish(running, State.FAILED, ended, message)

    def _finish(self, running: _Running, state: State, ended: Ended, message: str) -> None:
        news = running.news
        counted, to_stop = self._scheduler.finished(running.task.id, state)
        if counted is State.FAILED:
            self._failures.append((running.task.id, 1 if ended.timed_out else ended.exit_code, message))
        self._tell(
            events.TaskFinished(
                *self._who,
                running.task.id,
                counted.value,
                ended.seconds,
                message,
                ended.exit_code,
                news.rows if news else None,
                news.bytes if news else None,
                str(running.log),
            )
        )
        for other in to_stop:
            if other.id in self._running:
                self._running[other.id].process.stop()
            else:
                self._scheduler.cancel(other.id)
                self._delayed = [entry for entry in self._delayed if entry[2].id != other.id]
                heapq.heapify(self._delayed)
                self._tell_settled(
                    Settled(
                        other, other.task, State.CANCELLED, f"{running.task.id} failed, and fail_fast is on"
                    )
                )

    def _outcome(self, seconds: float) -> Outcome:
        states = {name: state.value for name, state in self._scheduler.states().items()}
        values = set(states.values())
        if self._stops:
            return Outcome("CANCELLED", 130, seconds, states, "the run was stopped")
        if self._failures:
            codes = {2 if code in retry.PERMANENT else 1 for _, code, _ in self._failures}
            task, _, message = self._failures[0]
            more = f" (and {len(self._failures) - 1} more)" if len(self._failures) > 1 else ""
            return Outcome("FAILED", min(codes), seconds, states, f"{task}: {message}{more}")
        return Outcome("WARNING" if State.WARNING in values else "SUCCEEDED", 0, seconds, states)


def _why(running: _Running, ended: Ended) -> str:
    if ended.timed_out:
        return f"took longer than {running.group.timeout:g} s and was stopped"
    if running.news and running.news.message:
        return running.news.message
    if ended.exit_code < 0:
        return f"was killed by signal {-ended.exit_code}"
    return f"exit code {ended.exit_code}"

"""Which tasks may start: a state machine without I/O, so that it can be tested against random graphs."""

import enum
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from adelt.plan import Group, PlannedTask


class State(enum.StrEnum):
    """Where a task or a group is."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    DONE = "DONE"  # was done before this run
    WARNING = "WARNING"  # failed, and was allowed to
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"  # its condition is false, or what it needs was skipped
    BLOCKED = "BLOCKED"  # what it needs has failed
    CANCELLED = "CANCELLED"


OVER = frozenset(State) - {State.WAITING, State.RUNNING}
GOOD = frozenset({State.SUCCEEDED, State.DONE, State.WARNING})


@dataclass
class _Group:
    plan: Group
    tasks: tuple[PlannedTask, ...] | None
    states: dict[str, State] = field(default_factory=dict)
    verdict: State | None = None  # set when the group does not run at all
    admitted: bool = False

    @property
    def over(self) -> bool:
        return self.verdict is not None or (
            self.admitted and self.tasks is not None and all(state in OVER for state in self.states.values())
        )

    @property
    def state(self) -> State:
        if self.verdict is not None:
            return self.verdict
        states = set(self.states.values())
        for worst in (State.FAILED, State.CANCELLED, State.BLOCKED, State.WARNING):
            if worst in states:
                return worst
        if states <= {State.DONE} and states:
            return State.DONE
        return State.SUCCEEDED


@dataclass(frozen=True)
class Settled:
    """A task that ended without running."""

    task: PlannedTask | None
    group: str
    state: State
    why: str


class Scheduler:
    """Decides what starts next; is told what starts and how it ends."""

    def __init__(self, groups: Sequence[Group], limit: int) -> None:
        """Begin.

        Args:
            groups: Tasks in an order in which they can run.
            limit: Tasks at a time.
        """
        self._limit = limit
        self._groups = {group.name: _Group(group, group.tasks) for group in groups}
        self._of: dict[str, _Group] = {}
        for group in self._groups.values():
            self._enlist(group)

    def _enlist(self, group: _Group) -> None:
        for task in group.tasks or ():
            group.states[task.id] = State.WAITING
            self._of[task.id] = group

    @property
    def running(self) -> int:
        """Tasks that run now."""
        return sum(
            state is State.RUNNING for group in self._groups.values() for state in group.states.values()
        )

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return all(group.over for group in self._groups.values())

    def state(self, task_id: str) -> State:
        """State of a task."""
        return self._of[task_id].states[task_id]

    def states(self) -> dict[str, State]:
        """State of every group."""
        return {name: group.state if group.over else State.WAITING for name, group in self._groups.items()}

    def ran(self, group: str) -> bool:
        """Whether any task of a group ran in this run, so that what was built on it is out of date."""
        found = self._groups[group]
        return found.verdict is None and any(state is not State.DONE for state in found.states.values())

    def advance(self) -> tuple[list[Settled], list[str]]:
        """Let groups in whose needs are over: tasks that end without running, and groups whose items are to be expanded."""
        settled: list[Settled] = []
        expand: list[str] = []
        for name, group in self._groups.items():
            if group.admitted or group.verdict is not None:
                continue
            needs = [self._groups[need] for need in group.plan.needs if need in self._groups]
            if not all(need.over for need in needs):
                continue
            verdict, why = _admission(group.plan, [(need.plan.name, need.state) for need in needs])
            if verdict is not None:
                settled += self._settle(group, verdict, why)
            elif group.tasks is None:
                expand.append(name)
            else:
                group.admitted = True
        return settled, expand

    def _settle(self, group: _Group, verdict: State, why: str) -> list[Settled]:
        group.verdict = verdict
        for task in group.tasks or ():
            group.states[task.id] = verdict
        tasks: Iterable[PlannedTask | None] = group.tasks or (None,)
        return [Settled(task, group.plan.name, verdict, why) for task in tasks]

    def expanded(self, name: str, tasks: tuple[PlannedTask, ...]) -> None:
        """The items of a group are known now."""
        group = self._groups[name]
        group.tasks, group.plan, group.admitted = tasks, replace(group.plan, tasks=tasks), True
        self._enlist(group)

    def reject(self, name: str, why: str) -> list[Settled]:
        """The items of a group cannot be known: it fails."""
        return self._settle(self._groups[name], State.FAILED, why)

    def ready(self, held: Collection[str] = ()) -> list[PlannedTask]:
        """Tasks that may start now, in order, no more than the limits allow.

        Args:
            held: Tasks that wait for something else, such as the delay before a retry.
        """
        free = self._limit - self.running
        found: list[PlannedTask] = []
        for group in self._groups.values():
            if not group.admitted or group.verdict is not None:
                continue
            running = sum(state is State.RUNNING for state in group.states.values())
            room = free if group.plan.concurrency is None else min(free, group.plan.concurrency - running)
            for task in group.tasks or ():
                if room <= 0:
                    break
                if group.states[task.id] is State.WAITING and task.id not in held:
                    found.append(task)
                    room -= 1
                    free -= 1
        return found

    def candidates(self) -> list[PlannedTask]:
        """Tasks whose needs are over and that have not started, limits aside."""
        return [
            task
            for group in self._groups.values()
            if group.admitted and group.verdict is None
            for task in group.tasks or ()
            if group.states[task.id] is State.WAITING
        ]

    def started(self, task_id: str) -> None:
        """A task was started."""
        self._of[task_id].states[task_id] = State.RUNNING

    def paused(self, task_id: str) -> None:
        """A task failed and waits to be tried again."""
        self._of[task_id].states[task_id] = State.WAITING

    def finished(self, task_id: str, state: State) -> tuple[State, list[PlannedTask]]:
        """A task ended: the state it counts with, and tasks to stop because one failure is enough."""
        group = self._of[task_id]
        if state is State.FAILED and group.plan.allow_failure:
            state = State.WARNING
        group.states[task_id] = state
        if state not in (State.FAILED, State.WARNING) or not group.plan.fail_fast:
            return state, []
        return state, [
            task for task in group.tasks or () if group.states[task.id] in (State.WAITING, State.RUNNING)
        ]

    def cancel(self, task_id: str) -> None:
        """A task that waits will not run."""
        self._of[task_id].states[task_id] = State.CANCELLED

    def cancel_all(self) -> list[Settled]:
        """Nothing more will start: every task that waits is cancelled."""
        settled: list[Settled] = []
        for group in self._groups.values():
            if group.verdict is not None:
                continue
            if group.tasks is None:
                settled += self._settle(group, State.CANCELLED, "the run was stopped")
                continue
            group.admitted = True
            for task in group.tasks:
                if group.states[task.id] is State.WAITING:
                    group.states[task.id] = State.CANCELLED
                    settled.append(Settled(task, group.plan.name, State.CANCELLED, "the run was stopped"))
        return settled


def _admission(group: Group, needs: Sequence[tuple[str, State]]) -> tuple[State | None, str]:
    """Whether a group runs (None) or how it ends without, and why.

    A failure anywhere above reaches `if: failure`, because what it blocks on its way is BLOCKED, not SKIPPED.
    """
    if group.skip:
        return State.SKIPPED, group.skip
    if group.condition == "always":
        return None, ""
    bad = [name for name, state in needs if state in (State.FAILED, State.BLOCKED)]
    if group.condition == "failure":
        return (None, "") if bad else (State.SKIPPED, "nothing it needs has failed")
    if bad:
        return State.BLOCKED, f"`{bad[0]}` has failed"
    missing = [(name, state) for name, state in needs if state not in GOOD]
    if missing:
        name, state = missing[0]
        return (
            State.CANCELLED if state is State.CANCELLED else State.SKIPPED
        ), f"`{name}` was {state.lower()}"
    return None, ""

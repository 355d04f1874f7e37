"""Whether a task is to be done, or done already, or another process's; and when its group of pipelines has a place for it."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from adelt import stale
from adelt.engine import new_task
from adelt.ledger import Claimed, Done, Held, Ledger, NewTask
from adelt.lifeline import LIVES_ON_SECONDS
from adelt.plan import Plan, PlannedTask

if TYPE_CHECKING:
    from adelt.taskrun import TaskRequest

_ENDING_SECONDS = 3 * LIVES_ON_SECONDS
_LOOK_SECONDS = 0.5  # between looks at a group whose places are taken


def claimed(
    ledger: Ledger, request: "TaskRequest", made: Plan, task: PlannedTask, whole: PlannedTask, project: Path
) -> "tuple[Claimed | Done | Held, TaskRequest]":
    """Take a task, or find who has done it or does it.

    Args:
        ledger: The ledger.
        request: What is asked for.
        made: The plan of its run.
        task: The task, or the part of it that is asked for.
        whole: The task.
        project: Folder of the project.

    Returns:
        What the ledger says, and the request; it is forced where what the task is built on has been made again.
    """
    both = dict.fromkeys((task.key, whole.key))
    if request.again and any(done.run_id == request.run_id for done in ledger.all_done(both).values()):
        request = replace(request, force=True)
    old = _stale(ledger, request, made, both, project)
    if task.key in old or (request.part and request.part.graph):  # the models may have changed since
        request = replace(request, force=True)
    if task is not whole and not request.force and whole.key not in old:
        done = ledger.done(whole.key)
        if done and not (request.if_changed and done.digest != whole.digest):
            return done, request  # and so is each of its parts
    return _claim(ledger, new_task(made, task, request.run_id), request), request


@contextmanager
def place(
    ledger: Ledger, made: Plan, task: PlannedTask, run_id: str, on_wait: Callable[[str], None]
) -> Iterator[None]:
    """Hold one of the places that pipelines of a group share, for a task that no runner has taken one for.

    Args:
        ledger: The ledger, whose leases are being renewed.
        made: The plan of the run.
        task: The task; one that runs a pipeline needs no place, the tasks of that pipeline do.
        run_id: Its run.
        on_wait: Called once, with why, if all places are taken.
    """
    if made.group is None or task.kind == "pipeline":
        yield
        return
    holder, waiting = f"{run_id}/{task.id}", False
    while not ledger.take_slot(made.group, holder, made.limit):
        if not waiting:
            on_wait(f"all {made.limit} places of group `{made.group}` are taken")
        waiting = True
        time.sleep(_LOOK_SECONDS)
    try:
        yield
    finally:
        ledger.free_slot(made.group, holder)


def _stale(
    ledger: Ledger, request: "TaskRequest", made: Plan, keys: Iterable[str], project: Path
) -> set[str]:
    """Those of the keys that were done before something that they are built on."""
    built = stale.built_on(ledger, request.definition, made, request.task, project)
    return {key for key, done in ledger.all_done(keys).items() if stale.is_stale(done, built)}


def _claim(ledger: Ledger, task: NewTask, request: "TaskRequest") -> Claimed | Done | Held:
    """Take the task, unless it is done or held; who holds it without a runner is about to let go, and is waited for."""
    deadline = time.monotonic() + _ENDING_SECONDS
    while True:
        claim = ledger.claim_task(task, force=request.force, if_changed=request.if_changed)
        if not (isinstance(claim, Held) and claim.ending and time.monotonic() < deadline):
            return claim
        time.sleep(0.1)

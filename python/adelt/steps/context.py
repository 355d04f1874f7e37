"""What a step gets and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adelt.definition import Definition
from adelt.errors import AdeltError, InputError
from adelt.ledger.rows import Operation
from adelt.parts import Part
from adelt.plan import Plan, PlannedTask
from adelt.run.events import Event
from adelt.run.workers import Workers
from adelt.settings import Settings


class StepError(AdeltError):
    """A step did not work this time; operations it has done so far are kept in the history."""

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        fix: str = "",
        exit_code: int = 1,
        operations: tuple[Operation, ...] = (),
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.exit_code = exit_code
        self.operations = operations


class Stopped(BaseException):
    """The task was asked to stop."""


@dataclass(frozen=True)
class Context:
    """One task as its step sees it.

    Attributes:
        settings: Settings.
        definition: The pipeline.
        plan: The plan of the run.
        task: The task.
        action: Its action, filled in.
        env: Its environment variables, filled in.
        run_id: The run.
        attempt: Which try this is.
        stack: Pipelines that run around this one, this one last.
        output: File for the task's outputs.
        progress: Called with phase, message, rows, bytes, total bytes.
        pass_on: Called with events of a pipeline that this task runs.
        clean: Takes secrets out of a text.
        force: The task is done although it was done before: what it runs is, too.
        workers: Workers of the runner around it, for a pipeline that it runs.
        part: The part of a dbt task that is to be done; None is all of it.
    """

    settings: Settings
    definition: Definition
    plan: Plan
    task: PlannedTask
    action: Mapping[str, Any]
    env: Mapping[str, str]
    run_id: str
    attempt: int
    stack: tuple[str, ...]
    output: Path
    progress: Callable[[str, str, int | None, int | None, int | None], None]
    pass_on: Callable[[Event], None]
    clean: Callable[[str], str]
    force: bool = False
    workers: Workers | None = None
    part: Part | None = None

    @property
    def where(self) -> str:
        """Task and interval, for messages."""
        return f"{self.plan.pipeline}.{self.task.id} {self.plan.interval}"

    def tell(self, phase: str, message: str) -> None:
        """News without numbers."""
        self.progress(phase, message, None, None, None)

    def bad(self, what: str, fix: str = "") -> InputError:
        """An error that no retry helps."""
        return InputError(what, where=self.where, fix=fix)


@dataclass(frozen=True)
class StepResult:
    """What a step did.

    Attributes:
        message: One line.
        rows: Rows, where known.
        bytes: Bytes, where known.
        outputs: Outputs of its own; those in the output file come on top.
        operations: What it did to assets.
        metrics: Other numbers.
    """

    message: str = ""
    rows: int | None = None
    bytes: int | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)
    operations: tuple[Operation, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)

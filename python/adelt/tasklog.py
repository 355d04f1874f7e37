"""What a task says: news for its runner, and what is printed, without secrets, for its log."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from adelt import settings
from adelt.redact import CleanStream, Redactor
from adelt.run import events
from adelt.steps.context import StepResult

if TYPE_CHECKING:
    from adelt.taskrun import TaskResult

_NEWS_EVERY = 0.2  # seconds between news of one phase


class Reporter:
    """Writes events to the runner, if there is one."""

    def __init__(self, descriptor: int | None, pipeline: str, run_id: str, task: str) -> None:
        self._descriptor, self._pipeline, self._run_id, self._task = descriptor, pipeline, run_id, task
        self._last: tuple[str, float] = ("", 0.0)
        self._lock = threading.Lock()

    def progress(
        self, phase: str, message: str, rows: int | None, size: int | None, total: int | None
    ) -> None:
        """Tell how far it is; not each time, if it says so often."""
        now = time.monotonic()
        if phase == self._last[0] and now - self._last[1] < _NEWS_EVERY:
            return
        if phase != self._last[0]:
            print(f"{phase}: {message}", flush=True)  # the log keeps one line for each phase
        self._last = (phase, now)
        self._send(
            events.TaskProgress(self._pipeline, self._run_id, self._task, phase, message, rows, size, total)
        )

    def pass_on(self, event: events.Event) -> None:
        """Tell what a runner below has told."""
        if isinstance(event, events.TaskFinished | events.RunWaiting | events.TaskRetry):
            print(events.to_line(event), end="")
        self._send(event)

    def finished(self, result: "TaskResult", done: StepResult) -> None:
        """Tell how it ended."""
        self._send(
            events.TaskFinished(
                self._pipeline, self._run_id, self._task, result.status,
                message=result.message, exit_code=result.exit_code, rows=done.rows, bytes=done.bytes, log=result.log,
            )
        )  # fmt: skip

    def _send(self, event: events.Event) -> None:
        if self._descriptor is None:
            return
        data = events.to_line(event).encode()
        with self._lock, contextlib.suppress(OSError):  # a runner that has gone does not matter to the task
            while data:
                data = data[os.write(self._descriptor, data) :]


class Clean:
    """The redactor of this task; it learns secrets as they are read."""

    def __init__(self, redactor: Redactor) -> None:
        self.redactor = redactor
        self._values: list[str] = settings.secret_values()

    def learn(self, values: Any) -> None:
        """Clean these from now on, too."""
        self._values += [str(value) for value in values]
        self.redactor = Redactor(self._values)


class _Forward:
    """Gives `CleanStream` the redactor as it is now."""

    def __init__(self, clean: Clean) -> None:
        self._clean = clean

    def clean(self, text: str) -> str:
        return self._clean.redactor.clean(text)


@contextmanager
def logging(redactor: Redactor, log: Path, *, tee: bool) -> Iterator[Clean]:
    """Send what is printed, cleaned of secrets, to the output and, without a runner, to the log file as well."""
    clean = Clean(redactor)
    before = sys.stdout, sys.stderr
    with contextlib.ExitStack() as stack:
        sinks: list[TextIO] = []
        if tee:
            log.parent.mkdir(parents=True, exist_ok=True)
            sinks.append(stack.enter_context(log.open("a", encoding="utf-8")))
        forward = cast(Redactor, _Forward(clean))
        out = CleanStream(forward, before[0], *sinks)
        err = CleanStream(forward, before[1], *sinks)
        sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
        try:
            yield clean
        finally:
            out.finish()
            err.finish()
            sys.stdout, sys.stderr = before

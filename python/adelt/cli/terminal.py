"""Events of runs on the terminal: a live table, or plain lines where there is no terminal."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO

from adelt.cli.output import human_bytes, human_seconds
from adelt.cli.progress import Rate, describe
from adelt.run import events

_LINE_EVERY = 10.0  # seconds between plain lines about one task
_MARKS = {"SUCCEEDED": "✓", "DONE": "=", "WARNING": "!", "FAILED": "✗", "SKIPPED": "-", "CANCELLED": "■"}
_STYLES = {"SUCCEEDED": "green", "DONE": "dim", "WARNING": "yellow", "FAILED": "red", "CANCELLED": "yellow"}


@contextmanager
def watching(*, quiet: bool = False) -> Iterator[events.Listener]:
    """Show events while the block runs.

    Args:
        quiet: Show nothing.
    """
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _Live() as live:
            yield live
    else:
        yield Lines(sys.stderr)


class Lines:
    """Events as plain lines."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to `out`."""
        self._out, self._clock = out, clock
        self._last: dict[str, tuple[str, float]] = {}
        self._rates: dict[str, Rate] = {}

    def __call__(self, event: events.Event) -> None:
        """Show one event."""
        if isinstance(event, events.TaskProgress):
            self._progress(event)
        elif text := line(event):
            print(text, file=self._out, flush=True)

    def _progress(self, event: events.TaskProgress) -> None:
        name, now = f"{event.pipeline}.{event.task}", self._clock()
        phase, since = self._last.get(name, ("", float("-inf")))
        rate = self._rates.setdefault(name, Rate()).update(event.phase, event.bytes)
        # A phase that is over within seconds is not worth a line; one that lasts gets one now and then.
        if phase != event.phase:
            self._last[name] = (event.phase, now)
            if event.phase != "wait":
                return
        elif now - since < _LINE_EVERY:
            return
        self._last[name] = (event.phase, now)
        news = describe(event.phase, event.message, event.rows, event.bytes, event.total_bytes, rate)
        print(f"  {name}: {news}", file=self._out, flush=True)


def line(event: events.Event) -> str:
    """An event as one line; empty if it is not worth one."""
    match event:
        case events.RunStarted():
            return f"{event.pipeline} {event.interval}: {event.tasks} task{'s' * (event.tasks != 1)}, run {event.run_id}"
        case events.RunWaiting():
            return f"{event.pipeline}: waiting: {event.message}"
        case events.RunFinished():
            tail = f": {event.message}" if event.message else ""
            return f"{event.pipeline}: {event.status.lower()} in {human_seconds(event.seconds)}{tail}"
        case events.RunTold():
            said = f"could not tell {event.whom}: {event.error}" if event.error else f"told {event.whom}"
            return f"{event.pipeline}: {said}"
        case events.TaskRetry():
            again = f"try {event.attempt} failed, again in {human_seconds(event.delay)}"
            return f"  {event.pipeline}.{event.task}: {again}: {event.message}"
        case events.TaskFinished() if event.status != "RETRYING":
            return f"  {_MARKS.get(event.status, ' ')} {finished(event)}"
    return ""


def finished(event: events.TaskFinished) -> str:
    """The end of a task in one line."""
    parts = [f"{event.pipeline}.{event.task}: {event.status.lower()}"]
    if event.seconds:
        parts.append(human_seconds(event.seconds))
    if event.bytes:
        parts.append(human_bytes(event.bytes))
    text = ", ".join(parts)
    if event.message:
        text += f": {event.message}"
    if event.status == "FAILED" and event.log:
        text += f"\n    log {event.log}"
    return text


@dataclass
class _Row:
    """A running task on the live table."""

    name: str
    attempt: int
    since: float
    news: str = "starting"
    rate: Rate = field(default_factory=Rate)


class _Live:
    """Events above a table of what runs now."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self._text = Text
        self._console = Console(stderr=True)
        self._rows: dict[str, _Row] = {}
        self._lock = threading.Lock()
        self._live = Live(
            console=self._console, get_renderable=self._table, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> "_Live":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, event: events.Event) -> None:
        name = f"{event.pipeline}.{getattr(event, 'task', '')}"
        with self._lock:
            if isinstance(event, events.TaskStarted):
                self._rows[name] = _Row(name, event.attempt, time.monotonic())
            elif isinstance(event, events.TaskFinished):
                self._rows.pop(name, None)
            elif isinstance(event, events.TaskProgress) and name in self._rows:
                row = self._rows[name]
                rate = row.rate.update(event.phase, event.bytes)
                row.news = describe(
                    event.phase, event.message, event.rows, event.bytes, event.total_bytes, rate
                )
        if text := line(event):
            # Not print(style=...): that would colour the live table as well.
            self._console.print(self._text(text, style=_STYLES.get(getattr(event, "status", ""), "")))

    def _table(self) -> Any:
        from rich.spinner import Spinner
        from rich.table import Table

        table = Table.grid(padding=(0, 1))
        with self._lock:
            rows = list(self._rows.values())
        for row in rows:
            took = human_seconds(time.monotonic() - row.since)
            again = f" (try {row.attempt})" if row.attempt > 1 else ""
            table.add_row(
                Spinner("dots"),
                self._text(row.name + again),
                self._text(took, style="dim"),
                self._text(row.news, style="dim"),
            )
        return table

"""What the executor tells: the ledger, the terminal and an enclosing run listen."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """Something happened.

    Attributes:
        pipeline: Pipeline it happened in; `daily.cm360` when `daily` runs `cm360`.
        run_id: Its run.
    """

    pipeline: str
    run_id: str


@dataclass(frozen=True)
class RunStarted(Event):
    """A run begins."""

    interval: str
    tasks: int


@dataclass(frozen=True)
class RunWaiting(Event):
    """A run cannot begin yet."""

    message: str


@dataclass(frozen=True)
class RunFinished(Event):
    """A run is over."""

    status: str
    seconds: float
    message: str = ""


@dataclass(frozen=True)
class RunTold(Event):
    """Somebody was told how a run ended, or could not be."""

    whom: str
    error: str = ""


@dataclass(frozen=True)
class TaskStarted(Event):
    """A task's process was started."""

    task: str
    attempt: int
    log: str


@dataclass(frozen=True)
class TaskProgress(Event):
    """News from a running task."""

    task: str
    phase: str
    message: str
    rows: int | None = None
    bytes: int | None = None
    total_bytes: int | None = None


@dataclass(frozen=True)
class TaskRetry(Event):
    """A task failed and will be tried again."""

    task: str
    attempt: int
    delay: float
    message: str


@dataclass(frozen=True)
class TaskFinished(Event):
    """A task is over: SUCCEEDED, DONE (before), WARNING, FAILED, SKIPPED or CANCELLED."""

    task: str
    status: str
    seconds: float = 0.0
    message: str = ""
    exit_code: int | None = None
    rows: int | None = None
    bytes: int | None = None
    log: str = ""


Listener = Callable[[Event], None]

_KINDS = {
    kind.__name__: kind
    for kind in (
        RunStarted,
        RunWaiting,
        RunFinished,
        RunTold,
        TaskStarted,
        TaskProgress,
        TaskRetry,
        TaskFinished,
    )
}


def to_line(event: Event) -> str:
    """An event as one line of JSON."""
    return json.dumps({"event": type(event).__name__, **asdict(event)}) + "\n"


def from_line(line: str) -> Event | None:
    """Read a line; None if it is no event (a program may write what it likes)."""
    try:
        raw: dict[str, Any] = json.loads(line)
        return _KINDS[raw.pop("event")](**raw)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None

"""What an engine elsewhere must be able to do for a backfill."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from adelt.backfill.plan import PlannedChunk
from adelt.errors import AdeltError

ENDED = ("SUCCEEDED", "WARNING", "FAILED", "CANCELLED")


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """Waiting was cut short, because the backfill is to stop."""


@dataclass(frozen=True)
class RunState:
    """What has become of a run.

    Attributes:
        status: RUNNING, SUCCEEDED, WARNING, FAILED or CANCELLED.
        message: What went wrong, in one line.
        seconds: How long it has taken, if the engine says so.
    """

    status: str
    message: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class Order:
    """A chunk to start.

    Attributes:
        chunk: The chunk.
        backfill: The backfill it belongs to.
        attempt: How many times it has been begun, with this one.
        begun_at: When this attempt was noted in the ledger, before anything was sent; ISO 8601.
        taken: Whether a run is known to be that of another attempt or chunk.
    """

    chunk: PlannedChunk
    backfill: str
    attempt: int
    begun_at: str
    taken: Callable[[str], bool]


class Engine(Protocol):
    """A deployment that runs pipelines; what it cannot do raises an AdeltError.

    Attributes:
        place: What "done" refers to, such as `airflow:https://airflow.example.com`.
        knows_all: Whether a run that `find` does not find was surely not started.
    """

    @property
    def place(self) -> str: ...  # noqa: D102

    @property
    def knows_all(self) -> bool: ...  # noqa: D102

    def check(self, chunks: Sequence[PlannedChunk]) -> list[AdeltError]:
        """Everything that speaks against starting these chunks; nothing is changed."""

    def start(self, order: Order) -> str:
        """Start a run, and give its id; raises LostError when it is not known whether it was started."""

    def find(self, order: Order) -> str | None:
        """The run of an order that may have been started; None if none is found."""

    def states(self, runs: Mapping[str, str]) -> dict[str, RunState]:
        """States of runs, given as their ids with the pipeline of each."""

"""Reports take time: each is written by a worker and shows its state by a clock of real seconds."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass

from adelt_sandbox.spool import Spooled

QUEUED, RUNNING, DONE, FAILED = "QUEUED", "RUNNING", "DONE", "FAILED"


@dataclass
class Job:
    """One report being made.

    Attributes:
        started: Real instant of the request, in seconds.
        seconds: Real seconds until it may be done.
        doomed: True if it ends as FAILED whatever happens.
        work: The file, or the error, once the worker is finished.
    """

    started: float
    seconds: float
    doomed: bool
    work: "Future[Spooled]"

    @property
    def state(self) -> str:
        """QUEUED for the first part of its time, then RUNNING, then DONE or FAILED."""
        age = time.monotonic() - self.started
        if age < self.seconds * 0.3:
            return QUEUED
        if age < self.seconds or not self.work.done():
            return RUNNING
        return FAILED if self.doomed or self.work.exception() else DONE

    @property
    def file(self) -> Spooled:
        """The finished file."""
        return self.work.result()

    def wait(self) -> None:
        """Block until the report is done, for synchronous runs."""
        self.work.exception()
        time.sleep(max(0.0, self.started + self.seconds - time.monotonic()))


class Jobs:
    """Runs reports on a few workers and tells `on_error` about those that break."""

    def __init__(self, seconds: float, on_error: Callable[[str], None]) -> None:
        self.seconds = seconds
        self._on_error = on_error
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="report")
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._last_id = 0

    def start(self, make: Callable[[], Spooled], *, extra_seconds: float = 0.0, doomed: bool = False) -> Job:
        """Begin a report; `make` writes its file."""

        def work() -> Spooled:
            try:
                return make()
            except Exception as error:
                self._on_error(f"report failed: {type(error).__name__}: {error}")
                raise

        return Job(time.monotonic(), self.seconds + extra_seconds, doomed, self._pool.submit(work))

    def next_id(self) -> int:
        """The next id for a query, report or file; they only grow."""
        with self._lock:
            self._last_id += 1
            return 1_100_000_000 + self._last_id

    def until_stopped(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass chunks on until the sandbox stops, so that a long report does not hold it up."""
        for chunk in chunks:
            if self._stopping.is_set():
                raise CancelledError("the sandbox is stopping")
            yield chunk

    def close(self) -> None:
        """Forget work that has not begun and break off the rest."""
        self._stopping.set()
        self._pool.shutdown(wait=False, cancel_futures=True)


def remove_result(work: "Future[Spooled]") -> None:
    """Delete the file of a report that nobody can ask for any more."""
    if not work.cancelled() and not work.exception():
        work.result().path.unlink(missing_ok=True)

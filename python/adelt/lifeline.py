"""How a task ends before it is done: it is stopped, or its runner dies."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from adelt.settings import Handover
from adelt.steps.context import Stopped

LIVES_ON_SECONDS = 5.0  # without its runner, to end in good order


@contextmanager
def stoppable(handover: Handover) -> Iterator[threading.Event]:
    """Turn SIGTERM, and the death of the runner, into `Stopped`; gives whether the runner has died."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stopped

    runner_died = threading.Event()
    before = signal.signal(signal.SIGTERM, stop)
    if handover.lifeline is not None:
        threading.Thread(target=_follow, args=(handover.lifeline, runner_died), daemon=True).start()
    try:
        yield runner_died
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN if handover.lifeline is not None else before)


def _follow(lifeline: int, runner_died: threading.Event) -> None:
    """Stop this process and its group when the runner dies; the runner made the group for this task."""
    with contextlib.suppress(OSError):
        os.read(lifeline, 1)
    runner_died.set()
    group = os.getpgrp()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
    time.sleep(LIVES_ON_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)

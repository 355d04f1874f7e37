"""Progress of one ingest in this process: a live line on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from adelt.cli.output import human_bytes

_LINE_EVERY = 5.0  # seconds between plain lines of one phase


def describe(
    phase: str, message: str, rows: int | None, size: int | None, total: int | None, rate: float | None
) -> str:
    """One line of news: what, how much, how fast."""
    parts = [message or phase]
    if rows is not None and "rows" not in message:
        parts.append(f"{rows:,} rows")
    if size is not None:
        parts.append(human_bytes(size) + (f" of {human_bytes(total)}" if total else ""))
    if rate:
        parts.append(f"{human_bytes(rate)}/s")
    return ", ".join(parts)


class Rate:
    """Bytes per second of the current phase."""

    def __init__(self) -> None:
        self._phase, self._since, self._first = "", 0.0, 0

    def update(self, phase: str, size: int | None) -> float | None:
        """The rate so far; None while there is nothing to tell."""
        now = time.monotonic()
        if phase != self._phase or size is None or size < self._first:
            self._phase, self._since, self._first = phase, now, size or 0
            return None
        seconds = now - self._since
        return (size - self._first) / seconds if seconds > 0.5 and size > self._first else None


@contextmanager
def single(title: str, *, quiet: bool = False) -> Iterator[Callable[[Any], None]]:
    """Show the progress of one task while the block runs.

    Args:
        title: What runs.
        quiet: Show nothing.
    """
    rate = Rate()
    if quiet:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        last: list[Any] = ["", 0.0]

        def line(news: Any) -> None:
            speed = rate.update(news.phase, news.bytes)
            now = time.monotonic()
            if news.phase != last[0] or now - last[1] >= _LINE_EVERY:
                last[:] = [news.phase, now]
                text = describe(news.phase, news.message, news.rows, news.bytes, news.total_bytes, speed)
                print(f"{title}: {text}", file=sys.stderr, flush=True)

        yield line
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(escape(title)) as status:

        def live(news: Any) -> None:
            speed = rate.update(news.phase, news.bytes)
            text = describe(news.phase, news.message, news.rows, news.bytes, news.total_bytes, speed)
            status.update(escape(f"{title}: {text}"))

        yield live

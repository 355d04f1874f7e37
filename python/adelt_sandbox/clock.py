"""The sandbox's own time: it stands still until somebody moves it."""

import threading
from datetime import UTC, datetime, timedelta


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 instant as aware UTC; a time without a zone is taken as UTC."""
    value = datetime.fromisoformat(text)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def format_instant(value: datetime) -> str:
    """RFC 3339 in UTC, as google-datetime fields are written."""
    text = value.astimezone(UTC).isoformat(timespec="microseconds" if value.microsecond else "seconds")
    return text.replace("+00:00", "Z")


class Clock:
    """A virtual clock: `now` is what the sandbox believes; only `set` and `advance` move it."""

    def __init__(self, now: datetime) -> None:
        self._now = now.astimezone(UTC)
        self._lock = threading.Lock()

    @property
    def now(self) -> datetime:
        """The current virtual instant (UTC)."""
        with self._lock:
            return self._now

    def set(self, now: datetime) -> datetime:
        """Move the clock to an instant, forwards or backwards."""
        with self._lock:
            self._now = now.astimezone(UTC)
            return self._now

    def advance(self, seconds: float) -> datetime:
        """Move the clock by some seconds."""
        with self._lock:
            self._now += timedelta(seconds=seconds)
            return self._now

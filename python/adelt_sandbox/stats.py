"""Counts of what was asked and a record of the sandbox's own mistakes."""

import threading
from collections import Counter
from typing import Any

KEPT = 200


class Stats:
    """Request counts by API, method and status; problems are bugs of the sandbox itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._bytes = 0
        self._problems: list[str] = []

    def count(self, api: str, method: str, status: int, size: int) -> None:
        """Count one answered request."""
        with self._lock:
            self._requests[api, method, status] += 1
            self._bytes += size

    def problem(self, text: str) -> None:
        """Record something that must not happen."""
        with self._lock:
            self._problems = [*self._problems, text][-KEPT:]

    def state(self) -> dict[str, Any]:
        """Everything counted so far."""
        with self._lock:
            by_api: Counter[str] = Counter()
            for (api, _, _), count in self._requests.items():
                by_api[api] += count
            return {
                "requests": sum(self._requests.values()),
                "bytes": self._bytes,
                "by_api": dict(by_api),
                "by_method": [
                    {"api": api, "method": method, "status": status, "count": count}
                    for (api, method, status), count in sorted(self._requests.items())
                ],
                "problems": list(self._problems),
            }

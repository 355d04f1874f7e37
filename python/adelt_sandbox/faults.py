"""Faults on purpose: a schedule says which requests go wrong and how, and replays exactly.

A schedule is a list of entries such as

    {"match": {"api": "dfareporting", "method": "GET", "path": "/files/"}, "nth": 2, "fault": "reset"}

`nth` (a number or a list, counted over the requests that match the entry), `every` (every n-th) or
`probability` (drawn from the seed and the count, so the same requests fail in every replay) says when;
without any of them every matching request is hit. `times` limits how often an entry fires.
"""

import hashlib
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from adelt_sandbox.errors import GoogleError, bad_field
from adelt_sandbox.http import Reply, error_reply, json_reply

FAULTS: dict[str, frozenset[str]] = {
    "quota_rate": frozenset({"status", "retry_after"}),
    "quota_daily": frozenset(),
    "http": frozenset({"status", "retry_after"}),
    "reset": frozenset({"after_bytes"}),
    "truncate": frozenset({"keep_bytes", "drop_bytes", "keep_length"}),
    "delay": frozenset({"seconds"}),
    "slow_report": frozenset({"seconds"}),
    "failed_report": frozenset(),
    "duplicate_file": frozenset(),
    "clock": frozenset({"offset_seconds"}),
}
_COMMON = frozenset({"match", "nth", "every", "probability", "times", "fault"})
_MATCH = frozenset({"api", "method", "path"})


@dataclass(frozen=True)
class Effect:
    """What happens to one request; the default is nothing.

    Attributes:
        reply: Sent instead of an answer.
        reset_after: Bytes of the body after which the connection is reset.
        cut_at: Bytes of the body that are sent; the rest never comes.
        cut_from_end: Bytes missing at the end of the body.
        honest_length: True if Content-Length matches a cut body, so that nothing tells the client.
        delay: Real seconds before the answer.
        report_seconds: Real seconds a report takes longer.
        report_fails: True if the report ends as FAILED.
        duplicate: True if the last item of a list is listed twice.
        clock_offset: Seconds by which the Date header of the answer is wrong.
    """

    reply: Reply | None = None
    reset_after: int | None = None
    cut_at: int | None = None
    cut_from_end: int | None = None
    honest_length: bool = False
    delay: float = 0.0
    report_seconds: float = 0.0
    report_fails: bool = False
    duplicate: bool = False
    clock_offset: float = 0.0


@dataclass
class _Entry:
    raw: dict[str, Any]
    path: re.Pattern[str]
    seen: int = 0
    fired: int = 0


@dataclass
class Schedule:
    """The faults in force and a record of those that happened."""

    seed: int
    entries: list[_Entry] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _requests: int = 0

    def load(self, document: Any, seed: int | None = None) -> int:
        """Put a schedule in force in place of the one before; returns the number of entries."""
        if isinstance(document, Mapping):
            seed = document.get("seed", seed)
            document = document.get("faults")
        if not isinstance(document, list):
            raise bad_field("faults", "A fault schedule is a list of entries, or {seed, faults: [...]}.")
        entries = [_entry(index, raw) for index, raw in enumerate(document)]
        with self._lock:
            if seed is not None:
                self.seed = int(seed)
            self.entries, self.log, self._requests = entries, [], 0
        return len(entries)

    def clear(self) -> None:
        """No faults any more."""
        self.load([])

    def state(self) -> dict[str, Any]:
        """The schedule with its counters and everything that fired so far."""
        with self._lock:
            return {
                "seed": self.seed,
                "faults": [{**entry.raw, "seen": entry.seen, "fired": entry.fired} for entry in self.entries],
                "fired": list(self.log),
            }

    def effect(self, api: str, method: str, path: str) -> Effect:
        """What happens to a request; counts it for every entry that it matches."""
        effect = Effect()
        with self._lock:
            self._requests += 1
            for index, entry in enumerate(self.entries):
                if not self._fires(index, entry, api, method, path):
                    continue
                self.log.append(
                    {
                        "request": self._requests,
                        "entry": index,
                        "fault": entry.raw["fault"],
                        "method": method,
                        "path": path,
                        "api": api,
                    }
                )
                effect = _combined(effect, entry.raw)
        return effect

    def _fires(self, index: int, entry: _Entry, api: str, method: str, path: str) -> bool:
        match = entry.raw.get("match", {})
        if match.get("api", api) != api or match.get("method", method).upper() != method:
            return False
        if not entry.path.search(path):
            return False
        entry.seen += 1
        raw = entry.raw
        if entry.fired >= raw.get("times", entry.fired + 1):
            return False
        if "nth" in raw:
            wanted = raw["nth"] if isinstance(raw["nth"], list) else [raw["nth"]]
            hit = entry.seen in wanted
        elif "every" in raw:
            hit = entry.seen % raw["every"] == 0
        elif "probability" in raw:
            digest = hashlib.sha256(f"{self.seed}|{index}|{entry.seen}".encode()).digest()
            hit = int.from_bytes(digest[:8], "big") / 2**64 < raw["probability"]
        else:
            hit = True
        entry.fired += hit
        return hit


def _entry(index: int, raw: Any) -> _Entry:
    where = f"faults[{index}]"
    if not isinstance(raw, Mapping) or raw.get("fault") not in FAULTS:
        raise bad_field(where, f"{where}: `fault` must be one of {', '.join(FAULTS)}.")
    unknown = set(raw) - _COMMON - FAULTS[raw["fault"]]
    if unknown:
        raise bad_field(where, f"{where}: unknown key {', '.join(sorted(unknown))}.")
    match = raw.get("match", {})
    if not isinstance(match, Mapping) or set(match) - _MATCH:
        raise bad_field(where, f"{where}.match: only {', '.join(sorted(_MATCH))} are known.")
    if len({"nth", "every", "probability"} & set(raw)) > 1:
        raise bad_field(where, f"{where}: give one of nth, every and probability.")
    if not isinstance(raw.get("every", 1), int) or raw.get("every", 1) < 1:
        raise bad_field(where, f"{where}.every must be a whole number from 1.")
    try:
        path = re.compile(str(match.get("path", "")))
    except re.error as error:
        raise bad_field(where, f"{where}.match.path is not a regular expression: {error}") from None
    return _Entry(dict(raw), path)


def _combined(effect: Effect, raw: Mapping[str, Any]) -> Effect:
    kind = raw["fault"]
    if kind == "quota_rate":
        return replace(effect, reply=_quota_rate(int(raw.get("status", 429)), raw.get("retry_after")))
    if kind == "quota_daily":
        return replace(effect, reply=_quota_daily())
    if kind == "http":
        return replace(effect, reply=_http(int(raw.get("status", 503)), raw.get("retry_after")))
    if kind == "reset":
        return replace(effect, reset_after=int(raw.get("after_bytes", 1000)))
    if kind == "truncate":
        return replace(
            effect,
            cut_at=int(raw["keep_bytes"]) if "keep_bytes" in raw else None,
            cut_from_end=int(raw.get("drop_bytes", 1)) if "keep_bytes" not in raw else None,
            honest_length=not raw.get("keep_length", False),
        )
    if kind == "delay":
        return replace(effect, delay=float(raw.get("seconds", 1)))
    if kind == "slow_report":
        return replace(effect, report_seconds=float(raw.get("seconds", 5)))
    if kind == "failed_report":
        return replace(effect, report_fails=True)
    if kind == "clock":
        return replace(effect, clock_offset=float(raw.get("offset_seconds", 600)))
    return replace(effect, duplicate=True)


def _retry(retry_after: Any) -> dict[str, str]:
    return {} if retry_after is None else {"Retry-After": str(retry_after)}


def _quota_rate(status: int, retry_after: Any) -> Reply:
    if status == 403:
        error = GoogleError(
            403,
            "User Rate Limit Exceeded. Rate of requests for user exceed configured project quota, you may consider "
            "re-evaluating expected per-user traffic to the API and adjust project quota limits accordingly.",
            reason="userRateLimitExceeded",
            domain="usageLimits",
            headers=_retry(retry_after),
        )
    else:
        error = GoogleError(
            status,
            "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute per user'.",
            reason="rateLimitExceeded",
            domain="usageLimits",
            details=[
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "RATE_LIMIT_EXCEEDED",
                    "domain": "googleapis.com",
                }
            ],
            headers=_retry(retry_after),
        )
    return error_reply(error)


def _quota_daily() -> Reply:
    return error_reply(
        GoogleError(
            403,
            "Daily Limit Exceeded. The quota will be reset at midnight Pacific Time (PT).",
            reason="dailyLimitExceeded",
            domain="usageLimits",
        )
    )


def _http(status: int, retry_after: Any) -> Reply:
    messages = {500: "Internal error encountered.", 503: "The service is currently unavailable."}
    error = GoogleError(status, messages.get(status, "Error on purpose."), headers=_retry(retry_after))
    return json_reply(error.document(), status, error.headers)

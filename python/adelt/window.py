"""Time: half-open intervals of days, durations, and how a pipeline's clock divides a range."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from adelt.errors import InputError

Every = Literal["day", "week", "month"]

_DURATION = re.compile(r"(\d+)(s|m|h|d)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION_PATTERN = r"^(\d+(s|m|h|d))+$"


@dataclass(frozen=True, order=True)
class Interval:
    """Days from `start` up to, but not including, `end`.

    Attributes:
        start: First day.
        end: Day after the last day.
    """

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise InputError(
                f"the interval ends ({self.end}) before or when it begins ({self.start})",
                fix=f"an interval is half-open; one day is {self.start}/{self.start + timedelta(days=1)}",
            )

    def __str__(self) -> str:
        return f"{self.start}/{self.end}"

    @property
    def last_day(self) -> date:
        """Last day that belongs to the interval."""
        return self.end - timedelta(days=1)

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.end - self.start).days

    def extended(self, lookback: timedelta) -> "Interval":
        """The interval with more days before it, which are asked for again."""
        try:
            return Interval(self.start - timedelta(days=lookback.days), self.end)
        except OverflowError as error:
            raise InputError(f"a look-back of {lookback.days} days leaves the calendar") from error


def parse_day(text: str, where: str = "") -> date:
    """Read `2026-01-31`.

    Raises:
        InputError: It is not a day.
    """
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text.strip()):
            raise ValueError(text)
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise InputError(
            f"`{text}` is not a day", where=where, fix="write it as YYYY-MM-DD, like 2026-01-31"
        ) from error


def parse_interval(text: str, where: str = "") -> Interval:
    """Read `2026-01-01/2026-01-02`: the first day, and the day after the last.

    Raises:
        InputError: It is not an interval.
    """
    start, slash, end = text.partition("/")
    if not slash:
        raise InputError(
            f"`{text}` is not an interval",
            where=where,
            fix="write START/END, END not included, like 2026-01-01/2026-01-02",
        )
    return Interval(parse_day(start, where), parse_day(end, where))


def parse_instant(text: str, where: str = "") -> datetime:
    """Read an instant such as `2026-01-02T05:00:00+01:00`; a zone in brackets behind it is left out.

    Raises:
        InputError: It is not an instant.
    """
    try:
        return datetime.fromisoformat(re.sub(r"\[[^\]]*\]$", "", text.strip()))
    except ValueError as error:
        raise InputError(
            f"`{text}` is not an instant", where=where, fix="write it like 2026-01-02T05:00:00+01:00"
        ) from error


def parse_duration(text: str) -> timedelta:
    """Read `30s`, `5m`, `2h`, `7d` or a sum of them such as `1h30m`.

    Raises:
        InputError: It is not a duration.
    """
    if not re.fullmatch(DURATION_PATTERN, text):
        raise InputError(f"`{text}` is not a duration", fix="write it like 30s, 5m, 2h or 7d")
    try:
        return timedelta(seconds=sum(int(n) * _UNITS[unit] for n, unit in _DURATION.findall(text)))
    except OverflowError as error:
        raise InputError(f"`{text}` is too long a duration", fix="write it like 30s, 5m, 2h or 7d") from error


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads back."""
    left, text = int(duration.total_seconds()), ""
    for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, seconds)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def split(first: date, last: date, every: Every) -> list[Interval]:
    """The intervals that cover `first` to `last`, both included, on the boundaries of `every`.

    Raises:
        InputError: The last day is before the first.
    """
    if last < first:
        raise InputError(
            f"the last day ({last}) is before the first ({first})", fix="swap them; both days are included"
        )
    return list(_intervals(first, last, every))


def interval_of(day: date, every: Every) -> Interval:
    """The interval of `every` that holds a day; weeks begin on Monday."""
    if every == "day":
        return Interval(day, day + timedelta(days=1))
    if every == "week":
        start = day - timedelta(days=day.weekday())
        return Interval(start, start + timedelta(days=7))
    start = day.replace(day=1)
    return Interval(start, (start + timedelta(days=31)).replace(day=1))


def latest_complete(today: date, every: Every) -> Interval:
    """The last interval that was over when `today` began."""
    return interval_of(interval_of(today, every).start - timedelta(days=1), every)


def _intervals(first: date, last: date, every: Every) -> Iterator[Interval]:
    day = first
    while day <= last:
        interval = interval_of(day, every)
        yield interval
        day = interval.end

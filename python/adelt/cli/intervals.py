"""Which intervals a command is for: the only place where the clock decides anything, and only when nothing is said."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from adelt import window
from adelt.errors import InputError
from adelt.window import Interval

if TYPE_CHECKING:  # pydantic would cost --help 0.2 s
    from adelt.definition.model import Pipeline

IntervalOption = Annotated[
    str | None, typer.Option("--interval", help="START/END, END not included: 2026-01-01/2026-01-02.")
]
DateOption = Annotated[str | None, typer.Option("--date", help="The interval that holds this day.")]
FromOption = Annotated[str | None, typer.Option("--from", help="First day; one run for each interval.")]
ToOption = Annotated[str | None, typer.Option("--to", help="Last day, included.")]


def days(first: str, last: str, where: str) -> Interval:
    """The days from --from to --to, both included.

    Raises:
        InputError: One is no day, or they are the wrong way round.
    """
    start, end = window.parse_day(first, "--from"), window.parse_day(last, "--to")
    if end < start:
        raise InputError(
            f"the last day ({end}) is before the first ({start})",
            where=where,
            fix="swap --from and --to; both days are included",
        )
    return Interval(start, end + timedelta(days=1))


def intervals(
    pipeline: "Pipeline", interval: str | None, day: str | None, first: str | None, last: str | None
) -> list[Interval]:
    """The intervals that the options name; without options the last one that is over.

    Raises:
        InputError: Options contradict each other or are no days.
    """
    given = [
        name
        for name, value in (("--interval", interval), ("--date", day), ("--from", first or last))
        if value
    ]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} exclude each other", fix="give one of them")
    every = pipeline.interval.every
    if interval:
        return [window.parse_interval(interval, "--interval")]
    if day:
        return [window.interval_of(window.parse_day(day, "--date"), every)]
    if first or last:
        if not (first and last):
            raise InputError("--from and --to belong together", fix="give both; both days are included")
        return window.split(window.parse_day(first, "--from"), window.parse_day(last, "--to"), every)
    return [window.latest_complete(datetime.now(UTC).date(), every)]


def task_interval(pipeline: "Pipeline", interval: str | None, at: str | None) -> Interval:
    """The interval of one task: what is said, or the last one that was over on the day of an instant.

    The day is that of the text as written, in its own time zone: an engine writes the instant in the zone of its schedule.
    An interval may stand in the place of the instant: the flows of engines have one input for both.

    Raises:
        InputError: Neither is given, or one is not what it must be.
    """
    if interval:
        return window.parse_interval(interval, "--interval")
    if at and "/" in at.partition("[")[0]:  # a zone may stand in brackets: [Europe/Paris]
        return window.parse_interval(at, "--at")
    if at:
        return window.latest_complete(window.parse_instant(at, "--at").date(), pipeline.interval.every)
    raise InputError("no interval is given", fix="add --interval START/END, or --at INSTANT")

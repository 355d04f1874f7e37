"""Intervals, durations, and how a range is divided."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adelt.errors import InputError
from adelt.window import (
    Interval,
    format_duration,
    interval_of,
    latest_complete,
    parse_day,
    parse_duration,
    parse_interval,
    split,
)

DAYS = st.dates(date(2000, 1, 1), date(2100, 1, 1))


def test_an_interval_does_not_hold_its_end():
    interval = parse_interval("2026-01-01/2026-01-03")
    assert (interval.start, interval.end, interval.last_day) == (
        date(2026, 1, 1),
        date(2026, 1, 3),
        date(2026, 1, 2),
    )


def test_a_window_is_the_interval_and_days_before_it():
    assert str(parse_interval("2026-03-01/2026-03-02").extended(timedelta(days=7))) == "2026-02-22/2026-03-02"


@pytest.mark.parametrize(
    "text", ["2026-01-02/2026-01-01", "2026-01-01/2026-01-01", "2026-01-01", "a/b", "", "2026-1-1/2026-01-02"]
)
def test_what_is_no_interval_says_how_to_write_one(text):
    with pytest.raises(InputError) as error:
        parse_interval(text)
    assert error.value.fix
    assert error.value.exit_code == 2


def test_a_leap_day_is_a_day():
    assert parse_day("2024-02-29") == date(2024, 2, 29)
    with pytest.raises(InputError, match="is not a day"):
        parse_day("2026-02-29")


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("2h", 7200), ("7d", 604800), ("1h30m", 5400), ("0s", 0)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "5 m", "-5m", "1.5h", "5x", "99999999999999999d"])
def test_what_is_no_duration(text):
    with pytest.raises(InputError, match="duration"):
        parse_duration(text)


@given(st.integers(0, 10**8))
def test_a_duration_reads_back(seconds):
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


def test_both_ends_of_a_range_are_included():
    assert [str(i) for i in split(date(2026, 1, 30), date(2026, 2, 1), "day")] == [
        "2026-01-30/2026-01-31",
        "2026-01-31/2026-02-01",
        "2026-02-01/2026-02-02",
    ]


def test_the_end_before_the_start_is_an_error():
    with pytest.raises(InputError, match="is before the first"):
        split(date(2026, 1, 2), date(2026, 1, 1), "day")


@given(DAYS, st.integers(0, 100), st.sampled_from(["day", "week", "month"]))
def test_a_split_covers_the_range_without_gap_or_overlap(first, days, every):
    last = first + timedelta(days=days)
    intervals = split(first, last, every)
    assert intervals[0].start <= first < intervals[0].end
    assert intervals[-1].start <= last < intervals[-1].end
    assert all(a.end == b.start for a, b in pairwise(intervals))


@given(DAYS, st.sampled_from(["day", "week", "month"]))
def test_the_latest_complete_interval_is_over(today, every):
    interval = latest_complete(today, every)
    assert interval.end <= today
    assert interval_of(interval.end, every).end > today


def test_weeks_begin_on_monday():
    assert interval_of(date(2026, 1, 1), "week") == Interval(date(2025, 12, 29), date(2026, 1, 5))

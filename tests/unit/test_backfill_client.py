"""How long a busy server asks to wait, and what an instant may be."""

from datetime import date

import pytest

from adelt.backfill.remote.client import retry_after
from adelt.cli.intervals import task_interval
from adelt.definition.model import Pipeline
from adelt.errors import InputError
from adelt.window import Interval

NOW = "Fri, 02 Jan 2026 03:04:05 GMT"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 60),
        ("Friday, 02-Jan-26 03:05:05 GMT", 60),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0),  # it is over
        ("Fri, 02 Jan 2026 04:05:05 +0100", 60),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text, seconds):
    assert retry_after({"Retry-After": text, "Date": NOW}) == seconds


def test_without_a_clock_of_the_server_ours_counts():
    assert retry_after({}) is None
    assert retry_after({"Retry-After": "Fri, 02 Jan 2026 03:05:05 GMT"}) == 0
    assert retry_after({"Retry-After": "Wed, 02 Jan 2126 03:05:05 GMT"}) > 86_400


@pytest.mark.parametrize(
    ("at", "first", "last"),
    [
        ("2026-01-02T06:00:00Z", date(2026, 1, 1), date(2026, 1, 2)),
        ("2026-01-02T06:00:00+01:00[Europe/Paris]", date(2026, 1, 1), date(2026, 1, 2)),
        ("2026-01-30/2026-02-02", date(2026, 1, 30), date(2026, 2, 2)),
    ],
)
def test_an_engine_hands_over_an_instant_or_an_interval(at, first, last):
    pipeline = Pipeline.model_validate({"version": 1, "name": "p", "tasks": {"a": {"run": "echo"}}})
    assert task_interval(pipeline, None, at) == Interval(first, last)
    with pytest.raises(InputError):
        task_interval(pipeline, None, at + "x/")

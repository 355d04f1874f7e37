"""What the terminal shows: plain lines without a terminal, and no flood of them."""

import io

import pytest

from adelt.cli.output import human_bytes, human_seconds
from adelt.cli.terminal import Lines
from adelt.run import events

WHO = ("p", "run-1")


@pytest.fixture
def shown():
    """A listener with a clock that is set by hand, and what it has written."""
    out, now = io.StringIO(), [0.0]
    listener = Lines(out, clock=lambda: now[0])

    def show(event: events.Event, at: float = 0.0) -> str:
        now[0] = at
        before = len(out.getvalue())
        listener(event)
        return out.getvalue()[before:]

    return show


def test_ends_are_told_with_their_message_and_failures_with_their_log(shown):
    done = events.TaskFinished(*WHO, "a[x=1]", "SUCCEEDED", 2.5, "raw.t: 5 rows", 0, 5, 1_500_000, "a.log")
    assert shown(done) == "  ✓ p.a[x=1]: succeeded, 2.5 s, 1.5 MB: raw.t: 5 rows\n"
    failed = events.TaskFinished(*WHO, "a", "FAILED", 1.0, "no such table", 2, log="a.log")
    assert shown(failed) == "  ✗ p.a: failed, 1.0 s: no such table\n    log a.log\n"


def test_a_try_that_failed_is_told_once(shown):
    assert shown(events.TaskFinished(*WHO, "a", "RETRYING", 1.0, "oops", 1)) == ""
    assert (
        shown(events.TaskRetry(*WHO, "a", 1, 30.0, "oops")) == "  p.a: try 1 failed, again in 30.0 s: oops\n"
    )


def test_progress_is_a_line_now_and_then(shown):
    def news(size: int) -> events.TaskProgress:
        return events.TaskProgress(*WHO, "a", "fetch", "reading", None, size, 1_000_000_000)

    assert shown(news(0), 0) == ""
    assert shown(news(10), 5) == ""
    assert shown(news(500_000_000), 11).startswith("  p.a: reading, 500.0 MB of 1.0 GB")
    assert shown(news(500_000_001), 12) == ""


def test_what_a_task_waits_for_is_told_at_once(shown):
    waiting = events.TaskProgress(*WHO, "a", "wait", "the warehouse is used by b")
    assert shown(waiting, 1) == "  p.a: the warehouse is used by b\n"
    assert shown(waiting, 2) == ""


def test_events_travel_as_lines_and_other_lines_are_no_events():
    event = events.TaskFinished(*WHO, "a", "FAILED", 1.0, "line one\nline two", 1)
    line = events.to_line(event)
    assert line.count("\n") == 1
    assert events.from_line(line) == event
    for text in ("", "hello", "{}", "[1]", '{"event": "Nothing"}', '{"event": "TaskStarted", "x": 1}'):
        assert events.from_line(text) is None


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e9, "2.5 GB"), (7e12, "7000.0 GB")]
)
def test_bytes(count, text):
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (61, "1 min 01 s"), (7380, "2 h 03 min")]
)
def test_seconds(seconds, text):
    assert human_seconds(seconds) == text

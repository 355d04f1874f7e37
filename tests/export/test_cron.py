"""Cron in five and six fields: the same minutes."""

from datetime import date, datetime, time, timedelta

import pytest
from export_definitions import crons
from hypothesis import given, settings
from hypothesis import strategies as st

from adelt.definition.check import cron_fault
from adelt.export.cron import to_five, to_six, values

DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (1, 7))


def matches(six: str, moment: datetime) -> bool:
    """The rules of EventBridge, written from its documentation: `?` is no restriction, Sunday is 1, a/b counts from a."""
    minute, hour, day, month, weekday, year = six.split()
    assert [day, weekday].count("?") == 1
    assert year == "*"
    now = (moment.minute, moment.hour, moment.day, moment.month, moment.isoweekday() % 7 + 1)
    return all(
        _matches(field, number, *bounds)
        for field, number, bounds in zip((minute, hour, day, month, weekday), now, BOUNDS, strict=True)
    )


def _matches(field: str, number: int, low: int, high: int) -> bool:
    def value(text: str) -> int:
        return (
            DAYS.index(text) + 1 if text in DAYS else MONTHS.index(text) + 1 if text in MONTHS else int(text)
        )

    for part in field.split(","):
        span, _, step = part.partition("/")
        if span in ("*", "?"):
            first, last = low, high
        else:
            ends = [value(end) for end in span.split("-")]
            first, last = ends[0], ends[-1] if len(ends) > 1 or not step else high
        assert low <= first <= last <= high, f"{field}: no range of EventBridge"
        if first <= number <= last and (number - first) % int(step or 1) == 0:
            return True
    return False


def matches_five(cron: str, moment: datetime) -> bool:
    """The rules of cron, written from its manual: a day of the month or a weekday is enough if both are named."""
    minute, hour, day, month, weekday = (expanded(field, index) for index, field in enumerate(cron.split()))
    if moment.minute not in minute or moment.hour not in hour or moment.month not in month:
        return False
    by_day, by_weekday = moment.day in day, moment.isoweekday() % 7 in weekday
    both_named = len(day) < 31 and len(weekday) < 7
    return by_day or by_weekday if both_named else by_day and by_weekday


def expanded(field: str, index: int) -> set[int]:
    low, high = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))[index]
    found = set()
    for part in field.lower().split(","):
        words = {3: MONTHS, 4: DAYS}.get(index, ())
        for number, word in enumerate(words, low):
            part = part.replace(word.lower(), str(number))
        span, _, step = part.partition("/")
        ends = [low, high] if span == "*" else [int(end) for end in span.split("-")]
        found |= set(range(ends[0], ends[-1] + 1)[:: int(step or 1)])
    return {number % 7 for number in found} if index == 4 else found


@st.composite
def times(draw) -> tuple[str, datetime]:
    """A cron text and a moment that has a fair chance to be one of its own."""
    cron = draw(crons)
    fields = cron.split()

    def near(index: int) -> int:
        own = sorted(expanded(fields[index], index))
        return draw(st.sampled_from(own) if draw(st.booleans()) else st.integers(own[0], own[-1]))

    day = date(draw(st.integers(2023, 2028)), near(3), 1) + timedelta(days=near(2) - 1)
    return cron, datetime.combine(day, time(near(1), near(0)))


@settings(max_examples=300, deadline=None)
@given(times())
def test_six_fields_match_the_minutes_that_five_match(case):
    cron, moment = case
    assert cron_fault(cron) == ""
    assert any(matches(six, moment) for six in to_six(cron)) == matches_five(cron, moment)


@settings(max_examples=300, deadline=None)
@given(crons)
def test_six_fields_come_back_as_the_same_five(cron):
    back = [to_five(six) for six in to_six(cron)]
    wanted = [values(field, index) for index, field in enumerate(cron.split())]
    found = [[values(field, index) for index, field in enumerate(five.split())] for five in back]
    if len(back) == 1:
        assert found == [wanted]
    else:
        assert [one[:2] + one[3:4] for one in found] == [wanted[:2] + wanted[3:4]] * 2
        assert (found[0][2], found[1][4]) == (wanted[2], wanted[4])
        assert (found[0][4], found[1][2]) == (list(range(7)), list(range(1, 32)))


@pytest.mark.parametrize(
    ("five", "six"),
    [
        ("0 5 * * *", ["0 5 ? * * *"]),
        ("30 6 * * 1-5", ["30 6 ? * MON-FRI *"]),
        ("*/15 * 1 * *", ["0/15 * 1 * ? *"]),
        ("0 0 * * 7", ["0 0 ? * SUN *"]),
        ("0 0 1 * 5-7", ["0 0 1 * ? *", "0 0 ? * SUN,FRI,SAT *"]),
        ("0 0 31 2 *", ["0 0 31 FEB ? *"]),
    ],
)
def test_known_texts(five, six):
    assert to_six(five) == six


@pytest.mark.parametrize(
    "six", ["0 5 * * *", "0 5 ? * ? *", "0 5 * * * *", "0 5 L * ? *", "0 5 15W * ? *", "0 5 ? * 6#3 *", "0 5 ? * FRI-MON *",
            "0 5 ? * * 2027", "0 5 ? * 0 *", "0 25 ? * * *", "x 5 ? * * *"],
)  # fmt: skip
def test_what_five_fields_cannot_say_is_refused(six):
    with pytest.raises(ValueError, match="`"):
        to_five(six)

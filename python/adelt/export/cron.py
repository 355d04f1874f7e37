"""Cron in five fields (minute hour day month weekday) and in the six of EventBridge, which Orchestra wants.

Six fields are minute hour day month weekday year; of day and weekday exactly one is `?`; weekdays count from 1, Sunday.
"""

import re

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


def values(field: str, index: int) -> list[int]:
    """The numbers that one of five fields stands for, ascending; Sunday is 0.

    Args:
        field: The text, one that `adelt validate` accepts.
        index: 0 minute, 1 hour, 2 day of month, 3 month, 4 day of week.
    """
    low, high = _BOUNDS[index]
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        else:
            begin = _number(first, index)
            end = _number(last, index) if last else high if step else begin
        found |= {number % 7 if index == 4 else number for number in range(begin, end + 1, int(step or 1))}
    return sorted(found)


def to_six(cron: str) -> list[str]:
    """A five-field text as six fields; two texts when both a day and a weekday are named, as either may match."""
    minute, hour, day, month, weekday = (_six(field, index) for index, field in enumerate(cron.split()))
    if weekday == "*":
        return [f"{minute} {hour} {'?' if day == '*' else day} {month} {'*' if day == '*' else '?'} *"]
    by_weekday = f"{minute} {hour} ? {month} {weekday} *"
    if day == "*":
        return [by_weekday]
    return [f"{minute} {hour} {day} {month} ? *", by_weekday]


def to_five(cron: str) -> str:
    """Six fields as five.

    Raises:
        ValueError: It says what five fields cannot: a year, the last day, the nearest weekday, the n-th weekday.
    """
    fields = cron.upper().split()
    if len(fields) != 6:
        raise ValueError(f"`{cron}` has {len(fields)} fields, expected 6")
    if fields[5] not in ("*", "?"):
        raise ValueError(f"`{cron}` names a year")
    if (fields[2] == "?") == (fields[4] == "?"):
        raise ValueError(f"one of day and weekday of `{cron}` must be `?`")
    return " ".join(_five(field, index) for index, field in enumerate(fields[:5]))


def _number(text: str, index: int) -> int:
    word = text.upper()
    if index == 3 and word in _MONTHS:
        return _MONTHS.index(word) + 1
    if index == 4 and word in _DAYS:
        return _DAYS.index(word)
    return int(text)


def _six(field: str, index: int) -> str:
    numbers = values(field, index)
    low, high = _BOUNDS[index]
    if numbers == list(range(low, high + 1)):
        return "*"
    names = {3: dict(enumerate(_MONTHS, 1)), 4: dict(enumerate(_DAYS))}.get(index, {})
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{names.get(numbers[0], numbers[0])}-{names.get(numbers[-1], numbers[-1])}"
    step = numbers[1] - numbers[0] if len(numbers) > 2 else 0
    if step > 1 and index < 3 and numbers == list(range(numbers[0], high + 1, step)):
        return f"{numbers[0]}/{step}"
    return ",".join(str(names.get(number, number)) for number in numbers)


def _five(field: str, index: int) -> str:
    if field in ("*", "?"):
        return "*"
    if not re.fullmatch(r"[0-9A-Z*,/-]+", field) or re.search(r"\bL\b|\dL|\dW|\bLW\b", field):
        raise ValueError(f"`{field}` has no equal in five fields")
    parts = []
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            parts.append(part)
            continue
        begin = _from_six(first, index)
        end = _from_six(last, index) if last else _BOUNDS[index][1] if step else begin
        if not _BOUNDS[index][0] <= begin <= end <= _BOUNDS[index][1]:
            raise ValueError(f"`{part}` is not a range that five fields know")
        shown = "*" if (begin, end) == _BOUNDS[index] else f"{begin}" if begin == end else f"{begin}-{end}"
        parts.append(shown + (f"/{step}" if step else ""))
    return ",".join(parts)


def _from_six(text: str, index: int) -> int:
    try:
        number = _number(text, index)
    except ValueError as error:
        raise ValueError(f"`{text}` is no number or name of a cron field") from error
    return number - 1 if index == 4 and text.isdigit() else number

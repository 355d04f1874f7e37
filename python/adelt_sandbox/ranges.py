"""Relative date ranges, resolved for the day a report runs on."""

from datetime import date, timedelta

FIRST_DAY = date(2024, 1, 1)
_LAST_DAYS = {"7": 7, "14": 14, "30": 30, "60": 60, "90": 90, "365": 365}


def resolve(name: str, today: date) -> tuple[date, date]:
    """First and last day of a range; `LAST_n`, `PREVIOUS_*` and `ALL_TIME` leave out today, weeks start on Sunday."""
    yesterday = today - timedelta(days=1)
    month = today.replace(day=1)
    quarter = date(today.year, 3 * ((today.month - 1) // 3) + 1, 1)
    year = date(today.year, 1, 1)
    week = today - timedelta(days=(today.weekday() + 1) % 7)
    before_month = month - timedelta(days=1)
    before_quarter = quarter - timedelta(days=1)
    fixed = {
        "CURRENT_DAY": (today, today),
        "TODAY": (today, today),
        "PREVIOUS_DAY": (yesterday, yesterday),
        "YESTERDAY": (yesterday, yesterday),
        "WEEK_TO_DATE": (week, today),
        "MONTH_TO_DATE": (month, today),
        "QUARTER_TO_DATE": (quarter, today),
        "YEAR_TO_DATE": (year, today),
        "PREVIOUS_WEEK": (week - timedelta(days=7), week - timedelta(days=1)),
        "PREVIOUS_MONTH": (before_month.replace(day=1), before_month),
        "PREVIOUS_QUARTER": (
            date(before_quarter.year, before_quarter.month - 2, 1),
            before_quarter,
        ),
        "PREVIOUS_YEAR": (date(today.year - 1, 1, 1), date(today.year - 1, 12, 31)),
        "ALL_TIME": (FIRST_DAY, yesterday),
        "LAST_24_MONTHS": (month.replace(year=month.year - 2), before_month),
    }
    if name in fixed:
        return fixed[name]
    parts = name.split("_")
    if len(parts) == 3 and parts[0] == "LAST" and parts[2] == "DAYS" and parts[1] in _LAST_DAYS:
        return today - timedelta(days=_LAST_DAYS[parts[1]]), yesterday
    raise ValueError(f"unknown date range {name}")

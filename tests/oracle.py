"""Compare a warehouse with the sandbox's oracle, cell by cell.

The oracle answers JSON: dates as ISO text, decimals as text, absent instead of null. Both sides are brought to that form.
"""

import itertools
import json
from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

# adelt's own columns that say which run loaded a row: the oracle cannot know them.
OWN = {"_run_id", "_loaded_at", "_unknown_fields"}

LOOKBACK = timedelta(days=7)  # of `daily`
#: Tables whose rows are those of the last report that asked for their day, with the column that has it.
_ASKED_AGAIN = {
    "raw_dv360.report_standard": "date",
    "raw_cm360.report_standard": "date",
    "marts_ads.fct_delivery_daily": "report_date",
    "marts_ads.rec_dv360_cm360": "report_date",
}


def truth_after(
    sandbox: Any, table: str, days: Sequence[date], morning: Callable[[date], str], erf: Sequence[date] = ()
) -> list[dict[str, Any]]:
    """What a perfect warehouse holds after `daily` ran for some days, each at its `morning`."""

    def asked(as_of: date, start: date, end: date) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = sandbox.truth(
            table,
            as_of=morning(as_of),
            start=start,
            end=end,
            observed=[f"{day}@{morning(day)}" for day in days],
            erf=[day.isoformat() for day in erf],
        )["rows"]
        return rows

    rows = asked(days[-1], days[0] - LOOKBACK, days[-1] + timedelta(days=1))
    if table not in _ASKED_AGAIN:
        return rows
    # The first run's window begins a day earlier than the second's, and so on: older days keep older answers.
    column = _ASKED_AGAIN[table]
    for day, following in itertools.pairwise(days):
        oldest, kept = day - LOOKBACK, following - LOOKBACK
        older = asked(day, oldest, kept)
        rows = [row for row in rows if not oldest.isoformat() <= row[column] < kept.isoformat()] + older
    return rows


def warehouse_rows(warehouse: Path, table: str) -> list[dict[str, Any]]:
    """All rows of a table, without adelt's own columns."""
    with duckdb.connect(str(warehouse), read_only=True) as con:
        con.execute("SET TimeZone = 'UTC'")
        cursor = con.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def differences(
    ours: list[dict[str, Any]],
    truth: list[dict[str, Any]],
    limit: int = 5,
    own: Collection[str] = OWN,
) -> list[str]:
    """What differs, in words; empty if every cell is equal. Columns in `own` are not looked at."""
    left = sorted(json.dumps(_canonical(_public(row, own)), sort_keys=True) for row in ours)
    right = sorted(json.dumps(_canonical(_public(row, own)), sort_keys=True) for row in truth)
    if left == right:
        return []
    only_ours, only_truth = _minus(left, right), _minus(right, left)
    found = [f"{len(ours)} rows, the oracle has {len(truth)}; {len(only_ours)} differ"]
    found += [f"warehouse only: {row}" for row in only_ours[:limit]]
    found += [f"oracle only:    {row}" for row in only_truth[:limit]]
    return found


def _public(row: dict[str, Any], own: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in own}


def _canonical(value: Any) -> Any:
    """Null, empty lists and empty records are absent; numbers, dates and times have one spelling."""
    if isinstance(value, dict):
        inner = {name: _canonical(item) for name, item in value.items()}
        return {name: item for name, item in inner.items() if item is not None} or None
    if isinstance(value, list):
        return [_canonical(item) for item in value] or None
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float | Decimal):
        return _number(Decimal(str(value)))
    return _text(value)


def _text(value: str) -> Any:
    """Text; JSON, a decimal or a time in text gets the spelling that the other side has."""
    try:
        if value.startswith(("{", "[")):
            return _canonical(json.loads(value))
        if value and value.lstrip("-").replace(".", "", 1).isdigit() and "." in value:
            return _number(Decimal(value))
        if len(value) >= 20 and value[10] == "T" and value.endswith("Z"):
            return datetime.fromisoformat(value).isoformat().replace("+00:00", "Z")
    except (ArithmeticError, ValueError):
        return value
    return value


def _number(value: Decimal) -> str:
    return format(value.normalize() + 0, "f")


def _minus(left: list[str], right: list[str]) -> list[str]:
    rest = list(right)
    missing = []
    for item in left:
        if item in rest:
            rest.remove(item)
        else:
            missing.append(item)
    return missing

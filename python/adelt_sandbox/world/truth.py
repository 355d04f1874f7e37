"""The oracle: what a perfect warehouse would hold, computed from the world alone.

    rows(world, "raw_dv360.report_standard", as_of=..., start=..., end=...)
    rows(world, "raw_dv360.line_item", ..., observed=[Observation(snapshot_date, as_of), ...])
    rows(world, "raw_erf.line_item", ..., erf=[file_date, ...])
    rows(world, "marts_ads.dim_line_item", ..., observed=[...], erf=[...])

Values are Python values: dates, aware datetimes, decimals with six digits, lists and dicts for nested data.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from adelt_sandbox.world import truth_dims, truth_marts, truth_raw
from adelt_sandbox.world.truth_raw import Observation

if TYPE_CHECKING:
    from adelt_sandbox.world import World

__all__ = ["TABLES", "Observation", "rows"]

#: Everything that can be asked for, with the parameters it depends on.
TABLES: dict[str, str] = {
    **dict.fromkeys(truth_raw.REPORTS, "start, end, as_of"),
    **{f"raw_dv360.{name}": "observed" for name in truth_raw.DV360},
    **{f"raw_cm360.{name}": "observed" for name in truth_raw.CM360},
    **{f"raw_erf.{name}": "erf" for name in truth_raw.ERF},
    **{f"marts_ads.{name}": "observed, erf" for name in truth_dims.DIMENSIONS},
    "marts_ads.fct_delivery_daily": "start, end, as_of",
    "marts_ads.rec_dv360_cm360": "start, end, as_of, observed, erf",
}


def rows(
    world: "World",
    table: str,
    *,
    as_of: datetime,
    start: date,
    end: date,
    observed: Sequence[Observation] = (),
    erf: Sequence[date] = (),
) -> list[dict[str, Any]]:
    """Rows of one table, in the order of their keys.

    Args:
        world: The world.
        table: One of `TABLES`.
        as_of: When the reports were made.
        start: First day of the reports.
        end: Day after their last day.
        observed: When entities were read from the APIs; a later one for the same date takes its place.
        erf: File dates of the entity read files that were loaded.

    Raises:
        KeyError: There is no such table.
    """
    dataset, _, name = table.partition(".")
    if table not in TABLES:
        raise KeyError(f"{table}; ask for the list without a table")
    if table in truth_raw.REPORTS:
        return truth_raw.report(world, table, start, end, as_of)
    if dataset == "raw_erf":
        return truth_raw.erf_rows(world, name, erf)
    if dataset == "raw_dv360":
        return truth_raw.dv360_rows(world, name, observed)
    if dataset == "raw_cm360":
        return truth_raw.cm360_rows(world, name, observed)
    if name in truth_dims.DIMENSIONS:
        return truth_dims.rows(world, name, observed, erf)
    if name == "fct_delivery_daily":
        return truth_marts.delivery(world, start, end, as_of)
    return truth_marts.reconciliation(world, start, end, as_of, observed, erf)

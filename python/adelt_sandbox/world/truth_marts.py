"""What the facts of a perfect warehouse hold."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from adelt_sandbox.world import truth_dims
from adelt_sandbox.world.truth_raw import Observation, report

if TYPE_CHECKING:
    from adelt_sandbox.world import World

Row = dict[str, Any]
GRAIN = (
    "platform",
    "report_date",
    "advertiser_id",
    "campaign_id",
    "insertion_order_id",
    "line_item_id",
    "site_id",
    "placement_id",
    "ad_id",
    "creative_id",
)
TOLERANCE = Decimal("0.05")


def delivery(world: "World", start: date, end: date, as_of: datetime) -> list[Row]:
    """Delivery of both platforms at one grain."""
    return sorted(_delivery(world, start, end, as_of), key=lambda row: str(row["delivery_key"]))


def reconciliation(
    world: "World",
    start: date,
    end: date,
    as_of: datetime,
    observed: Sequence[Observation],
    erf: Sequence[date],
) -> list[Row]:
    """DV360 against CM360, per day and placement, where both see the same delivery."""
    placement_of = {
        row["creative_id"]: row["cm_placement_id"]
        for row in truth_dims.rows(world, "dim_creative", observed, erf)
        if row["platform"] == "dv360" and row["is_current"] and row["cm_placement_id"] is not None
    }
    linked = set(placement_of.values())
    dv360: dict[tuple[date, int], list[int]] = {}
    for row in report(world, "raw_dv360.report_standard", start, end, as_of):
        if row["creative_id"] in placement_of:
            _add(dv360, (row["date"], placement_of[row["creative_id"]]), row)
    cm360: dict[tuple[date, int], list[int]] = {}
    for row in report(world, "raw_cm360.report_standard", start, end, as_of):
        if row["placement_id"] in linked:
            _add(cm360, (row["date"], row["placement_id"]), row)
    return [_compared(*key, dv360.get(key), cm360.get(key)) for key in sorted({*dv360, *cm360})]


def _delivery(world: "World", start: date, end: date, as_of: datetime) -> Iterator[Row]:
    for row in report(world, "raw_dv360.report_standard", start, end, as_of):
        keys = {"platform": "dv360", "report_date": row["date"]} | {name: row.get(name) for name in GRAIN[2:]}
        yield {
            "delivery_key": _joined(keys),
            "platform": "dv360",
            "report_date": row["date"],
            "account_id": row["partner_id"],
            **{name: row.get(name) for name in GRAIN[2:]},
            "currency_code": row["advertiser_currency"],
            "impressions": row["impressions"],
            "billable_impressions": row["billable_impressions"],
            "clicks": row["clicks"],
            "conversions": row["total_conversions"],
            "post_click_conversions": row["post_click_conversions"],
            "post_view_conversions": row["post_view_conversions"],
            "media_cost": row["media_cost_advertiser"],
            "media_cost_usd": row["media_cost_usd"],
            "revenue": row["revenue_advertiser"],
        }
    for row in report(world, "raw_cm360.report_standard", start, end, as_of):
        keys = {"platform": "cm360", "report_date": row["date"]} | {name: row.get(name) for name in GRAIN[2:]}
        yield {
            "delivery_key": _joined(keys),
            "platform": "cm360",
            "report_date": row["date"],
            "account_id": row["_account_id"],
            **{name: row.get(name) for name in GRAIN[2:]},
            "currency_code": None,
            "impressions": row["impressions"],
            "billable_impressions": None,
            "clicks": row["clicks"],
            "conversions": row["total_conversions"],
            "post_click_conversions": row["click_through_conversions"],
            "post_view_conversions": row["view_through_conversions"],
            "media_cost": row["media_cost"],
            "media_cost_usd": None,
            "revenue": None,
        }


def _joined(keys: Row) -> str:
    return "|".join("" if keys[name] is None else str(keys[name]) for name in GRAIN)


def _add(into: dict[tuple[date, int], list[int]], key: tuple[date, int], row: Row) -> None:
    sums = into.setdefault(key, [0, 0])
    sums[0] += row["impressions"]
    sums[1] += row["clicks"]


def _compared(day: date, placement: int, dv360: list[int] | None, cm360: list[int] | None) -> Row:
    theirs, ours = dv360 or [0, 0], cm360 or [0, 0]
    gap = ours[0] - theirs[0]
    share = None
    if theirs[0]:
        share = (Decimal(gap) / theirs[0]).quantize(Decimal("0.000001"), ROUND_HALF_UP)
    if dv360 is None:
        status = "cm360_only"
    elif cm360 is None:
        status = "dv360_only"
    else:
        status = "matched" if share is not None and abs(share) <= TOLERANCE else "gap"
    return {
        "reconciliation_key": f"{day.isoformat()}|{placement}",
        "report_date": day,
        "placement_id": placement,
        "dv360_impressions": theirs[0],
        "cm360_impressions": ours[0],
        "impression_gap": gap,
        "impression_gap_pct": share,
        "dv360_clicks": theirs[1],
        "cm360_clicks": ours[1],
        "click_gap": ours[1] - theirs[1],
        "status": status,
    }

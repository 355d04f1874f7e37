"""Delivery of the world: what a day's numbers are, and how they change until they are final."""

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa
import pytest

from adelt_sandbox.world import SIZES, World
from adelt_sandbox.world.calendar import MARKETS, day_length, day_start, settled_from

Row = dict[str, Any]
DAY = date(2026, 1, 12)
METRICS = (
    "impressions",
    "billable_impressions",
    "clicks",
    "post_click_conversions",
    "post_view_conversions",
    "media_cost_advertiser",
)


@pytest.fixture(scope="module")
def world() -> World:
    return World(7, "tiny")


@pytest.fixture(scope="module")
def small() -> World:
    return World(7, "small")


def instant(day: date, hour: int = 6) -> datetime:
    return datetime.combine(day, time(hour), UTC)


def after(days: float) -> datetime:
    return instant(DAY, 0) + timedelta(days=days)


def dv360(world: World, day: date, as_of: datetime) -> dict[tuple[Any, ...], Row]:
    tables = world.dv360_delivery(day, day + timedelta(days=1), as_of)
    keys = ("partner_id", "advertiser_id", "campaign_id", "insertion_order_id", "line_item_id", "creative_id")
    rows = [row for table in tables for row in table.to_pylist()]
    found = {tuple(row[key] for key in keys): row for row in rows}
    assert len(found) == len(rows), "keys are unique"
    return found


def cm360(world: World, day: date, as_of: datetime) -> dict[tuple[Any, ...], Row]:
    tables = world.cm360_delivery(day, day + timedelta(days=1), as_of)
    keys = ("account_id", "advertiser_id", "campaign_id", "site_id", "placement_id", "ad_id", "creative_id")
    rows = [row for table in tables for row in table.to_pylist()]
    found = {tuple(row[key] for key in keys): row for row in rows}
    assert len(found) == len(rows), "keys are unique"
    return found


def total(rows: dict[Any, Row], metric: str) -> Any:
    return sum((row[metric] for row in rows.values()), Decimal(0) if "cost" in metric else 0)


def test_a_tiny_day_has_tens_of_rows_with_numbers_in_every_metric(world: World) -> None:
    rows = dv360(world, DAY, after(60))
    assert 60 <= len(rows) <= 150
    for metric in (*METRICS, "total_conversions", "media_cost_partner", "revenue_usd"):
        assert total(rows, metric) > 0
    assert {row["date"] for row in rows.values()} == {DAY}
    assert any(key[-1] is None for key in rows)
    assert all((row["creative_id"] is None) == (row["creative_name"] is None) for row in rows.values())


@pytest.mark.parametrize("days", [0.9, 1.2, 3, 9, 40])
def test_numbers_are_consistent_at_every_instant(small: World, days: float) -> None:
    for row in dv360(small, DAY, after(days)).values():
        assert 0 <= row["clicks"] <= row["impressions"]
        assert row["impressions"] > 0
        assert 0 <= row["billable_impressions"] <= row["impressions"]
        assert row["total_conversions"] == row["post_click_conversions"] + row["post_view_conversions"]
        assert 0 <= row["media_cost_advertiser"] <= row["revenue_advertiser"]
    for row in cm360(small, DAY, after(days)).values():
        assert 0 <= row["clicks"] <= row["impressions"]
        assert row["total_conversions"] == row["click_through_conversions"] + row["view_through_conversions"]


def test_money_is_converted_at_fixed_rates_without_floats(small: World) -> None:
    rates = {market.currency: market.usd_millionths for market in MARKETS}
    micro = Decimal("0.000001")
    for row in dv360(small, DAY, after(40)).values():
        home = int(row["media_cost_advertiser"] / micro)
        usd = home * rates[row["advertiser_currency"]] // 1_000_000
        assert row["media_cost_usd"] == usd * micro
        assert row["media_cost_usd"].as_tuple().exponent == -6


def test_numbers_change_until_they_are_settled_and_not_after(world: World) -> None:
    settled = datetime.fromtimestamp(settled_from(DAY), UTC)
    assert settled == datetime(2026, 2, 4, tzinfo=UTC)
    steps = [1.2, 2.2, 4.2, 7.2, 10.2, 21]
    seen = [dv360(world, DAY, after(step)) for step in steps]
    assert all(one != other for one, other in itertools.pairwise(seen))
    final = dv360(world, DAY, settled)
    assert final != seen[-1]
    numbers = {key: [row[metric] for metric in METRICS] for key, row in final.items()}
    for later in (settled + timedelta(hours=5), settled + timedelta(days=30), settled + timedelta(days=400)):
        again = dv360(world, DAY, later)
        assert {key: [row[metric] for metric in METRICS] for key, row in again.items()} == numbers


@pytest.mark.parametrize(
    ("day", "settled"),
    [
        (date(2026, 1, 12), date(2026, 2, 4)),
        (date(2026, 1, 31), date(2026, 2, 8)),
        (date(2026, 2, 1), date(2026, 3, 4)),
        (date(2025, 12, 28), date(2026, 1, 5)),
    ],
)
def test_a_day_is_settled_after_eight_days_or_on_the_fourth(day: date, settled: date) -> None:
    assert datetime.fromtimestamp(settled_from(day), UTC) == instant(settled, 0)


def test_rows_appear_and_vanish(world: World) -> None:
    appeared, vanished, shrunk = 0, 0, 0
    for offset in range(14):
        day = DAY + timedelta(days=offset)
        early = dv360(world, day, instant(day + timedelta(days=2)))
        late = dv360(world, day, instant(day + timedelta(days=60)))
        appeared += len(late.keys() - early.keys())
        vanished += len(early.keys() - late.keys())
        shrunk += sum(
            late[key]["impressions"] < early[key]["impressions"] for key in late.keys() & early.keys()
        )
    assert min(appeared, vanished, shrunk) > 0


def test_conversions_land_for_days(small: World) -> None:
    counts = [total(dv360(small, DAY, after(step)), "total_conversions") for step in (1.3, 3, 6, 9, 12)]
    assert counts == sorted(counts)
    assert len(set(counts)) == len(counts)


def test_the_credit_of_the_first_changes_money_only(small: World) -> None:
    before = dv360(small, DAY, datetime(2026, 2, 1, 11, tzinfo=UTC))
    later = dv360(small, DAY, datetime(2026, 2, 1, 13, tzinfo=UTC))
    assert before.keys() == later.keys()
    credited = 0
    for key, row in before.items():
        assert row["impressions"] == later[key]["impressions"]
        assert row["clicks"] == later[key]["clicks"]
        assert row["post_click_conversions"] == later[key]["post_click_conversions"]
        credited += later[key]["media_cost_advertiser"] < row["media_cost_advertiser"]
        assert later[key]["media_cost_advertiser"] <= row["media_cost_advertiser"]
    assert 0 < credited < len(before) / 4


def test_a_day_grows_by_the_hour_and_later_days_are_empty(world: World) -> None:
    noon, night = dv360(world, DAY, instant(DAY, 12)), dv360(world, DAY, instant(DAY, 22))
    assert 0 < total(noon, "impressions") < total(night, "impressions")
    assert dv360(world, DAY + timedelta(days=2), instant(DAY, 22)) == {}
    rows = dv360(world, DAY, instant(DAY, 0))
    assert {row["advertiser_time_zone"] for row in rows.values()} <= {"Asia/Tokyo", "Australia/Sydney"}
    assert rows


def test_hours_of_a_day_follow_the_zone() -> None:
    zones = {market.time_zone: market for market in MARKETS}
    assert day_length(zones["America/New_York"], date(2026, 3, 8)) == 23 * 3600
    assert day_length(zones["America/New_York"], date(2026, 3, 29)) == 24 * 3600
    assert day_length(zones["Europe/Berlin"], date(2026, 3, 29)) == 23 * 3600
    assert day_length(zones["Europe/Berlin"], date(2026, 10, 25)) == 25 * 3600
    assert day_length(zones["Australia/Sydney"], date(2026, 4, 5)) == 25 * 3600
    assert day_length(zones["Asia/Tokyo"], date(2026, 3, 29)) == 24 * 3600


@pytest.mark.parametrize("market", MARKETS, ids=lambda market: market.time_zone)
def test_days_begin_when_the_time_zone_database_says(market: Any) -> None:
    try:
        zone = ZoneInfo(market.time_zone)
    except ZoneInfoNotFoundError:
        pytest.skip("this machine has no time zone database")
    day = date(2024, 1, 1)
    while day < date(2028, 1, 1):
        assert day_start(market, day) == int(datetime.combine(day, time(0), zone).timestamp()), day
        day += timedelta(days=1)


def test_a_short_day_has_less_traffic() -> None:
    medium = World(7, "medium")
    short, week = date(2026, 3, 29), timedelta(days=7)

    def impressions(day: date) -> dict[tuple[Any, Any], tuple[str, int]]:
        found = {}
        for table in medium.dv360_delivery(day, day + timedelta(days=1), instant(day + timedelta(days=60))):
            names = ("line_item_id", "creative_id", "advertiser_time_zone", "impressions")
            for item, creative, zone, count in zip(*(table[n].to_pylist() for n in names), strict=True):
                found[item, creative] = (zone, count)
        return found

    before, then = impressions(short - week), impressions(short)
    ratios: dict[str, list[float]] = {}
    for key in before.keys() & then.keys():
        zone, count = then[key]
        ratios.setdefault(zone, []).append(count / before[key][1])
    # 23 of 24 hours in London, a whole day in Tokyo; the median does not mind what was paused.
    assert 0.945 < median(ratios["Europe/London"]) < 0.972
    assert 0.985 < median(ratios["Asia/Tokyo"]) < 1.015


def test_paused_line_items_do_not_deliver(world: World) -> None:
    day, checked = date(2026, 1, 5), 0
    while day < date(2026, 2, 5):
        start, end = instant(day - timedelta(days=1), 0), instant(day + timedelta(days=2), 0)
        paused = [
            {
                row["lineItemId"]: row["updateTime"]
                for row in world.dv360("lineItems", at)
                if row["entityStatus"] == "ENTITY_STATUS_PAUSED"
            }
            for at in (start, end)
        ]
        # The same update time means that nothing happened in between.
        still = {int(key) for key in paused[0].keys() & paused[1].keys() if paused[0][key] == paused[1][key]}
        delivered = {row["line_item_id"] for row in dv360(world, day, after(60)).values()}
        assert not still & delivered
        checked += len(still)
        day += timedelta(days=1)
    assert checked > 20


def test_names_are_those_of_the_instant(world: World) -> None:
    early, late = instant(date(2026, 1, 16)), instant(date(2026, 2, 20))
    changed = 0
    for as_of in (early, late):
        names = {int(row["lineItemId"]): row["displayName"] for row in world.dv360("lineItems", as_of)}
        for row in dv360(world, DAY, as_of).values():
            if row["line_item_id"] in names:
                assert row["line_item_name"] == names[row["line_item_id"]]
    before, now = dv360(world, DAY, early), dv360(world, DAY, late)
    changed = sum(
        before[key]["line_item_name"] != now[key]["line_item_name"] for key in before.keys() & now.keys()
    )
    assert changed > 0


def test_partners_and_accounts_add_up_to_the_whole(world: World) -> None:
    as_of, end = after(5), DAY + timedelta(days=1)
    parts: dict[tuple[int, int | None], Row] = {}
    for partner in world.partner_ids:
        for table in world.dv360_delivery(DAY, end, as_of, [partner]):
            assert set(table["partner_id"].to_pylist()) == {partner}
            parts |= {(row["line_item_id"], row["creative_id"]): row for row in table.to_pylist()}
    whole = dv360(world, DAY, as_of)
    assert parts == {(row["line_item_id"], row["creative_id"]): row for row in whole.values()}
    rows: list[Row] = []
    for account in world.account_ids:
        for table in world.cm360_delivery(DAY, end, as_of, [account]):
            assert set(table["account_id"].to_pylist()) == {account}
            rows += table.to_pylist()
    key = "creative_id"
    assert sorted(rows, key=lambda row: row[key]) == sorted(
        cm360(world, DAY, as_of).values(), key=lambda row: row[key]
    )


def test_a_range_is_its_days_in_order(world: World) -> None:
    as_of = after(5)
    whole = [
        row
        for table in world.dv360_delivery(DAY, DAY + timedelta(days=3), as_of)
        for row in table.to_pylist()
    ]
    days = [row for n in range(3) for row in dv360(world, DAY + timedelta(days=n), as_of).values()]
    assert whole == days
    assert list(world.dv360_delivery(date(1970, 1, 1), date(2024, 1, 1), as_of)) == []
    assert list(world.dv360_delivery(DAY, DAY, as_of)) == []


def test_cm360_sees_linked_placements_with_a_small_gap(small: World) -> None:
    as_of = after(60)
    placement_of = {
        int(row["creativeId"]): int(row["cmPlacementId"])
        for row in small.dv360("creatives", instant(DAY))
        if "cmPlacementId" in row
    }
    theirs: dict[int, int] = {}
    for row in dv360(small, DAY, as_of).values():
        if row["creative_id"] in placement_of:
            placement = placement_of[row["creative_id"]]
            theirs[placement] = theirs.get(placement, 0) + row["impressions"]
    rows = cm360(small, DAY, as_of)
    ours = {row["placement_id"]: row["impressions"] for row in rows.values()}
    both = [placement for placement, seen in theirs.items() if placement in ours and seen > 1000]
    gaps = [abs(ours[placement] / theirs[placement] - 1) for placement in both]
    assert len(both) > 50
    assert max(gaps) < 0.15
    assert sum(gap <= 0.031 for gap in gaps) > 0.8 * len(gaps)
    assert any(gap > 0.05 for gap in gaps)
    assert len(theirs.keys() - ours.keys()) < 0.1 * len(theirs)
    direct = [row for row in rows.values() if row["placement_id"] not in set(placement_of.values())]
    assert len({row["site_id"] for row in direct}) > 3


def chunks(tables: Iterator[pa.Table]) -> Iterator[int]:
    for table in tables:
        assert len(set(table["date"].to_pylist())) == 1
        yield table.num_rows


def test_a_large_day_comes_in_chunks_of_bounded_size() -> None:
    large = World(7, "large")
    counts = list(chunks(large.dv360_delivery(DAY, DAY + timedelta(days=1), after(2))))
    assert 400_000 < sum(counts) < 600_000
    assert len(counts) > 1
    assert max(counts) <= 500_000


@pytest.mark.parametrize(("size", "low", "high"), [("small", 1_500, 2_500), ("medium", 40_000, 60_000)])
def test_sizes_are_what_they_say(size: str, low: int, high: int) -> None:
    world = World(7, size)
    assert low < sum(chunks(world.dv360_delivery(DAY, DAY + timedelta(days=1), after(3)))) < high
    assert set(SIZES) == {"tiny", "small", "medium", "large", "huge"}

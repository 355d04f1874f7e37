"""The oracle: versions of dimensions, raw rows and facts agree with the world they come from."""

import itertools
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from adelt_sandbox.world import World, truth

Row = dict[str, Any]
START, END = date(2026, 1, 10), date(2026, 1, 17)
OBSERVED = [
    truth.Observation(
        START + timedelta(days=n), datetime.combine(START + timedelta(days=n + 1), time(6), UTC)
    )
    for n in range(7)
]
ERF = [date(2024, 10, 29), date(2024, 10, 30), date(2024, 10, 31)]
AS_OF = OBSERVED[-1].as_of


@pytest.fixture(scope="module")
def world() -> World:
    return World(7, "tiny")


def ask(world: World, table: str, **changes: Any) -> list[Row]:
    asked: dict[str, Any] = {
        "as_of": AS_OF,
        "start": START,
        "end": END,
        "observed": OBSERVED,
        "erf": ERF,
        **changes,
    }
    return truth.rows(world, table, **asked)


@pytest.mark.parametrize("table", truth.TABLES)
def test_every_table_has_rows_and_unique_keys(world: World, table: str) -> None:
    rows = ask(world, table)
    assert rows
    if table.startswith("marts_ads."):
        key = next(iter(rows[0]))
        assert key.endswith("_key")
        assert max(Counter(row[key] for row in rows).values()) == 1
    else:
        assert len({str(sorted(row.items(), key=str)) for row in rows}) == len(rows)


def test_unknown_tables_are_refused(world: World) -> None:
    with pytest.raises(KeyError, match=r"raw_dv360\.pixel"):
        ask(world, "raw_dv360.pixel")


def test_nothing_observed_is_nothing_known(world: World) -> None:
    assert ask(world, "raw_dv360.line_item", observed=[]) == []
    assert ask(world, "marts_ads.dim_line_item", observed=[], erf=[]) == []
    assert ask(world, "raw_erf.line_item", erf=[date(2024, 11, 1)]) == []


# --- Raw tables ------------------------------------------------------------------------------------------------------


def test_raw_entities_are_what_the_api_said_in_other_words(world: World) -> None:
    rows = ask(world, "raw_dv360.line_item")
    for observation in OBSERVED:
        here = {
            row["line_item_id"]: row for row in rows if row["_snapshot_date"] == observation.snapshot_date
        }
        there = world.dv360("lineItems", observation.as_of)
        assert here.keys() == {int(row["lineItemId"]) for row in there}
        for item in there:
            row = here[int(item["lineItemId"])]
            assert row["display_name"] == item["displayName"]
            assert row["_account_id"] == world.scope("lineItems", item)["partnerId"]
            assert row["update_time"] == datetime.fromisoformat(item["updateTime"])
            assert row.get("creative_ids") == (
                [int(found) for found in item["creativeIds"]] if "creativeIds" in item else None
            )
            assert ("max_amount" in row["budget"]) == ("maxAmount" in item["budget"])
            assert row["partner_revenue_model"]["markup_amount"] == int(
                item["partnerRevenueModel"]["markupAmount"]
            )


def test_targeting_is_flat_and_keeps_its_details_as_the_api_sent_them(world: World) -> None:
    rows = ask(world, "raw_dv360.assigned_targeting_option")
    row = next(row for row in rows if row["targeting_type"] == "TARGETING_TYPE_GEO_REGION")
    assert set(row) == {
        "advertiser_id",
        "line_item_id",
        "assigned_targeting_option_id",
        "targeting_type",
        "inheritance",
        "name",
        "details",
        "_snapshot_date",
        "_account_id",
    }
    assert isinstance(row["line_item_id"], int)
    assert row["details"]["geoRegionDetails"]["targetingOptionId"] == row["assigned_targeting_option_id"]


def test_cm360_rows_carry_dates_and_whole_numbers(world: World) -> None:
    row = ask(world, "raw_cm360.placement")[0]
    assert isinstance(row["pricing_schedule"]["start_date"], date)
    assert isinstance(row["last_modified_info"]["time"], int)
    assert row["_account_id"] == row["account_id"]
    assert all(row["_account_id"] == row["id"] for row in ask(world, "raw_cm360.account"))
    assert isinstance(ask(world, "raw_cm360.ad")[0]["start_time"], datetime)


def test_public_files_belong_to_nobody(world: World) -> None:
    assert {row["_account_id"] for row in ask(world, "raw_erf.browser")} == {0}
    assert {row["_account_id"] for row in ask(world, "raw_erf.line_item")} == set(world.partner_ids)
    assert sorted({row["_snapshot_date"] for row in ask(world, "raw_erf.browser")}) == ERF


def test_reports_have_the_columns_of_the_warehouse(world: World) -> None:
    row = ask(world, "raw_dv360.report_standard")[0]
    assert {"date", "advertiser", "line_item", "creative", "media_cost_usd"} <= set(row)
    assert not {"advertiser_name", "device_type", "country"} & set(row)
    row = ask(world, "raw_cm360.report_standard")[0]
    assert {"_account_id", "site", "placement", "ad", "view_through_conversions"} <= set(row)
    assert "account_id" not in row


# --- Dimensions ------------------------------------------------------------------------------------------------------


def versions_on(rows: list[Row], key: str, day: date) -> dict[int, Row]:
    valid = [r for r in rows if r["valid_from"] <= day and (r["valid_to"] is None or day < r["valid_to"])]
    found = {row[key]: row for row in valid}
    assert len(found) == len(valid), "one version at a time"
    return found


@pytest.mark.parametrize(
    ("dimension", "key", "name", "resource", "api_key"),
    [
        ("dim_partner", "partner_id", "partner_name", "partners", "partnerId"),
        (
            "dim_insertion_order",
            "insertion_order_id",
            "insertion_order_name",
            "insertionOrders",
            "insertionOrderId",
        ),
        ("dim_line_item", "line_item_id", "line_item_name", "lineItems", "lineItemId"),
    ],
)
def test_on_every_day_the_versions_are_what_was_observed(
    world: World, dimension: str, key: str, name: str, resource: str, api_key: str
) -> None:
    rows = ask(world, f"marts_ads.{dimension}")
    for observation in OBSERVED:
        here = versions_on(rows, key, observation.snapshot_date)
        there = {int(row[api_key]): row for row in world.dv360(resource, observation.as_of)}
        assert here.keys() == there.keys()
        for number, row in there.items():
            assert here[number][name] == row["displayName"]
            assert here[number]["is_active"] == (row["entityStatus"] == "ENTITY_STATUS_ACTIVE")
    assert all(row["is_current"] == (row["valid_to"] is None) for row in rows)
    assert {row["valid_from"] for row in rows} <= {*ERF, *(item.snapshot_date for item in OBSERVED)}


def test_placements_and_sites_follow_cm360(world: World) -> None:
    for dimension, key, resource in (
        ("dim_placement", "placement_id", "placements"),
        ("dim_site", "site_id", "sites"),
    ):
        rows = ask(world, f"marts_ads.{dimension}")
        assert min(row["valid_from"] for row in rows) == START
        for observation in OBSERVED:
            here = versions_on(rows, key, observation.snapshot_date)
            there = {int(row["id"]): row["name"] for row in world.cm360(resource, observation.as_of)}
            assert {number: row[f"{key.removesuffix('_id')}_name"] for number, row in here.items()} == there


def test_renames_pauses_arrivals_and_removals_make_versions(world: World) -> None:
    rows = [row for row in ask(world, "marts_ads.dim_line_item", erf=[]) if row["valid_from"] >= START]
    history: dict[int, list[Row]] = {}
    for row in rows:
        history.setdefault(row["line_item_id"], []).append(row)
    pairs = [pair for found in history.values() for pair in itertools.pairwise(found)]
    assert any(old["line_item_name"] != new["line_item_name"] for old, new in pairs), "renamed"
    assert any(old["is_active"] and not new["is_active"] for old, new in pairs), "paused"
    assert any(found[0]["valid_from"] > START for found in history.values()), "new"
    assert any(found[-1]["valid_to"] is not None for found in history.values()), "removed"
    assert all(old["valid_to"] == new["valid_from"] for old, new in pairs)


def test_a_budget_change_makes_a_version(world: World) -> None:
    rows = ask(world, "marts_ads.dim_insertion_order", erf=[])
    amounts: dict[int, set[Decimal]] = {}
    for row in rows:
        amounts.setdefault(row["insertion_order_id"], set()).add(row["budget_amount"])
        assert row["start_date"] < row["end_date"]
    assert any(len(found) > 1 for found in amounts.values())


def test_files_fill_the_dimensions_and_the_api_wins_on_the_same_date(world: World) -> None:
    files = ask(world, "marts_ads.dim_line_item", observed=[])
    assert {row["line_item_type"] for row in files} == {None}
    assert any(row["start_date"] for row in files)
    same = [truth.Observation(ERF[1], datetime.combine(ERF[1], time(5), UTC))]
    both = ask(world, "marts_ads.dim_line_item", observed=same)
    middle = versions_on(both, "line_item_id", ERF[1])
    assert None not in {row["line_item_type"] for row in middle.values()}
    assert {row["line_item_type"] for row in versions_on(both, "line_item_id", ERF[0]).values()} == {None}


def test_files_and_api_make_the_same_versions_but_for_what_only_the_api_knows(world: World) -> None:
    day = ERF[1]
    api = [truth.Observation(day, datetime.combine(day, time(5), UTC))]
    for dimension in ("dim_partner", "dim_advertiser", "dim_campaign", "dim_insertion_order", "dim_creative"):
        one = ask(world, f"marts_ads.{dimension}", observed=[], erf=[day])
        other = ask(world, f"marts_ads.{dimension}", observed=api, erf=[])
        ours = [row for row in other if row.get("platform", "dv360") == "dv360"]
        unknown = {"creative_type"}
        assert [{k: v for k, v in row.items() if k not in unknown} for row in one] == [
            {k: v for k, v in row.items() if k not in unknown} for row in ours
        ]


def test_the_later_of_two_observations_of_a_date_counts(world: World) -> None:
    day = date(2026, 1, 14)
    early = truth.Observation(day, datetime(2026, 1, 14, 6, tzinfo=UTC))
    late = truth.Observation(day, datetime(2026, 1, 15, 6, tzinfo=UTC))
    alone = ask(world, "marts_ads.dim_advertiser", observed=[late], erf=[])
    assert ask(world, "marts_ads.dim_advertiser", observed=[early, late], erf=[]) == alone
    assert ask(world, "raw_dv360.advertiser", observed=[late, early]) != ask(
        world, "raw_dv360.advertiser", observed=[late]
    )


# --- Facts -----------------------------------------------------------------------------------------------------------


def test_delivery_is_both_reports(world: World) -> None:
    rows = ask(world, "marts_ads.fct_delivery_daily")
    reports = [*ask(world, "raw_dv360.report_standard"), *ask(world, "raw_cm360.report_standard")]
    assert len(rows) == len(reports)
    assert sum(row["impressions"] for row in rows) == sum(row["impressions"] for row in reports)
    assert sum(row["conversions"] for row in rows) == sum(row["total_conversions"] for row in reports)
    for row in rows:
        assert row["delivery_key"].startswith(
            f"{row['platform']}|{row['report_date']}|{row['advertiser_id']}|"
        )
        assert row["delivery_key"].count("|") == 9
        assert (row["currency_code"] is None) == (row["platform"] == "cm360")
        assert (row["line_item_id"] is None) == (row["platform"] == "cm360")


def test_reconciliation_adds_up_and_knows_every_status(world: World) -> None:
    rows = ask(world, "marts_ads.rec_dv360_cm360", start=date(2025, 12, 18))
    creatives = [row for row in ask(world, "marts_ads.dim_creative") if row["is_current"]]
    linked = {row["cm_placement_id"] for row in creatives} - {None}
    assert {row["placement_id"] for row in rows} <= linked
    here = sum(
        row["impressions"]
        for row in ask(world, "raw_cm360.report_standard", start=date(2025, 12, 18))
        if row["placement_id"] in linked
    )
    assert sum(row["cm360_impressions"] for row in rows) == here
    assert {row["status"] for row in rows} == {"matched", "gap", "dv360_only", "cm360_only"}
    for row in rows:
        assert row["impression_gap"] == row["cm360_impressions"] - row["dv360_impressions"]
        if row["status"] == "cm360_only":
            assert row["dv360_impressions"] == 0
            assert row["impression_gap_pct"] is None
        else:
            exact = Decimal(row["impression_gap"]) / row["dv360_impressions"]
            assert abs(exact - row["impression_gap_pct"]) <= Decimal("0.0000005")
            assert (abs(row["impression_gap_pct"]) <= Decimal("0.05")) == (row["status"] == "matched")

"""The delivery mart after any sequence of loads equals a full refresh, and touches only the days that changed."""

from datetime import UTC, date, datetime, timedelta

import duckdb
import pytest
from warehouse import Warehouse

from adelt.datasets import dbt_variables
from adelt_sources.warehouse import BigQuery

FCT = "marts_ads.fct_delivery_daily"
ALL = (date(2026, 1, 1), date(2026, 2, 1))


def day(number: int) -> date:
    return date(2026, 1, number)


def dv360(number: int, partner: int, line_item: int, impressions: int, creative: int | None = 7) -> dict:
    return {
        "date": day(number),
        "partner_id": partner,
        "advertiser_id": partner * 10,
        "campaign_id": partner * 100,
        "insertion_order_id": partner * 1000,
        "line_item_id": line_item,
        "creative_id": creative,
        "impressions": impressions,
    }


def cm360(number: int, account: int, ad: int, impressions: int) -> dict:
    return {
        "date": day(number),
        "_account_id": account,
        "advertiser_id": account * 10,
        "campaign_id": account * 100,
        "site_id": 1,
        "placement_id": 2,
        "ad_id": ad,
        "creative_id": 3,
        "impressions": impressions,
    }


class Delivery(Warehouse):
    """A warehouse of which only the delivery mart is built."""

    def load_dv360(self, first: int, last: int, rows: list[dict], accounts=()) -> None:
        days = (day(first), day(last) + timedelta(days=1))
        self.load("raw_dv360.report_standard", rows, days=days, accounts=accounts)

    def load_cm360(self, first: int, last: int, rows: list[dict], accounts=()) -> None:
        days = (day(first), day(last) + timedelta(days=1))
        self.load("raw_cm360.report_standard", rows, days=days, accounts=accounts)

    def build_mart(self, *words: str, **variables) -> None:
        select = ["--select", "+fct_delivery_daily", "--resource-type", "model"]
        self.dbt("build", *select, *words, variables=variables)

    def mart(self) -> list[tuple]:
        return self.rows(f"SELECT * FROM {FCT} ORDER BY delivery_key")

    def mark(self, clicks: int | None) -> None:
        """Write a mark into every row of the mart: a day that is built again loses it."""
        with duckdb.connect(str(self.file)) as con:
            con.execute(f"UPDATE {FCT} SET clicks = ?", [clicks])

    def marked(self) -> dict[date, bool]:
        """Days of the mart, and whether they still have the mark."""
        return dict(self.rows(f"SELECT report_date, bool_and(clicks = -1) FROM {FCT} GROUP BY 1 ORDER BY 1"))


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    """Five days of two partners and an account, built once."""
    warehouse = Delivery(tmp_path_factory.mktemp("incremental"))
    warehouse.load_dv360(
        1, 5, [dv360(number, partner, partner, 100) for number in range(1, 6) for partner in (1, 2)]
    )
    warehouse.load_cm360(1, 5, [cm360(number, 9, ad, 10) for number in range(1, 6) for ad in (1, 2)])
    warehouse.build_mart()
    return warehouse


def test_only_days_that_changed_are_built_again_and_end_as_after_a_full_refresh(warehouse):
    # 2nd: figures restated and a row vanished; 3rd: nothing left of partner 2; 4th: nothing left at all; 6th: new
    warehouse.load_dv360(2, 2, [dv360(2, 1, 1, 111), dv360(2, 1, 1, 4, creative=None)], accounts=[1])
    warehouse.load_cm360(2, 2, [cm360(2, 9, 1, 12)])
    warehouse.load_dv360(3, 3, [], accounts=[2])
    warehouse.load_dv360(4, 4, [])
    warehouse.load_cm360(4, 4, [])
    warehouse.load_cm360(6, 6, [cm360(6, 9, 1, 5)])
    warehouse.mark(-1)
    warehouse.build_mart()
    assert warehouse.marked() == {day(1): True, day(2): None, day(3): None, day(5): True, day(6): None}

    warehouse.mark(None)
    incremental = warehouse.mart()
    warehouse.build_mart("--full-refresh")
    assert incremental == warehouse.mart()


def test_nothing_loaded_nothing_built(warehouse):
    warehouse.mark(-1)
    warehouse.build_mart()
    assert set(warehouse.marked().values()) == {True}


def test_a_row_that_someone_deleted_from_raw_is_noticed(warehouse):
    with duckdb.connect(str(warehouse.file)) as con:
        con.execute("DELETE FROM raw_cm360.report_standard WHERE date = '2026-01-05' AND ad_id = 2")
    warehouse.build_mart()
    assert [number for number, marked in warehouse.marked().items() if not marked] == [day(5)]


def test_a_backfill_outside_the_window_of_the_pipeline_is_not_missed(warehouse):
    warehouse.load_dv360(20, 20, [dv360(20, 1, 1, 5)])
    warehouse.load_dv360(10, 10, [dv360(10, 1, 1, 6)])
    warehouse.build_mart(window_start=day(14), window_end=day(21))
    assert {day(10), day(20)} <= set(warehouse.marked())


def test_a_day_that_expired_from_raw_stays_in_the_mart_and_one_that_became_empty_does_not(
    warehouse, monkeypatch
):
    today = datetime.now(UTC).date()
    rows = [{**dv360(1, 1, 1, 50), "date": today - timedelta(days=age)} for age in (61, 60, 59, 58, 40)]
    days = {row["date"] for row in rows}
    warehouse.load("raw_dv360.report_standard", rows, days=(min(days), max(days) + timedelta(days=1)))
    warehouse.build_mart()
    assert days <= set(warehouse.marked())
    warehouse.load("raw_dv360.report_standard", [], days=(min(days), max(days) + timedelta(days=1)))
    target = BigQuery("acme", partition_expiration_days=60)
    monkeypatch.setenv("ADELT_RAW_DAYS", dbt_variables(target)["ADELT_RAW_DAYS"])
    warehouse.build_mart()  # the next of its partitions expires at midnight
    ages = [(today - kept).days for kept in sorted(days & set(warehouse.marked()))]
    assert ages == [61, 60, 59]


def test_an_emptied_warehouse_empties_the_mart(warehouse):
    warehouse.load("raw_dv360.report_standard", [], days=ALL)
    warehouse.load("raw_cm360.report_standard", [], days=ALL)
    warehouse.build_mart()
    assert warehouse.mart() == []

"""Parsing rows and the checks before the swap."""

import dataclasses
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

from adelt_sources.catalog import Column, Scalar, table_spec
from adelt_sources.errors import SourceError
from adelt_sources.report_file import bid_manager
from adelt_sources.report_rows import Constants, check, connect, to_parquet

SPEC = dataclasses.replace(
    table_spec("dv360_reports", "standard"),
    account="partner_id",
    key=("date", "line_item_id"),
    columns=(
        Column("date", Scalar("date"), "d", "dimension", "FILTER_DATE", "Date"),
        Column("partner_id", Scalar("bigint"), "d", "dimension", "FILTER_PARTNER", "Partner ID"),
        Column("line_item_id", Scalar("bigint"), "d", "dimension", "FILTER_LINE_ITEM", "Line Item ID"),
        Column("line_item", Scalar("text"), "d", "dimension", "FILTER_LINE_ITEM_NAME", "Line Item"),
        Column("impressions", Scalar("bigint"), "d", "metric", "METRIC_IMPRESSIONS", "Impressions"),
        Column("cost", Scalar("decimal"), "d", "metric", "METRIC_MEDIA_COST_USD", "Media Cost (USD)"),
        Column("_run_id", Scalar("text"), "d", "meta"),
        Column("_loaded_at", Scalar("timestamp"), "d", "meta"),
    ),
)
HEAD = "Date,Partner ID,Line Item ID,Line Item,Impressions,Media Cost (USD)\n"
FOOT = "\nReport Time:,2026/01/03 06:00 GMT\n"
AT = datetime(2026, 1, 3, 6, tzinfo=UTC)


@pytest.fixture
def parse(tmp_path):
    """Parse and check a report given as its rows and its totals row; return the rows as dicts."""

    def run(rows, totals, start=date(2026, 1, 1), end=date(2026, 1, 3), accounts=(1,)):
        path = tmp_path / "r.csv"
        path.write_text(HEAD + rows + f",,,,{totals}\n" + FOOT)
        report = bid_manager(path, SPEC)
        target = tmp_path / "r.parquet"
        with connect(tmp_path) as con:
            to_parquet(con, SPEC, report, Constants("run-1", AT), target)
            check(con, SPEC, report, target, start=start, end=end, accounts=accounts)
        return pq.read_table(target).to_pylist()

    return run


def test_values_get_their_declared_types(parse):
    rows = parse('2026/01/01,1,7,"Spring, ""sale""",5,0.020020\n', "5,0.020020")
    assert rows == [
        {
            "date": date(2026, 1, 1),
            "partner_id": 1,
            "line_item_id": 7,
            "line_item": 'Spring, "sale"',
            "impressions": 5,
            "cost": Decimal("0.020020"),
            "_run_id": "run-1",
            "_loaded_at": AT,
        }
    ]


def test_unknown_is_null_in_ids_and_stays_text_in_names(parse):
    rows = parse("2026/01/01,1,Unknown,Unknown,1,0\n2026/01/02,1,-,-,2,0\n", "3,0")
    assert {(row["line_item_id"], row["line_item"]) for row in rows} == {(None, "Unknown"), (None, "-")}


def test_counts_may_be_written_as_decimals(parse):
    assert parse("2026/01/01,1,7,a,1.00,0\n", "1.00,0")[0]["impressions"] == 1


def test_a_count_that_is_not_whole_is_refused(parse):
    with pytest.raises(SourceError, match=r"`impressions` is 1.5\d*, not a whole number"):
        parse("2026/01/01,1,7,a,1.5,0\n", "1.5,0")


@pytest.mark.parametrize(
    ("rows", "totals", "which"),
    [
        ("2026/01/01,1,7,a,5,0\n", "6,0", "totals row: `impressions` adds up to 5, the report says 6"),
        ("2026/01/01,1,7,a,5,0.10\n", "5,0.11", "totals row: `cost` adds up to 0.100000"),
        ("2026/01/01,1,7,a,5,0\n2026/01/01,1,7,b,5,0\n", "10,0", "unique keys"),
        ("2026/01/03,1,7,a,5,0\n", "5,0", "dates inside the window"),
        ("2025/12/31,1,7,a,5,0\n", "5,0", "dates inside the window"),
        ("2026/01/01,9,7,a,5,0\n", "5,0", "accounts: 1 rows belong to none of 1"),
    ],
)
def test_a_failed_check_says_which(parse, rows, totals, which):
    with pytest.raises(SourceError, match=f"check failed: {which}") as caught:
        parse(rows, totals)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    "row",
    ["2026/01/01,1,7,a,5\n", "2026/01/01,1,7,a,5,0,9\n", "2026/13/01,1,7,a,5,0\n"],
)
def test_a_row_that_does_not_fit_names_its_line(parse, row):
    with pytest.raises(SourceError, match="line 3") as caught:
        parse("2026/01/01,1,8,a,0,0\n" + row, "5,0")
    assert "raw_dv360.report_standard" in caught.value.where


def test_an_id_that_is_not_a_number_is_named(parse):
    with pytest.raises(SourceError, match="`line_item_id` is `x`, not an id"):
        parse("2026/01/01,1,x,a,5,0\n", "5,0")


def test_totals_with_fewer_digits_than_the_rows_are_the_same_totals(parse):
    assert len(parse("2026/01/01,1,7,a,5,0.104999\n2026/01/01,1,8,a,5,0.2\n", "10,0.30")) == 2

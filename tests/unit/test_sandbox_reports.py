"""Report files, byte for byte, from a handful of delivery rows."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from adelt_sandbox import bid_csv, cm_csv
from adelt_sandbox.bid_fields import DIMENSIONS, METRICS
from adelt_sandbox.cm_fields import DIMENSIONS as CM_DIMENSIONS
from adelt_sandbox.cm_fields import METRICS as CM_METRICS
from adelt_sandbox.tabular import Query

AS_OF = datetime(2026, 1, 6, 6, 5, tzinfo=UTC)
MONEY = pa.decimal128(28, 6)


def delivery(day: date, rows: list[tuple[int, str, int | None, int, str]]) -> pa.Table:
    """One chunk: advertiser id, advertiser name, creative id, impressions, cost."""
    return pa.table(
        {
            "date": pa.array([day] * len(rows), pa.date32()),
            "advertiser_id": pa.array([row[0] for row in rows], pa.int64()),
            "advertiser_name": pa.array([row[1] for row in rows], pa.string()),
            "creative_id": pa.array([row[2] for row in rows], pa.int64()),
            "impressions": pa.array([row[3] for row in rows], pa.int64()),
            "billable_impressions": pa.array([row[3] for row in rows], pa.int64()),
            "clicks": pa.array([1] * len(rows), pa.int64()),
            "media_cost": pa.array([Decimal(row[4]) for row in rows], MONEY),
            "media_cost_usd": pa.array([Decimal(row[4]) for row in rows], MONEY),
        }
    )


CHUNKS = [
    delivery(
        date(2026, 1, 1), [(7, 'Shoes, "fine"', 1, 10, "0.020020"), (7, 'Shoes, "fine"', None, 5, "0.000001")]
    ),
    delivery(date(2026, 1, 2), [(8, "Hats", 1, 2, "1.5")]),
]


def bid_report(
    groups: list[str], metrics: list[str], chunks=CHUNKS, *, unique=False, totals=True, filters=None
) -> str:
    query = Query(
        tuple(DIMENSIONS[name] for name in groups),
        tuple(METRICS[name] for name in metrics),
        filters or {},
        unique,
        "Unknown",
    )
    pieces = bid_csv.report(
        query,
        iter(chunks),
        with_totals=totals,
        as_of=AS_OF,
        start=date(2026, 1, 1),
        end=date(2026, 1, 2),
        filters=[("Advertiser ID", "Hats (8)"), ("Partner ID", "995544")],
    )
    return b"".join(pieces).decode()


def test_the_bid_manager_file_is_byte_for_byte_what_google_writes():
    groups = ["FILTER_DATE", "FILTER_ADVERTISER_NAME", "FILTER_CREATIVE_ID"]
    metrics = ["METRIC_IMPRESSIONS", "METRIC_BILLABLE_IMPRESSIONS", "METRIC_MEDIA_COST_USD"]
    assert bid_report(groups, metrics, unique=True) == (
        "Date,Advertiser,Creative ID,Impressions,Billable Impressions,Media Cost (USD)\n"
        '2026/01/01,"Shoes, ""fine""",1,10,10.00,0.020020\n'
        '2026/01/01,"Shoes, ""fine""",Unknown,5,5.00,0.000001\n'
        "2026/01/02,Hats,1,2,2.00,1.500000\n"
        ",,,17,17.00,1.520021\n"
        "\n"
        "Report Time:,2026/01/06 06:05 GMT\n"
        "Date Range:,2026/01/01 to 2026/01/02\n"
        "Group By:,Date\n"
        "Group By:,Advertiser\n"
        "Group By:,Creative ID\n"
        'MRC Accredited Metrics,"Impressions, Billable Impressions",Active View metrics are accredited only when '
        "Measurement Source = Measured\n"
        '"Reporting numbers from the previous month are finalized (for billing purposes) on the first of each month, '
        "unless communicated otherwise. Some numbers in reports may fluctuate for up to seven days before matching "
        'billing numbers."\n'
        "Filter by Advertiser ID:,Hats (8)\n"
        "Filter by Partner ID:,995544\n"
    )


def rows(text: str) -> list[str]:
    return text.split("\n\n", 1)[0].splitlines()[1:]


def test_rows_are_added_up_to_the_groups_asked_for():
    assert rows(bid_report(["FILTER_ADVERTISER"], ["METRIC_IMPRESSIONS"])) == ["7,15", "8,2", ",17"]
    assert rows(bid_report(["FILTER_MONTH"], ["METRIC_IMPRESSIONS"])) == ["2026/01,17", ",17"]
    assert rows(bid_report(["FILTER_DATE"], ["METRIC_MEDIA_COST_USD"])) == [
        "2026/01/01,0.020021",
        "2026/01/02,1.500000",
        ",1.520021",
    ]


def test_a_day_in_several_chunks_is_one_group():
    same_day = [CHUNKS[0], CHUNKS[0].slice(0, 1), CHUNKS[1]]
    assert rows(bid_report(["FILTER_DATE"], ["METRIC_IMPRESSIONS"], same_day)) == [
        "2026/01/01,25",
        "2026/01/02,2",
        ",27",
    ]


def test_many_chunks_add_up_to_the_same_sums():
    many = [CHUNKS[1]] * 40
    assert rows(bid_report(["FILTER_ADVERTISER"], ["METRIC_IMPRESSIONS"], many)) == ["8,80", ",80"]


def test_ratios_are_made_from_sums():
    assert rows(bid_report(["FILTER_ADVERTISER"], ["METRIC_CTR"])) == [
        "7,0.133333",
        "8,0.500000",
        ",0.176471",
    ]


def test_filters_keep_only_what_they_name():
    found = bid_report(
        ["FILTER_ADVERTISER"], ["METRIC_IMPRESSIONS"], filters={"advertiser_id": frozenset({"8"})}
    )
    assert rows(found) == ["8,2", ",2"]


def test_reach_reports_have_no_totals_row():
    assert rows(bid_report(["FILTER_ADVERTISER"], ["METRIC_IMPRESSIONS"], totals=False)) == ["7,15", "8,2"]


def test_an_empty_report_says_so_in_place_of_rows():
    text = bid_report(["FILTER_ADVERTISER"], ["METRIC_IMPRESSIONS"], [])
    assert text.startswith(
        "Advertiser ID,Impressions\nNo data returned by the reporting service.\n\nReport Time:,"
    )


def test_the_footer_calls_countries_regions():
    country = [CHUNKS[0].append_column("country", pa.array(["US", "DE"]))]
    text = bid_report(["FILTER_COUNTRY"], ["METRIC_IMPRESSIONS"], country)
    assert text.startswith("Country,Impressions\n")
    assert "Group By:,Region\n" in text


def cm_report(variant: int, chunks=CHUNKS) -> str:
    names = ("date", "advertiserId", "advertiser", "creativeId")
    query = Query(
        tuple(CM_DIMENSIONS[name] for name in names),
        tuple(CM_METRICS[name] for name in ("impressions", "mediaCost")),
        {},
        True,
        "(not set)",
        "-",
    )
    heading = cm_csv.Heading(
        "Daily, all",
        "4444",
        AS_OF,
        date(2026, 1, 1),
        date(2026, 1, 2),
        [("Advertiser ID", "Equals:7")],
        variant,
    )
    return b"".join(cm_csv.report(query, iter(chunks), heading)).decode()


def test_the_cm360_file_is_byte_for_byte_what_google_writes():
    assert cm_report(1) == (
        '"Daily, all"\n'
        "\n"
        "Date/Time Generated,1/6/26 1:05 AM\n"
        "Report Time Zone,America/New_York\n"
        "Account ID,4444\n"
        "Date Range,1/1/26 - 1/2/26\n"
        "Advertiser ID,Equals:7\n"
        "\n"
        "Report Fields\n"
        "Date,Advertiser ID,Advertiser,Creative ID,Impressions,Media Cost\n"
        '2026-01-01,7,"Shoes, ""fine""",1,10,0.020020\n'
        '2026-01-01,7,"Shoes, ""fine""",(not set),5,0.000001\n'
        "2026-01-02,8,Hats,1,2,1.500000\n"
        "Grand Total:,---,---,---,17,1.520021\n"
    )


def test_the_block_above_cm360_data_has_varying_length():
    lengths = {cm_report(variant).split("Report Fields\n")[0].count("\n") for variant in range(3)}
    assert len(lengths) == 3


def test_an_empty_cm360_report_comes_in_two_forms():
    assert cm_report(2, []).endswith("Impressions,Media Cost\nGrand Total:,---,---,---,0,0.000000\n")
    text = cm_report(1, [])
    assert text.endswith("\n\nNo data returned by the reporting service.\n")
    assert "Report Fields" not in text


@pytest.mark.parametrize("separator", ["\n", "\r", ",", '"'])
def test_cells_that_need_quotes_get_them(separator):
    import csv
    import io

    name = f"a{separator}b"
    text = bid_report(
        ["FILTER_ADVERTISER_NAME"],
        ["METRIC_IMPRESSIONS"],
        [delivery(date(2026, 1, 1), [(1, name, 1, 3, "0")])],
    )
    parsed = list(csv.reader(io.StringIO(text, newline="")))
    assert parsed[1] == [name, "3"]

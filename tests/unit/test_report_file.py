"""Finding the rows of a report file by its two ends."""

import dataclasses

import pytest

from adelt_sources.catalog import Column, Scalar, table_spec
from adelt_sources.errors import InputError, SourceError
from adelt_sources.report_file import bid_manager, campaign_manager, only_rows

DV = dataclasses.replace(
    table_spec("dv360_reports", "standard"),
    columns=(
        Column("date", Scalar("date"), "d", "dimension", "FILTER_DATE", "Date"),
        Column("line_item_id", Scalar("bigint"), "d", "dimension", "FILTER_LINE_ITEM", "Line Item ID"),
        Column("impressions", Scalar("bigint"), "d", "metric", "METRIC_IMPRESSIONS", "Impressions"),
    ),
)
CM = dataclasses.replace(DV, source="cm360_reports", dataset="raw_cm360")
HEAD = b"Date,Line Item ID,Impressions\n"
ROWS = b"2026/01/01,7,5\n2026/01/02,8,6\n"
FOOT = b"\nReport Time:,2026/01/03 06:00 GMT\nDate Range:,2026/01/01 to 2026/01/02\nGroup By:,Date\nGroup By:,Line Item\n"


@pytest.fixture
def file(tmp_path):
    """Write bytes to a report file."""

    def write(content):
        path = tmp_path / "report.csv"
        path.write_bytes(content)
        return path

    return write


def rows_of(report):
    with only_rows(report):
        return report.path.read_bytes().split(b"\n", report.skip_lines)[-1]


def test_totals_and_footer_are_not_rows(file):
    path = file(HEAD + ROWS + b",,11\n" + FOOT)
    report = bid_manager(path, DV)
    assert rows_of(report) == ROWS
    assert report.totals == ["", "", "11"]
    assert report.footer["Date Range"] == "2026/01/01 to 2026/01/02"
    assert report.footer["Group By"] == "Date; Line Item"


def test_the_file_is_whole_again_after_parsing(file):
    content = HEAD + ROWS + b",,11\n" + FOOT
    path = file(content)
    with pytest.raises(RuntimeError), only_rows(bid_manager(path, DV)):
        raise RuntimeError("a parser gave up")
    assert path.read_bytes() == content


def test_windows_line_ends_and_a_byte_order_mark_are_read(file):
    content = (b"\xef\xbb\xbf" + HEAD + ROWS + b",,11\n" + FOOT).replace(b"\n", b"\r\n")
    report = bid_manager(file(content), DV)
    assert report.totals == ["", "", "11"]
    assert rows_of(report) == ROWS.replace(b"\n", b"\r\n")


def test_a_row_whose_first_dimension_is_empty_stays_a_row(file):
    report = bid_manager(file(HEAD + b",7,5\n2026/01/02,8,6\n,,11\n" + FOOT), DV)
    assert rows_of(report) == b",7,5\n2026/01/02,8,6\n"


def test_a_footer_text_inside_a_name_is_not_the_footer(file):
    rows = b'2026/01/01,"\nReport Time:,7",5\n'
    report = bid_manager(file(HEAD + rows + b",,5\n" + FOOT), DV)
    assert rows_of(report) == rows


def test_an_empty_report_is_not_an_error(file):
    content = HEAD + b"No data returned by the reporting service.\n" + FOOT
    report = bid_manager(file(content), DV)
    assert report.empty
    assert report.footer["Report Time"] == "2026/01/03 06:00 GMT"


@pytest.mark.parametrize("cut", [20, len(HEAD) + 5, len(HEAD + ROWS) + 2, len(HEAD + ROWS) + 6])
def test_a_truncated_report_is_refused_and_may_be_retried(file, cut):
    with pytest.raises(SourceError, match="cut short") as caught:
        bid_manager(file((HEAD + ROWS + b",,11\n" + FOOT)[:cut]), DV)
    assert caught.value.exit_code == 1


def test_a_report_without_its_totals_row_is_refused(file):
    with pytest.raises(SourceError, match="no totals row"):
        bid_manager(file(HEAD + ROWS + FOOT), DV)


@pytest.mark.parametrize(
    ("header", "what"),
    [
        (b"Date,Impressions\n", "the report has no column `Line Item ID`"),
        (b"Date,Line Item ID,Impressions,Clicks\n", "a column that is not declared: `Clicks`"),
        (b"Date,Line Item ID,Line Item ID,Impressions\n", "the column `Line Item ID` twice"),
        (b"Date,Line Item,Impressions\n", "has `Line Item` where `Line Item ID` is declared"),
        (b"Line Item ID,Date,Impressions\n", "in another order"),
    ],
)
def test_other_columns_than_declared_are_bad_input(file, header, what):
    with pytest.raises(InputError, match=what) as caught:
        bid_manager(file(header + ROWS + b",,11\n" + FOOT), DV)
    assert "adelt tables dv360_reports.standard" in caught.value.fix


CM_TOP = b"My report\n\nDate/Time Generated,1/3/26 6:00 AM\nReport Time Zone,America/New_York\nAccount ID,4444\n\nReport Fields\n"


@pytest.mark.parametrize(
    "extra", [b"", b"MRC Accredited Metrics,a\nAdvertiser,Equals:1\nAdvertiser,Equals:2\n"]
)
def test_a_header_block_of_any_length_is_skipped(file, extra):
    top = CM_TOP.replace(b"\n\nReport Fields", b"\n" + extra + b"\nReport Fields")
    report = campaign_manager(file(top + HEAD + ROWS + b"Grand Total:,---,11\n"), CM)
    assert rows_of(report) == ROWS
    assert report.totals == ["Grand Total:", "---", "11"]
    assert report.footer["Account ID"] == "4444"


def test_an_empty_cm360_report_is_not_an_error(file):
    assert campaign_manager(file(CM_TOP + b"No data returned by the reporting service.\n"), CM).empty
    report = campaign_manager(file(CM_TOP + HEAD + b"Grand Total:,---,0\n"), CM)
    assert rows_of(report) == b""


@pytest.mark.parametrize("cut", [30, len(CM_TOP) + 3, len(CM_TOP + HEAD) + 9, -8])
def test_a_truncated_cm360_report_is_refused(file, cut):
    with pytest.raises(SourceError, match="cut short"):
        campaign_manager(file((CM_TOP + HEAD + ROWS + b"Grand Total:,---,11\n")[:cut]), CM)

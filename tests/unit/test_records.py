"""API objects to declared columns, and Entity Read Files to nested rows: nothing is lost."""

import gzip
import json
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from adelt_sources import erf_rows
from adelt_sources.catalog import table_spec
from adelt_sources.erf_files import ErfStore
from adelt_sources.errors import InputError, SourceError
from adelt_sources.records import RecordWriter, snake_case
from adelt_sources.report_rows import connect
from adelt_sources.run import Patience, Run

LINE_ITEM = table_spec("dv360", "line_item")
ERF = table_spec("dv360_erf", "line_item")
DAY = date(2024, 10, 30)
META = {
    "_account_id": 1,
    "_snapshot_date": DAY,
    "_run_id": "r",
    "_loaded_at": datetime(2024, 10, 31, tzinfo=UTC),
}


@pytest.fixture
def run(tmp_path):
    """A run of one ERF day; parameters as keywords."""

    def make(**params):
        return Run("r", DAY, date(2024, 10, 31), params, tmp_path, Patience(attempts=1), None, lambda _: None)

    return make


@pytest.fixture
def write(tmp_path):
    """Convert API objects of line items; return rows and what was unknown."""

    def convert(*objects):
        writer = RecordWriter(LINE_ITEM, tmp_path / "x.parquet")
        writer.add(objects, META)
        return pq.read_table(writer.close()).to_pylist(), dict(writer.unknown)

    return convert


@pytest.fixture
def erf(tmp_path, run):
    """Parse the text of an Entity Read File; return rows and what was unknown."""

    def parse(text):
        path = tmp_path / "20241030.0.LineItem.json"
        path.write_text(text)
        target = tmp_path / "erf.parquet"
        with connect(tmp_path) as con:
            unknown = erf_rows.to_parquet(con, run(), ERF, [path], target, account=1, day=DAY)
        return pq.read_table(target).to_pylist(), dict(unknown)

    return parse


@pytest.mark.parametrize(
    ("camel", "snake"),
    [
        ("dv360ToCmCostReportingEnabled", "dv360_to_cm_cost_reporting_enabled"),
        ("html5Video", "html5_video"),
        ("idDimensionValue", "id_dimension_value"),
        ("name", "name"),
    ],
)
def test_names_become_snake_case(camel, snake):
    assert snake_case(camel) == snake


def test_an_api_object_is_typed_at_every_depth(write):
    rows, unknown = write(
        {
            "lineItemId": "9007199254740993",
            "creativeIds": ["1", "2"],
            "flight": {"dateRange": {"startDate": {"year": 2026, "month": 1, "day": 2}}},
            "updateTime": "2026-01-02T03:04:05.123456789Z",
        }
    )
    assert unknown == {}
    assert rows[0]["line_item_id"] == 9007199254740993
    assert rows[0]["creative_ids"] == [1, 2]
    assert rows[0]["flight"]["date_range"]["start_date"] == {"year": 2026, "month": 1, "day": 2}
    assert rows[0]["update_time"] == datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)
    assert rows[0]["display_name"] is None


def test_unknown_fields_are_kept_under_their_path_and_counted(write):
    rows, unknown = write(
        {"lineItemId": "1", "flight": {"season": "spring"}, "brandNew": [1]},
        {"lineItemId": "2", "partnerCosts": [{"feeType": "X"}, {"surprise": True}]},
    )
    assert json.loads(rows[0]["_unknown_fields"]) == {"flight.season": "spring", "brandNew": [1]}
    assert unknown == {"flight.season": 1, "brandNew": 1, "partnerCosts[].surprise": 1}


def test_a_value_of_another_type_is_refused_by_its_path(write):
    with pytest.raises(
        SourceError, match=r'`flight.dateRange.startDate.year` is "soon", declared as bigint'
    ) as caught:
        write({"lineItemId": "1", "flight": {"dateRange": {"startDate": {"year": "soon"}}}})
    assert caught.value.exit_code == 2


OBJECTS = [
    {
        "common_data": {"id": 7, "name": "a [1], {b}"},
        "creative_ids": [1, 2],
        "budget": {"max_impressions": 5},
    },
    {
        "common_data": {"id": 8},
        "target_list": {"keywords": [{"criteria_id": 1, "parameter": "x", "excluded": True}]},
    },
]
LAYOUTS = {
    "lines": "[\n" + ",\n".join(map(json.dumps, OBJECTS)) + "\n]\n",
    "single line": json.dumps(OBJECTS),
    "pretty": json.dumps(OBJECTS, indent=2),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_of_the_array_gives_the_same_rows(erf, layout):
    rows, unknown = erf(LAYOUTS[layout])
    assert unknown == {}
    assert [row["common_data"]["id"] for row in sorted(rows, key=lambda r: r["common_data"]["id"])] == [7, 8]
    by_id = {row["common_data"]["id"]: row for row in rows}
    assert by_id[7]["common_data"]["name"] == "a [1], {b}"
    assert by_id[7]["creative_ids"] == [1, 2]
    assert by_id[8]["target_list"]["keywords"] == [{"criteria_id": 1, "parameter": "x", "excluded": True}]
    assert by_id[8]["_unknown_fields"] is None


@pytest.mark.parametrize("text", ["[]", "[\n]\n"])
def test_an_empty_array_has_no_rows(erf, text):
    assert erf(text)[0] == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_unknown_erf_fields_are_kept_in_every_layout(erf, layout):
    text = LAYOUTS[layout].replace('"max_impressions"', '"surprise"')
    rows, unknown = erf(text)
    by_id = {row["common_data"]["id"]: row for row in rows}
    assert json.loads(by_id[7]["_unknown_fields"]) == {"budget.surprise": 5}
    assert by_id[7]["creative_ids"] == [1, 2]
    assert by_id[8]["_unknown_fields"] is None
    assert unknown == {"budget.surprise": 1}


def test_a_broken_line_is_bad_input_and_says_where(erf):
    with pytest.raises(InputError, match="cannot be parsed") as caught:
        erf(LAYOUTS["lines"].replace('"creative_ids": [1, 2]', '"creative_ids": [1, 2'))
    assert "20241030.0.LineItem.json" in caught.value.where
    assert caught.value.exit_code == 2


def test_a_file_cut_short_is_bad_input(erf):
    with pytest.raises(InputError, match="cannot be parsed"):
        erf(LAYOUTS["lines"][:-30])


def test_a_value_of_another_type_is_bad_input(erf):
    with pytest.raises(InputError, match="cannot be parsed"):
        erf(json.dumps([{"common_data": {"id": "seven"}}]))


@pytest.fixture
def archive(tmp_path):
    """An archive folder; write files into it by their path."""

    def write(*paths):
        for path in paths:
            file = tmp_path / "archive" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(gzip.compress(b"[]") if path.endswith(".gz") else b"[]")
        return str(tmp_path / "archive")

    return write


@pytest.mark.parametrize(
    "path",
    [
        "gdbm-1001/entity/20241030.0.LineItem.json",
        "1001/20241030.0.LineItem.json.gz",
        "old/1001/entity/20241030.0.LineItem.json",
        "20241030.0.LineItem.json",
    ],
)
def test_archives_may_be_laid_out_in_many_ways(archive, run, path):
    store = ErfStore(run(archive=archive(path, "gdbm-1002/entity/20241030.0.Campaign.json")))
    (file,) = store.files(ERF, [1001])
    assert (file.account, file.batch, file.day) == (1001, 0, DAY)


def test_every_batch_is_read_and_a_gap_is_refused(archive, run):
    root = archive(
        "1001/20241030.0.LineItem.json", "1001/20241030.1.LineItem.json", "1001/20241030.2.LineItem.json"
    )
    assert [f.batch for f in ErfStore(run(archive=root)).files(ERF, [1001])] == [0, 1, 2]
    (Path(root) / "1001/20241030.1.LineItem.json").unlink()
    with pytest.raises(SourceError, match=r"batches of .* are \[0, 2\]"):
        ErfStore(run(archive=root)).files(ERF, [1001])


def test_a_missing_day_is_named(archive, run):
    root = archive("1001/20241029.0.LineItem.json")
    with pytest.raises(SourceError, match=r"there is no 20241030.\*.LineItem.json of partner 1001"):
        ErfStore(run(archive=root)).files(ERF, [1001])


def test_a_missing_archive_is_bad_input(run, tmp_path):
    with pytest.raises(InputError, match="no such archive"):
        ErfStore(run(archive=str(tmp_path / "nowhere")))

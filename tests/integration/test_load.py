"""The swap: a load replaces exactly its scope, in one transaction, on a real DuckDB file."""

import os
import signal
from datetime import date

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dlt.load.load import Load

from adelt_sources.errors import SourceError
from adelt_sources.load import Part, load
from adelt_sources.scope import Scope
from adelt_sources.warehouse import DuckDb

JAN = Scope({"account": (1,)}, ("day", date(2026, 1, 1), date(2026, 1, 31)))


@pytest.fixture
def warehouse(tmp_path):
    """Load rows of (day, account, value), and query the warehouse."""

    class Warehouse:
        file = tmp_path / "w.duckdb"
        part = tmp_path / "part.parquet"

        def load(self, rows, scope, schema=None):
            schema = schema or pa.schema(
                [("day", pa.date32()), ("account", pa.int64()), ("value", pa.int64())]
            )
            table = pa.Table.from_pylist(
                [dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema
            )
            pq.write_table(table, self.part)
            load(
                "s__t", "raw_x", [Part("t", self.part, scope)], warehouse=DuckDb(self.file), work_dir=tmp_path
            )

        def rows(self, sql="SELECT day, account, value FROM raw_x.t ORDER BY ALL"):
            with duckdb.connect(str(self.file)) as con:
                return con.execute(sql).fetchall()

    return Warehouse()


def day(n):
    return date(2026, 1, n)


def test_a_window_of_one_account_is_replaced_and_nothing_else(warehouse):
    warehouse.load([(day(1), 1, 10), (day(2), 1, 20), (day(1), 2, 99), (date(2026, 2, 1), 1, 7)], None)
    warehouse.load([(day(1), 1, 11)], JAN)
    assert warehouse.rows() == [(day(1), 1, 11), (day(1), 2, 99), (date(2026, 2, 1), 1, 7)]


def test_an_empty_report_empties_its_window(warehouse):
    warehouse.load([(day(1), 1, 10), (day(1), 2, 99)], None)
    warehouse.load([], JAN)
    assert warehouse.rows() == [(day(1), 2, 99)]


def test_loading_twice_leaves_the_same_rows(warehouse):
    for _ in range(2):
        warehouse.load([(day(1), 1, 10), (day(2), 1, 20)], JAN)
    assert warehouse.rows() == [(day(1), 1, 10), (day(2), 1, 20)]


def test_merge_replaces_rows_by_key(warehouse):
    warehouse.load([(day(1), 1, 10), (day(2), 1, 20)], None)
    warehouse.load([(day(2), 1, 21), (day(3), 1, 30)], Scope({}, keys=("day", "account")))
    assert warehouse.rows() == [(day(1), 1, 10), (day(2), 1, 21), (day(3), 1, 30)]


def test_replace_makes_the_table_the_last_load(warehouse):
    warehouse.load([(day(1), 1, 10), (day(2), 2, 20)], None)
    warehouse.load([(day(3), 3, 30)], Scope({}))
    assert warehouse.rows() == [(day(3), 3, 30)]


def test_a_load_that_fails_leaves_the_rows_as_they_were(warehouse):
    warehouse.load([(day(1), 1, 10)], JAN)
    with duckdb.connect(str(warehouse.file)) as con:
        con.execute("ALTER TABLE raw_x.t ALTER value SET DATA TYPE TINYINT")
    with pytest.raises(SourceError, match="the load did not commit") as caught:
        warehouse.load([(day(1), 1, 1000)], JAN)
    assert caught.value.exit_code == 1
    assert warehouse.rows() == [(day(1), 1, 10)]


def test_nested_columns_stay_nested_and_new_columns_are_added(warehouse):
    item = pa.struct([("id", pa.int64()), ("tags", pa.list_(pa.string()))])
    warehouse.load([(day(1), 1, 5)], JAN)
    schema = pa.schema([("day", pa.date32()), ("account", pa.int64()), ("items", pa.list_(item))])
    warehouse.load([(day(2), 1, [{"id": 7, "tags": ["a", "b"]}])], Scope({"account": (2,)}), schema)
    types = dict(warehouse.rows("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 't'"))
    assert types["items"] == "STRUCT(id BIGINT, tags VARCHAR[])[]"
    assert warehouse.rows("SELECT items[1].tags[2] FROM raw_x.t WHERE day = '2026-01-02'") == [("b",)]


def test_a_leftover_of_a_killed_run_is_never_loaded(warehouse, tmp_path):
    leftover = tmp_path / "dlt" / "s__t" / "load" / "normalized" / "1"
    leftover.mkdir(parents=True)
    (leftover / "schema.json").write_text("{}")
    warehouse.load([(day(1), 1, 10)], JAN)
    assert warehouse.rows() == [(day(1), 1, 10)]


def test_a_table_with_very_many_fields_loads_in_bounded_memory(warehouse):
    fields = pa.struct(
        [(f"f{n}", pa.list_(pa.struct([("a", pa.string()), ("b", pa.int64())]))) for n in range(400)]
    )
    schema = pa.schema([("day", pa.date32()), ("account", pa.int64()), ("wide", fields)])
    value = {f"f{n}": [{"a": "x" * 50, "b": n}] for n in range(400)}
    warehouse.load([(day(1), 1, value) for _ in range(2000)], JAN, schema)
    assert warehouse.rows("SELECT count(*), sum(wide.f399[1].b) FROM raw_x.t") == [(2000, 2000 * 399)]


def test_a_load_that_is_stopped_is_no_failure(warehouse, monkeypatch):
    warehouse.load([(day(1), 1, 10)], None)

    def stopped(self, *arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return start(self, *arguments)

    start = Load.load_single_package
    monkeypatch.setattr(Load, "load_single_package", stopped)
    with pytest.raises(KeyboardInterrupt):
        warehouse.load([(day(1), 1, 11)], JAN)
    assert warehouse.rows() == [(day(1), 1, 10)]

"""The swap on BigQuery: real clients against the emulator; what is asked is looked at, too."""

import dataclasses
import json
import os
import pickle
import signal
import subprocess
import sys
import time
import zlib
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bq import Reader

import adelt_sandbox
from adelt_sandbox import bigquery as emulated
from adelt_sources.bigquery import connected
from adelt_sources.bigquery_destination import STAGING, empty_sql, merge_sql
from adelt_sources.bigquery_tables import ensure_table, schema
from adelt_sources.catalog import Column, ListOf, Record, Scalar, TableSpec
from adelt_sources.errors import InputError, SourceError
from adelt_sources.load import Part, load
from adelt_sources.scope import Scope, Swap
from adelt_sources.types import arrow_schema
from adelt_sources.warehouse import BigQuery

JAN = Scope({"account": (1,)}, ("day", date(2026, 1, 1), date(2026, 1, 31)))
COLUMNS = (
    Column("day", Scalar("date"), "The day"),
    Column("account", Scalar("bigint"), "The account"),
    Column("value", Scalar("bigint"), "The value"),
    Column("tags", ListOf(Record({"name": Scalar("text"), "ids": ListOf(Scalar("bigint"))})), "Nested"),
)


def spec_of(name, columns=COLUMNS, partition="day"):
    """A declaration of a table `raw_x.<name>`."""
    return TableSpec(
        "s", name, "raw_x", name, "A table", ("day", "account"), "replace_window", "account", "day", columns, partition,
        ("account",) if partition else (), 0,
    )  # fmt: skip


def day(number):
    return date(2026, 1, number)


@pytest.fixture(scope="module")
def places():
    """A sandbox (it issues the tokens) and a BigQuery."""
    with (
        adelt_sandbox.running() as sandbox,
        emulated.running(buckets=sandbox.buckets) as emulator,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in {**sandbox.env, **emulator.env}.items():
            patch.setenv(name, value)
        yield sandbox, emulator


@pytest.fixture
def warehouse(places, tmp_path, request):
    """Load rows into a table of the test's own, and look at it."""
    _, emulator = places
    emulator.set_faults([])
    emulator.requests()

    class Warehouse:
        name = f"t{zlib.crc32(request.node.name.encode())}"
        spec = spec_of(name)
        target = BigQuery(emulator.project, labels={"tool": "adelt"})
        reader = Reader(emulator)
        place = emulator

        def file(self, rows, schema=None):
            schema = schema or arrow_schema(self.spec.columns)
            table = pa.Table.from_pylist([dict(zip(schema.names, row, strict=False)) for row in rows], schema)
            path = tmp_path / f"part{time.monotonic_ns()}.parquet"
            pq.write_table(table, path)
            return path

        def load(self, rows, scope, schema=None, **target):
            part = Part(self.name, self.file(rows, schema), scope, self.spec)
            where = dataclasses.replace(self.target, **target)
            return load("s__t", "raw_x", [part], warehouse=where, work_dir=tmp_path, labels={"run": "R 1"})

        def rows(self):
            found = self.reader.table(f"raw_x.{self.name}")
            return sorted((row["day"], row["account"], row["value"]) for row in found)

        def staged(self):
            return [table.table_id for table in self.reader.client.list_tables(STAGING)]

    return Warehouse()


def test_a_window_of_one_account_is_replaced_and_nothing_else(warehouse):
    warehouse.load([(day(1), 1, 10), (day(2), 1, 20), (day(1), 2, 99), (date(2026, 2, 1), 1, 7)], None)
    warehouse.load([(day(1), 1, 11)], JAN)
    assert warehouse.rows() == [(day(1), 1, 11), (day(1), 2, 99), (date(2026, 2, 1), 1, 7)]
    assert warehouse.staged() == []


def test_rows_outside_the_scope_never_come_in(warehouse):
    warehouse.load([(day(1), 1, 11), (day(1), 2, 5)], JAN)
    assert warehouse.rows() == [(day(1), 1, 11)]


def test_an_empty_report_empties_its_window_without_a_staging_table(warehouse):
    warehouse.load([(day(1), 1, 10), (day(1), 2, 99)], None)
    warehouse.load([], JAN)
    assert warehouse.rows() == [(day(1), 2, 99)]
    loads = [r for r in warehouse.place.requests() if r["path"].startswith("/upload/")]
    assert len(loads) == 1  # of the first load


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


def test_nested_columns_are_records_and_lists(warehouse):
    tags = [{"name": "a", "ids": [1, 2]}, {"name": "b", "ids": []}]
    warehouse.load([(day(1), 1, 10, tags)], JAN)
    table = warehouse.reader.client.get_table(f"raw_x.{warehouse.name}")
    field = table.schema[3]
    assert (field.field_type, field.mode) == ("RECORD", "REPEATED")
    assert [(f.name, f.mode) for f in field.fields] == [("name", "NULLABLE"), ("ids", "REPEATED")]
    rows = warehouse.reader.rows(
        f"SELECT t.name, i FROM raw_x.{warehouse.name} CROSS JOIN UNNEST(tags) AS t CROSS JOIN UNNEST(t.ids) AS i"
    )
    assert sorted(rows) == [("a", 1), ("a", 2)]


def test_every_parquet_load_asks_for_list_inference_and_says_what_it_is_for(warehouse):
    warehouse.load([(day(1), 1, 10)], JAN, max_bytes=10**9)
    warehouse.load([(day(1), 1, 10)], None)
    asked = warehouse.place.requests()
    loads = [r["body"]["configuration"] for r in asked if r["path"].startswith("/upload/")]
    assert len(loads) == 2
    assert all(load["load"]["parquetOptions"] == {"enableListInference": True} for load in loads)
    merge = next(r["body"] for r in asked if "MERGE" in str(r["body"]))
    for configuration in [*loads, merge["configuration"]]:
        assert configuration["labels"] == {"tool": "adelt", "table": warehouse.name, "run": "r_1"}
    assert merge["configuration"]["query"]["maximumBytesBilled"] == str(10**9)
    assert merge["configuration"]["jobTimeoutMs"] == "1800000"
    assert merge["jobReference"]["location"] == "EU"


def test_tables_are_made_as_declared(warehouse):
    warehouse.load([], JAN, require_partition_filter=True, partition_expiration_days=30)
    made = next(
        r["body"]
        for r in warehouse.place.requests()
        if r["path"].endswith("/datasets/raw_x/tables") and r["body"]
    )
    assert made["timePartitioning"] == {
        "type": "DAY",
        "field": "day",
        "expirationMs": str(30 * 24 * 3600 * 1000),
    }
    assert made["requirePartitionFilter"] is True
    assert made["clustering"] == {"fields": ["account"]}
    assert made["labels"] == {"tool": "adelt"}
    assert made["schema"]["fields"][0]["description"] == "The day"
    assert made["description"] == "A table"


def test_the_statements_name_only_literal_days_and_accounts(warehouse):
    """What BigQuery would scan is the partitions that the literals name, however large the table is."""
    with connected(warehouse.target) as connection:
        merge = merge_sql(connection, warehouse.spec, Swap(JAN, 1), "st.t")
        empty = empty_sql(connection, warehouse.spec, Swap(JAN, 0))
    bound = "`account` IN (1) AND {}`day` BETWEEN DATE '2026-01-01' AND DATE '2026-01-31'"
    assert f"WHEN NOT MATCHED BY SOURCE AND t.{bound.format('t.')} THEN DELETE" in merge
    assert f"WHERE {bound.format('')}) AS s ON FALSE" in merge
    assert empty.endswith(f"WHERE {bound.format('')}")
    assert "SELECT" not in merge.replace(
        "(SELECT `day`", "", 1
    )  # no subquery: one that is dynamic does not prune


@pytest.mark.parametrize("mode", ["window", "empty"])
def test_what_a_load_scans_does_not_grow_with_the_table(warehouse, mode):
    """Computed by a dry run: twice as many days in the table, the same bytes for the window."""
    with connected(warehouse.target) as connection:

        def bytes_scanned():
            stage = f"raw_x.{warehouse.name}_stage"
            connection.load(
                warehouse.file([(day(1), 1, 10)]), stage, schema(warehouse.spec.columns), f"j{time.monotonic_ns()}",
                append=False,
            )  # fmt: skip
            what = Swap(JAN, 1)
            if mode == "empty":
                return connection.estimate(empty_sql(connection, warehouse.spec, what))
            return connection.estimate(merge_sql(connection, warehouse.spec, what, stage))

        warehouse.load([(day(number), 1, number) for number in range(1, 32)], None)
        small = bytes_scanned()
        later = [(date(2026, 2, number), 1, number) for number in range(1, 29)] * 20
        warehouse.load(later, None)
        assert small >= 31 * 24
        assert bytes_scanned() == small


def test_a_load_that_would_cost_too_much_is_refused(warehouse):
    warehouse.load([(day(number), 1, number) for number in range(1, 32)], None)
    with pytest.raises(InputError, match="it would cost more than allowed") as error:
        warehouse.load([(day(1), 1, 1)], JAN, max_bytes=100)
    assert "max_bytes" in error.value.fix
    assert len(warehouse.rows()) == 31


def test_what_a_load_cost_is_told(warehouse):
    warehouse.load([(day(1), 1, 1)], JAN)
    cost = warehouse.load([(day(1), 1, 2)], JAN)
    assert cost["bytes_billed"] > 0
    assert cost["slot_ms"] > 0
    assert [job.rpartition("_")[2] for job in cost["jobs"]] == ["load", "merge"]


def test_a_large_file_goes_through_the_bucket_and_does_not_stay(warehouse, places):
    from google.cloud import storage

    bucket = storage.Client("p").create_bucket("adelt-staging-test")
    warehouse.load([(day(1), 1, 10)], JAN, bucket=bucket.name, stage_above=1)
    assert warehouse.rows() == [(day(1), 1, 10)]
    body = next(r["body"] for r in warehouse.place.requests() if "sourceUris" in str(r["body"]))
    (uri,) = body["configuration"]["load"]["sourceUris"]
    assert uri.startswith("gs://adelt-staging-test/staging/")
    assert list(bucket.list_blobs()) == []


@pytest.mark.parametrize("rows", [[(day(1), 1, 10)], []])
@pytest.mark.parametrize("call", ["POST /upload/", "POST .*/jobs$"])
def test_a_lost_answer_is_asked_about_and_nothing_is_loaded_twice(warehouse, call, rows):
    warehouse.load([(day(1), 1, 7), (day(1), 2, 99)], None)
    warehouse.place.set_faults([{"match": call, "fault": "lost", "times": 1}])
    warehouse.load(rows, JAN)
    assert warehouse.rows() == sorted([*rows, (day(1), 2, 99)])


def test_a_lost_answer_to_an_append_appends_once(warehouse):
    warehouse.place.set_faults([{"match": "POST /upload/", "fault": "lost", "times": 1}])
    warehouse.load([(day(1), 1, 7)], None)
    assert warehouse.rows() == [(day(1), 1, 7)]


def test_a_busy_service_is_tried_again(warehouse):
    warehouse.place.set_faults(
        [
            {"match": "POST /upload/", "fault": "http", "status": 503, "reason": "backendError", "times": 2},
            {"match": "POST .*/jobs$", "fault": "http", "status": 503, "reason": "backendError", "times": 2},
        ]
    )
    warehouse.load([(day(1), 1, 7)], JAN)
    assert warehouse.rows() == [(day(1), 1, 7)]


@pytest.mark.parametrize(
    ("fault", "kind", "what", "fix"),
    [
        ({"status": 403, "reason": "accessDenied"}, InputError, "not allowed", "docs/roles.md"),
        ({"status": 403, "reason": "quotaExceeded"}, SourceError, "quota of BigQuery is used up", "wait"),
        ({"status": 400, "reason": "invalid"}, InputError, "BigQuery refused", "adelt doctor"),
    ],
)
@pytest.mark.parametrize(
    "call", ["POST /upload/", "POST .*/jobs$", "POST .*/tables$", "GET .*/datasets/raw_x$"]
)
def test_what_the_service_refuses_is_told_and_changes_nothing(warehouse, call, fault, kind, what, fix):
    fault = {"match": call, "fault": "http", "times": 99, "message": "because", **fault}
    if call != "POST .*/tables$":
        warehouse.load([(day(1), 1, 10)], None)
    else:
        warehouse.spec = dataclasses.replace(warehouse.spec, table=f"new_{time.monotonic_ns()}")
    warehouse.place.set_faults([fault])
    with pytest.raises(kind) as error:
        warehouse.load([(day(2), 1, 20)], JAN)
    assert type(error.value) is kind
    assert what in error.value.what
    assert fix in error.value.fix
    assert "raw_x" in error.value.where
    warehouse.place.set_faults([])
    if call != "POST .*/tables$":
        assert warehouse.rows() == [(day(1), 1, 10)] * len(warehouse.rows())


def test_a_dataset_elsewhere_is_told_before_anything_is_loaded(warehouse):
    warehouse.load([(day(1), 1, 10)], None)
    with pytest.raises(InputError, match="the dataset is in EU, the target says US"):
        warehouse.load([(day(1), 1, 11)], JAN, location="US")
    assert warehouse.rows() == [(day(1), 1, 10)]


def test_a_table_with_another_schema_is_told_before_anything_is_loaded(warehouse):
    warehouse.load([(day(1), 1, 10)], None)
    other = (COLUMNS[0], COLUMNS[1], Column("value", Scalar("text"), ""), COLUMNS[3])
    warehouse.spec = spec_of(warehouse.name, other)
    with pytest.raises(InputError, match="column `value` is INT64, declared is STRING"):
        warehouse.load([(day(1), 1, "x")], JAN)
    warehouse.spec = spec_of(warehouse.name, partition="")
    with pytest.raises(InputError, match="partitioned by day, declared is nothing"):
        warehouse.load([(day(1), 1, 11)], JAN)
    assert warehouse.rows() == [(day(1), 1, 10)]


def test_a_new_column_and_a_new_field_in_a_record_are_added(warehouse):
    warehouse.load([(day(1), 1, 10, [{"name": "a", "ids": [1]}])], None)
    nested = ListOf(
        Record({"name": Scalar("text"), "ids": ListOf(Scalar("bigint")), "extra": Scalar("text")})
    )
    warehouse.spec = spec_of(
        warehouse.name, (*COLUMNS[:3], Column("tags", nested, ""), Column("note", Scalar("text"), "New"))
    )
    warehouse.load([(day(2), 1, 20, [{"name": "b", "ids": [], "extra": "x"}], "n")], JAN)
    rows = warehouse.reader.rows(
        f"SELECT value, note, t.extra FROM raw_x.{warehouse.name} CROSS JOIN UNNEST(tags) AS t"
    )
    assert rows == [(20, "n", "x")]


def test_a_stale_staging_table_is_never_loaded(warehouse):
    """Left by a killed run: another run has a staging table of its own."""
    warehouse.place.set_faults(
        [{"match": "POST .*/jobs$", "fault": "http", "status": 400, "reason": "invalid"}]
    )
    with pytest.raises(InputError):
        warehouse.load([(day(1), 1, 10)], JAN)
    assert len(warehouse.staged()) == 1
    warehouse.load([(day(2), 1, 20)], JAN)
    assert warehouse.rows() == [(day(2), 1, 20)]
    with connected(warehouse.target) as connection:
        for table in warehouse.staged():
            connection.drop(f"{STAGING}.{table}")


def test_wrong_credentials_are_bad_input(warehouse, places, monkeypatch, tmp_path):
    sandbox, _ = places
    key = json.loads(sandbox.credentials.read_text())
    other = json.loads(sandbox.other_credentials.read_text())
    broken = tmp_path / "key.json"
    broken.write_text(json.dumps({**key, "private_key": other["private_key"]}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(broken))
    with pytest.raises(InputError, match="the credentials do not work") as error:
        warehouse.load([(day(1), 1, 10)], JAN)
    assert "GOOGLE_APPLICATION_CREDENTIALS" in error.value.fix


def test_two_environments_side_by_side(warehouse):
    for prefix, value in (("dev_", 1), ("stg_", 2)):
        warehouse.load([(day(1), 1, value)], JAN, prefix=prefix)
    found = {
        prefix: warehouse.reader.table(f"{prefix}raw_x.{warehouse.name}")[0]["value"]
        for prefix in ("dev_", "stg_")
    }
    assert found == {"dev_": 1, "stg_": 2}


def test_a_name_that_dlt_would_change_is_refused(warehouse):
    """Under another name dlt would load the file as it thinks best: append it."""
    warehouse.name = "ends_with_"
    warehouse.spec = spec_of(warehouse.name)
    with pytest.raises(InputError, match="dlt would call it"):
        warehouse.load([(day(1), 1, 10)], JAN)


def test_making_a_table_twice_makes_it_once(warehouse):
    with connected(warehouse.target) as connection:
        connection.ensure_dataset("raw_x")
        assert [ensure_table(connection, warehouse.spec) for _ in range(2)] == [True, False]


def changes(warehouse):
    """The bodies of the requests that changed a table or a dataset since the last look, by the last part of their path."""
    asked = warehouse.place.requests()
    return [(one["path"].rpartition("/")[2], one["body"]) for one in asked if one["method"] == "PATCH"]


def test_a_table_that_is_there_is_brought_to_what_is_declared_by_naming_what_differs(warehouse):
    settings = {"require_partition_filter": True, "partition_expiration_days": 30}
    warehouse.load([(day(1), 1, 10)], None, **settings)
    changes(warehouse)
    warehouse.load([(day(1), 1, 11)], JAN, **settings)
    assert changes(warehouse) == []  # nothing differs: nothing is asked

    warehouse.load([], JAN, require_partition_filter=True, partition_expiration_days=60)
    days = str(60 * 24 * 3600 * 1000)
    partitions = {"type": "DAY", "field": "day", "expirationMs": days}
    assert changes(warehouse) == [(warehouse.name, {"timePartitioning": partitions})]

    columns = (COLUMNS[0], dataclasses.replace(COLUMNS[1], description="Whose it is"), *COLUMNS[2:])
    warehouse.spec = dataclasses.replace(
        spec_of(warehouse.name, columns), description="Another table", cluster_by=("account", "value")
    )
    warehouse.load([], JAN)
    ((name, body),) = changes(warehouse)
    assert name == warehouse.name
    assert [(f["name"], f["description"]) for f in body.pop("schema")["fields"]] == [
        (column.name, column.description) for column in columns
    ]
    assert body == {
        "description": "Another table",
        "clustering": {"fields": ["account", "value"]},
        "timePartitioning": {"type": "DAY", "field": "day", "expirationMs": None},
        "requirePartitionFilter": False,
    }
    warehouse.load([], JAN)
    assert changes(warehouse) == []


def test_labels_reach_what_is_there_and_those_of_others_stay(warehouse):
    warehouse.load([], JAN)
    name = f"{warehouse.place.project}.raw_x.{warehouse.name}"
    table = warehouse.reader.client.get_table(name)
    table.labels = {"tool": "adelt", "owner": "someone"}
    warehouse.reader.client.update_table(table, ["labels"])
    changes(warehouse)
    labels = {"tool": "adelt", "environment": warehouse.name}
    warehouse.load([], JAN, labels=labels)
    assert changes(warehouse) == [
        ("raw_x", {"labels": labels}),
        (STAGING, {"labels": labels}),
        (warehouse.name, {"labels": {**labels, "owner": "someone"}}),
    ]
    warehouse.load([], JAN, labels=labels)
    assert changes(warehouse) == []
    for dataset in ("raw_x", STAGING):  # as the other tests find them
        found = warehouse.reader.client.get_dataset(dataset)
        found.labels = {"tool": "adelt"}
        warehouse.reader.client.update_dataset(found, ["labels"])


def test_the_staging_dataset_is_brought_to_its_expiration(warehouse):
    with connected(warehouse.target) as connection:
        connection.ensure_dataset("kept")
        changes(warehouse)
        connection.ensure_dataset("kept", expires_after=1)
        connection.ensure_dataset("kept")  # None leaves it
    assert changes(warehouse) == [("kept", {"defaultTableExpirationMs": str(24 * 3600 * 1000)})]


def test_who_may_load_but_not_change_the_dataset_is_warned_and_loads(warehouse, caplog):
    warehouse.load([], JAN)
    refused = {
        "match": "PATCH .*/datasets/[^/]*$",
        "fault": "http",
        "status": 403,
        "reason": "accessDenied",
        "times": 9,
    }
    warehouse.place.set_faults([refused])
    warehouse.load([(day(1), 1, 10)], JAN, labels={"team": "none"})
    assert "labels differs from the target's" in caplog.text
    assert warehouse.rows() == [(day(1), 1, 10)]


def test_what_another_task_changes_meanwhile_is_read_again(warehouse):
    warehouse.load([], JAN)
    changes(warehouse)
    stale = {
        "match": "PATCH .*/tables/",
        "fault": "http",
        "status": 412,
        "reason": "conditionNotMet",
        "times": 1,
    }
    warehouse.place.set_faults([stale])
    warehouse.load([], JAN, partition_expiration_days=5)
    assert len(changes(warehouse)) == 2
    assert warehouse.reader.client.get_table(f"raw_x.{warehouse.name}").time_partitioning.expiration_ms


LOADER = """
import pickle, sys
from pathlib import Path
from adelt_sources.load import Part, load
part, project, work = pickle.loads(Path(sys.argv[1]).read_bytes())
from adelt_sources.warehouse import BigQuery
print("begin", flush=True)
load("s__t", "raw_x", [Part(*part)], warehouse=BigQuery(project), work_dir=work)
"""


@pytest.mark.timeout(200)
def test_killed_at_ten_moments_it_ends_the_same(warehouse, tmp_path):
    """Ten loads are killed at moments spread over a load's length; then one runs to its end."""
    old = [(day(1), 1, 1), (day(5), 1, 2), (day(1), 2, 99)]
    warehouse.load(old, None)
    new = [(day(number), 1, number * 10) for number in range(1, 20)]
    file = warehouse.file(new)
    job = tmp_path / "job"
    part = (warehouse.name, file, JAN, warehouse.spec)
    job.write_bytes(pickle.dumps((part, warehouse.target.project, tmp_path / "work")))
    command = [sys.executable, "-c", LOADER, str(job)]
    after = sorted([*new, (day(1), 2, 99)])
    # Each job takes a while, so that the moments fall between and into them.
    warehouse.place.set_faults(
        [{"match": "POST .*(/jobs|/tables)$", "fault": "hold", "seconds": 0.15, "times": 500}]
    )
    for moment in range(10):
        process = subprocess.Popen(
            command, env=dict(os.environ), stdout=subprocess.PIPE, start_new_session=True
        )
        process.stdout.readline()
        time.sleep(0.2 + 0.12 * moment)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert warehouse.rows() in (sorted(old), after)  # whatever the moment: the old rows, or the new
    warehouse.place.set_faults([])
    subprocess.run(command, env=dict(os.environ), check=True, stdout=subprocess.DEVNULL)
    assert warehouse.rows() == after


def test_tables_describe_themselves_as_dbt_docs_asks(warehouse):
    """The joins of dbt-bigquery's catalogue macros, over the views that the sandbox adds or makes fast."""
    warehouse.load([(day(1), 1, 10), (day(2), 1, 20)], None)
    query = (
        "select t.row_count, t.type, p.field_path, p.data_type, p.description, c.is_partitioning_column,"
        " c.clustering_ordinal_position, json_value(o.option_value) as told, m.table_name as materialized"
        " from `raw_x`.__TABLES__ t"
        " left join `raw_x`.INFORMATION_SCHEMA.MATERIALIZED_VIEWS m on m.table_name = t.table_id"
        " left join `raw_x`.INFORMATION_SCHEMA.TABLE_OPTIONS o"
        "   on o.table_name = t.table_id and o.option_name = 'description'"
        " join `raw_x`.INFORMATION_SCHEMA.COLUMNS c on c.table_name = t.table_id"
        " join `raw_x`.INFORMATION_SCHEMA.COLUMN_FIELD_PATHS p"
        "   on p.table_name = t.table_id and p.column_name = c.column_name"
        f" where t.table_id = '{warehouse.name}' order by c.ordinal_position, p.field_path"
    )
    with connected(warehouse.target) as connection:
        _, rows = connection.ask(query)
    assert [row[2] for row in rows] == ["day", "account", "value", "tags", "tags.ids", "tags.name"]
    assert rows[0] == (2, 1, "day", "DATE", "The day", "YES", None, "A table", None)
    assert rows[1][5:7] == ("NO", 1)
    assert rows[3][3] == "ARRAY<STRUCT<name STRING, ids ARRAY<INT64>>>"

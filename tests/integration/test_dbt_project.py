"""The dbt project as a whole: generated files, documentation, schemas, raw tables that were never loaded."""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
import yaml
from warehouse import ROOT, SPECS, Warehouse

from adelt import generate, raw_tables
from adelt_sources.load import Part, load
from adelt_sources.scope import Scope
from adelt_sources.types import arrow_schema, duckdb_type
from adelt_sources.warehouse import DuckDb

SOURCES = sorted((ROOT / "dbt/models/staging").glob("*/_*__sources.yml"))


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A warehouse into which nothing was ever loaded, built with all tests, and documented."""
    warehouse = Warehouse(tmp_path_factory.mktemp("empty"))
    warehouse.dbt("build")
    warehouse.dbt("docs", "generate")
    return warehouse


@pytest.fixture(scope="module")
def manifest(empty):
    return json.loads((empty.target / "manifest.json").read_text())


def test_generated_sources_are_up_to_date():
    assert generate.write(ROOT, check=True) == []
    assert generate.main(["--check", "--project", str(ROOT)]) == 0


def test_an_edited_source_file_is_found_and_written_anew(tmp_path, capsys):
    assert len(generate.write(tmp_path)) >= len(SOURCES)
    edited = tmp_path / "dbt/models/staging/dv360/_dv360__sources.yml"
    edited.write_text(edited.read_text().replace("name: partner_id", "name: partnerid", 1))
    assert generate.main(["--check", "--project", str(tmp_path)]) == 1
    assert "-          - {name: partnerid" in capsys.readouterr().out
    assert generate.write(tmp_path) == [edited]
    assert generate.write(tmp_path, check=True) == []


def test_sources_declare_every_raw_table_and_column_with_a_description():
    declared = {}
    for path in SOURCES:
        for source in yaml.safe_load(path.read_text())["sources"]:
            dataset = source["schema"].split("'")[-2]
            for table in source["tables"]:
                assert table["description"]
                assert all(column["description"] for column in table["columns"])
                declared[f"{dataset}.{table['name']}"] = [column["name"] for column in table["columns"]]
    assert declared == {name: [column.name for column in spec.columns] for name, spec in SPECS.items()}


def test_live_feeds_must_be_fresh_and_the_ended_one_need_not(manifest):
    limits = {source["schema"]: source["freshness"] for source in manifest["sources"].values()}
    assert limits["raw_dv360"]["error_after"] == {"count": 72, "period": "hour"}
    assert limits["raw_cm360"]["warn_after"] == {"count": 36, "period": "hour"}
    assert not (limits["raw_erf"] or {}).get("error_after", {}).get("count")
    assert {source["loaded_at_field"] for source in manifest["sources"].values()} == {"_loaded_at"}


def test_an_old_load_is_not_fresh(tmp_path):
    warehouse = Warehouse(tmp_path)
    warehouse.load(
        "raw_cm360.site",
        [{"id": 1, "_account_id": 1, "_snapshot_date": date(2026, 1, 1)}],
        days=(date(2026, 1, 1), date(2026, 1, 2)),
    )
    with duckdb.connect(str(warehouse.file)) as con:
        con.execute("UPDATE raw_cm360.site SET _loaded_at = TIMESTAMPTZ '2020-01-01 00:00:00Z'")
    result = warehouse.try_dbt("source", "freshness", "--select", "source:cm360.site")
    assert [str(node.status) for node in result.result.results] == ["error"]


def test_every_raw_table_has_one_staging_model_that_alone_reads_it(manifest):
    readers: dict[str, list[str]] = {name: [] for name in manifest["sources"]}
    for node in manifest["nodes"].values():
        for parent in node["depends_on"]["nodes"]:
            if parent in readers and node["resource_type"] != "unit_test":
                readers[parent].append(node["name"])
    assert {
        name: [f"stg_{name.split('.')[2]}__{name.split('.')[3]}"] for name in manifest["sources"]
    } == readers


def test_every_model_and_column_is_described(empty, manifest):
    catalog = json.loads((empty.target / "catalog.json").read_text())
    missing = []
    for name, node in manifest["nodes"].items():
        if node["resource_type"] not in ("model", "snapshot"):
            continue
        if not node["description"]:
            missing.append(name)
        described = {column for column, facts in node["columns"].items() if facts["description"]}
        missing += [
            f"{name}.{column}" for column in catalog["nodes"][name]["columns"] if column not in described
        ]
        missing += [
            f"{name}.{column} is not there" for column in described - set(catalog["nodes"][name]["columns"])
        ]
    assert missing == []


@pytest.mark.parametrize(("area", "count"), [("ads", 10), ("ops", 7)])
def test_marts_are_public_contracts_of_a_group_with_exposures(manifest, area, count):
    marts = {name: node for name, node in manifest["nodes"].items() if node["schema"] == f"marts_{area}"}
    models = {name: node for name, node in marts.items() if node["resource_type"] == "model"}
    assert len(models) == count
    assert all(node["contract"]["enforced"] for node in models.values())
    assert {(node["access"], node["group"]) for node in models.values()} == {("public", area)}
    exposed = {
        parent for exposure in manifest["exposures"].values() for parent in exposure["depends_on"]["nodes"]
    }
    assert set(models) <= exposed


def test_schemas_are_called_what_the_architecture_calls_them(empty):
    schemas = {name for (name,) in empty.rows("SELECT DISTINCT table_schema FROM information_schema.tables")}
    assert schemas == {
        *{spec.dataset for spec in SPECS.values()},
        "staging",
        "intermediate",
        "snapshots",
        "marts_ads",
        "marts_ops",
    }


def test_a_prefix_keeps_a_build_apart(empty):
    before = empty.rows("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'intermediate'")
    empty.dbt("run", "--select", "+int_sites_observed", variables={"schema_prefix": "pr_17_"})
    assert empty.rows("SELECT count(*) FROM pr_17_intermediate.int_sites_observed") == [(0,)]
    after = empty.rows("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'intermediate'")
    assert before == after


def test_nothing_in_the_results_depends_on_the_clock():
    for path in [*(ROOT / "dbt/models").rglob("*.sql"), *(ROOT / "dbt/macros").rglob("*.sql")]:
        text = path.read_text().lower()
        assert not any(word in text for word in ("now()", "current_timestamp", "current_date")), path


def test_python_stays_out_of_the_dbt_folder():
    assert list((ROOT / "dbt").rglob("*.py")) == []


def test_ensuring_raw_tables_leaves_what_is_there_alone(tmp_path):
    file = tmp_path / "new" / "w.duckdb"
    file.parent.mkdir()
    with duckdb.connect(str(file)) as con:
        con.execute("CREATE SCHEMA raw_cm360; CREATE TABLE raw_cm360.site AS SELECT 5 AS id")
    created = raw_tables.ensure(DuckDb(file))
    assert sorted([*created, "raw_cm360.site"]) == sorted(SPECS)
    assert raw_tables.ensure(DuckDb(file)) == []
    with duckdb.connect(str(file)) as con:
        assert con.execute("SELECT * FROM raw_cm360.site").fetchall() == [(5,)]


def test_raw_tables_have_the_declared_types(tmp_path):
    file = Path(tmp_path) / "w.duckdb"
    raw_tables.ensure(DuckDb(file))
    spec = SPECS["raw_erf.line_item"]
    with duckdb.connect(str(file)) as con:
        found = dict(
            con.execute("SELECT column_name, column_type FROM (DESCRIBE raw_erf.line_item)").fetchall()
        )
        for column in spec.columns:
            declared = con.execute(f"SELECT typeof(NULL::{duckdb_type(column.type)})").fetchall()[0][0]
            assert found[column.name] == declared, column.name


def test_the_same_models_compile_for_bigquery(tmp_path):
    """Parsed, not run: BigQuery has no account here. The delivery mart needs a connection to compile at all."""
    profiles = tmp_path / "profiles"
    profiles.mkdir()
    (profiles / "profiles.yml").write_text(
        "adelt: {target: bigquery, outputs: {bigquery: {type: bigquery, method: oauth-secrets, token: none, "
        "project: p, dataset: d, location: EU, threads: 2, api_endpoint: 'http://127.0.0.1:9', job_retries: 0}}}"
    )
    dbt = [str(Path(sys.executable).with_name("dbt")), "compile", "--no-introspect", "--no-populate-cache"]
    select = ["--exclude", "fct_delivery_daily", "resource_type:test"]
    folders = ["--project-dir", str(ROOT / "dbt"), "--profiles-dir", str(profiles)]
    output = ["--target-path", str(tmp_path / "target"), "--log-path", str(tmp_path / "logs")]
    done = subprocess.run([*dbt, *select, *folders, *output], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout

    compiled = list((tmp_path / "target/compiled/adelt/models").rglob("*.sql"))
    functions = set()
    for path in compiled:
        tree = sqlglot.parse_one(path.read_text(), dialect="bigquery")
        functions |= {call.name.lower() for call in tree.find_all(sqlglot.exp.Anonymous)}
        assert "make_date" not in path.read_text()
    assert len(compiled) >= len(SPECS) + 25
    assert functions == set(), "functions that BigQuery does not have"


def test_a_load_finds_the_ensured_table_as_it_would_have_made_it(tmp_path):
    """The first real load comes after the first build: dlt must take the empty table as its own."""
    file = tmp_path / "w.duckdb"
    raw_tables.ensure(DuckDb(file))
    spec = SPECS["raw_cm360.placement"]
    row = {"id": 5, "size": {"width": 300, "height": 250}, "tag_formats": ["PLACEMENT_TAG_STANDARD"]}
    rows = [{**row, "_account_id": 1, "_snapshot_date": date(2026, 1, 1)}]
    pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema(spec.columns)), tmp_path / "p.parquet")
    scope = Scope({"_account_id": (1,)}, ("_snapshot_date", date(2026, 1, 1), date(2026, 1, 2)))
    part = Part(spec.table, tmp_path / "p.parquet", scope)
    load("cm360__placement", spec.dataset, [part], warehouse=DuckDb(file), work_dir=tmp_path)
    with duckdb.connect(str(file)) as con:
        found = con.execute("SELECT id, size.width, tag_formats[1] FROM raw_cm360.placement").fetchall()
        columns = con.execute("SELECT column_name FROM (DESCRIBE raw_cm360.placement)").fetchall()
    assert found == [(5, 300, "PLACEMENT_TAG_STANDARD")]
    assert [name for (name,) in columns] == [column.name for column in spec.columns]

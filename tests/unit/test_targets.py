"""Targets: which warehouse a name stands for; what is wrong with a declaration is told with its place."""

from pathlib import Path

import pytest

from adelt import targets
from adelt.errors import InputError
from adelt_sources.warehouse import BigQuery, DuckDb

ROOT = Path(__file__).parents[2]


@pytest.fixture
def find(tmp_path):
    """Look a target up in a file of one's own."""

    def find(text, name="t", **environment):
        (tmp_path / "deploy").mkdir(exist_ok=True)
        (tmp_path / "deploy" / "targets.yml").write_text(text)
        return targets.find(name, tmp_path, tmp_path / "home", environment)

    return find


def test_the_project_declares_local_and_three_environments():
    environment = {
        f"ADELT_{name}_PROJECT": f"acme-{name.lower()}" for name in ("DEV", "STG", "PROD", "BIGQUERY")
    }
    found = {
        name: targets.find(name, ROOT, ROOT / ".adelt", environment)
        for name in ("local", "bigquery", "dev", "stg", "prod")
    }
    assert found["local"] == DuckDb(ROOT / ".adelt" / "warehouse.duckdb")
    assert [found[name].project for name in ("dev", "stg", "prod")] == ["acme-dev", "acme-stg", "acme-prod"]
    assert found["dev"].dataset("raw_dv360") == "dev_raw_dv360"
    assert found["prod"].require_partition_filter is True
    assert found["bigquery"] == BigQuery("acme-bigquery", labels={"tool": "adelt"})


def test_without_a_file_there_are_two(tmp_path):
    assert targets.names(tmp_path) == ["local", "bigquery"]
    assert targets.find("bigquery", tmp_path, tmp_path, {"ADELT_BIGQUERY_PROJECT": "p"}) == BigQuery("p")


def test_variables_fill_in_and_defaults_help(find):
    text = "targets: {t: {type: bigquery, project: '${P}-x', location: '${L:-EU}', bucket: '${B:-}', max_bytes: '${M}'}}"
    assert find(text, P="acme", M="10") == BigQuery("acme-x", max_bytes=10)


def test_the_variable_goes_before_the_file_of_a_duckdb_target(find, tmp_path):
    text = "targets: {t: {type: duckdb, file: a.duckdb}}"
    assert find(text) == DuckDb(tmp_path / "a.duckdb")
    assert find(text, ADELT_WAREHOUSE="b.duckdb") == DuckDb(tmp_path / "b.duckdb")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("targets: {u: {type: duckdb}}", "there is no target `t`"),
        ("targets: [", "cannot be read"),
        ("goals: {}", "there are no targets in it"),
        ("targets: {t: {type: oracle}}", "`oracle` is no type of warehouse"),
        ("targets: {t: {type: bigquery}}", "it names no project"),
        ("targets: {t: {type: bigquery, project: p, lokation: EU}}", "a target has no `lokation`"),
        ("targets: {t: {type: bigquery, project: '${NOPE}'}}", "NOPE is not set"),
        ("targets: {t: {type: bigquery, project: p, max_bytes: many}}", "`many` is not a whole number"),
        (
            "targets: {t: {type: bigquery, project: p, prefix: a-b}}",
            "`a-b` cannot begin the name of a dataset",
        ),
        ("targets: {t: {type: bigquery, project: p, labels: {Team: Ads}}}", "`Team: Ads` cannot be a label"),
        (
            "targets: {t: {type: bigquery, project: p, require_partition_filter: maybe}}",
            "neither true nor false",
        ),
        ("targets: {t: {type: duckdb, project: p}}", "a target has no `project`"),
    ],
)
def test_what_is_wrong_is_told(find, text, what):
    with pytest.raises(InputError, match=what) as error:
        find(text)
    assert error.value.exit_code == 2
    assert error.value.where

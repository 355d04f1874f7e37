"""What `adelt doctor` calls tested is what is tested."""

import tomllib
from pathlib import Path

from adelt import datasets
from adelt.doctor import machine
from adelt_sources.warehouse import BigQuery

ROOT = Path(__file__).parents[2]


def test_the_tested_versions_are_those_of_the_lock_file():
    locked = {
        package["name"]: package.get("version")
        for package in tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]
    }
    assert {name: locked[name] for name in machine.TESTED} == dict(machine.TESTED), "update TESTED"


def test_the_datasets_that_dbt_builds_are_those_of_its_project():
    import yaml

    project = yaml.safe_load((ROOT / "dbt/dbt_project.yml").read_text("utf-8"))
    found = set()

    def walk(node):
        for key, value in node.items():
            if key == "+schema":
                found.add(value)
            elif isinstance(value, dict):
                walk(value)

    walk({"models": project["models"], "snapshots": project["snapshots"]})
    assert found == set(datasets.MODELS)
    assert "pr_1_staging" in datasets.names(BigQuery("p", prefix="dev_"), "pr_1_")
    assert "dev_raw_cm360" in datasets.names(BigQuery("p", prefix="dev_"), "pr_1_")


def test_the_dataset_of_files_on_their_way_in_is_the_one_that_loads_use():
    from adelt_sources import bigquery_destination

    assert bigquery_destination.STAGING == datasets.STAGING

"""The action `dbt`: what it may not do at the same time as another."""

import threading
from types import SimpleNamespace

import pytest

from adelt.settings import Settings
from adelt.steps import dbt
from adelt_sources.warehouse import BigQuery, DuckDb


@pytest.mark.parametrize("kind", ["duckdb", "bigquery"])
def test_models_of_one_target_are_built_by_one_dbt_at_a_time(tmp_path, kind):
    warehouse = DuckDb(tmp_path / "w.duckdb") if kind == "duckdb" else BigQuery("acme")
    here = Settings(project=tmp_path, home=tmp_path, warehouse=warehouse, target="prod")
    waits, order = threading.Event(), []

    def build(name, meanwhile=lambda: None):
        with dbt._alone(SimpleNamespace(settings=here, where=name, tell=lambda *_: waits.set())):
            meanwhile()
            order.append(name)

    second = threading.Thread(target=build, args=("second",))

    def begin_the_second():
        second.start()
        assert waits.wait(10)

    build("first", begin_the_second)
    second.join(10)
    assert order == ["first", "second"]

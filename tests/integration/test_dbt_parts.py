"""A dbt task done in parts, as Cosmos does: each has its row, the last is the task's, and nothing is done twice."""

import json
import os
import sqlite3

import duckdb
import pytest
from small_dbt import Small

from adelt import dbt_graph, definition, parts, settings
from adelt.errors import InputError
from adelt.taskrun import TaskRequest, run_task
from adelt.window import parse_interval


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    small = Small(tmp_path_factory.mktemp("small"))
    loaded = definition.find("small", small.folder)
    small.made = dbt_graph.make(loaded, "build", small.folder, small.folder / "scratch")
    small.nodes = small.write("nodes.json", json.dumps(small.made))
    day = parse_interval("2026-01-28/2026-01-29", "")

    def part(*words, nodes=None, last=False, task="build", force=False):
        before = dict(os.environ)
        os.environ.update(small.env)
        try:
            wanted = parts.read(words, nodes, last)
            request = TaskRequest(loaded, task, {}, day, {}, "r1", force, part=wanted)
            return run_task(settings.load(), request, settings.Handover())
        finally:
            settings.replace(before)

    small.part = part
    small.checked = part(nodes=small.nodes)
    small.ran = part("run", "--select", "one", "--project-dir", str(small.folder / "copy"), "--target", "x")
    small.last = part(last=True)
    return small


def rows(small):
    con = sqlite3.connect(small.folder / ".adelt/ledger.sqlite")
    try:
        return con.execute("SELECT instance, status FROM task_run ORDER BY id").fetchall()
    finally:
        con.close()


def test_dbt_itself_chooses_the_nodes_and_says_what_they_need(small):
    nodes = {name.split(".")[2]: one["depends_on"]["nodes"] for name, one in small.made["nodes"].items()}
    [relation] = [name for name in nodes if name.startswith("relationships")]
    needs = {name: [one.split(".")[2] for one in found] for name, found in nodes.items()}
    # `dbt build` does not build `four` if a test of both that it is made of has failed.
    assert needs["four"] == ["one", "two", relation]
    assert needs["five"] == ["four"]
    assert needs[relation] == ["one", "two"]
    assert small.made["adelt"] == {"task": "small.build", "select": "", "exclude": "resource_type:unit_test"}


def test_a_part_is_done_as_the_task_would_and_leaves_its_files_where_it_was_called(small):
    assert (small.checked.status, small.checked.message) == ("SUCCEEDED", "7 nodes, as expected"), (
        small.checked.error
    )
    assert (small.ran.status, small.ran.message) == ("SUCCEEDED", "1 model"), small.ran.error
    assert (small.folder / "copy/target/run_results.json").exists()
    with duckdb.connect(str(small.file)) as con:
        assert con.execute("SELECT * FROM marts_small.one").fetchall() == [("2026-01-28", 1)]
        tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'marts_small'"
        assert con.execute(tables).fetchall() == [("one",)]


def test_the_history_has_each_part_and_the_task_with_the_tables_of_all(small):
    assert rows(small)[:3] == [
        ("build[dbt=nodes]", "SUCCEEDED"),
        ("build[dbt=run one]", "SUCCEEDED"),
        ("build", "SUCCEEDED"),
    ]
    assert small.last.assets == ("marts_small.one",)
    late = small.part("run", "--select", "four")  # a part of a task that is done
    assert (late.status, late.run_id) == ("DONE", "r1")


def test_a_part_is_done_again_when_what_its_task_needs_was(small):
    assert small.part("run", "--select", "one").status == "DONE"
    assert small.part(task="before", force=True).status == "SUCCEEDED"
    assert small.part("run", "--select", "one").status == "SUCCEEDED"


def test_other_models_than_the_listed_ones_stop_the_task_before_anything_is_built(small):
    nodes = small.write("other.json", json.dumps({**small.made, "chosen": small.made["chosen"][1:]}))
    said = small.part(nodes=nodes, force=True)
    assert (said.status, said.exit_code) == ("FAILED", 2)
    assert f"`{small.made['chosen'][0]}` would be left out" in said.error


def test_only_a_dbt_task_has_parts(small):
    with pytest.raises(InputError, match="has no parts"):
        small.part(last=True, task="after")

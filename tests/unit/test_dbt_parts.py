"""Parts of a dbt task: what command lines name, what the run history calls them, and which of them wait for which."""

import json
from pathlib import Path

import pytest

from adelt import dbt_graph, parts
from adelt.errors import InputError
from adelt.plan import PlannedTask

TASK = PlannedTask("transform", "transform", {}, "dbt", {}, {}, "key", "digest")


def test_no_words_are_the_whole_task():
    assert parts.read([], None, False) is None


def test_places_that_a_caller_names_are_the_tasks_own_business():
    places = ["--project-dir", "/tmp/x", "--profiles-dir", "y", "--profile", "p", "--target", "t"]
    part = parts.read(["run", "--select", "fqn:ads.marts.fct", *places, "--exclude", "a b"], None, False)
    assert part == parts.Part(
        ("run", "--select", "fqn:ads.marts.fct", "--exclude", "a b"), folder=Path("/tmp/x")
    )
    assert part.name == "run ads.marts.fct"


@pytest.mark.parametrize(
    ("words", "graph", "last"),
    [(["run"], None, True), (["run"], Path("x"), False), ([], Path("x"), True), (["debug"], None, False)],
)
def test_what_is_no_part_is_refused(words, graph, last):
    with pytest.raises(InputError):
        parts.read(words, graph, last)


def test_each_part_is_work_of_its_own_and_the_last_is_the_task():
    def of(*words):
        return parts.planned(TASK, parts.read(words, None, False))

    run, test = of("run", "--select", "fct"), of("test", "--select", "fct")
    anew = of("run", "--select", "fct", "--full-refresh")
    assert (run.id, run.item) == ("transform[dbt=run fct]", {"dbt": "run fct"})
    assert len({run.key, test.key, anew.key, TASK.key}) == 4
    assert run.key == of("run", "--select", "fct").key
    assert parts.planned(TASK, parts.Part(last=True)) is TASK


def node(kind, name, *needs):
    return {
        "unique_id": f"{kind}.p.{name}",
        "resource_type": kind,
        "package_name": "p",
        "original_file_path": f"models/{name}.sql",
        "name": name,
        "fqn": ["p", name],
        "tags": [],
        "config": {"materialized": "table", "tags": [], "meta": {}, "secret": "not kept"},
        "depends_on": {"nodes": list(needs), "macros": ["m"]},
        "raw_code": "not kept",
    }


def graph(*nodes):
    return {one["unique_id"]: one for one in nodes}


A, B, C, D, E = (f"model.p.{name}" for name in "abcde")
BOTH = "test.p.both"


def waits(nodes, chosen=None):
    made = dbt_graph.cut(nodes, list(chosen or nodes), "p.t")
    return {
        name.rpartition(".")[2]: [one.rpartition(".")[2] for one in made[name]["depends_on"]["nodes"]]
        for name in made
    }


def test_what_is_built_of_all_that_a_test_looks_at_waits_for_the_test():
    nodes = graph(
        *(node("model", "a"), node("model", "b", A), node("model", "c", A), node("model", "d", B, C)),
        *(node("model", "e", D), node("test", "both", A, B)),
    )
    # As `dbt build`: d is built of a and b; e is too, and waits for d already. c and b itself are not.
    assert waits(nodes) == {
        "a": [], "b": ["a"], "c": ["a"], "d": ["b", "c", "both"], "e": ["d"], "both": ["a", "b"],
    }  # fmt: skip


def test_tests_of_one_node_take_no_edge_and_what_is_not_chosen_is_not_waited_for():
    nodes = graph(
        *(node("model", "a", "source.p.s"), node("model", "b", A, C), node("test", "one", A)),
        *(node("model", "c"), node("test", "both", A, C)),
    )
    chosen = [A, B, "test.p.one", BOTH]
    assert waits(nodes, chosen) == {"a": [], "b": ["a"], "one": ["a"], "both": ["a"]}


def test_a_node_has_what_a_reader_needs_and_no_code():
    text = json.dumps(dbt_graph.cut(graph(node("model", "a")), [A], "p.t"))
    assert "not kept" not in text
    assert json.loads(text)[A]["fqn"] == ["p", "a"]


def test_a_test_that_nothing_would_do_is_refused():
    nodes = graph(node("model", "a"), node("test", "fresh", "source.p.s"))
    with pytest.raises(InputError, match="`fresh`"):
        dbt_graph.cut(nodes, list(nodes), "p.t")


def test_dbt_s_answer_without_what_is_not_built():
    said = [
        json.dumps({"unique_id": one})
        for one in ("test.p.x", "source.p.s.t", "model.p.b", "unit_test.p.u", A)
    ]
    assert dbt_graph.listed(said) == [A, "model.p.b", "test.p.x", "unit_test.p.u"]


def test_tests_that_were_not_chosen_are_left_out_of_those_of_a_node():
    unit = {"unique_id": "unit_test.p.u", "name": "u", "depends_on": {"nodes": [A]}}
    other = {**unit, "unique_id": "unit_test.p.v", "name": "v", "depends_on": {"nodes": [B]}}
    nodes = graph(node("model", "a"), node("test", "x", A), node("test", "y", A, B), node("test", "z", B))
    manifest = {"nodes": nodes, "unit_tests": {one["unique_id"]: one for one in (unit, other)}}
    assert dbt_graph.left_out(manifest, [A, "test.p.x"]) == ["resource_type:unit_test", "y"]
    assert dbt_graph.left_out(manifest, [A, B, "test.p.x", "unit_test.p.v"]) == ["u", "y", "z"]
    assert dbt_graph.left_out({"nodes": nodes, "unit_tests": {}}, [A, "test.p.x", "test.p.y"]) == []


def test_other_models_than_the_listed_ones_are_told(tmp_path):
    file = tmp_path / "nodes.json"
    file.write_text(json.dumps({"chosen": [A, B]}))
    dbt_graph.check(file, [A, B], "p.t")
    with pytest.raises(InputError) as told:
        dbt_graph.check(file, [A, *(f"model.p.new{number}" for number in range(5))], "p.t")
    assert "`model.p.new0`, `model.p.new1`, `model.p.new2` and 2 more would be left out" in str(told.value)
    assert "`model.p.b` is gone" in str(told.value)
    with pytest.raises(InputError, match="no graph"):
        dbt_graph.check(tmp_path / "none.json", [A], "p.t")

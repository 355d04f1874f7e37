"""Random pipelines, exported and read back with the strict model of the engine, have the graph they had.

Another engine is compared likewise: one more function in READ that gives a `Shape`.
"""

from pathlib import Path

import pytest
import yaml
from export_definitions import definition, pipelines
from hypothesis import given, settings

from adelt.export import export, read_kestra, read_orchestra
from adelt.export.airflow import Graphs
from adelt.export.cron import values
from adelt.export.shape import Shape, of_definition, schedules


def of_airflow(text: str) -> Shape:
    """The graph seen through the nodes that are ours: each stands for what it waits for."""
    read = Graphs.model_validate(yaml.safe_load(text))

    def through(name: str) -> set[str]:
        return {
            found
            for need in read.tasks[name].needs or ()
            for found in (through(need) if "-" in need else {need})
        }

    tasks = {name: task for name, task in read.tasks.items() if "-" not in name}
    return Shape(
        needs={name: tuple(sorted(through(name))) for name in tasks},
        items={
            name: tuple(task.items) if isinstance(task.items, list) else task.items
            for name, task in tasks.items()
        },
        schedules=schedules(
            (dag.timezone, tuple(tuple(values(part, index)) for index, part in enumerate(dag.cron.split())))
            for dag in read.dags
            if dag.cron
        ),
    )


NOWHERE = Path("there-is-no-such-project")
READ = {
    "airflow": of_airflow,
    "kestra": lambda text: read_kestra.shape(read_kestra.load(text)),
    "orchestra": lambda text: read_orchestra.shape(read_orchestra.load(text)),
}


@pytest.mark.parametrize("engine", READ)
@settings(max_examples=60, deadline=None)
@given(made_up=pipelines())
def test_graph_fan_out_and_schedule_are_the_same(engine, made_up):
    made = export(engine, [made_up], NOWHERE)
    again = export(engine, [made_up], NOWHERE)
    [text] = [text for name, text in made.files.items() if name.endswith("/made.yml")]
    assert made == again
    found, wanted = READ[engine](text), of_definition(made_up)
    assert found.needs == wanted.needs
    assert found.items == wanted.items
    assert found.schedules == wanted.schedules


def test_names_of_tasks_cannot_clash_with_ids_of_ours():
    names = ["graph", "verdict", "adelt_graph", "each", "each_item", "each_run", "on_failure", "on_failure_1"]
    tasks = {name: {"run": "x", "needs": names[:index][-1:]} for index, name in enumerate(names)}
    tasks["each"]["matrix"] = {"a": [1, 2]}
    made = definition(
        {
            "version": 1,
            "name": "made",
            "tasks": tasks,
            "on_failure": [{"slack": "#a"}],
            "on_success": [{"slack": "#b"}],
        }
    )
    for engine, read in READ.items():
        files = export(engine, [made], NOWHERE).files
        [text] = [text for name, text in files.items() if name.endswith("/made.yml")]
        assert read(text) == of_definition(made)

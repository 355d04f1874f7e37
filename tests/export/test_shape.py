"""Random pipelines, exported and read back with the strict model of the engine, have the graph they had.

Another engine is compared likewise: one more function in READ that gives a `Shape`.
"""

from pathlib import Path

import pytest
from export_definitions import pipelines
from hypothesis import given, settings

from adelt.export import export, read_kestra, read_orchestra
from adelt.export.shape import of_definition

NOWHERE = Path("there-is-no-such-project")
READ = {
    "kestra": lambda text: read_kestra.shape(read_kestra.load(text)),
    "orchestra": lambda text: read_orchestra.shape(read_orchestra.load(text)),
}


@pytest.mark.parametrize("engine", READ)
@settings(max_examples=60, deadline=None)
@given(definition=pipelines())
def test_graph_fan_out_and_schedule_are_the_same(engine, definition):
    made = export(engine, [definition], NOWHERE)
    again = export(engine, [definition], NOWHERE)
    [text] = [text for name, text in made.files.items() if name.endswith("/made.yml")]
    assert made == again
    found, wanted = READ[engine](text), of_definition(definition)
    assert found.needs == wanted.needs
    assert found.items == wanted.items
    assert found.schedules == wanted.schedules

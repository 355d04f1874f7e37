"""Files written for the definitions in golden/, which use every key, and for the pipelines of the project.

After a change that is meant: `ADELT_PROJECT=tests/export/golden adelt export`, and look at the difference.
"""

import ast
import importlib
import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from adelt import definition
from adelt.definition import model
from adelt.export import engines, export, read_kestra

ROOT, GOLDEN = Path(__file__).parents[2], Path(__file__).parent / "golden"
ENGINES = ("airflow", "kestra", "orchestra")
pytestmark = pytest.mark.filterwarnings("ignore:Field name:UserWarning")  # of kestrapy


def loaded(project: Path):
    return [definition.load(path, project) for path in definition.find_all(project)]


def kestra_flow(text: str) -> dict:
    """A flow as Kestra's client wants it: three keys always, and defaults as text, though YAML may have any value there."""
    flow = yaml.safe_load(text)
    for one in flow.get("inputs", ()):
        if not isinstance(one.get("defaults", ""), str):
            one["defaults"] = json.dumps(one["defaults"])
    return {**flow, "disabled": False, "draft": False, "deleted": False}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("project", [GOLDEN, ROOT], ids=["golden", "pipelines"])
def test_files_are_as_they_would_be_written(engine, project):
    made = export(engine, loaded(project), project)
    owned = [str(path.relative_to(project)) for path in (project / made.owned).glob("*.yml")]
    assert {name: (project / name).read_text("utf-8") for name in {*owned, *made.files}} == made.files


@pytest.mark.parametrize("project", [GOLDEN, ROOT], ids=["golden", "pipelines"])
def test_the_client_of_kestra_and_our_strict_model_read_every_flow(project):
    from kestrapy.models.flow import Flow

    files = sorted((project / "deploy/kestra/flows").glob("*.yml"))
    assert len(files) > 4
    for path in files:
        text = path.read_text("utf-8")
        theirs, ours = Flow.from_dict(kestra_flow(text)), read_kestra.load(text)
        assert (theirs.id, len(theirs.tasks)) == (ours.id, len(ours.tasks))
        assert [one.id for one in theirs.inputs or ()] == [one.id for one in ours.inputs or ()]


@pytest.mark.parametrize(
    "change", [{"tasks": []}, {"concurrency": {"limit": 0}}, {"id": ""}, {"inputs": [{"type": "LIST"}]}]
)
def test_the_client_of_kestra_refuses_what_is_wrong(change):
    from kestrapy.models.flow import Flow

    text = (GOLDEN / "deploy/kestra/flows/small.yml").read_text("utf-8")
    with pytest.raises(ValueError, match=r"."):
        Flow.from_dict({**kestra_flow(text), **change})


def test_the_golden_definitions_use_every_key():
    used: set[str] = set()

    def collect(value):
        for key in value.model_fields_set:
            used.add(f"{type(value).__name__}.{key}")
            below = getattr(value, key)
            for one in (
                below.values() if isinstance(below, dict) else below if isinstance(below, list) else [below]
            ):
                if isinstance(one, model.BaseModel):
                    collect(one)

    for one in loaded(GOLDEN):
        collect(one.pipeline)
    # What an action says travels with the definition: exporters see its kind alone.
    seen = {"Pipeline", "Input", "Schedule", "IntervalSpec", "Concurrency", "Retries", "Defaults", "Matrix", "Task", "Notice",
            "SubPipeline"}  # fmt: skip
    every = {f"{name}.{field}" for name in seen for field in getattr(model, name).model_fields}
    assert every - used == set()


def test_every_engine_writes_the_command_of_the_local_run():
    for text in (
        (ROOT / "deploy/kestra/flows/dv360_reports.yml").read_text("utf-8"),
        (ROOT / "deploy/orchestra/pipelines/dv360_reports.yml").read_text("utf-8"),
    ):
        assert "task dv360_reports.ingest" in text
        assert '--matrix "report=$MATRIX_report"' in text


def test_the_header_says_where_a_file_is_from():
    for engine in ENGINES:
        for one in loaded(ROOT):
            made = export(engine, [one], ROOT)
            [text] = [t for name, t in made.files.items() if name.endswith(f"/{one.pipeline.name}.yml")]
            assert text.startswith(f"# Written by `adelt export {engine}` from {one.path}; do not edit.\n")
            assert f"# adelt: sha256:{one.digest}\n" in text


def test_what_differs_stands_in_the_file():
    for engine in ENGINES:
        made = export(engine, loaded(GOLDEN), GOLDEN)
        for note in made.notes:
            [text] = [t for name, t in made.files.items() if name.endswith(f"/{note.pipeline}.yml")]
            assert f"# adelt: {note.kind}  {note}\n" in text


def general(where: str) -> str:
    """`tasks.reports.if` as `tasks.*.if`, `schedule[1]` as `schedule`."""
    where = re.sub(r"\[\d+\]", "", where)
    return re.sub(r"^(tasks|inputs)\.\w+", r"\1.*", where)


def test_docs_engines_lists_exactly_what_is_noted():
    page = (ROOT / "docs/engines.md").read_text("utf-8")
    listed = {
        (match[1], match[2], match[3])
        for match in re.finditer(
            r"^\| `([\w.*]+)` \| (airflow|kestra|orchestra) \| (missing|approximated) \|", page, re.MULTILINE
        )
    }
    noted = {
        (general(note.where), engine, note.kind)
        for engine in ENGINES
        for project in (GOLDEN, ROOT)
        for note in export(engine, loaded(project), project).notes
    }
    assert listed == noted


@pytest.mark.parametrize("engine", ENGINES)
def test_every_note_of_an_exporter_is_made_for_some_golden_definition(engine, monkeypatch):
    """Otherwise docs/engines.md could miss one."""
    module = importlib.import_module(f"adelt.export.{engine}")
    calls = {
        (node.lineno, node.end_lineno): ast.unparse(node)
        for node in ast.walk(ast.parse(Path(module.__file__).read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "self._note"
    }
    made: set[int] = set()
    before = module._Exporter._note

    def note(self, *args):
        made.add(sys._getframe(1).f_lineno)
        before(self, *args)

    monkeypatch.setattr(module._Exporter, "_note", note)
    module.export(loaded(GOLDEN), GOLDEN)
    never = [text for (first, last), text in calls.items() if not any(first <= line <= last for line in made)]
    assert never == []
    assert len(calls) > 5


def test_engines_are_offered_when_they_have_a_module():
    assert set(ENGINES) == set(engines())

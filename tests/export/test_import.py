"""Files of other engines as definitions: what is taken over, what is listed, and that the result is always valid."""

import copy
from pathlib import Path

import pytest
import yaml
from export_definitions import pipelines
from hypothesis import given, settings
from hypothesis import strategies as st

from adelt import definition
from adelt.errors import AdeltError, DefinitionErrors, InputError
from adelt.export import export, orchestra_model, read_kestra, read_orchestra, reading
from adelt.export.shape import of_definition

NOWHERE = Path("there-is-no-such-project")

FOREIGN = Path(__file__).parent / "foreign"
FLOW = (FOREIGN / "kestra.yml").read_text("utf-8")

ORCHESTRA = (FOREIGN / "orchestra.yml").read_text("utf-8")


@pytest.fixture
def project(tmp_path):
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/small.yml").write_text(
        "{version: 1, name: small, inputs: {days: {type: integer}}, tasks: {a: {run: x}}}"
    )
    return tmp_path


def loaded(found: reading.Reading, project: Path):
    """The definition as `adelt validate` sees it: written to a file and read."""
    path = project / "pipelines" / f"{found.definition['name']}.yml"
    path.write_text(found.text("there"))
    return definition.load(path, project).pipeline


def test_a_flow_of_kestra(project):
    found = reading.read("kestra", FLOW, "flow.yml", {"small"})
    pipeline = loaded(found, project)
    assert (pipeline.name, pipeline.tags, pipeline.concurrency.on_limit) == (
        "taxi_load",
        ["team:data"],
        "fail",
    )
    assert (pipeline.inputs["taxi"].enum, pipeline.inputs["days"].max) == (["yellow", "green"], 9)
    [schedule] = pipeline.schedule
    assert (schedule.cron, schedule.timezone, schedule.catchup) == ("0 0 * * *", "Europe/Paris", True)
    tasks = pipeline.tasks
    assert tasks["extract"].run == "echo start\nwget {{ inputs.taxi }}_{{ interval.end | date }}.csv"
    assert tasks["extract"].env == {"KEY": "{{ secrets.API_KEY }}"}
    assert (tasks["extract"].retries.max, tasks["extract"].retries.backoff) == (3, "exponential")
    assert tasks["extract"].timeout.total_seconds() == 5400
    assert tasks["count"].sql.statement == "select count(*) from rides"
    assert (tasks["count"].needs, tasks["foreign"].needs) == (["extract"], ["extract"])
    assert tasks["load"].needs == ["count", "foreign"]
    assert tasks["load"].matrix.include == [{"id": "a", "size": 1}, {"id": "b", "size": 2}]
    assert (tasks["load"].run, tasks["load"].concurrency, tasks["load"].allow_failure) == (
        "load {{ matrix.id }} {{ matrix.size }} {{ inputs.taxi }}_rides", 2, True,
    )  # fmt: skip
    assert (tasks["models"].dbt.select, tasks["models"].dbt.threads, tasks["models"].condition) == (
        "tag:x",
        2,
        "inputs.days > 2",
    )
    assert (tasks["next_one"].pipeline.name, tasks["next_one"].pipeline.wait) == ("small", False)
    assert [name for name, task in tasks.items() if not task.enabled] == ["foreign", "gone", "log"]
    assert tasks["log"].matrix.axes.popitem()[1] == ["x", "y"]
    assert pipeline.on_failure[0].webhook == "https://example.com/hook"
    told = "\n".join(found.lost)
    kept_apart = "pluginDefaults of io.kestra.plugin.gcp.bigquery: projectId, location"
    for word in ("FILE", "trigger w", "jdbc.postgresql", "interval", "no pipeline `unknown`", kept_apart):
        assert word in told, word


def test_a_pipeline_of_orchestra(project):
    found = reading.read("orchestra", ORCHESTRA, "p.yml")
    pipeline = loaded(found, project)
    assert (pipeline.name, pipeline.tags, pipeline.concurrency.runs) == ("quality_daily", ["ads"], 2)
    assert [one.cron for one in pipeline.schedule] == ["30 6 * * 1-5", "0 8 * * *"]
    assert pipeline.schedule[0].inputs == {"full": True}
    assert (pipeline.defaults.retries.max, pipeline.defaults.timeout.total_seconds()) == (2, 5400)
    tasks = pipeline.tasks
    assert tasks["rows"].sensor.sql == "select true"
    assert tasks["find_tables"].run == "python run.py {{ inputs.loaddate }}"
    assert tasks["find_tables"].env == {"A": "{{ secrets.KEY }}"}
    assert (tasks["check"].needs, tasks["check"].allow_failure) == (["find_tables"], True)
    assert tasks["load"].needs == ["check"]
    assert tasks["load"].run == ["python", "-c", "print('{{ matrix.id }}', {{ matrix.n }})"]
    assert not tasks["load"].matrix.fail_fast
    assert (tasks["dbt"].dbt.select, tasks["dbt"].condition, tasks["dbt"].needs) == (
        "a b",
        "inputs.full == true",
        ["load"],
    )
    assert (tasks["always"].condition, tasks["always"].needs) == ("failure", ["dbt"])
    assert [name for name, task in tasks.items() if not task.enabled] == ["file", "other"]
    assert pipeline.on_failure[0].slack == "#ads"
    told = "\n".join(found.lost)
    for word in ("loaddate", "schedule last", "AWS_S3_FILE", "webhook", "WARNING", "FIVETRAN"):
        assert word in told, word


ONE = "task_groups['first'].all().status == 'SUCCEEDED'"
TWO = "task_groups['each'].all().status in ['SUCCEEDED', 'WARNING']"


@pytest.mark.parametrize(
    ("depends_on", "condition", "task_condition", "enabled"),
    [
        (["each"], f"${{{{ {TWO} }}}}", None, True),
        (["first"], f"${{{{ {ONE} }}}}", None, True),
        (["first", "each"], f"${{{{{ONE} and {TWO}}}}}", None, True),
        (
            ["first", "each"],
            f"${{{{ {TWO} }}}}",
            f"${{{{ {ONE} and {TWO} }}}}",
            False,
        ),  # the other may have failed
        (["first", "each"], f"${{{{ {ONE} or {TWO} }}}}", None, False),
        (["first"], f"${{{{ {ONE.replace('all', 'any')} }}}}", None, False),
        (["first"], "${{ True }}", "${{ inputs.full == True }}", False),
    ],
)
def test_the_condition_that_holds_without_one_is_none(
    project, depends_on, condition, task_condition, enabled
):
    data = yaml.safe_load(ORCHESTRA)
    data["pipeline"]["models"] |= {"depends_on": depends_on, "condition": condition}
    data["pipeline"]["models"]["tasks"]["dbt"]["condition"] = task_condition
    found = reading.read("orchestra", yaml.safe_dump(data), "p.yml")
    models = loaded(found, project).tasks["dbt"]
    assert (models.enabled, models.condition) == (enabled, "success")
    assert models.needs == [{"first": "check", "each": "load"}[one] for one in depends_on]
    warned = "group models: it starts after a failure that is allowed, too"
    assert (warned in found.lost) == (ONE in condition and enabled)


def test_what_is_listed_stays_in_its_comment(project):
    flow = yaml.safe_load(FLOW)
    flow["tasks"] = [
        {
            "id": "a",
            "type": "io.kestra.plugin.scripts.shell.Commands",
            "commands": ["x"],
            "runIf": "{{ a\nname: b }}",
        }
    ]
    found = reading.read("kestra", yaml.safe_dump(flow), "f.yml")
    assert loaded(found, project).name == "taxi_load"
    assert "task a: its condition `{{ a name: b }}`" in found.lost


def test_files_of_our_own_are_not_read_back():
    for engine in ("kestra", "orchestra"):
        text = f"# Written by `adelt export {engine}` from pipelines/x.yml; do not edit.\n"
        with pytest.raises(InputError, match=r"pipelines/x\.yml"):
            reading.read(engine, text, "f.yml")


@pytest.mark.parametrize("engine", ["kestra", "orchestra"])
@pytest.mark.parametrize("text", ["", "a: [", "- 1", "a: 1\na: 2", "id: x", "x: &a [*a]", "\x00"])
def test_what_is_no_file_of_the_engine_is_an_error_with_its_place(engine, text):
    with pytest.raises(AdeltError) as caught:
        reading.read(engine, text, "f.yml")
    assert caught.value.exit_code == 2
    assert "f.yml" in str(caught.value)


def test_an_unknown_key_is_listed_with_its_line_and_refused_by_the_strict_reader():
    text = "id: x\nnamespace: n\ntasks:\n"
    text += (
        "- {id: a, type: io.kestra.plugin.scripts.shell.Commands, commands: [b], warningOnStdErr: false}\n"
    )
    found = reading.read("kestra", text, "f.yml")
    assert found.lost == ["`warningOnStdErr` is no key that is known (f.yml:4:73)"]
    assert found.definition["tasks"]["a"]["run"] == "b"
    with pytest.raises(DefinitionErrors, match="warningOnStdErr"):
        read_kestra.load(text, "f.yml")


@settings(max_examples=40, deadline=None)
@given(pipelines())
def test_what_we_write_and_somebody_takes_as_his_own_keeps_its_graph(made):
    """Without the header, an exported file is a file like any other: commands, loops, dependencies."""
    for engine, read in (("kestra", read_kestra), ("orchestra", read_orchestra)):
        [text] = [t for n, t in export(engine, [made], NOWHERE).files.items() if n.endswith("made.yml")]
        found = reading.made_valid(read.read(text, "f.yml"))
        wanted = {name.removesuffix("_run"): set(needs) for name, needs in of_definition(made).needs.items()}
        tasks = {
            name.removesuffix("_run").removesuffix("_item"): {
                need.removesuffix("_run").removesuffix("_item") for need in task.get("needs", ())
            }
            for name, task in found.definition["tasks"].items()
        }
        assert {name: needs for name, needs in tasks.items() if name in wanted} == wanted


STRICT = {"kestra": (FLOW, read_kestra.load), "orchestra": (ORCHESTRA, read_orchestra.load)}


def _places(value, path=()):
    if isinstance(value, dict):
        yield path
        for key, item in value.items():
            yield from _places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, (*path, index))


#: Places where any key may stand: values for people's own names, and tasks of types that are not known.
FREE = {
    "kestra": ("variables", "env", "labels", "inputs", "values", "foreign", "log", "w"),
    "orchestra": ("run_inputs", "parameters", "t", "pipeline", "tasks", "inputs", "sensors", "checks"),
}


@pytest.mark.parametrize("engine", STRICT)
def test_the_strict_model_refuses_an_unknown_key_wherever_it_stands(engine):
    text, load = STRICT[engine]
    data = yaml.safe_load(text)
    tried = 0
    for path in _places(data):
        changed = copy.deepcopy(data)
        at = changed
        for step in path:
            at = at[step]
        if path and (path[-1] in FREE[engine] or "t" in path[-2:-1] or path[-2:-1] == ("values",)):
            continue
        if at.get("id") in FREE[engine]:
            continue
        at["unknown_key"] = 1
        with pytest.raises(DefinitionErrors, match="unknown_key"):
            load(yaml.safe_dump(changed))
        tried += 1
    assert tried > 12


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("version",), "v2"),
        (("schedule", 0, "cron"), "30 6 * * 1-5"),
        (("schedule", 0, "cron"), "30 6 * * MON *"),
        (("configuration", "retry_delay"), 121),
        (("configuration", "concurrency", "max_active"), 0),
        (("sensors", "ready", "frequency_secs"), 30),
        (("sensors", "ready", "timeout_mins"), 7201),
        (("sensors", "ready", "checks", "file", "sensor_type"), "GCS_FILE"),
        (("pipeline", "each", "depends_on"), ["nobody"]),
        (("pipeline", "first", "tasks", "check", "depends_on"), ["load"]),
        (("pipeline", "each", "matrix", "inputs"), {"a": [1], "b": [2]}),
        (("pipeline", "each", "matrix", "inputs", "t"), [{"id": 1}, {"id": 1}]),
        (("pipeline", "models", "condition"), "${{ task_groups['gone'].any().status == 'FAILED' }}"),
        (("pipeline", "models", "tasks", "dbt", "parameters"), {"commands": "dbt run", "command": "x"}),
        (("alerts", 0, "statuses"), ["DONE"]),
    ],
)
def test_the_model_of_orchestra_refuses(place, value):
    data = yaml.safe_load(ORCHESTRA)
    at = data
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    with pytest.raises(DefinitionErrors):
        read_orchestra.load(yaml.safe_dump(data))


KEYS = st.sampled_from(sorted(orchestra_model.Pipeline.model_fields))
VALUES = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.none(), max_size=1)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(KEYS, VALUES))
def test_nothing_but_an_error_for_people_comes_of_any_mapping(data):
    with pytest.raises(AdeltError) as caught:
        reading.read("orchestra", yaml.safe_dump(data), "f.yml")
    assert caught.value.exit_code == 2

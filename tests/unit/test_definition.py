"""Pipeline files: what is wrong is said with file, line and a suggestion, all at once."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from adelt import definition
from adelt.definition.check import cron_fault
from adelt.definition.schema import schema
from adelt.definition.source import parse
from adelt.errors import DefinitionErrors, InputError

ROOT = Path(__file__).parents[2]

HEAD = "version: 1\nname: p\n"
TASK = "tasks:\n  a: {run: [echo, hi]}\n"


@pytest.fixture
def project(tmp_path):
    """A folder with `pipelines/`; a function that writes a pipeline there."""
    (tmp_path / "pipelines").mkdir()

    def write(text: str, name: str = "p") -> Path:
        path = tmp_path / "pipelines" / f"{name}.yml"
        path.write_text(text, "utf-8")
        return path

    return tmp_path, write


def errors_of(project, text: str) -> list[str]:
    folder, write = project
    with pytest.raises(DefinitionErrors) as caught:
        definition.load(write(text), folder)
    assert caught.value.exit_code == 2
    return [str(problem) for problem in caught.value.problems]


def test_a_misspelt_key_is_told_with_its_line_and_a_suggestion(project):
    assert errors_of(project, HEAD + "shedule: {cron: '0 5 * * *'}\n" + TASK) == [
        "unknown key `shedule`\n  at   pipelines/p.yml:3:1\n  fix  did you mean `schedule`?"
    ]


BAD = {
    "unknown key in a task": (
        "tasks:\n  a:\n    run: echo\n    retrys: {max: 1}\n",
        "unknown key `retrys`\n  at   pipelines/p.yml:6:5\n  fix  did you mean `retries`?",
    ),
    "unknown key in retries": (
        "tasks:\n  a: {run: echo, retries: {maxx: 1}}\n",
        "unknown key `maxx`\n  at   pipelines/p.yml:4:28\n  fix  did you mean `max`?",
    ),
    "unknown key in a schedule": (
        "schedule: {corn: '0 5 * * *', cron: '0 5 * * *'}\n" + TASK,
        "unknown key `corn`\n  at   pipelines/p.yml:3:12\n  fix  did you mean `cron`?",
    ),
    "no action": (
        "tasks:\n  a: {needs: []}\n",
        "`tasks.a`: a task needs exactly one action, this one has none\n  at   pipelines/p.yml:4:3\n"
        "  fix  actions: ingest, dbt, sql, run, sensor, pipeline, export, transfer, purge, alert",
    ),
    "two actions": (
        "tasks:\n  a: {run: echo, sql: select 1}\n",
        "`tasks.a`: a task needs exactly one action, this one has sql and run\n  at   pipelines/p.yml:4:3\n"
        "  fix  actions: ingest, dbt, sql, run, sensor, pipeline, export, transfer, purge, alert",
    ),
    "unknown need": (
        "tasks:\n  extract: {run: echo}\n  b: {needs: [extrat], run: echo}\n",
        "task `b` needs `extrat`, which is no task\n  at   pipelines/p.yml:5:15\n  fix  did you mean `extract`?",
    ),
    "circle": (
        "tasks:\n  a: {needs: [b], run: echo}\n  b: {needs: [a], run: echo}\n",
        "tasks need each other in a circle: ",
    ),
    "needs itself": ("tasks:\n  a: {needs: [a], run: echo}\n", "tasks need each other in a circle: a -> a"),
    "unknown source": (
        "tasks:\n  a: {ingest: {source: dv360_report, table: standard}}\n",
        "there is no source `dv360_report`\n  at   pipelines/p.yml:4:24\n  fix  did you mean `dv360_reports`?",
    ),
    "unknown table": (
        "tasks:\n  a: {ingest: {source: dv360, table: lineitem}}\n",
        "source `dv360` has no table `lineitem`\n  at   pipelines/p.yml:4:38\n  fix  did you mean `line_item`?",
    ),
    "unknown table in an input's default": (
        "inputs: {t: {type: array, default: [partner, advertizer]}}\n"
        "tasks:\n  a: {matrix: {t: '{{ inputs.t }}'}, ingest: {source: dv360, table: '{{ matrix.t }}'}}\n",
        "source `dv360` has no table `advertizer`\n  at   pipelines/p.yml:3:46\n  fix  did you mean `advertiser`?",
    ),
    "unknown input in a template": (
        "inputs: {partners: {type: array, default: []}}\ntasks:\n  a: {run: 'echo {{ inputs.partner }}'}\n",
        "there is no `inputs.partner` in `{{ inputs.partner }}`\n  at   pipelines/p.yml:5:12\n"
        "  fix  did you mean `partners`?",
    ),
    "unknown namespace": (
        "tasks:\n  a: {run: 'echo {{ intervall.start }}'}\n",
        "unknown name `intervall` in `{{ intervall.start }}`\n  at   pipelines/p.yml:4:12\n"
        "  fix  did you mean `interval`?",
    ),
    "unknown filter": (
        "tasks:\n  a: {run: 'echo {{ interval.start | yymd }}'}\n",
        "unknown filter `yymd` in `{{ interval.start | yymd }}`\n  at   pipelines/p.yml:4:12\n  fix  did you mean `ymd`?",
    ),
    "outputs of a task that is not before": (
        "tasks:\n  a: {run: echo}\n  b: {run: 'echo {{ tasks.a.outputs.x }}'}\n",
        "there is no `tasks.a` in `{{ tasks.a.outputs.x }}`",
    ),
    "matrix without a matrix": (
        "tasks:\n  a: {run: 'echo {{ matrix.x }}'}\n",
        "`matrix` cannot be used here",
    ),
    "export of nothing": (
        "tasks:\n  a: {export: {to: x}}\n",
        "`tasks.a.export`: exactly one of `table` and `sql` is needed\n  at   pipelines/p.yml:4:7",
    ),
    "export of no table": (
        "tasks:\n  a: {export: {table: daily, to: gs://b/x}}\n",
        "`daily` is no table\n  at   pipelines/p.yml:4:23\n  fix  write it as dataset.table",
    ),
    "export into a whole bucket": (
        "tasks:\n  a: {export: {table: x.y, to: gs://b/}}\n",
        "`gs://b/` is a whole bucket\n  at   pipelines/p.yml:4:32\n  fix  write gs://BUCKET/FOLDER or a path",
    ),
    "condition beside a query": (
        "tasks:\n  a: {export: {sql: select 1, where: x, to: y}}\n",
        "`where` needs `table`\n  at   pipelines/p.yml:4:7\n  fix  write it into the query",
    ),
    "compression that a format has not": (
        "tasks:\n  a: {export: {table: x.y, to: y, format: csv, compression: zstd}}\n",
        "csv and ndjson are compressed with gzip or not at all",
    ),
    "transfer to somewhere else": (
        "tasks:\n  a: {transfer: {from: s3://b/x, to: y}}\n",
        "`s3://b/x` is neither in Cloud Storage nor a path\n  at   pipelines/p.yml:4:24",
    ),
    "purge of nothing": (
        "tasks:\n  a: {purge: {older_than: 90d}}\n",
        "exactly one of `landing: true` and `path` is needed",
    ),
    "purge of a folder without an age": (
        "tasks:\n  a: {purge: {path: x}}\n",
        "`older_than` is needed, such as 90d",
    ),
    "purge of what is hours old": (
        "tasks:\n  a: {purge: {path: x, older_than: 5h}}\n",
        "`older_than` is at least 1d",
    ),
    "alert of nothing": (
        "tasks:\n  a: {alert: {to: []}}\n",
        "`tasks.a.alert`: exactly one of `table` and `sql` is needed\n  at   pipelines/p.yml:4:7",
    ),
    "alert of a table that is none": (
        "tasks:\n  a: {alert: {table: anomalies}}\n",
        "`anomalies` is no table\n  at   pipelines/p.yml:4:22\n  fix  write it as dataset.table",
    ),
    "alert to two at once": (
        "tasks:\n  a: {alert: {table: x.y, to: [{slack: a, teams: b}]}}\n",
        "exactly one of slack, email, webhook and teams is needed",
    ),
    "alert to somebody that only the run knows": (
        "tasks:\n  a: {alert: {table: x.y, to: [{slack: '{{ run.id }}'}]}}\n",
        "`run` cannot be used here, in `{{ run.id }}`\n  at   pipelines/p.yml:4:40",
    ),
    "files that a query has not": (
        "tasks:\n  a: {sensor: {sql: select 1, min_files: 2}}\n",
        "`min_files` and `updated_after` need `file`",
    ),
    "bad duration": (
        "tasks:\n  a: {run: echo, timeout: 5 minutes}\n",
        "`timeout`: `5 minutes` is not a duration\n  at   pipelines/p.yml:4:27\n  fix  write it like 30s, 5m, 2h or 7d",
    ),
    "bad cron": (
        "schedule: {cron: '0 25 * * *'}\n" + TASK,
        "cron `0 25 * * *`: `25` is not between 0 and 23\n  at   pipelines/p.yml:3:18",
    ),
    "bad time zone": (
        "schedule: {cron: '0 5 * * *', timezone: Europe/Pariss}\n" + TASK,
        "there is no time zone `Europe/Pariss`",
    ),
    "default of another type": (
        "inputs: {n: {type: integer, default: many}}\n" + TASK,
        "input `n`: the default: `many` is not an integer\n  at   pipelines/p.yml:3:38",
    ),
    "default below the minimum": (
        "inputs: {n: {type: integer, default: 0, min: 1}}\n" + TASK,
        "input `n`: the default: 0 is below the minimum 1",
    ),
    "default outside the enum": (
        "inputs: {n: {type: string, default: smal, enum: [small, large]}}\n" + TASK,
        "input `n`: the default: `smal` is not one of its values; did you mean `small`?",
    ),
    "condition over something else": (
        "tasks:\n  a: {run: echo}\n  b: {needs: [a], if: sucess, run: echo}\n",
        "`sucess` is not an input\n  at   pipelines/p.yml:5:23\n  fix  did you mean `success`?",
    ),
    "excluding an unknown list": (
        "tasks:\n  a: {matrix: {x: [1], exclude: [{xx: 1}]}, run: echo}\n",
        "the matrix has no list `xx`\n  at   pipelines/p.yml:4:35\n  fix  did you mean `x`?",
    ),
    "unknown pipeline": (
        "tasks:\n  a: {pipeline: {name: dayly}}\n",
        "there is no pipeline `dayly`",
    ),
    "a bad value of a choice": (
        "interval: {every: dayly}\n" + TASK,
        "`dayly` is not a value of `every`\n  at   pipelines/p.yml:3:19\n  fix  did you mean `day`?",
    ),
    "a number that must be positive": (
        "concurrency: {tasks: 0}\n" + TASK,
        "`tasks`: input should be greater than or equal to 1",
    ),
    "a bad task name": (
        "tasks:\n  My-Task: {run: echo}\n",
        "`My-Task` is not a name\n  at   pipelines/p.yml:4:3\n  fix  use small letters, digits and _, a letter first",
    ),
    "a key twice": ("name: p\n" + TASK, "the key `name` is there twice\n  at   pipelines/p.yml:3:1"),
    "not YAML": ("tasks: [\n", "this is not YAML: "),
    "an alias bomb": (
        "x1: &a [1,1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"x{n}: &{chr(96 + n)} [{','.join(['*' + chr(95 + n)] * 10)}]\n" for n in range(2, 9)),
        "aliases that multiply",
    ),
    "concurrency without a matrix": (
        "tasks:\n  a: {run: echo, concurrency: 2}\n",
        "`concurrency` of a task needs a `matrix`",
    ),
    "nothing to do": ("tasks: {}\n", "`tasks`: "),
    "two kinds of sensor": (
        "tasks:\n  a: {sensor: {file: x, sql: select 1}}\n",
        "exactly one of `file`, `sql` and `pipeline` is needed",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said(project, case):
    body, expected = BAD[case]
    found = errors_of(project, HEAD + body)
    assert len(found) == 1, found
    assert expected in found[0]


@pytest.mark.parametrize(
    "word",
    ["1", "1.5", "1e3", "0x1f", "1_000", "true", "off", "~", "null", "2026-01-02", "12:30", "x y", "''"],
)
def test_words_are_recognised_as_yaml_does(word):
    """Also when the same word has stood there before, with quotes or without."""
    text = f'a: {word}\nb: "{word}"\nc: !!str {word}\nd: |\n  {word}\ne: [{word}, "{word}", {{}}, []]\nf:\n'
    assert parse(text, "x.yml").data == parse(text, "x.yml").data == yaml.safe_load(text)


def test_several_errors_are_told_at_once_in_the_order_of_the_file(project):
    found = errors_of(
        project,
        HEAD + "tasks:\n  a: {needs: [z], run: '{{ inputs.x }}'}\n  b: {ingest: {source: nope, table: t}}\n",
    )
    assert [text.splitlines()[0] for text in found] == [
        "task `a` needs `z`, which is no task",
        "there is no `inputs.x` in `{{ inputs.x }}`",
        "there is no source `nope`",
    ]


def test_a_version_is_needed(project):
    assert errors_of(project, "name: p\n" + TASK) == [
        "`version` is missing\n  at   pipelines/p.yml:1:1\n  fix  add `version:`"
    ]


def test_pipelines_that_run_each_other_are_told(project):
    _, write = project
    write("version: 1\nname: q\ntasks:\n  a: {pipeline: {name: p}}\n", "q")
    found = errors_of(project, HEAD + "tasks:\n  a: {pipeline: {name: q}}\n")
    assert "pipelines run each other in a circle: p -> q -> p" in found[0]


def test_inputs_of_another_pipeline_are_checked(project):
    _, write = project
    write("version: 1\nname: q\ninputs: {days: {type: integer}}\ntasks:\n  a: {run: echo}\n", "q")
    assert (
        "pipeline `q` has no input `dais`"
        in errors_of(project, HEAD + "tasks:\n  a: {pipeline: {name: q, inputs: {dais: 1, days: 1}}}\n")[0]
    )
    assert (
        "must be given the input `days`"
        in errors_of(project, HEAD + "tasks:\n  a: {pipeline: {name: q}}\n")[0]
    )


def test_a_pipeline_that_is_not_there_names_the_closest(project):
    folder, write = project
    write(HEAD + TASK, "daily")
    with pytest.raises(InputError) as error:
        definition.find("dialy", folder)
    assert error.value.fix == "did you mean `daily`?"


def test_a_single_schedule_and_a_list_of_them_are_both_fine(project):
    folder, write = project
    one = definition.load(write(HEAD + "schedule: {cron: '0 5 * * *'}\n" + TASK), folder)
    two = definition.load(
        write(HEAD + "schedule: [{cron: '0 5 * * *'}, {cron: '0 9 * * MON-FRI'}]\n" + TASK), folder
    )
    assert (len(one.pipeline.schedule), len(two.pipeline.schedule)) == (1, 2)


@pytest.mark.parametrize("text", ["* * * * *", "*/5 0-6,12 1 jan-mar mon", "0 0 31 12 7", "5/15 * * * *"])
def test_good_cron_texts(text):
    assert cron_fault(text) == ""


@pytest.mark.parametrize(
    "text", ["", "* * * *", "60 * * * *", "* * 0 * *", "*/0 * * * *", "5-1 * * * *", "a * * * *", "* * * * 8"]
)
def test_bad_cron_texts(text):
    assert cron_fault(text)


def test_the_published_schema_accepts_the_pipelines_of_the_repo_and_refuses_bad_ones():
    validator = jsonschema.Draft202012Validator(schema())
    for path in definition.find_all(ROOT):
        value = json.loads(json.dumps(yaml.safe_load(path.read_text("utf-8")), default=str))
        assert list(validator.iter_errors(value)) == [], path
    assert list(
        validator.iter_errors({"version": 1, "name": "p", "shedule": {}, "tasks": {"a": {"run": "x"}}})
    )


@pytest.mark.parametrize("name", ["cm360", "daily", "dv360_entities", "dv360_reports", "erf_archive"])
def test_the_pipelines_of_the_repo_are_right(name):
    assert definition.find(name, ROOT).pipeline.name == name

"""Which dbt tasks Cosmos does, and when it cannot."""

import json

import pytest

from adelt import definition
from adelt.errors import AdeltError, InputError
from adelt.export import airflow_cosmos as by_model
from adelt.export.airflow import Config
from adelt.export.core import read_config

TEXT = """
version: 1
name: daily
inputs: {what: {type: string, default: marts}}
tasks:
  load: {run: "true"}
  build: {needs: [load], dbt: {select: "+marts", exclude: "resource_type:unit_test"}}
  docs: {dbt: {command: compile}}
  warned: {allow_failure: true, dbt: {}}
  each: {matrix: {one: [a, b]}, dbt: {}}
  asked: {dbt: {select: "{{ inputs.what }}"}}
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "daily.yml").write_text(TEXT)
    (tmp_path / "deploy" / "airflow").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def daily(project):
    return definition.load(project / "pipelines" / "daily.yml", project)


def settings(project, text):
    (project / "deploy/airflow/config.yml").write_text(text)
    return read_config(Config, "airflow", project)


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        ([], []),
        (["daily.build"], ["build"]),
        (["daily.*"], ["build", "docs", "warned", "each", "asked"]),
        (["*.build", "other.*"], ["build"]),
        (["daily.load"], []),
        (["build"], []),
    ],
)
def test_tasks_are_named_with_their_pipeline(daily, patterns, found):
    assert by_model.chosen(Config(cosmos=patterns), daily) == found


def test_a_name_without_a_dbt_task_is_known_to_be_wrong(daily):
    assert by_model.unknown(Config(cosmos=["daily.b*", "daily.load", "dayly.*"]), [daily]) == [
        "daily.load",
        "dayly.*",
    ]


@pytest.mark.parametrize(
    ("task", "why"),
    [
        ("docs", "its command is not `build`"),
        ("warned", "may fail"),
        ("each", "has a matrix"),
        ("asked", "depends on the run"),
    ],
)
def test_a_task_that_cannot_be_done_model_by_model_says_why(daily, task, why):
    with pytest.raises(InputError, match=why) as told:
        by_model.check(daily, task)
    assert f"take daily.{task} out of `cosmos`" in str(told.value)


def test_pods_are_refused_at_once(project):
    with pytest.raises(AdeltError, match="`cosmos` needs `runner: bash`"):
        settings(project, "{cosmos: ['*'], runner: kubernetes}")


def test_models_must_be_listed_for_the_selection_of_the_task(project, daily):
    with pytest.raises(InputError, match="is missing"):
        by_model.nodes(project, daily, "build")
    file = by_model.file_of(project, daily, "build")
    file.parent.mkdir(parents=True)
    made_for = {"task": "daily.build", "select": "+marts", "exclude": "resource_type:unit_test"}
    file.write_text(json.dumps({"adelt": made_for, "left_out": ["x"]}))
    assert by_model.nodes(project, daily, "build") == (file, ["x"])
    file.write_text(json.dumps({"adelt": {**made_for, "select": "staging"}, "left_out": []}))
    with pytest.raises(InputError, match="another selection"):
        by_model.nodes(project, daily, "build")
    file.write_text("{")
    with pytest.raises(InputError, match="is missing"):
        by_model.nodes(project, daily, "build")


def test_the_command_of_a_part_takes_the_words_of_dbt_and_keeps_its_exit_code(daily, tmp_path):
    import subprocess

    program = tmp_path / "adelt"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 2\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", by_model.part(daily, "build", Config()), "dbt", "run", "--exclude", "a b"],
        env={
            "PATH": "/usr/bin:/bin",
            "ADELT_COMMAND": str(program),
            "ADELT_INTERVAL": "A/B",
            "ADELT_RUN_ID": "r",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[:6] == ["task", "daily.build", "--interval", "A/B", "--run-id", "r"]
    assert done.stdout.splitlines()[-4:] == ["--", "run", "--exclude", "a b"]
    assert done.returncode == 2
    assert (tmp_path / by_model.EXIT_CODE).read_text() == "2\n"

"""The command line: what it prints, how it fails, what starting it takes."""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def adelt(tmp_path):
    """Run a command in an empty home; its result."""
    (tmp_path / "pipelines").mkdir()
    env = {
        **os.environ,
        "ADELT_PROJECT": str(tmp_path),
        "ADELT_HOME": str(tmp_path / "home"),
    }
    env.pop("ADELT_WAREHOUSE", None)

    def run(*arguments: str, code: int = 0, python: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
        words = [sys.executable, *python, "-P", "-m", "adelt", *arguments]
        done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def write(text: str) -> None:
        (tmp_path / "pipelines" / "p.yml").write_text("version: 1\nname: p\n" + text, "utf-8")

    run.write = write
    return run


def test_a_bad_file_is_told_without_a_traceback(adelt):
    adelt.write("shedule: {cron: '0 5 * * *'}\ntasks:\n  a: {run: echo}\n")
    done = adelt("validate", code=2)
    assert done.stderr == (
        "error unknown key `shedule`\n  at   pipelines/p.yml:3:1\n  fix  did you mean `schedule`?\n"
    )
    told = json.loads(adelt("validate", "--json", code=2).stdout)
    assert told["errors"] == [
        {"what": "unknown key `shedule`", "where": "pipelines/p.yml:3:1", "fix": "did you mean `schedule`?"}
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "dayly"], "there is no pipeline `dayly`"),
        (["plan", "p", "--interval", "2026-01-01"], "`2026-01-01` is not an interval"),
        (["plan", "p", "--from", "2026-01-02", "--to", "2026-01-01"], "is before the first"),
        (["plan", "p", "--from", "2026-01-02"], "--from and --to belong together"),
        (["plan", "p", "--date", "2026-01-02", "--interval", "2026-01-01/2026-01-02"], "exclude each other"),
        (["plan", "p", "-i", "x"], "`x` is not name=value"),
        (["plan", "p", "-i", "x=1"], "there is no input `x`"),
        (["plan", "p", "--select", "aa"], "has no task `aa`"),
        (["task", "p", "--interval", "2026-01-01/2026-01-02"], "`p` is not PIPELINE.TASK"),
        (["task", "p.aa", "--interval", "2026-01-01/2026-01-02"], "has no task `aa`"),
        (["task", "p.a", "--matrix", "x=1", "--interval", "2026-01-01/2026-01-02"], "has no item x=1"),
        (
            ["ingest", "dv360", "line_itm", "--from", "2026-01-01", "--to", "2026-01-01"],
            "did you mean `line_item`?",
        ),
        (["ingest", "dv361", "x", "--from", "2026-01-01", "--to", "2026-01-01"], "did you mean `dv360`?"),
        (
            ["ingest", "dv360", "line_item", "--from", "2026-01-02", "--to", "2026-01-01"],
            "is before the first",
        ),
        (
            ["ingest", "dv360", "line_item", "--from", "yesterday", "--to", "2026-01-01"],
            "`yesterday` is not a day",
        ),
        (["tables", "dv361"], "did you mean `dv360`?"),
        (["runs", "abc"], "there is no run `abc`"),
        (["runs", "--log", "a"], "--log belongs to a run"),
        (["backfill", "--status", "a", "--resume", "b"], "--status and --resume exclude each other"),
        (["query", "select 1"], "there is no warehouse yet"),
        (["sandbox", "--now", "soon"], "`soon` is not a time"),
    ],
)
def test_bad_arguments_are_told_and_end_with_2(adelt, arguments, said):
    adelt.write("tasks:\n  a: {run: echo}\n")
    done = adelt(*arguments, code=2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error ")


def test_an_empty_file_is_called_empty(adelt, tmp_path):
    for text, said in (("# nothing\n", "the file is empty"), ("- a\n", "is not made of keys and values")):
        (tmp_path / "b.yml").write_text(text)
        done = adelt("backfill", "--config", "b.yml", code=2)
        assert said in done.stderr
        assert "b.yml:1\n  fix  begin with `pipelines:`" in done.stderr
    (tmp_path / "pipelines" / "p.yml").write_text("")
    assert (
        "the file is empty\n  at   pipelines/p.yml:1\n  fix  begin with `version: 1`"
        in adelt("validate", code=2).stderr
    )


def test_a_check_of_written_files_exits_1_and_names_them(adelt, tmp_path):
    assert adelt("generate", "--check", code=1).stderr.endswith(
        "out of date: docs/reference/pipeline.schema.json\n  fix  adelt generate\n"
    )
    assert json.loads(adelt("generate", "--check", "--json", code=1).stdout)["out_of_date"]
    adelt("generate")
    assert adelt("generate", "--check").stderr == ""
    adelt.write("tasks:\n  a: {run: echo}\n")
    for words, fix in ((("export",), "adelt export"), (("export", "kestra"), "adelt export kestra")):
        assert adelt(*words, "--check", code=1).stderr.endswith(f"\n  fix  {fix}\n")


def test_a_plan_shows_what_would_run_and_what_is_done(adelt, tmp_path):
    adelt.write("tasks:\n  a: {run: echo x >> log}\n  b: {needs: [a], run: 'echo y >> log; test -e ok'}\n")
    before = json.loads(adelt("plan", "p", "--date", "2026-01-05", "--json").stdout)[0]
    assert [(task["id"], task["state"]) for task in before["tasks"]] == [("a", "run"), ("b", "run")]
    assert not (tmp_path / "home").exists()
    adelt("run", "p", "--date", "2026-01-05", code=1)
    after = json.loads(adelt("plan", "p", "--date", "2026-01-05", "--json").stdout)[0]
    assert [(task["id"], task["state"]) for task in after["tasks"]] == [("a", "done"), ("b", "run")]
    assert (
        adelt("run", "p", "--date", "2026-01-05", "--dry-run").stdout
        == adelt("plan", "p", "--date", "2026-01-05").stdout
    )


def test_a_plan_and_a_forced_run_reach_into_other_pipelines(adelt, tmp_path):
    inner = "version: 1\nname: inner\ntasks:\n  x: {run: echo x >> log}\n"
    (tmp_path / "pipelines" / "inner.yml").write_text(inner, "utf-8")
    adelt.write("tasks:\n  a: {pipeline: {name: inner}}\n  b: {needs: [a], run: echo b >> log}\n")

    def states():
        shown = json.loads(adelt("plan", "p", "--date", "2026-01-05", "--json").stdout)[0]
        return [(task["id"], task["state"]) for task in shown["tasks"]], shown["to_run"]

    assert states() == ([("a", "run"), ("a.x", "run"), ("b", "run")], 2)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "warehouse.duckdb").touch()  # work on a warehouse that is gone would be forgotten
    adelt("run", "p", "--date", "2026-01-05")
    assert states() == ([("a", "done"), ("b", "done")], 0)
    adelt("run", "p", "--date", "2026-01-05")
    assert (tmp_path / "log").read_text() == "x\nb\n"
    adelt("run", "p", "--date", "2026-01-05", "--force")
    assert (tmp_path / "log").read_text() == "x\nb\nx\nb\n"


def test_runs_show_history_tasks_and_logs(adelt):
    adelt.write("tasks:\n  a: {run: 'echo some words; exit 1', retries: {max: 1, delay: 0s}}\n")
    result = json.loads(adelt("run", "p", "--date", "2026-01-05", "--json", code=1).stdout)[0]
    listed = json.loads(adelt("runs", "--json").stdout)
    assert [(run["id"], run["status"]) for run in listed] == [(result["run_id"], "FAILED")]
    shown = json.loads(adelt("runs", result["run_id"][-8:], "--json").stdout)
    assert [(task["attempt"], task["status"], task["exit_code"]) for task in shown["tasks"]] == [
        (1, "FAILED", 1),
        (2, "FAILED", 1),
    ]
    assert "some words" in adelt("runs", result["run_id"], "--log", "a").stdout
    assert "FAILED" in adelt("runs", result["run_id"]).stdout


def test_tables_and_schema_are_machine_readable(adelt):
    assert "standard" in json.loads(adelt("tables", "--json").stdout)["dv360_reports"]
    assert json.loads(adelt("tables", "dv360.line_item", "--json").stdout)["name"] == "line_item"
    assert json.loads(adelt("schema").stdout)["title"] == "adelt pipeline"


INSTALLED = set(importlib.metadata.packages_distributions())
LIGHT = {"adelt", "typer", "shellingham", "annotated_doc"}
MORE = "adelt_sources annotated_types pydantic pydantic_core typing_extensions typing_inspection uuid6 yaml"
DEFINED = LIGHT | set(MORE.split())


def imported(adelt, *arguments: str) -> tuple[set[str], int]:
    """Installed packages that a command imports, and the number of modules in all: what starting it costs.

    Seconds are the business of `make bench`: on a machine that does something else too they say nothing.
    """
    told = adelt(*arguments, python=["-X", "importtime"]).stderr
    modules = [line.split("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")]
    assert "adelt.__main__" in modules or "adelt.cli" in modules
    packages = {module.partition(".")[0] for module in modules}
    return {name for name in packages & INSTALLED if not name.startswith("_")}, len(modules)


def test_help_comes_at_once(adelt):
    packages, modules = imported(adelt, "--help")
    assert packages <= LIGHT
    assert modules < 200


def test_what_is_done_costs_next_to_nothing(adelt):
    adelt.write("tasks:\n  a: {run: echo}\n")
    interval = ["--interval", "2026-01-05/2026-01-06"]
    adelt("run", "p", *interval)
    for command in (["task", "p.a"], ["run", "p"]):
        packages, modules = imported(adelt, *command, *interval)
        assert packages <= DEFINED
        assert modules < 400

"""Rules about the tree that no linter knows."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from adelt import definition, generate
from adelt.definition import schema
from adelt.plan import make_plan
from adelt.window import parse_interval
from adelt_sources.catalog import table_spec

ROOT = Path(__file__).parents[2]
OURS = ("dlt/adelt_sources", "python/adelt", "python/adelt_sandbox")
# `_loaded_at` of rows and the times of report states say when something happened; no window comes from them.
CLOCK_READERS = {
    "dlt/adelt_sources/run.py",
    "dlt/adelt_sources/google.py",
    "dlt/adelt_sources/report_runs.py",
}


def modules(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def tracked() -> list[Path]:
    """Files that are in git, or would be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [ROOT / line for line in listed.splitlines() if (ROOT / line).is_file()]


def names(path: Path) -> list[str]:
    """Dotted names that a module reads: `os.environ`, `datetime.now`, ..."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
    ]


@pytest.mark.parametrize("folder", ["dlt", "dbt", "python"])
def test_source_roots_are_no_packages(folder):
    assert not (ROOT / folder / "__init__.py").exists()


def test_the_environment_is_read_in_one_place():
    readers = {
        str(path.relative_to(ROOT))
        for path in modules("python/adelt", "dlt/adelt_sources")
        if any(name.startswith(("os.environ", "os.getenv")) for name in names(path))
    }
    assert readers == {"python/adelt/settings.py"}


def test_below_the_command_line_nobody_asks_what_day_it_is():
    asking = {
        str(path.relative_to(ROOT))
        for path in modules("python/adelt", "dlt/adelt_sources")
        if "cli" not in path.parts
        and any(re.search(r"\b(datetime\.(now|utcnow|today)|date\.today)$", name) for name in names(path))
    }
    assert asking <= CLOCK_READERS


def test_generated_files_are_up_to_date():
    assert (ROOT / schema.PATH).read_text("utf-8") == schema.text(), "run: adelt generate"
    assert generate.write(ROOT, check=True) == [], "run: adelt generate"


def test_every_pipeline_names_its_schema_on_the_first_line():
    for path in (ROOT / "pipelines").glob("*.yml"):
        first = path.read_text("utf-8").splitlines()[0]
        match = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
        assert match, path
        assert (path.parent / match[1]).resolve() == ROOT / schema.PATH


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("*.yml")), ids=lambda path: path.stem)
def test_pipelines_ask_again_for_as_many_days_as_their_tables_say(path):
    loaded = definition.load(path, ROOT)
    interval = parse_interval("2026-06-01/2026-07-01")
    plan = make_plan(loaded, interval, {})
    asked_again = (plan.interval.start - plan.window.start).days
    for task in plan.tasks:
        if task.kind == "ingest":
            spec = table_spec(str(task.action["source"]), str(task.action["table"]))
            assert asked_again >= spec.lookback_days, task.id


def test_no_file_knows_the_machine_it_was_written_on():
    # Composer has its bucket at one such path.
    pattern = re.compile(r"/(?:home|Users)/(?!airflow/gcs/)\w+/|/root/|(?<![\w.}])/work/")
    found = []
    for path in tracked():
        if path.suffix in (".lock", ".png", ".parquet") or path == Path(__file__):
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in pattern.finditer(text)]
    assert found == []


def test_the_sandbox_shares_no_code_with_what_it_judges():
    for path in modules("python/adelt_sandbox"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            imported = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not [name for name in imported if name.split(".")[0] in ("adelt", "adelt_sources")], path


def test_every_package_has_a_docstring():
    for folder in OURS:
        for path in (ROOT / folder).rglob("__init__.py"):
            assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), path

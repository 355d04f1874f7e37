"""adelt export and adelt import: what they write, print and exit with."""

import shutil
from pathlib import Path

import pytest
import typer

from adelt.cli import export as commands
from adelt.errors import AdeltError

SENSOR = "sensors: {small: {only: {integration: X, sensor_type: SFTP_FILE, parameters: {}}}}"
GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def project(tmp_path, monkeypatch):
    shutil.copytree(GOLDEN / "pipelines", tmp_path / "pipelines")
    monkeypatch.setenv("ADELT_PROJECT", str(tmp_path))
    return tmp_path


def files(project: Path) -> dict[str, bytes]:
    return {str(p.relative_to(project)): p.read_bytes() for p in sorted(project.rglob("*")) if p.is_file()}


def code(*args, **options) -> int:
    try:
        commands.export(*args, **{"check": False, "strict": False, "as_json": False, **options})
    except typer.Exit as ended:
        return ended.exit_code
    return 0


def test_check_says_which_files_differ_and_writes_nothing(project, capsys):
    commands.export("", check=False, strict=False, as_json=False)
    assert code("", check=True) == 0
    (project / "deploy/kestra/flows/small.yml").write_text("changed")
    (project / "deploy/orchestra/pipelines/small.yml").unlink()
    old = project / "deploy/kestra/flows/old.yml"
    old.write_text("# Written by `adelt export kestra` from pipelines/old.yml; do not edit.\n")
    (project / "deploy/kestra/flows/by_hand.yml").write_text("id: by_hand\n")
    before = files(project)
    capsys.readouterr()
    assert code("", check=True) == 1
    told = capsys.readouterr().err
    assert [line for line in told.splitlines() if line.startswith("out of date")] == [
        "out of date: deploy/kestra/flows/small.yml",
        "out of date: deploy/kestra/flows/old.yml",
        "out of date: deploy/orchestra/pipelines/small.yml",
    ]
    assert files(project) == before
    assert code("") == 0
    assert code("", check=True) == 0
    assert not old.exists()
    assert (project / "deploy/kestra/flows/by_hand.yml").exists()


def test_strict_exits_3_lists_what_is_missing_and_writes_nothing(project, capsys):
    before = files(project)
    assert code("orchestra", strict=True) == 3
    told = capsys.readouterr().out
    assert "everything  schedule[0].catchup: missed intervals are not made up for" in told
    assert "retries.backoff" not in told  # approximated
    assert files(project) == before
    for path in (project / "pipelines").iterdir():
        if path.stem != "small":
            path.unlink()
    assert code("orchestra", strict=True) == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("pipelines/small.yml", "name: small", "name: weekly"), "two pipelines are called `weekly`"),
        (("pipelines/weekly.yml", "label:", "adelt_at:"), "the input `adelt_at` cannot be exported"),
        (("pipelines/small.yml", "run:", "rum:"), "rum"),
        (("deploy/airflow/config.yml", "", "kubernetes: {imag: x}\n"), "`kubernetes.imag`"),
        (("deploy/kestra/config.yml", "", "namspace: x\n"), "`namspace`"),
        (("deploy/kestra/config.yml", "", "namespace: [\n"), "not YAML"),
        (("deploy/kestra/config.yml", "", "- x\n"), "config.yml"),
        (("deploy/kestra/config.yml", "", "runner: ship\n"), "`runner`"),
        (
            ("deploy/orchestra/config.yml", "", SENSOR),
            "`small.only` is no sensor",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_told_before_anything_is_written(project, change, told):
    name, old, new = change
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text() if path.exists() else ""
    path.write_text(text.replace(old, new) or new)
    before = files(project)
    with pytest.raises(AdeltError) as caught:
        commands.export("", check=False, strict=False, as_json=False)
    assert caught.value.exit_code == 2
    assert told in str(caught.value)
    assert files(project) == before


def test_an_engine_that_is_not_offered(project):
    with pytest.raises(AdeltError, match="prefect"):
        commands.export("prefect", check=False, strict=False, as_json=False)


def test_import_prints_a_definition_and_lists_the_rest(project, capsys):
    commands.import_("kestra", GOLDEN.parent / "foreign/kestra.yml", as_json=False)
    shown = capsys.readouterr()
    assert shown.out.startswith("# Read from ")
    assert "name: taxi_load" in shown.out
    assert "not taken over: trigger w: io.kestra.plugin.core.trigger.Webhook" in shown.err
    with pytest.raises(AdeltError, match="no file"):
        commands.import_("kestra", project / "nowhere.yml", as_json=False)
    with pytest.raises(AdeltError, match="prefect"):
        commands.import_("prefect", GOLDEN.parent / "foreign/kestra.yml", as_json=False)

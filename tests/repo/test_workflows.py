"""The workflows of GitHub Actions run what there is, and the scripts behind them do what they say."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from adelt.datasets import dbt_variables
from adelt_sources.warehouse import BigQuery

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
TARGETS = yaml.safe_load((ROOT / "deploy/targets.yml").read_text("utf-8"))["targets"]
BIN = Path(sys.executable).parent


def read(path):
    document = yaml.safe_load(path.read_text("utf-8"))
    document["on"] = document.pop(True)  # YAML takes `on` for a truth value
    return document


def steps(document):
    return [step for job in document["jobs"].values() for step in job["steps"]]


def commands(document):
    return [
        line.strip() for step in steps(document) for line in step.get("run", "").splitlines() if line.strip()
    ]


def test_there_are_three_workflows():
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "dbt-slim.yml", "deploy-composer.yml"]


def test_ci_runs_the_commands_of_ci_run():
    script = (ROOT / ".ci/run").read_text("utf-8").splitlines()
    expected = [line for line in script if line and not line.startswith(("#", "set ", "cd "))]
    assert commands(read(ROOT / ".github/workflows/ci.yml")) == expected
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(r"^check:(.*\n\t@.*)*\n\t@\$\(BIN\)/sqlfluff lint", makefile, re.MULTILINE), (
        "sqlfluff is part of it"
    )


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_command_exists(path):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for command in commands(read(path)):
        first, *rest = command.split()
        if first == "make":
            assert all(re.search(rf"^{word}:", makefile, re.MULTILINE) for word in rest), command
        else:
            assert (ROOT / first).is_file(), command
            assert os.access(ROOT / first, os.X_OK), command


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_workflow_has_keys_or_more_rights_than_it_needs(path):
    text, document = path.read_text("utf-8"), read(path)
    assert document["permissions"]["contents"] == "read"
    assert set(document["permissions"]) <= {"contents", "id-token"}
    assert "secrets." not in text
    assert "credentials_json" not in text
    assert "pull_request_target" not in document["on"]
    assert all(re.search(r"@v\d+$", step["uses"]) for step in steps(document) if "uses" in step)
    # What others write (titles, branches) must not become part of a command.
    assert not [command for command in commands(document) if "${{" in command]
    assert all("timeout-minutes" in job for job in document["jobs"].values())


@pytest.mark.parametrize("name", ["dbt-slim.yml", "deploy-composer.yml"])
def test_every_variable_of_the_targets_is_passed_on(name):
    document = read(ROOT / ".github/workflows" / name)
    needed = {
        variable
        for target in ("dev", "stg", "prod")
        for variable in re.findall(r"\$\{(\w+)\}", json.dumps(TARGETS[target]))
    }
    for job in document["jobs"].values():
        assert needed <= set(job["env"])


def test_deployments_go_to_targets_that_there_are():
    document = read(ROOT / ".github/workflows/deploy-composer.yml")
    options = document["on"]["workflow_dispatch"]["inputs"]["target"]["options"]
    assert set(options) == {name for name, one in TARGETS.items() if one["type"] == "bigquery"} - {"bigquery"}


def test_a_closed_pull_request_only_drops_its_datasets():
    document = read(ROOT / ".github/workflows/dbt-slim.yml")
    assert "closed" in document["on"]["pull_request"]["types"]
    build, drop = [step for step in steps(document) if "slim.sh" in step.get("run", "")]
    assert build["if"] == "github.event.action != 'closed'"
    assert (drop["if"], drop["run"]) == ("always()", 'deploy/gcp/slim.sh drop "$TARGET" "$NUMBER"')


class Cloud:
    """Programs that write down how they were called; `adelt`, Python and, if wanted, `dbt` are the real ones."""

    def __init__(self, folder):
        self.folder, self.bin, self.log = folder, folder / "bin", folder / "calls"
        self.bin.mkdir()
        for name in ("adelt", "python"):
            (self.bin / name).symlink_to(BIN / name)
        self.program("gcloud", "")
        self.program("dbt", "")
        self.program("bq", "")

    def program(self, name, body):
        path = self.bin / name
        path.write_text(
            f'#!/bin/bash\nprintf "%s\\n" "{name} $*" >>"{self.log}"\n'
            f'env | grep ^ADELT_ | sort >"{self.folder}/{name}.env"\n{body}\n'
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def __call__(self, script, *words, code=0, **env):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ADELT_")}
        done = subprocess.run(
            ["bash", str(ROOT / "deploy/gcp" / script), *words],
            env={
                **kept, "PATH": f"{self.bin}:{os.environ['PATH']}", "ADELT_BIN": str(self.bin),
                "ADELT_PROD_PROJECT": "acme", **env,
            },
            capture_output=True,
            text=True,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        self.output = done.stdout + done.stderr
        return self.log.read_text().splitlines() if self.log.exists() else []

    def environment(self, name):
        lines = (self.folder / f"{name}.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def cloud(tmp_path):
    return Cloud(tmp_path)


def test_a_pull_request_builds_what_changed_into_datasets_of_its_own(cloud):
    fetched, built = cloud("slim.sh", "build", "prod", "17", ADELT_SLIM_MAX_BYTES="5000")
    assert fetched.startswith("gcloud storage cp gs://acme-adelt-prod/dbt/manifest.json ")
    assert built.startswith("dbt build --project-dir dbt ")
    assert "--select state:modified+ --defer --state " in built
    given = cloud.environment("dbt")
    assert (given["ADELT_SCHEMA_PREFIX"], given["ADELT_RAW_PREFIX"]) == ("pr_17_", "")
    assert (given["ADELT_BIGQUERY_PROJECT"], given["ADELT_DBT_TARGET"]) == ("acme", "bigquery")
    assert given["ADELT_BIGQUERY_MAX_BYTES"] == "5000"


def test_without_a_manifest_everything_is_built(cloud):
    cloud.program("gcloud", "exit 1")
    built = cloud("slim.sh", "build", "prod", "17")[-1]
    assert built.startswith("dbt build ")
    assert "--select" not in built
    assert "no manifest in gs://acme-adelt-prod/dbt" in cloud.output


def test_a_build_that_fails_fails_the_workflow(cloud):
    cloud.program("dbt", "exit 1")
    cloud("slim.sh", "build", "prod", "17", code=1)


def test_only_the_datasets_of_the_pull_request_are_dropped(cloud):
    names = [
        "pr_17_staging",
        "pr_17_marts_ads",
        "pr_170_staging",
        "pr_1_staging",
        "staging",
        "x_pr_17_staging",
    ]
    listed = json.dumps([{"datasetReference": {"projectId": "acme", "datasetId": name}} for name in names])
    cloud.program("bq", f"[[ $* == *' ls '* ]] && echo '{listed}' || true")
    calls = cloud("slim.sh", "drop", "prod", "17")
    assert calls[1:] == [
        f"bq --project_id=acme rm -r -f --dataset acme:{name}"
        for name in ("pr_17_staging", "pr_17_marts_ads")
    ]


def test_nothing_to_drop_is_no_error(cloud):
    assert len(cloud("slim.sh", "drop", "prod", "17")) == 1


@pytest.mark.parametrize(
    "words",
    [(), ("build", "prod"), ("build", "prod", "17; ls"), ("drop", "prod", ""), ("keep", "prod", "17")],
)
def test_a_wrong_call_of_slim_is_told(cloud, words):
    assert cloud("slim.sh", *words, code=2) == []
    assert "slim.sh drop TARGET NUMBER" in cloud.output


def test_a_deployment_copies_dags_last_and_keeps_the_manifest(cloud):
    calls = [line for line in cloud("deploy.sh", "prod", "composer-bucket") if line.startswith("gcloud")]
    places = [word for line in calls for word in line.split() if word.startswith("gs://")]
    wanted = [
        f"gs://composer-bucket/data/adelt/{name}" for name in ("dlt", "python", "dbt", "pipelines", "deploy")
    ]
    if (ROOT / "deploy/airflow/dags").is_dir():
        wanted.append("gs://composer-bucket/dags/adelt")
    assert places == [*wanted, "gs://acme-adelt-prod/dbt/manifest.json"]
    assert cloud.environment("dbt")["ADELT_SCHEMA_PREFIX"] == ""
    left_out = re.compile(re.search(r"--exclude=(\S+)", calls[0])[1])
    for path in ("adelt/__pycache__/a.pyc", "target/manifest.json", ".dlt/secrets.toml", "logs/dbt.log"):
        assert left_out.match(path), path
    for path in (
        "adelt_sources/tables/cm360.yml",
        ".dlt/config.toml",
        "models/staging/x.sql",
        "adelt/targets.py",
    ):
        assert not left_out.match(path), path


def test_nothing_is_deployed_that_is_wrong_or_was_not_exported_again(cloud):
    real = (cloud.bin / "adelt").readlink()
    for refused, code in (("validate", 2), ("export airflow --check", 1)):
        (cloud.bin / "adelt").unlink()
        cloud.program("adelt", f'[[ $* != "{refused}" ]] || exit {code}; exec {real} "$@"')
        calls = cloud("deploy.sh", "prod", "composer-bucket", code=code)
        assert calls[-1] == f"adelt {refused}"
        assert not [line for line in calls if line.startswith(("gcloud", "dbt"))]


LISTED = """
if [[ $* == *"dags list "* ]]; then echo 'Executing the command...'; cat "$DAGS_LISTED"; fi
if [[ $* == *"list-import-errors"* ]]; then echo '[]'; fi
"""


def dag_list(tmp_path, leave_out="", broken=""):
    ids = [path.stem for path in (ROOT / "deploy/airflow/graphs").glob("*.yml")]
    dags = [
        {"dag_id": name, "tags": [{"name": "broken"}] if name == broken else []}
        for name in ids
        if name != leave_out
    ]
    path = tmp_path / "listed.json"
    path.write_text(json.dumps(dags))
    return {"DAGS_LISTED": str(path), "ADELT_CHECK_TRIES": "2", "ADELT_CHECK_PAUSE": "0"}


def test_a_deployment_ends_when_composer_has_loaded_every_dag(cloud, tmp_path):
    cloud.program("gcloud", LISTED)
    words = ("deploy.sh", "prod", "composer-bucket", "ads", "europe-west1")
    calls = cloud(*words, **dag_list(tmp_path))
    assert [line for line in calls if "pools import" in line and "--location europe-west1" in line]
    assert "DAGs are loaded" in cloud.output
    cloud(*words, code=1, **dag_list(tmp_path, leave_out="daily"))
    assert "no DAG `daily`" in cloud.output
    cloud(*words, code=1, **dag_list(tmp_path, broken="daily"))
    assert "`daily` is broken" in cloud.output
    cloud.program("gcloud", "")
    cloud(*words, code=1, **dag_list(tmp_path))
    assert "no list of its DAGs" in cloud.output


@pytest.mark.parametrize("words", [(), ("prod",), ("prod", ""), ("Prod!", "b")])
def test_a_wrong_call_of_deploy_is_told(cloud, words):
    assert cloud("deploy.sh", *words, code=2) == []
    assert "deploy.sh TARGET COMPOSER_BUCKET" in cloud.output


def test_other_datasets_are_no_change_but_another_model_is(tmp_path):
    """With dbt itself: the manifest of prod against a pull request's prefix; nothing is asked of BigQuery."""
    shutil.copytree(ROOT / "dbt", tmp_path / "dbt", ignore=shutil.ignore_patterns("target", "logs"))
    warehouse = BigQuery("acme", labels={})

    def dbt(*words, prefix):
        done = subprocess.run(
            [
                BIN / "dbt", "--quiet", *words, "--project-dir", tmp_path / "dbt", "--profiles-dir", tmp_path / "dbt",
                "--log-path", tmp_path / "logs", "--no-send-anonymous-usage-stats",
            ],
            env={**os.environ, **dbt_variables(warehouse, prefix)},
            capture_output=True,
            text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.split()

    def changed():
        return dbt(
            "ls", "--select", "state:modified+", "--state", tmp_path / "state", "--resource-type", "model",
            "--output", "name", "--target-path", tmp_path / "target", prefix="pr_17_",
        )  # fmt: skip

    dbt("parse", "--target-path", tmp_path / "state", prefix="")
    assert [line for line in changed() if line.startswith(("stg_", "int_", "dim_", "fct_", "rec_"))] == []
    model = next((tmp_path / "dbt/models").rglob("stg_cm360__site.sql"))
    model.write_text(model.read_text() + "\n-- another one\n")
    assert {"stg_cm360__site", "dim_site"} <= set(changed())
    assert not [line for line in changed() if "dv360" in line and line.startswith("stg_")]

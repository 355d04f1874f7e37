"""deploy/gcp/setup.sh on a project that is a file: what it makes, and that it makes it once."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from adelt_sources.bigquery_destination import STAGING, STAGING_DAYS

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy/gcp/setup.sh"
PROJECT = "acme-ads"
DATASETS = (
    "raw_erf",
    "raw_dv360",
    "raw_cm360",
    "raw_ops",
    "staging",
    "intermediate",
    "snapshots",
    "marts_ads",
    "marts_ops",
)
RUNNER, CI, DEPLOY = (
    f"adelt-{who}-dev@{PROJECT}.iam.gserviceaccount.com" for who in ("runner", "ci", "deploy")
)


class Cloud:
    """A project, and the script that sets it up."""

    def __init__(self, folder):
        self._state, self._bin = folder / "state.json", folder / "bin"
        self._bin.mkdir()
        for tool in ("gcloud", "bq"):
            path = self._bin / tool
            fake = Path(__file__).with_name("fake_cloud.py")
            path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{fake}" "{self._state}" {tool} "$@"\n')
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        self.write(
            project=PROJECT, services=[], policy={}, accounts={}, buckets={}, datasets={}, secrets={}, pools={},
            providers={}, changes=[],
        )  # fmt: skip

    def read(self):
        return json.loads(self._state.read_text())

    def write(self, **more):
        before = self.read() if self._state.exists() else {}
        self._state.write_text(json.dumps({**before, **more}))

    def setup(self, *words, code=0, **env):
        """Run the script; returns what it changed this time."""
        before = len(self.read()["changes"])
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ADELT_")}
        done = subprocess.run(
            ["bash", str(SCRIPT), *(words or ("dev",))],
            env={
                **kept, "PATH": f"{self._bin}:{os.environ['PATH']}", "PYTHON": sys.executable,
                "ADELT_DEV_PROJECT": PROJECT, "ADELT_SETUP_PAUSES": "0 0", **env,
            },
            capture_output=True,
            text=True,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        self.output = done.stdout + done.stderr
        return self.read()["changes"][before:]


@pytest.fixture
def cloud(tmp_path):
    return Cloud(tmp_path)


def roles(policy, email):
    return {b["role"] for b in policy.get("bindings", []) if f"serviceAccount:{email}" in b["members"]}


ALL = {
    "GITHUB_REPOSITORY": "acme/ads",
    "ADELT_OPERATORS": "user:ann@acme.com group:ops@acme.com",
    "ADELT_SECRETS": "SLACK_URL",
    "COMPOSER_BUCKET": "composer",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project after the first run with everything, and what a second run and its output were."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    cloud.write(buckets={"composer": {"policy": {}}}, slow=1)
    first = cloud.setup(**ALL)
    told = cloud.output
    second = cloud.setup(**ALL)
    return cloud.read(), first, told, second


def test_a_second_run_changes_nothing(made):
    _, first, told, second = made
    assert len(first) > 40
    assert f"{len(first)} changes were made" in told
    assert second == []


def test_the_bucket_keeps_evidence_for_400_days_and_staging_for_a_week(made):
    bucket = made[0]["buckets"][f"{PROJECT}-adelt-dev"]
    assert bucket["location"] == "EU"
    assert bucket["uniform_bucket_level_access"] is True
    assert bucket["public_access_prevention"] == "enforced"
    assert bucket["labels"] == {"tool": "adelt", "environment": "dev"}
    kept = {
        rule["condition"]["matchesPrefix"][0]: rule["condition"]["age"]
        for rule in bucket["lifecycle_config"]["rule"]
    }
    assert kept == {"landing/": 400, "staging/": 7}


def test_every_dataset_has_the_prefix_place_and_labels_of_the_target(made):
    datasets = made[0]["datasets"]
    assert set(datasets) == {f"dev_{name}" for name in (*DATASETS, STAGING)}
    runner, ci = {"role": "WRITER", "userByEmail": RUNNER}, {"role": "READER", "userByEmail": CI}
    for name, dataset in datasets.items():
        assert dataset["location"] == "EU"
        assert dataset["labels"] == {"tool": "adelt", "environment": "dev"}
        assert dataset["access"] == ([runner] if name == f"dev_{STAGING}" else [runner, ci])
        assert dataset.get("expires") == (STAGING_DAYS * 86400 if name == f"dev_{STAGING}" else None)


def test_each_account_has_the_roles_that_the_documentation_lists_and_no_other(made):
    state = made[0]
    bucket, composer = state["buckets"][f"{PROJECT}-adelt-dev"], state["buckets"]["composer"]
    given = {
        "runner": roles(state["policy"], RUNNER)
        | roles(bucket["policy"], RUNNER)
        | roles(state["secrets"]["SLACK_URL"]["policy"], RUNNER)
        | {"roles/bigquery.dataEditor"},
        "ci": roles(state["policy"], CI) | roles(bucket["policy"], CI) | {"roles/bigquery.dataViewer"},
        "deploy": roles(state["policy"], DEPLOY)
        | roles(bucket["policy"], DEPLOY)
        | roles(composer["policy"], DEPLOY),
    }
    listed = {who: set() for who in given}
    for line in (ROOT / "docs/roles.md").read_text("utf-8").splitlines():
        if match := re.match(r"\| (\w+) \| `(roles/[\w.]+)` \|", line):
            listed.setdefault(match[1], set()).add(match[2])
    acting = {"roles/iam.workloadIdentityUser", "roles/iam.serviceAccountTokenCreator"}
    assert {who: found - acting for who, found in listed.items() if who in given} == given
    wide = ("roles/owner", "roles/editor", "admin", "dataOwner")
    assert not [role for found in given.values() for role in found if role.endswith(wide)]


def test_people_may_act_as_the_runner_and_github_as_ci_and_deploy(made):
    accounts = made[0]["accounts"]
    pool = "iam.googleapis.com/projects/123456/locations/global/workloadIdentityPools/github"
    assert accounts[RUNNER]["policy"]["bindings"] == [
        {
            "role": "roles/iam.serviceAccountTokenCreator",
            "members": ["group:ops@acme.com", "user:ann@acme.com"],
        }
    ]
    assert accounts[CI]["policy"]["bindings"] == [
        {
            "role": "roles/iam.workloadIdentityUser",
            "members": [f"principalSet://{pool}/attribute.repository/acme/ads"],
        }
    ]
    assert accounts[DEPLOY]["policy"]["bindings"] == [
        {
            "role": "roles/iam.workloadIdentityUser",
            "members": [f"principal://{pool}/subject/repo:acme/ads:environment:dev"],
        }
    ]
    assert made[0]["providers"]["github"] == {"attributeCondition": "assertion.repository == 'acme/ads'"}


def test_no_key_is_ever_made(made):
    assert not [words for words in made[1] if "keys" in words]
    assert "keys create" not in SCRIPT.read_text("utf-8")


def test_a_dry_run_says_what_it_would_do_and_does_nothing(cloud):
    assert cloud.setup("dev", "--dry-run", **ALL) == []
    assert "+ gcloud storage buckets create gs://acme-ads-adelt-dev" in cloud.output
    assert "changes would be made" in cloud.output


def test_only_what_differs_is_set_right(made, cloud):
    state = made[0]
    bucket = state["buckets"][f"{PROJECT}-adelt-dev"]
    bucket["lifecycle_config"]["rule"].pop()
    state["datasets"]["dev_staging"]["labels"] = {}
    state["datasets"]["dev_staging"]["access"] = []
    state["policy"]["bindings"] = [
        binding for binding in state["policy"]["bindings"] if binding["role"] != "roles/bigquery.user"
    ]
    cloud.write(**state)
    changed = cloud.setup()
    said = [" ".join(words) for words in changed]
    assert len(said) == 5
    assert said[0].endswith("--role=roles/bigquery.user --condition=None")
    assert "--lifecycle-file=" in said[1]
    assert "update --set_label=tool:adelt --set_label=environment:dev" in said[2]
    assert "GRANT `roles/bigquery.dataEditor` ON SCHEMA `acme-ads.dev_staging`" in said[3]
    assert "GRANT `roles/bigquery.dataViewer` ON SCHEMA `acme-ads.dev_staging`" in said[4]


def test_a_dataset_or_bucket_in_another_place_ends_it(made, cloud):
    state = made[0]
    state["datasets"]["dev_staging"] = {"location": "US", "labels": {}, "access": []}
    cloud.write(**state)
    cloud.setup(code=1)
    assert "dataset dev_staging is in US, the target says EU" in cloud.output
    state["buckets"][f"{PROJECT}-adelt-dev"]["location"] = "US"
    cloud.write(**state)
    cloud.setup(code=1)
    assert "a bucket cannot be moved" in cloud.output


@pytest.mark.parametrize("broken", ["buckets describe", "show", "service-accounts describe", "services list"])
def test_what_may_not_be_looked_at_is_not_taken_for_missing(cloud, broken):
    cloud.write(broken=broken)
    cloud.setup(code=1)
    assert "PERMISSION_DENIED" in cloud.output
    made = [" ".join(words) for words in cloud.read()["changes"]]
    undone = {"show": " mk ", "buckets describe": "buckets create", "services list": "services enable"}
    assert not [line for line in made if undone.get(broken, "service-accounts create") in line]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("mars",), 1, "there is no target `mars`"),
        (("local",), 1, "on this machine"),
        (("Dev; rm -rf",), 2, "setup.sh TARGET"),
        (("dev", "--force"), 2, "setup.sh TARGET"),
    ],
)
def test_a_wrong_call_is_told(cloud, words, code, told):
    assert cloud.setup(*words, code=code) == []
    assert told in cloud.output


def test_the_script_is_well_formed_and_can_be_started():
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    assert os.access(SCRIPT, os.X_OK)

"""Secrets come from the environment, a file that git ignores, or Secret Manager; they are never shown."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import adelt_sandbox
from adelt import secrets, settings
from adelt.errors import InputError
from adelt_sources import errors

ROOT = Path(__file__).parents[2]
PROJECT = "adelt-sandbox"
RUNNER = "runner@sandbox.iam.gserviceaccount.com"


@pytest.fixture(scope="module")
def sandbox():
    with adelt_sandbox.running() as running:
        yield running


@pytest.fixture
def env(sandbox, monkeypatch, tmp_path):
    """An empty project whose Google is the sandbox."""
    for name in [name for name in os.environ if name.startswith("ADELT_")]:
        monkeypatch.delenv(name)
    for name, value in {**sandbox.env, "ADELT_BIGQUERY_PROJECT": PROJECT, "ADELT_RETRY_MIN": "0.01"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    yield monkeypatch
    sandbox.set_faults([])


def put(sandbox, name, value, project=PROJECT):
    sandbox.request("POST", "/sandbox/secrets", {"project": project, "name": name, "value": value})


def kept(folder, text):
    path = folder / secrets.FILE
    path.parent.mkdir(parents=True)
    path.write_text(text)


def one(name, target="bigquery"):
    return secrets.read([name], settings.load(target))[name]


def test_the_first_place_that_has_a_secret_gives_it(env, sandbox, tmp_path):
    put(sandbox, "FIRST", "managed")
    assert one("FIRST") == "managed"
    kept(tmp_path, '[secrets]\nFIRST = "file"\n')
    assert one("FIRST") == "file"
    env.setenv("FIRST", "variable")
    assert one("FIRST") == "variable"
    env.setenv("ADELT_SECRET_FIRST", "named")
    assert one("FIRST") == "named"


def test_secret_manager_gives_the_latest_version_of_the_target_s_project(env, sandbox):
    put(sandbox, "KEY", "old")
    put(sandbox, "KEY", "nëw\n")
    put(sandbox, "KEY", "of another", project="another")
    assert one("KEY") == "nëw\n"


def test_only_what_is_not_found_before_is_asked_of_secret_manager(env, sandbox, tmp_path):
    put(sandbox, "ASKED", "m")
    kept(tmp_path, '[secrets]\nKNOWN = "k"\n')
    before = sandbox.stats()["by_api"]
    assert secrets.read(["KNOWN"], settings.load("bigquery")) == {"KNOWN": "k"}
    assert {**sandbox.stats()["by_api"], "sandbox": 0} == {**before, "sandbox": 0}
    assert secrets.read(["KNOWN", "ASKED"], settings.load("bigquery")) == {"KNOWN": "k", "ASKED": "m"}


def test_a_local_target_asks_nobody(env, sandbox):
    put(sandbox, "CLOUDY", "m")
    with pytest.raises(InputError, match="the secret `CLOUDY` is not set") as caught:
        one("CLOUDY", "local")
    assert "ADELT_SECRET_CLOUDY" in caught.value.fix
    assert "gcloud" not in caught.value.fix


def test_a_secret_that_is_nowhere_is_told_with_every_place(env):
    with pytest.raises(InputError, match="the secret `NOPE` is not set") as caught:
        one("NOPE")
    for place in ("ADELT_SECRET_NOPE", "dlt/.dlt/secrets.toml", "gcloud secrets create NOPE"):
        assert place in caught.value.fix


def test_who_may_not_read_a_secret_is_told_the_role(env, sandbox):
    put(sandbox, "KEY", "v")
    env.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(sandbox.other_credentials))
    with pytest.raises(errors.InputError, match="the secret may not be read") as caught:
        one("KEY")
    assert caught.value.where == f"projects/{PROJECT}/secrets/KEY/versions/latest"
    assert "roles/secretmanager.secretAccessor" in caught.value.fix


def test_the_account_of_the_target_is_who_asks(env, sandbox, tmp_path):
    put(sandbox, "KEY", "v")
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "targets.yml").write_text(
        f"targets: {{t: {{type: bigquery, project: {PROJECT}, impersonate: {RUNNER}}}}}\n"
    )
    assert one("KEY", "t") == "v"
    env.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(sandbox.other_credentials))
    with pytest.raises(errors.InputError, match="getAccessToken"):
        one("KEY", "t")


def test_an_answer_that_is_lost_is_asked_for_again(env, sandbox):
    put(sandbox, "KEY", "v")
    sandbox.set_faults([{"match": {"api": "secretmanager"}, "times": 2, "fault": "http", "status": 503}])
    assert one("KEY") == "v"
    env.setenv("ADELT_ATTEMPTS", "1")
    sandbox.set_faults([{"match": {"api": "secretmanager"}, "fault": "http", "status": 503}])
    with pytest.raises(errors.SourceError) as caught:
        one("KEY")
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[secrets]\nKEY = hush-hush\n", "cannot be read"),
        ("secrets = 1\n", "not a text"),
        ("[secrets]\nKEY = 7\n", "not a text"),
    ],
)
def test_a_wrong_file_is_told_without_what_is_in_it(env, tmp_path, text, told):
    kept(tmp_path, text)
    with pytest.raises(InputError, match=told) as caught:
        one("KEY")
    assert "dlt/.dlt/secrets.toml" in caught.value.where
    assert "hush" not in str(caught.value)


def test_the_example_can_be_copied_as_it_is(env, tmp_path):
    example = (ROOT / "dlt/.dlt/secrets.example.toml").read_text()
    assert tomllib.loads(example) == {"secrets": {}}
    kept(tmp_path, example.replace('# NAME = "value"', 'NAME = "value"'))
    assert one("NAME") == "value"


@pytest.mark.parametrize("place", ["file", "secret manager"])
def test_a_secret_from_any_place_is_kept_out_of_logs(env, sandbox, tmp_path, place):
    if place == "file":
        kept(tmp_path, '[secrets]\nWORD = "open-sesame"\n')
    else:
        put(sandbox, "WORD", "open-sesame")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "p.yml").write_text(
        "version: 1\nname: p\ntasks:\n  a: {run: 'echo it is {{ secrets.WORD }} | tee seen'}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "adelt", "run", "p", "--date", "2026-01-05", "--target", "bigquery"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "seen").read_text() == "it is open-sesame\n"
    logs = "".join(path.read_text() for path in (tmp_path / ".adelt" / "logs").rglob("*.log"))
    assert "it is ***" in logs
    assert "open-sesame" not in logs + done.stdout + done.stderr
    assert b"open-sesame" not in (tmp_path / ".adelt" / "ledger.sqlite").read_bytes()


def test_a_secret_is_kept_out_of_what_the_runner_hears(env, tmp_path):
    env.setenv("WORD", "open-sesame")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "p.yml").write_text(
        "version: 1\nname: p\ntasks:\n  a: {run: 'echo it is {{ secrets.WORD }}'}\n"
    )
    with (tmp_path / "events").open("wb") as events:
        subprocess.run(
            [sys.executable, "-m", "adelt", "task", "p.a", "--interval", "2026-01-05/2026-01-06"],
            env={**os.environ, "ADELT_EVENTS_FD": str(events.fileno())},
            pass_fds=[events.fileno()],
            check=True,
            capture_output=True,
        )
    heard = (tmp_path / "events").read_text()
    assert "echo it is ***" in heard
    assert "open-sesame" not in heard

"""Backfills on Airflow itself: its API server takes runs as the fake one does, and its scheduler does them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import date

import pytest
import requests
from airflow_env import Airflow

from adelt import definition, settings
from adelt.backfill import Entry, Spec, plan_backfill
from adelt.backfill.remote import connect
from adelt.backfill.remote.engine import Order

PIPELINE = """
version: 1
name: p
concurrency: {runs: 2}
tasks:
  load:
    matrix: {x: [a, b]}
    run: 'echo "{{ matrix.x }} {{ interval.start | date }} {{ interval.end | date }}" >> %s'
  check: {needs: [load], run: 'test "{{ interval.start | date }}" != 2026-01-05'}
  other: {run: 'echo other >> %s'}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    (folder / "pipelines").mkdir()
    notes = folder / "notes"
    (folder / "pipelines" / "p.yml").write_text(PIPELINE % (notes, notes))
    return folder


@pytest.fixture(scope="module")
def url(project, tmp_path_factory):
    """An Airflow that runs on this machine alone; its address."""
    airflow = Airflow(tmp_path_factory.mktemp("airflow"))
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    env = {
        **airflow.env,
        "ADELT_DAGS_PROJECT": str(project),
        "ADELT_PROJECT": str(project),
        "ADELT_HOME": str(project / "elsewhere"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "PATH": f"{airflow.bin}:{os.environ['PATH']}",
    }
    log = (project / "airflow.log").open("w")
    process = subprocess.Popen(
        [airflow.bin / "airflow", "standalone"], env=env, stdout=log, stderr=log, start_new_session=True
    )
    try:
        wait(lambda: has_dag(url), 120)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        log.close()


def has_dag(url):
    try:
        token = requests.get(f"{url}/auth/token", timeout=5).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(f"{url}/api/v2/dags/p/details", headers=headers, timeout=5).ok
    except (requests.RequestException, ValueError, KeyError):
        return False


def wait(ready, seconds):
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.5)


@pytest.fixture
def adelt(url, project):
    env = {
        **os.environ,
        "ADELT_PROJECT": str(project),
        "ADELT_HOME": str(project / "home"),
        "ADELT_AIRFLOW_URL": url,
    }
    env |= {"ADELT_POLL_MIN": "0.5", "ADELT_POLL_MAX": "1"}
    env.pop("AIRFLOW_TOKEN", None)

    def call(*arguments):
        words = [sys.executable, "-P", "-m", "adelt", "backfill", *arguments]
        return subprocess.run(words, env=env, cwd=project, capture_output=True, text=True, timeout=200)

    return call


def test_chunks_are_done_for_their_days_and_failures_are_told(adelt, project):
    done = adelt(
        "p", "--from", "2026-01-01", "--to", "2026-01-06", "--chunk", "week", "--parallel", "2",
        "--select", "load", "--select", "check", "--engine", "airflow",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    told = json.loads(adelt("--status", "last", "--json").stdout)
    assert [(one["interval_start"], one["status"], one["message"]) for one in told["chunks"]] == [
        ("2026-01-01", "SUCCEEDED", ""),
        ("2026-01-05", "FAILED", "failed: check"),
    ]
    days = ("2026-01-01 2026-01-05", "2026-01-05 2026-01-07")
    assert sorted((project / "notes").read_text().splitlines()) == [
        f"{x} {span}" for x in "ab" for span in days
    ]


def test_a_run_is_there_once_however_often_it_is_asked_for(url, project, monkeypatch):
    for name, value in {
        "ADELT_PROJECT": project,
        "ADELT_HOME": project / "home",
        "ADELT_AIRFLOW_URL": url,
    }.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("AIRFLOW_TOKEN", raising=False)
    here = settings.load()
    engine = connect("airflow", here, time.sleep)
    spec = Spec(
        pipelines=(Entry(pipeline="p", first=date(2026, 2, 1), last=date(2026, 2, 1), select=("other",)),)
    )
    plan = plan_backfill(spec, lambda name: definition.find(name, project), engine.place)
    assert engine.check(plan.chunks) == []
    order = Order(plan.chunks[0], "backfill", 1, "2026-01-01T00:00:00Z", lambda _: False)
    assert engine.find(order) is None
    run_id = engine.start(order)
    assert (engine.start(order), engine.find(order)) == (run_id, run_id)
    wait(lambda: engine.states({run_id: "p"})[run_id].status == "SUCCEEDED", 60)
    assert (project / "notes").read_text().splitlines().count("other") == 1
    assert engine.states({"gone": "p"})["gone"].status == "FAILED"

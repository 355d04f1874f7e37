"""`adelt doctor` against the sandbox and its BigQuery: what is right, and what is said about what is not."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

import adelt_sandbox
from adelt import datasets, settings
from adelt.doctor import Check, examine, exit_code, machine
from adelt_sandbox import bigquery as emulated
from adelt_sources.warehouse import DuckDb

ROOT = Path(__file__).parents[2]
RUNNER = "runner@sandbox.iam.gserviceaccount.com"
GOOGLE = (
    "scopes",
    "Display & Video 360 API v4",
    "Bid Manager API v2",
    "Campaign Manager 360 API v5",
    "Entity Read Files",
)


@pytest.fixture(scope="module")
def places():
    """A sandbox with a bucket `mine`, and a BigQuery."""
    with adelt_sandbox.running() as sandbox, emulated.running(buckets=sandbox.buckets) as emulator:
        sandbox.request("POST", "/storage/v1/b?project=p", {"name": "mine"})  # in US
        yield sandbox, emulator


@pytest.fixture
def env(places, monkeypatch, tmp_path):
    """A project of its own whose Google is the sandbox; no faults are left over."""
    sandbox, emulator = places
    for name in [name for name in os.environ if name.startswith("ADELT_")]:
        monkeypatch.delenv(name)
    for name, value in {**sandbox.env, **emulator.env}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ADELT_PROJECT", str(tmp_path))
    monkeypatch.setenv("ADELT_DATASET_PREFIX", f"t{tmp_path.name[-40:].lower()}_".replace("-", "_"))
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "dbt").mkdir()
    (tmp_path / "dbt" / "dbt_project.yml").touch()
    yield monkeypatch
    sandbox.set_faults([])
    emulator.set_faults([])


@pytest.fixture
def sandbox(places):
    return places[0]


@pytest.fixture
def emulator(places):
    return places[1]


def examined(target="local", clock=time.time):
    """The checks by name, and the exit code."""
    checks = list(examine(settings.load(target), clock))
    assert all(check.fix for check in checks if check.status in ("warn", "fail"))
    return {check.name: check for check in checks}, exit_code(checks)


def test_all_is_well_on_a_laptop_with_the_sandbox(env):
    checks, code = examined()
    assert {name: check.status for name, check in checks.items() if name not in ("disk",)} == dict.fromkeys(
        ("versions", "project", "ledger", "warehouse", "clock", "credentials", *GOOGLE), "ok"
    )
    assert code == 0
    assert checks["credentials"].detail.endswith("adelt@sandbox.iam.gserviceaccount.com")


def test_all_is_well_on_bigquery_and_nothing_is_left_there(env, emulator, sandbox):
    env.setenv("ADELT_BUCKET", "mine")
    env.setenv("ADELT_BIGQUERY_LOCATION", "US")
    emulator.requests()
    checks, code = examined("bigquery")
    for name in ("bucket mine", "BigQuery jobs", "BigQuery datasets", "BigQuery rights"):
        assert checks[name].status == "ok", checks[name]
    assert code == 0
    asked = [(request["method"], request["path"]) for request in emulator.requests()]
    made = [path for method, path in asked if method == "POST" and path.endswith(("/datasets", "/tables"))]
    dropped = [path for method, path in asked if method == "DELETE"]
    assert len(made) == len(dropped) == 2
    assert not list((sandbox.buckets / "mine").rglob("*doctor*"))


def test_no_credentials_at_all(env, tmp_path):
    env.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    checks, code = examined("bigquery")
    assert checks["credentials"].status == "fail"
    assert "GOOGLE_APPLICATION_CREDENTIALS" in checks["credentials"].fix
    assert {checks[name].status for name in (*GOOGLE, "BigQuery")} == {"skip"}
    assert code == 2


def test_a_wrong_key(env, sandbox, tmp_path):
    key = json.loads(sandbox.credentials.read_text())
    key["private_key"] = json.loads(sandbox.other_credentials.read_text())["private_key"]
    (tmp_path / "key.json").write_text(json.dumps(key))
    env.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    checks, code = examined()
    assert "Invalid JWT Signature" in checks["credentials"].detail
    assert (checks["credentials"].status, code) == ("fail", 2)


@pytest.mark.parametrize(
    ("seconds", "status", "code"), [(0, "ok", 0), (-30, "ok", 0), (120, "warn", 0), (-400, "fail", 2)]
)
def test_a_clock_that_differs(env, sandbox, seconds, status, code):
    sandbox.set_faults([{"match": {"method": "HEAD"}, "fault": "clock", "offset_seconds": seconds}])
    checks, found = examined()
    assert (checks["clock"].status, found) == (status, code)
    if status != "ok":
        assert "timedatectl" in checks["clock"].fix
        assert ("behind" if seconds > 0 else "ahead") in checks["clock"].detail


def test_this_machine_s_clock_is_the_one_that_is_looked_at(env):
    checks, _ = examined(clock=lambda: time.time() + 3600)
    assert "3600 s ahead of Google's" in checks["clock"].detail.replace("3599", "3600")


@pytest.mark.parametrize(
    ("api", "name"),
    [
        ("displayvideo", "Display & Video 360 API v4"),
        ("doubleclickbidmanager", "Bid Manager API v2"),
        ("dfareporting", "Campaign Manager 360 API v5"),
    ],
)
@pytest.mark.parametrize(("status", "code"), [(403, 2), (503, 1)])
def test_an_api_that_refuses_or_is_down(env, sandbox, api, name, status, code):
    sandbox.set_faults([{"match": {"api": api}, "fault": "http", "status": status}])
    checks, found = examined()
    assert checks[name].status == "fail"
    assert found == code  # 1: running it again may help
    others = {other for other in GOOGLE if other not in (name, "Entity Read Files")}
    assert {checks[other].status for other in others} == {"ok"}


def test_google_that_cannot_be_reached(env, sandbox):
    env.setenv("ADELT_GOOGLE_ENDPOINT", "http://127.0.0.1:9")
    checks, code = examined()
    assert checks["clock"].status == checks["Bid Manager API v2"].status == "fail"
    assert "network" in checks["clock"].fix
    assert code == 1


def test_tokens_that_are_revoked_all_the_time(env, sandbox):
    """No check relies on the token of one before it."""
    checks = []
    for check in examine(settings.load(), time.time):
        checks.append(check)
        sandbox.request("POST", "/sandbox/revoke")
    assert {check.name: check.status for check in checks if check.status != "ok"} == {}


def test_cloud_storage_that_is_down(env, sandbox):
    env.setenv("ADELT_BUCKET", "mine")
    sandbox.set_faults([{"match": {"api": "storage", "method": "GET"}, "fault": "http", "status": 503}])
    checks, code = examined("bigquery")
    assert checks["bucket mine"].status == checks["Entity Read Files"].status == "fail"
    assert "run it again" in checks["bucket mine"].fix
    assert code == 1


def test_scopes_that_the_server_does_not_grant(env, sandbox):
    """As when a user logged in without them: the server answers, and leaves some out."""
    reply = b'{"scope": "https://www.googleapis.com/auth/cloud-platform"}'
    with serving(sandbox.url, {"/tokeninfo": reply}) as url:
        key = json.loads(sandbox.credentials.read_text())
        key["token_uri"] = f"{url}/token"
        path = sandbox.state_dir / "elsewhere.json"
        path.write_text(json.dumps(key))
        env.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        checks, code = examined()
    assert (
        checks["scopes"].detail
        == "missing: dfareporting, dfatrafficking, display-video, doubleclickbidmanager"
    )
    assert (checks["scopes"].status, code) == ("fail", 2)


def test_who_is_in_no_group_is_told_how_to_get_in(env, sandbox):
    sandbox.set_faults([{"match": {"api": "storage", "path": "gdbm-"}, "fault": "http", "status": 403}])
    checks, code = examined()
    assert checks["Entity Read Files"].status == "warn"
    assert "1001" in checks["Entity Read Files"].detail
    assert "Google Group in DV360: Partner settings > Basic details > Entity Read Files" in (
        checks["Entity Read Files"].fix
    )
    assert code == 0  # only one source needs it


def test_buckets_that_are_gone_are_no_fault(env, sandbox):
    sandbox.set_faults([{"match": {"api": "storage", "path": "gdbm-"}, "fault": "http", "status": 404}])
    assert examined()[0]["Entity Read Files"].status == "skip"


def test_acting_as_another_account(env, sandbox, emulator, tmp_path):
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "targets.yml").write_text(
        f"targets: {{t: {{type: bigquery, project: {emulator.project}, impersonate: {RUNNER}}}}}\n"
    )
    checks, code = examined("t")
    assert checks["credentials"].detail.endswith(f"acting as {RUNNER}")
    assert code == 0
    env.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(sandbox.other_credentials))
    checks, code = examined("t")
    assert "roles/iam.serviceAccountTokenCreator" in checks["credentials"].fix
    assert code == 2


def test_an_account_that_sees_less_is_told_what_it_sees(env, sandbox):
    env.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(sandbox.other_credentials))
    checks, code = examined()
    assert checks["Display & Video 360 API v4"].detail.startswith("1 partner: ")
    assert code == 0


def test_a_dataset_in_another_place(env, emulator):
    env.setenv("ADELT_DATASET_PREFIX", "placed_")
    env.setenv("ADELT_BIGQUERY_LOCATION", "US")
    make(emulator, "placed_raw_cm360", "US")
    assert examined("bigquery")[0]["BigQuery datasets"].status == "ok"
    env.setenv("ADELT_BIGQUERY_LOCATION", "EU")
    checks, code = examined("bigquery")
    assert checks["BigQuery datasets"].detail == "placed_raw_cm360 is in US; the target says EU"
    assert (checks["BigQuery datasets"].status, code) == ("fail", 2)


@pytest.mark.parametrize(
    ("match", "name", "fix"),
    [
        ("POST .*/(jobs|queries)", "BigQuery jobs", "docs/roles.md"),
        ("POST .*/datasets$", "BigQuery rights", "roles/bigquery.user"),
    ],
)
def test_rights_that_are_missing_in_bigquery(env, emulator, match, name, fix):
    denied(emulator, match)
    checks, code = examined("bigquery")
    assert checks[name].status == "fail"
    assert fix in checks[name].fix
    assert code == 2


def test_who_may_not_make_datasets_need_not_when_they_are_there(env, emulator):
    env.setenv("ADELT_DATASET_PREFIX", "ready_")
    for name in datasets.names(settings.load("bigquery").warehouse):
        make(emulator, name, "EU")
    denied(emulator, "POST .*/datasets$")
    checks, code = examined("bigquery")
    assert (checks["BigQuery rights"].status, code) == ("ok", 0)
    denied(emulator, "POST .*/(datasets|tables)$")
    checks, code = examined("bigquery")
    assert "roles/bigquery.dataEditor" in checks["BigQuery rights"].fix
    assert code == 2


def test_a_bucket_that_is_missing_or_may_not_be_written(env, sandbox):
    env.setenv("ADELT_BUCKET", "nowhere")
    assert "there is no such bucket" in examined("bigquery")[0]["bucket nowhere"].detail
    env.setenv("ADELT_BUCKET", "mine")
    sandbox.set_faults([{"match": {"api": "storage", "path": "/upload/"}, "fault": "http", "status": 403}])
    checks, code = examined("bigquery")
    assert (checks["bucket mine"].status, code) == ("fail", 2)


def test_the_target_s_bucket_is_beside_its_datasets(env, sandbox):
    env.setenv("ADELT_BUCKET", "mine")
    checks, code = examined("bigquery")
    assert checks["bucket mine"].detail.startswith("it is in US, the target in EU")
    assert code == 2


def test_a_folder_that_is_no_project(env, tmp_path):
    (tmp_path / "dbt" / "dbt_project.yml").unlink()
    checks, code = examined()
    assert (checks["project"].status, code) == ("fail", 2)
    assert "ADELT_PROJECT" in checks["project"].fix


def test_a_ledger_that_cannot_be_written(env, tmp_path):
    (tmp_path / "file").touch()
    env.setenv("ADELT_HOME", "file/home")
    checks, code = examined()
    assert (checks["ledger"].status, code) == ("fail", 2)
    assert "ADELT_HOME" in checks["ledger"].fix


def test_a_ledger_that_is_no_database(env, tmp_path):
    (tmp_path / ".adelt").mkdir()
    (tmp_path / ".adelt" / "ledger.sqlite").write_text("this is not a database, " * 50)
    assert examined()[0]["ledger"].status == "fail"


def test_a_warehouse_that_is_no_duckdb_file(env, tmp_path):
    (tmp_path / ".adelt").mkdir()
    (tmp_path / ".adelt" / "warehouse.duckdb").write_text("not a database, " * 1000)
    checks, code = examined()
    assert (checks["warehouse"].status, code) == ("fail", 2)


def test_a_warehouse_that_is_being_written_is_not_waited_for(env, tmp_path):
    from adelt_sources.lock import warehouse_lock

    file = tmp_path / "w.duckdb"
    with duckdb.connect(str(file)) as con:
        con.execute("CREATE TABLE t (a INT)")
    assert machine.duckdb_file(DuckDb(file)).detail.endswith("1 tables and views")
    with warehouse_lock(file, holder="somebody"):
        found = machine.duckdb_file(DuckDb(file))
    assert found.status == "skip"
    assert "somebody" in found.detail


@pytest.mark.parametrize(("free", "status"), [(100e9, "ok"), (2e9, "warn"), (1e8, "fail")])
def test_little_room_on_the_disk(env, free, status):
    assert machine.disk(settings.load(), int(free)).status == status


def test_packages_that_were_not_tested_are_named():
    assert machine.versions(dict(machine.TESTED)).status == "ok"
    patched = {**machine.TESTED, "duckdb": machine.TESTED["duckdb"] + "1"}
    assert machine.versions(patched).status == "ok"  # a patch is the same to us
    other = machine.versions({**machine.TESTED, "duckdb": "0.9.0"})
    assert (other.status, "duckdb 0.9.0 (tested: " in other.detail) == ("warn", True)
    missing = {name: version for name, version in machine.TESTED.items() if name != "dlt"}
    assert machine.versions(missing).detail == "not installed: dlt"


def test_what_decides_the_exit_code():
    ok, later = Check("a", "ok", ""), Check("b", "fail", "", "f", may_pass=True)
    assert exit_code([ok, Check("w", "warn", "", "f"), Check("s", "skip", "")]) == 0
    assert exit_code([ok, later]) == 1
    assert exit_code([later, Check("c", "fail", "", "f")]) == 2


def test_the_command_prints_lines_or_json(env, sandbox):
    sandbox.set_faults([{"match": {"api": "dfareporting"}, "fault": "http", "status": 403}])
    words = [sys.executable, "-m", "adelt", "doctor"]
    plain = subprocess.run(words, capture_output=True, text=True)
    assert plain.returncode == 2
    assert "ok    Bid Manager API v2: " in plain.stdout
    assert "fail  Campaign Manager 360 API v5: " in plain.stdout
    assert "\n      fix  give the account access" in plain.stdout
    told = subprocess.run([*words, "--json"], capture_output=True, text=True)
    shown = json.loads(told.stdout)
    assert (told.returncode, shown["exit_code"], shown["target"]) == (2, 2, "local")
    assert [check["name"] for check in shown["checks"] if check["status"] == "fail"] == [
        "Campaign Manager 360 API v5"
    ]


def make(emulator, name, location):
    """A dataset, if it is not there yet."""
    from bq import Reader
    from google.cloud import bigquery

    dataset = bigquery.Dataset(f"{emulator.project}.{name}")
    dataset.location = location
    Reader(emulator).client.create_dataset(dataset, exists_ok=True)


def denied(emulator, match):
    emulator.set_faults(
        [
            {
                "match": match, "times": 99, "fault": "http", "status": 403, "reason": "accessDenied",
                "message": "Access Denied: User does not have permission",
            }
        ]
    )  # fmt: skip


class serving:  # noqa: N801 - reads as a verb in `with`
    """A server that answers some paths itself and passes the rest on."""

    def __init__(self, behind, answers):
        import http.server
        import threading
        import urllib.request

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path in answers:
                    reply, kind = answers[self.path], "application/json"
                else:
                    request = urllib.request.Request(
                        behind + self.path, body, {"Content-Type": self.headers["Content-Type"]}
                    )
                    with urllib.request.urlopen(request) as answer:
                        reply, kind = answer.read(), answer.headers["Content-Type"]
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

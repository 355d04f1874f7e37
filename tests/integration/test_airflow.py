"""Airflow itself, in its own environment: DAGs are what the definitions say, and runs end as they do locally."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from airflow_env import DAGS, ROOT, Airflow
from oracle import differences, truth_after, warehouse_rows
from patience import IMPATIENT

import adelt_sandbox
from adelt import definition
from adelt.export import airflow_run as run
from adelt.export.airflow_graph import PLAN, VERDICT
from adelt.plan.plan import kept
from adelt_sources.catalog import catalog

ADELT = str(Path(sys.executable).with_name("adelt"))
GOLDEN = ROOT / "tests" / "export" / "golden"
LOAD = ("_run_id", "_loaded_at")
KIND = {"SUCCEEDED": "success", "WARNING": "success", "DONE": "success", "FAILED": "failed"} | {
    "SKIPPED": "skipped",
    "BLOCKED": "upstream_failed",
}


@pytest.fixture(scope="module")
def airflow(tmp_path_factory):
    return Airflow(tmp_path_factory.mktemp("airflow"))


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A project with one good pipeline and three bad ones."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "pipelines").mkdir()
    shutil.copy(GOLDEN / "pipelines" / "small.yml", folder / "pipelines")
    for name, text in {
        "typo": "{version: 1, name: typo, shedule: x, tasks: {a: {run: x}}}",
        "circle": "{version: 1, name: circle, tasks: {a: {needs: [b], run: x}, b: {needs: [a], run: x}}}",
        "no_yaml": "name: [",
    }.items():
        (folder / "pipelines" / f"{name}.yml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def pods(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pods")
    shutil.copytree(GOLDEN / "pipelines", folder / "pipelines")
    (folder / "deploy" / "airflow").mkdir(parents=True)
    (folder / "deploy" / "airflow" / "config.yml").write_text(
        "runner: kubernetes\nkubernetes: {image: eu.gcr.io/x/adelt, namespace: ads, more: {in_cluster: true}}\n"
    )
    return folder


@pytest.fixture(scope="module")
def by_model(tmp_path_factory):
    """Two dbt tasks that Cosmos is to do, one without a list of models, in an Airflow without Cosmos."""
    folder = tmp_path_factory.mktemp("by_model")
    (folder / "pipelines").mkdir()
    for name in ("listed", "unlisted", "plain"):
        text = f"{{version: 1, name: {name}, tasks: {{before: {{run: x}}, build: {{needs: [before], dbt: {{}}}}}}}}"
        (folder / "pipelines" / f"{name}.yml").write_text(text)
    (folder / "deploy/airflow/nodes").mkdir(parents=True)
    (folder / "deploy/airflow/config.yml").write_text("cosmos: ['*listed.build']\n")
    made_for = {"task": "listed.build", "select": "", "exclude": ""}
    listed = {"adelt": made_for, "chosen": [], "left_out": [], "nodes": {}}
    (folder / "deploy/airflow/nodes/listed.build.json").write_text(json.dumps(listed))
    return folder


@pytest.fixture(scope="module")
def probed(airflow, broken, pods, by_model):
    """What Airflow reads from each project: one process for all."""
    folders = {"project": ROOT, "golden": GOLDEN, "broken": broken, "pods": pods, "by_model": by_model}
    return dict(zip(folders, airflow.probe(*folders.values()), strict=True))


def dags(probe) -> dict[str, dict]:
    return {dag["id"]: dag for dag in probe["dags"]}


def definitions(project: Path) -> dict[str, definition.Definition]:
    found = [definition.load(path, project) for path in definition.find_all(project)]
    return {one.pipeline.name: one for one in found}


def contracted(dag: dict) -> dict[str, tuple[str, ...]]:
    """What each task waits for, seen through the nodes that are ours."""

    def through(name: str) -> set[str]:
        return {
            found
            for one in dag["tasks"][name]["upstream"]
            for found in (through(one) if "-" in one else {one})
        }

    return {name: tuple(sorted(through(name))) for name in dag["tasks"] if "-" not in name}


def test_reading_makes_no_errors_and_imports_nothing_heavy(probed):
    for probe in probed.values():
        assert probe["errors"] == []
        assert probe["collects"]  # garbage again
    heavy = {"dlt", "dbt", "duckdb", "google", "pyarrow", "adelt_sources", "typer", "rich"}
    assert heavy & set(probed["project"]["imported"]) == set()


def test_reading_opens_the_definitions_and_nothing_else(probed):
    """Code, time zones and Airflow's own texts apart."""
    assert {one for one in probed["project"]["touched"] if not re.search(r"zoneinfo/|\.mo$", one)} == {
        str(path) for path in definition.find_all(ROOT)
    }


@pytest.mark.parametrize(("probe", "project"), [("project", ROOT), ("golden", GOLDEN), ("pods", GOLDEN)])
def test_dags_are_what_the_plans_are(probed, probe, project):
    found = dags(probed[probe])
    known = definitions(project)
    assert {name.partition("__")[0] for name in found} == set(known)
    for name, dag in found.items():
        pipeline = known[name.partition("__")[0]].pipeline
        needs = kept(pipeline)
        assert contracted(dag) == {task: tuple(sorted(above)) for task, above in needs.items()}, name
        assert {task for task, one in dag["tasks"].items() if one["mapped"]} == {
            task for task in needs if pipeline.tasks[task].matrix
        }
        for task in needs:
            made, spec = dag["tasks"][task], pipeline.tasks[task]
            retries = spec.retries or pipeline.defaults.retries
            timeout = spec.timeout or pipeline.defaults.timeout
            assert (made["retries"], made["delay"]) == (retries.max, retries.delay.total_seconds())
            assert made["exponential"] == (retries.backoff == "exponential")
            assert made["max_delay"] == max(retries.max_delay, retries.delay).total_seconds()
            assert made["timeout"] == (timeout.total_seconds() if timeout else None)
            assert made["pool"] == (pipeline.concurrency.group or "default_pool")
            assert made["at_a_time"] == spec.concurrency
            assert made["named"] == made["mapped"]
            assert made["may_fail"] == spec.allow_failure
            assert made["outlets"] == [f"adelt/{pipeline.name}.{task}"]
            assert f"task {pipeline.name}.{task}" in made["command"]
            assert made["operator"].endswith("PodOperator" if probe == "pods" else "BashOperator")


@pytest.mark.parametrize(("probe", "project"), [("project", ROOT), ("golden", GOLDEN)])
def test_dags_are_those_that_the_export_lists(probed, probe, project):
    """So the files under deploy/airflow/graphs can be trusted, and compared with what a deployment shows."""
    listed = {}
    for path in (project / "deploy/airflow/graphs").glob("*.yml"):
        read = yaml.safe_load(path.read_text("utf-8"))
        nodes = {
            name: (sorted(one.get("needs", ())), one.get("rule", "all_success"), "items" in one)
            for name, one in read["tasks"].items()
        }
        listed |= {dag["id"]: (dag.get("cron"), dag.get("timezone", ""), nodes) for dag in read["dags"]}
    assert listed == {
        name: (
            dag["cron"],
            dag["timezone"] if dag["cron"] else "",
            {
                node: (one["upstream"], one["rule"].rpartition(".")[2].lower(), one["mapped"])
                for node, one in dag["tasks"].items()
            },
        )
        for name, dag in dags(probed[probe]).items()
    }


def test_operators_that_are_copies_are_those_that_airflow_makes(airflow):
    """Each attribute of each, and what Airflow stores of the DAGs."""
    found = airflow.copies(ROOT, GOLDEN)
    assert found["copied"] > found["compared"] / 2
    assert found["differ"] == []


def test_what_is_deployed_needs_nothing_beside_it(airflow, probed, tmp_path):
    subprocess.run([ROOT / "deploy/airflow/bundle.sh", tmp_path / "bundle"], check=True, cwd="/")
    [found] = airflow.probe("", dags=tmp_path / "bundle")
    assert found["errors"] == []
    assert found["dags"] == probed["project"]["dags"]
    assert found["where"].startswith(str(tmp_path / "bundle"))


def test_a_dag_has_what_the_definition_says_of_the_run(probed):
    dag = dags(probed["golden"])["everything"]
    assert (dag["timetable"], dag["cron"]) == ("CronDataIntervalTimetable", "15 5 * * *")
    assert dag["timezone"] == "Europe/Paris"
    assert dag["start"] == "2025-12-31 23:00:00+00:00"  # midnight of interval.start there
    assert (dag["catchup"], dag["runs"], dag["limit"]) == (True, 2, 3)
    assert dag["failure"] == ["PostNotifier", "MailNotifier", "PostNotifier", "PostNotifier"]
    assert dag["success"] == ["PostNotifier"]
    assert {"Ads data", "daily", "adelt"} <= set(dag["tags"])
    schema = {name: (one["value"], one["schema"]) for name, one in dag["params"].items()}
    assert schema["mode"] == ("fast", {"type": "string", "enum": ["slow", "fast"]})  # of the schedule
    assert schema["days"] == (7, {"type": "integer", "minimum": 0, "maximum": 60})
    assert schema["since"] == ("2026-01-01", {"type": "string", "format": "date"})
    assert schema["picked"][0] == [3]
    assert schema["note"] == (None, {"type": ["null", "string"]})
    assert {run.INTERVAL, run.FORCE} < set(schema)


def test_several_schedules_are_a_dag_each_and_none_is_started_by_hand(probed):
    found = dags(probed["golden"])
    assert [(found[name]["cron"], found[name]["timezone"]) for name in ("weekly", "weekly__2")] == [
        ("0 4 * * 1", "UTC"),
        ("0 4 1 * 1", "Asia/Tokyo"),
    ]
    assert found["weekly"]["params"]["tables"]["value"] == ["c"]
    assert found["weekly__2"]["params"]["tables"]["value"] == ["a", "b"]
    assert found["small"]["timetable"] == "NullTimetable"


def test_a_broken_pipeline_says_so_and_takes_no_other_with_it(probed):
    found = dags(probed["broken"])
    assert "broken" not in found["small"]["tags"]
    assert contracted(found["small"]) == {"only": ()}
    for name, text in {
        "typo": "unknown key `shedule`",
        "circle": "in a circle",
        "no_yaml": "not YAML",
    }.items():
        assert "broken" in found[name]["tags"]
        assert text in found[name]["doc"]
        assert f"pipelines/{name}.yml:" in found[name]["doc"]
        assert list(found[name]["tasks"]) == [PLAN]


def test_what_only_cosmos_could_do_says_what_is_missing_and_takes_no_other_with_it(probed):
    """With Cosmos: tests/integration/test_airflow_cosmos.py."""
    found = dags(probed["by_model"])
    assert {name: "broken" in one["tags"] for name, one in found.items()} == {
        "listed": True,
        "unlisted": True,
        "plain": False,
    }
    assert "install deploy/airflow/requirements-cosmos.txt" in found["listed"]["doc"]
    assert "run deploy/airflow/nodes.py" in found["unlisted"]["doc"]
    assert [list(found[name]["tasks"]) for name in ("listed", "unlisted")] == [[PLAN], [PLAN]]
    assert contracted(found["plain"]) == {"before": (), "build": ("before",)}
    assert "cosmos" not in probed["project"]["imported"]


OUTCOMES = """
version: 1
name: outcomes
inputs:
  full: {type: boolean, default: false}
  list: {type: array, default: [a, b, c d]}
  empty: {type: array, default: []}
  folder: {type: string}
interval: {every: day}
tasks:
  good: {run: "echo 'found=[\\"x\\", \\"y\\"]' > $ADELT_OUTPUT"}
  each:
    needs: [good]
    matrix: {one: "{{ tasks.good.outputs.found }}"}
    run: "echo 'rows=\\"{{ matrix.one }}\\"' > $ADELT_OUTPUT"
  summed: {needs: [each], run: "test '{{ tasks.each.outputs.rows }}' = x,y"}
  items: {matrix: {one: "{{ inputs.list }}"}, run: "test '{{ matrix.one }}' != b"}
  after_items: {needs: [items], run: "true"}
  told: {needs: [after_items, good], if: failure, run: "true"}
  nothing_failed: {needs: [good], if: failure, run: "true"}
  anyway: {needs: [items], if: always, run: "true"}
  hopeless: {retries: {max: 3, delay: 1s}, run: "exit 2"}
  flaky: {retries: {max: 2, delay: 1s}, run: "test -e {{ inputs.folder }}/flag || { touch {{ inputs.folder }}/flag; false; }"}
  warned: {allow_failure: true, retries: {max: 1, delay: 1s}, run: "false"}
  after_warned: {needs: [warned], run: "true"}
  slow: {allow_failure: true, timeout: 3s, run: sleep 60}
  after_slow: {needs: [slow], run: "true"}
  only_full: {if: "inputs.full == true", run: "true"}
  after_full: {needs: [only_full], run: "true"}
  none: {matrix: {one: "{{ inputs.empty }}"}, run: "true"}
  after_none: {needs: [none], run: "true"}
on_failure: [{webhook: "http://127.0.0.1:PORT/{{ secrets.HOOK }}"}]
on_success: [{webhook: "http://127.0.0.1:PORT/success"}]
"""


class _Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.told.append((self.path, json.loads(body)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def outcomes(airflow, tmp_path_factory):
    """One pipeline run by Airflow and locally; states by task, and what was told."""
    folder = tmp_path_factory.mktemp("outcomes")
    server = HTTPServer(("127.0.0.1", 0), _Receiver)
    server.told = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (folder / "pipelines").mkdir()
    text = OUTCOMES.replace("PORT", str(server.server_port))
    (folder / "pipelines" / "outcomes.yml").write_text(text)
    env = {"ADELT_PROJECT": str(folder), "ADELT_DAGS_PROJECT": str(folder), "ADELT_SECRET_HOOK": "s3cret"}

    def home(name: str) -> dict[str, str]:
        (folder / name).mkdir()
        return {**env, "ADELT_HOME": str(folder / name), "ADELT_WAREHOUSE": str(folder / f"{name}.duckdb")}

    said = airflow.test(
        "outcomes", "2026-01-29T00:00:00Z", home("theirs"), {"folder": str(folder / "theirs")}
    )
    told = list(server.told)
    ours = home("ours")
    words = ["--interval", "2026-01-28/2026-01-29", "-i", f"folder={folder / 'ours'}", "--json"]
    local = subprocess.run(
        [ADELT, "run", "outcomes", *words],
        env={**os.environ, **ours},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    server.shutdown()
    return {
        "airflow": airflow.states("outcomes"),
        "local": json.loads(local.stdout)[0],
        "said": said,
        "told": told,
    }


def test_tasks_end_under_airflow_as_they_do_locally(outcomes):
    states = outcomes["airflow"]

    def state(task: str) -> str:
        found = {one for name, one in states.items() if name.partition("[")[0] == task}
        return "failed" if "failed" in found else found.pop() if len(found) == 1 else str(found)

    wanted = {name: KIND[one] for name, one in outcomes["local"]["tasks"].items()}
    assert {name: state(name) for name in wanted} == wanted, outcomes["said"][-8000:]
    assert set(wanted.values()) == {"success", "failed", "skipped", "upstream_failed"}


def test_items_are_named_and_fail_alone(outcomes):
    states = outcomes["airflow"]
    assert {name: one for name, one in states.items() if name.startswith("items[")} == {
        "items[one=a]": "success",
        "items[one=b]": "failed",
        "items[one=c d]": "success",
    }
    assert {"each[one=x]", "each[one=y]"} <= set(states)


def test_a_failed_task_fails_the_run_and_is_told_without_the_secret(airflow, outcomes):
    assert airflow.run_state("outcomes") == "failed"
    assert outcomes["airflow"][VERDICT] == "upstream_failed"
    [(path, body)] = outcomes["told"]
    assert path == "/s3cret"
    assert body["pipeline"] == "outcomes"
    assert body["status"] == "FAILED"
    failed = {name.partition("[")[0] for name, state in outcomes["airflow"].items() if state == "failed"}
    named = body["message"].removeprefix("failed: ").split(", ")
    assert {name.partition("[")[0] for name in named} == failed
    assert {"hopeless", "items[1]"} <= set(named)
    assert body["title"] == f"outcomes failed: {', '.join(named)} in {body['run_id']}"
    assert "s3cret" not in json.dumps(body)


TELL = """
import json, sys
from types import SimpleNamespace as Some
sys.path[:0] = json.loads(sys.argv[1])
from adelt_airflow import tell

class Asked:
    def __init__(self, states): self.states = states
    def get_task_states(self, dag_id, run_ids): return {run_ids[0]: self.states}

class Post:  # in the place of the connection to a mail server
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def send_email_smtp(self, **mail): self.mail = {name: mail[name] for name in ("to", "subject", "html_content")}

def told(states):
    tasks = ["a", "a_1", "items", *(f"t{n}" for n in range(12))]
    context = {"dag": Some(dag_id="d", task_ids=tasks), "run_id": "<r>", "reason": "why", "ti": Asked(states)}
    [mail] = tell.notifiers([tell.Notice(email="a@example.com")], "FAILED")
    type(mail).hook, mail.from_email = Post(), "b@example.com"
    mail.notify(context)
    return [*(tell._facts(context, status) for status in ("FAILED", "SUCCEEDED")), mail.hook.mail]

print(json.dumps([told(json.loads(states)) for states in sys.argv[2:]]))
"""


def test_a_callback_asks_its_airflow_which_tasks_failed(airflow):
    """A scheduler's callbacks cannot read the database, as those of `airflow dags test` do."""
    states = {"a_1": "failed", "items_0": "success", "items_2": "failed", "a": "upstream_failed"}
    many = {f"t{n}": "failed" for n in range(12)}
    folders = [str(DAGS), str(ROOT / "python")]
    said = airflow.call("python", "-c", TELL, *map(json.dumps, (folders, states, many, {})))
    (some, good, mail), (lots, *_), (none, *_) = json.loads(said.splitlines()[-1])
    assert (some["title"], some["message"]) == ("d failed: a_1, items[2] in <r>", "failed: a_1, items[2]")
    assert mail == {
        "to": "a@example.com",
        "subject": some["title"],
        "html_content": "d failed: a_1, items[2] in &lt;r&gt;",
    }
    assert (good["title"], good["message"]) == ("d succeeded: <r>", "why")
    assert lots["message"] == "failed: t0, t1, t10, t11, t2, t3, t4, t5, t6, t7 and 2 more"
    assert (none["title"], none["message"]) == ("d failed: <r>", "why")


def test_what_a_retry_cannot_help_is_not_retried(airflow, outcomes):
    tries = {task: airflow.tries("outcomes", task) for task in ("hopeless", "flaky", "warned", "slow")}
    assert tries == {"hopeless": 1, "flaky": 2, "warned": 2, "slow": 1}


def test_bad_input_ends_a_run_before_anything_ran(airflow, tmp_path):
    home = tmp_path / "home"
    env = {"ADELT_PROJECT": str(GOLDEN), "ADELT_DAGS_PROJECT": str(GOLDEN), "ADELT_HOME": str(home)}
    said = airflow.test("small", "2026-01-29T00:00:00Z", env, {"adelt_interval": "yesterday"})
    assert airflow.states("small") == {PLAN: "failed", "only": "upstream_failed"}
    assert airflow.run_state("small") == "failed"
    assert "`yesterday` is not an instant" in said
    assert not home.exists()


CHOSEN = """
import json, sys
from types import SimpleNamespace
from zoneinfo import ZoneInfo
import pendulum
sys.path[:0] = sys.argv[1:]
from adelt_airflow.api import DAG, CronDataIntervalTimetable
from adelt_airflow.dag import started

def chosen(schedule, kind, start, end):
    ends = {"data_interval_start": pendulum.parse(start), "data_interval_end": pendulum.parse(end)}
    run = SimpleNamespace(dag_id="d", run_id="r", run_type=kind, **ends)
    found = started({"dag_run": run, "dag": DAG("d", schedule=schedule), "params": {}}, ZoneInfo("Asia/Tokyo"))
    assert str(found.instant.utcoffset()) == "9:00:00", "the day is that of the schedule's zone"
    return found.own is not None

cron = CronDataIntervalTimetable("0 6 * * *", "UTC")
usual, other = ("2026-01-28T06:00:00Z", "2026-01-29T06:00:00Z"), ("2026-01-10T00:00:00Z", "2026-01-20T00:00:00Z")
none = ("2026-01-28T06:00:00Z", "2026-01-28T06:00:00Z")
print(json.dumps([chosen(*one) for one in [
    (cron, "manual", *usual), (cron, "manual", *other), (cron, "scheduled", *other), (cron, "backfill", *other),
    (None, "manual", *other), (None, "manual", *none),
]]))
"""


def test_only_a_data_interval_that_somebody_chose_is_handed_on(airflow):
    """As Airflow's API lets them; the schedule's own says when, not for which days (unit tests)."""
    said = airflow.call("python", "-c", CHOSEN, str(ROOT / "deploy/airflow/dags"), str(ROOT / "python"))
    assert json.loads(said.splitlines()[-1]) == [False, True, False, False, True, False]


TABLES = [
    *(spec.qualified for source in ("dv360", "cm360") for spec in catalog(source).values()),
    "raw_dv360.report_standard",
    "raw_cm360.report_standard",
    *(
        f"marts_ads.{name}"
        for name in ("dim_line_item", "dim_placement", "fct_delivery_daily", "rec_dv360_cm360")
    ),
]


class Daily:
    """`daily` locally (`ours`) and by Airflow (`theirs`) at the same time, against one sandbox."""

    def __init__(self, airflow, sandbox, folder):
        self.airflow, self.sandbox, self.folder = airflow, sandbox, folder

    def env(self, name):
        home, file = str(self.folder / name), str(self.folder / f"{name}.duckdb")
        here = {"ADELT_PROJECT": str(ROOT), "ADELT_HOME": home, "ADELT_WAREHOUSE": file}
        return {**self.sandbox.env, **IMPATIENT, **here}

    def morning(self, day):
        return f"{day + timedelta(days=1)}T06:30:00Z"

    def run(self, day):
        self.sandbox.set_clock(self.morning(day))
        local = subprocess.Popen(
            [ADELT, "run", "daily", "--date", day.isoformat()],
            env={**os.environ, **self.env("ours")}, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        said = self.airflow.test("daily", self.morning(day), self.env("theirs"))
        output = local.communicate()[0]
        assert local.returncode == 0, output
        assert self.airflow.run_state("daily") == "success", said[-8000:]

    def rows(self, name, table):
        return [
            {column: value for column, value in row.items() if column not in LOAD}
            for row in warehouse_rows(self.folder / f"{name}.duckdb", table)
        ]

    def check_equal(self):
        filled = 0
        for table in TABLES:
            ours, theirs = self.rows("ours", table), self.rows("theirs", table)
            assert differences(ours, theirs, own=()) == [], table
            filled += bool(ours)
        assert filled > 20


@pytest.mark.timeout(600)
def test_a_day_of_daily_fills_the_same_warehouse_as_the_local_run(airflow, tmp_path):
    with adelt_sandbox.running(state_dir=tmp_path / "sandbox", report_seconds=0.1) as sandbox:
        daily = Daily(airflow, sandbox, tmp_path)
        daily.run(date(2026, 1, 28))
    daily.check_equal()
    events = {
        uri for (uri,) in airflow.query("SELECT a.uri FROM asset_event e JOIN asset a ON a.id = e.asset_id")
    }
    assert {"adelt://raw_dv360/line_item", "adelt://raw_cm360/report_standard"} <= events
    assert "adelt://marts_ads/fct_delivery_daily" in events
    assert not [uri for uri in events if uri.startswith("adelt://staging")]


@pytest.mark.airflow_week
@pytest.mark.timeout(1800)
def test_seven_days_of_daily_equal_the_local_run_and_the_oracle(airflow, tmp_path):
    days = [date(2026, 1, 28) + timedelta(days=number) for number in range(7)]
    with adelt_sandbox.running(state_dir=tmp_path / "sandbox", report_seconds=0.1) as sandbox:
        daily = Daily(airflow, sandbox, tmp_path)
        for day in days:
            daily.run(day)
        daily.check_equal()
        for table in TABLES:
            truth = truth_after(sandbox, table, days, daily.morning)
            assert differences(warehouse_rows(tmp_path / "theirs.duckdb", table), truth) == [], table

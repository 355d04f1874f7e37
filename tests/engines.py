"""Servers that answer as the REST APIs of Airflow and Orchestra do, with runs that end after some looks, and with faults."""

import json
import threading
import uuid
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from adelt.definition import find
from adelt.export.orchestra import export

DROP = "drop"  # an answer that never comes: the connection is closed


class Server:
    """What both have in common: who may ask, which faults come next, what was asked.

    Attributes:
        token: What requests must bring.
        before: Faults to answer the next POSTs with, instead of doing them: (status, headers) or DROP.
        after: The same, once they are done: the answer is lost, the run is there.
        reads: The same for GETs.
        runs: Runs by their id, as they were asked for, with `looks`: how often their state may be asked for before they end.
        ends: How runs end whose interval begins on a day.
        asked: Method and path of every request.
    """

    def __init__(self, project):
        self.project = project
        self.token, self.looks = "s3cret-token-1234", 1
        self.before, self.after, self.reads = [], [], []
        self.runs, self.ends, self.asked = {}, {}, []
        self.paused, self.unknown = set(), set()
        self.most_at_once = 0
        self.lock = threading.Lock()

    def intervals(self):
        """How often each interval was started."""
        return Counter(run["interval"] for run in self.runs.values())

    def started(self, run):
        active = 1 + sum(not self.over(one) for one in self.runs.values())
        self.most_at_once = max(self.most_at_once, active)
        run |= {"looks": self.looks, "created": datetime.now(UTC).isoformat()}
        self.runs[run["id"]] = run

    def allowed(self, header):
        """Whether the credentials of a request are right."""
        return header == f"Bearer {self.token}"

    def over(self, run):
        return run["looks"] <= 0

    def seen(self, run):
        """A look at a run; whether it is over."""
        run["looks"] -= 1
        return self.over(run)

    def end(self, run):
        return self.ends.get(run["interval"][:10], "SUCCEEDED")

    @contextmanager
    def listening(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each answer would wait 40 ms for the client

            def do_GET(self):
                self.answer(server.reads, [], None)

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                login = self.path.endswith("auth/token")
                self.answer([] if login else server.before, [] if login else server.after, body)

            def answer(self, before, after, body):
                with server.lock:
                    server.asked.append(f"{self.command} {self.path}")
                    if before:
                        return self.fault(before.pop(0))
                    address = urlsplit(self.path)
                    if not (server.allowed(self.headers.get("Authorization")) or server.open(address.path)):
                        return self.send(401, {"detail": "Unauthorized"})
                    asked = {name: values[0] for name, values in parse_qs(address.query).items()}
                    status, told = server.do(self.command, unquote(address.path), asked, body)
                    if after:
                        return self.fault(after.pop(0))
                    return self.send(status, told)

            def fault(self, fault):
                if fault == DROP:
                    self.close_connection = True
                    return None
                return self.send(fault[0], {"detail": "fault"}, fault[1])

            def send(self, status, told, headers=()):
                body = json.dumps(told).encode()
                self.send_response(status)
                for name, value in dict(headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        http.daemon_threads = True
        http.handle_error = lambda *_: None  # clients are killed while they ask
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}"
        finally:
            http.shutdown()
            thread.join()
            http.server_close()

    def has(self, pipeline):
        return pipeline not in self.unknown and (self.project / "pipelines" / f"{pipeline}.yml").exists()


class FakeAirflow(Server):
    """Airflow 3 with the DAGs of a project; its answers are those that Airflow 3.3 gave, less what is not read."""

    def __init__(self, project):
        super().__init__(project)
        self.version, self.params = "v2", {"adelt_interval": None, "adelt_force": False, "adelt_select": None}

    def open(self, path):
        return path.endswith("/version") or path == "/auth/token"

    def do(self, method, path, asked, body):
        if path == "/auth/token" and method == "POST":
            right = body == {"username": "ann", "password": "pa55word"}
            return (201, {"access_token": self.token}) if right else (401, {"detail": "Invalid credentials"})
        match path.removeprefix(f"/api/{self.version}/").split("/"):
            case ["version"]:
                return 200, {"version": "3.3.2", "git_version": None}
            case ["dags", dag, "details"] if self.has(dag):
                return 200, self.dag(dag)
            case ["dags", dag, "dagRuns"] if self.has(dag):
                return self.trigger(dag, body)
            case ["dags", _, "dagRuns", run_id] if run_id in self.runs:
                return 200, self.run(self.runs[run_id])
            case ["dags", _, "dagRuns", run_id, "taskInstances"] if run_id in self.runs:
                return 200, {
                    "task_instances": [{"task_id": "ingest", "map_index": 3, "rendered_map_index": "t=x"}]
                }
        return 404, {"detail": "Not Found"}

    def dag(self, dag):
        loaded = find(dag, self.project)
        inputs = dict.fromkeys(loaded.pipeline.inputs)
        return {
            "dag_id": dag, "is_paused": dag in self.paused, "is_stale": False, "has_import_errors": False,
            "params": {**inputs, **self.params}, "doc_md": f"{loaded.path}, sha256 {loaded.digest[:12]}",
        }  # fmt: skip

    def trigger(self, dag, body):
        if set(body) - {"dag_run_id", "conf", "note", "logical_date"} or ("logical_date" in body) != (
            self.version == "v2"
        ):
            return 422, {"detail": "wrong fields"}
        if body["dag_run_id"] in self.runs:
            return 409, {"detail": "The DAG run already exists"}
        conf = body["conf"]
        self.started({"id": body["dag_run_id"], "dag": dag, "conf": conf, "interval": conf["adelt_interval"]})
        return 200, self.run(self.runs[body["dag_run_id"]], look=False)

    def run(self, run, look=True):
        over = self.seen(run) if look else False
        states = {"SUCCEEDED": "success", "FAILED": "failed"}
        state = states[self.end(run)] if over else "running"
        return {
            "dag_run_id": run["id"],
            "dag_id": run["dag"],
            "state": state,
            "conf": run["conf"],
            "duration": 1.5,
        }


class FakeOrchestra(Server):
    """Orchestra with the exports of a project as its pipelines; its answers have the fields of its published description."""

    BASE = "/api/engine/public"

    def __init__(self, project):
        super().__init__(project)
        self.tells_parameters = True  # whether task runs show what they were given

    def open(self, path):
        return False

    def pipeline_id(self, alias):
        return str(uuid.uuid5(uuid.NAMESPACE_URL, alias))

    def data(self, alias):
        import yaml

        made = export([find(alias, self.project)], self.project)
        return yaml.safe_load(next(iter(made.files.values())))

    def do(self, method, path, asked, body):
        match path.removeprefix(f"{self.BASE}/").split("/"):
            case ["pipeline"] if self.has(asked["alias"]):
                alias = asked["alias"]
                return 200, {"id": self.pipeline_id(alias), "name": alias, "paused": alias in self.paused}
            case ["pipelines", "data"] if self.has(asked["alias"]):
                return 200, self.data(asked["alias"])
            case ["pipelines", alias, "start"] if self.has(alias):
                return self.start(alias, body)
            case ["pipeline_runs"]:
                return self.listed(asked)
            case ["pipeline_runs", run_id, "status"] if run_id in self.runs:
                return 200, self.run(self.runs[run_id])
            case ["pipeline_runs", run_id, "task_runs"] if run_id in self.runs:
                return 200, self.tasks(self.runs[run_id])
        return 404, {"detail": "Not Found"}

    def start(self, alias, body):
        known = {"runInputs", "taskIds", "continueDownstreamRun", "environment"}
        if set(body) - known or set(body["runInputs"]) - set(self.data(alias)["inputs"]):
            return 422, {"detail": [{"loc": ["body"], "msg": "extra", "type": "extra_forbidden"}]}
        interval = body["runInputs"]["adelt_at"]
        run = {"id": str(uuid.uuid4()), "alias": alias, "body": body, "interval": interval}
        self.started(run)
        return 200, {"id": self.pipeline_id(alias), "pipelineRunId": run["id"], "message": ""}

    def listed(self, asked):
        runs = list(self.runs.values())
        if "pipeline_ids" in asked:
            begin, end = (datetime.fromisoformat(asked[name]) for name in ("time_from", "time_to"))
            assert (end - begin).days <= 7
            runs = [
                run for run in runs
                if self.pipeline_id(run["alias"]) == asked["pipeline_ids"]
                and begin <= datetime.fromisoformat(run["created"]) <= end
            ]  # fmt: skip
            return 200, {
                "page": 1,
                "pageSize": 100,
                "total": len(runs),
                "results": [self.run(r, look=False) for r in runs],
            }
        wanted = asked["pipeline_run_ids"].split(",")
        found = [self.run(self.runs[one]) for one in wanted if one in self.runs]
        return 200, {"page": 1, "pageSize": 100, "total": len(found), "results": found}

    def run(self, run, look=True):
        over = self.seen(run) if look else self.over(run)
        return {
            "id": run["id"], "pipelineId": self.pipeline_id(run["alias"]), "pipelineName": run["alias"],
            "runStatus": self.end(run) if over else "RUNNING", "message": "Pipeline has ended." if over else "",
            "createdAt": run["created"], "updatedAt": run["created"],
            "startedAt": run["created"], "completedAt": run["created"] if over else None,
        }  # fmt: skip

    def tasks(self, run):
        given = {"environment_variables": json.dumps({"ADELT_AT": run["interval"]}).replace("/", "\\/")}
        task = {
            "id": str(uuid.uuid4()), "pipelineRunId": run["id"], "taskName": "ingest", "taskId": "ingest-run",
            "status": self.end(run), "taskParameters": given if self.tells_parameters else {}, "runParameters": None,
        }  # fmt: skip
        return {"page": 1, "pageSize": 50, "total": 1, "results": [task]}

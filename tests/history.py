"""A ledger with a history, and a server on it."""

import socket
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import uvicorn

from adelt.ids import new_id
from adelt.ledger import Ledger, NewRun, NewTask, Operation
from adelt.serve.app import make_app

START = 1_767_225_600.0  # 2026-01-01T00:00:00Z
RUNS = 130  # three pages of 50, two of 100


@contextmanager
def listening(ledger, logs, token=""):
    """A real server; gives its URL."""
    door = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(make_app(ledger, logs, token), log_level="warning", lifespan="off")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        door.close()


def fill(folder):
    """A ledger with runs an hour apart, of two pipelines; every tenth failed."""
    now = SimpleNamespace(seconds=START)
    ledger = Ledger(folder / "ledger.sqlite", new_id=new_id, clock=lambda: now.seconds)
    for number in range(RUNS):
        run_id, pipeline, bad = f"run-{number:04d}", "ab"[number % 2], number % 10 == 9
        run = NewRun(run_id, pipeline, f"k{number}", "digest", "local:/w.duckdb", "2026-01-01", "2026-01-02",
                     {"n": number}, "0.1", "manual", "run-0000" if number == 1 else None)  # fmt: skip
        assert ledger.claim_run(run, 1) is None
        kind = "dbt" if pipeline == "b" else "ingest"
        task = NewTask(
            run_id, pipeline, "t", "t[x]", {"x": number}, kind, f"tk{number}", "d", "local:/w.duckdb"
        )
        claimed = ledger.claim_task(task)
        log = folder / "logs" / run_id / "t.1.log"
        log.parent.mkdir(parents=True)
        log.write_text(f"log of {run_id}\n", "utf-8")
        ledger.set_log(claimed.id, log)
        now.seconds += 1800
        state = "FAILED" if bad else "SUCCEEDED"
        made = "MATERIALISATION" if kind == "dbt" else "INGESTION"
        done = Operation(made, f"raw.{pipeline}", state, number, 7, 1.5, f"ext-{number}")
        ledger.finish_task(claimed.id, state, int(bad), operations=[done])
        ledger.finish_run(run_id, state, "it broke" if bad else "")
        now.seconds += 1800

"""What an invocation costs beyond its own work: forked from a warmed server, and as a process of its own, in turns."""

import os
import statistics
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import adelt_sandbox
from adelt import settings, warm
from adelt.engine import open_ledger
from adelt.run import workers
from adelt.run.process import Command, Ended, Process

TASK = ["task", "dv360_reports.ingest", "--matrix", "report=standard", "--interval", "2026-01-19/2026-01-20"]


def workers_table(folder: Path, rounds: int) -> None:
    """A task that is done already, whole; and an ingest, beyond its fetch and load."""
    with adelt_sandbox.running(report_seconds=0.01) as sandbox:
        sandbox.set_clock("2026-01-20T06:00:00Z")
        os.environ.update({**sandbox.env, "ADELT_HOME": str(folder / "workers"), "ADELT_POLL_MIN": "0.05"})
        here = settings.load()
        env = settings.child_environment(here.variables)
        argv = [sys.executable, "-P", "-m", "adelt", *TASK, "--run-id", "bench"]
        plain = Command(argv, env, here.project, folder / "bench.log")
        print("\n| invocation | process s | worker s | ratio | bar |\n|---|---|---|---|---|")
        with workers.opened(warm.server(here)) as forked:
            ways = (plain, replace(plain, fork=forked))
            for way in ways:
                _seconds(way)  # does the task; starts the server
            whole: list[list[float]] = [[], []]
            for _ in range(rounds):
                for way, seen in zip(ways, whole, strict=True):
                    seen.append(_seconds(way))
            _print(f"a task that is done already, {rounds} times", whole, "0.060")
            ledger = open_ledger(here)
            beyond: list[list[float]] = [[], []]
            for _ in range(max(1, rounds // 4)):
                for way, seen in zip(ways, beyond, strict=True):
                    took = _seconds(replace(way, argv=[*argv, "--force"]))
                    work: dict[str, float] = ledger.tasks("bench")[-1]["metrics"]["seconds"]
                    seen.append(took - sum(work.values()))
            _print("an ingest, beyond its fetch and load", beyond, "")


def _seconds(command: Command) -> float:
    """Seconds from asking for a process until its end is known."""
    over = threading.Event()
    codes: list[int] = []

    def end(ended: Ended) -> None:
        codes.append(ended.exit_code)
        over.set()

    begun = time.perf_counter()
    Process(command, lambda _: None, end).start()
    over.wait()
    took = time.perf_counter() - begun
    assert codes == [0], command.log.read_text()
    assert "no worker" not in command.log.read_text()
    return took


def _print(what: str, seen: list[list[float]], bar: str) -> None:
    process, worker = (statistics.median(one) for one in seen)
    print(f"| {what} | {process:.3f} | {worker:.3f} | **{process / worker:.1f}** | {bar} |", flush=True)

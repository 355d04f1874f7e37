"""The ledger: one run per key, leases that end with their process, and what counts as done."""

import itertools
import json
import multiprocessing
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from adelt.ids import new_id
from adelt.ledger import Claimed, Done, Held, Ledger, NewRun, NewTask, Operation
from adelt.ledger.backfills import Backfills, Work
from adelt.ledger.owner import LEASE_SECONDS, Owner, is_alive, this_process

RUN = NewRun("run-1", "p", "rk", "d", "local", "2026-01-01", "2026-01-02", {"n": 1}, "0")
TASK = NewTask("run-1", "p", "t", "t", {}, "ingest", "key", "digest", "local")
GONE = Owner("elsewhere", "boot", 1, "")


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_767_225_600.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(tmp_path, clock):
    """A ledger with one run."""
    ids = (f"id-{n:04d}" for n in itertools.count())
    ledger = Ledger(tmp_path / "ledger.sqlite", new_id=lambda: next(ids), clock=clock)
    assert ledger.claim_run(RUN, 1) is None
    return ledger


def elsewhere(tmp_path, clock):
    """The same ledger as a process on another machine sees it."""
    return Ledger(tmp_path / "ledger.sqlite", new_id=lambda: new_id(), clock=clock, owner=GONE)


def test_a_task_that_succeeded_is_done(ledger):
    claim = ledger.claim_task(TASK)
    assert isinstance(claim, Claimed)
    ledger.finish_task(claim.id, "SUCCEEDED", 0, outputs={"x": 1})
    done = ledger.claim_task(TASK)
    assert isinstance(done, Done)
    assert (done.run_id, done.outputs) == ("run-1", {"x": 1})


def test_force_does_it_again_and_counts_tries(ledger):
    first = ledger.claim_task(TASK)
    ledger.finish_task(first.id, "SUCCEEDED", 0)
    second = ledger.claim_task(TASK, force=True)
    assert (first.attempt, second.attempt) == (1, 2)


def test_a_changed_definition_runs_again_only_if_asked(ledger):
    ledger.finish_task(ledger.claim_task(TASK).id, "SUCCEEDED", 0)
    changed = replace(TASK, digest="other")
    assert isinstance(ledger.claim_task(changed), Done)
    assert isinstance(ledger.claim_task(changed, if_changed=True), Claimed)


def test_a_failure_after_a_success_is_not_done(ledger, clock):
    ledger.finish_task(ledger.claim_task(TASK).id, "SUCCEEDED", 0)
    clock.now += 1
    ledger.finish_task(ledger.claim_task(TASK, force=True).id, "FAILED", 1)
    assert ledger.done("key") is None


def test_a_task_that_did_not_run_changes_nothing_about_what_is_done(ledger, clock):
    ledger.finish_task(ledger.claim_task(TASK).id, "SUCCEEDED", 0)
    clock.now += 1
    ledger.note_task(TASK, "CANCELLED", "the run was stopped")
    assert ledger.done("key") is not None


def test_a_living_process_keeps_its_task(ledger):
    ledger.claim_task(TASK)
    held = ledger.claim_task(TASK)
    assert held == Held("run-1", os.getpid())


def test_a_lease_from_elsewhere_ends_when_its_heartbeat_stops(ledger, tmp_path, clock):
    other = elsewhere(tmp_path, clock)
    assert isinstance(other.claim_task(TASK), Claimed)
    clock.now += LEASE_SECONDS - 1
    assert isinstance(ledger.claim_task(TASK), Held)
    other.heartbeat()
    clock.now += LEASE_SECONDS - 1
    assert isinstance(ledger.claim_task(TASK), Held)
    clock.now += 2
    assert isinstance(ledger.claim_task(TASK), Claimed)


def test_a_process_id_alone_is_no_owner():
    me = this_process()
    assert is_alive(me, 1e9)
    assert not is_alive(replace(me, started=str(int(me.started) + 1)), 0)
    assert not is_alive(replace(me, boot="another"), 0)


@pytest.mark.skipif(not Path("/proc").exists(), reason="start times of processes come from /proc")
def test_a_killed_process_loses_its_lease_at_once(tmp_path):
    code = f"""
import sys, time
from pathlib import Path
from adelt.ledger import Ledger, NewTask, NewRun
ledger = Ledger(Path({str(tmp_path / "l.sqlite")!r}), new_id=lambda: "one")
ledger.claim_run(NewRun("r", "p", "k", "d", "local", "a", "b", {{}}, "0"), 1)
ledger.claim_task(NewTask("r", "p", "t", "t", {{}}, "run", "key", "d", "local"))
print("claimed", flush=True)
time.sleep(60)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"claimed\n"
    ledger = Ledger(tmp_path / "l.sqlite", new_id=new_id)
    task = NewTask("r", "p", "t", "t", {}, "run", "key", "d", "local")
    assert isinstance(ledger.claim_task(task), Held)
    child.kill()
    child.wait()
    assert isinstance(ledger.claim_task(task), Claimed)
    assert ledger.find_runs("r")[0]["status"] == "FAILED"


def test_a_pipeline_has_no_more_runs_than_it_may(ledger):
    second = replace(RUN, id="run-2")
    held = ledger.claim_run(second, 1)
    assert held == Held("run-1", os.getpid())
    assert ledger.claim_run(second, 2) is None
    ledger.finish_run("run-1", "SUCCEEDED")
    assert ledger.claim_run(replace(RUN, id="run-3"), 2) is None


def test_a_pool_has_no_more_places_than_it_may(ledger, tmp_path, clock):
    assert ledger.take_slot("pool", "a", 1)
    assert not ledger.take_slot("pool", "b", 1)
    ledger.free_slot("pool", "a")
    assert elsewhere(tmp_path, clock).take_slot("pool", "c", 1)
    assert not ledger.take_slot("pool", "d", 1)
    clock.now += LEASE_SECONDS + 1
    assert ledger.take_slot("pool", "d", 1)


def test_what_was_in_a_lost_warehouse_is_forgotten_but_not_other_work(ledger):
    command = replace(TASK, key="other", kind="run", instance="c")
    for task in (TASK, command):
        ledger.finish_task(ledger.claim_task(task).id, "SUCCEEDED", 0)
    assert ledger.forget("local") == 1
    assert ledger.done("key") is None
    assert ledger.done("other") is not None


def test_a_backfill_of_old_days_leaves_a_table_as_fresh_as_it_is(ledger, clock):
    def load(run_id, start, end):
        ledger.ensure_run(replace(RUN, id=run_id, trigger="task", interval_start=start, interval_end=end))
        claim = ledger.claim_task(replace(TASK, run_id=run_id, key=run_id))
        ledger.finish_task(claim.id, "SUCCEEDED", 0, operations=[Operation("INGESTION", "raw.t")])
        (asset,) = ledger.assets()
        return asset["last_interval"], asset["run_id"], asset["last_success"]

    assert load("new", "2026-01-05", "2026-01-06")[0] == "2026-01-05/2026-01-06"
    clock.now += 60
    assert load("old", "2025-12-01", "2026-01-01") == (
        "2026-01-05/2026-01-06", "old", "2026-01-01T00:01:00.000Z",
    )  # fmt: skip
    assert load("newer", "2026-01-06", "2026-01-07")[0] == "2026-01-06/2026-01-07"
    assert ledger.forget("local") == 3  # the tables are gone with their warehouse
    assert ledger.assets() == []


def test_assets_are_what_operations_leave(ledger):
    claim = ledger.claim_task(TASK)
    done = [
        Operation("INGESTION", "raw.t"),
        Operation("SNAPSHOT", "snapshots.s"),
        Operation("MATERIALISATION", "marts.m", details={"materialized": "incremental"}),
        Operation("MATERIALISATION", "marts.v", details={"materialized": "view"}),
        Operation("EXPORT", "gs://bucket/exports/t"),
        Operation("TRANSFER", "gs://bucket/file.csv"),
        Operation("PURGE", "gs://bucket/landing"),
        Operation("QUERY", "make.sql"),
        Operation("TEST", "not_null"),
        Operation("ALERT", "#ads"),
    ]
    ledger.finish_task(claim.id, "SUCCEEDED", 0, operations=done)
    assert {one["id"]: one["type"] for one in ledger.assets()} == {
        "raw.t": "TABLE", "snapshots.s": "TABLE", "marts.m": "TABLE", "marts.v": "VIEW",
        "gs://bucket/exports/t": "DATASET", "gs://bucket/file.csv": "DATASET",
    }  # fmt: skip


def test_an_older_ledger_forgets_the_folders_that_it_called_tables(tmp_path):
    make = partial(Ledger, tmp_path / "ledger.sqlite", new_id=new_id)
    ledger = make()
    ledger.ensure_run(RUN)
    claim = ledger.claim_task(TASK)
    kinds = ("EXPORT", "INGESTION")
    ledger.finish_task(claim.id, "SUCCEEDED", 0, operations=[Operation(kind, kind.lower()) for kind in kinds])
    with ledger.connection() as con:
        con.execute("UPDATE asset SET type = 'TABLE'")
        con.execute("PRAGMA user_version = 3")
    assert [one["id"] for one in make().assets()] == ["ingestion"]


def test_what_a_task_cost_is_not_what_another_pipelines_task_of_that_name_cost(ledger):
    for pipeline, billed in (("p", 10), ("q", 20)):
        claim = ledger.claim_task(replace(TASK, pipeline=pipeline, key=pipeline))
        done = Operation("MATERIALISATION", "m", details={"bytes_billed": billed})
        ledger.finish_task(claim.id, "SUCCEEDED", 0, operations=[done])
    assert [ledger.last_cost(name, "t", "local") for name in "pqr"] == [
        (10, "2026-01-01/2026-01-02"), (20, "2026-01-01/2026-01-02"), None,
    ]  # fmt: skip


def test_operations_and_assets_are_kept(ledger):
    claim = ledger.claim_task(TASK)
    ledger.finish_task(
        claim.id, "SUCCEEDED", 0,
        operations=[Operation("INGESTION", "raw.t", rows=5), Operation("TEST", "not_null"),
                    Operation("MATERIALISATION", "m", "FAILED")],
    )  # fmt: skip
    assert [(o["asset"], o["rows"]) for o in ledger.operations("run-1")] == [
        ("raw.t", 5),
        ("not_null", None),
        ("m", None),
    ]
    assert [(a["id"], a["last_interval"]) for a in ledger.assets()] == [("raw.t", "2026-01-01/2026-01-02")]


def test_a_run_that_another_engine_conducts_has_the_state_of_its_tasks(ledger, clock):
    ledger.ensure_run(replace(RUN, id="ext", trigger="task"))
    for attempt, status in ((1, "FAILED"), (2, "SUCCEEDED")):
        ledger.ensure_run(replace(RUN, id="ext", trigger="task"))
        claim = ledger.claim_task(replace(TASK, run_id="ext"))
        assert claim.attempt == attempt
        clock.now += 1
        ledger.finish_task(claim.id, status, 0)
        ledger.settle_run("ext")
        assert ledger.find_runs("ext")[0]["status"] == status


def _claim(path: str, queue: "multiprocessing.Queue[str]") -> None:
    ledger = Ledger(Path(path), new_id=new_id)
    queue.put(type(ledger.claim_task(TASK)).__name__)
    queue.put("")
    import time

    time.sleep(20)


def test_of_many_processes_one_gets_the_task(ledger, tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [
        context.Process(target=_claim, args=(str(tmp_path / "ledger.sqlite"), queue)) for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    answers = [queue.get(timeout=30) for _ in range(16)]
    for worker in workers:
        worker.kill()
        worker.join()
    assert sorted(filter(None, answers)) == ["Claimed"] + ["Held"] * 7


def test_the_database_itself_refuses_two_runners_of_one_key(ledger, tmp_path):
    ledger.claim_task(TASK)
    with sqlite3.connect(tmp_path / "ledger.sqlite") as con, pytest.raises(sqlite3.IntegrityError):
        con.execute(
            "INSERT INTO task_run (id, run_id, pipeline, task, instance, matrix, kind, key, digest, env, attempt, status,"
            " started_at) SELECT 'x', run_id, pipeline, task, instance, matrix, kind, key, digest, env, 2, 'RUNNING', ''"
            " FROM task_run"
        )


def test_history_reads_back(ledger):
    ledger.finish_run("run-1", "SUCCEEDED", "fine")
    row = ledger.runs()[0]
    assert (row["status"], row["message"], row["inputs"]) == ("SUCCEEDED", "fine", {"n": 1})
    assert json.loads(row["lease_owner"])["pid"] == os.getpid()


def _open(path, barrier, told):
    barrier.wait()
    try:
        Ledger(path, new_id=new_id)
        told.put("")
    except sqlite3.Error as error:
        told.put(str(error))


def test_processes_that_begin_at_once_share_a_new_ledger(tmp_path):
    context = multiprocessing.get_context("fork")
    for number in range(20):
        barrier, told = context.Barrier(8), context.Queue()
        arguments = (tmp_path / f"{number}.sqlite", barrier, told)
        processes = [context.Process(target=_open, args=arguments) for _ in range(8)]
        for process in processes:
            process.start()
        assert [told.get(timeout=30) for _ in processes] == [""] * 8
        for process in processes:
            process.join()


def test_the_work_of_a_backfill_is_that_of_its_runs_and_those_they_started(ledger):
    def attempt(run_id, key, status, **more):
        claim = ledger.claim_task(replace(TASK, run_id=run_id, key=key, instance=key), **more)
        ledger.finish_task(claim.id, status, int(status != "SUCCEEDED"))

    for run in (
        replace(RUN, id="chunk", backfill_id="b"),
        replace(RUN, id="below", parent_run_id="chunk"),
        replace(RUN, id="deep", parent_run_id="below"),
        replace(RUN, id="other", backfill_id="c"),
    ):
        assert ledger.claim_run(run, 9) is None
    backfills = Backfills(ledger)
    assert backfills.work("b") == Work(0, 0, 0, 0)
    attempt("chunk", "once", "SUCCEEDED")
    attempt("below", "later", "FAILED")
    attempt("deep", "later", "CANCELLED")
    attempt("deep", "later", "SUCCEEDED")
    attempt("other", "others", "SUCCEEDED")
    attempt("run-1", "nobodys", "SUCCEEDED")
    ledger.note_task(replace(TASK, run_id="chunk", key="once", instance="once"), "SKIPPED", "done before")
    assert backfills.work("b") == Work(tasks=2, tries=4, begun_again=1, done_again=0)
    attempt("chunk", "once", "FAILED", force=True)  # it had succeeded
    assert backfills.work("b") == Work(tasks=2, tries=5, begun_again=2, done_again=1)


def test_what_is_done_again_because_the_warehouse_was_gone_was_needed(ledger):
    assert ledger.claim_run(replace(RUN, id="chunk", backfill_id="b"), 9) is None
    for _ in range(2):
        claim = ledger.claim_task(replace(TASK, run_id="chunk"))
        ledger.finish_task(claim.id, "SUCCEEDED", 0)
        ledger.forget("local")
    assert Backfills(ledger).work("b") == Work(tasks=1, tries=2, begun_again=1, done_again=0)


def test_who_holds_a_task_of_a_run_that_is_over_is_about_to_let_go(ledger):
    assert isinstance(ledger.claim_task(TASK), Claimed)
    held = Held("run-1", os.getpid())
    assert ledger.claim_task(TASK) == held
    ledger.finish_run("run-1", "FAILED")  # as when its runner has died
    assert ledger.claim_task(TASK) == replace(held, ending=True)


def test_a_ledger_that_is_kept_open_is_not_tidied_up_after_every_transaction(ledger, tmp_path):
    journal = tmp_path / "ledger.sqlite-wal"
    with ledger.kept_open():
        ledger.note_run("run-1", "hello")
        assert journal.stat().st_size
    assert not journal.exists()


def test_what_is_done_of_many(ledger):
    for key in ("a", "b"):
        claim = ledger.claim_task(replace(TASK, key=key, instance=key))
        ledger.finish_task(claim.id, "SUCCEEDED" if key == "a" else "FAILED", 0, outputs={"x": key})
    assert {key: done.outputs for key, done in ledger.all_done(["a", "b", "c"]).items()} == {"a": {"x": "a"}}

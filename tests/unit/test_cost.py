"""Estimates: which days of which tables are asked for, and what is made of the last run's bill."""

import contextlib
import re
from dataclasses import replace
from datetime import date

import pytest

from adelt import cost, ids, settings
from adelt.by_hand import run_ingest
from adelt.errors import InputError
from adelt.ledger import Ledger, NewRun, NewTask, Operation
from adelt.preview import Preview, TaskPreview
from adelt.window import Interval
from adelt_sources import bigquery
from adelt_sources.bigquery import Connection

TASK = TaskPreview("t", "run", (), "ingest", "", {}, "", window="", pipeline="p", instance="t")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Settings of a target that allows 1000 bytes; a dry run says 10 bytes for each day of the statement."""

    class Client(Connection):
        def __init__(self, warehouse):
            self.warehouse = warehouse

        def estimate(self, sql, *, where=""):
            first, last = map(date.fromisoformat, re.findall(r"DATE '(\S+)'", sql))
            return 10 * ((last - first).days + 1)

    monkeypatch.setattr(bigquery, "connected", lambda warehouse: contextlib.nullcontext(Client(warehouse)))
    for name, value in {
        "BIGQUERY_PROJECT": "acme",
        "MAX_RUN_BYTES": "1000",
        "PROJECT": str(tmp_path),
    }.items():
        monkeypatch.setenv(f"ADELT_{name}", value)
    return settings.load("bigquery")


def planned(interval, window, **task):
    shown = replace(TASK, window=window, **task)
    return Preview("p", interval, window, {}, (shown,), 1, 0)


@pytest.mark.parametrize(
    ("source", "table", "days"),
    [
        ("dv360_reports", "standard", 31),
        ("dv360_erf", "line_item", 31),  # each file is the snapshot of its day
        ("dv360", "line_item", 1),  # the API only tells today's state
        ("orchestra_metadata", "task_runs", 31),
        ("orchestra_metadata", "assets", 1),
    ],
)
def test_an_ingest_counts_the_days_that_it_replaces(here, source, table, days):
    month = "2024-10-01/2024-11-01"
    shown = planned(month, month, action={"source": source, "table": table})
    assert cost.estimate(here, shown) == {"t": 10 * days}


def test_dbt_is_billed_as_the_last_time_for_as_many_days(here):
    shown = planned("2026-01-28/2026-01-29", "2026-01-21/2026-01-29", kind="dbt")
    assert cost.estimate(here, shown) == {"t": None}  # there is no ledger
    ledger = Ledger(here.ledger, new_id=ids.new_id)
    assert cost.estimate(here, shown) == {"t": None}  # nothing has run
    run = NewRun("r", "p", "k", "d", here.environment, "2026-01-27", "2026-01-28", {}, "v", "task")
    ledger.ensure_run(run)
    claim = ledger.claim_task(NewTask("r", "p", "t", "t", {}, "dbt", "k", "d", here.environment))
    bill = [Operation("MATERIALISATION", name, details={"bytes_billed": 40}) for name in ("a", "b")]
    ledger.finish_task(claim.id, "SUCCEEDED", 0, operations=bill)
    assert cost.estimate(here, shown) == {"t": 80}  # a day and its look-back of seven, as then
    month = planned("2026-01-01/2026-01-26", "2025-12-25/2026-01-26", kind="dbt")
    assert cost.estimate(here, month) == {"t": 320}
    without = planned("2026-01-28/2026-01-29", "2026-01-28/2026-01-29", kind="dbt")
    assert cost.estimate(here, without) == {"t": 80}


def test_what_is_not_known_is_named_and_what_is_too_much_refused(here):
    day = "2026-01-28/2026-01-29"
    shown = planned(day, day, kind="sql", action={"params": {"a": 1}, "statement": "select @a"})
    items = replace(TASK, id="items[...]", state="later", window=day)
    assert cost.check(here, replace(shown, tasks=(*shown.tasks, items))) == ["t", "items[...]"]
    months = planned(
        "2025-01-01/2025-05-01",
        "2025-01-01/2025-05-01",
        action={"source": "dv360_reports", "table": "standard"},
    )
    with pytest.raises(
        InputError, match=r"p for 2025-01-01/2025-05-01 would be billed for 1,200 bytes, 1,000 are allowed"
    ):
        cost.check(here, months)


def test_what_is_brought_by_hand_is_held_to_the_limit(here):
    months = Interval(date(2025, 1, 1), date(2025, 5, 1))
    with pytest.raises(InputError, match=r"dv360_reports.standard for .* 1,200 bytes, 1,000 are allowed"):
        run_ingest(
            here,
            source="dv360_reports",
            table="standard",
            params={},
            window=months,
            on_progress=lambda _: None,
        )
    ledger = Ledger(here.ledger, new_id=ids.new_id)
    (run,) = ledger.runs()
    assert [(task["status"], task["exit_code"]) for task in ledger.tasks(run["id"])] == [("FAILED", 2)]

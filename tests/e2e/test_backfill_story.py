"""Sixty days of all sources, killed five times at random and resumed each time: every cell equals the oracle's, and
nothing that had succeeded was done again. `make backfill-story`; it is no part of `make test`.

The moments are drawn from a seed that is printed: five parts of the work, one moment in each. Where the work stands is read from
the ledger, so the moments are the same on a fast machine and on a slow one.

    ADELT_STORY_SEED=7     the moments of an earlier run
    ADELT_STORY_DAYS=12    fewer days, while one develops
"""

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from oracle import LOOKBACK, differences, warehouse_rows
from patience import IMPATIENT
from processes import described, living

import adelt_sandbox
from adelt_sources.catalog import catalog

pytestmark = pytest.mark.backfill_story

ROOT = Path(__file__).parents[2]
ADELT = str(Path(sys.executable).with_name("adelt"))
SEED = int(os.environ.get("ADELT_STORY_SEED") or random.randrange(100_000))
# A Monday; then come 29 February, two ends of months, and clocks that change on 10 and 31 March.
FIRST = date(2024, 2, 5)
LAST = FIRST + timedelta(days=int(os.environ.get("ADELT_STORY_DAYS") or 60) - 1)
NOW = f"{LAST + timedelta(days=1)}T06:00:00Z"
KILLS = 5
# Kills that hit everything at once; the others hit the command, and what it has started must see to itself.
POWER_CUTS = {1, 4}
# A task has five seconds to end in good order once its runner is dead; the rest is for a busy machine.
GONE_SECONDS = 15

# The history of DV360's entities is in the archive: one snapshot of today is enough. CM360 has no archive; its entities of today
# come with each week of reports.
CONFIG = """\
parallel: 2
pipelines:
  - {{pipeline: dv360_entities, from: {last}, to: {last}}}
  - {{pipeline: daily, from: {first}, to: {last}, chunk: week, select: [dv360_reports, cm360, transform]}}
  - {{pipeline: erf_archive, from: {first}, to: {last}, chunk: week, inputs: {{partners: [{partners}]}}}}
"""

REPORTS = ["raw_dv360.report_standard", "raw_cm360.report_standard"]
ENTITIES = [spec.qualified for source in ("dv360", "cm360", "dv360_erf") for spec in catalog(source).values()]
MARTS = [
    f"marts_ads.{name}"
    for name in (
        *("dim_partner", "dim_advertiser", "dim_campaign", "dim_insertion_order", "dim_line_item"),
        *("dim_creative", "dim_placement", "dim_site", "fct_delivery_daily", "rec_dv360_cm360"),
    )
]


def tell(text: str) -> None:
    """Say how far the story is; pytest shows it with `-s`, and when something fails."""
    print(text, file=sys.stderr, flush=True)


@dataclass
class Killed:
    """One kill, and what it met.

    Attributes:
        at: When, as the ledger writes it.
        chunks: Numbers of the chunks that were at work.
        processes: How many processes there were.
        gone_after: Seconds until all of them were gone.
    """

    at: str
    chunks: set[int]
    processes: int
    gone_after: float | None = None


@dataclass
class Story:
    """A warehouse, a sandbox, and a backfill that is killed again and again."""

    folder: Path
    sandbox: adelt_sandbox.Running
    kills: list[Killed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home, self.warehouse = self.folder / "home", self.folder / "warehouse.duckdb"
        self.config = self.folder / "sixty-days.yml"
        self.env = {
            **os.environ,
            **self.sandbox.env,
            "ADELT_HOME": str(self.home),
            "ADELT_WAREHOUSE": str(self.warehouse),
            **IMPATIENT,
        }
        self._truths: dict[tuple, list[dict]] = {}

    def start(self, *words: str) -> subprocess.Popen:
        """Start `adelt backfill`, in a process group of its own."""
        self.process = subprocess.Popen(
            [ADELT, "backfill", *words], cwd=ROOT, env=self.env, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return self.process

    def backfill(self, *words: str) -> str:
        """What `adelt backfill` says, which must end well."""
        process = self.start(*words)
        said = process.communicate()[0]
        assert process.returncode == 0, f"{words}: {process.returncode}\n{said}"
        return said

    def ask(self, sql: str, *values: object) -> list[tuple]:
        """Ask the ledger."""
        ledger = self.home / "ledger.sqlite"
        if not ledger.exists():
            return []
        with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=60) as con:
            return con.execute(sql, values).fetchall()

    def loads(self) -> int:
        """How many loads have succeeded."""
        return self.ask("SELECT count(*) FROM task_run WHERE kind = 'ingest' AND status = 'SUCCEEDED'")[0][0]

    def dbt_is_at_work(self) -> bool:
        """Whether dbt builds the models."""
        return bool(self.ask("SELECT 1 FROM task_run WHERE kind = 'dbt' AND status = 'RUNNING'"))

    def wait(self, process: subprocess.Popen, reached, what: str) -> None:
        """Wait until the work has come that far."""
        deadline = time.monotonic() + 1800
        while not reached():
            assert process.poll() is None, f"ended before {what}: {process.communicate()[0]}"
            assert time.monotonic() < deadline, f"no {what} after half an hour"
            time.sleep(0.02)

    def kill(self, process: subprocess.Popen, *, everything: bool) -> set[tuple[int, str]]:
        """Kill the command's process group, or all that it has started as well; the processes there were."""
        alive = living(str(self.home))
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        os.killpg(process.pid, signal.SIGKILL)
        for pid, _ in alive if everything else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()
        chunks = {row[0] for row in self.ask("SELECT number FROM backfill_chunk WHERE status = 'RUNNING'")}
        self.kills.append(Killed(at, chunks, len(alive)))
        return alive

    def bury(self, dead: set[tuple[int, str]]) -> None:
        """Wait until the processes of a killed command are gone, and note how long that took."""
        begun = time.monotonic()
        while left := dead & living(str(self.home)):
            assert time.monotonic() - begun < GONE_SECONDS, f"still running: {described(left)}"
            time.sleep(0.05)
        self.kills[-1].gone_after = time.monotonic() - begun

    def truth(self, table: str) -> list[dict]:
        """What a perfect warehouse holds."""
        weeks = [LAST, *(day for day in days() if day.weekday() == 6)]
        seen = {"dv360": [LAST], "cm360": sorted(set(weeks))}  # days that snapshots are kept under
        if table.startswith("raw_"):
            return self._truth(table, seen.get(table[4:].partition(".")[0], []))
        both = {platform: self._truth(table, snapshots) for platform, snapshots in seen.items()}
        if table in ("marts_ads.dim_placement", "marts_ads.dim_site"):
            return both["cm360"]
        if "platform" not in both["dv360"][0]:
            return both["dv360"]
        return [row for platform, rows in both.items() for row in rows if row["platform"] == platform]

    def at_work(self, kill: Killed) -> set[str]:
        """Task runs of the killed command that ended after the kill. Those of the next command are in later runs."""
        sql = (
            "SELECT t.id FROM task_run t JOIN pipeline_run p ON p.id = t.run_id"
            " WHERE t.attempt > 0 AND p.created_at <= ?1 AND coalesce(t.completed_at, ?1) >= ?1"
        )
        return {row[0] for row in self.ask(sql, kill.at)}

    def tries(self) -> dict[str, list[tuple[str, str]]]:
        """Key of a task to the times it was begun, in order, as (id, status)."""
        found = defaultdict(list)
        for key, *began in self.ask("SELECT key, id, status FROM task_run WHERE attempt > 0 ORDER BY id"):
            found[key].append(tuple(began))
        return found

    def _truth(self, table: str, snapshots: list[date]) -> list[dict]:
        return self.sandbox.truth(
            table,
            as_of=NOW,
            start=FIRST - LOOKBACK,
            end=LAST + timedelta(days=1),
            observed=[f"{day}@{NOW}" for day in snapshots],
            erf=[str(day) for day in days()],
        )["rows"]


def days() -> list[date]:
    """The days of the story."""
    return [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]


def happen(story: Story, drawn: random.Random) -> None:
    """Let the backfill run, kill it five times, and resume it each time."""
    planned = json.loads(story.backfill("--config", str(story.config), "--dry-run", "--json"))
    loads = sum(one["tasks"] for one in planned["estimates"]) - 1  # one is dbt
    tell(f"\nseed {SEED}: {FIRST} to {LAST}, {len(planned['chunks'])} chunks, {loads} loads and dbt")
    begun = time.monotonic()
    process = story.start("--config", str(story.config))
    for number in range(KILLS):
        if number < KILLS - 1:
            wanted = int(loads * (number + drawn.random()) / (KILLS - 1))
            story.wait(process, lambda wanted=wanted: story.loads() > wanted, f"{wanted} loads")
            time.sleep(drawn.uniform(0, 0.5))
        else:
            story.wait(process, story.dbt_is_at_work, "dbt")
            time.sleep(drawn.uniform(0, 8))
        after, done = time.monotonic() - begun, story.loads()
        killed = story.kill(process, everything=number in POWER_CUTS)
        process = story.start("--resume", "last")  # at once, while what was killed may still be dying
        story.bury(killed)
        one = story.kills[-1]
        tell(
            f"{'power cut' if number in POWER_CUTS else 'kill'} {number + 1} after {after:.0f} s, {done} of {loads} loads:"
            f" {one.processes} processes gone after {one.gone_after:.1f} s;"
            f" {len(story.at_work(one))} tasks of chunks {sorted(one.chunks)} were at work"
        )
    said = process.communicate()[0]
    assert process.returncode == 0, said
    tell(f"resumed to the end after {time.monotonic() - begun:.0f} s\n\n{said}")


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """What is there after the whole backfill."""
    folder = tmp_path_factory.mktemp("story")
    with adelt_sandbox.running(
        state_dir=folder / "sandbox", report_seconds=0.1, options=["--erf-until", str(LAST)]
    ) as sandbox:
        sandbox.set_clock(NOW)
        story = Story(folder, sandbox)
        partners = ", ".join(sandbox.request("GET", "/sandbox/health")["partner_ids"])
        story.config.write_text(CONFIG.format(first=FIRST, last=LAST, partners=partners))
        try:
            happen(story, random.Random(SEED))
        finally:
            for pid, _ in living(str(story.home)):  # there are some only when something is wrong
                os.kill(pid, signal.SIGKILL)
        yield story


@pytest.mark.timeout(3600)  # the story is told while the first of these waits
@pytest.mark.parametrize("table", REPORTS + ENTITIES + MARTS)
def test_tables_equal_the_oracle(story, table):
    rows = warehouse_rows(story.warehouse, table)
    assert differences(rows, story.truth(table)) == []
    assert rows


def test_every_day_has_its_reports(story):
    every = {FIRST - LOOKBACK + timedelta(days=number) for number in range(len(days()) + LOOKBACK.days)}
    for table in REPORTS:
        assert {row["date"] for row in warehouse_rows(story.warehouse, table)} == every


def test_nothing_that_had_succeeded_was_done_again(story):
    for key, tries in story.tries().items():
        assert [status for _, status in tries].index("SUCCEEDED") == len(tries) - 1, (key, tries)


def test_only_what_was_at_work_at_a_kill_was_begun_again(story):
    cut_off = {began for tries in story.tries().values() for began, _ in tries[:-1]}
    assert cut_off <= {task for kill in story.kills for task in story.at_work(kill)}
    assert cut_off, "no kill met a task; the story proves nothing"
    again = Counter(number for kill in story.kills for number in kill.chunks)
    assert dict(story.ask("SELECT number, tries - 1 FROM backfill_chunk WHERE tries > 1")) == again


def test_google_was_asked_for_no_report_twice_without_need(story):
    """The sandbox's own count. DV360: a query is made and run; CM360: a report is made and run, for each of two accounts."""
    asked = Counter()
    for one in story.sandbox.stats()["by_method"]:
        asked[one["api"]] += one["count"] if one["method"] == "POST" else 0
    for api, pipeline, posts in (("doubleclickbidmanager", "dv360_reports", 2), ("dfareporting", "cm360", 4)):
        ends = dict(
            story.ask(
                "SELECT status = 'SUCCEEDED', count(*) FROM task_run WHERE pipeline = ? AND attempt > 0 AND kind = 'ingest'"
                " AND (pipeline = 'dv360_reports' OR task = 'reports') GROUP BY 1",
                pipeline,
            )
        )
        assert posts * ends[True] <= asked[api] <= posts * (ends[True] + ends.get(False, 0)), (api, ends)


def test_the_report_says_so(story):
    said = story.backfill("--status", "last")
    tries = story.tries()
    assert "SUCCEEDED" in said.splitlines()[0]
    again = sum(len(each) > 1 for each in tries.values())
    begun = sum(map(len, tries.values()))
    assert said.splitlines()[1] == (
        f"{len(tries)} tasks, begun {begun} times: {again} more than once, none after it had succeeded"
    )
    shown = dict(story.ask("SELECT number, tries FROM backfill_chunk WHERE tries > 1"))
    rows = [line.split("\t") for line in said.splitlines()[3:]]
    assert {int(row[0]): int(row[5]) for row in rows} == shown


def test_nothing_of_a_killed_command_goes_on(story):
    assert all(kill.processes > 1 for kill in story.kills), "only the command itself was found"
    assert all(kill.gone_after is not None for kill in story.kills)
    assert described(living(str(story.home))) == []
    for table in ("pipeline_run", "task_run", "backfill"):
        assert story.ask(f"SELECT id FROM {table} WHERE status = 'RUNNING'") == []


def test_done_again_it_asks_for_nothing(story):
    """Another backfill of the same days finds every task done."""
    before, tries = story.sandbox.stats()["by_api"], story.tries()
    story.backfill("--config", str(story.config))
    assert story.sandbox.stats()["by_api"] == {**before, "sandbox": before["sandbox"] + 1}
    assert story.tries() == tries

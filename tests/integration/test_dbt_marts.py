"""Marts built from perfect raw tables equal the oracle's, cell by cell, morning after morning.

Raw tables come from the oracle, so whatever differs here is the models' doing.
"""

from datetime import UTC, date, datetime, timedelta

import duckdb
import pytest
from oracle import differences, warehouse_rows
from warehouse import SPECS, Warehouse

from adelt_sandbox.world import World, truth
from adelt_sandbox.world.truth import Observation

ERF = [date(2024, 10, 29), date(2024, 10, 30), date(2024, 10, 31)]
DAYS = [date(2026, 1, 5), date(2026, 1, 29), date(2026, 1, 30), date(2026, 1, 31)]
LOOKBACK = timedelta(days=7)
ONE = timedelta(days=1)

REPORTS = ["raw_dv360.report_standard", "raw_cm360.report_standard"]
ENTITIES = ["partner", "advertiser", "campaign", "insertion_order", "line_item", "creative"]
API = [f"raw_dv360.{name}" for name in ENTITIES] + [
    f"raw_cm360.{name}" for name in ("advertiser", "campaign", "site", "placement", "creative")
]
DIMENSIONS = [f"marts_ads.dim_{name}" for name in [*ENTITIES, "placement", "site"]]
FACTS = ["marts_ads.fct_delivery_daily", "marts_ads.rec_dv360_cm360"]


pytestmark = pytest.mark.timeout(900)  # the first test waits for the whole story


class Story:
    """The world, a warehouse, and the mornings on which both are compared."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.world = World(seed=7, size="tiny")
        self.warehouse = warehouse
        self.observed: list[Observation] = []
        self.erf: list[date] = []
        self.answers: dict[date, datetime] = {}  # report day -> when it was asked for last

    def archive(self, days: list[date]) -> None:
        """Load Entity Read Files."""
        self.erf += days
        for name in ENTITIES:
            for day in days:
                self.warehouse.load(
                    f"raw_erf.{name}", self._truth(f"raw_erf.{name}", erf=[day]), days=(day, day + ONE)
                )

    def morning(self, day: date) -> None:
        """Load a snapshot of the entities and the reports of the last days."""
        as_of = datetime.combine(day + ONE, datetime.min.time(), UTC) + timedelta(hours=6)
        seen = Observation(day, as_of)
        self.observed.append(seen)
        for table in API:
            self.warehouse.load(table, self._truth(table, observed=[seen]), days=(day, day + ONE))
        start, end = day - LOOKBACK, day + ONE
        for table in REPORTS:
            rows = self._truth(table, as_of=as_of, start=start, end=end)
            self.warehouse.load(table, rows, days=(start, end))
        self.answers |= {start + ONE * step: as_of for step in range((end - start).days)}

    def truth(self, mart: str) -> list[dict]:
        """What the mart should hold by now."""
        known = {"observed": self.observed, "erf": self.erf}
        if mart not in FACTS:
            return self._truth(mart, **known)
        return [
            row
            for day, as_of in self.answers.items()
            for row in self._truth(mart, as_of=as_of, start=day, end=day + ONE, **known)
        ]

    def check(self, marts: list[str]) -> dict[str, list[str]]:
        """Marts that differ from the oracle, and how."""
        found = {
            mart: differences(warehouse_rows(self.warehouse.file, mart), self.truth(mart)) for mart in marts
        }
        return {mart: lines for mart, lines in found.items() if lines}

    def _truth(self, table: str, **known) -> list[dict]:
        nothing = {"as_of": datetime(2026, 1, 1, tzinfo=UTC), "start": DAYS[0], "end": DAYS[0]}
        return truth.rows(self.world, table, **{**nothing, **known})


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """An archive, then four mornings; some built one by one, some together."""
    story = Story(Warehouse(tmp_path_factory.mktemp("marts")))
    story.archive(ERF)
    story.morning(DAYS[0])
    story.warehouse.build()
    story.differences = {DAYS[0]: story.check(DIMENSIONS + FACTS)}
    story.morning(DAYS[1])
    story.morning(DAYS[2])  # two days in one build
    story.warehouse.build()
    story.differences[DAYS[2]] = story.check(DIMENSIONS + FACTS)
    story.morning(DAYS[3])
    tests = story.warehouse.dbt("build")  # with all tests
    story.warnings = [node.node.name for node in tests.result.results if str(node.status) == "warn"]
    story.differences[DAYS[3]] = story.check(DIMENSIONS + FACTS)
    return story


@pytest.mark.parametrize("day", [DAYS[0], DAYS[2], DAYS[3]], ids=str)
def test_marts_equal_the_oracle_every_morning(story, day):
    assert story.differences[day] == {}


def test_perfect_data_passes_all_tests_without_a_warning(story):
    assert story.warnings == []


def test_the_story_has_what_it_is_about(story):
    rows = story.warehouse.rows
    assert all(rows(f"SELECT count(*) FROM {table}")[0][0] > 0 for table in DIMENSIONS + FACTS)
    ended = "SELECT count(*) FROM marts_ads.dim_line_item WHERE valid_to IS NOT NULL"
    assert rows(ended)[0][0] > 0
    statuses = {status for (status,) in rows("SELECT DISTINCT status FROM marts_ads.rec_dv360_cm360")}
    assert {"matched", "gap"} <= statuses
    assert {name for (name,) in rows("SELECT DISTINCT platform FROM marts_ads.fct_delivery_daily")} == {
        "dv360",
        "cm360",
    }


def test_building_again_changes_nothing(story):
    tables = DIMENSIONS + FACTS
    before = {table: sorted(map(repr, story.warehouse.rows(f"SELECT * FROM {table}"))) for table in tables}
    snapshots = story.warehouse.rows("SELECT * FROM snapshots.snap_line_item ORDER BY ALL")
    story.warehouse.build()
    after = {table: sorted(map(repr, story.warehouse.rows(f"SELECT * FROM {table}"))) for table in tables}
    assert before == after
    assert snapshots == story.warehouse.rows("SELECT * FROM snapshots.snap_line_item ORDER BY ALL")


def test_history_outlives_the_raw_rows(story):
    for table in [spec for spec in SPECS if spec.startswith("raw_erf.")]:
        story.warehouse.forget(table, date(2025, 1, 1))
    for table in API:
        story.warehouse.forget(table, DAYS[2])
    story.warehouse.build()
    assert story.check(DIMENSIONS) == {}


def test_delivery_of_an_entity_nobody_knows_is_warned_about(story):
    with duckdb.connect(str(story.warehouse.file)) as con:
        con.execute(
            "UPDATE marts_ads.fct_delivery_daily SET line_item_id = -1 WHERE line_item_id IS NOT NULL"
        )
    tested = story.warehouse.dbt("test", "--select", "delivered_line_items_are_known")
    assert [str(node.status) for node in tested.result.results] == ["warn"]

"""The demonstration: what a newcomer sees first. An archive, then three mornings, each with the clock moved on."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from adelt import definition, settings, warehouse, warm
from adelt.engine import RunRequest, RunResult, run_pipeline
from adelt.run import events, workers
from adelt.settings import Settings
from adelt.window import Interval
from adelt_sources.warehouse import DuckDb

ARCHIVE = Interval(date(2024, 10, 29), date(2024, 11, 1))  # the last three days of the feed
DAYS = (date(2026, 1, 28), date(2026, 1, 29), date(2026, 1, 30))
FIRST_NOW = datetime(2026, 1, 29, 6, 0, tzinfo=UTC)
_PATIENCE = {"ADELT_POLL_MIN": "0.1", "ADELT_POLL_MAX": "1", "ADELT_RETRY_MIN": "0.1", "ADELT_RETRY_MAX": "2"}
_QUERIES = (
    (
        "Delivery and cost by day, platform and currency (costs of two currencies do not add up)",
        "SELECT report_date, platform, currency_code, sum(impressions) AS impressions, sum(clicks) AS clicks, "
        "sum(media_cost) AS media_cost "
        "FROM marts_ads.fct_delivery_daily GROUP BY ALL ORDER BY ALL",
    ),
    (
        "Line items that changed, with their validity",
        "SELECT line_item_id, line_item_name, is_active, valid_from, valid_to FROM marts_ads.dim_line_item "
        "QUALIFY count(*) OVER (PARTITION BY line_item_id) > 1 ORDER BY line_item_id, valid_from LIMIT 20",
    ),
    (
        "Where DV360 and CM360 count differently",
        "SELECT report_date, placement_id, dv360_impressions, cm360_impressions, impression_gap_pct, status "
        "FROM marts_ads.rec_dv360_cm360 WHERE status <> 'matched' ORDER BY abs(impression_gap) DESC LIMIT 20",
    ),
)


class Server(Protocol):
    """A running sandbox."""

    @property
    def env(self) -> dict[str, str]:
        """Variables that send clients to it."""

    def set_clock(self, now: datetime | str) -> None:
        """Move its clock."""

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Send it a request."""


def prepare(here: Settings, *, keep: bool) -> Settings:
    """Settings of the demonstration, with a fresh warehouse unless the last one is kept."""
    file = here.home / "demo.duckdb"
    if not keep:
        for suffix in ("", ".wal"):
            Path(f"{file}{suffix}").unlink(missing_ok=True)
    return replace(here, target="local", warehouse=DuckDb(file))


def run(
    here: Settings, server: Server, listeners: Sequence[events.Listener], *, quiet: bool
) -> list[RunResult]:
    """Run the archive and three days; ends at the first failure."""
    settings.export({**_PATIENCE, **server.env})
    settings.export_settings(here)
    here = replace(settings.load(), target=here.target, warehouse=here.warehouse)
    partners = [int(partner) for partner in server.request("GET", "/sandbox/health")["partner_ids"]]
    jobs: list[tuple[str, Interval, datetime]] = [("erf_archive", ARCHIVE, FIRST_NOW)]
    for day in DAYS:
        after = day + timedelta(days=1)
        jobs.append(
            ("daily", Interval(day, after), datetime(after.year, after.month, after.day, 6, tzinfo=UTC))
        )
    results = []
    with workers.opened(warm.server(here)) as forked:
        for name, interval, now in jobs:
            server.set_clock(now)
            if not quiet:
                print(f"\nThe sandbox's clock: {now:%Y-%m-%d %H:%M} UTC", file=sys.stderr, flush=True)
            results.append(
                run_pipeline(
                    here,
                    RunRequest(
                        definition=definition.find(name, here.project),
                        interval=interval,
                        inputs={"partners": partners},
                        trigger="demo",
                        workers=forked,
                    ),
                    listeners,
                )
            )
            if results[-1].exit_code:
                break
    return results


def counts(here: Settings) -> dict[str, int]:
    """Rows of every raw table and mart."""
    return {} if here.warehouse.is_gone else warehouse.row_counts(here.warehouse, ("raw_", "marts_"))


def queries(here: Settings) -> list[tuple[str, str]]:
    """Three questions, as commands to paste."""
    program = os.path.relpath(sys.argv[0]) if Path(sys.argv[0]).name == "adelt" else "adelt"
    file = os.path.relpath(str(here.warehouse))
    return [(title, f'{program} query --warehouse {file} "{sql}"') for title, sql in _QUERIES]

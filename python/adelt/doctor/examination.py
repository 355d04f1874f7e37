"""The whole examination, one check after the other."""

from collections.abc import Callable, Iterator
from functools import partial

from adelt import datasets, settings
from adelt.doctor import machine
from adelt.doctor.check import Check, told
from adelt.settings import Settings
from adelt_sources.warehouse import BigQuery, DuckDb


def examine(here: Settings, clock: Callable[[], float]) -> Iterator[Check]:
    """Check everything that a run needs; what cannot be checked without something that failed is skipped.

    Args:
        here: Settings: the project and the target.
        clock: Says the time, in seconds since 1970.
    """
    yield told("versions", machine.versions)
    yield told("project", lambda: machine.project(here))
    yield told("ledger", lambda: machine.ledger(here))
    yield told("disk", lambda: machine.disk(here))
    if isinstance(here.warehouse, DuckDb):
        warehouse = here.warehouse
        yield told("warehouse", lambda: machine.duckdb_file(warehouse))
    yield from _google(here, clock)


def _google(here: Settings, clock: Callable[[], float]) -> Iterator[Check]:
    from adelt.doctor import google  # late: Google's clients take a second to import

    session = google.Session(here, clock)
    yield told("clock", lambda: google.clock(session))
    who = told("credentials", lambda: google.identity(session))
    yield who
    rest: list[tuple[str, Callable[[], Check]]] = [
        ("scopes", lambda: google.scopes(session)),
        ("Display & Video 360 API v4", lambda: google.display_video(session)),
        ("Bid Manager API v2", lambda: google.bid_manager(session)),
        ("Campaign Manager 360 API v5", lambda: google.campaign_manager(session)),
        ("Entity Read Files", lambda: google.entity_read_files(session)),
    ]
    if who.status == "fail":
        names = [name for name, _ in rest] + (["BigQuery"] if isinstance(here.warehouse, BigQuery) else [])
        yield from (Check(name, "skip", "needs credentials") for name in names)
        return
    for name, check in rest:
        yield told(name, check)
    yield from _cloud(here)


def _cloud(here: Settings) -> Iterator[Check]:
    from adelt.doctor import cloud

    for name in cloud.buckets(here):
        yield told(f"bucket {name}", partial(cloud.bucket, here, name))
    if not isinstance(here.warehouse, BigQuery):
        return
    from adelt_sources.bigquery import connected

    wanted = datasets.names(here.warehouse, settings.schema_prefix())
    with connected(here.warehouse) as connection:
        yield told("BigQuery jobs", lambda: cloud.jobs(connection))
        located = told("BigQuery datasets", lambda: cloud.datasets(connection, wanted))
        yield located
        if located.status == "fail":
            yield Check("BigQuery rights", "skip", "needs datasets in the right place")
        else:
            yield told("BigQuery rights", lambda: cloud.rights(connection, wanted))

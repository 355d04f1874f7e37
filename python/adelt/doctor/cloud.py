"""Checks of the target in Google Cloud: its bucket, and what may be done in BigQuery."""

from collections.abc import Callable, Iterable
from functools import partial

from adelt.doctor.check import Check
from adelt.settings import Settings
from adelt_sources import probe
from adelt_sources.bigquery import Connection
from adelt_sources.errors import InputError
from adelt_sources.warehouse import BigQuery


def buckets(here: Settings) -> list[str]:
    """The buckets that runs of these settings write to."""
    found = [here.warehouse.bucket] if isinstance(here.warehouse, BigQuery) else []
    if here.landing.startswith("gs://"):
        found.append(here.landing.removeprefix("gs://").partition("/")[0])
    return sorted({name for name in found if name})


def bucket(here: Settings, name: str) -> Check:
    """Whether a bucket is where the target is, and objects can be written, read and deleted."""
    title = f"bucket {name}"
    location = probe.bucket_location(name, here.impersonate)
    wanted = here.warehouse.location if isinstance(here.warehouse, BigQuery) else ""
    if location and wanted and not _beside(location, wanted):
        return Check(
            title,
            "fail",
            f"it is in {location}, the target in {wanted}: BigQuery cannot load from there",
            "use a bucket in the target's location; one cannot be moved",
        )
    probe.write_and_delete(name, here.impersonate)
    return Check(
        title, "ok", f"objects can be written, read and deleted{f', in {location}' if location else ''}"
    )


def jobs(connection: Connection) -> Check:
    """Whether a query may be run."""
    connection.ask("SELECT 1")
    return Check("BigQuery jobs", "ok", f"queries run in {connection.warehouse.project}")


def datasets(connection: Connection, wanted: Iterable[str]) -> Check:
    """Whether the datasets there are are in the target's location."""
    title, wanted, place = "BigQuery datasets", list(wanted), connection.warehouse.location
    found = probe.dataset_locations(connection, wanted)
    elsewhere = {name: location for name, location in found.items() if location.upper() != place.upper()}
    if elsewhere:
        told = ", ".join(f"{name} is in {location}" for name, location in elsewhere.items())
        return Check(
            title,
            "fail",
            f"{told}; the target says {place}",
            "set `location` in deploy/targets.yml, or another `prefix`; a dataset cannot be moved",
        )
    missing = [name for name in wanted if name not in found]
    detail = f"{len(found)} of {len(wanted)} are there, in {place}"
    return Check(title, "ok", detail + (f"; made when needed: {', '.join(missing)}" if missing else ""))


def rights(connection: Connection, wanted: Iterable[str]) -> Check:
    """Whether datasets and tables may be made, by making and dropping one."""
    title, wanted = "BigQuery rights", list(wanted)
    refused = _refusal(lambda: probe.make_dataset(connection, connection.warehouse.prefix))
    if refused is None:
        return Check(title, "ok", "datasets and tables can be made and dropped")
    there = probe.dataset_locations(connection, wanted)
    missing = [name for name in wanted if name not in there]
    if missing:
        return Check(
            title,
            "fail",
            f"{refused.what}; there is no {', '.join(missing)} yet",
            "deploy/gcp/setup.sh makes the datasets, or grant roles/bigquery.user on the project; docs/roles.md",
        )
    for name in wanted:
        if refused := _refusal(partial(probe.make_table, connection, name)):
            return Check(
                title,
                "fail",
                f"{name}: {refused.what}",
                "grant roles/bigquery.dataEditor on the dataset (deploy/gcp/setup.sh does); docs/roles.md",
            )
    return Check(
        title, "ok", "tables can be made and dropped in every dataset; datasets cannot, and need not"
    )


def _refusal(do: Callable[[], None]) -> InputError | None:
    """Why something is not allowed; None if it is."""
    try:
        do()
    except InputError as error:
        return error
    return None


def _beside(bucket: str, dataset: str) -> bool:
    """Whether BigQuery loads from a bucket into a dataset: the same place, or a region of a multi-region's continent."""
    one, other = bucket.upper(), dataset.upper()
    return (
        one == other
        or (other == "EU" and one.startswith("EUROPE-"))
        or (other == "US" and one.startswith("US"))
    )

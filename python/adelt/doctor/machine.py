"""Checks of this machine: packages, the project, the ledger, the disk, the DuckDB file."""

import platform
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from importlib import metadata
from pathlib import Path

from adelt import targets
from adelt.doctor.check import Check
from adelt.settings import Settings
from adelt_sources.warehouse import DuckDb

# What the tests ran with (uv.lock); the parts of a version that are compared are those that may change what it does.
TESTED: Mapping[str, str] = {
    "dlt": "1.31.0",
    "dbt-core": "1.12.6",
    "dbt-duckdb": "1.11.1",
    "dbt-bigquery": "1.12.1",
    "duckdb": "1.5.6",
    "pyarrow": "26.0.1",
    "google-api-python-client": "2.202.0",
    "google-auth": "2.62.2",
    "google-cloud-bigquery": "3.47.0",
    "google-cloud-storage": "3.1.1",
}
PYTHONS = ("3.11", "3.12", "3.13")
_GB = 1e9
_LITTLE, _TOO_LITTLE = 5 * _GB, 0.5 * _GB


def versions(installed: Mapping[str, str] | None = None) -> Check:
    """Whether the packages are those that the tests ran with.

    Args:
        installed: Version of each package; those of this environment by default.
    """
    found = _installed() if installed is None else installed
    missing = [name for name in TESTED if name not in found]
    if missing:
        return Check(
            "versions", "fail", f"not installed: {', '.join(missing)}", "make setup, or pip install adelt"
        )
    python = platform.python_version()
    shown = ", ".join([f"python {python}", *(f"{name} {found[name]}" for name in TESTED)])
    others = [
        f"{name} {found[name]} (tested: {tested})"
        for name, tested in TESTED.items()
        if _differ(found[name], tested)
    ]
    if not python.startswith(tuple(f"{known}." for known in PYTHONS)):
        others.insert(0, f"python {python} (tested: {', '.join(PYTHONS)})")
    if others:
        return Check(
            "versions", "warn", f"not what was tested: {', '.join(others)}", "make setup installs uv.lock"
        )
    return Check("versions", "ok", shown)


def project(here: Settings) -> Check:
    """Whether the folder is a project, and its targets can be read."""
    missing = [name for name in ("pipelines", "dbt/dbt_project.yml") if not (here.project / name).exists()]
    if missing:
        return Check(
            "project",
            "fail",
            f"{here.project} has no {' and no '.join(missing)}",
            "run adelt in the folder of the project, or set ADELT_PROJECT",
        )
    names = ", ".join(targets.names(here.project))
    where = targets.FILE if (here.project / targets.FILE).exists() else f"no {targets.FILE}"
    return Check("project", "ok", f"{here.project}; targets: {names} ({where})")


def ledger(here: Settings) -> Check:
    """Whether the run history can be written."""
    fix = f"make {here.home} writable for this account, or set ADELT_HOME"
    try:
        here.home.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(here.ledger, timeout=10, isolation_level=None)) as con:
            con.execute("BEGIN IMMEDIATE")
            con.execute("CREATE TABLE doctor_was_here (a)")  # a read-only file lets a transaction begin
            con.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        busy = "locked" in str(error)
        return Check(
            "ledger",
            "fail",
            f"{here.ledger}: {error}",
            "run it again: a run is writing" if busy else fix,
            busy,
        )
    except (OSError, sqlite3.Error) as error:
        return Check("ledger", "fail", f"{here.ledger}: {error}", fix)
    return Check("ledger", "ok", str(here.ledger))


def disk(here: Settings, free: int | None = None) -> Check:
    """Whether there is room for reports on their way in.

    Args:
        here: Settings; the folder is `home`.
        free: Bytes that are free; asked of the system by default.
    """
    if free is None:
        there = next(path for path in (here.home, *here.home.parents) if path.exists())
        free = shutil.disk_usage(there).free
    detail = f"{free / _GB:.1f} GB free in {here.home}"
    fix = f"free some, or set ADELT_HOME; {here.home / 'work'} may be emptied when nothing runs"
    if free < _TOO_LITTLE:
        return Check("disk", "fail", detail, fix)
    return Check("disk", "warn", detail, fix) if free < _LITTLE else Check("disk", "ok", detail)


def duckdb_file(warehouse: DuckDb) -> Check:
    """Whether the DuckDB file can be opened; it is not waited for."""
    import duckdb

    from adelt_sources.lock import opened, warehouse_lock

    name, file = "warehouse", warehouse.file
    if warehouse.is_gone:
        if not _can_write(file.parent):
            return Check(
                name, "fail", f"{file} cannot be made", f"make {file.parent} writable, or set ADELT_WAREHOUSE"
            )
        return Check(name, "ok", f"{file} is made by the first load")
    try:
        with warehouse_lock(file, holder="doctor", on_wait=_busy), opened(file) as con:
            count = con.execute("SELECT count(*) FROM information_schema.tables").fetchone()
    except _BusyError as error:
        return Check(name, "skip", f"{file} is being written by {error}", "run it again later")
    except (duckdb.Error, OSError) as error:
        return Check(
            name,
            "fail",
            f"{file} cannot be opened: {' '.join(str(error).split())[:300]}",
            "close other programs that have it open, or set ADELT_WAREHOUSE; a file of a newer DuckDB needs that version",
        )
    return Check(name, "ok", f"{file}, {count[0] if count else 0} tables and views")


class _BusyError(Exception):
    """Somebody else has the warehouse."""


def _busy(holder: str) -> None:
    raise _BusyError(holder)


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".adelt-doctor"
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def _installed() -> dict[str, str]:
    found = {}
    for name in TESTED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _differ(one: str, other: str) -> bool:
    """Whether major or minor version differ."""
    return one.split(".")[:2] != other.split(".")[:2]

"""One writer at a time: the lock on a DuckDB warehouse file.

DuckDB lets one process open a database for writing and refuses every other. Tasks run in parallel up to the load;
the load, and a whole `dbt build`, take this lock and wait for their turn.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    import duckdb

# Of a file that is made now; DuckDB's own are twice as large. It takes several for each column that a small load touches,
# and most of that load's time was handling them. Still smaller ones make large loads take more memory, and compress worse.
BLOCK_SIZE = 131072
_LOOK_SECONDS = 0.01  # between looks at a lock that another process has


@contextmanager
def warehouse_lock(
    warehouse: Path, *, holder: str = "", on_wait: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the warehouse's write lock.

    The lock is the operating system's (released when a process dies, however it dies) on `<warehouse>.lock`.

    Args:
        warehouse: The DuckDB file.
        holder: Who takes it, for the message others see, for example `dv360_reports.standard`.
        on_wait: Called once, with the current holder, when somebody else has it.
    """
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{warehouse}.lock")
    note = Path(f"{warehouse}.lock.holder")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if on_wait:
            on_wait(_read_holder(note))
        lock.acquire(poll_interval=_LOOK_SECONDS)
    try:
        note.write_text(json.dumps({"holder": holder, "pid": os.getpid()}), "utf-8")
        yield
    finally:
        lock.release()


def opened(warehouse: Path) -> "duckdb.DuckDBPyConnection":
    """Open the warehouse for writing; it is made if it is missing. The caller holds its lock.

    Args:
        warehouse: The DuckDB file; its folder is there.
    """
    import duckdb  # late: planning and --help do not need it

    if warehouse.exists():  # and one process may have it open with one configuration only
        return duckdb.connect(warehouse)
    return duckdb.connect(warehouse, config={"default_block_size": str(BLOCK_SIZE)})


def _read_holder(note: Path) -> str:
    try:
        read = json.loads(note.read_text("utf-8"))
    except (OSError, ValueError):
        return "another process"
    return f"{read['holder'] or 'another process'} (pid {read['pid']})"

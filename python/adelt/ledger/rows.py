"""What goes into the ledger and what comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class NewRun:
    """A run about to begin."""

    id: str
    pipeline: str
    key: str
    digest: str
    environment: str
    interval_start: str
    interval_end: str
    inputs: Mapping[str, Any]
    code_version: str
    trigger: str = "manual"
    parent_run_id: str | None = None
    backfill_id: str | None = None


@dataclass(frozen=True)
class NewTask:
    """A task about to begin."""

    run_id: str
    pipeline: str
    task: str
    instance: str
    item: Mapping[str, Any]
    kind: str
    key: str
    digest: str
    environment: str


@dataclass(frozen=True)
class Claimed:
    """The task is ours to do.

    Attributes:
        id: Its task run.
        attempt: 1 for the first try in this run.
    """

    id: str
    attempt: int


@dataclass(frozen=True)
class Done:
    """The task has been done.

    Attributes:
        run_id: Run that did it.
        completed_at: When.
        outputs: What it put out.
        digest: Checksum of the task's definition at that time.
    """

    run_id: str
    completed_at: str
    outputs: Mapping[str, Any]
    digest: str


@dataclass(frozen=True)
class Held:
    """Another process is doing the same.

    Attributes:
        run_id: Its run.
        pid: Its process id.
        ending: Whether its run is over: its runner is dead, and it will end by itself in seconds.
    """

    run_id: str
    pid: int
    ending: bool = False


@dataclass(frozen=True)
class Experience:
    """What a task has taken so far.

    Attributes:
        runs: How often it succeeded.
        seconds: Seconds of one success, in the mean.
        requests: API to requests of one success, in the mean.
    """

    runs: int
    seconds: float
    requests: Mapping[str, float]


@dataclass(frozen=True)
class Operation:
    """One thing that a task did to an asset: a table loaded, a model built, a test run.

    Attributes:
        kind: INGESTION, MATERIALISATION, TEST, SEED, SNAPSHOT, QUERY, EXPORT, TRANSFER, PURGE or ALERT.
        asset: The table or model, for example `raw_dv360.line_item`; of an EXPORT or TRANSFER, the folder or file; of an
            ALERT, who was told.
        status: SUCCEEDED, WARNING, FAILED or SKIPPED.
        rows: Rows, where known.
        bytes: Bytes, where known.
        seconds: How long it took.
        external_id: Id in another system, for example of a report.
        message: What it said.
        details: More for the ledger; `materialized: view` says that the asset is a view.
    """

    kind: str
    asset: str
    status: str = "SUCCEEDED"
    rows: int | None = None
    bytes: int | None = None
    seconds: float | None = None
    external_id: str | None = None
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

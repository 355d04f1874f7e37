"""The `_report_runs` table: one row for each report that was run, whether it was loaded or refused."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from adelt_sources.catalog import Column, Scalar, TableSpec
from adelt_sources.report_file import ReportFile
from adelt_sources.report_rows import Checked
from adelt_sources.run import Download, Evidence, Run
from adelt_sources.types import arrow_schema

TABLE = "_report_runs"
COLUMNS = (
    Column("run_id", Scalar("text"), "Run that asked for the report"),
    Column("report", Scalar("text"), "Table the report is for"),
    Column("account_ids", Scalar("text"), "Accounts asked for, separated by commas"),
    Column("query_id", Scalar("text"), "Bid Manager query or CM360 report"),
    Column("report_id", Scalar("text"), "Bid Manager report or CM360 file"),
    Column("request_hash", Scalar("text"), "sha256 of the request without its dates"),
    Column("window_start", Scalar("date"), "First day asked for"),
    Column("window_end", Scalar("date"), "Day after the last day asked for"),
    Column("states", Scalar("json"), "States of the report with the time each was first seen"),
    Column("footer", Scalar("json"), "What the file says about itself"),
    Column("row_count", Scalar("bigint"), "Rows of the report"),
    Column("bytes", Scalar("bigint"), "Size of the file"),
    Column("sha256", Scalar("text"), "Checksum of the file"),
    Column("totals", Scalar("json"), "The report's own totals row by column; null if it has none"),
    Column("status", Scalar("text"), "loaded, or failed"),
    Column("message", Scalar("text"), "Why it failed"),
    Column("started_at", Scalar("timestamp"), "When the report was asked for"),
    Column("finished_at", Scalar("timestamp"), "When it was checked or given up"),
)


def table_spec(report: TableSpec) -> TableSpec:
    """The table's declaration, beside that of a report."""
    return TableSpec(
        source=report.source,
        name=TABLE,
        dataset=report.dataset,
        table=TABLE,
        description="One row for each report that was run, whether it was loaded or refused",
        key=("report_id",),
        write="append",
        account="",
        date="",
        columns=COLUMNS,
        partition_by="",
        cluster_by=("report",),
        lookback_days=0,
    )


def request_hash(request: Mapping[str, Any]) -> str:
    """A stable hash of a request, to recognise the same report again."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


@dataclass
class ReportRun:
    """Collects what happens to one report; `row` is what ends up in the table."""

    run: Run
    spec: TableSpec
    account_ids: list[int]
    request_hash: str
    query_id: str = ""
    report_id: str = ""
    states: list[dict[str, str]] = field(default_factory=list)
    download: Download | None = None
    file: ReportFile | None = None
    checked: Checked | None = None
    message: str = ""

    def saw(self, state: str) -> None:
        """Note a state of the report the first time it is seen."""
        if not self.states or self.states[-1]["state"] != state:
            self.states.append({"state": state, "at": datetime.now(UTC).isoformat(timespec="milliseconds")})

    @property
    def facts(self) -> dict[str, Any]:
        """What is needed, beside the file, to parse the report again."""
        return {
            "account_ids": self.account_ids,
            "request_hash": self.request_hash,
            "query_id": self.query_id,
            "report_id": self.report_id,
            "states": self.states,
        }

    @classmethod
    def of(cls, run: Run, spec: TableSpec, evidence: Evidence) -> "ReportRun":
        """The report that a kept file is of."""
        return cls(run, spec, **evidence.facts)

    def row(self) -> dict[str, Any]:
        """The row for the table."""
        totals = None
        if self.file and self.file.totals:
            metrics = self.spec.role("metric")
            cells = self.file.totals[len(self.spec.role("dimension")) :]
            totals = json.dumps({c.name: cell for c, cell in zip(metrics, cells, strict=False)})
        return {
            "run_id": self.run.id,
            "report": self.spec.name,
            "account_ids": ",".join(map(str, self.account_ids)),
            "query_id": self.query_id or None,
            "report_id": self.report_id or None,
            "request_hash": self.request_hash,
            "window_start": self.run.start,
            "window_end": self.run.end,
            "states": json.dumps(self.states),
            "footer": json.dumps(self.file.footer) if self.file else None,
            "row_count": self.checked.rows if self.checked else None,
            "bytes": self.download.bytes if self.download else None,
            "sha256": self.download.sha256 if self.download else None,
            "totals": totals,
            "status": "failed" if self.message else "loaded",
            "message": self.message or None,
            "started_at": self.run.started_at,
            "finished_at": datetime.now(UTC),
        }


def write(rows: list[dict[str, Any]], target: Path) -> Path:
    """Write rows of the table as a Parquet file."""
    pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema(COLUMNS)), target)
    return target

"""The action `ingest`: one table of one source for one window."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from adelt.definition.templates import as_text
from adelt.errors import InputError
from adelt.ledger.rows import Operation
from adelt.settings import Settings, secret
from adelt.steps.context import Context, StepResult
from adelt.window import Interval

if TYPE_CHECKING:
    from adelt_sources.ingest import IngestResult
    from adelt_sources.landing import Landing


def run(
    settings: Settings,
    *,
    source: str,
    table: str,
    params: Mapping[str, Any],
    window: Interval,
    run_id: str,
    on_progress: Callable[[Any], None],
) -> "IngestResult":
    """Bring the table; its rows of the window are then exactly the source's.

    Args:
        settings: Where the warehouse is.
        source: Source.
        table: Table of the source.
        params: Parameters of the source; a list becomes `1,2,3`.
        window: Days to bring.
        run_id: Ends up in `_run_id` of every row.
        on_progress: Called with news.

    Raises:
        SourceError: It did not work; the warehouse is as it was.
    """
    from adelt_sources.catalog import table_spec

    table_spec(source, table)  # a misspelt name is told before dlt and DuckDB are imported
    from adelt_sources.ingest import Ingest, ingest
    from adelt_sources.run import Patience

    job = Ingest(
        source=source,
        table=table,
        start=window.start,
        end=window.end,
        run_id=run_id,
        warehouse=settings.warehouse,
        work_dir=settings.home / "work",
        params={name: as_text(value) for name, value in params.items()},
        google_endpoint=settings.google_endpoint,
        patience=Patience(**{**settings.patience, **_attempts(settings.patience)}),  # type: ignore[arg-type]
        landing=landing_of(settings) if settings.landing else None,
        secret=secret,
    )
    return ingest(job, on_progress)


def landing_of(settings: Settings) -> "Landing":
    """Where files are kept as they came.

    Raises:
        InputError: They are not kept.
    """
    from adelt_sources.landing import Landing

    if not settings.landing:
        raise InputError(
            "the files of sources are not kept here",
            where="ADELT_LANDING",
            fix="set it to a folder or gs://BUCKET/landing; what is ingested from then on can be replayed",
        )
    return Landing(settings.landing, settings.impersonate)


def _attempts(patience: Mapping[str, float]) -> dict[str, int]:
    return {"attempts": int(patience["attempts"])} if "attempts" in patience else {}


def step(context: Context) -> StepResult:
    """Do an `ingest` task for the plan's window."""
    action = context.action

    def progress(news: Any) -> None:
        context.progress(news.phase, news.message, news.rows, news.bytes, news.total_bytes)

    result = run(
        context.settings,
        source=str(action["source"]),
        table=str(action["table"]),
        params=action["params"],
        window=context.plan.window,
        run_id=context.run_id,
        on_progress=progress,
    )
    for warning in result.warnings:
        print(f"warning {warning}")
    return summary(result, context.plan.window)


def summary(result: "IngestResult", window: Interval) -> StepResult:
    """What an ingest did, as the ledger notes it."""
    ids = [str(row.get("report_id") or row.get("query_id") or "") for row in result.report_runs]
    operation = Operation(
        "INGESTION",
        f"{result.dataset}.{result.table}",
        rows=result.rows,
        bytes=result.bytes,
        seconds=sum(result.seconds.values()),
        external_id=",".join(filter(None, ids)) or None,
        message="; ".join(result.warnings),
        details={"seconds": dict(result.seconds), "window": str(window), **result.cost},
    )
    message = f"{result.dataset}.{result.table}: {result.rows:,} rows"
    if result.warnings:
        message += f", {len(result.warnings)} warning{'s' * (len(result.warnings) > 1)}"
    return StepResult(
        message,
        result.rows,
        result.bytes,
        outputs={"rows": result.rows, "bytes": result.bytes},
        operations=(operation,),
        metrics={
            "seconds": dict(result.seconds),
            "warnings": len(result.warnings),
            "requests": dict(result.requests),
        },
    )

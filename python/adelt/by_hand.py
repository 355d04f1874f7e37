"""What somebody does to one table by hand, as a run of its own in the ledger: `adelt ingest` and `adelt replay`.

The run says nothing about what pipelines have done: its task has a key that no task of a pipeline has.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adelt import __version__, ids, settings
from adelt.engine import heartbeat, open_ledger
from adelt.errors import exit_code, one_line
from adelt.ledger import Claimed, NewRun, NewTask, Operation
from adelt.redact import Redactor
from adelt.settings import Settings
from adelt.steps import ingest
from adelt.steps.context import StepResult
from adelt.window import Interval

if TYPE_CHECKING:
    from adelt_sources.ingest import IngestResult
    from adelt_sources.replay import Replay, Step

INGEST, REPLAY = "adelt ingest", "adelt replay"  # the names of no pipelines: those have no blanks


def run_ingest(
    here: Settings,
    *,
    source: str,
    table: str,
    params: Mapping[str, Any],
    window: Interval,
    on_progress: Callable[[Any], None],
) -> "IngestResult":
    """Bring the table, and write down how it went.

    Args:
        here: Settings.
        source: Source.
        table: Table of the source.
        params: Parameters of the source.
        window: Days to bring.
        on_progress: Called with news.

    Raises:
        SourceError: It did not work; the warehouse is as it was. A table that there is not leaves no run.
        InputError: It would cost more than the target allows a run.
    """
    with _noted(here, INGEST, source, table, params, window) as run:
        result = ingest.run(
            here, source=source, table=table, params=params, window=window, run_id=run.id,
            on_progress=on_progress,
        )  # fmt: skip
        run.done = ingest.summary(result, window)
    return result


def run_replay(
    here: Settings,
    *,
    source: str,
    table: str,
    window: Interval,
    of_run: str,
    on_progress: Callable[[Any], None],
) -> "list[Step]":
    """Load again what was kept of the table, and write down how it went.

    Args:
        here: Settings.
        source: Source.
        table: Table of the source.
        window: Days to load.
        of_run: Only the files of this run; empty is every run's.
        on_progress: Called with news.

    Raises:
        SourceError: It did not work; what was loaded before is complete. A table that there is not leaves no run.
        InputError: Nothing is kept of these days, it does not fit, or would cost more than the target allows a run.
    """
    from adelt_sources import replay
    from adelt_sources.catalog import table_spec

    job = replay_job(here, source=source, table=table, window=window, of_run=of_run)
    with _noted(here, REPLAY, source, table, {"run": of_run} if of_run else {}, window) as run:
        steps = replay.replay(job, on_progress)
        loaded = [step for step in steps if not step.is_left_out]
        rows, asset = sum(step.rows or 0 for step in loaded), table_spec(source, table).qualified
        run.done = StepResult(
            f"{asset}: {rows:,} rows of {len(loaded)} run{'s' * (len(loaded) != 1)}",
            rows,
            outputs={"rows": rows},
            operations=(
                Operation(
                    "INGESTION",
                    asset,
                    rows=rows,
                    external_id=",".join(step.kept.run_id for step in loaded),
                    details={"window": str(window)},
                ),
            ),
        )
    return steps


def replay_job(here: Settings, *, source: str, table: str, window: Interval, of_run: str) -> "Replay":
    """What a replay does, as its source knows it.

    Raises:
        InputError: Files of sources are not kept here.
    """
    from adelt_sources.replay import Replay

    return Replay(
        source=source,
        table=table,
        start=window.start,
        end=window.end,
        id=ids.new_id(),
        landing=ingest.landing_of(here),
        warehouse=here.warehouse,
        work_dir=here.home / "work",
        run_id=of_run,
    )


@dataclass
class _Run:
    id: str
    done: StepResult | None = None


@contextmanager
def _noted(
    here: Settings, pipeline: str, source: str, table: str, inputs: Mapping[str, Any], window: Interval
) -> Iterator[_Run]:
    """A run of one task while the block runs; the block says what was done."""
    from adelt_sources.catalog import table_spec

    table_spec(source, table)
    ledger = open_ledger(here)
    if here.warehouse.is_gone:
        ledger.forget(here.environment)
    run, name, days = _Run(ids.new_id()), f"{source}.{table}", (str(window.start), str(window.end))
    ledger.ensure_run(NewRun(run.id, pipeline, run.id, "", here.environment, *days, inputs, __version__))
    claim = ledger.claim_task(
        NewTask(run.id, pipeline, name, name, {}, "ingest", run.id, "", here.environment)
    )
    assert isinstance(claim, Claimed)  # nobody else has its key
    status, code, message = "FAILED", 1, ""
    try:
        with heartbeat(ledger):
            if here.warehouse.max_run_bytes is not None:
                from adelt import cost  # late: most targets have no limit

                cost.check_ingest(here, source, table, window)
            yield run
        assert run.done is not None
        status, code, message = "SUCCEEDED", 0, run.done.message
    except KeyboardInterrupt:
        status, code, message = "CANCELLED", 130, "stopped"
        raise
    except Exception as error:
        code, message = exit_code(error), one_line(error)
        raise
    finally:
        message = Redactor(settings.secret_values()).clean(message)
        done = run.done or StepResult()
        ledger.finish_task(
            claim.id, status, code, message,
            metrics={"rows": done.rows, "bytes": done.bytes, **done.metrics} if run.done else {},
            outputs=done.outputs,
            operations=done.operations,
        )  # fmt: skip
        ledger.finish_run(run.id, status, "" if run.done else message)

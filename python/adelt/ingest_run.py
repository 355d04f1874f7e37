"""One table that somebody brings by hand, as a run of its own in the ledger: what `adelt ingest` calls.

The run says nothing about what pipelines have done: its task has a key that no task of a pipeline has.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from adelt import __version__, ids, settings
from adelt.engine import heartbeat, open_ledger
from adelt.errors import exit_code, one_line
from adelt.ledger import Claimed, NewRun, NewTask
from adelt.redact import Redactor
from adelt.settings import Settings
from adelt.steps import ingest
from adelt.window import Interval

if TYPE_CHECKING:
    from adelt_sources.ingest import IngestResult

PIPELINE = "adelt ingest"  # the name of no pipeline: those have no blanks


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
    from adelt_sources.catalog import table_spec

    table_spec(source, table)
    ledger = open_ledger(here)
    if here.warehouse.is_gone:
        ledger.forget(here.environment)
    run_id, name, days = ids.new_id(), f"{source}.{table}", (str(window.start), str(window.end))
    ledger.ensure_run(NewRun(run_id, PIPELINE, run_id, "", here.environment, *days, params, __version__))
    claim = ledger.claim_task(
        NewTask(run_id, PIPELINE, name, name, {}, "ingest", run_id, "", here.environment)
    )
    assert isinstance(claim, Claimed)  # nobody else has its key
    status, code, message, done = "FAILED", 1, "", None
    try:
        with heartbeat(ledger):
            if here.warehouse.max_run_bytes is not None:
                from adelt import cost  # late: most targets have no limit

                cost.check_ingest(here, source, table, window)
            result = ingest.run(
                here, source=source, table=table, params=params, window=window, run_id=run_id,
                on_progress=on_progress,
            )  # fmt: skip
        done = ingest.summary(result, window)
        status, code, message = "SUCCEEDED", 0, done.message
    except KeyboardInterrupt:
        status, code, message = "CANCELLED", 130, "stopped"
        raise
    except Exception as error:
        code, message = exit_code(error), one_line(error)
        raise
    finally:
        message = Redactor(settings.secret_values()).clean(message)
        ledger.finish_task(
            claim.id, status, code, message,
            metrics={"rows": done.rows, "bytes": done.bytes, **done.metrics} if done else {},
            outputs=done.outputs if done else {},
            operations=done.operations if done else (),
        )  # fmt: skip
        ledger.finish_run(run_id, status, "" if done else message)
    return result

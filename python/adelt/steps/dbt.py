"""The action `dbt`: dbt in this process, on the warehouse's lock, its results in the ledger."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any

from adelt import raw_tables, settings
from adelt.datasets import dbt_variables
from adelt.definition.templates import as_text
from adelt.ledger.rows import Operation
from adelt.steps.context import Context, StepError, StepResult
from adelt_sources.warehouse import DuckDb

_KINDS = {
    "model": "MATERIALISATION",
    "seed": "SEED",
    "snapshot": "SNAPSHOT",
    "test": "TEST",
    "unit_test": "TEST",
}
_WORDS = {
    "MATERIALISATION": ("model", "models"),
    "SEED": ("seed", "seeds"),
    "SNAPSHOT": ("snapshot", "snapshots"),
    "TEST": ("test", "tests"),
    "QUERY": ("operation", "operations"),
}
_STATUSES = {
    "success": "SUCCEEDED",
    "pass": "SUCCEEDED",
    "warn": "WARNING",
    "skipped": "SKIPPED",
    "no-op": "SKIPPED",
    "partial success": "WARNING",
}


def step(context: Context) -> StepResult:
    """Run the command in the project's `dbt` folder.

    Raises:
        StepError: Models or tests failed (exit code 1), or dbt could not begin (exit code 2).
    """
    folder = context.settings.project / "dbt"
    if not (folder / "dbt_project.yml").exists():
        raise context.bad("there is no dbt project", f"expected {folder / 'dbt_project.yml'}")
    settings.export_settings(context.settings)
    settings.export({**_variables(context), **context.env})
    with _alone(context):
        raw_tables.ensure(context.settings.warehouse)
        context.tell("dbt", "reading the project")
        result = _invoke(context, _words(context))
    nodes = list(getattr(result.result, "results", None) or [])
    operations = tuple(_operation(node) for node in nodes)
    if result.exception is not None:
        raise StepError(
            f"dbt could not run: {context.clean(str(result.exception))}",
            where=context.where,
            fix="the task's log has dbt's own output",
            exit_code=2,
            operations=operations,
        )
    failed = [operation for operation in operations if operation.status == "FAILED"]
    if not result.success:
        first = failed[0] if failed else None
        raise StepError(
            f"{len(failed)} of {len(operations)} dbt nodes failed"
            + (f"; first {first.asset}: {context.clean(first.message)}" if first else ""),
            where=context.where,
            fix="the task's log has dbt's own output",
            operations=operations,
        )
    counts = {
        kind: sum(operation.kind == kind for operation in operations)
        for kind in sorted({o.kind for o in operations})
    }
    warned = sum(operation.status == "WARNING" for operation in operations)
    message = ", ".join(f"{count} {_WORDS[kind][count != 1]}" for kind, count in counts.items())
    if warned:
        message += f", {warned} warning{'s' * (warned != 1)}"
    return StepResult(message, operations=operations, metrics=counts)


@contextmanager
def _alone(context: Context) -> Iterator[None]:
    """Hold the lock of the DuckDB file, or that of dbt on this machine: a model's table of new rows has a fixed name."""
    from adelt_sources.lock import warehouse_lock

    here = context.settings
    with warehouse_lock(
        here.warehouse.file if isinstance(here.warehouse, DuckDb) else here.home / "dbt" / here.target,
        holder=context.where,
        on_wait=lambda who: context.tell("wait", f"the warehouse is used by {who}"),
    ):
        yield


def _variables(context: Context) -> dict[str, str]:
    """What dbt/profiles.yml and the models read about the run and its target."""
    run = {"ADELT_RUN_ID": context.run_id}
    warehouse = context.settings.warehouse
    return run if isinstance(warehouse, DuckDb) else run | dbt_variables(warehouse, settings.schema_prefix())


def _words(context: Context) -> list[str]:
    action, home = context.action, context.settings.home / "dbt"
    folder = str(context.settings.project / "dbt")
    words = [*str(action["command"]).split(), "--project-dir", folder, "--profiles-dir", folder]
    kind = "local" if isinstance(context.settings.warehouse, DuckDb) else "bigquery"
    words += ["--target", kind]
    words += ["--target-path", str(home / context.settings.target), "--log-path", str(home / "logs")]
    words += ["--no-use-colors", "--no-send-anonymous-usage-stats"]
    for name in ("select", "exclude"):
        if action[name]:
            words += [f"--{name}", *str(action[name]).split()]
    if action["vars"]:
        words += ["--vars", json.dumps(action["vars"], default=_plain)]
    if as_text(action["full_refresh"]).lower() == "true":
        words.append("--full-refresh")
    if action["threads"]:
        words += ["--threads", str(action["threads"])]
    return words


def _invoke(context: Context, words: list[str]) -> Any:
    from dbt.cli.main import dbtRunner

    counted = 0

    def news(event: Any) -> None:
        nonlocal counted
        if event.info.name in ("LogModelResult", "LogTestResult", "LogSnapshotResult", "LogSeedResult"):
            counted += 1
            total = getattr(event.data, "total", 0) or getattr(event.data, "num_models", 0)
            context.tell("dbt", f"{counted} of {total} nodes, last {event.data.node_info.node_name}")

    return dbtRunner(callbacks=[news]).invoke(words)


def _operation(node: Any) -> Operation:
    resource = str(getattr(node.node.resource_type, "value", node.node.resource_type))
    status = _STATUSES.get(str(getattr(node.status, "value", node.status)), "FAILED")
    response: Mapping[str, Any] = node.adapter_response or {}
    rows = response.get("rows_affected")
    cost = {
        name: response[key]
        for name, key in (("bytes_billed", "bytes_billed"), ("slot_ms", "slot_ms"), ("jobs", "job_id"))
        if response.get(key)
    }
    return Operation(
        _KINDS.get(resource, "QUERY"),
        _asset(node.node, resource),
        status,
        rows=rows if isinstance(rows, int) and rows >= 0 else None,
        seconds=node.execution_time,
        external_id=node.node.unique_id,
        message=" ".join(str(node.message or "").split())[:500] if status != "SUCCEEDED" else "",
        details=cost,
    )


def _asset(node: Any, resource: str) -> str:
    if resource in ("model", "seed", "snapshot"):
        return f"{node.schema}.{getattr(node, 'alias', None) or node.name}"
    return str(node.name)


def _plain(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(type(value).__name__)

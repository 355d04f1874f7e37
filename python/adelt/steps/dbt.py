"""The action `dbt`: dbt in this process, on the warehouse's lock, its results in the ledger."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

from adelt import dbt_graph, raw_tables, settings
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
_NEVER_ANEW = ("test", "snapshot")  # parts that know no --full-refresh
_PARSED = "partial_parse.msgpack"
_STATUSES = {
    "success": "SUCCEEDED",
    "pass": "SUCCEEDED",
    "warn": "WARNING",
    "skipped": "SKIPPED",
    "no-op": "SKIPPED",
    "partial success": "WARNING",
}


def step(context: Context) -> StepResult:
    """Run the command in the project's `dbt` folder, or of it the part that is asked for.

    Raises:
        StepError: Models or tests failed (exit code 1), or dbt could not begin (exit code 2).
        InputError: The nodes are not those that an engine made tasks of.
    """
    if context.part and context.part.last:
        return StepResult("every part of it is done")
    folder = context.settings.project / "dbt"
    if not (folder / "dbt_project.yml").exists():
        raise context.bad("there is no dbt project", f"expected {folder / 'dbt_project.yml'}")
    settings.export_settings(context.settings)
    settings.export({**_variables(context), **context.env})
    with _alone(context):
        raw_tables.ensure(context.settings.warehouse)
        context.tell("dbt", "reading the project")
        result = _invoke(context, [*_command(context), *_places(context)])
    if context.part and context.part.graph and result.success:
        there = dbt_graph.listed(result.result)
        dbt_graph.check(context.part.graph, there, context.where)
        return StepResult(f"{len(there)} nodes, as expected")
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


def _command(context: Context) -> list[str]:
    """What dbt does."""
    action, part = context.action, context.part
    if part and part.graph:
        return dbt_graph.list_words(str(action["select"]), str(action["exclude"]))
    words = list(part.words) if part else str(action["command"]).split()
    for name in ("select", "exclude"):
        if action[name] and not part:
            words += [f"--{name}", *str(action[name]).split()]
    anew = as_text(action["full_refresh"]).lower() == "true"
    if anew and not (part and words[0] in _NEVER_ANEW):
        words.append("--full-refresh")
    if action["threads"]:
        words += ["--threads", str(action["threads"])]
    return words


def _places(context: Context) -> list[str]:
    """Where dbt finds and leaves things, and for which variables."""
    action, home, part = context.action, context.settings.home / "dbt", context.part
    folder, usual = str(context.settings.project / "dbt"), home / context.settings.target
    kind = "local" if isinstance(context.settings.warehouse, DuckDb) else "bigquery"
    words = ["--project-dir", folder, "--profiles-dir", folder, "--target", kind]
    target = part.folder / "target" if part and part.folder else usual
    if target != usual:
        _lend(usual / _PARSED, target / _PARSED)
    words += ["--target-path", str(target), "--log-path", str(home / "logs")]
    words += ["--no-use-colors", "--no-send-anonymous-usage-stats"]
    if action["vars"]:
        words += ["--vars", json.dumps(action["vars"], default=_plain)]
    return words


def _lend(parsed: Path, to: Path) -> None:
    """Give dbt what it read of the project the last time: reading it anew takes seconds."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        shutil.copyfile(parsed, to)


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
    details = {
        name: response[key]
        for name, key in (("bytes_billed", "bytes_billed"), ("slot_ms", "slot_ms"), ("jobs", "job_id"))
        if response.get(key)
    }
    if resource == "model":
        details["materialized"] = str(node.node.config.materialized)
    return Operation(
        _KINDS.get(resource, "QUERY"),
        _asset(node.node, resource),
        status,
        rows=rows if isinstance(rows, int) and rows >= 0 else None,
        seconds=node.execution_time,
        external_id=node.node.unique_id,
        message=" ".join(str(node.message or "").split())[:500] if status != "SUCCEEDED" else "",
        details=details,
    )


def _asset(node: Any, resource: str) -> str:
    if resource in ("model", "seed", "snapshot"):
        return f"{node.schema}.{getattr(node, 'alias', None) or node.name}"
    return str(node.name)


def _plain(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(type(value).__name__)

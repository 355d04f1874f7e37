"""One task in this process: claim it, do it, write down how it went. What `adelt task` calls, under every engine."""

import contextlib
import json
import os
import re
import signal
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adelt import __version__, parts, plan, secrets, settings
from adelt.definition import Definition
from adelt.definition.templates import as_text
from adelt.engine import heartbeat, log_path, open_ledger, outputs_of
from adelt.errors import InputError, did_you_mean, exit_code, is_told, one_line
from adelt.ledger import Claimed, Done, Held, Ledger, NewRun, Operation
from adelt.lifeline import stoppable
from adelt.parts import Part
from adelt.plan import Group, Plan, PlannedTask
from adelt.plan.plan import secrets_of
from adelt.redact import Redactor
from adelt.run.workers import Workers
from adelt.settings import Handover, Settings
from adelt.steps.context import Context, StepResult, Stopped
from adelt.taskclaim import claimed, place
from adelt.tasklog import Clean, Reporter, logging
from adelt.window import Interval

BUSY = 75  # sysexits: EX_TEMPFAIL
_MOST_OUTPUT = 64 * 1024
_FOR_OTHERS = re.compile(r"(^|_)(raw|marts)_\w+\.")  # datasets, behind a prefix or not
_WRITES = ("INGESTION", "MATERIALISATION", "SEED", "SNAPSHOT")  # operations whose asset is a table


@dataclass(frozen=True)
class TaskRequest:
    """Which task to do.

    Attributes:
        definition: The pipeline.
        task: Name of the task.
        item: Values of its matrix item, as text.
        interval: What the run is for.
        inputs: Inputs that are given.
        run_id: The run it belongs to.
        force: Do it although it is done.
        if_changed: Do it although it is done if its definition has changed since.
        again: Do it although it is done if it was this very run that did it.
        outputs: Outputs of earlier tasks that the engine hands on, as `task.name`; they go before those of the ledger.
        part: Of a dbt task only this; None is all of it.
    """

    definition: Definition
    task: str
    item: Mapping[str, str]
    interval: Interval
    inputs: Mapping[str, Any]
    run_id: str
    force: bool = False
    if_changed: bool = False
    again: bool = False
    outputs: Mapping[str, str] = field(default_factory=dict)
    part: Part | None = None


@dataclass(frozen=True)
class TaskResult:
    """How a task ended.

    Attributes:
        task: Task with its item.
        status: SUCCEEDED, DONE, FAILED or CANCELLED.
        exit_code: 0, 1 (a retry may help), 2 (it cannot), 75 (someone else is at it) or 143 (stopped).
        message: One line.
        run_id: The run; for DONE the run that did it.
        log: The log file; empty if nothing ran.
        error: The whole error, if there was one.
        outputs: What it hands on to later tasks.
        assets: Tables that it wrote, as dataset.table.
    """

    task: str
    status: str
    exit_code: int
    message: str
    run_id: str
    log: str = ""
    error: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    assets: tuple[str, ...] = ()


def run_task(here: Settings, request: TaskRequest, handover: Handover) -> TaskResult:
    """Do one task, or find that it is done.

    Args:
        here: Settings.
        request: The task.
        handover: What the runner that started this process left, if there is one.

    Raises:
        InputError: There is no such task or item.
    """
    made = plan.make_plan(request.definition, request.interval, request.inputs, here.environment)
    ledger = open_ledger(here)
    task = whole = _find(request, made, ledger)
    if request.part:
        if whole.kind != "dbt":
            raise InputError(
                f"task `{whole.id}` has no parts", where=f"{request.definition.path}", fix="it is not dbt"
            )
        task = parts.planned(whole, request.part)
    ledger.ensure_run(_new_run(request, made))
    if here.warehouse.is_gone:
        ledger.forget(here.environment)
    claim, request = claimed(ledger, request, made, task, whole, here.project)
    if not isinstance(claim, Claimed):
        ledger.settle_run(request.run_id)
        result = _not_ours(task, claim)
        Reporter(handover.events, made.pipeline, request.run_id, task.id).finished(result, StepResult())
        return result
    with heartbeat(ledger):
        result = _perform(here, request, handover, made, task, claim, ledger)
    ledger.settle_run(request.run_id)
    return result


def _new_run(request: TaskRequest, made: Plan) -> NewRun:
    return NewRun(
        id=request.run_id,
        pipeline=made.pipeline,
        key=made.key,
        digest=made.digest,
        environment=made.environment,
        interval_start=str(made.interval.start),
        interval_end=str(made.interval.end),
        inputs=made.inputs,
        code_version=__version__,
        trigger="task",
    )


def _find(request: TaskRequest, made: Plan, ledger: Ledger) -> PlannedTask:
    where = f"{request.definition.path}"
    groups = {group.name: group for group in made.groups}
    if request.task not in groups:
        raise InputError(
            f"pipeline `{made.pipeline}` has no task `{request.task}`",
            where=where,
            fix=did_you_mean(request.task, groups, otherwise="tasks"),
        )
    group = groups[request.task]
    tasks = group.tasks if group.tasks is not None else _expanded(request, made, group, ledger)
    wanted = dict(request.item)
    for task in tasks:
        if {name: as_text(value) for name, value in task.item.items()} == wanted:
            return task
    shown = ",".join(f"{name}={value}" for name, value in wanted.items()) or "no --matrix"
    known = [plan.item_id(task.item) for task in tasks]
    raise InputError(
        f"task `{request.task}` has no item {shown}",
        where=where,
        fix=did_you_mean(shown, known, otherwise="items") if any(known) else "it has no matrix",
    )


def _expanded(request: TaskRequest, made: Plan, group: Group, ledger: Ledger) -> tuple[PlannedTask, ...]:
    return plan.instances(request.definition, made, group, _outputs(request, made, ledger)) or ()


def _outputs(request: TaskRequest, made: Plan, ledger: Ledger) -> dict[str, Any]:
    """Outputs of earlier tasks: those of the ledger, and those that the engine hands on."""
    needs = request.definition.pipeline.tasks[request.task].needs  # without them it may name no output
    result = outputs_of(ledger, made, request.definition) if needs else {}
    for name, text in request.outputs.items():
        task, dot, key = name.partition(".")
        if not dot or task not in request.definition.pipeline.tasks or not key.isidentifier():
            known = [f"{task}.NAME" for task in request.definition.pipeline.tasks]
            raise InputError(f"`{name}` is no output", where="--output", fix=did_you_mean(name, known))
        result[task] = {**result.get(task, {}), key: _json_or_text(text)}
    return result


def _not_ours(task: PlannedTask, claim: Done | Held) -> TaskResult:
    if isinstance(claim, Done):
        message = f"done by run {claim.run_id} at {claim.completed_at}"
        return TaskResult(task.id, "DONE", 0, message, claim.run_id, outputs=claim.outputs)
    message = f"run {claim.run_id} (process {claim.pid}) is doing it now"
    return TaskResult(task.id, "FAILED", BUSY, message, claim.run_id, error=message)


def _perform(
    here: Settings,
    request: TaskRequest,
    handover: Handover,
    made: Plan,
    task: PlannedTask,
    claim: Claimed,
    ledger: Ledger,
) -> TaskResult:
    from adelt.steps.registry import perform

    log = handover.log or log_path(here, request.run_id, task.id, claim.attempt)
    ledger.set_log(claim.id, log)
    reporter = Reporter(handover.events, made.pipeline, request.run_id, task.id)
    output = here.home / "work" / f"{claim.id}.output"
    output.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    done = StepResult()
    operations: tuple[Any, ...] = ()
    outputs: dict[str, Any] = {}
    redactor = Redactor(settings.secret_values())
    error_text = ""
    with (
        stoppable(handover) as runner_died,
        logging(redactor, log, tee=handover.log is None) as clean,
    ):
        try:
            context = _context(here, request, handover, made, task, claim, ledger, output, reporter, clean)
            if here.warehouse.max_run_bytes is not None:
                from adelt import cost  # late: most targets have no limit

                cost.check_task(here, made, task, context.action)
            with contextlib.ExitStack() as held:
                if handover.lifeline is None:  # else the runner holds its place
                    held.enter_context(
                        place(ledger, made, task, request.run_id, lambda why: context.tell("wait", why))
                    )
                done = perform(context)
            outputs = {**done.outputs, **_read_output(output, context)}
            message = clean.redactor.clean(done.message)
            status, code, operations = "SUCCEEDED", 0, done.operations
        except (Stopped, KeyboardInterrupt):
            status, code, message = "CANCELLED", 128 + signal.SIGTERM, "stopped"
        except Exception as error:
            status, code, message = "FAILED", exit_code(error), clean.redactor.clean(one_line(error))
            operations = tuple(getattr(error, "operations", ()))
            error_text = clean.redactor.clean(str(error) if is_told(error) else traceback.format_exc())
            print(error_text)
    output.unlink(missing_ok=True)
    ledger.finish_task(
        claim.id,
        status,
        code,
        message,
        metrics={
            "rows": done.rows,
            "bytes": done.bytes,
            "total_seconds": time.monotonic() - begun,
            **done.metrics,
        },
        outputs=outputs,
        operations=operations,
    )
    if request.part and request.part.last:
        operations = _of_parts(ledger, request.run_id, task)
    assets = _assets(ledger, task, operations, outputs) if not code else ()
    result = TaskResult(task.id, status, code, message, request.run_id, str(log), error_text, outputs, assets)
    reporter.finished(result, done)
    if runner_died.is_set():
        # It would have ended what the task has left behind. Now the task does, and itself with it.
        os.killpg(os.getpgrp(), signal.SIGKILL)
    return result


def _assets(
    ledger: Ledger, task: PlannedTask, operations: tuple[Operation, ...], outputs: Mapping[str, Any]
) -> tuple[str, ...]:
    """Raw tables and marts that were written: by the task itself, or in the runs that it was the start of."""
    found = [(one.kind, one.status, one.asset) for one in operations]
    runs = [str(outputs["run_id"])] if task.kind == "pipeline" and "run_id" in outputs else []
    for run_id in runs:
        found += [(one["kind"], one["status"], one["asset"]) for one in ledger.operations(run_id)]
        runs += [
            child["outputs"]["run_id"]
            for child in ledger.tasks(run_id)
            if child["kind"] == "pipeline" and "run_id" in child["outputs"]
        ]
    return tuple(
        sorted(
            {
                asset
                for kind, status, asset in found
                if kind in _WRITES and status == "SUCCEEDED" and _FOR_OTHERS.search(asset)
            }
        )
    )


def _of_parts(ledger: Ledger, run_id: str, whole: PlannedTask) -> tuple[Operation, ...]:
    """What the parts of a task did in a run; each has it in its own row."""
    return tuple(
        Operation(one["kind"], one["asset"], one["status"])
        for one in ledger.operations(run_id)
        if one["instance"].startswith(f"{whole.task}[")
    )


def _context(
    here: Settings,
    request: TaskRequest,
    handover: Handover,
    made: Plan,
    task: PlannedTask,
    claim: Claimed,
    ledger: Ledger,
    output: Path,
    reporter: Reporter,
    clean: Clean,
) -> Context:
    known = secrets.read(secrets_of(request.definition, task.task), here)
    clean.learn(known.values())
    action, env = plan.rendered(
        request.definition,
        made,
        task,
        secrets=known,
        run={"id": request.run_id, "pipeline": made.pipeline, "task": task.id, "attempt": claim.attempt},
        outputs=_outputs(request, made, ledger),
    )
    return Context(
        settings=here,
        definition=request.definition,
        plan=made,
        task=task,
        action=action,
        env=env,
        run_id=request.run_id,
        attempt=claim.attempt,
        stack=handover.stack or (made.pipeline,),
        output=output,
        progress=lambda phase, message, rows, size, total: reporter.progress(
            phase, clean.redactor.clean(message), rows, size, total
        ),
        pass_on=reporter.pass_on,
        clean=lambda text: clean.redactor.clean(text),
        force=request.force,
        workers=None if handover.workers is None else Workers.inherited(handover.workers),
        part=request.part,
    )


def _read_output(path: Path, context: Context) -> dict[str, Any]:
    """The outputs that a command left: a JSON object, or lines name=value."""
    if not path.exists():
        return {}
    if path.stat().st_size > _MOST_OUTPUT:
        raise context.bad(
            f"the outputs are larger than {_MOST_OUTPUT // 1024} kB", "put a file name there instead"
        )
    text = path.read_text("utf-8", "replace").strip()
    if not text:
        return {}
    try:
        value = json.loads(text)
        if isinstance(value, dict):
            return value
    except ValueError:
        pass
    result: dict[str, Any] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if not equals or not name.strip().isidentifier():
            raise context.bad(
                f"`{line[:80]}` in ADELT_OUTPUT is no output", "write a JSON object, or lines name=value"
            )
        result[name.strip()] = _json_or_text(value.strip())
    return result


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text

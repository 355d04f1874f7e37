"""The action `pipeline`: run another pipeline for the same interval."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from adelt import definition, settings
from adelt.definition.templates import as_text
from adelt.steps.context import Context, StepError, StepResult, Stopped


def step(context: Context) -> StepResult:
    """Run it; inputs of the same name are handed on unless the task says otherwise.

    Raises:
        StepError: It failed.
        InputError: The pipeline is running already around this task.
    """
    from adelt.engine import RunRequest, run_pipeline

    action = context.action
    name = str(action["name"])
    if name in context.stack:
        raise context.bad(
            f"pipeline `{name}` is already running around this task: {' -> '.join((*context.stack, name))}",
            "a pipeline cannot run itself",
        )
    other = definition.find(name, context.settings.project)
    inputs = inputs_of(other, context.plan.inputs, action["inputs"])
    if not action["wait"]:
        return _detached(context, name, inputs)
    result = run_pipeline(
        context.settings,
        RunRequest(
            definition=other,
            interval=context.plan.interval,
            inputs=inputs,
            force=context.force,
            trigger="pipeline",
            parent_run=context.run_id,
            stack=context.stack,
            workers=context.workers,
        ),
        [context.pass_on],
    )
    if result.status == "CANCELLED":
        raise Stopped
    if result.exit_code:
        raise StepError(
            f"pipeline `{name}` failed: {result.message}",
            where=context.where,
            fix=f"adelt runs {result.run_id}",
            exit_code=result.exit_code,
        )
    return StepResult(f"run {result.run_id}: {result.status.lower()}", outputs={"run_id": result.run_id})


def inputs_of(
    other: definition.Definition, ours: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Inputs of the other pipeline: ours of the same name, unless the task gives it another value."""
    return {key: value for key, value in ours.items() if key in other.pipeline.inputs} | dict(given)


def _detached(context: Context, name: str, inputs: dict[str, object]) -> StepResult:
    """Start the run on its own and do not wait for it."""
    log = context.settings.home / "logs" / context.run_id / f"{name}.detached.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-P", "-m", "adelt", "run", name, "--interval", str(context.plan.interval)]
    words += ["--force"] if context.force else []
    for key, value in inputs.items():
        words += ["-i", f"{key}={as_text(value)}"]
    with log.open("ab") as out:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=settings.child_environment({"ADELT_PIPELINE_STACK": ",".join(context.stack)}),
            cwd=context.settings.project,
            start_new_session=True,
        )
    return StepResult(f"started as process {process.pid}, log {log}")

"""The action `run`: a program, or a line for the shell."""

import contextlib
import subprocess

from adelt import settings
from adelt.definition.templates import as_text
from adelt.run.retry import PERMANENT
from adelt.steps.context import Context, StepError, StepResult

_PATIENCE = 5.0  # seconds between asking a program to stop and killing it


def step(context: Context) -> StepResult:
    """Run the command in the project folder; what it prints goes to the task's log.

    The command sees ADELT_OUTPUT (a file for outputs: a JSON object or lines name=value), ADELT_RUN_ID,
    ADELT_INTERVAL_START, ADELT_INTERVAL_END, ADELT_WINDOW_START and ADELT_WINDOW_END.

    Raises:
        StepError: It ended with another exit code than 0.
    """
    command = context.action["command"]
    shell = isinstance(command, str)
    env = settings.child_environment(
        {
            "ADELT_OUTPUT": str(context.output),
            "ADELT_RUN_ID": context.run_id,
            "ADELT_INTERVAL_START": str(context.plan.interval.start),
            "ADELT_INTERVAL_END": str(context.plan.interval.end),
            "ADELT_WINDOW_START": str(context.plan.window.start),
            "ADELT_WINDOW_END": str(context.plan.window.end),
            **context.env,
        }
    )
    words = [str(command)] if shell else [as_text(word) for word in command]
    context.tell("run", " ".join(words))
    try:
        process = subprocess.Popen(
            words[0] if shell else words,
            shell=shell,  # the definition's author writes the line; inputs reach it as templates only where they say so
            cwd=context.settings.project,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise context.bad(f"`{words[0]}` cannot be started: {error.strerror}") from error
    try:
        last = _copy(process)
        code = process.wait()
    except BaseException:
        _end(process)
        raise
    if code == 0:
        return StepResult(last)
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    raise StepError(
        f"the command {how}" + (f": {last}" if last else ""),
        where=context.where,
        fix="the task's log has everything it printed",
        exit_code=2 if code in PERMANENT else 1,
    )


def _copy(process: "subprocess.Popen[bytes]") -> str:
    """Print what the program prints; its last line."""
    assert process.stdout
    last = ""
    for line in process.stdout:
        text = line.decode("utf-8", "replace")
        print(text, end="", flush=True)
        last = text.strip() or last
    return last[:300]


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_PATIENCE)
    process.kill()

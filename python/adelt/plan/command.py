"""The command that does one task: every engine, and the local run, call the same words."""

from collections.abc import Mapping, Sequence


def task_words(
    task: str,
    *,
    item: Mapping[str, str],
    when: Sequence[str],
    run_id: str,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str] | None = None,
) -> list[str]:
    """The words of `adelt task`, without the program in front of them.

    Args:
        task: The task as `pipeline.task`.
        item: Its matrix item.
        when: `--interval START/END` or `--at INSTANT`, as two words.
        run_id: The run it belongs to.
        inputs: Values of inputs, as text.
        outputs: Outputs of earlier tasks as `task.name`, when the engine hands them on itself.
    """
    words = ["task", task]
    for name, value in item.items():
        words += ["--matrix", f"{name}={value}"]
    words += [*when, "--run-id", run_id]
    for name, value in inputs.items():
        words += ["-i", f"{name}={value}"]
    for name, value in (outputs or {}).items():
        words += ["--output", f"{name}={value}"]
    return words

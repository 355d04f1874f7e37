"""Which dbt tasks Cosmos does model by model under Airflow, and what it is given. Nothing of Airflow is imported."""

import json
from fnmatch import fnmatchcase
from pathlib import Path

from adelt.definition import Definition, templates
from adelt.errors import InputError
from adelt.export import airflow_run as run
from adelt.export.airflow import Config
from adelt.export.core import FOLDER

NODES = f"{FOLDER}/airflow/nodes"  # written at deployment by deploy/airflow/nodes.py
EXIT_CODE = "adelt-exit-code"  # a file beside which a part ran


def chosen(config: Config, definition: Definition) -> list[str]:
    """The tasks of a pipeline that Cosmos does.

    Args:
        config: Settings of the deployment.
        definition: The pipeline.
    """
    pipeline = definition.pipeline
    return [
        name
        for name, task in (pipeline.tasks.items() if config.cosmos else ())
        if task.dbt and any(fnmatchcase(f"{pipeline.name}.{name}", pattern) for pattern in config.cosmos)
    ]


def unknown(config: Config, definitions: list[Definition]) -> list[str]:
    """Settings that name no dbt task of any pipeline."""
    names = [
        f"{one.pipeline.name}.{name}"
        for one in definitions
        for name, task in one.pipeline.tasks.items()
        if task.dbt
    ]
    return [pattern for pattern in config.cosmos if not any(fnmatchcase(name, pattern) for name in names)]


def check(definition: Definition, name: str) -> None:
    """See that a task can be done model by model.

    Args:
        definition: The pipeline.
        name: The task.

    Raises:
        InputError: It cannot.
    """
    task = definition.pipeline.tasks[name]
    action = task.dbt
    assert action
    wrong = (
        "its command is not `build`"
        if action.command != "build"
        else "it has a matrix"
        if task.matrix
        else "it may fail (`allow_failure`)"
        if task.allow_failure
        else "what it selects depends on the run"
        if templates.paths([action.select, action.exclude])
        else ""
    )
    if wrong:
        raise InputError(
            f"Cosmos cannot do `{name}` model by model: {wrong}",
            where=definition.path,
            fix=f"take {definition.pipeline.name}.{name} out of `cosmos` in {FOLDER}/airflow/config.yml",
        )


def file_of(project: Path, definition: Definition, name: str) -> Path:
    """Where the nodes of a task are."""
    return project / NODES / f"{definition.pipeline.name}.{name}.json"


def nodes(project: Path, definition: Definition, name: str) -> tuple[Path, list[str]]:
    """The file with the nodes of a task, made for the selection that the task has; and the tests of them to leave out.

    Args:
        project: Folder of the project, or of what is deployed of it.
        definition: The pipeline.
        name: The task.

    Raises:
        InputError: There is none, or it was made for another selection.
    """
    check(definition, name)
    path = file_of(project, definition, name)
    action = definition.pipeline.tasks[name].dbt
    assert action
    wanted = {
        "task": f"{definition.pipeline.name}.{name}",
        "select": action.select,
        "exclude": action.exclude,
    }
    try:
        read = json.loads(path.read_text("utf-8"))
        made_for, left_out = read["adelt"], list(read["left_out"])
    except (OSError, ValueError, KeyError, TypeError):
        made_for, left_out = None, []
    if made_for != wanted:
        what = "was made for another selection" if made_for else "is missing"
        raise InputError(
            f"the list of the models that `{name}` builds {what}",
            where=str(path),
            fix="deploy again, or run deploy/airflow/nodes.py in adelt's environment",
        )
    return path, left_out


def part(definition: Definition, name: str, config: Config) -> str:
    """The command of one model or test for a shell, whose arguments are dbt's; it leaves its exit code in a file."""
    return f'{run.script(definition, name, config.command)} -- "$@"\ncode=$?\necho $code >{EXIT_CODE}\nexit $code\n'

"""A dbt task as a task for each model, done by Cosmos: for tasks that `cosmos` in the settings names.

    X-nodes     sees that the models are those that the tasks were made from
    X-models    Cosmos' group: each model, its tests after it; tests of several models by themselves
    X           notes that X is done, with the tables that were written

Each of them calls `adelt task`: target, window, lock of the warehouse and run history are adelt's as ever (decision 0054).
"""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from adelt.definition import Definition
from adelt.errors import InputError
from adelt.export import airflow_cosmos as by_model
from adelt.export import airflow_run as run
from adelt.export.airflow import Config
from adelt.export.airflow_graph import PLAN

from .api import AirflowFailException, AssetAlias
from .operators import DO_NOT_RETRY, AdeltBashOperator
from .runners import AGAIN


def models(
    definition: Definition,
    name: str,
    given: Any,
    common: dict[str, Any],
    config: Config,
    project: Path,
    upstream: Sequence[Any],
) -> Any:
    """The last operator of a task, which what needs the task waits for; the others are before it.

    Args:
        definition: The pipeline.
        name: The task.
        given: Its variables, as the result of another task.
        common: Arguments that every operator knows.
        config: Settings of the deployment.
        project: Folder with the lists of models.
        upstream: Operators that the task waits for.

    Raises:
        InputError: The task cannot be done so, or its list of models or Cosmos is missing.
    """
    path, left_out = by_model.nodes(project, definition, name)
    script = AGAIN + run.script(definition, name, config.command)
    bash = {**common, "env": given, "append_env": True, "skip_on_exit_code": []}
    alias = AssetAlias(f"adelt/{definition.pipeline.name}.{name}")

    first = AdeltBashOperator(
        **{**bash, "task_id": f"{name}-nodes", "doc_md": "Sees that the models are those of the DAG."},
        bash_command=f"{script} --dbt-nodes {shlex.quote(str(path))}",
    )
    group = _group(definition, name, common, config, path, left_out)
    last = AdeltBashOperator(**bash, bash_command=f"{script} --dbt-done", outlets=[alias])
    list(upstream) >> first >> group >> last
    return last


def _group(
    definition: Definition, name: str, common: dict[str, Any], config: Config, path: Path, left_out: list[str]
) -> Any:
    try:  # late: a second, for those who want it
        from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
        from cosmos.constants import ExecutionMode, InvocationMode, LoadMode, TestBehavior
    except ImportError as error:
        raise InputError(
            f"`{name}` is to be done by Cosmos, which cannot be imported: {error}",
            where="deploy/airflow/config.yml: cosmos",
            fix="install deploy/airflow/requirements-cosmos.txt into Airflow's environment",
        ) from error
    arguments = {key: value for key, value in common.items() if key not in ("task_id", "doc_md")}
    return DbtTaskGroup(
        group_id=f"{name}-models",
        project_config=ProjectConfig(manifest_path=path, project_name="adelt", install_dbt_deps=False),
        # Cosmos wants a project and a profile. It gets the folder of the list, for `adelt task` has its own.
        profile_config=ProfileConfig(profile_name="adelt", target_name="adelt", profiles_yml_filepath=path),
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.LOCAL,
            invocation_mode=InvocationMode.SUBPROCESS,
            dbt_project_path=path.parent,
            dbt_executable_path="bash",
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            invocation_mode=InvocationMode.SUBPROCESS,
            test_behavior=TestBehavior.AFTER_EACH,
            should_detach_multiple_parents_tests=True,
            emit_datasets=False,
            enable_owner_inheritance=False,
        ),
        operator_args={
            **arguments,
            "dbt_cmd_global_flags": ["-c", by_model.part(definition, name, config), "dbt"],
            "exclude": " ".join(left_out) or None,
            "interceptors": [_variables(definition, name)],
            "callback": hopeless,
            "skip_exit_code": None,
            "cancel_query_on_kill": False,  # SIGTERM instead of SIGINT: adelt ends dbt, as it does everywhere
        },
    )


def _variables(definition: Definition, name: str) -> Callable[[Any, Any], None]:
    """What gives an operator the variables of its task."""
    items = run.needs_outputs(definition.pipeline, name)
    where = {"task_ids": f"{name}-items"} if items else {"task_ids": PLAN, "key": name}

    def give(context: Any, operator: Any) -> None:
        ti = context["ti"]
        again = {"ADELT_AGAIN": "yes"} if ti.max_tries > operator.retries else {}
        operator.env = {**ti.xcom_pull(**where), **again}

    return give


def hopeless(folder: str, context: Any, **_: Any) -> None:
    """Fail a part at once if no retry can help.

    Args:
        folder: Where it ran.
        context: Of Airflow.

    Raises:
        AirflowFailException: It ended with exit code 2.
    """
    code = Path(folder, by_model.EXIT_CODE)
    if code.exists() and code.read_text("utf-8").strip() == str(DO_NOT_RETRY):
        raise AirflowFailException(f"{context['ti'].task_id} ended with exit code 2. A retry cannot help.")

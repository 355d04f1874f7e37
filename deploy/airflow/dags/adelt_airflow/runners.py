"""Where `adelt task` runs: as a process of the worker, or in a pod."""

from typing import Any

from adelt.definition import Definition
from adelt.export import airflow_run as run
from adelt.export.airflow import Config

from .api import DAG, AssetAlias
from .operators import AdeltBashOperator, MayFailBashOperator
from .twins import Twins


def runner(
    definition: Definition,
    name: str,
    given: Any,
    common: dict[str, Any],
    config: Config,
    twins: Twins,
    dag: DAG,
) -> Any:
    """The operator of a task.

    Args:
        definition: The pipeline.
        name: The task.
        given: Its variables, or a list of them for a matrix, as the result of another task.
        common: Arguments that every operator knows.
        config: Settings of the deployment.
        twins: The operators of all DAGs.
        dag: The DAG.
    """
    task = definition.pipeline.tasks[name]
    script = AGAIN + run.script(definition, name, config.command)
    fields = {**common, "outlets": [AssetAlias(f"adelt/{definition.pipeline.name}.{name}")]}
    if config.runner == "kubernetes":
        from .pods import pod

        return pod(task, script, given, fields, config.kubernetes)
    fields |= {"bash_command": script, "append_env": True, "skip_on_exit_code": []}
    operator = MayFailBashOperator if task.allow_failure else AdeltBashOperator
    if task.matrix is None:
        return twins.make(dag, operator, {**fields, "env": given})
    fields |= {
        "map_index_template": "{{ task.env['" + run.ITEM + "'] }}",
        "max_active_tis_per_dagrun": task.concurrency,
    }
    return twins.mapped(dag, operator, fields, {"env": given})


# Whoever clears a task wants it done again; Airflow then raises the number of tries.
AGAIN = "ADELT_AGAIN={{ 'yes' if ti.max_tries > task.retries else '' }}\n"

"""`adelt task` in a pod of Kubernetes, where the workers have no environment of adelt's."""

from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator

from adelt.definition.model import Task
from adelt.export.airflow import Kubernetes
from adelt.export.airflow_run import ITEM

from .operators import Outcome


class AdeltPodOperator(Outcome, KubernetesPodOperator):
    """`adelt task` in a pod; Airflow waits without a worker."""

    _ended: int | None = None

    @property
    def exit_code(self) -> int | None:
        """How the command ended."""
        return self._ended

    def cleanup(self, pod: Any, remote_pod: Any, *args: Any, **kwargs: Any) -> None:
        """Look at how the container ended before the pod is deleted."""
        statuses = (remote_pod.status.container_statuses or []) if remote_pod and remote_pod.status else []
        for status in statuses:
            if status.name == self.base_container_name and status.state and status.state.terminated:
                self._ended = status.state.terminated.exit_code
        super().cleanup(pod, remote_pod, *args, **kwargs)

    def trigger_reentry(self, context: Any, event: dict[str, Any]) -> Any:
        """Go on when the pod has ended."""
        return self._judged(super().trigger_reentry, context, event=event)


class MayFailPodOperator(AdeltPodOperator):
    """The same for a task that may fail."""

    allow_failure = True


def pod(task: Task, script: str, given: Any, fields: dict[str, Any], where: Kubernetes) -> Any:
    """The operator of a task.

    Args:
        task: The task.
        script: Its command, for a shell.
        given: Its variables, or a list of them for a matrix, as the result of another task.
        fields: Arguments that every operator knows.
        where: Image, namespace and the like.
    """
    fields = {
        **fields,
        "image": where.image,
        "namespace": where.namespace,
        "service_account_name": where.service_account_name,
        "cmds": ["bash", "-c"],
        "arguments": [script],
        "do_xcom_push": True,
        "deferrable": True,
        **where.more,
    }
    operator = MayFailPodOperator if task.allow_failure else AdeltPodOperator
    if task.matrix is None:
        return operator(env_vars=given, **fields)
    item = f"task.env_vars | selectattr('name', 'equalto', '{ITEM}') | map(attribute='value') | first"
    return operator.partial(
        **fields,
        map_index_template=f"{{{{ {item} }}}}",
        max_active_tis_per_dagrun=task.concurrency,
    ).expand(env_vars=given)

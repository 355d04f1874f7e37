"""Waiting for a file of Cloud Storage without a worker, where Airflow's Google provider is installed."""

import importlib.util
from typing import Any

from adelt.definition.model import Task
from adelt.export.airflow import Config
from adelt.export.airflow_graph import PLAN


def sensor(name: str, task: Task, common: dict[str, Any], config: Config) -> Any:
    """A deferrable sensor that waits as the task would; None when there is none that does."""
    spec = task.sensor
    if spec is None or not _can(task, config):
        return None
    # Late: the module imports Google's clients, which only pipelines that wait for a bucket pay for.
    from airflow.providers.google.cloud.sensors.gcs import GCSObjectExistenceSensor

    pulled = f"ti.xcom_pull(task_ids='{PLAN}', key='{name}-file')"
    return GCSObjectExistenceSensor(
        **common,
        bucket=f"{{{{ {pulled}[0] }}}}",
        object=f"{{{{ {pulled}[1] }}}}",
        deferrable=True,
        poke_interval=spec.poll.total_seconds(),
        timeout=spec.timeout.total_seconds(),
        soft_fail=False,
    )


def _can(task: Task, config: Config) -> bool:
    """Whether the provider's sensor does the same: one whole name in a bucket, known when the run begins."""
    spec = task.sensor
    assert spec
    file = spec.file or ""
    return (
        config.deferrable_sensors
        and task.matrix is None
        and not task.allow_failure
        and file.startswith("gs://")
        and not file.endswith("/")
        and not any(mark in file.replace("{{", "").replace("}}", "") for mark in "*?[")
        and not any(part in file for part in ("secrets.", "run.", "tasks."))
        and spec.min_files == 1
        and spec.updated_after is None
        and importlib.util.find_spec("airflow.providers.google") is not None
    )

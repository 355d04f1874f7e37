"""Read the pipelines; a broken one becomes a DAG that says so, and takes no other with it."""

import logging
from collections.abc import Iterator
from pathlib import Path

from adelt import definition
from adelt.definition import Definition, templates
from adelt.export.airflow import Config
from adelt.export.airflow_graph import dag_ids
from adelt.export.core import read_config

from .api import DAG, get_parsing_context, task
from .dag import build
from .twins import Twins


def dags(project: Path) -> Iterator[DAG]:
    """The DAGs of a project; a process that runs one task gets only the one it needs.

    Args:
        project: Folder with `pipelines/`, and `deploy/airflow/config.yml` if there are settings.

    Raises:
        AdeltError: A setting is wrong.
    """
    wanted = get_parsing_context().dag_id
    config = read_config(Config, "airflow", project)
    twins = Twins()
    for path in definition.find_all(project):
        try:
            loaded = definition.load_checked_before(path, project)
            found = [build(loaded, index, config, twins, project) for index in _wanted(loaded, wanted)]
        except Exception as error:  # whatever it is, the other pipelines are not to suffer from it
            logging.getLogger(__name__).exception("%s", path)
            found = [_broken(path, error)]
        yield from found


def _wanted(loaded: Definition, wanted: str | None) -> list[int]:
    return [index for index, dag_id in enumerate(dag_ids(loaded.pipeline)) if wanted in (None, dag_id)]


def _broken(path: Path, error: Exception) -> DAG:
    """In the place of a pipeline that cannot be read: its history stays, and whoever looks sees why it does not run."""
    text = str(error)
    with DAG(
        dag_id=templates.slug(path.stem),
        schedule=None,
        description=text.partition("\n")[0],
        doc_md=f"```\n{text}\n```",
        tags=["adelt", "broken"],
    ) as dag:

        @task(task_id="adelt-plan")
        def say() -> None:
            raise ValueError(text)

        say()
    return dag

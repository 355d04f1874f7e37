"""Write which models the dbt tasks build that Cosmos does (`cosmos` in deploy/airflow/config.yml): `nodes.py [PROJECT]`.

The loader of the DAGs reads them. dbt is asked, so this runs in adelt's environment, at deployment (bundle.sh).
PROJECT is the folder with `pipelines/` and settings that the loader reads, by default this one; the models are this one's
too if it has none.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from adelt import dbt_graph, definition
from adelt.errors import AdeltError, InputError
from adelt.export import airflow_cosmos as by_model
from adelt.export.airflow import Config
from adelt.export.core import read_config

ROOT = Path(__file__).resolve().parents[2]


def main(project: Path = ROOT) -> None:
    """Write them; those of tasks that Cosmos does no longer are removed.

    Raises:
        AdeltError: A setting or a task is wrong; nothing has been written.
    """
    config = read_config(Config, "airflow", project)
    definitions = [definition.load(path, project) for path in definition.find_all(project)]
    if wrong := by_model.unknown(config, definitions):
        where = "deploy/airflow/config.yml: cosmos"
        raise InputError(
            f"`{wrong[0]}` is no dbt task", where=where, fix="name PIPELINE.TASK; `*` is any text"
        )
    models = project if (project / "dbt").is_dir() else ROOT
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        for one in definitions:
            for name in by_model.chosen(config, one):
                by_model.check(one, name)
                made = dbt_graph.make(one, name, models, Path(scratch))
                found[by_model.file_of(project, one, name)] = made
    shutil.rmtree(project / by_model.NODES, ignore_errors=True)
    for path, made in found.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n", "utf-8")
        # Cosmos takes the folder for dbt's project and runs in a copy of it; OpenLineage, which it brings, wants a name.
        (path.parent / "dbt_project.yml").write_text("name: adelt\nprofile: adelt\n", "utf-8")
        print(f"{path.relative_to(project)}: {len(made['nodes'])} models, snapshots and tests")


if __name__ == "__main__":
    try:
        main(*(Path(one) for one in sys.argv[1:2]))
    except AdeltError as error:
        print(f"error {error}", file=sys.stderr)
        sys.exit(error.exit_code)

"""What reading pipelines costs an Airflow, beyond importing Airflow itself: in Airflow's own environment, in turns."""

import json
import os
import statistics
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
BAR = 1.0  # seconds
_PIPELINE = """\
version: 1
name: NAME
description: A pipeline.
inputs:
  partners: {type: array, items: integer, default: []}
schedule: {cron: "MINUTE HOUR * * *", timezone: Europe/Paris}
interval: {every: day, lookback: 7d}
concurrency: {tasks: 4, group: api}
defaults: {retries: {max: 3, delay: 1m, backoff: exponential}, timeout: 2h}
tasks:
"""
# One task in five is a matrix of four tables.
_TABLE = '{source: dv360, table: TABLE, params: {partner_ids: "{{ inputs.partners }}"}}'
# `bare`: as many operators by Airflow alone, without YAML; what is imported before the clock starts is the same.
_PROBE = """\
import json, os, sys, time
begun = time.process_time()
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, task
from airflow.timetables.interval import CronDataIntervalTimetable
imported = time.process_time()
if sys.argv[1] == "bare":
    made = []
    for _ in range(int(sys.argv[2])):
        with DAG("bare", schedule=None) as dag:
            for number in range(int(sys.argv[3])):
                BashOperator(task_id=f"t{number}", bash_command="true")
        made.append(dag)
else:
    bag = DagBag(sys.argv[1])
    assert not bag.import_errors, bag.import_errors
    made = list(bag.dags.values())
ended = time.process_time()
print(json.dumps({
    "import": imported - begun, "parse": ended - imported, "dags": len(made), "tasks": sum(len(dag.tasks) for dag in made),
}))
"""


def airflow_table(folder: Path, pipelines: int, rounds: int) -> None:
    """Seconds of CPU to read pipelines of 25 tasks each, Airflow's import and as many bare operators beside them."""
    subprocess.run(["make", "-s", ".airflow/.ready"], cwd=ROOT, check=True)
    project = generate(folder / "airflow", pipelines, 25)
    seen: dict[str, list[dict[str, float]]] = {"bare": [], "adelt": []}
    for _ in range(rounds):
        seen["bare"].append(_measured(folder, project, "bare", str(pipelines), "25"))
        seen["adelt"].append(_measured(folder, project, str(ROOT / "deploy/airflow/dags/adelt_dags.py")))
    bare, ours = (
        {key: statistics.median(run[key] for run in runs) for key in runs[0]} for runs in seen.values()
    )
    assert ours["dags"] == pipelines
    imported = statistics.median(run["import"] for runs in seen.values() for run in runs)
    print(
        "\n| pipelines | tasks | Airflow's nodes | import s | bare operators s | adelt s | of the import | bar s |\n"
        "|---|---|---|---|---|---|---|---|\n"
        f"| {pipelines} | {25 * pipelines:,} | {int(ours['tasks']):,} | {imported:.2f} | {bare['parse']:.2f} | "
        f"{ours['parse']:.2f} | **{ours['parse'] / imported:.2f}** | {BAR} |",
        flush=True,
    )


def generate(project: Path, pipelines: int, tasks: int) -> Path:
    """A project with pipelines like those of people: ingests that need one another, one in five a matrix."""
    (project / "pipelines").mkdir(parents=True)
    for number in range(pipelines):
        # Schedules and texts of its own: nothing is to be fast only since pipelines have it in common.
        hour, minute = divmod(number, 60)
        text = _PIPELINE.replace("NAME", f"p{number:03}")
        text = text.replace("MINUTE", str(minute)).replace("HOUR", str(hour))
        for index in range(tasks):
            text += f"  t{index:02}:\n    description: Table {index} of pipeline {number}.\n"
            if index:
                text += f"    needs: [t{(index - 1) // 2:02}]\n"
            if index % 5 == 1:
                text += "    matrix: {table: [a, b, c, d]}\n"
            table = '"{{ matrix.table }}"' if index % 5 == 1 else "line_item"
            text += f"    ingest: {_TABLE.replace('TABLE', table)}\n"
        (project / "pipelines" / f"p{number:03}.yml").write_text(text)
    return project


def _measured(folder: Path, project: Path, *words: str) -> dict[str, float]:
    env = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        "ADELT_DAGS_PROJECT": str(project),
        "AIRFLOW_HOME": str(folder / "airflow_home"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    done = subprocess.run(
        [ROOT / ".airflow/venv/bin/python", "-c", _PROBE, *words],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found

"""Airflow's own environment for tests: the one of `make airflow`, made from deploy/airflow/requirements.txt if need be."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

ROOT = Path(__file__).parents[1]
DAGS = ROOT / "deploy" / "airflow" / "dags"


class Airflow:
    """An Airflow with a database of its own: the version of `make airflow`, or another such as 2.11."""

    def __init__(self, folder: Path, version: str = "") -> None:
        (ROOT / ".airflow").mkdir(exist_ok=True)
        venv = f".airflow/venv-{version}" if version else ".airflow/venv"
        with FileLock(ROOT / ".airflow" / ".lock"):
            target = f"{venv}/.ready" if version else ".airflow/.ready"
            subprocess.run(["make", "-s", target], cwd=ROOT, check=True)
        self.bin = ROOT / venv / "bin"
        self.home = folder / "airflow"
        self.env = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "ADELT_COMMAND": str(Path(sys.executable).with_name("adelt")),
        }
        self.call("airflow", "db", "migrate")

    def call(
        self, program: str, *words: str, env: Mapping[str, str] | None = None, code: int | None = 0
    ) -> str:
        """Run a program of Airflow's environment; everything it said."""
        done = subprocess.run(
            [self.bin / program, *words],
            env={**self.env, **(env or {})},
            cwd=self.home.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert code is None or done.returncode == code, f"{words}: {done.returncode}\n{done.stdout[-6000:]}"
        return done.stdout

    def probe(self, *projects: Path | str, dags: Path = DAGS) -> list[dict[str, Any]]:
        """What the DAGs of projects are, and what reading them took (tests/airflow_probe.py).

        Args:
            projects: Folders with pipelines; an empty one is what the DAGs find by themselves.
            dags: The folder of DAGs.
        """
        said = self.call("python", str(ROOT / "tests" / "airflow_probe.py"), str(dags), *map(str, projects))
        return json.loads(said.splitlines()[-1])

    def copies(self, *projects: Path) -> dict[str, Any]:
        """How operators that are copies differ from those that Airflow makes itself (tests/airflow_copies.py)."""
        said = self.call("python", str(ROOT / "tests" / "airflow_copies.py"), str(DAGS), *map(str, projects))
        return json.loads(said.splitlines()[-1])

    def test(self, dag: str, date: str, env: Mapping[str, str], conf: Mapping[str, Any] | None = None) -> str:
        """`airflow dags test`: what it said. How it ended is in `states` and `run_state`."""
        return self.call(
            "airflow", "dags", "test", dag, date, "--conf", json.dumps(conf or {}), env=env, code=None
        )

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask Airflow's database."""
        con = sqlite3.connect(self.home / "airflow.db")
        try:
            return con.execute(sql, values).fetchall()
        finally:
            con.close()

    def run_state(self, dag: str) -> str:
        """State of the last run of a DAG."""
        return self.query("SELECT state FROM dag_run WHERE dag_id = ? ORDER BY id DESC LIMIT 1", dag)[0][0]

    def states(self, dag: str) -> dict[str, str]:
        """State of each task of the last run of a DAG; items of a matrix as `task[item]`."""
        rows = self.query(
            "SELECT task_id, rendered_map_index, state FROM task_instance WHERE dag_id = ? AND run_id ="
            " (SELECT run_id FROM dag_run WHERE dag_id = ? ORDER BY id DESC LIMIT 1)",
            *(dag, dag),
        )
        return {f"{task}[{item}]" if item else task: state for task, item, state in rows}

    def tries(self, dag: str, task: str) -> int:
        """How often a task of a DAG was tried."""
        return self.query(
            "SELECT max(try_number) FROM task_instance WHERE dag_id = ? AND task_id = ?", dag, task
        )[0][0]

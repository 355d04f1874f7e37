"""Runs in Airflow's environment: prints what the DAGs of projects are, as JSON. `probe.py DAGS PROJECT...`."""

import gc
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any


def of_dag(dag: Any) -> dict[str, Any]:
    timetable = dag.timetable
    return {
        "id": dag.dag_id,
        "tags": sorted(dag.tags),
        "doc": dag.doc_md,
        "timetable": type(timetable).__name__,
        "cron": getattr(timetable, "_expression", getattr(timetable, "expression", None)),
        "timezone": str(getattr(timetable, "_timezone", getattr(timetable, "timezone", ""))),
        "start": str(dag.start_date),
        "catchup": dag.catchup,
        "runs": dag.max_active_runs,
        "limit": dag.max_active_tasks,
        "params": {name: dag.params.get_param(name).dump() for name in dag.params},
        "failure": [type(one).__name__ for one in dag.on_failure_callback or ()],
        "success": [type(one).__name__ for one in dag.on_success_callback or ()],
        "tasks": {task.task_id: of_task(task) for task in dag.tasks},
    }


def of_task(task: Any) -> dict[str, Any]:
    given = getattr(task, "partial_kwargs", {}) | {}

    def value(name: str) -> Any:
        return given.get(name) if given else getattr(task, name, None)

    kind = getattr(task, "operator_class", type(task))
    return {
        "operator": kind.__name__,
        "mapped": hasattr(task, "partial_kwargs"),
        "upstream": sorted(task.upstream_task_ids),
        "rule": str(task.trigger_rule),
        "retries": value("retries"),
        "delay": getattr(value("retry_delay"), "total_seconds", lambda: None)(),
        "exponential": bool(value("retry_exponential_backoff")),
        "max_delay": getattr(value("max_retry_delay"), "total_seconds", lambda: None)(),
        "timeout": getattr(value("execution_timeout"), "total_seconds", lambda: None)(),
        "pool": task.pool,
        "at_a_time": task.max_active_tis_per_dagrun,
        "named": bool(value("map_index_template")),
        "may_fail": bool(getattr(kind, "allow_failure", False)),
        "outlets": [one.name for one in task.outlets],
        "command": value("bash_command") or (value("arguments") or [""])[0],
    }


WATCHED = ("open", "socket.connect", "subprocess.Popen", "os.mkdir", "os.remove", "sqlite3.connect")


def told(event: str, args: tuple[Any, ...]) -> str:
    """A file by its path, anything else by its name."""
    return str(args[0]) if event == "open" else event


def main(dags: str, *projects: str) -> None:
    logging.disable(logging.CRITICAL)
    try:
        from airflow.dag_processing.dagbag import DagBag
        from airflow.sdk import DAG  # noqa: F401  (imported before the clock starts)
    except ImportError:
        from airflow.models.dagbag import DagBag

    sys.dont_write_bytecode = True  # by whoever reads first; it says nothing about the DAGs
    touched: list[str] = []
    sys.addaudithook(lambda event, args: touched.append(told(event, args)) if event in WATCHED else None)
    found = []
    for project in projects:
        os.environ["ADELT_DAGS_PROJECT"] = project
        for name in [name for name in sys.modules if name.startswith(("adelt", "unusual_prefix"))]:
            del sys.modules[name]
        before = set(sys.modules)
        touched.clear()
        begun = time.process_time()
        bag = DagBag(Path(dags) / "adelt_dags.py")
        seconds = time.process_time() - begun
        found.append(
            {
                "seconds": seconds,
                "touched": sorted({one for one in touched if not one.endswith((".py", ".pyc", ".so"))}),
                "collects": gc.isenabled() and not gc.get_freeze_count(),
                "errors": list(bag.import_errors.values()),
                "where": sys.modules["adelt.definition"].__file__,
                "imported": sorted({name.partition(".")[0] for name in set(sys.modules) - before}),
                "dags": [of_dag(dag) for dag in sorted(bag.dags.values(), key=lambda dag: dag.dag_id)],
            }
        )
    print(json.dumps(found, default=str))


main(*sys.argv[1:])

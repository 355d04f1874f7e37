"""Runs in Airflow's environment: how DAGs of copies differ from those that Airflow makes alone. `copies.py DAGS PROJECT...`."""

import json
import sys
import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

# A time, what only a constructor reads, and what tells whether a command is the path of a script, which none of ours is.
UNUSED = {"last_loaded", "kwargs_to_upstream", "_unrendered_bash_command"}


# Every kind of operator, in two pipelines that have nothing in common.
PIPELINES = {
    "one": """
version: 1
name: one
inputs: {full: {type: boolean, default: false}}
schedule: {cron: "0 5 * * *"}
interval: {start: 2026-01-01}
concurrency: {group: api}
defaults: {retries: {max: 3, delay: 1m, backoff: exponential}, timeout: 2h}
tasks:
  find: {run: "echo 'found=[1]' > $ADELT_OUTPUT"}
  each: {matrix: {x: [a, b]}, run: "true"}
  warned: {allow_failure: true, run: "true"}
  warned_each: {matrix: {x: [a, b]}, allow_failure: true, run: "true"}
  handed: {needs: [find], matrix: {x: "{{ tasks.find.outputs.found }}"}, run: "true"}
  fails: {needs: [each], if: failure, run: "true"}
  asked: {if: "inputs.full == true", run: "true"}
  after: {needs: [asked], description: Two., run: "true"}
""",
    "two": """
version: 1
name: two
inputs: {slow: {type: boolean, default: true}}
schedule: {cron: "0 6 * * 1", timezone: Asia/Tokyo}
interval: {start: 2025-03-01}
concurrency: {group: other}
tasks:
  seek: {retries: {max: 1, delay: 5s}, run: "echo 'seen=[1]' > $ADELT_OUTPUT"}
  all: {matrix: {y: [c]}, concurrency: 1, timeout: 1m, run: "true"}
  also_all: {needs: [all], matrix: {z: [d]}, description: Again., retries: {max: 2, delay: 1s}, run: "true"}
  risky: {needs: [seek], allow_failure: true, timeout: 5m, run: "false"}
  risky_all: {needs: [seek], matrix: {y: [c]}, allow_failure: true, concurrency: 2, run: "false"}
  given: {needs: [seek], matrix: {y: "{{ tasks.seek.outputs.seen }}"}, run: "true"}
  told: {needs: [given, risky], if: failure, run: "true"}
  anyway: {needs: [given], if: always, run: "true"}
  maybe: {if: "inputs.slow == true", run: "true"}
""",
}


def shown(value: Any) -> Any:
    """A value in a form in which two of the same meaning are equal."""
    if isinstance(value, dict):
        return {str(name): shown(one) for name, one in sorted(value.items(), key=str) if name not in UNUSED}
    if isinstance(value, list | tuple):
        return [shown(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted(str(shown(one)) for one in value)
    if "TaskGroup" in repr(value):
        return f"{type(value).__name__} of {value.dag}: {list(value.children)}, {sorted(value.used_group_ids, key=str)}"
    if callable(value) and hasattr(value, "__code__"):
        return [value.__qualname__, [type(cell.cell_contents).__name__ for cell in value.__closure__ or ()]]
    return repr(value).partition(" at 0x")[0]


def values(task: Any) -> dict[str, Any]:
    """The attributes of an operator."""
    if not hasattr(task, "expand_input"):
        return vars(task)
    return {name: getattr(task, name) for name in type(task).__slots__} | task.partial_kwargs


def of_dags(dags: list[Any]) -> dict[str, dict[str, Any]]:
    """DAGs and their operators, and what Airflow stores of each DAG."""
    from airflow.serialization import serialized_objects as stored

    to_dict = getattr(stored, "DagSerialization", stored.SerializedDAG).to_dict  # the first from 3.2 on
    tasks = {f"{dag.dag_id}.{task.task_id}": shown(values(task)) for dag in dags for task in dag.tasks}
    return {dag.dag_id: shown({**vars(dag), "stored": to_dict(dag)}) for dag in dags} | tasks


def shared(dags: list[Any]) -> set[str]:
    """The attributes of which operators have one list or the like in common: who changes it changes several."""
    owners: dict[int, list[str]] = {}
    for task in (task for dag in dags for task in dag.tasks):
        for name, value in values(task).items():
            if isinstance(value, list | set | MutableMapping):
                owners.setdefault(id(value), []).append(f"{type(task).__name__}.{name}")
    return {name for names in owners.values() if len(names) > 1 for name in names}


def main(dags: str, *projects: str) -> None:
    sys.path[:0] = [dags, str(Path(dags).parents[2] / "python")]
    from adelt_airflow import load, twins

    own = Path(tempfile.mkdtemp())
    (own / "pipelines").mkdir()
    for name, text in PIPELINES.items():
        (own / "pipelines" / f"{name}.yml").write_text(text)
    enlist, enlisted = twins._enlist, []
    twins._enlist = lambda made, dag: (enlist(made, dag), enlisted.append(made))
    known, told, count = twins.COMPARED, [], 0
    for project in (own, *map(Path, projects)):
        twins.COMPARED = known
        copies = list(load.dags(project))
        twins.COMPARED = ()
        originals = list(load.dags(project))
        copied, made = of_dags(copies), of_dags(originals)
        assert list(copied) == list(made)
        count += len(made)
        told += sorted(shared(copies) - shared(originals))
        told += [
            [name, key, copied[name].get(key), made[name].get(key)]
            for name in made
            for key in {*copied[name], *made[name]}
            if copied[name].get(key) != made[name].get(key)
        ]
    print(json.dumps({"copied": len(enlisted), "compared": count, "differ": told}))


main(*sys.argv[1:])

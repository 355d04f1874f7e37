"""The nodes that a dbt task builds, in the form of dbt's manifest: who makes a task of each of them reads this.

dbt itself chooses the nodes, so there is no second reader of its selections. Only what such a reader needs is kept.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adelt.definition import Definition
from adelt.errors import AdeltError, InputError

_KEPT = ("unique_id", "resource_type", "package_name", "original_file_path", "name", "fqn", "tags")
_CONFIG = ("materialized", "tags", "meta")
_BUILT = ("model", "seed", "snapshot")
_SHOWN = 3  # names in a message


def list_words(select: str, exclude: str) -> list[str]:
    """The words with which dbt names, in its answer alone, the nodes that it would build."""
    words = ["--quiet", "--log-level", "none", "ls", "--output", "json", "--output-keys", "unique_id"]
    for name, value in (("select", select), ("exclude", exclude)):
        if value:
            words += [f"--{name}", *value.split()]
    return words


def listed(answer: Sequence[str]) -> list[str]:
    """The ids in dbt's answer to these words, of all that is built or tested."""
    found = (str(json.loads(line)["unique_id"]) for line in answer)
    return sorted(one for one in found if one.partition(".")[0] in (*_BUILT, "test", "unit_test"))


def make(definition: Definition, task: str, project: Path, scratch: Path) -> dict[str, Any]:
    """Ask dbt for the nodes of a task; no warehouse is needed.

    Args:
        definition: The pipeline.
        task: Name of the dbt task.
        project: Folder of the project.
        scratch: Folder for what dbt writes.

    Raises:
        AdeltError: dbt cannot read the project.
        InputError: The nodes cannot be built one by one.
    """
    from dbt.cli.main import dbtRunner  # late: seconds

    action = definition.pipeline.tasks[task].dbt
    assert action
    folder = str(project / "dbt")
    places = ["--project-dir", folder, "--profiles-dir", folder, "--target", "local"]
    places += ["--target-path", str(scratch), "--log-path", str(scratch / "logs")]
    words = [*list_words(action.select, action.exclude), *places, "--no-send-anonymous-usage-stats"]
    result = dbtRunner().invoke(words)
    where = f"{definition.pipeline.name}.{task}"
    if not result.success:
        raise AdeltError(
            f"dbt cannot list the nodes: {result.exception or 'see above'}",
            where=where,
            fix=f"dbt parse --project-dir {folder} --profiles-dir {folder}",
        )
    manifest = json.loads((scratch / "manifest.json").read_text("utf-8"))
    chosen = listed(result.result)
    return {
        "metadata": {"project_name": manifest["metadata"]["project_name"]},
        "adelt": {"task": where, "select": action.select, "exclude": action.exclude},
        "chosen": chosen,
        "left_out": left_out(manifest, chosen),
        "nodes": cut(manifest["nodes"], [one for one in chosen if one in manifest["nodes"]], where),
        "sources": {},
        "exposures": {},
    }


def left_out(manifest: Mapping[str, Any], chosen: Sequence[str]) -> list[str]:
    """Tests that dbt would do of nodes that were chosen, without being chosen themselves: what to exclude from them.

    Args:
        manifest: Of dbt.
        chosen: Ids.
    """
    tests = [one for one in manifest["nodes"].values() if one["resource_type"] == "test"]
    units = list(manifest["unit_tests"].values())
    whole = bool(units) and not any(one["unique_id"] in chosen for one in units)
    return [
        *(["resource_type:unit_test"] if whole else []),
        *sorted(
            one["name"]
            for one in [*tests, *([] if whole else units)]
            if one["unique_id"] not in chosen and not set(chosen).isdisjoint(one["depends_on"]["nodes"])
        ),
    ]


def cut(nodes: Mapping[str, Mapping[str, Any]], chosen: Sequence[str], where: str) -> dict[str, Any]:
    """Of a manifest's nodes those that were chosen, waiting for one another as in `dbt build`.

    There a failed test stops what is built of all that it looks at. A test of one model is done right after it, so this
    only takes an edge from each test of several.

    Args:
        nodes: By id.
        chosen: Ids.
        where: The task, for messages.

    Raises:
        InputError: A test looks at nothing that is built.
    """
    built = [one for one in chosen if nodes[one]["resource_type"] in _BUILT]
    tests = [one for one in chosen if nodes[one]["resource_type"] == "test"]
    parents = {one: {up for up in nodes[one]["depends_on"]["nodes"] if up in built} for one in chosen}
    if alone := [nodes[one]["name"] for one in tests if not parents[one]]:
        raise InputError(
            f"{_some(alone)}: a test of what is not built here, such as a source, would not be done",
            where=where,
            fix="take it out with `exclude`, or leave the task to one `dbt build`",
        )
    before: dict[str, set[str]] = {}

    def above(one: str) -> set[str]:
        if one not in before:
            before[one] = parents[one].union(*map(above, parents[one]))
        return before[one]

    waits = {one: set(parents[one]) for one in chosen}
    for test in tests:
        if len(parents[test]) > 1:
            after = {one for one in built if parents[test] <= above(one)}
            for one in after:
                if not parents[one] & after:
                    waits[one].add(test)
    return {
        one: {
            **{name: nodes[one].get(name) for name in _KEPT},
            "config": {name: nodes[one]["config"].get(name) for name in _CONFIG},
            "depends_on": {"nodes": sorted(waits[one])},
        }
        for one in chosen
    }


def check(graph: Path, there: Sequence[str], where: str) -> None:
    """See that a graph has the nodes that dbt builds now.

    Args:
        graph: The file.
        there: Ids of the nodes that dbt builds.
        where: The task, for messages.

    Raises:
        InputError: It has not, or cannot be read.
    """
    try:
        known = set(json.loads(graph.read_text("utf-8"))["chosen"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"no graph of dbt's nodes: {error}", where=str(graph), fix="deploy again") from None
    new, gone = sorted(set(there) - known), sorted(known - set(there))
    if new or gone:
        said = [
            f"{_some(names)} {what}"
            for names, what in ((new, "would be left out"), (gone, "is gone"))
            if names
        ]
        raise InputError(
            f"the models are not those that the tasks were made from: {'; '.join(said)}",
            where=where,
            fix="deploy again: deploy/airflow/nodes.py lists the models that the workers have",
        )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(f"`{name}`" for name in names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")

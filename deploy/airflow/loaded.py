"""What is missing in an Airflow, from what its commands said: `loaded.py DAGS ERRORS GRAPHS`; exit 1 if anything is."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml


def answer(path: str) -> list[dict[str, Any]] | None:
    """The list in what a command said, if there is one; whoever runs it elsewhere may say more, before and after."""
    decoder = json.JSONDecoder()
    for line in (lines := Path(path).read_text("utf-8").splitlines()):
        if line.startswith("["):
            try:
                found: list[dict[str, Any]] = decoder.raw_decode("\n".join(lines[lines.index(line) :]))[0]
            except ValueError:
                continue
            return found
    return None


def problems(listed: str, errors: str, graphs: str) -> tuple[list[str], int]:
    """What is wrong, and how many DAGs there should be."""
    wanted = {
        dag["id"]
        for path in Path(graphs).glob("*.yml")
        for dag in yaml.safe_load(path.read_text("utf-8"))["dags"]
    }
    there, failed = answer(listed), answer(errors)
    if not wanted or there is None or failed is None:
        return [
            f"no files in {graphs}" if not wanted else "Airflow gave no list of its DAGs, or of its errors"
        ], 0
    tags = {dag["dag_id"]: str(dag.get("tags")) for dag in there}
    found = [f"no DAG `{name}`" for name in sorted(wanted - set(tags))]
    found += [
        f"`{name}` is broken; its page says why"
        for name in sorted(wanted & set(tags))
        if "broken" in tags[name]
    ]
    found += [f"{one.get('filepath')}: {one.get('error')}" for one in failed]
    return found, len(wanted)


if __name__ == "__main__":
    wrong, count = problems(*sys.argv[1:])
    print("\n".join(wrong) or f"all {count} DAGs are loaded")
    sys.exit(1 if wrong else 0)

"""Hand the outputs of a task to the engine that runs it, so that later tasks can be given them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adelt import settings
from adelt.errors import AdeltError, InputError, did_you_mean

ENGINES = ("airflow", "kestra", "orchestra")
POD = Path("/airflow/xcom/return.json")  # where Airflow looks for the result of a pod
ORCHESTRA = "https://webhook.getorchestra.io"
_TIMEOUT = 30  # seconds


def check(engine: str) -> None:
    """See that outputs can be handed to an engine, before anything is done.

    Raises:
        InputError: The engine is not known, or the task does not run under it.
    """
    if engine and engine not in ENGINES:
        fix = did_you_mean(engine, ENGINES, otherwise="engines")
        raise InputError(f"outputs cannot be handed to `{engine}`", where="--publish", fix=fix)
    if engine == "orchestra":
        _orchestra_access()


def publish(engine: str, outputs: Mapping[str, Any], assets: Sequence[str] = ()) -> None:
    """Hand outputs on: Airflow and Kestra read a line of the log, Orchestra is sent a request for each.

    Args:
        engine: One of `ENGINES`, or empty.
        outputs: What the task puts out.
        assets: Tables that the task wrote, as dataset.table; Airflow lets other DAGs wait for them.

    Raises:
        AdeltError: Orchestra did not take one.
    """
    if engine == "airflow":
        line = json.dumps({"outputs": dict(outputs), "assets": list(assets)}, default=str, sort_keys=True)
        if POD.parent.is_dir():
            POD.write_text(line, "utf-8")
        print(line)
    elif engine == "kestra":
        print(f"::{json.dumps({'outputs': dict(outputs)}, default=str, sort_keys=True)}::")
    elif engine == "orchestra":
        for name, value in outputs.items():
            _send(name, value)


def _orchestra_access() -> tuple[str, str]:
    key, task = settings.secret("ORCHESTRA_API_KEY"), settings.secret("ORCHESTRA_TASK_RUN_ID")
    if not key or not task:
        raise InputError(
            "ORCHESTRA_API_KEY or ORCHESTRA_TASK_RUN_ID is not set",
            where="--publish orchestra",
            fix="Orchestra sets both for a Python task; leave --publish out elsewhere",
        )
    return key, task


def _send(name: str, value: Any) -> None:
    import requests

    key, task = _orchestra_access()
    try:
        answer = requests.post(
            settings.orchestra_endpoint() or ORCHESTRA,
            json={
                "event_type": "SET_OUTPUT",
                "task_run_id": task,
                "output_name": name,
                "output_value": value,
            },
            headers={"Authorization": f"Bearer {key}"},
            timeout=_TIMEOUT,
        )
    except requests.RequestException as error:
        raise AdeltError(
            f"Orchestra cannot be reached: {type(error).__name__}", where=f"output {name}"
        ) from error
    if not answer.ok:
        raise AdeltError(
            f"Orchestra answered {answer.status_code}",
            where=f"output {name}",
            fix="look at the API key and the name",
        )

"""Chunks as runs of the pipelines that `adelt export orchestra` writes, through Orchestra's API.

Orchestra gives a run its id, and takes no key that would make starting it twice harmless. When the answer to a start is lost,
its runs are searched for one whose tasks were given this interval since. If none is found nobody knows, and it stays so until
somebody looks, or says that it is to be started again.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from adelt import secrets, settings
from adelt.backfill.plan import PlannedChunk
from adelt.backfill.remote.client import (
    Client,
    LostError,
    RefusedError,
    RejectedError,
    Sleep,
    UnreachableError,
    base_url,
    bearer,
)
from adelt.backfill.remote.engine import Order, RunState, Stopped
from adelt.definition import Definition, templates
from adelt.definition.inputs import coerce
from adelt.errors import AdeltError, InputError, did_you_mean
from adelt.export.core import read_config
from adelt.export.orchestra import AT, Config, job_id
from adelt.plan.plan import kept
from adelt.settings import Settings

URL, TOKEN = "ADELT_ORCHESTRA_URL", "ORCHESTRA_API_KEY"
ORCHESTRA = "https://app.getorchestra.io/api/engine/public"
_ENDED = {
    "SUCCEEDED": "SUCCEEDED",
    "WARNING": "WARNING",
    "FAILED": "FAILED",
    "CANCELLED": "CANCELLED",
    "SKIPPED": "FAILED",
}
_SKEW = timedelta(minutes=2)  # that clocks may differ
_STARTS = 4  # in a row that may be answered with: come back later
_LOOKS, _LOOK_SECONDS = 5, 3.0  # a run appears in the list a moment after it was started
_WEEK = timedelta(days=7)  # the longest time that one listing covers
_PAGE_SIZE = 100
_IDS = 50  # of runs in one address, which servers refuse when it is long
_TASK_PAGE_SIZE = 50


class Orchestra:
    """An Orchestra workspace."""

    knows_all = False

    def __init__(self, here: Settings, sleep: Sleep) -> None:
        """Nothing is sent yet.

        Args:
            here: Settings: where secrets are, the project's deploy/orchestra/config.yml, and how patient to be.
            sleep: Waits.

        Raises:
            InputError: The address is wrong, or there is no API key.
        """
        url = base_url(settings.orchestra_api() or ORCHESTRA, URL, ORCHESTRA)
        token = secrets.read([TOKEN], here)[TOKEN].strip()
        self._client = Client(
            url, bearer(token), refusal=f"set {TOKEN} to an API key of the workspace",
            known=(token,), patience=here.patience, sleep=sleep,
        )  # fmt: skip
        self._environment = read_config(Config, "orchestra", here.project).environment
        self._sleep, self._look_seconds = sleep, here.patience.get("poll_min", _LOOK_SECONDS)
        self._ids: dict[str, str] = {}

    @property
    def place(self) -> str:
        """Which Orchestra it is."""
        return f"orchestra:{self._client.url}" + (f" {self._environment}" if self._environment else "")

    def check(self, chunks: Sequence[PlannedChunk]) -> list[AdeltError]:
        """See that every pipeline is there, not paused, has the same tasks, and knows the inputs that it will be given."""
        by_pipeline: dict[str, PlannedChunk] = {}
        for chunk in chunks:
            by_pipeline.setdefault(chunk.pipeline, chunk)
        return [problem for chunk in by_pipeline.values() for problem in self._check(chunk)]

    def _check(self, chunk: PlannedChunk) -> list[AdeltError]:
        definition = chunk.definition
        where = f"pipeline with the alias `{chunk.pipeline}` in Orchestra"
        export = f"adelt export orchestra, and deploy deploy/orchestra/pipelines/{chunk.pipeline}.yml"
        try:
            found = self._client.get("pipeline", {"alias": chunk.pipeline}, having=("id",))
            data = self._client.get("pipelines/data", {"alias": chunk.pipeline}, having=("pipeline",))
        except RejectedError as error:
            if error.status not in (404, 422):
                raise
            return [InputError("there is no such pipeline", where=where, fix=export)]
        self._ids[chunk.pipeline] = found["id"]
        problems: list[AdeltError] = []
        if found.get("paused"):
            problems.append(InputError("it is paused", where=where, fix="unpause it in Orchestra"))
        inputs = data.get("inputs") or {}
        if AT not in inputs:
            problems.append(InputError(f"it has no input `{AT}`", where=where, fix=export))
        theirs, ours = set(data.get("pipeline") or ()), _tasks(definition)
        if theirs != ours:
            differing = ", ".join(f"`{name}`" for name in sorted(theirs ^ ours))
            problems.append(
                InputError(f"it has other tasks than {definition.path}: {differing}", where=where, fix=export)
            )
        for name, value in _inputs(chunk).items():
            if name not in inputs:
                problems.append(
                    InputError(
                        f"it has no input `{name}`",
                        where=where,
                        fix="the items of a matrix are fixed in an export; "
                        + did_you_mean(name, inputs, otherwise="inputs"),
                    )
                )
            elif isinstance(value, str) and (
                json.dumps(value, ensure_ascii=False) != f'"{value}"' or "${{" in value
            ):
                problems.append(
                    InputError(
                        f"the value of `{name}` has a quote, a backslash, a line break or ${{{{",
                        where=where,
                        fix="Orchestra puts values into JSON as they are: leave these out",
                    )
                )
        return problems

    def start(self, order: Order) -> str:
        """Start a run, once.

        Raises:
            LostError: It is not known whether it was started.
        """
        body = _body(order.chunk, self._environment)
        path = f"pipelines/{quote(order.chunk.pipeline, safe='')}/start"
        for _ in range(_STARTS):
            try:
                answer = self._client.post(path, body)
                run_id = answer.get("pipelineRunId") if isinstance(answer, dict) else None
                if not isinstance(run_id, str) or not run_id:
                    raise LostError("the answer names no run", where=f"{self._client.url}/{path}")
                return run_id
            except LostError as error:
                if (found := self._looked_for(order, error)) is not None:
                    return found
        raise UnreachableError("it stays busy", where=f"{self._client.url}/{path}", fix="try again later")

    def _looked_for(self, order: Order, error: LostError) -> str | None:
        """The run that a lost answer was about; None when the server asks for another start and there is no run."""
        try:
            if error.again is not None:
                self._sleep(error.again)
            for look in range(_LOOKS):
                if look:
                    self._sleep(self._look_seconds)
                if (found := self.find(order)) is not None:
                    return found
        except (AdeltError, Stopped) as more:
            raise error from more
        if error.again is not None:
            return None
        raise error

    def find(self, order: Order) -> str | None:
        """The run whose tasks were given the chunk's interval, and that was created since the order was noted."""
        since = datetime.fromisoformat(order.begun_at) - _SKEW
        for run in self._runs_since(order.chunk.pipeline, since):
            if _moment(run["createdAt"]) < since or order.taken(run["id"]):
                continue
            for task in self._tasks_of(run["id"]):
                told = json.dumps([task.get("taskParameters"), task.get("runParameters")])
                # Variables are JSON within JSON, in which a slash may be escaped.
                if str(order.chunk.interval) in told.replace("\\", ""):
                    return str(run["id"])
        return None

    def states(self, runs: Mapping[str, str]) -> dict[str, RunState]:
        """States of runs, many in one request where the listing still has them."""
        listed: dict[str, Mapping[str, Any]] = {}
        left = list(runs)
        while left:
            some, left = left[:_IDS], left[_IDS:]
            wanted = {"pipeline_run_ids": ",".join(some), "page_size": str(_PAGE_SIZE)}
            answer = self._client.get("pipeline_runs", wanted, having=("results",))
            listed |= {run["id"]: run for run in answer["results"]}
        return {run_id: self._state(run_id, listed.get(run_id)) for run_id in runs}

    def _state(self, run_id: str, run: Mapping[str, Any] | None) -> RunState:
        if run is None:
            try:
                run = self._client.get(
                    f"pipeline_runs/{quote(run_id, safe='')}/status", having=("id", "runStatus")
                )
            except RejectedError as error:
                if error.status != 404:
                    raise
                return RunState("FAILED", "the run is gone from Orchestra")
        status = _ENDED.get(run["runStatus"], "RUNNING")
        seconds = None
        if run.get("completedAt") and run.get("startedAt"):
            seconds = (_moment(run["completedAt"]) - _moment(run["startedAt"])).total_seconds()
        return RunState(status, self._message(run) if status in ("FAILED", "CANCELLED") else "", seconds)

    def _message(self, run: Mapping[str, Any]) -> str:
        failed: list[str] = []
        with suppress(RejectedError, RefusedError):  # that it failed is known without the names, too
            tasks = self._tasks_of(run["id"])
            failed = sorted(
                {str(one["taskName"]) for one in tasks if one["status"] in ("FAILED", "CANCELLED")}
            )
        said = " ".join(str(run.get("message") or run["runStatus"].lower()).split())
        return f"{said} ({', '.join(failed)})" if failed else said

    def _runs_since(self, pipeline: str, since: datetime) -> Iterator[Mapping[str, Any]]:
        wanted = {
            "pipeline_ids": self._pipeline_id(pipeline),
            "time_from": since.isoformat(),
            "time_to": (since + _WEEK).isoformat(),
        }
        yield from self._pages("pipeline_runs", _PAGE_SIZE, wanted)

    def _tasks_of(self, run_id: str) -> Iterator[Mapping[str, Any]]:
        yield from self._pages(f"pipeline_runs/{quote(run_id, safe='')}/task_runs", _TASK_PAGE_SIZE)

    def _pages(
        self, path: str, size: int, wanted: Mapping[str, str] | None = None
    ) -> Iterator[Mapping[str, Any]]:
        seen, page = 0, 1
        while True:
            asked = {**(wanted or {}), "page": str(page), "page_size": str(size)}
            answer = self._client.get(path, asked, having=("results", "total"))
            yield from answer["results"]
            seen, page = seen + len(answer["results"]), page + 1
            if not answer["results"] or seen >= answer["total"]:
                return

    def _pipeline_id(self, pipeline: str) -> str:
        if pipeline not in self._ids:
            self._ids[pipeline] = self._client.get("pipeline", {"alias": pipeline}, having=("id",))["id"]
        return self._ids[pipeline]


def _body(chunk: PlannedChunk, environment: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {"runInputs": {**_inputs(chunk), AT: str(chunk.interval)}}
    if environment:
        body["environment"] = environment
    if chunk.select:
        body["taskIds"] = [job_id(name) for name in chunk.select]
        body["continueDownstreamRun"] = False
    return body


def _inputs(chunk: PlannedChunk) -> dict[str, Any]:
    specs = chunk.definition.pipeline.inputs
    found = {name: coerce(specs[name], value) for name, value in chunk.inputs.items()}
    return {
        name: value if isinstance(value, bool | int | float | str) else templates.as_text(value)
        for name, value in found.items()
        if value is not None
    }


def _tasks(definition: Definition) -> set[str]:
    """Groups of an export: those that are not enabled are there, paused."""
    tasks = definition.pipeline.tasks
    return set(kept(definition.pipeline)) | {name for name, task in tasks.items() if not task.enabled}


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

"""Chunks as runs of the DAGs of deploy/airflow, through Airflow's REST API: version 2 of Airflow 3, or 1 of Airflow 2.

A run's id is made of the backfill, the chunk and the attempt: Airflow has it once, however often it is asked to start it.
The interval travels in `conf`. The run has no logical date, of which a DAG can have only one each: a run of the schedule would
be in the way.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from adelt import secrets, settings
from adelt.backfill.plan import PlannedChunk
from adelt.backfill.remote.client import (
    Authorize,
    Client,
    RefusedError,
    RejectedError,
    Sleep,
    UnreachableError,
    base_url,
    bearer,
    is_local,
)
from adelt.backfill.remote.engine import Order, RunState
from adelt.definition.inputs import coerce
from adelt.errors import AdeltError, InputError
from adelt.settings import Settings

URL, USER = "ADELT_AIRFLOW_URL", "ADELT_AIRFLOW_USER"
TOKEN, PASSWORD = "AIRFLOW_TOKEN", "AIRFLOW_PASSWORD"
# Params of the DAGs that adelt makes.
INTERVAL, SELECT, FORCE = "adelt_interval", "adelt_select", "adelt_force"
_STATES = {"success": "SUCCEEDED", "failed": "FAILED"}
_LOGIN_SECONDS = 1800.0
_COMPOSER = (".composer.googleusercontent.com", ".composer.byoid.googleusercontent.com")


class Airflow:
    """An Airflow deployment."""

    knows_all = True

    def __init__(self, here: Settings, sleep: Sleep) -> None:
        """Find the API and log in.

        Args:
            here: Settings: where secrets are, and how patient to be.
            sleep: Waits.

        Raises:
            InputError: The address or the credentials are missing or wrong.
            AdeltError: Nobody answers.
        """
        text, user = settings.airflow()
        if not text:
            raise InputError(
                "it is not said where Airflow is",
                where=URL,
                fix=f"export {URL}=https://airflow.example.com, the address of its web server",
            )
        self._url = base_url(text, URL, "https://airflow.example.com")
        self._here, self._sleep = here, sleep
        composer = (urlsplit(self._url).hostname or "").endswith(_COMPOSER)
        google = _google(here.impersonate) if composer and not user else None
        self._version = self._api_version(google or _nothing)
        authorize, known = (google, ()) if google else self._credentials(user)
        self._client = self._connect(f"{self._url}/api/{self._version}", authorize, known)

    @property
    def place(self) -> str:
        """Which Airflow it is."""
        return f"airflow:{self._url}"

    def check(self, chunks: Sequence[PlannedChunk]) -> list[AdeltError]:
        """See that every DAG is there, not paused, made from the same definition, and knows what it will be told."""
        by_pipeline: dict[str, list[PlannedChunk]] = {}
        for chunk in chunks:
            by_pipeline.setdefault(chunk.pipeline, []).append(chunk)
        return [problem for mine in by_pipeline.values() for problem in self._check(mine)]

    def _check(self, chunks: Sequence[PlannedChunk]) -> list[AdeltError]:
        name, definition = chunks[0].pipeline, chunks[0].definition
        where = f"DAG `{name}` at {self._url}"
        try:
            dag = self._client.get(f"dags/{quote(name, safe='')}/details")
        except RejectedError as error:
            if error.status != 404:
                raise
            return [
                InputError(
                    "there is no such DAG",
                    where=where,
                    fix="deploy pipelines/ and deploy/airflow/dags, and look at `airflow dags list-import-errors`",
                )
            ]
        params = dag.get("params") or {}
        if INTERVAL not in params:
            return [
                InputError(f"it has no param `{INTERVAL}`", where=where, fix="deploy deploy/airflow/dags")
            ]
        problems: list[AdeltError] = []
        if dag.get("is_paused"):
            problems.append(
                InputError("it is paused: runs would wait", where=where, fix=f"airflow dags unpause {name}")
            )
        if dag.get("is_stale") or dag.get("is_active") is False or dag.get("has_import_errors"):
            problems.append(
                InputError(
                    "Airflow cannot load it any more", where=where, fix="airflow dags list-import-errors"
                )
            )
        if definition.digest[:12] not in (dag.get("doc_md") or ""):
            problems.append(
                InputError(
                    f"it was made from another {definition.path} than the one here",
                    where=where,
                    fix="deploy this one, or check out the one that is deployed",
                )
            )
        if any(chunk.select for chunk in chunks) and SELECT not in params:
            problems.append(
                InputError(
                    f"it has no param `{SELECT}`: it cannot do some of its tasks only",
                    where=where,
                    fix="deploy the present deploy/airflow/dags, or use --transform chunk without --select",
                )
            )
        return problems

    def run_id(self, order: Order) -> str:
        """The id that an order's run has."""
        return f"adelt__{order.backfill}__{order.chunk.number}__{order.attempt}"

    def start(self, order: Order) -> str:
        """Start a run; one that is there already is the same."""
        run_id, chunk = self.run_id(order), order.chunk
        body: dict[str, Any] = {
            "dag_run_id": run_id,
            "conf": _conf(chunk),
            "note": f"adelt backfill {order.backfill}, chunk {chunk.number}: {chunk.interval}",
        }
        if self._version == "v2":
            body["logical_date"] = None
        try:
            self._client.put(f"{self._runs(chunk.pipeline)}", body)
        except RejectedError as error:
            if error.status != 409 or self.find(order) is None:
                raise
        return run_id

    def find(self, order: Order) -> str | None:
        """The run if Airflow has it."""
        run_id = self.run_id(order)
        try:
            self._client.get(f"{self._runs(order.chunk.pipeline)}/{quote(run_id, safe='')}")
        except RejectedError as error:
            if error.status == 404:
                return None
            raise
        return run_id

    def states(self, runs: Mapping[str, str]) -> dict[str, RunState]:
        """States of runs."""
        return {run_id: self._state(run_id, dag) for run_id, dag in runs.items()}

    def _state(self, run_id: str, dag: str) -> RunState:
        path = f"{self._runs(dag)}/{quote(run_id, safe='')}"
        try:
            run = self._client.get(path, having=("state",))
        except RejectedError as error:
            if error.status != 404:
                raise
            return RunState("FAILED", "the run is gone from Airflow")
        status = _STATES.get(run["state"], "RUNNING")
        return RunState(status, self._failed(path) if status == "FAILED" else "", _seconds(run))

    def _failed(self, path: str) -> str:
        names: list[str] = []
        with suppress(RejectedError, RefusedError):  # that it failed is known without the names, too
            found = self._client.get(f"{path}/taskInstances", {"state": "failed", "limit": "100"})
            names = [
                one["task_id"] + (f"[{_item(one)}]" if one.get("map_index", -1) >= 0 else "")
                for one in found.get("task_instances", ())
            ]
        return f"failed: {', '.join(names)}" if names else "it failed"

    def _runs(self, dag: str) -> str:
        return f"dags/{quote(dag, safe='')}/dagRuns"

    def _connect(self, url: str, authorize: Authorize, known: tuple[str, ...] = ()) -> Client:
        return Client(
            url, authorize, refusal=f"look at {TOKEN}, or {USER} and {PASSWORD}, and at what the user may do",
            known=known, patience=self._here.patience, sleep=self._sleep,
        )  # fmt: skip

    def _api_version(self, authorize: Authorize) -> str:
        plain = self._connect(self._url, authorize)
        for version in ("v2", "v1"):
            try:
                plain.get(f"api/{version}/version")
            except RejectedError as error:
                if error.status != 404:
                    raise
            else:
                return version
        raise InputError("there is no API of Airflow", where=self._url, fix=f"look at {URL}")

    def _credentials(self, user: str) -> tuple[Authorize, tuple[str, ...]]:
        if user:
            password = secrets.read([PASSWORD], self._here)[PASSWORD]
            if self._version == "v1":
                return requests.auth.HTTPBasicAuth(user, password), (password,)
            return self._logged_in({"username": user, "password": password}), (password,)
        if is_local(self._url) and self._version == "v2" and not settings.secret(TOKEN):
            # The one of `make airflow` gives a token to everybody on this machine.
            try:
                return bearer(_token(self._connect(self._url, _nothing).get("auth/token"), self._url)), ()
            except AdeltError:
                pass
        token = secrets.read([TOKEN], self._here)[TOKEN]
        return bearer(token), (token,)

    def _logged_in(self, body: Mapping[str, str]) -> Authorize:
        """Log in, and again now and then: a backfill may take longer than a token holds."""
        door = self._connect(self._url, _nothing, (body["password"],))
        held: list[tuple[Authorize, float]] = []

        def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
            if not held or time.monotonic() - held[0][1] > _LOGIN_SECONDS:
                held[:] = [(bearer(_token(door.put("auth/token", body), self._url)), time.monotonic())]
            return held[0][0](request)

        return authorize


def _conf(chunk: PlannedChunk) -> dict[str, Any]:
    specs = chunk.definition.pipeline.inputs
    found = {name: _plain(coerce(specs[name], value)) for name, value in chunk.inputs.items()}
    found[INTERVAL] = str(chunk.interval)
    if chunk.select:
        found[SELECT] = list(chunk.select)
    # What waits for the other chunks may have been done for the same days, but from rows that were loaded again since.
    if chunk.force or chunk.after:
        found[FORCE] = True
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def _seconds(run: Mapping[str, Any]) -> float | None:
    if not (run.get("start_date") and run.get("end_date")):
        return None
    begin, end = (datetime.fromisoformat(run[name]) for name in ("start_date", "end_date"))
    return (end - begin).total_seconds()


def _item(task: Mapping[str, Any]) -> str:
    return str(task.get("rendered_map_index") or task["map_index"])


def _token(answer: Any, url: str) -> str:
    if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
        raise UnreachableError("the answer to the log-in holds no token", where=f"{url}/auth/token")
    return str(answer["access_token"])


def _nothing(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _google(impersonate: str) -> Authorize:
    """Credentials of Google, for Cloud Composer; they are renewed while a backfill goes on."""
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request

    from adelt_sources.credentials import CLOUD, credentials

    found = credentials([CLOUD], impersonate)

    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        try:
            found.before_request(Request(), request.method, request.url, request.headers)
        except GoogleAuthError as error:
            raise RefusedError(
                f"Google gives no token: {type(error).__name__}", where=str(request.url)
            ) from error
        return request

    return authorize

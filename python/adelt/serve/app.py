"""The routes: below `/`, and below `/api/engine/public` as with Orchestra."""

import hmac
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from adelt.serve.filters import AssetFilters, OperationFilters, Paging, RunFilters, TaskFilters, words
from adelt.serve.hosts import is_loopback
from adelt.serve.resources import History

BASE = "/api/engine/public"

Model = TypeVar("Model", bound=Paging)


def make_app(ledger: Path, logs: Path, token: str = "") -> Starlette:
    """The application that serves a ledger.

    Args:
        ledger: The SQLite file.
        logs: Folder of the logs; nothing outside of it is served.
        token: What a request must carry as `Authorization: Bearer`; without one, only names of this machine answer.
    """
    history = History(ledger)

    def runs(request: Request) -> Response:
        return JSONResponse(history.runs(_asked(RunFilters, request)))

    def tasks(request: Request) -> Response:
        return JSONResponse(history.tasks(_asked(TaskFilters, request)))

    def operations(request: Request) -> Response:
        return JSONResponse(history.operations(_asked(OperationFilters, request)))

    def assets(request: Request) -> Response:
        return JSONResponse(history.assets(_asked(AssetFilters, request)))

    def status(request: Request) -> Response:
        run = _known(history, request)
        return JSONResponse({name: run[name] for name in ("id", "runStatus", "message", "updatedAt")})

    def tasks_of_run(request: Request) -> Response:
        run = _known(history, request)
        asked = _asked(TaskFilters, request)
        if asked.pipeline_run_ids:
            raise HTTPException(400, "the path says which run; pipeline_run_ids is one too many")
        return JSONResponse(history.tasks(asked.model_copy(update={"pipeline_run_ids": (run["id"],)})))

    def log(request: Request) -> Response:
        run = _known(history, request)
        path = history.log(run["id"], request.path_params["task_run_id"])
        # The ledger is a file that anyone may have edited: it does not decide which files are sent.
        if path is None or not path.resolve().is_relative_to(logs.resolve()) or not path.is_file():
            raise HTTPException(404, "there is no log of this task run")
        return FileResponse(path, media_type="text/plain; charset=utf-8")

    one = "/pipeline_runs/{run_id}"
    logs_of = f"{one}/task_runs/{{task_run_id}}/logs"
    routes = [
        Route("/pipeline_runs", runs),
        Route("/task_runs", tasks),
        Route("/operations", operations),
        Route("/assets", assets),
        Route(f"{one}/status", status),
        Route(f"{one}/task_runs", tasks_of_run),
        Route(logs_of, log),
        Route(f"{logs_of}/download", log),
    ]
    return Starlette(
        routes=[Mount(BASE, routes=routes), *routes],
        middleware=[Middleware(_Guard, token=token)],
        exception_handlers={HTTPException: _refuse, ValidationError: _explain},
    )


class _Guard:
    """Lets in who knows the token; without a token, who speaks to this machine by its own name.

    The name keeps out web pages whose host has been pointed at the loopback address.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request = Request(scope)
        if not self._token:
            if is_loopback(request.url.hostname or ""):
                return await self._app(scope, receive, send)
            answer = JSONResponse({"detail": "ask for localhost"}, 403)
        else:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            same = hmac.compare_digest(given.strip().encode(), self._token)
            if scheme.lower() == "bearer" and same:
                return await self._app(scope, receive, send)
            answer = JSONResponse({"detail": "Not authenticated"}, 401, {"WWW-Authenticate": "Bearer"})
        return await answer(scope, receive, send)


def _asked(model: type[Model], request: Request) -> Model:
    return model.model_validate(words(request.query_params.multi_items()))


def _known(history: History, request: Request) -> dict[str, Any]:
    run = history.run(request.path_params["run_id"])
    if run is None:
        raise HTTPException(404, "there is no such pipeline run")
    return run


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


async def _explain(_: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)
    detail = [
        {"loc": ["query", *one["loc"]], "msg": one["msg"], "type": one["type"]} for one in error.errors()
    ]
    return JSONResponse({"detail": detail}, 422)

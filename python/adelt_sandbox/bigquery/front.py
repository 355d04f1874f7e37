"""In front of the emulator: job ids that count once, locations that matter, costs, faults, and a record of what was asked.

A fault schedule is a list of

    {"match": "POST .*/jobs", "times": 1, "after": 0, "fault": "http", "status": 403, "reason": "accessDenied"}

`match` is a regular expression for "METHOD /path"; `after` skips that many matches, `times` bounds how often it fires.
`http` answers instead of the emulator; `lost` lets the emulator do it and then breaks the connection; `hold` answers
after `seconds`.
"""

import asyncio
import json
import re
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qs

from adelt_sandbox.bigquery.gaps import LOCATION
from adelt_sandbox.bigquery.scan import scanned

Scope = MutableMapping[str, Any]
_JOB_ID: ContextVar[str] = ContextVar("job_id", default="")
_JOBS = re.compile(r"/(?:upload/)?bigquery/v2/projects/(?P<project>[^/]+)/jobs")
_TABLE = re.compile(r"`(?P<project>[\w-]+)`?\.`?(?P<dataset>\w+)`?\.`?\w+`?")
_MOST_REQUESTS = 5000


class Front:
    """An ASGI application around the emulator's."""

    def __init__(self, app: Any, context: Any) -> None:
        import bqemulator.api.routes.upload as upload

        self._app, self._context = app, context
        self._faults: list[dict[str, Any]] = []
        self._requests: list[dict[str, Any]] = []
        self._seen: set[str] = set()
        self._uploads: dict[str, str] = {}  # resumable upload -> job id
        plain = upload._new_job_id
        upload._new_job_id = lambda: _JOB_ID.get() or plain()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        if scope["path"].startswith("/sandbox/"):
            await self._control(scope, body, send)
            return
        asked = _document(scope, body)
        self._note(scope, asked)
        fault = self._fault(scope)
        if fault and fault["fault"] == "http":
            await _error(send, int(fault["status"]), fault.get("reason", ""), fault.get("message", "fault"))
            return
        cost = self._cost(asked)
        refused = self._refusal(scope, asked) or _too_much(asked, cost)
        if refused:
            await _error(send, *refused)
            return
        if fault and fault["fault"] == "hold":
            await asyncio.sleep(float(fault["seconds"]))
        job_id = self._job_id(scope, asked)
        _JOB_ID.set(job_id)  # each request has a context of its own
        LOCATION.set(_location(asked))
        answer = _Answer()
        await self._app(scope, _replay(body), answer.send)
        self._remember(scope, job_id, answer)
        if cost is not None:
            answer.add_cost(cost, is_dry="dryRun" in str(asked))
        if fault and fault["fault"] == "lost":
            await _hang_up(send)
            return
        await answer.pass_on(send)

    def _note(self, scope: Scope, asked: Any) -> None:
        self._requests.append(
            {
                "method": scope["method"],
                "path": scope["path"],
                "query": scope["query_string"].decode(),
                "body": asked,
            }
        )
        del self._requests[:-_MOST_REQUESTS]

    def _fault(self, scope: Scope) -> dict[str, Any] | None:
        line = f"{scope['method']} {scope['path']}"
        for fault in self._faults:
            if not re.search(fault["match"], line):
                continue
            if fault.get("after", 0) > 0:
                fault["after"] -= 1
                continue
            if fault.get("times", 1) > 0:
                fault["times"] = fault.get("times", 1) - 1
                return fault
        return None

    def _refusal(self, scope: Scope, asked: Any) -> tuple[int, str, str] | None:
        """What BigQuery would refuse and the emulator does not."""
        if scope["method"] != "POST" or not isinstance(asked, dict) or not _JOBS.fullmatch(scope["path"]):
            return None
        reference = asked.get("jobReference") or {}
        if (name := reference.get("jobId")) and name in self._seen:
            return 409, "duplicate", f"Already Exists: Job {reference.get('projectId')}:{name}"
        location = _location(asked)
        for project, dataset in _datasets(asked.get("configuration") or {}):
            found = self._context.catalog.get_dataset(project, dataset)
            if location and found is not None and found.location.upper() != location.upper():
                return (
                    404,
                    "notFound",
                    f"Not found: Dataset {project}:{dataset} was not found in location {location}",
                )
        return None

    def _cost(self, asked: Any) -> int | None:
        """Bytes that a job would process; None for what is not asked for them: plain queries are many."""
        configuration = asked.get("configuration") or {} if isinstance(asked, dict) else {}
        sql = str((configuration.get("query") or {}).get("query") or "")
        if not configuration.get("dryRun") and not sql.startswith(("MERGE", "DELETE")):
            return None
        return scanned(sql, self._context)

    def _job_id(self, scope: Scope, asked: Any) -> str:
        if not isinstance(asked, dict) or scope["method"] != "POST":
            upload = parse_qs(scope["query_string"].decode()).get("upload_id", [""])[0]
            return self._uploads.get(upload, "")
        return str((asked.get("jobReference") or {}).get("jobId") or "")

    def _remember(self, scope: Scope, job_id: str, answer: "_Answer") -> None:
        if not job_id or answer.status >= 300 or not _JOBS.fullmatch(scope["path"]):
            return
        if "resumable" in scope["query_string"].decode() and scope["method"] == "POST":
            upload = parse_qs(answer.header("location").partition("?")[2]).get("upload_id", [""])[0]
            self._uploads[upload] = job_id
            return
        self._seen.add(job_id)

    async def _control(self, scope: Scope, body: bytes, send: Any) -> None:
        answer: dict[str, Any] = {}
        if scope["path"] == "/sandbox/faults":
            self._faults = [dict(fault) for fault in json.loads(body)["faults"]]
        elif scope["path"] == "/sandbox/requests":
            answer, self._requests = {"requests": self._requests}, []
        else:
            await _error(send, 404, "notFound", f"no {scope['path']}")
            return
        await _json(send, 200, answer)


class _Answer:
    """What the emulator said, kept until it is passed on."""

    def __init__(self) -> None:
        self._messages: list[Any] = []

    async def send(self, message: Any) -> None:
        self._messages.append(message)

    @property
    def status(self) -> int:
        return int(self._messages[0]["status"]) if self._messages else 500

    def header(self, name: str) -> str:
        found = [value for key, value in self._messages[0]["headers"] if key.decode().lower() == name]
        return found[0].decode() if found else ""

    def add_cost(self, processed: int, *, is_dry: bool) -> None:
        """Say in the answer about a job what it processed."""
        if self.status != 200:
            return
        document = json.loads(b"".join(message.get("body", b"") for message in self._messages))
        statistics = document.setdefault("statistics", {})
        text = str(processed)
        statistics["totalBytesProcessed"] = text
        query = statistics.setdefault("query", {})
        query["totalBytesProcessed"] = text
        if not is_dry:
            query["totalBytesBilled"] = text
            statistics["totalSlotMs"] = query["totalSlotMs"] = str(1 + processed // 1_000_000)
        body = json.dumps(document).encode()
        start = self._messages[0]
        start["headers"] = [(k, v) for k, v in start["headers"] if k.lower() != b"content-length"]
        start["headers"].append((b"content-length", str(len(body)).encode()))
        self._messages = [start, {"type": "http.response.body", "body": body}]

    async def pass_on(self, send: Any) -> None:
        for message in self._messages:
            await send(message)


async def _body(receive: Any) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _replay(body: bytes) -> Callable[[], Any]:
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            await asyncio.sleep(3600)
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _document(scope: Scope, body: bytes) -> Any:
    """The JSON of a request: all of it, or the first part of an upload."""
    if not body or scope["method"] not in ("POST", "PATCH", "PUT"):
        return None
    headers = {key.decode().lower(): value.decode() for key, value in scope["headers"]}
    if headers.get("content-encoding") == "gzip":
        import gzip

        body = gzip.decompress(body)
    if headers.get("content-type", "").startswith("multipart/"):
        head, _, rest = body.partition(b"\r\n\r\n")
        body = (rest if head else b"").partition(b"\r\n--")[0]
    try:
        return json.loads(body)
    except ValueError:
        return None


def _too_much(asked: Any, cost: int | None) -> tuple[int, str, str] | None:
    if cost is None:
        return None
    limit = asked["configuration"]["query"].get("maximumBytesBilled")
    if limit is None or cost <= int(limit):
        return None
    message = f"Query exceeded limit for bytes billed: {limit}. {cost} or higher required."
    return 400, "bytesBilledLimitExceeded", message


def _location(asked: Any) -> str:
    """Where a job is to run; the service assumes the US."""
    if not isinstance(asked, dict):
        return "US"
    return str(asked.get("location") or (asked.get("jobReference") or {}).get("location") or "US")


def _datasets(configuration: dict[str, Any]) -> set[tuple[str, str]]:
    """Datasets that a job reads or writes."""
    found = set()
    for kind in ("load", "query", "extract"):
        table = (configuration.get(kind) or {}).get("destinationTable") or {}
        if table.get("datasetId"):
            found.add((table["projectId"], table["datasetId"]))
    text = str((configuration.get("query") or {}).get("query") or "")
    found |= {(match["project"], match["dataset"]) for match in _TABLE.finditer(text)}
    return found


async def _error(send: Any, status: int, reason: str, message: str) -> None:
    error = {"reason": reason, "message": message, "domain": "global"}
    await _json(send, status, {"error": {"code": status, "message": message, "errors": [error]}})


async def _json(send: Any, status: int, document: Any) -> None:
    body = json.dumps(document).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _hang_up(send: Any) -> None:
    """Promise an answer and close: the server cuts the connection."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{"})

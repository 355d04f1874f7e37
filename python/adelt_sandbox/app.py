"""The sandbox as an ASGI application: one object that holds its parts and sends its answers."""

import asyncio
import socket
import struct
import time
import traceback
from collections.abc import MutableMapping
from email.utils import formatdate
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from adelt_sandbox.auth import Accounts
from adelt_sandbox.bidmanager import DOWNLOADS, BidManager
from adelt_sandbox.campaignmanager import CampaignManager
from adelt_sandbox.clock import Clock
from adelt_sandbox.cloud import IamCredentials, SecretManager
from adelt_sandbox.config import Config
from adelt_sandbox.control import Control
from adelt_sandbox.displayvideo import DisplayVideo
from adelt_sandbox.errors import GoogleError, not_found
from adelt_sandbox.faults import Effect, Schedule
from adelt_sandbox.frontend import Frontend
from adelt_sandbox.http import Call, Reply, error_reply
from adelt_sandbox.jobs import Jobs
from adelt_sandbox.paging import Paging
from adelt_sandbox.signing import Signer
from adelt_sandbox.stats import Stats
from adelt_sandbox.storage import Storage
from adelt_sandbox.universe import Universe

CHUNK = 256 * 1024
SETTLE_SECONDS = 0.05
STORAGE_PREFIXES = (
    "/storage/",
    "/upload/storage/",
    "/download/storage/",
    "/b/",
    "/batch/storage",
    "/resumable/",
)

#: Open connections by client address, so that a fault can reset the one a request came in on.
TRANSPORTS: MutableMapping[tuple[str, int], asyncio.Transport] = WeakValueDictionary()


class Sandbox:
    """A whole sandbox: build it from a config and serve it as an ASGI application."""

    def __init__(self, config: Config) -> None:
        from adelt_sandbox.world import World

        self.config = config
        self.clock = Clock(config.now)
        self.stats = Stats()
        self.schedule = Schedule(config.seed)
        self.universe = Universe(World(config.seed, config.size, erf_until=config.erf_until))
        self.accounts = Accounts(config.state_dir, config.url, config.token_seconds)
        self.jobs = Jobs(config.report_seconds, self.stats.problem)
        paging = Paging(config.seed)
        signer = Signer(f"adelt-sandbox-{config.seed}".encode(), config.signed_url_seconds)
        spool = _fresh(config.state_dir / "reports")
        self.bid_manager = BidManager(self.universe, self.clock, paging, self.jobs, signer, spool)
        secrets = SecretManager()
        self.frontend = Frontend(
            self.accounts,
            self.stats,
            {
                "displayvideo": DisplayVideo(self.universe, self.clock, paging),
                "doubleclickbidmanager": self.bid_manager,
                "dfareporting": CampaignManager(
                    self.universe, self.clock, paging, self.jobs, spool, config.seed
                ),
                "iamcredentials": IamCredentials(self.accounts),
                "secretmanager": secrets,
            },
        )
        self.storage = Storage(config, self.universe, self.clock, self.accounts, paging)
        self.control = Control(
            config, self.universe, self.clock, self.schedule, self.stats, self.accounts, secrets
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        call = Call(
            request.method,
            scope.get("raw_path", scope["path"].encode()).decode("ascii", "replace").partition("?")[0],
            tuple(request.query_params.multi_items()),
            dict(request.headers.items()),
            body,
            f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}",
        )
        api, effect, reply = await run_in_threadpool(self.handle, call)
        self.stats.count(api, call.method, reply.status, reply.length)
        if effect.delay:
            await asyncio.sleep(effect.delay)
        await _send(scope, send, reply, effect, with_body=call.method != "HEAD")

    def handle(self, call: Call) -> tuple[str, Effect, Reply]:
        """The API a request belongs to, the fault that strikes it, and the answer."""
        api, effect = self._api(call.path), Effect()
        try:
            if api == "sandbox":
                return api, effect, self.control.answer(call)
            effect = self.schedule.effect(api or "unknown", call.method, call.plain_path)
            if effect.reply:
                return api, effect, effect.reply
            return api, effect, self._answer(api, call, effect)
        except GoogleError as error:
            return api, effect, error_reply(error)
        except Exception as error:
            self.stats.problem(f"{call.method} {call.path}: {type(error).__name__}: {error}")
            traceback.print_exc()
            return api, effect, error_reply(GoogleError(500, "Internal error encountered."))

    def close(self) -> None:
        """Stop the workers."""
        self.jobs.close()

    def _answer(self, api: str, call: Call, effect: Effect) -> Reply:
        if api == "token":
            if call.method != "POST":
                raise GoogleError(405, "The token endpoint takes POST only.", headers={"Allow": "POST"})
            return self.accounts.token(call)
        if api == "tokeninfo":
            return self.accounts.tokeninfo(call)
        if api == "discovery":
            return self.frontend.discovery(call)
        if api == "download":
            return self.bid_manager.download(call)
        if api == "storage":
            return self.storage.answer(call, effect)
        if api:
            return self.frontend.answer(api, call, effect)
        raise not_found(f"The requested URL {call.plain_path} was not found on this server.")

    @staticmethod
    def _api(path: str) -> str:
        if path == "/sandbox" or path.startswith("/sandbox/"):
            return "sandbox"
        if path in ("/token", "/tokeninfo"):
            return path[1:]
        if path.startswith(("/discovery/", "/$discovery/", "/%24discovery/")):
            return "discovery"
        if path.startswith(DOWNLOADS):
            return "download"
        if path.startswith(STORAGE_PREFIXES) or path == "/b":
            return "storage"
        return Frontend.api_of(path)


async def _send(scope: Scope, send: Send, reply: Reply, effect: Effect, *, with_body: bool) -> None:
    """Send an answer, whole or, where a fault says so, broken."""
    bodyless = reply.status in (204, 304)
    length = 0 if bodyless else reply.length
    cut = length
    if effect.cut_at is not None:
        cut = min(length, effect.cut_at)
    if effect.cut_from_end is not None:
        cut = max(0, length - effect.cut_from_end)
    if effect.reset_after is not None:
        cut = min(cut, effect.reset_after)
    promised = cut if effect.honest_length and effect.reset_after is None else length
    headers = [(key.lower().encode(), value.encode("latin-1")) for key, value in reply.headers.items()]
    headers.append((b"date", formatdate(time.time() + effect.clock_offset, usegmt=True).encode()))
    if not bodyless:
        headers.append((b"content-length", str(promised).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if with_body:
        await _send_body(send, reply, cut)
    if effect.reset_after is not None:
        await _reset(scope)
        return
    if not with_body or cut == promised:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    # Otherwise the server closes the connection with bytes still promised.


async def _send_body(send: Send, reply: Reply, size: int) -> None:
    if reply.part is None:
        for start in range(0, size, CHUNK):
            await _send_chunk(send, reply.body[start : min(start + CHUNK, size)])
        return
    with reply.part.path.open("rb") as file:
        file.seek(reply.part.start)
        left = size
        while left > 0:
            chunk = await run_in_threadpool(file.read, min(CHUNK, left))
            if not chunk:
                return
            left -= len(chunk)
            await _send_chunk(send, chunk)


async def _send_chunk(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _reset(scope: Scope) -> None:
    """Reset the TCP connection a request came in on, after what was sent has had time to arrive."""
    await asyncio.sleep(SETTLE_SECONDS)
    transport = TRANSPORTS.get(tuple(scope.get("client") or ("", 0)))
    if transport is None:
        return
    raw: Any = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _fresh(folder: Path) -> Path:
    """A folder for this run's report files, without those of an earlier run."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.csv*"):
        path.unlink(missing_ok=True)
    return folder

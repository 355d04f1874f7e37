"""Start a sandbox: in this process, or as a child for the length of a test."""

import socket
import sys
from asyncio import BaseTransport, Transport
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from adelt_sandbox.app import TRANSPORTS, Sandbox
from adelt_sandbox.clock import format_instant
from adelt_sandbox.config import DEFAULT_NOW, Config
from adelt_sandbox.process import ask, child


def environment(config: Config) -> dict[str, str]:
    """Environment variables that send Google's clients, and adelt, to a sandbox."""
    return {
        "ADELT_GOOGLE_ENDPOINT": config.url,
        "STORAGE_EMULATOR_HOST": config.url,
        "GOOGLE_APPLICATION_CREDENTIALS": str((config.state_dir / "credentials.json").resolve()),
    }


def serve(
    host: str = "127.0.0.1",
    port: int = 8765,
    seed: int = 7,
    size: str = "tiny",
    now: datetime = DEFAULT_NOW,
    state_dir: Path = Path(".adelt/sandbox"),
    *,
    report_seconds: float = 1.0,
    erf_until: date = date(2024, 10, 31),
    token_seconds: int = 3600,
    signed_url_seconds: int = 3600,
    anonymous_storage: bool = True,
    on_ready: Callable[[Config], None] | None = None,
) -> None:
    """Serve a sandbox until it is told to stop (Ctrl-C or SIGTERM).

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 picks a free one.
        seed: Same seed, same world.
        size: Size of the world, `tiny` and up.
        now: Where the virtual clock stands at start.
        state_dir: Folder for key files, report files and buckets.
        report_seconds: Real seconds a report needs from queued to done.
        erf_until: Last day with entity read files.
        token_seconds: Life of an access token.
        signed_url_seconds: Life of a signed report link.
        anonymous_storage: Accept Cloud Storage requests without a token.
        on_ready: Called once requests are answered; by default prints how to use the sandbox.
    """
    config = Config(
        host,
        port,
        seed,
        size,
        now,
        Path(state_dir),
        report_seconds,
        erf_until,
        token_seconds,
        signed_url_seconds,
        anonymous_storage,
    )
    with socket.create_server(
        (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
    ) as sock:
        config = replace(config, port=sock.getsockname()[1])
        sandbox = Sandbox(config)
        server = _Server(
            uvicorn.Config(
                sandbox,
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_level="critical",
                access_log=False,
                timeout_graceful_shutdown=1,
                server_header=False,
                date_header=False,  # the application sends it, so that a fault can put the clock wrong
            ),
            lambda: (on_ready or print_usage)(config),
        )
        try:
            server.run(sockets=[sock])
        finally:
            sandbox.close()


def buckets_of(state_dir: Path) -> Path:
    """Folder of a sandbox in which an object of a user's bucket is a file."""
    from gcp_storage_emulator.settings import STORAGE_DIR

    return state_dir.resolve() / "buckets" / str(STORAGE_DIR)


def print_usage(config: Config) -> None:
    """Say where the sandbox is and what to set so that clients find it."""
    print(
        f"sandbox ready at {config.url} (seed {config.seed}, size {config.size}, now {format_instant(config.now)})"
    )
    for name, value in environment(config).items():
        print(f"export {name}={value}")
    sys.stdout.flush()


@dataclass(frozen=True)
class Running:
    """A sandbox that runs in a child process.

    Attributes:
        url: Where it listens.
        state_dir: Its folder.
        pid: Its process id.
    """

    url: str
    state_dir: Path
    pid: int

    @property
    def credentials(self) -> Path:
        """Key file of the account that may see everything."""
        return self.state_dir / "credentials.json"

    @property
    def other_credentials(self) -> Path:
        """Key file of a second account, which sees only the last partner and profile."""
        return self.state_dir / "credentials-other.json"

    @property
    def buckets(self) -> Path:
        """Folder in which `gs://bucket/name`, of a bucket that a user made, is the file `bucket/name`."""
        return buckets_of(self.state_dir)

    @property
    def env(self) -> dict[str, str]:
        """Environment variables that send clients here."""
        return {
            "ADELT_GOOGLE_ENDPOINT": self.url,
            "STORAGE_EMULATOR_HOST": self.url,
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.credentials),
        }

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Send a JSON request to the sandbox and return the JSON of its answer."""
        return ask(self.url + path, method, body)

    def set_clock(self, now: datetime | str) -> None:
        """Move the virtual clock."""
        text = now if isinstance(now, str) else format_instant(now)
        self.request("POST", "/sandbox/clock", {"now": text})

    def set_faults(self, schedule: Sequence[Mapping[str, Any]], seed: int | None = None) -> None:
        """Put a fault schedule in force; an empty one turns faults off."""
        body: dict[str, Any] = {"faults": list(schedule)}
        if seed is not None:
            body["seed"] = seed
        self.request("POST", "/sandbox/faults", body)

    def truth(self, table: str, **query: Any) -> dict[str, Any]:
        """What a perfect warehouse would hold in a table such as `raw_dv360/report_standard`."""
        answer: dict[str, Any] = self.request("GET", f"/sandbox/truth/{table}?{urlencode(query, doseq=True)}")
        return answer

    def stats(self) -> dict[str, Any]:
        """Request counts and the sandbox's own mistakes."""
        answer: dict[str, Any] = self.request("GET", "/sandbox/stats")
        return answer


@contextmanager
def running(
    *,
    state_dir: Path | None = None,
    port: int = 0,
    seed: int = 7,
    size: str = "tiny",
    now: datetime = DEFAULT_NOW,
    report_seconds: float = 0.05,
    options: Sequence[str] = (),
) -> Iterator[Running]:
    """A sandbox in a child process for the length of a `with` block, e.g. in a test fixture.

    Args:
        state_dir: Its folder; a temporary one by default.
        port: Port to listen on; 0 picks a free one.
        seed: Same seed, same world.
        size: Size of the world.
        now: Where the virtual clock stands.
        report_seconds: Real seconds a report needs; short, for tests.
        options: More command line options of `python -m adelt_sandbox`.
    """
    words = ["--host", "127.0.0.1", "--port", str(port), "--seed", str(seed), "--size", size]
    words += ["--now", format_instant(now), "--report-seconds", str(report_seconds), *options]
    with child("adelt_sandbox", words, state_dir) as told:
        yield Running(told["url"], told["folder"], told["pid"])


class _Server(uvicorn.Server):
    """A uvicorn server that says when it answers."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()


class _Protocol(H11Protocol):
    """HTTP/1.1 that remembers its connections, so that a fault can reset one."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        if self.client and isinstance(transport, Transport):
            TRANSPORTS[self.client] = transport

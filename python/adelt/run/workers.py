"""Workers: task processes that are forked from a warmed server instead of started from nothing.

This is the runner's side; `adelt.run.forkserver` is the server's. The outermost runner makes a socket pair, the door, and
starts the server when the first request lies in it. Runners below inherit the door and knock like the first one.

No task is ever done twice or lost: the runner knocks with a new connection; the worker that is forked for it says that it is
ready; only then the runner sends the order. A worker that has not got the whole order does nothing, so until then a plain
process can be started instead; after that, the worker's end is the task's end.
"""

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS = 60.0  # for the server's imports and a fork; then a plain process is started instead
_LEAVE_SECONDS = 2.0  # for the server to go when its run is over; it has nothing to finish
_LOOK_SECONDS = 0.1  # between looks at whether a task that waits for its worker is still wanted


class NoWorkerError(Exception):
    """No worker could be had; the task has not begun, and may be started in another way."""


class GivenUpError(Exception):
    """The task was given up before its worker began."""


@dataclass(frozen=True)
class Order:
    """What a worker is to do.

    Attributes:
        argv: Command line of a Python module: interpreter, `-P`, `-m`, module, arguments.
        env: Its whole environment.
        cwd: Folder it works in.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path

    def to_line(self) -> bytes:
        """The order as it is sent."""
        order = {"argv": list(self.argv), "env": dict(self.env), "cwd": str(self.cwd)}
        return json.dumps(order).encode() + b"\n"

    @staticmethod
    def from_line(line: bytes) -> "Order":
        """Read an order."""
        order = json.loads(line)
        return Order(order["argv"], order["env"], Path(order["cwd"]))


@dataclass(frozen=True)
class Server:
    """How to start the server.

    Attributes:
        argv: Program and arguments; two descriptors are added, the door to serve and the lifeline to follow.
        env: Its whole environment; the interpreter of every worker has begun with it.
        cwd: Folder it starts in.
        log: File for what it prints: only why it could not serve.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    log: Path


class Worker:
    """A process that was forked for a task; it is asked like a `subprocess.Popen`."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        """Take over the connection to a worker that has its order."""
        self.pid = pid
        self._connection, self._buffer = connection, b""
        self._own_word: int | None = None
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        self._receive(0.0)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its exit code.

        Raises:
            subprocess.TimeoutExpired: It still runs after `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._code is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired(f"worker {self.pid}", timeout or 0.0)
            self._receive(left)
        return self._code

    def _receive(self, seconds: float | None) -> None:
        if self._code is not None or not _readable(self._connection, seconds):
            return
        try:
            data = self._connection.recv(4096)
        except OSError:
            data = b""
        self._buffer += data
        while b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            word, _, number = line.partition(b" ")
            if word == b"left":
                self._own_word = int(number)
            elif word == b"ended":
                self._code = int(number)
        if not data and self._code is None:
            # The server has died, and now the worker has, too. What the worker said last is what is known.
            self._code = 1 if self._own_word is None else self._own_word
        if self._code is not None:
            self._connection.close()


class Workers:
    """Where workers are asked for; shared by all runners of one `adelt run`."""

    def __init__(self, door: socket.socket) -> None:
        """Use a door that is open."""
        self._door = door

    @staticmethod
    def inherited(descriptor: int) -> "Workers":
        """The workers of the runner that started this process, from the descriptor it has left."""
        os.set_inheritable(descriptor, False)
        return Workers(socket.socket(fileno=descriptor))

    def fileno(self) -> int:
        """The descriptor to hand on to a runner below."""
        return self._door.fileno()

    def start(self, order: Order, descriptors: tuple[int, int, int], give_up: Callable[[], bool]) -> Worker:
        """Have a worker begin a task.

        Args:
            order: What it is to do.
            descriptors: Its output, its end of the event pipe, and its lifeline.
            give_up: Whether the task is not wanted any more.

        Raises:
            NoWorkerError: There is none; the task has not begun.
            GivenUpError: `give_up` said so before the task began.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                # Nothing may block on the door; its queue is long enough for hundreds of requests.
                socket.send_fds(self._door, [b"+"], [theirs.fileno()], socket.MSG_DONTWAIT)
            pid = _wait_until_ready(ours, give_up)
            line = order.to_line()
            sent = socket.send_fds(ours, [line], list(descriptors))
            if sent < len(line):  # or a worker that is through already makes "nothing more" a broken pipe
                ours.sendall(line[sent:])
        except OSError as error:
            ours.close()
            raise NoWorkerError(error.strerror or str(error)) from error
        except BaseException:
            ours.close()
            raise
        return Worker(pid, ours)


@contextmanager
def opened(server: Server) -> Iterator[Workers | None]:
    """Workers for a run; their server starts with the first request, and is gone when the block is left.

    None where the system is not Linux: on others a process that has loaded system libraries may not be forked.
    """
    if sys.platform != "linux":
        yield None
        return
    inside, outside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    lifeline, ours = os.pipe()
    host = _Host(server, inside, lifeline)
    host.start()
    try:
        with outside:
            yield Workers(outside)
    finally:
        os.close(ours)
        host.end()


class _Host:
    """Starts the server when somebody knocks, and waits for its end."""

    def __init__(self, server: Server, door: socket.socket, lifeline: int) -> None:
        self._server, self._door, self._lifeline = server, door, lifeline
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._attend, daemon=True)

    def start(self) -> None:
        """Wait for the first knock in a thread."""
        self._thread.start()

    def _attend(self) -> None:
        try:
            if self._knocked():
                self._process = self._launch()
        finally:
            # From here on the server alone holds the door: when it dies, who knocks hears of it at once.
            self._door.close()
            os.close(self._lifeline)
        if self._process:
            self._process.wait()

    def end(self) -> None:
        """Wait until the server has gone; its lifeline has ended."""
        self._thread.join(_LEAVE_SECONDS)
        if self._process and self._thread.is_alive():
            self._process.kill()
        self._thread.join()

    def _knocked(self) -> bool:
        """Whether somebody knocks before the run is over."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._door, selectors.EVENT_READ)
            selector.register(self._lifeline, selectors.EVENT_READ)
            return all(key.fileobj is self._door for key, _ in selector.select())

    def _launch(self) -> "subprocess.Popen[bytes] | None":
        descriptors = (self._door.fileno(), self._lifeline)
        with contextlib.suppress(OSError):  # then nobody opens the door, and who knocks hears of it
            self._server.log.parent.mkdir(parents=True, exist_ok=True)
            with self._server.log.open("ab") as log:
                return subprocess.Popen(
                    [*self._server.argv, *map(str, descriptors)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._server.env,
                    cwd=self._server.cwd,
                    start_new_session=True,
                    pass_fds=descriptors,
                )
        return None


def _wait_until_ready(connection: socket.socket, give_up: Callable[[], bool]) -> int:
    """The worker's process id, once it waits for its order."""
    deadline = time.monotonic() + READY_SECONDS
    said = b""
    while not said.endswith(b"\n"):
        if give_up():
            raise GivenUpError
        if time.monotonic() > deadline:
            raise NoWorkerError(f"none was ready within {READY_SECONDS:g} s")
        if _readable(connection, _LOOK_SECONDS):
            data = connection.recv(256)
            if not data:
                raise NoWorkerError("their server is not there")
            said += data
    if give_up():
        raise GivenUpError
    word, _, number = said.partition(b" ")
    if word != b"ready":
        raise NoWorkerError("it died at once")
    return int(number.partition(b"\n")[0])


def _readable(connection: socket.socket, seconds: float | None) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(seconds))

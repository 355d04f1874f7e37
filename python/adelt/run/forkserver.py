"""The server behind `adelt.run.workers`: forks one worker for each request, and says how each one ended.

It must be single-threaded when it forks: a thread of the server does not exist in the worker, but its locks do.
"""

import atexit
import contextlib
import gc
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import NoReturn

from adelt import settings
from adelt.run.workers import Order

_READ = 65536


class NotAloneError(Exception):
    """There are other threads; to fork now could leave workers that hang."""


def serve(door: int, lifeline: int) -> None:
    """Fork workers until the runner has gone.

    Args:
        door: Descriptor of the socket where requests come in.
        lifeline: Descriptor that reaches its end when the runner dies.

    Raises:
        NotAloneError: This process has more than one thread.
    """
    if others := _other_threads():
        raise NotAloneError(f"threads {', '.join(others)} are running")
    gc.freeze()  # or the first collection of every worker would copy all pages that are shared now
    _Server(socket.socket(fileno=door), lifeline).run()


def _other_threads() -> list[str]:
    """Names of threads besides this one, also of those that Python does not know."""
    tasks = [path for path in Path("/proc/self/task").iterdir() if int(path.name) != os.getpid()]
    return [(path / "comm").read_text().strip() for path in tasks]


class _Server:
    def __init__(self, door: socket.socket, lifeline: int) -> None:
        self._door, self._lifeline = door, lifeline
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        self._selector = selectors.DefaultSelector()
        self._working: dict[int, socket.socket] = {}

    def run(self) -> None:
        """Serve until the lifeline ends or nobody can knock any more."""
        signal.signal(
            signal.SIGCHLD, lambda *_: None
        )  # a handler, so that the descriptor below is written to
        signal.set_wakeup_fd(self._wake)
        for source in (self._door, self._lifeline, self._woken):
            self._selector.register(source, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in self._selector.select()}
            if self._lifeline in ready:
                return
            if self._woken in ready:
                os.read(self._woken, _READ)
                self._reap()
            if self._door.fileno() in ready and not self._answer():
                return

    def _answer(self) -> bool:
        """Fork a worker for a request; False when there will be no more."""
        try:
            data, descriptors, _, _ = socket.recv_fds(
                self._door, 1, 1, socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return True
        if not data:
            return False
        connection = socket.socket(fileno=descriptors[0])
        try:
            pid = os.fork()
        except OSError:
            connection.close()  # the runner hears of it
            return True
        if pid == 0:
            self._become_worker(connection)
        self._working[pid] = connection
        return True

    def _reap(self) -> None:
        while self._working:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            with self._working.pop(pid) as connection, contextlib.suppress(OSError):
                connection.sendall(b"ended %d\n" % os.waitstatus_to_exitcode(status))

    def _become_worker(self, connection: socket.socket) -> NoReturn:
        code = 1
        try:
            self._forget()
            code = _work(connection)
        except BaseException:
            traceback.print_exc()
        finally:
            # Not sys.exit: taking the server's modules apart would copy most of the memory that is shared.
            os._exit(code)

    def _forget(self) -> None:
        """Let go of what is the server's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for other in (self._door, *self._working.values()):
            other.close()
        for descriptor in (self._lifeline, self._woken, self._wake):
            os.close(descriptor)


def _work(connection: socket.socket) -> int:
    """Do what the runner orders, as a process that was started for it would; the exit code."""
    os.setsid()
    connection.sendall(b"ready %d\n" % os.getpid())
    line, descriptors = _order(connection)
    if not line:
        return 0  # the runner has died, or does not want the task any more
    log, events, lifeline = descriptors
    for standard in (1, 2):
        os.dup2(log, standard)
    os.close(log)
    order = Order.from_line(line)
    if list(order.argv[1:3]) != ["-P", "-m"]:
        raise ValueError(f"not the command line of a module: {order.argv}")
    os.chdir(order.cwd)
    settings.replace({**order.env, "ADELT_EVENTS_FD": str(events), "ADELT_LIFELINE_FD": str(lifeline)})
    time.tzset()
    code = _run(order.argv[3], list(order.argv[4:]))
    with contextlib.suppress(OSError):
        connection.sendall(b"left %d\n" % code)  # in case that the server cannot tell any more
    return code


def _order(connection: socket.socket) -> tuple[bytes, list[int]]:
    """The order and its descriptors; empty if it does not come, or not whole."""
    data, descriptors, _, _ = socket.recv_fds(connection, _READ, 3, socket.MSG_CMSG_CLOEXEC)
    while not data.endswith(b"\n"):
        more = connection.recv(_READ)
        if not more:
            return b"", []
        data += more
    return data, descriptors


def _run(module: str, arguments: list[str]) -> int:
    """What `python -m module arguments` does, to the end of the interpreter."""
    gc.enable()
    sys.argv = ["-m", *arguments]
    code = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        code = _exit_code(error)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # as multiprocessing's workers do
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    return code


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1

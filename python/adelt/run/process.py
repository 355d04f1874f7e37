"""One task's process: started or forked in a group of its own, watched, and stopped with everything it has started."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from adelt.run.workers import GivenUpError, NoWorkerError, Order, Workers

GRACE_SECONDS = 10.0  # between asking a process to stop and killing it


@dataclass(frozen=True)
class Command:
    """A process to start.

    Attributes:
        argv: Program and arguments.
        env: Its whole environment.
        cwd: Folder it starts in.
        log: File for everything it prints.
        fork: Workers to fork it from, so that it need not import what they have; without one it is started from nothing.
        lend: Workers that it may fork its own tasks from (ADELT_WORKERS_FD).
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    log: Path
    fork: Workers | None = None
    lend: Workers | None = None


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        exit_code: Its exit code; negative is a signal.
        seconds: How long it ran.
        timed_out: It was stopped because it took too long.
        stopped: It was stopped because someone asked.
    """

    exit_code: int
    seconds: float
    timed_out: bool = False
    stopped: bool = False


class _Started(Protocol):
    """What is asked of a process, however it came to be."""

    pid: int

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...


@dataclass
class Process:
    """A task process. `on_line` and `on_end` are called from its own threads."""

    command: Command
    on_line: Callable[[str], None]
    on_end: Callable[[Ended], None]
    timeout: float | None = None
    grace: float = GRACE_SECONDS
    _stop: threading.Event = field(default_factory=threading.Event)
    _kill: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start it; how that went is told by `on_end`.

        The process gets two descriptors: ADELT_EVENTS_FD to write event lines to, and ADELT_LIFELINE_FD, which reaches its
        end when this process dies, however it dies.

        Raises:
            OSError: There can be no log or no pipe.
        """
        self.command.log.parent.mkdir(parents=True, exist_ok=True)
        theirs = contextlib.ExitStack()
        with contextlib.ExitStack() as undo:
            undo.push(theirs)
            log = os.open(self.command.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            theirs.callback(os.close, log)
            events_read, events_write = os.pipe()
            undo.callback(os.close, events_read)
            theirs.callback(os.close, events_write)
            lifeline_read, lifeline_write = os.pipe()
            undo.callback(os.close, lifeline_write)
            theirs.callback(os.close, lifeline_read)
            undo.pop_all()
        reader = threading.Thread(target=self._read, args=(events_read,), daemon=True)
        reader.start()
        descriptors = (log, events_write, lifeline_read)
        threading.Thread(
            target=self._live, args=(descriptors, theirs, reader, lifeline_write), daemon=True
        ).start()

    def stop(self) -> None:
        """Ask it to stop; after a while it is killed."""
        self._stop.set()

    def kill(self) -> None:
        """Kill it at once."""
        self._kill.set()
        self._stop.set()

    def _read(self, descriptor: int) -> None:
        with os.fdopen(descriptor, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                self.on_line(line)

    def _live(
        self,
        descriptors: tuple[int, int, int],
        theirs: contextlib.ExitStack,
        reader: threading.Thread,
        lifeline: int,
    ) -> None:
        """The process from its start to its end; in a thread, because a worker may have to wait for the server's imports."""
        begun = time.monotonic()
        try:
            with theirs:
                started = self._start(descriptors, begun)
            code, timed_out, stopped = self._watch(started, begun)
            _signal_group(started.pid, signal.SIGKILL)  # what it has left behind
        except GivenUpError:
            code, stopped = -signal.SIGTERM, self._stop.is_set()
            timed_out = not stopped
        except OSError as error:
            _note(self.command.log, f"the process could not be started: {error}")
            code, timed_out, stopped = 1, False, False
        os.close(lifeline)
        reader.join(timeout=5)  # a grandchild in a session of its own may keep the pipe open
        self.on_end(Ended(code, time.monotonic() - begun, timed_out, stopped))

    def _start(self, descriptors: tuple[int, int, int], begun: float) -> _Started:
        env = {**self.command.env, "ADELT_LOG": str(self.command.log)}
        if self.command.fork:
            order = Order(self.command.argv, env, self.command.cwd)
            try:
                return self.command.fork.start(
                    order, descriptors, lambda: self._stop.is_set() or self._late(begun)
                )
            except NoWorkerError as error:
                _note(self.command.log, f"no worker ({error}): started as a process of its own")
        log, events, lifeline = descriptors
        env |= {"ADELT_EVENTS_FD": str(events), "ADELT_LIFELINE_FD": str(lifeline)}
        handed = [events, lifeline]
        if self.command.lend:
            env["ADELT_WORKERS_FD"] = str(self.command.lend.fileno())
            handed.append(self.command.lend.fileno())
        return subprocess.Popen(
            list(self.command.argv),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=self.command.cwd,
            start_new_session=True,
            pass_fds=handed,
        )

    def _late(self, begun: float) -> bool:
        return self.timeout is not None and time.monotonic() - begun > self.timeout

    def _watch(self, started: _Started, begun: float) -> tuple[int, bool, bool]:
        """Its exit code, whether it took too long, and whether it was stopped."""
        timed_out = stopped = False
        while started.poll() is None:
            stopped = self._stop.is_set()
            timed_out = not stopped and self._late(begun)
            if stopped or timed_out:
                self._end(started)
                break
            _wait(started, 0.02 if time.monotonic() - begun < 1 else 0.1)
        return started.wait(), timed_out, stopped

    def _end(self, started: _Started) -> None:
        _signal_group(started.pid, signal.SIGTERM)
        deadline = time.monotonic() + self.grace
        while started.poll() is None and time.monotonic() < deadline and not self._kill.is_set():
            _wait(started, 0.05)
        _signal_group(started.pid, signal.SIGKILL)


def _wait(started: _Started, seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        started.wait(timeout=seconds)


def _note(log: Path, line: str) -> None:
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)

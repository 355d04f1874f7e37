"""One task's process: started in a group of its own, watched, and stopped with everything it has started."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

GRACE_SECONDS = 10.0  # between asking a process to stop and killing it


@dataclass(frozen=True)
class Command:
    """A process to start.

    Attributes:
        argv: Program and arguments.
        env: Its whole environment.
        cwd: Folder it starts in.
        log: File for everything it prints.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    log: Path


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


@dataclass
class Process:
    """A running task process. `on_line` and `on_end` are called from its own threads."""

    command: Command
    on_line: Callable[[str], None]
    on_end: Callable[[Ended], None]
    timeout: float | None = None
    grace: float = GRACE_SECONDS
    _popen: "subprocess.Popen[bytes] | None" = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _kill: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start it.

        The process gets two descriptors: ADELT_EVENTS_FD to write event lines to, and ADELT_LIFELINE_FD, which reaches its
        end when this process dies, however it dies.
        """
        self.command.log.parent.mkdir(parents=True, exist_ok=True)
        events_read, events_write = os.pipe()
        lifeline_read, lifeline_write = os.pipe()
        env = {
            **self.command.env,
            "ADELT_EVENTS_FD": str(events_write),
            "ADELT_LIFELINE_FD": str(lifeline_read),
            "ADELT_LOG": str(self.command.log),
        }
        try:
            with self.command.log.open("ab") as log:
                self._popen = subprocess.Popen(
                    list(self.command.argv),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=env,
                    cwd=self.command.cwd,
                    start_new_session=True,
                    pass_fds=(events_write, lifeline_read),
                )
        except BaseException:
            os.close(events_read)
            os.close(lifeline_write)
            raise
        finally:
            os.close(events_write)
            os.close(lifeline_read)
        reader = threading.Thread(target=self._read, args=(events_read,), daemon=True)
        reader.start()
        threading.Thread(target=self._watch, args=(reader, lifeline_write), daemon=True).start()

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

    def _watch(self, reader: threading.Thread, lifeline: int) -> None:
        assert self._popen is not None
        begun = time.monotonic()
        timed_out = stopped = False
        while self._popen.poll() is None:
            passed = time.monotonic() - begun
            if self._stop.is_set():
                stopped = True
            elif self.timeout is not None and passed > self.timeout:
                timed_out = True
            if stopped or timed_out:
                self._end()
                break
            self._wait(0.02 if passed < 1 else 0.1)
        code = self._popen.wait()
        _signal_group(self._popen.pid, signal.SIGKILL)  # what it has left behind
        os.close(lifeline)
        reader.join(timeout=5)  # a grandchild in a session of its own may keep the pipe open
        self.on_end(Ended(code, time.monotonic() - begun, timed_out, stopped))

    def _wait(self, seconds: float) -> None:
        assert self._popen is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout=seconds)

    def _end(self) -> None:
        assert self._popen is not None
        _signal_group(self._popen.pid, signal.SIGTERM)
        deadline = time.monotonic() + self.grace
        while self._popen.poll() is None and time.monotonic() < deadline and not self._kill.is_set():
            self._wait(0.05)
        _signal_group(self._popen.pid, signal.SIGKILL)


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)

"""Who holds a lease, and whether that process still lives.

A process id alone says nothing: it is used again after a while, and after a reboot at once. So an owner is a host, a boot, a
process id and the time that process started.
"""

import json
import os
import socket
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

LEASE_SECONDS = 60.0
HEARTBEAT_SECONDS = 5.0


@dataclass(frozen=True)
class Owner:
    """A process that holds a lease.

    Attributes:
        host: Its machine.
        boot: Id of the machine's boot; empty where the system has none.
        pid: Process id.
        started: When the process started, in the system's ticks; empty where it cannot be read.
    """

    host: str
    boot: str
    pid: int
    started: str

    def to_text(self) -> str:
        """The owner as it is stored."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_text(text: str) -> "Owner":
        """Read a stored owner."""
        return Owner(**json.loads(text))


def this_process() -> Owner:
    """This process as an owner."""
    return Owner(socket.gethostname(), _boot(), os.getpid(), _started(os.getpid()))


def is_alive(owner: Owner, heartbeat_age: float) -> bool:
    """Whether the owner still holds its lease.

    On the machine it runs on, the process itself tells; from another machine, or where the system gives no start times,
    the age of the last heartbeat does.
    """
    if owner.host == socket.gethostname() and owner.started:
        return owner.boot == _boot() and _started(owner.pid) == owner.started
    return heartbeat_age < LEASE_SECONDS


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Start time of a process in ticks since boot; empty if it is gone, a zombie, or the system does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the name in parentheses may hold spaces
    return "" if fields[0] == "Z" else fields[19]

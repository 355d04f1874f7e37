"""A server in a child process: start it, talk to it, end it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

START_SECONDS = 60
ANSWER_SECONDS = 600
READY = "ready.json"


@contextmanager
def child(module: str, words: Sequence[str], state_dir: Path | None = None) -> Iterator[dict[str, Any]]:
    """Run `python -m module --state folder words...` for a `with` block.

    Args:
        module: The module; it calls `announce` once it answers.
        words: Its arguments.
        state_dir: The folder, which gets its log too; a temporary one by default.

    Yields:
        What it announced, and `folder` and `pid`.

    Raises:
        RuntimeError: It did not start; the message has its log.
    """
    prefix = module.replace(".", "-") + "-"
    with ExitStack() as stack:
        folder = state_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix)))
        folder.mkdir(parents=True, exist_ok=True)
        ready, log = folder / READY, folder / "server.log"
        ready.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", module, "--state", str(folder), *words],
            stdout=stack.enter_context(log.open("w")),
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        stack.callback(stop, process)
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{module} did not start:\n{log.read_text()}")
            time.sleep(0.02)
        yield {**json.loads(ready.read_text()), "folder": folder.resolve(), "pid": process.pid}


def announce(folder: Path, **facts: Any) -> None:
    """Tell `child` that requests are answered now, and where."""
    partial = folder / (READY + ".partial")
    partial.write_text(json.dumps(facts))
    partial.replace(folder / READY)


def ask(url: str, method: str = "GET", body: Any = None) -> Any:
    """Send a JSON request and return the JSON of its answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
        return json.load(answer)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end; kill it if it does not within five seconds."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

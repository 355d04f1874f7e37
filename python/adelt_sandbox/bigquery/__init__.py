"""A BigQuery for the sandbox: bqemulator in a process of its own, made as strict as the service where it matters.

The emulator translates GoogleSQL to DuckDB. What it forgives and BigQuery does not (list columns without list inference,
unknown fields, job ids used twice, datasets in another location) is refused by `front` and `parquet`; docs/bigquery.md
says what is left.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adelt_sandbox.process import stop

START_SECONDS = 60
PROJECT = "adelt-sandbox"


@dataclass(frozen=True)
class Running:
    """An emulator that runs in a child process.

    Attributes:
        url: Where its REST API listens.
        grpc: Where its Storage Read API listens, as `host:port`.
        project: Project it answers for.
        pid: Its process id.
    """

    url: str
    grpc: str
    project: str
    pid: int

    @property
    def env(self) -> dict[str, str]:
        """Environment variables that send Google's clients, dbt and adelt here."""
        return {
            "BIGQUERY_EMULATOR_HOST": self.url,
            "ADELT_BIGQUERY_PROJECT": self.project,
            "ADELT_BIGQUERY_LOCATION": "EU",
            "GOOGLE_CLOUD_PROJECT": self.project,
        }

    def set_faults(self, schedule: Sequence[Mapping[str, Any]]) -> None:
        """Put a fault schedule in force (see `front`); an empty one turns faults off."""
        self._control("POST", "/sandbox/faults", {"faults": list(schedule)})

    def requests(self) -> list[dict[str, Any]]:
        """What was asked since the last call of this method, oldest first."""
        answer: list[dict[str, Any]] = self._control("GET", "/sandbox/requests")["requests"]
        return answer

    def _control(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


@contextmanager
def running(*, buckets: Path | None = None, state_dir: Path | None = None) -> Iterator[Running]:
    """An emulator in a child process for the length of a `with` block.

    Args:
        buckets: Folder in which `gs://bucket/name` is the file `bucket/name`: the sandbox's `Running.buckets`.
        state_dir: Folder for its log; a temporary one by default. Tables are kept in memory.

    Raises:
        RuntimeError: It did not start; the message has its log.
    """
    with ExitStack() as stack:
        folder = state_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="adelt-bigquery-")))
        folder.mkdir(parents=True, exist_ok=True)
        ready = folder / "bigquery.json"
        ready.unlink(missing_ok=True)
        log = stack.enter_context((folder / "bigquery.log").open("w"))
        words = [sys.executable, "-m", "adelt_sandbox.bigquery", "--ready", str(ready)]
        words += ["--buckets", str(buckets)] if buckets else []
        process = subprocess.Popen(
            words, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )
        stack.callback(stop, process)
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"the BigQuery emulator did not start:\n{(folder / 'bigquery.log').read_text()}"
                )
            time.sleep(0.02)
        told = json.loads(ready.read_text())
        yield Running(told["url"], told["grpc"], PROJECT, process.pid)

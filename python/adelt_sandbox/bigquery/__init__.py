"""A BigQuery for the sandbox: bqemulator in a process of its own, made as strict as the service where it matters.

The emulator translates GoogleSQL to DuckDB. What it forgives and BigQuery does not (list columns without list inference,
unknown fields, job ids used twice, datasets in another location) is refused by `front` and `parquet`; docs/bigquery.md
says what is left.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adelt_sandbox.process import ask, child

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
        ask(self.url + "/sandbox/faults", "POST", {"faults": list(schedule)})

    def requests(self) -> list[dict[str, Any]]:
        """What was asked since the last call of this method, oldest first."""
        answer: list[dict[str, Any]] = ask(self.url + "/sandbox/requests")["requests"]
        return answer


@contextmanager
def running(*, buckets: Path | None = None, state_dir: Path | None = None) -> Iterator[Running]:
    """An emulator in a child process for the length of a `with` block.

    Args:
        buckets: Folder in which `gs://bucket/name` is the file `bucket/name`: the sandbox's `Running.buckets`.
        state_dir: Folder for its log; a temporary one by default. Tables are kept in memory.

    Raises:
        RuntimeError: It did not start; the message has its log.
    """
    words = ["--buckets", str(buckets)] if buckets else []
    with child("adelt_sandbox.bigquery", words, state_dir) as told:
        yield Running(told["url"], told["grpc"], PROJECT, told["pid"])

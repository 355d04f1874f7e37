"""What can be loaded: a DuckDB file, or datasets of a BigQuery project. Values only; nothing is imported or opened."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True)
class DuckDb:
    """One DuckDB file.

    Attributes:
        file: Where it is; created if missing.
        max_run_bytes: None: nothing is billed.
    """

    file: Path
    max_run_bytes: ClassVar[None] = None

    @property
    def is_gone(self) -> bool:
        """Whether nothing is there (any more)."""
        return not self.file.exists()

    def __str__(self) -> str:
        """The file."""
        return str(self.file)


@dataclass(frozen=True)
class BigQuery:
    """Datasets of one Google Cloud project, in one location.

    Attributes:
        project: Project that holds the datasets and pays for the queries.
        location: Where the datasets are, for example `EU` or `europe-west1`; cannot be changed later.
        prefix: Put in front of every dataset, for example `dev_`, so that environments can share a project.
        bucket: Cloud Storage bucket for large files on their way in, evidence and exports; empty has none.
        labels: On datasets, tables and jobs, so that their cost can be told apart.
        require_partition_filter: Refuse queries that would read a whole raw table.
        partition_expiration_days: Days after which a partition of a raw table is deleted; None keeps it.
        impersonate: Service account to act as; empty acts as the credentials themselves.
        max_bytes: Bytes that one query may be billed for; None has no limit.
        max_run_bytes: Bytes that a run, and any task, may be billed for, by the estimate before it; None has no limit.
        job_timeout: Seconds after which a job is given up.
        stage_above: Bytes from which a file goes through the bucket (if there is one) instead of the request.
    """

    project: str
    location: str = "EU"
    prefix: str = ""
    bucket: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    require_partition_filter: bool = False
    partition_expiration_days: int | None = None
    impersonate: str = ""
    max_bytes: int | None = None
    max_run_bytes: int | None = None
    job_timeout: int = 1800
    stage_above: int = 64_000_000

    @property
    def is_gone(self) -> bool:
        """A project is never gone because somebody deleted a file."""
        return False

    def dataset(self, name: str) -> str:
        """A dataset as it is called here."""
        return f"{self.prefix}{name}"

    def __str__(self) -> str:
        """Project and prefix, for example `bigquery:acme-ads/dev_`."""
        return f"bigquery:{self.project}" + (f"/{self.prefix}" if self.prefix else "")


Warehouse = DuckDb | BigQuery

"""What one invocation knows: its table, window, parameters, patience, and whom it tells about progress."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from adelt_sources.errors import InputError
from adelt_sources.scope import Scope


@dataclass(frozen=True)
class Progress:
    """One line of news from a running task.

    Attributes:
        phase: `wait`, `fetch`, `parse`, `check`, `load` or `done`.
        message: What it does or waits for.
        rows: Rows so far, where known.
        bytes: Bytes so far, where known.
        total_bytes: Bytes in all, where known.
    """

    phase: str
    message: str
    rows: int | None = None
    bytes: int | None = None
    total_bytes: int | None = None


@dataclass(frozen=True)
class Patience:
    """How long to wait and how often to try, in seconds.

    The defaults of polling are those of Google's Bid Manager samples: 5 s to 5 min, give up after 5 h.
    """

    poll_min: float = 5.0
    poll_max: float = 300.0
    poll_deadline: float = 5 * 3600.0
    retry_min: float = 1.0
    retry_max: float = 60.0
    attempts: int = 6


@dataclass(frozen=True)
class Evidence:
    """A file as the source gave it, and what is needed to parse it again without asking the source.

    Attributes:
        path: The file.
        facts: What the file does not say itself, for example the report's id; fits into JSON.
    """

    path: Path
    facts: Mapping[str, Any]


Keep = Callable[["Run", Sequence[Evidence], Scope], None]


@dataclass(frozen=True)
class Run:
    """One invocation: one table, one window.

    Attributes:
        id: Run id; ends up in `_run_id`.
        start: First day of the window.
        end: Day after the last day of the window.
        params: Parameters of the source, as text.
        work_dir: Folder for this run's files.
        patience: How long to wait and how often to try.
        google_endpoint: Base URL of another server that speaks the Google APIs (the sandbox); None is Google.
        impersonate: Service account to act as; empty acts as the credentials themselves.
        tell: Called with news.
        keeper: Called with the run, its files as they came and the rows they stand for; None keeps nothing.
        secret: Gives the value of a secret by its name; empty if there is none.
        started_at: When the run began; ends up in `_loaded_at`.
    """

    id: str
    start: date
    end: date
    params: Mapping[str, str]
    work_dir: Path
    patience: Patience
    google_endpoint: str | None
    tell: Callable[[Progress], None]
    keeper: Keep | None = None
    impersonate: str = ""
    secret: Callable[[str], str] = lambda _: ""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def last_day(self) -> date:
        """Last day of the window."""
        return self.end - timedelta(days=1)

    @property
    def days(self) -> list[date]:
        """Days of the window."""
        return [self.start + timedelta(days=n) for n in range((self.end - self.start).days)]

    def keep(self, files: Sequence[Evidence], scope: Scope) -> None:
        """Keep files as they came, if somebody wants them; to be called before they are parsed.

        Args:
            files: The files.
            scope: The rows they stand for.

        Raises:
            SourceError: They cannot be kept.
        """
        if self.keeper:
            self.keeper(self, files, scope)

    def ids(self, name: str) -> list[int]:
        """A parameter that lists ids (`1001,1002`); empty when it is not given.

        Raises:
            InputError: Something in it is not a number.
        """
        text = self.params.get(name, "").strip().strip("[]")
        parts = [part.strip().strip("\"'") for part in text.split(",") if part.strip()]
        if bad := [part for part in parts if not part.isdigit()]:
            raise InputError(
                f"`{bad[0]}` is not an id", where=f"parameter `{name}`", fix=f"write -p {name}=1001,1002"
            )
        return [int(part) for part in parts]

    def flag(self, name: str) -> bool:
        """A parameter that is true or false; false when it is not given."""
        return self.params.get(name, "false").strip().lower() in ("true", "yes", "1")


@dataclass(frozen=True)
class Download:
    """A file that is whole.

    Attributes:
        path: Where it is.
        bytes: Its size.
        sha256: Its checksum, in hex.
    """

    path: Path
    bytes: int
    sha256: str


def downloaded(path: Path) -> Download:
    """A file that is whole, with its size and checksum."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Download(path, path.stat().st_size, digest)


@dataclass(frozen=True)
class Fetched:
    """What a source brings: rows in a file, and what they replace.

    Attributes:
        file: Parquet file with the table's columns.
        scope: Rows of the warehouse that it replaces.
        rows: Rows in the file.
        bytes: Bytes that were downloaded or read.
        report_runs: One row for `_report_runs` for each report that was run.
        warnings: What the user should know although it worked.
    """

    file: Path
    scope: Scope
    rows: int
    bytes: int
    report_runs: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

"""Settings from the environment: the only module that reads or writes it."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adelt import targets
from adelt.errors import InputError
from adelt.redact import password_of
from adelt_sources.warehouse import BigQuery, DuckDb, Warehouse

_SECRET_NAME = re.compile(
    r"SECRET|PASSWORD|PASSWD|TOKEN|API_?KEY|PRIVATE_?KEY|SMTP_URL|WEBHOOK_URL", re.IGNORECASE
)
# Shorter values would blank out innocent text: a number may be a limit (MAX_TOKENS), the password of a URL any word.
_SHORTEST_SECRET, _SHORTEST_GUESS = 4, 8
_NUMBERS = {
    "poll_min": "ADELT_POLL_MIN",
    "poll_max": "ADELT_POLL_MAX",
    "poll_deadline": "ADELT_POLL_DEADLINE",
    "retry_min": "ADELT_RETRY_MIN",
    "retry_max": "ADELT_RETRY_MAX",
    "attempts": "ADELT_ATTEMPTS",
}


@dataclass(frozen=True)
class Settings:
    """Where things are and how patient adelt is.

    Attributes:
        project: Folder with `pipelines/` and `dbt/` (ADELT_PROJECT, default the current folder).
        home: Folder for the ledger, logs and work files (ADELT_HOME, default `.adelt`).
        warehouse: What runs load: the target's warehouse (deploy/targets.yml).
        target: Which target that is (ADELT_TARGET, default `local`).
        google_endpoint: Another server that speaks the Google APIs (ADELT_GOOGLE_ENDPOINT); None is Google.
        patience: Seconds of polling and retrying that differ from the defaults of adelt_sources
            (ADELT_POLL_MIN, ADELT_POLL_MAX, ADELT_POLL_DEADLINE, ADELT_RETRY_MIN, ADELT_RETRY_MAX, ADELT_ATTEMPTS).
        landing: Where files are kept as they came (ADELT_LANDING, a folder or gs:// URL, or `off`; default `landing/` in
            the target's bucket); empty keeps none.
        landing_days: How many days they are kept (ADELT_LANDING_DAYS, default 400).
    """

    project: Path
    home: Path
    warehouse: Warehouse
    target: str = "local"
    google_endpoint: str | None = None
    patience: Mapping[str, float] = field(default_factory=dict)
    landing: str = ""
    landing_days: int = 400

    @property
    def impersonate(self) -> str:
        """Service account to act as in the cloud; empty acts as the credentials themselves."""
        return self.warehouse.impersonate if isinstance(self.warehouse, BigQuery) else ""

    @property
    def environment(self) -> str:
        """What "done" refers to: the target and its warehouse."""
        return f"{self.target}:{self.warehouse}"

    @property
    def ledger(self) -> Path:
        """The SQLite file with the run history."""
        return self.home / "ledger.sqlite"

    @property
    def variables(self) -> dict[str, str]:
        """Variables that make another process, wherever it runs, see the same settings."""
        found = {
            "ADELT_PROJECT": str(self.project),
            "ADELT_HOME": str(self.home),
            "ADELT_TARGET": self.target,
        }
        if isinstance(self.warehouse, DuckDb):
            found["ADELT_WAREHOUSE"] = str(self.warehouse.file)
        return found


def load(target: str | None = None) -> Settings:
    """Read the settings.

    Args:
        target: Target that was asked for; it goes before ADELT_TARGET.

    Raises:
        InputError: A setting is not what it must be.
    """
    project = Path(os.environ.get("ADELT_PROJECT") or ".").resolve()
    home = (project / (os.environ.get("ADELT_HOME") or ".adelt")).resolve()
    target = target or os.environ.get("ADELT_TARGET") or "local"
    patience: dict[str, float] = {}
    for name, variable in _NUMBERS.items():
        if text := os.environ.get(variable):
            patience[name] = _number(text, variable)
    warehouse = targets.find(target, project, home, os.environ)
    return Settings(
        project=project,
        home=home,
        warehouse=warehouse,
        target=target,
        google_endpoint=(os.environ.get("ADELT_GOOGLE_ENDPOINT") or "").rstrip("/") or None,
        patience=patience,
        landing=_landing(os.environ.get("ADELT_LANDING", ""), project, warehouse),
        landing_days=int(
            _number(os.environ.get("ADELT_LANDING_DAYS") or "400", "ADELT_LANDING_DAYS", "days")
        ),
    )


def export(values: Mapping[str, str]) -> None:
    """Set environment variables for this process and those it starts."""
    os.environ.update(values)


def replace(values: Mapping[str, str]) -> None:
    """Make these all the environment variables there are, as for a process that is started with them."""
    os.environ.clear()
    os.environ.update(values)


def export_settings(settings: Settings) -> None:
    """Make child processes, wherever they run, see the same settings."""
    export(settings.variables)


def schema_prefix() -> str:
    """What was asked to be put in front of every schema that dbt builds (ADELT_SCHEMA_PREFIX); else empty."""
    return os.environ.get("ADELT_SCHEMA_PREFIX", "")


def orchestra_endpoint() -> str:
    """Where outputs are sent under Orchestra, if not to its own server (ADELT_ORCHESTRA_ENDPOINT); else empty."""
    return os.environ.get("ADELT_ORCHESTRA_ENDPOINT", "")


def airflow() -> tuple[str, str]:
    """Where Airflow is, and which user asks it (ADELT_AIRFLOW_URL, ADELT_AIRFLOW_USER); else empty."""
    return os.environ.get("ADELT_AIRFLOW_URL", ""), os.environ.get("ADELT_AIRFLOW_USER", "")


def orchestra_api() -> str:
    """Where Orchestra's API is, if not at its own address (ADELT_ORCHESTRA_URL); else empty."""
    return os.environ.get("ADELT_ORCHESTRA_URL", "")


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process to start: this one's and `extra`."""
    return {**os.environ, **extra}


def secret(name: str) -> str:
    """The value of a secret in the environment: ADELT_SECRET_NAME, or else the variable NAME; empty if neither is set.

    `adelt.secrets` looks at the other places too.
    """
    return os.environ.get(f"ADELT_SECRET_{name}") or os.environ.get(name, "")


def secret_values() -> list[str]:
    """Values of variables that look like secrets, and passwords in URLs, longest first, to be kept out of logs."""
    found = set()
    for name, value in os.environ.items():
        is_guess = value.isdigit() and not name.startswith("ADELT_SECRET_")
        if _SECRET_NAME.search(name):
            found |= {value} if len(value) >= (_SHORTEST_GUESS if is_guess else _SHORTEST_SECRET) else set()
        elif len(password := password_of(value)) >= _SHORTEST_GUESS:
            found.add(password)
    return sorted(found, key=len, reverse=True)


@dataclass(frozen=True)
class Handover:
    """What a runner tells the task process it starts.

    Attributes:
        events: File descriptor to write event lines to; None when nobody listens.
        lifeline: File descriptor that reaches its end when the runner dies; None without a runner.
        log: The task's log file, when the runner has already made it the task's output.
        stack: Pipelines that are being run around this one, outermost first.
        parent_run: Run that started this one.
        workers: File descriptor to ask for workers at, when this task runs a pipeline; None without them.
    """

    events: int | None = None
    lifeline: int | None = None
    log: Path | None = None
    stack: tuple[str, ...] = ()
    parent_run: str | None = None
    workers: int | None = None


def take_handover() -> Handover:
    """Read and remove what the runner left; programs that a task starts must not see it."""
    events, lifeline = os.environ.pop("ADELT_EVENTS_FD", ""), os.environ.pop("ADELT_LIFELINE_FD", "")
    log, workers = os.environ.pop("ADELT_LOG", ""), os.environ.pop("ADELT_WORKERS_FD", "")
    stack = os.environ.get("ADELT_PIPELINE_STACK", "")
    return Handover(
        events=int(events) if events else None,
        lifeline=int(lifeline) if lifeline else None,
        log=Path(log) if log else None,
        stack=tuple(part for part in stack.split(",") if part),
        parent_run=os.environ.get("ADELT_PARENT_RUN") or None,
        workers=int(workers) if workers else None,
    )


def _landing(text: str, project: Path, warehouse: Warehouse) -> str:
    """A place as a URL or whole path; empty when nothing is kept."""
    if text == "off":
        return ""
    if text:
        return text.rstrip("/") if "://" in text else str((project / text).resolve())
    return f"gs://{warehouse.bucket}/landing" if isinstance(warehouse, BigQuery) and warehouse.bucket else ""


def _number(text: str, variable: str, unit: str = "seconds") -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if value < 0:
        raise InputError(f"`{text}` is not a number of {unit}", where=variable, fix="write it like 30")
    return value

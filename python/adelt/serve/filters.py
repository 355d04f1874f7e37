"""What a request may ask for: a page, and filters. A value that means nothing is refused, not passed over."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

LONGEST_WINDOW = timedelta(days=7)
MOST_ROWS = 100  # on a page


class Status(StrEnum):
    """States of a run, a task and an operation; those that only another engine knows match nothing here."""

    CREATED = "CREATED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    WARNING = "WARNING"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"


class OperationType(StrEnum):
    """What an operation does to an asset."""

    INGESTION = "INGESTION"
    MATERIALISATION = "MATERIALISATION"
    TEST = "TEST"
    SEED = "SEED"
    SNAPSHOT = "SNAPSHOT"
    QUERY = "QUERY"
    SOURCE = "SOURCE"
    EXPORT = "EXPORT"
    TRANSFER = "TRANSFER"
    PURGE = "PURGE"
    ALERT = "ALERT"


class AssetType(StrEnum):
    """What an asset is; the ledger knows tables only."""

    TABLE = "TABLE"
    VIEW = "VIEW"
    DATASET = "DATASET"
    DASHBOARD = "DASHBOARD"


def _split(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = tuple(part.strip() for part in value.split(",") if part.strip())
    if not parts:  # as no filter it would show everything, to a program whose list was empty
        raise PydanticCustomError("empty", "it names nothing; leave it out to see all")
    return parts


def _plus(value: Any) -> Any:
    # A `+` in a query means a space: 2026-01-01T00:00:00+01:00 arrives with one, unless it was escaped.
    return value.strip().replace(" ", "+") if isinstance(value, str) and "T" in value else value


def _utc(value: datetime) -> datetime:
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError("time", "there is no such time in UTC") from error


Time = Annotated[datetime, BeforeValidator(_plus), AfterValidator(_utc)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_split)]


class Paging(BaseModel):
    """Which page of the results.

    Attributes:
        page: From 1; one after the last is empty.
        page_size: Rows on a page, 1 to 100; `per_page` is another name of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    page: int = Field(default=1, ge=1, le=1_000_000)
    page_size: int = Field(
        default=50, ge=1, le=MOST_ROWS, validation_alias=AliasChoices("page_size", "per_page")
    )


class _Filters(Paging):
    """Filters that every resource has. Times are UTC unless they say otherwise; `time_to` is not included."""

    time_from: Time | None = None
    time_to: Time | None = None
    pipeline_ids: Texts = ()
    pipeline_run_ids: Texts = ()

    @model_validator(mode="after")
    def _window(self) -> "_Filters":
        if (self.time_from is None) != (self.time_to is None):
            raise PydanticCustomError("window", "time_from and time_to are given together or not at all")
        if self.time_from is not None and self.time_to is not None:
            if self.time_to < self.time_from:
                raise PydanticCustomError("window", "time_to is before time_from")
            if self.time_to - self.time_from > LONGEST_WINDOW:
                raise PydanticCustomError("window", "from time_from to time_to are more than 7 days")
        return self


class RunFilters(_Filters):
    """Filters of `/pipeline_runs`."""

    status: Annotated[tuple[Status, ...], BeforeValidator(_split)] = ()


class TaskFilters(RunFilters):
    """Filters of `/task_runs`."""

    integration: Texts = ()
    task_run_ids: Texts = ()


class OperationFilters(TaskFilters):
    """Filters of `/operations`."""

    operation_type: Annotated[tuple[OperationType, ...], BeforeValidator(_split)] = ()
    external_id: Texts = ()


class AssetFilters(_Filters):
    """Filters of `/assets`; the times are those of the last success."""

    type: Annotated[tuple[AssetType, ...], BeforeValidator(_split)] = ()
    integration: Texts = ()


def words(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Parameters by name; one that comes several times is a list."""
    result: dict[str, str] = {}
    for name, value in pairs:
        result[name] = f"{result[name]},{value}" if name in result else value
    return result

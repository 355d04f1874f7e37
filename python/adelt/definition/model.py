"""What a pipeline file may say, as types. The JSON Schema for editors is generated from here."""

from datetime import date, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from adelt.definition import templates
from adelt.errors import AdeltError
from adelt.window import DURATION_PATTERN, Every, format_duration, parse_duration

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Scalar = str | bool | int | float | date
TEMPLATE = r"\{\{.*\}\}"


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    try:
        return parse_duration(str(value))
    except AdeltError as error:
        raise PydanticCustomError(
            "duration", "{what}; {fix}", {"what": error.what, "fix": error.fix}
        ) from error


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["30s", "5m", "2h", "7d"]}),
]


def _lookback(text: str) -> str:
    if "{{" not in text:
        _duration(text)
    return text


def _day_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class Strict(BaseModel):
    """Base of everything in a definition: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Input(Strict):
    """A value that whoever starts a run may set."""

    type: Literal["string", "integer", "number", "boolean", "date", "array"]
    description: str = ""
    items: Literal["string", "integer", "number", "boolean", "date"] | None = Field(
        default=None, description="Type of the items of an array; string unless told."
    )
    default: Any = Field(default=None, description="Without a default, a run must set the input.")
    enum: list[Scalar] | None = Field(default=None, description="The values there are.", min_length=1)
    min: float | date | None = Field(default=None, description="Least value, or fewest items of an array.")
    max: float | date | None = Field(default=None, description="Greatest value, or most items of an array.")

    @property
    def required(self) -> bool:
        """Whether a run must set it."""
        return "default" not in self.model_fields_set


class Schedule(Strict):
    """When an engine starts the pipeline; the local runner is started by hand."""

    cron: Annotated[str, Field(description="Five fields: minute, hour, day of month, month, day of week.")]
    timezone: str = "UTC"
    inputs: dict[Name, Any] = {}
    enabled: bool = True
    catchup: bool = Field(default=False, description="Whether missed intervals are made up for.")


class IntervalSpec(Strict):
    """How time is divided: a run is for one interval."""

    every: Every = "day"
    start: date | None = Field(default=None, description="First day there is anything to fetch.")
    lookback: Annotated[str, AfterValidator(_lookback)] = Field(
        default="0s",
        description="The window is the interval and this much before it, such as 7d; may name an input.",
    )


class Concurrency(Strict):
    """How much may happen at the same time."""

    runs: int = Field(default=1, ge=1, description="Runs of this pipeline at a time.")
    on_limit: Literal["queue", "skip", "fail"] = Field(
        default="queue", description="What a run does that would be one too many."
    )
    tasks: int = Field(default=4, ge=1, description="Tasks of one run at a time.")
    group: Name | None = Field(
        default=None,
        description="Pipelines that name the same group count their running tasks together against `tasks`.",
    )


class Retries(Strict):
    """What happens after a failure that a retry may help."""

    max: int = Field(default=0, ge=0, le=20)
    delay: Duration = timedelta(seconds=30)
    backoff: Literal["fixed", "exponential"] = "fixed"
    max_delay: Duration = timedelta(minutes=30)


class Defaults(Strict):
    """What tasks do that do not say otherwise."""

    retries: Retries = Field(default_factory=Retries)
    timeout: Duration | None = None


class Matrix(BaseModel):
    """Lists whose combinations each become one task; `include` adds items, `exclude` leaves items out."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[
        str, Annotated[list[Scalar] | str, Field(description="A list, or a template that names one.")]
    ]

    include: list[dict[Variable, Scalar]] = []
    exclude: list[dict[Variable, Scalar]] = []
    fail_fast: bool = Field(default=False, description="Whether the first failure stops the other items.")

    @property
    def axes(self) -> dict[str, list[Scalar] | str]:
        """The lists by name, in the order of the file."""
        return dict(self.__pydantic_extra__)

    @model_validator(mode="after")
    def _something(self) -> "Matrix":
        if not self.axes and not self.include:
            raise PydanticCustomError("matrix", "a matrix needs a list or `include`")
        return self


class Ingest(Strict):
    """Bring one table of one source for the window."""

    source: str
    table: str
    params: dict[Variable, Any] = Field(
        default={}, description="Parameters of the source; lists become 1,2,3."
    )


class Dbt(Strict):
    """Run dbt in the project's `dbt` folder."""

    command: Literal["build", "run", "test", "seed", "snapshot", "compile", "source freshness"] = "build"
    select: str = ""
    exclude: str = ""
    vars: dict[Variable, Any] = {}
    full_refresh: bool | Annotated[str, StringConstraints(pattern=TEMPLATE)] = False
    threads: int | None = Field(default=None, ge=1)


class Sql(Strict):
    """Run SQL on the warehouse in one transaction."""

    statement: str | None = None
    file: str | None = Field(default=None, description="A file with SQL, relative to the project.")
    params: dict[Variable, Any] = Field(default={}, description="Values for $name in the SQL.")

    @model_validator(mode="after")
    def _one(self) -> "Sql":
        if (self.statement is None) == (self.file is None):
            raise PydanticCustomError("sql", "exactly one of `statement` and `file` is needed")
        return self


class PipelineState(Strict):
    """Another pipeline whose run for the same interval is awaited."""

    name: Name


class Sensor(Strict):
    """Wait until a file is there, a query gives true, or another pipeline has succeeded."""

    file: str | None = Field(
        default=None,
        description="A path, pattern or URL that fsspec reads; with a slash at its end, anything below it.",
    )
    min_files: int = Field(default=1, ge=1, description="How many files there must be.")
    updated_after: Annotated[str, BeforeValidator(_day_text)] | None = Field(
        default=None,
        description="A day; only files written on it or later count, such as {{ interval.end | date }}.",
    )
    sql: str | None = Field(default=None, description="A query; waits until its first value is true.")
    pipeline: PipelineState | None = None
    poll: Duration = timedelta(minutes=1)
    timeout: Duration = timedelta(hours=1)

    @model_validator(mode="after")
    def _one(self) -> "Sensor":
        if sum(value is not None for value in (self.file, self.sql, self.pipeline)) != 1:
            raise PydanticCustomError("sensor", "exactly one of `file`, `sql` and `pipeline` is needed")
        if self.file is None and {"min_files", "updated_after"} & self.model_fields_set:
            raise PydanticCustomError("sensor", "`min_files` and `updated_after` need `file`")
        return self


class Export(Strict):
    """Write rows of the warehouse as files, with a manifest; the files of an earlier run are replaced."""

    table: str | None = Field(default=None, description="A table, as dataset.table.")
    where: str | None = Field(default=None, description="Which rows of the table, as a condition in SQL.")
    sql: str | None = Field(default=None, description="A query, instead of a table.")
    to: str = Field(
        description="The folder, such as gs://bucket/exports/{{ interval.start | date }}/; its own for each interval.",
        min_length=1,
    )
    format: Literal["parquet", "csv", "ndjson"] = "parquet"
    compression: Literal["none", "gzip", "snappy", "zstd"] | None = Field(
        default=None, description="snappy for Parquet and none for the others, unless told."
    )
    partition_by: Variable | None = Field(
        default=None, description="A column; its values become folders column=value and leave the files."
    )

    @model_validator(mode="after")
    def _sense(self) -> "Export":
        if (self.table is None) == (self.sql is None):
            raise PydanticCustomError("export", "exactly one of `table` and `sql` is needed")
        if self.where is not None and self.table is None:
            raise PydanticCustomError("export", "`where` needs `table`; write it into the query")
        if self.format != "parquet" and self.compression in ("snappy", "zstd"):
            raise PydanticCustomError("export", "csv and ndjson are compressed with gzip or not at all")
        return self


class Transfer(Strict):
    """Copy one file between this machine and Cloud Storage, compared by checksum."""

    source: str = Field(alias="from", description="gs://bucket/object, or a path.", min_length=1)
    to: str = Field(
        description="gs://bucket/object, or a path; with a slash at its end, a folder.", min_length=1
    )


class Purge(Strict):
    """Delete files that are older than the end of the interval minus `older_than`."""

    landing: bool = Field(default=False, description="The files that sources gave (ADELT_LANDING).")
    path: str | None = Field(default=None, description="A folder, such as gs://bucket/exports/.")
    older_than: Duration | None = Field(
        default=None,
        description="Whole days, by the folder dt=... of a file, or else by when it was written.",
    )
    dry_run: bool | Annotated[str, StringConstraints(pattern=TEMPLATE)] = Field(
        default=False, description="Only list what would be deleted."
    )

    @model_validator(mode="after")
    def _sense(self) -> "Purge":
        if self.landing == (self.path is not None):
            raise PydanticCustomError("purge", "exactly one of `landing: true` and `path` is needed")
        if self.path is not None and self.older_than is None:
            raise PydanticCustomError("purge", "`older_than` is needed, such as 90d")
        if self.older_than is not None and self.older_than < timedelta(days=1):
            raise PydanticCustomError("purge", "`older_than` is at least 1d")
        return self


class SubPipeline(Strict):
    """Run another pipeline for the same interval."""

    name: Name
    inputs: dict[Name, Any] = Field(default={}, description="Inputs of the other pipeline.")
    wait: bool = Field(default=True, description="Whether the task ends when that run ends.")


#: Secrets by which a receiver is reached, beside those in its address.
NOTICE_SECRETS = {
    "slack": ("SLACK_WEBHOOK_URL",),
    "teams": ("TEAMS_WEBHOOK_URL",),
    "email": ("SMTP_URL",),
    "webhook": (),
}


class Notice(Strict):
    """Whom to tell; where the addresses come from is in docs/alerts.md."""

    slack: str | None = None
    email: str | None = None
    webhook: str | None = None
    teams: str | None = None

    @property
    def kind(self) -> str:
        """How they are told."""
        return next(kind for kind, value in self if value is not None)

    @property
    def address(self) -> str:
        """Where they are told; it may have templates."""
        return str(getattr(self, self.kind))

    @property
    def shown(self) -> str:
        """Kind and address, secrets as templates."""
        return f"{self.kind} {self.address}"

    @model_validator(mode="after")
    def _one(self) -> "Notice":
        if sum(value is not None for value in (self.slack, self.email, self.webhook, self.teams)) != 1:
            raise PydanticCustomError("notice", "exactly one of slack, email, webhook and teams is needed")
        return self


class Alert(Strict):
    """Tell of rows of the warehouse, of each once."""

    table: str | None = Field(default=None, description="A table, as dataset.table.")
    where: str | None = Field(default=None, description="Which rows of the table, as a condition in SQL.")
    sql: str | None = Field(default=None, description="A query, instead of a table.")
    key: Variable = Field(
        default="key", description="The column that names a row: who has been told of it is not told again."
    )
    message: Variable = Field(default="message", description="The column with what is told.")
    to: list[Notice] = Field(default=[], description="Whom; without anyone, the task's log.")

    @model_validator(mode="after")
    def _sense(self) -> "Alert":
        if (self.table is None) == (self.sql is None):
            raise PydanticCustomError("alert", "exactly one of `table` and `sql` is needed")
        if self.where is not None and self.table is None:
            raise PydanticCustomError("alert", "`where` needs `table`; write it into the query")
        return self


def _statement(value: Any) -> Any:
    return {"statement": value} if isinstance(value, str) else value


ACTIONS = ("ingest", "dbt", "sql", "run", "sensor", "pipeline", "export", "transfer", "purge", "alert")


class Task(Strict):
    """One step: exactly one action, and when, how often and how long it runs."""

    description: str = ""
    needs: list[Name] = []
    matrix: Matrix | None = None
    concurrency: int | None = Field(default=None, ge=1, description="Items of the matrix at a time.")
    condition: str = Field(
        default="success",
        alias="if",
        description="success, always, failure, or a condition over inputs such as `inputs.full == true`.",
    )
    allow_failure: bool = Field(default=False, description="A failure is a warning; what follows runs.")
    enabled: bool = True
    retries: Retries | None = None
    timeout: Duration | None = None
    env: dict[Variable, str] = {}

    ingest: Ingest | None = None
    dbt: Dbt | None = None
    sql: Annotated[Sql, BeforeValidator(_statement)] | None = Field(
        default=None,
        json_schema_extra={"description": "A statement, or a mapping with `statement` or `file`."},
    )
    run: (
        Annotated[str, StringConstraints(min_length=1)] | Annotated[list[str], Field(min_length=1)] | None
    ) = Field(default=None, description="A command: a text for the shell, or a list of words.")
    sensor: Sensor | None = None
    pipeline: SubPipeline | None = None
    export: Export | None = None
    transfer: Transfer | None = None
    purge: Purge | None = None
    alert: Alert | None = None

    @property
    def kind(self) -> str:
        """The name of its action."""
        return next(name for name in ACTIONS if getattr(self, name) is not None)

    @property
    def action(self) -> dict[str, Any]:
        """The action's fields, templates not filled in."""
        value = getattr(self, self.kind)
        return {"command": value} if self.kind == "run" else value.model_dump(by_alias=True)

    @cached_property
    def outputs_used(self) -> tuple[tuple[str, str], ...]:
        """Outputs of other tasks that templates of its action and its environment name, as task and name."""
        paths = templates.paths([self.action, self.env])
        return tuple(sorted({(path[1], path[3]) for path in paths if path[0] == "tasks" and len(path) > 3}))

    @model_validator(mode="after")
    def _one_action(self) -> "Task":
        given = [name for name in ACTIONS if getattr(self, name) is not None]
        if len(given) != 1:
            has = f"has {' and '.join(given)}" if given else "has none"
            raise PydanticCustomError(
                "action",
                "a task needs exactly one action, this one {has}; actions: {all}",
                {"has": has, "all": ", ".join(ACTIONS)},
            )
        if self.concurrency is not None and self.matrix is None:
            raise PydanticCustomError("concurrency", "`concurrency` of a task needs a `matrix`")
        return self


class Pipeline(Strict):
    """A pipeline: what runs, in which order, for which time."""

    version: Literal[1]
    name: Name
    description: str = ""
    tags: list[str] = []
    inputs: dict[Name, Input] = {}
    env: dict[Variable, str] = Field(default={}, description="Environment of every `run` action.")
    schedule: Annotated[list[Schedule], BeforeValidator(_listed)] = []
    interval: IntervalSpec = IntervalSpec()
    concurrency: Concurrency = Concurrency()
    defaults: Defaults = Defaults()
    tasks: Annotated[dict[Name, Task], Field(min_length=1)]
    on_failure: list[Notice] = []
    on_success: list[Notice] = []

"""The format of Orchestra pipelines (`version: v1`), with every key that published pipelines use. Unknown keys are errors.

A task group holds tasks, a matrix belongs to a group, groups are not nested. Cron texts have six fields, see `cron`.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from adelt.export.cron import to_five

PYTHON, PYTHON_JOB = "PYTHON", "PYTHON_EXECUTE_SCRIPT"
DBT, DBT_JOB = "DBT_CORE", "DBT_CORE_EXECUTE"
BIGQUERY, QUERY_JOB = "GCP_BIG_QUERY", "GCP_BQ_RUN_QUERY_JOB"
SENSOR_TYPES = (
    "AWS_S3_FILE", "ADLS_FILE", "SFTP_FILE", "SNOWFLAKE_QUERY", "POSTGRES_QUERY", "GCP_BIG_QUERY_QUERY",
    "SQL_SERVER_QUERY", "DATABRICKS_QUERY", "FABRIC_SYNAPSE_QUERY", "ORCHESTRA_PIPELINE_STATUS",
    "ORCHESTRA_WEBHOOK_EVENT",
)  # fmt: skip

Status = Literal["FAILED", "WARNING", "ANY_COMPLETED", "SUCCEEDED", "CANCELLED", "SKIPPED", "RUNNING_TIMEOUT"]


def _cron(text: str) -> str:
    fields = text.split()
    if len(fields) != 6:
        raise PydanticCustomError(
            "cron",
            "`{cron}` has {n} fields; six are needed: minute hour day month weekday year",
            {"cron": text, "n": len(fields)},
        )
    if (fields[2] == "?") == (fields[4] == "?"):
        raise PydanticCustomError("cron", "one of day and weekday of `{cron}` must be `?`", {"cron": text})
    if (
        re.fullmatch(r"[0-9A-Za-z*/,? -]+", text)
        and not re.search(r"[LW]\b", text.upper())
        and fields[5] == "*"
    ):
        try:
            to_five(text)
        except ValueError as error:
            raise PydanticCustomError("cron", "{why}", {"why": str(error)}) from error
    return text


Cron = Annotated[str, AfterValidator(_cron)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Input(_Strict):
    """A value that whoever starts a run may set."""

    type: Literal["string", "number", "boolean", "list", "dict"]
    default: Any = None
    optional: bool | None = None


class Schedule(_Strict):
    """When a run starts."""

    name: str
    cron: Cron
    timezone: str
    environment: str | None = None
    run_inputs: dict[str, Any] | None = None
    exclude: list[str] | None = None
    branch: str | None = None


class TriggerEvent(_Strict):
    """A run starts when another pipeline has ended."""

    type: Literal["pipeline"]
    pipeline_id: str
    statuses: list[Status] | None = None
    run_inputs: dict[str, Any] | None = None


class Destination(_Strict):
    """Whom an alert goes to."""

    integration: Literal["SLACK", "EMAIL", "MICROSOFT_TEAMS"]
    destination: str
    connection_id: str | None = None


class Alert(_Strict):
    """Who is told of what."""

    name: str
    statuses: list[Status] = Field(min_length=1)
    destinations: list[Destination] = Field(min_length=1)
    custom_message: str | None = None


class Webhook(_Strict):
    """Whether a request may start a run."""

    enabled: bool
    operation_metadata: dict[str, Any] | None = None
    run_inputs: dict[str, Any] | None = None


class MaxActive(_Strict):
    """Runs of the pipeline at a time."""

    max_active: Annotated[int, Field(ge=1)] | Annotated[str, StringConstraints(pattern=r"\$\{\{")]


class Configuration(_Strict):
    """Retries and limits.

    Attributes:
        retries: Tries after the first.
        retry_delay: Minutes before a retry.
        timeout: Seconds.
        concurrency: Of the pipeline.
    """

    retries: int | None = Field(default=None, ge=0)
    retry_delay: int | None = Field(default=None, ge=0, le=120)
    timeout: int | None = Field(default=None, ge=1)
    concurrency: MaxActive | None = None


class Check(_Strict):
    """What a sensor looks at."""

    integration: str
    sensor_type: Literal[SENSOR_TYPES]  # type: ignore[valid-type]
    connection: str | None = None
    parameters: dict[str, Any]
    map_outputs: dict[str, Any] | None = None


class Sensor(_Strict):
    """A trigger that looks until its checks hold."""

    name: str
    cron: Cron
    timezone: str
    timeout_mins: int = Field(ge=1, le=7200)
    frequency_secs: int | None = Field(default=None, ge=60, le=600)
    exclude: list[str] | None = None
    run_inputs: dict[str, Any] | None = None
    environments: list[str] | None = None
    checks: dict[str, Check] = Field(min_length=1)
    alerts: list[Alert] | None = None


class Matrix(_Strict):
    """The group's tasks, for each item of one list."""

    inputs: dict[str, list[Any] | str] = Field(min_length=1, max_length=1)
    sequential: bool | None = None
    max_parallel: int | None = Field(default=None, ge=1)
    continue_on_error: bool | None = None

    @model_validator(mode="after")
    def _ids(self) -> "Matrix":
        [items] = self.inputs.values()
        if isinstance(items, list):
            ids = [str(item["id"]) for item in items if isinstance(item, dict) and "id" in item]
            if len(ids) != len(set(ids)):
                raise PydanticCustomError("matrix", "two items have the same id")
        return self


class PythonParameters(_Strict):
    """Parameters of PYTHON_EXECUTE_SCRIPT."""

    command: str | None = None
    code: str | None = None
    source: Literal["GIT", "INLINE"] | None = None
    package_manager: Literal["PIP", "POETRY", "UV"] | None = None
    python_version: str | None = None
    build_command: str | None = None
    environment_variables: str | None = None
    project_dir: str | None = None
    shallow_clone_dirs: str | list[str] | None = None
    branch: str | None = None
    set_outputs: bool | None = None


class DbtParameters(_Strict):
    """Parameters of DBT_CORE_EXECUTE."""

    commands: str
    package_manager: Literal["PIP", "POETRY", "UV"] | None = None
    python_version: str | None = None
    project_dir: str | None = None
    shallow_clone_dirs: str | list[str] | None = None
    use_state_orchestration: bool | None = None
    branch: str | None = None
    warehouse_identifier: str | None = None
    environment_variables: str | None = None


class QueryParameters(_Strict):
    """Parameters of GCP_BQ_RUN_QUERY_JOB."""

    query: str
    location: str | None = None
    set_outputs: bool | None = None
    enable_drive_scope: bool | None = None


_PARAMETERS: dict[tuple[str, str], type[BaseModel]] = {
    (PYTHON, PYTHON_JOB): PythonParameters,
    (DBT, DBT_JOB): DbtParameters,
    (BIGQUERY, QUERY_JOB): QueryParameters,
}


class Task(_Strict):
    """A job of an integration."""

    integration: str
    integration_job: str
    parameters: dict[str, Any]
    depends_on: list[str]
    name: str
    condition: str | None = None
    connection: str | None = None
    treat_failure_as_warning: bool | None = None
    paused: bool | None = None
    configuration: Configuration | None = None
    operation_metadata: dict[str, Any] | None = None
    alerts: list[Alert] | None = None
    anomalies: dict[str, Any] | list[Any] | None = None
    tags: list[str] | None = None

    @model_validator(mode="after")
    def _known_parameters(self) -> "Task":
        model = _PARAMETERS.get((self.integration, self.integration_job))
        if model:
            model.model_validate(self.parameters)
        return self


class Group(_Strict):
    """Tasks with what they wait for."""

    tasks: dict[str, Task] = Field(min_length=1)
    depends_on: list[str]
    name: str
    condition: str | None = None
    paused: bool | None = None
    matrix: Matrix | None = None


class Meta(_Strict):
    """Words for people."""

    notes: str | None = None


class Pipeline(_Strict):
    """A pipeline, one file."""

    version: Literal["v1"]
    name: str
    pipeline: dict[str, Group] = Field(min_length=1)
    inputs: dict[str, Input] | None = None
    schedule: list[Schedule] | None = None
    sensors: dict[str, Sensor] | None = None
    trigger_events: list[TriggerEvent] | None = None
    webhook: Webhook | None = None
    alerts: list[Alert] | None = None
    configuration: Configuration | None = None
    anomalies: dict[str, Any] | list[Any] | None = None
    meta: Meta | None = None

    @model_validator(mode="after")
    def _graph(self) -> "Pipeline":
        """Groups wait for groups there are, tasks for tasks of their group, conditions name groups, ids are unique."""
        seen: set[str] = set()
        for name, group in self.pipeline.items():
            for need in group.depends_on:
                if need not in self.pipeline:
                    raise PydanticCustomError(
                        "group", "`{a}` depends on `{b}`, which is no group", {"a": name, "b": need}
                    )
            for task_id, task in group.tasks.items():
                if task_id in seen:
                    raise PydanticCustomError("task", "there are two tasks `{id}`", {"id": task_id})
                seen.add(task_id)
                for need in task.depends_on:
                    if need not in group.tasks:
                        raise PydanticCustomError(
                            "task",
                            "`{a}` depends on `{b}`, which is no task of its group",
                            {"a": task_id, "b": need},
                        )
            conditions = [group.condition, *(task.condition for task in group.tasks.values())]
            for named in re.findall(
                r"task_groups\[['\"]([^'\"]+)['\"]\]", " ".join(c for c in conditions if c)
            ):
                if named not in self.pipeline:
                    raise PydanticCustomError(
                        "condition",
                        "the condition of `{a}` names `{b}`, which is no group",
                        {"a": name, "b": named},
                    )
        return self

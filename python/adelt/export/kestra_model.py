"""The format of Kestra flows: what we write, and what we can read of the flows of others. Unknown keys are errors.

Key set: Kestra's documentation and published blueprints. Every task type that is written has a model of its own; a type
that is not known is read as `Foreign`, so that a reader can say which task it cannot turn into something.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

Id = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]*$", max_length=100)]
Period = Annotated[str, StringConstraints(pattern=r"^P[0-9.DTHMSW]+$")]
Expression = Annotated[str, StringConstraints(pattern=r"\{\{")]

CORE = "io.kestra.plugin.core"
SHELL = "io.kestra.plugin.scripts.shell.Commands"
PYTHON = "io.kestra.plugin.scripts.python.Commands"
DBT = "io.kestra.plugin.dbt.cli.DbtCLI"
QUERY = "io.kestra.plugin.gcp.bigquery.Query"
DATASET = "io.kestra.plugin.gcp.bigquery.CreateDataset"
BUCKET = "io.kestra.plugin.gcp.gcs.CreateBucket"
DAG, FOR_EACH, SUBFLOW = f"{CORE}.flow.Dag", f"{CORE}.flow.ForEach", f"{CORE}.flow.Subflow"
PARALLEL, SEQUENTIAL = f"{CORE}.flow.Parallel", f"{CORE}.flow.Sequential"
FAIL, REQUEST = f"{CORE}.execution.Fail", f"{CORE}.http.Request"
MAIL = "io.kestra.plugin.notifications.mail.MailSend"
SCHEDULE = f"{CORE}.trigger.Schedule"


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        alias_generator=lambda name: to_camel(name.rstrip("_")),
    )


class Label(_Strict):
    """A label of a flow."""

    key: str
    value: str


class Input(_Strict):
    """A value that whoever starts an execution may set."""

    id: Id
    type: Literal[
        "ARRAY", "BOOL", "BOOLEAN", "DATE", "DATETIME", "DURATION", "FILE", "FLOAT", "INT", "JSON", "MULTISELECT",
        "SELECT", "STRING", "URI",
    ]  # fmt: skip
    item_type: Literal["BOOL", "BOOLEAN", "DATE", "FLOAT", "INT", "JSON", "STRING"] | None = None
    description: str | None = None
    display_name: str | None = None
    defaults: Any = None
    values: list[str] | None = None
    required: bool | None = None
    depends_on: dict[str, Any] | None = None
    validator: str | None = None
    min: int | float | None = None
    max: int | float | None = None


class Concurrency(_Strict):
    """How many executions there may be at a time."""

    limit: int = Field(ge=1)
    behavior: Literal["QUEUE", "CANCEL", "FAIL"] = "QUEUE"


class Retry(_Strict):
    """What happens after a failure."""

    type: Literal["constant", "exponential", "random"]
    interval: Period | None = None
    delay_factor: float | None = None
    max_interval: Period | None = None
    min_interval: Period | None = None
    max_attempt: int | None = Field(default=None, ge=1)
    max_duration: Period | None = None
    behavior: Literal["RETRY_FAILED_TASK", "CREATE_NEW_EXECUTION"] | None = None
    warning_on_retry: bool | None = None


class Schedule(_Strict):
    """Starts executions by the clock."""

    id: Id
    type: Literal["io.kestra.plugin.core.trigger.Schedule"] = "io.kestra.plugin.core.trigger.Schedule"
    description: str | None = None
    cron: str
    with_seconds: bool | None = None
    timezone: str | None = None
    inputs: dict[str, Any] | None = None
    conditions: list[dict[str, Any]] | None = None
    disabled: bool | None = None
    late_maximum_delay: Period | None = None
    recover_missed_schedules: Literal["ALL", "LAST", "NONE"] | None = None
    stop_after: list[str] | None = None
    allow_concurrent: bool | None = None


class Foreign(BaseModel):
    """A task or trigger of a type that is not known here; it is only read."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: Id
    type: str


class _Task(_Strict):
    id: Id
    type: str
    description: str | None = None
    run_if: Expression | None = None
    disabled: bool | None = None
    allow_failure: bool | None = None
    retry: Retry | None = None
    timeout: Period | None = None
    task_runner: dict[str, Any] | None = None
    container_image: str | None = None
    assets: dict[str, Any] | None = None


class Shell(_Task):
    """Commands in a shell."""

    type: Literal["io.kestra.plugin.scripts.shell.Commands"] = "io.kestra.plugin.scripts.shell.Commands"
    env: dict[str, str] | None = None
    before_commands: list[str] | None = None
    commands: list[str]
    input_files: dict[str, str] | list[str] | str | None = None
    output_files: list[str] | None = None
    namespace_files: dict[str, Any] | None = None


class Python(Shell):
    """Commands beside Python."""

    type: Literal["io.kestra.plugin.scripts.python.Commands"] = "io.kestra.plugin.scripts.python.Commands"  # type: ignore[assignment]


class Dbt(Shell):
    """Commands of dbt."""

    type: Literal["io.kestra.plugin.dbt.cli.DbtCLI"] = "io.kestra.plugin.dbt.cli.DbtCLI"  # type: ignore[assignment]
    profiles: str | None = None
    project_dir: str | None = None
    parse_run_results: bool | None = None
    store_manifest: dict[str, str] | None = None
    load_manifest: dict[str, str] | None = None


class Query(_Task):
    """SQL on BigQuery."""

    type: Literal["io.kestra.plugin.gcp.bigquery.Query"] = "io.kestra.plugin.gcp.bigquery.Query"
    sql: str
    project_id: str | None = None
    location: str | None = None
    service_account: str | None = None
    fetch: bool | None = None
    fetch_one: bool | None = None
    store: bool | None = None
    destination_table: str | None = None
    write_disposition: str | None = None


class CreateDataset(_Task):
    """A dataset of BigQuery."""

    type: Literal["io.kestra.plugin.gcp.bigquery.CreateDataset"] = (
        "io.kestra.plugin.gcp.bigquery.CreateDataset"
    )
    name: str
    if_exists: Literal["ERROR", "SKIP", "UPDATE"] | None = None
    project_id: str | None = None
    location: str | None = None
    service_account: str | None = None


class CreateBucket(_Task):
    """A bucket of Cloud Storage."""

    type: Literal["io.kestra.plugin.gcp.gcs.CreateBucket"] = "io.kestra.plugin.gcp.gcs.CreateBucket"
    name: str
    if_exists: Literal["ERROR", "SKIP", "UPDATE"] | None = None
    storage_class: str | None = None
    project_id: str | None = None
    location: str | None = None
    service_account: str | None = None


class DagTask(_Strict):
    """A task of a Dag, and what it waits for."""

    task: "Task"
    depends_on: list[Id] | None = None


class Dag(_Task):
    """Tasks that wait for each other."""

    type: Literal["io.kestra.plugin.core.flow.Dag"] = "io.kestra.plugin.core.flow.Dag"
    concurrent: int | None = Field(default=None, ge=0)
    tasks: list[DagTask] = Field(min_length=1)
    errors: "list[Task] | None" = None
    finally_: "list[Task] | None" = None


class ForEach(_Task):
    """Tasks for each value of a list, one after the other for a value."""

    type: Literal["io.kestra.plugin.core.flow.ForEach"] = "io.kestra.plugin.core.flow.ForEach"
    values: list[Any] | str
    concurrency_limit: int | None = Field(default=None, ge=0)
    tasks: "list[Task]" = Field(min_length=1)
    errors: "list[Task] | None" = None
    finally_: "list[Task] | None" = None


class Parallel(_Task):
    """Tasks at the same time."""

    type: Literal["io.kestra.plugin.core.flow.Parallel"] = "io.kestra.plugin.core.flow.Parallel"
    concurrent: int | None = Field(default=None, ge=0)
    tasks: "list[Task]" = Field(min_length=1)
    errors: "list[Task] | None" = None
    finally_: "list[Task] | None" = None


class Sequential(_Task):
    """Tasks one after the other."""

    type: Literal["io.kestra.plugin.core.flow.Sequential"] = "io.kestra.plugin.core.flow.Sequential"
    tasks: "list[Task]" = Field(min_length=1)
    errors: "list[Task] | None" = None
    finally_: "list[Task] | None" = None


class Subflow(_Task):
    """Another flow."""

    type: Literal["io.kestra.plugin.core.flow.Subflow"] = "io.kestra.plugin.core.flow.Subflow"
    namespace: str
    flow_id: Id
    inputs: dict[str, Any] | None = None
    labels: list[Label] | dict[str, str] | None = None
    wait: bool | None = None
    transmit_failed: bool | None = None
    inherit_labels: bool | None = None
    revision: int | None = None


class Fail(_Task):
    """Ends the execution as failed."""

    type: Literal["io.kestra.plugin.core.execution.Fail"] = "io.kestra.plugin.core.execution.Fail"
    condition: Expression | None = None
    error_message: str | None = None


class Request(_Task):
    """A request over HTTP."""

    type: Literal["io.kestra.plugin.core.http.Request"] = "io.kestra.plugin.core.http.Request"
    uri: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] | None = None
    content_type: str | None = None
    headers: dict[str, str] | None = None
    body: str | None = None


class Mail(_Task):
    """A mail."""

    type: Literal["io.kestra.plugin.notifications.mail.MailSend"] = (
        "io.kestra.plugin.notifications.mail.MailSend"
    )
    from_: str
    to: str
    subject: str
    html_text_content: str | None = None
    plain_text_content: str | None = None
    host: str
    port: int | str | None = None
    username: str | None = None
    password: str | None = None
    transport_strategy: Literal["SMTP", "SMTPS", "SMTP_TLS"] | None = None


_MODELS: dict[str, type[BaseModel]] = {
    str(model.model_fields["type"].default): model
    for model in (
        Shell, Python, Dbt, Query, CreateDataset, CreateBucket, Dag, ForEach, Parallel, Sequential, Subflow, Fail,
        Request, Mail,
    )
}  # fmt: skip


def _kind(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return _MODELS[kind].__name__ if kind in _MODELS else "Foreign"


Task = Annotated[
    Annotated[Shell, Tag("Shell")]
    | Annotated[Python, Tag("Python")]
    | Annotated[Dbt, Tag("Dbt")]
    | Annotated[Query, Tag("Query")]
    | Annotated[CreateDataset, Tag("CreateDataset")]
    | Annotated[CreateBucket, Tag("CreateBucket")]
    | Annotated[Dag, Tag("Dag")]
    | Annotated[ForEach, Tag("ForEach")]
    | Annotated[Parallel, Tag("Parallel")]
    | Annotated[Sequential, Tag("Sequential")]
    | Annotated[Subflow, Tag("Subflow")]
    | Annotated[Fail, Tag("Fail")]
    | Annotated[Request, Tag("Request")]
    | Annotated[Mail, Tag("Mail")]
    | Annotated[Foreign, Tag("Foreign")],
    Discriminator(_kind),
]


def _trigger_kind(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "Schedule" if kind == SCHEDULE else "Foreign"


Trigger = Annotated[
    Annotated[Schedule, Tag("Schedule")] | Annotated[Foreign, Tag("Foreign")], Discriminator(_trigger_kind)
]


class PluginDefault(_Strict):
    """Values that every task of a type has unless it says otherwise."""

    type: str
    values: dict[str, Any]
    forced: bool | None = None


class Output(_Strict):
    """What an execution hands back."""

    id: Id
    type: str
    value: Any
    description: str | None = None


def _label_list(value: Any) -> Any:
    """Labels are written as a list, or as a mapping."""
    if isinstance(value, dict):
        return [{"key": str(key), "value": str(item)} for key, item in value.items()]
    return value


class Flow(_Strict):
    """A flow, one file."""

    id: Id
    namespace: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=150)]
    description: str | None = None
    labels: Annotated[list[Label], BeforeValidator(_label_list)] | None = None
    disabled: bool | None = None
    draft: bool | None = None
    inputs: list[Input] | None = None
    variables: dict[str, Any] | None = None
    concurrency: Concurrency | None = None
    retry: Retry | None = None
    tasks: list[Task] = Field(min_length=1)
    errors: list[Task] | None = None
    finally_: list[Task] | None = None
    after_execution: list[Task] | None = None
    triggers: list[Trigger] | None = None
    plugin_defaults: list[PluginDefault] | None = None
    outputs: list[Output] | None = None
    sla: list[dict[str, Any]] | None = None
    checks: list[dict[str, Any]] | None = None
    quotas: list[dict[str, Any]] | None = None
    worker_selector: dict[str, Any] | None = None
    policy_refs: list[str] | None = None
    extend: dict[str, Any] | None = Field(default=None, description="Metadata of published blueprints.")

    @model_validator(mode="after")
    def _graph(self) -> "Flow":
        """Ids of tasks are unique in a flow, and a Dag's tasks wait for tasks of it."""
        seen: set[str] = set()
        for task in _all_tasks([*self.tasks, *(self.errors or ()), *(self.finally_ or ())]):
            if task.id in seen:
                raise PydanticCustomError("task", "there are two tasks `{id}`", {"id": task.id})
            seen.add(task.id)
            if isinstance(task, Dag):
                ids = {entry.task.id for entry in task.tasks}
                for entry in task.tasks:
                    for need in set(entry.depends_on or ()) - ids:
                        raise PydanticCustomError(
                            "dag",
                            "`{a}` depends on `{b}`, which is no task of it",
                            {"a": entry.task.id, "b": need},
                        )
        return self


def _all_tasks(tasks: Iterable[Task]) -> Iterator[Task]:
    """Tasks, and those inside them."""
    for task in tasks:
        yield task
        if isinstance(task, Dag):
            yield from _all_tasks(entry.task for entry in task.tasks)
        elif isinstance(task, ForEach | Parallel | Sequential):
            yield from _all_tasks(task.tasks)


for _model in (DagTask, Dag, ForEach, Parallel, Sequential, Flow):
    _model.model_rebuild()

"""Which function does which action; each is imported only when it is needed."""

from adelt.steps.context import Context, StepResult


def perform(context: Context) -> StepResult:
    """Do a task's action."""
    match context.task.kind:
        case "ingest":
            from adelt.steps.ingest import step
        case "dbt":
            from adelt.steps.dbt import step
        case "sql":
            from adelt.steps.sql import step
        case "run":
            from adelt.steps.command import step
        case "sensor":
            from adelt.steps.sensor import step
        case "export":
            from adelt.steps.export import step
        case "transfer":
            from adelt.steps.transfer import step
        case "purge":
            from adelt.steps.purge import step
        case "alert":
            from adelt.steps.alert import step
        case _:
            from adelt.steps.pipeline import step
    return step(context)

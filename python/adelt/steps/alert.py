"""The action `alert`: tell of rows of the warehouse, each receiver of each row once.

Who was told of what is in the ledger, as operations of the task. A receiver that could not be told fails the task, and a
retry tells only those who do not know yet.
"""

from collections.abc import Mapping

from adelt import alerts
from adelt.definition.model import Notice
from adelt.engine import open_ledger
from adelt.ledger.rows import Operation
from adelt.steps import tables
from adelt.steps.context import Context, StepError, StepResult
from adelt.warehouse import ask


def step(context: Context) -> StepResult:
    """Ask, and tell what is new.

    Raises:
        InputError: The query does not work, or a row has no key.
        StepError: Somebody could not be told; the others were.
    """
    found = _found(context)
    for message in found.values():
        print(message)
    plan, to = context.plan, [Notice.model_validate(one) for one in context.task.action["to"]]
    known = open_ledger(context.settings).told(plan.pipeline, context.task.id, plan.environment)
    told: list[alerts.Told] = []
    operations: list[Operation] = []
    new: set[str] = set()
    for notice in to:
        mine = {key: message for key, message in found.items() if (key, notice.shown) not in known}
        if mine:
            context.tell("tell", notice.shown)
            told.append(_tell(context, notice, mine))
            operations += _operations(told[-1], mine)
            new |= mine.keys()
    if missed := [one for one in told if one.error]:
        raise StepError(
            "; ".join(f"could not tell {one.whom}: {context.clean(one.error)}" for one in missed),
            where=context.where,
            fix="see docs/alerts.md; those who were told are not told again",
            exit_code=min(one.exit_code for one in missed),
            operations=tuple(operations),
        )
    message = f"{len(found)} found, {len(new)} new"
    message += f"; told {', '.join(one.whom for one in told)}" if told else ""
    return StepResult(
        message if to else f"{len(found)} found; nobody is to be told",
        rows=len(found),
        outputs={"found": len(found), "new": len(new)},
        operations=tuple(operations),
    )


def _found(context: Context) -> dict[str, str]:
    """Key and message of every row, in the order of the keys."""
    action = context.action
    # Lines of its own: the query may end with a comment.
    sql = f"SELECT {action['key']}, {action['message']} FROM (\n{tables.query(context)}\n) AS found ORDER BY 1, 2"
    context.tell("ask", "asking the warehouse")
    _, rows = ask(context.settings.warehouse, sql)
    if any(key is None for key, _ in rows):
        raise context.bad(f"a row has no `{action['key']}`", "give every row a key that stays the same")
    return {str(key): context.clean(str(key if message is None else message)) for key, message in rows}


def _tell(context: Context, notice: Notice, found: Mapping[str, str]) -> alerts.Told:
    plan, here = context.plan, context.settings
    message = alerts.Found(
        plan.pipeline, context.task.id, context.run_id, str(plan.interval), here.target, found
    )
    return alerts.tell_one(notice, message, here)


def _operations(told: alerts.Told, found: Mapping[str, str]) -> list[Operation]:
    status = "FAILED" if told.error else "SUCCEEDED"
    return [
        Operation("ALERT", told.whom, status, external_id=key, message=message)
        for key, message in found.items()
    ]

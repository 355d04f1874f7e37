"""The action `purge`: delete files that are old enough.

How old a file is follows from its folder `dt=YYYY-MM-DD`, or else from when it was written; what "now" is, from the end of
the run's interval. So a run for an interval of last year deletes what was old then, never more.
"""

import re
import time
from datetime import UTC, date, timedelta

from adelt.definition.templates import as_text
from adelt.ledger.rows import Operation
from adelt.steps import places
from adelt.steps.context import Context, StepResult
from adelt.window import parse_duration
from adelt_sources.objects import Object, Place, place

_DAY = re.compile(r"(?:^|/)dt=(\d{4}-\d{2}-\d{2})/")


def step(context: Context) -> StepResult:
    """Delete what is older, and print each name.

    Raises:
        InputError: The folder cannot be used.
        SourceError: Cloud Storage did not answer; what was deleted until then is gone.
    """
    action, begun = context.action, time.monotonic()
    here = _folder(context)
    if here is None:
        return StepResult("no landing place is set (ADELT_LANDING): nothing to delete")
    before = context.plan.interval.end - timedelta(days=days(context))
    old = [one for one in here.list() if day_of(one) < before]
    # The manifest of a folder goes first: evidence without it is no evidence, evidence without its files is broken.
    old.sort(key=lambda one: (not one.name.endswith("manifest.json"), one.name))
    dry = as_text(action["dry_run"]).lower() == "true"
    for one in old:
        context.tell("purge", one.name)
        if not dry:
            here.delete([one.name])
        print(f"{'would delete' if dry else 'deleted'} {here.url}/{one.name} ({one.size} bytes)")
    size = sum(one.size for one in old)
    told = f"{'would delete' if dry else 'deleted'} {len(old)} files older than {before} below {here.url}"
    operation = Operation(
        "PURGE",
        here.url,
        status="SKIPPED" if dry else "SUCCEEDED",
        bytes=size,
        seconds=time.monotonic() - begun,
        message=told,
        details={"files": len(old), "before": before.isoformat()},
    )
    return StepResult(told, bytes=size, outputs={"files": len(old), "bytes": size}, operations=(operation,))


def days(context: Context) -> int:
    """Days that files are kept: what the task says, else ADELT_LANDING_DAYS."""
    older_than = context.action["older_than"]
    return parse_duration(older_than).days if older_than else context.settings.landing_days


def day_of(one: Object) -> date:
    """The day a file belongs to."""
    match = _DAY.search(one.name)
    if match:
        try:
            return date.fromisoformat(match[1])
        except ValueError:
            pass
    return one.updated.astimezone(UTC).date()


def _folder(context: Context) -> Place | None:
    if context.action["landing"]:
        landing = context.settings.landing
        return place(landing, context.settings.impersonate) if landing else None
    return places.folder(context, str(context.action["path"]))

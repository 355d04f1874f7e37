"""What a backfill will take, from what the same tasks have taken so far."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from adelt.backfill.plan import BackfillPlan
from adelt.definition import Definition
from adelt.ledger import Ledger
from adelt.plan import PlannedTask, make_plan

# Requests a project may send a day, where Google has such a quota and not raised it:
# developers.google.com/bid-manager/quotas and developers.google.com/doubleclick-advertisers/quotas.
DAILY_QUOTAS = {"doubleclickbidmanager": 2_000, "dfareporting": 50_000}


@dataclass(frozen=True)
class Estimate:
    """What the chunks of one pipeline will take.

    Attributes:
        pipeline: The pipeline.
        chunks: Its chunks.
        tasks: Tasks of all chunks; those of a matrix that only a run knows count as one.
        done: How many of them are done already.
        unknown: Tasks that have never succeeded here, so that nothing is known of them.
        seconds: Seconds of work that is left, one task after the other; None if nothing is known.
        requests: API to requests that are left.
    """

    pipeline: str
    chunks: int
    tasks: int
    done: int
    unknown: int
    seconds: float | None
    requests: Mapping[str, float]

    @property
    def days_of_quota(self) -> float:
        """Days that the daily quotas allow it in, at least."""
        return max((self.requests.get(api, 0) / quota for api, quota in DAILY_QUOTAS.items()), default=0.0)


def estimate(
    plan: BackfillPlan, ledger: Ledger, environment: str, learned_in: str | None = None
) -> list[Estimate]:
    """Estimate every pipeline of a plan, in order.

    Args:
        plan: The plan.
        ledger: What is known.
        environment: What is loaded.
        learned_in: Where tasks have taken what they will take; by default in the same environment.
    """
    found = []
    for definition in {chunk.pipeline: chunk.definition for chunk in plan.chunks}.values():
        name = definition.pipeline.name
        chunks = [chunk for chunk in plan.chunks if chunk.pipeline == name]
        tasks = [
            task
            for chunk in chunks
            for task in make_plan(definition, chunk.interval, chunk.inputs, environment, chunk.select).tasks
        ]
        missing = ledger.undone([task.key for task in tasks])
        found.append(
            _estimate(
                definition,
                len(chunks),
                tasks,
                [t for t in tasks if t.key in missing],
                ledger,
                learned_in or environment,
            )
        )
    return found


def _estimate(
    definition: Definition,
    chunks: int,
    tasks: list[PlannedTask],
    left: list[PlannedTask],
    ledger: Ledger,
    environment: str,
) -> Estimate:
    known = ledger.experience(definition.pipeline.name, environment)
    told = [known[task.task] for task in left if task.task in known]
    requests: defaultdict[str, float] = defaultdict(float)
    for one in told:
        for api, count in one.requests.items():
            requests[api] += count
    return Estimate(
        definition.pipeline.name,
        chunks,
        len(tasks),
        len(tasks) - len(left),
        len(left) - len(told),
        sum(one.seconds for one in told) if told or not left else None,
        dict(requests),
    )


def finish_time(seconds: float, parallel: int) -> timedelta:
    """How long it takes if so many are done at a time."""
    return timedelta(seconds=round(seconds / parallel))

"""What a backfill will take, from what the same tasks have taken so far."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from adelt.backfill.plan import BackfillPlan
from adelt.definition import Definition
from adelt.errors import AdeltError
from adelt.ledger import Ledger
from adelt.plan import Plan, PlannedTask, make_plan
from adelt.steps.pipeline import inputs_of

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


@dataclass(frozen=True)
class _Leaf:
    """A task that does something itself, with the tasks around it that run its pipeline."""

    pipeline: str
    task: PlannedTask
    around: tuple[str, ...] = ()

    def left(self, undone: set[str]) -> bool:
        """Whether it will be done: what runs its pipeline is not done, and neither is it."""
        return undone.issuperset((self.task.key, *self.around))


def estimate(
    plan: BackfillPlan,
    ledger: Ledger,
    environment: str,
    find: Callable[[str], Definition],
    learned_in: str | None = None,
) -> list[Estimate]:
    """Estimate every pipeline of a plan, in order; what their tasks run in other pipelines is theirs too.

    Args:
        plan: The plan.
        ledger: What is known.
        environment: What is loaded.
        find: Loads a pipeline by its name.
        learned_in: Where tasks have taken what they will take; by default in the same environment.
    """
    look = cache(find)
    experience = cache(lambda pipeline: ledger.experience(pipeline, learned_in or environment))
    found = []
    for definition in {chunk.pipeline: chunk.definition for chunk in plan.chunks}.values():
        name = definition.pipeline.name
        chunks = [chunk for chunk in plan.chunks if chunk.pipeline == name]
        leaves = [
            leaf
            for chunk in chunks
            for leaf in _leaves(
                definition,
                make_plan(definition, chunk.interval, chunk.inputs, environment, chunk.select),
                look,
            )
        ]
        keys = [key for leaf in leaves for key in (leaf.task.key, *leaf.around)]
        undone = set(keys) if plan.spec.force else ledger.undone(keys)
        left = [leaf for leaf in leaves if leaf.left(undone)]
        told = [known for leaf in left if (known := experience(leaf.pipeline).get(leaf.task.task))]
        requests: defaultdict[str, float] = defaultdict(float)
        for one in told:
            for api, count in one.requests.items():
                requests[api] += count
        found.append(
            Estimate(
                name,
                len(chunks),
                len(leaves),
                len(leaves) - len(left),
                len(left) - len(told),
                sum(one.seconds for one in told) if told or not left else None,
                dict(requests),
            )
        )
    return found


def _leaves(
    definition: Definition,
    plan: Plan,
    find: Callable[[str], Definition],
    around: tuple[str, ...] = (),
    stack: tuple[str, ...] = (),
) -> Iterator[_Leaf]:
    stack = (*stack, plan.pipeline)
    for task in plan.tasks:
        other = definition.pipeline.tasks[task.task].pipeline
        inner = None
        if other and other.name not in stack:
            with suppress(
                AdeltError
            ):  # an input that only a run knows: then the task is one that nothing is known of
                theirs = find(other.name)
                inputs = inputs_of(theirs, plan.inputs, task.action["inputs"])
                inner = make_plan(theirs, plan.interval, inputs, plan.environment)
        if inner:
            yield from _leaves(theirs, inner, find, (*around, task.key), stack)
        else:
            yield _Leaf(plan.pipeline, task, around)


def finish_time(seconds: float, parallel: int) -> timedelta:
    """How long it takes if so many are done at a time."""
    return timedelta(seconds=round(seconds / parallel))

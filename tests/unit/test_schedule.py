"""The scheduler against a reference: random graphs, random outcomes."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from adelt.plan import Group, PlannedTask
from adelt.run import Scheduler, State
from adelt.run.schedule import OVER


def task(name: str, group: str) -> PlannedTask:
    return PlannedTask(name, group, {}, "run", {}, {}, name, "")


@st.composite
def graphs(draw):
    groups = []
    for index in range(draw(st.integers(1, 8))):
        needs = draw(st.lists(st.integers(0, index - 1), unique=True, max_size=3)) if index else []
        items = draw(st.integers(1, 3))
        groups.append(
            Group(
                name=f"g{index}",
                needs=tuple(f"g{need}" for need in needs),
                condition=draw(st.sampled_from(["success", "success", "success", "always", "failure"])),
                skip=draw(st.sampled_from(["", "", "", "", "no"])),
                tasks=tuple(task(f"g{index}.{n}", f"g{index}") for n in range(items)),
                concurrency=draw(st.sampled_from([None, 1, 2])),
                allow_failure=draw(st.booleans()),
            )
        )
    return groups


def expected(groups, fails):
    """What each group comes to, worked out group by group without any notion of time."""
    result = {}
    for group in groups:
        above = [result[need] for need in group.needs]
        failed = any(state in ("FAILED", "BLOCKED") for state in above)
        if group.skip or (group.condition == "failure" and not failed):
            result[group.name] = "SKIPPED"
        elif group.condition == "success" and failed:
            result[group.name] = "BLOCKED"
        elif group.condition == "success" and "SKIPPED" in above:
            result[group.name] = "SKIPPED"
        elif any(one.id in fails for one in group.tasks):
            result[group.name] = "WARNING" if group.allow_failure else "FAILED"
        else:
            result[group.name] = "SUCCEEDED"
    return result


@settings(max_examples=300)
@given(graphs(), st.integers(1, 4), st.randoms(use_true_random=False))
def test_any_graph_ends_as_the_reference_says_within_its_limits(groups, limit, chance: random.Random):
    fails = {one.id for group in groups for one in group.tasks if chance.random() < 0.3}
    by_name = {group.name: group for group in groups}
    scheduler, running, started = Scheduler(groups, limit), [], []
    for _ in range(1000):
        scheduler.advance()
        for one in scheduler.ready():
            group = by_name[one.task]
            assert group.needs == () or all(scheduler.states()[need] in OVER for need in group.needs)
            scheduler.started(one.id)
            running.append(one)
            started.append(one.id)
        assert len(running) <= limit
        for group in groups:
            if group.concurrency:
                assert sum(one.task == group.name for one in running) <= group.concurrency
        if not running:
            break
        ended = running.pop(chance.randrange(len(running)))
        scheduler.finished(ended.id, State.FAILED if ended.id in fails else State.SUCCEEDED)
    assert scheduler.over
    assert {name: state.value for name, state in scheduler.states().items()} == expected(groups, fails)
    assert len(started) == len(set(started))


@given(graphs(), st.randoms(use_true_random=False))
def test_nothing_starts_after_everything_is_cancelled(groups, chance):
    scheduler = Scheduler(groups, 3)
    scheduler.advance()
    running = scheduler.ready()
    for one in running:
        scheduler.started(one.id)
    scheduler.cancel_all()
    for one in running:
        scheduler.finished(one.id, State.CANCELLED)
    assert scheduler.advance() == ([], [])
    assert scheduler.ready() == []
    assert scheduler.over


def test_a_failure_above_a_blocked_task_reaches_the_handler():
    groups = [
        Group("a", (), tasks=(task("a", "a"),)),
        Group("b", ("a",), tasks=(task("b", "b"),)),
        Group("c", ("b",), "failure", tasks=(task("c", "c"),)),
    ]
    scheduler = Scheduler(groups, 1)
    scheduler.advance()
    scheduler.started("a")
    scheduler.finished("a", State.FAILED)
    scheduler.advance()
    assert [one.id for one in scheduler.ready()] == ["c"]


def test_fail_fast_names_the_items_to_stop():
    group = Group("m", (), tasks=tuple(task(f"m{n}", "m") for n in range(3)), fail_fast=True)
    scheduler = Scheduler([group], 2)
    scheduler.advance()
    for one in scheduler.ready():
        scheduler.started(one.id)
    state, stop = scheduler.finished("m0", State.FAILED)
    assert state is State.FAILED
    assert [one.id for one in stop] == ["m1", "m2"]


def test_a_task_that_waits_for_a_retry_does_not_keep_others_from_starting():
    groups = [Group(name, (), tasks=(task(name, name),)) for name in ("a", "b")]
    scheduler = Scheduler(groups, 1)
    scheduler.advance()
    assert [one.id for one in scheduler.ready(held={"a"})] == ["b"]

"""Backfills are divided into chunks that cover exactly the days asked for, in order, and are checked before anything starts."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adelt.backfill import Entry, Spec, load_spec, plan_backfill
from adelt.definition import Definition
from adelt.definition.model import Pipeline
from adelt.errors import AdeltError, DefinitionErrors, InputError

PLAIN = {"a": {"run": "echo"}}
FEED = {
    "load": {"run": "echo"},
    "transform": {"needs": ["load"], "dbt": {"command": "build"}},
    "report": {"needs": ["transform"], "run": "echo"},
    "other": {"run": "echo"},
}


def find(every="day", tasks=PLAIN, **more):
    def look(name):
        if name == "missing":
            raise InputError("there is no pipeline `missing`")
        pipeline = Pipeline.model_validate(
            {"version": 1, "name": name, "interval": {"every": every}, "tasks": tasks, **more}
        )
        return Definition(pipeline, f"{name}.yml", "digest")

    return look


def plan(first, last, *, look=None, chunk=None, **ways):
    entry = Entry(pipeline="p", first=first, last=last, chunk=chunk)
    return plan_backfill(Spec(pipelines=(entry,), **ways), look or find(), "local").chunks


def spans(chunks):
    return [str(chunk.interval) for chunk in chunks]


def test_chunks_are_the_pipelines_own_intervals():
    assert spans(plan(date(2024, 2, 28), date(2024, 3, 1))) == [
        "2024-02-28/2024-02-29",
        "2024-02-29/2024-03-01",
        "2024-03-01/2024-03-02",
    ]


def test_bigger_chunks_end_with_the_week_or_month_and_with_the_range():
    assert spans(plan(date(2025, 3, 26), date(2025, 4, 8), chunk="week")) == [
        "2025-03-26/2025-03-31",  # the clocks change in it, which days do not notice
        "2025-03-31/2025-04-07",
        "2025-04-07/2025-04-09",
    ]
    assert spans(plan(date(2024, 1, 15), date(2024, 3, 1), chunk="month")) == [
        "2024-01-15/2024-02-01",
        "2024-02-01/2024-03-01",
        "2024-03-01/2024-03-02",
    ]


@given(
    st.dates(date(2019, 1, 1), date(2026, 1, 1)),
    st.integers(0, 500),
    st.sampled_from(["day", "week", "month"]),
    st.sampled_from(["oldest", "newest"]),
)
def test_chunks_are_the_range_and_nothing_else(first, days, chunk, order):
    last = first + timedelta(days=days)
    found = [chunk.interval for chunk in plan(first, last, chunk=chunk, order=order)]
    assert found == sorted(found, reverse=order == "newest")
    found.sort()
    assert (found[0].start, found[-1].end) == (first, last + timedelta(days=1))
    assert all(one.end == other.start for one, other in pairwise(found))


def test_whole_intervals_of_longer_pipelines():
    assert spans(plan(date(2025, 1, 15), date(2025, 2, 3), look=find("month"))) == [
        "2025-01-01/2025-02-01",
        "2025-02-01/2025-03-01",
    ]
    with pytest.raises(AdeltError, match="a week does not hold whole intervals: they are months"):
        plan(date(2025, 1, 1), date(2025, 2, 1), look=find("month"), chunk="week")


def test_dbt_and_what_needs_it_wait_for_the_end():
    chunks = plan(date(2025, 1, 1), date(2025, 1, 3), look=find(tasks=FEED))
    assert [chunk.select for chunk in chunks] == [("load", "other")] * 3 + [("transform", "report")]
    assert (str(chunks[-1].interval), chunks[-1].after) == ("2025-01-01/2025-01-04", (1, 2, 3))


def test_dbt_waits_for_the_chunks_of_every_pipeline():
    """Models read what other pipelines load, too."""
    pipelines = {"feed": find(tasks=FEED), "plain": find(), "short": find(tasks=FEED)}
    entries = [
        Entry(pipeline=name, first=date(2025, 1, 1), last=date(2025, 1, last))
        for name, last in (("feed", 2), ("plain", 2), ("short", 1))
    ]
    chunks = plan_backfill(Spec(pipelines=tuple(entries)), lambda name: pipelines[name](name), "local").chunks
    assert [(c.number, c.pipeline, c.select, c.after) for c in chunks] == [
        (1, "feed", ("load", "other"), ()),
        (2, "feed", ("load", "other"), ()),
        (3, "plain", (), ()),
        (4, "plain", (), ()),
        (5, "short", ("load", "other"), ()),
        (6, "feed", ("transform", "report"), (1, 2, 3, 4, 5)),
        (7, "short", ("transform", "report"), (1, 2, 3, 4, 5)),
    ]
    assert [str(c.interval) for c in chunks[5:]] == ["2025-01-01/2025-01-03", "2025-01-01/2025-01-02"]


def test_one_run_of_one_pipeline_is_not_divided():
    assert [(c.select, c.after) for c in plan(date(2025, 1, 1), date(2025, 1, 1), look=find(tasks=FEED))] == [
        ((), ())
    ]


def test_dbt_may_run_in_every_chunk():
    chunks = plan(date(2025, 1, 1), date(2025, 1, 3), look=find(tasks=FEED), transform="chunk")
    assert [(chunk.select, chunk.after) for chunk in chunks] == [((), ())] * 3


def test_every_problem_is_told_before_anything_starts():
    entries = (
        Entry(pipeline="missing", first=date(2025, 1, 1), last=date(2025, 1, 2)),
        Entry(pipeline="late", first=date(2025, 1, 3), last=date(2025, 1, 2)),
        Entry(pipeline="odd", first=date(2025, 1, 1), last=date(2025, 1, 2), inputs={"x": 1}),
        Entry(pipeline="chosen", first=date(2025, 1, 1), last=date(2025, 1, 2), select=("b",)),
        Entry(pipeline="good", first=date(2025, 1, 1), last=date(2025, 1, 2)),
        Entry(pipeline="good", first=date(2025, 1, 1), last=date(2025, 1, 2)),
    )
    with pytest.raises(DefinitionErrors) as told:
        plan_backfill(Spec(pipelines=entries), find(), "local")
    said = [problem.what for problem in told.value.problems]
    assert len(said) == 5
    for part, problem in zip(
        ("no pipeline `missing`", "before the first", "input `x`", "no task `b`", "twice"), said, strict=True
    ):
        assert part in problem


def test_days_before_a_pipeline_begins_are_refused():
    look = find(interval={"every": "day", "start": date(2025, 1, 2)})
    with pytest.raises(AdeltError, match="begins on 2025-01-02"):
        plan(date(2025, 1, 1), date(2025, 1, 5), look=look)


def test_a_file_says_the_same(tmp_path):
    path = tmp_path / "years.yml"
    path.write_text(
        "parallel: 2\norder: newest\npipelines:\n  - {pipeline: p, from: 2024-01-01, to: 2024-12-31, chunk: month}\n"
    )
    spec = load_spec(path)
    assert (spec.parallel, spec.order, spec.pipelines[0].last) == (2, "newest", date(2024, 12, 31))


def test_a_wrong_file_is_told_with_its_lines(tmp_path):
    path = tmp_path / "years.yml"
    path.write_text(
        "paralel: 2\norder: newst\npipelines:\n  - {pipeline: p, from: 2024-01-01}\n  - {from: x, to: 2024-01-01}\n"
        "  - {pipline: p, from: 2024-13-01, to: 2024-01-01}\n"
    )
    with pytest.raises(DefinitionErrors) as told:
        load_spec(path)
    said = {
        (problem.what, problem.where.rpartition("years.yml")[2], problem.fix)
        for problem in told.value.problems
    }
    assert ("unknown key `paralel`", ":1:1", "did you mean `parallel`?") in said
    assert ("`newst` is not a value of `order`", ":2:8", "did you mean `newest`?") in said
    assert ("`to` is missing", ":4:5", "add `to:`") in said
    assert ("`pipeline` is missing", ":5:5", "add `pipeline:`") in said
    assert ("unknown key `pipline`", ":6:6", "did you mean `pipeline`?") in said
    assert [where for what, where, _ in said if "month value is outside" in what] == [":6:24"]

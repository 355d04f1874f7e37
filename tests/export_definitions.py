"""Random pipelines, for the tests of what other engines are given."""

from typing import Any

from hypothesis import strategies as st

from adelt.definition import Definition, Pipeline, check

INPUTS: dict[str, Any] = {
    "tables": {"type": "array", "default": ["line_item", "campaign"]},
    "parts": {"type": "array", "items": "integer", "default": [1, 2]},
    "full": {"type": "boolean", "default": False},
    "days": {"type": "integer", "default": 7, "min": 0, "max": 60},
    "mode": {"type": "string", "enum": ["slow", "fast"], "default": "slow"},
    "label": {"type": "string", "default": None},
    "since": {"type": "date", "default": "2026-01-01"},
}
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
NAMES = {3: ("jan", "feb", "dec"), 4: ("sun", "mon", "fri", "SAT")}


@st.composite
def fields(draw, index: int) -> str:
    low, high = BOUNDS[index]

    def part() -> str:
        kind = draw(st.sampled_from(["number", "range", "step", "every", "name"]))
        first = draw(st.integers(low, high))
        last = draw(st.integers(first, high))
        step = draw(st.integers(1, high))
        if kind == "name" and index in NAMES:
            return draw(st.sampled_from(NAMES[index]))
        shown = {"range": f"{first}-{last}", "step": f"{first}-{last}/{step}", "every": f"*/{step}"}
        return shown.get(kind, str(first))

    return draw(
        st.one_of(st.just("*"), st.builds(",".join, st.lists(st.builds(part), min_size=1, max_size=3)))
    )


crons = st.tuples(*(fields(index) for index in range(5))).map(" ".join)


@st.composite
def matrices(draw, runtime: list[str]) -> dict[str, Any]:
    kind = draw(st.sampled_from(["input", "product", "include", "runtime" if runtime else "input"]))
    more: dict[str, Any] = {"fail_fast": draw(st.booleans())}
    if kind == "input":
        return {draw(st.sampled_from(["table", "x"])): "{{ inputs.tables }}", **more}
    if kind == "runtime":
        return {"one": f"{{{{ tasks.{draw(st.sampled_from(runtime))}.outputs.found }}}}", **more}
    if kind == "include":
        key = draw(st.sampled_from(["a", "id"]))
        return {"include": [{key: "x y", "b": 1}, {key: "x-y", "b": 1}], **more}
    parts = draw(st.sampled_from(["{{ inputs.parts }}", [3, 4.5, "five"]]))
    exclude = draw(st.sampled_from([[], [{"table": "ad"}], [{"table": "ad", "part": 1}]]))
    return {"table": ["ad", "line item"], "part": parts, "exclude": exclude, **more}


@st.composite
def pipelines(draw, *, fan_out: bool = True) -> Definition:
    """A pipeline that every engine can express: only one list of a matrix is known to a run alone."""
    tasks: dict[str, Any] = {}
    for index in range(draw(st.integers(1, 7))):
        names = list(tasks)
        needs = (
            draw(st.lists(st.sampled_from(names), unique=True, min_size=0 if fan_out else 1, max_size=3))
            if names
            else []
        )
        task: dict[str, Any] = {"needs": needs}
        plain = [need for need in needs if "matrix" not in tasks[need] and tasks[need]["enabled"]]
        if fan_out and draw(st.booleans()):
            task["matrix"] = draw(matrices(plain))
            task["concurrency"] = draw(st.integers(1, 9))
        task["if"] = draw(
            st.sampled_from(
                [
                    "success",
                    "success",
                    "always",
                    "failure",
                    "inputs.full == true",
                    "inputs.days > 3 and not inputs.full",
                ]
            )
        )
        task["allow_failure"] = draw(st.booleans())
        task["enabled"] = draw(st.sampled_from([True, True, True, False]))
        task["retries"] = {
            "max": draw(st.integers(0, 3)),
            "delay": f"{draw(st.integers(1, 9000))}s",
            "backoff": draw(st.sampled_from(["fixed", "exponential"])),
        }
        task["timeout"] = f"{draw(st.integers(1, 100_000))}s"
        task["run"] = ["echo", "{{ inputs.label }}"]
        tasks[f"t{index}"] = task
    zones = ["UTC", "Europe/Paris", "America/New_York"]
    schedule = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "cron": crons,
                    "timezone": st.sampled_from(zones),
                    "enabled": st.booleans(),
                    "catchup": st.booleans(),
                }
            ),
            max_size=3,
        )
    )
    return definition(
        {
            "version": 1,
            "name": "made",
            "inputs": INPUTS,
            "schedule": schedule,
            "interval": {"every": draw(st.sampled_from(["day", "week", "month"]))},
            "concurrency": {
                "runs": draw(st.integers(1, 3)),
                "tasks": draw(st.integers(1, 9)),
                "on_limit": draw(st.sampled_from(["queue", "skip", "fail"])),
            },
            "tasks": tasks,
        }
    )


def definition(data: dict[str, Any]) -> Definition:
    """A definition that `adelt validate` would take."""
    pipeline = Pipeline.model_validate(data)
    problems = check.problems(pipeline, lambda loc, key=False: str(loc), lambda name: None)
    assert not problems, [str(problem) for problem in problems]
    return Definition(pipeline, f"pipelines/{pipeline.name}.yml", "0" * 64)

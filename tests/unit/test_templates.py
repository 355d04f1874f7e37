"""Templates and conditions: what they can say, and that they cannot do anything else."""

from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adelt.definition.templates import (
    PENDING,
    TemplateError,
    condition_paths,
    evaluate_condition,
    references,
    render,
)

SCOPE = {
    "inputs": {"partners": [1, 2], "full": False, "name": "Wide World"},
    "interval": {"start": date(2026, 1, 5)},
    "secrets": PENDING,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ inputs.partners }}", [1, 2]),
        ("{{inputs.full}}", False),
        ("p={{ inputs.partners }}", "p=1,2"),
        ("{{ inputs.partners | json }}", "[1, 2]"),
        ("{{ interval.start }}", date(2026, 1, 5)),
        ("{{ interval.start | date }}", "2026-01-05"),
        ("{{ interval.start | ymd }}.0.json", "20260105.0.json"),
        ("on {{ interval.start }}", "on 2026-01-05"),
        ("{{ interval.start | iso }}", "2026-01-05"),
        ("{{ inputs.name | slug }}", "wide_world"),
        ("{{ inputs.full }}/{{ inputs.name }}", "false/Wide World"),
        ("no template", "no template"),
        (["{{ inputs.name }}", 3], ["Wide World", 3]),
        ({"a": {"b": "{{ inputs.full }}"}}, {"a": {"b": False}}),
    ],
)
def test_rendering(text, value):
    assert render(text, SCOPE) == value


def test_what_only_a_run_knows_stays_as_it_is_written():
    assert render("k={{ secrets.KEY | json }}", SCOPE) == "k={{ secrets.KEY | json }}"


def test_a_value_that_looks_like_a_template_is_not_read_again():
    scope = {"inputs": {"x": "{{ secrets.KEY }}"}, "secrets": {"KEY": "hidden"}}
    assert render("{{ inputs.x }} {{ inputs.x }}", scope) == "{{ secrets.KEY }} {{ secrets.KEY }}"


@pytest.mark.parametrize(
    "text",
    [
        "{{ inputs.partners.__class__ }}",
        "{{ __import__('os') }}",
        "{{ inputs.name.upper() }}",
        "{{ 1 + 1 }}",
        "{{ inputs['name'] }}",
        "{{ }}",
        "{{ inputs.name",
        "{{ inputs.name | shell }}",
        "{{ nothing }}",
    ],
)
def test_a_template_cannot_do_anything_but_name(text):
    def read() -> None:
        list(references(text))
        render(text, SCOPE)

    with pytest.raises(TemplateError):
        read()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("inputs.full == false", True),
        ("inputs.full", False),
        ("not inputs.full", True),
        ("inputs.full == true or inputs.name == 'Wide World'", True),
        ("1 in inputs.partners and 3 not in inputs.partners", True),
        ("inputs.name in ['a', 'Wide World']", True),
        ("{{ inputs.full }}", False),
        ("1 < 2 < 3", True),
    ],
)
def test_conditions(text, value):
    assert evaluate_condition(text, SCOPE) is value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "inputs.x()",
        "[x for x in inputs.y]",
        "lambda: 1",
        "inputs.x = 1",
        "(",
        "inputs['x']",
        "1 +",
        "f'{1}'",
    ],
)
def test_a_condition_cannot_do_anything_but_compare(text):
    with pytest.raises(TemplateError):
        condition_paths(text)


def test_comparing_different_types_is_an_error():
    with pytest.raises(TemplateError, match="different types"):
        evaluate_condition("inputs.name < 3", SCOPE)


@given(st.text())
def test_no_text_does_anything_but_render_or_fail_cleanly(text):
    for tried in (text, "{{" + text + "}}"):
        with suppress(TemplateError):
            render(tried, SCOPE)
        with suppress(TemplateError):
            evaluate_condition(tried, SCOPE)

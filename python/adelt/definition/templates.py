"""Templates `{{ interval.start | date }}` and conditions: a closed language without code.

A template names one value by a path whose first part is a namespace, and may pass it through filters. Nothing else exists:
no calls, no loops, no attributes of Python objects.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

NAMESPACES = ("inputs", "interval", "window", "matrix", "env", "secrets", "run", "tasks")
INTERVAL_NAMES = ("start", "end", "last_day")
RUN_NAMES = ("id", "pipeline", "task", "attempt")

_MARK = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_PATH = re.compile(rf"{_NAME}(\.{_NAME})*")


class TemplateError(ValueError):
    """A template or condition is wrong.

    Attributes:
        word: The word that is wrong, for a suggestion.
        known: What it could be.
    """

    def __init__(self, message: str, word: str = "", known: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.word, self.known = word, known


class Pending:
    """A value that is known only when the task runs; a plan shows its template instead."""


PENDING = Pending()


@dataclass(frozen=True)
class Reference:
    """One `{{ path | filter }}`.

    Attributes:
        path: Names, the namespace first.
        filters: Filters in the order they apply.
        text: The template as written.
    """

    path: tuple[str, ...]
    filters: tuple[str, ...]
    text: str


def _ymd(value: Any) -> str:
    return f"{_date(value):%Y%m%d}"


def _iso(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else _text(value)


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise TemplateError(f"`{value}` is not a date") from error


def slug(value: Any) -> str:
    """Text that is safe in file names and ids."""
    return re.sub(r"[^a-z0-9]+", "_", _text(value).lower()).strip("_") or "x"


FILTERS: dict[str, Callable[[Any], str]] = {
    "date": lambda value: _date(value).isoformat(),
    "ymd": _ymd,
    "iso": _iso,
    "json": lambda value: json.dumps(value, default=_iso, sort_keys=True),
    "slug": slug,
}


def references(text: str) -> Iterator[Reference]:
    """The templates in a text, in order.

    Raises:
        TemplateError: One is not well formed or uses an unknown filter.
    """
    if text.count("{{") != text.count("}}"):
        raise TemplateError(f"unbalanced braces in `{text}`")
    for match in _MARK.finditer(text):
        yield _reference(match)


def paths(value: Any) -> list[tuple[str, ...]]:
    """The names that a value's templates use; lists and mappings are searched through and through."""
    if isinstance(value, str):
        return list(_paths(value)) if "{{" in value or "}}" in value else []
    if isinstance(value, Mapping):
        return [path for item in value.values() for path in paths(item)]
    if isinstance(value, list | tuple):
        return [path for item in value for path in paths(item)]
    return []


@lru_cache(maxsize=1024)  # the tasks of a pipeline name the same things
def _paths(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(reference.path for reference in references(text))


def _reference(match: re.Match[str]) -> Reference:
    path, *filters = (part.strip() for part in match[1].split("|"))
    if not _PATH.fullmatch(path):
        raise TemplateError(f"`{match[0]}` is not a template: expected a name such as inputs.x")
    for name in filters:
        if name not in FILTERS:
            raise TemplateError(f"unknown filter `{name}` in `{match[0]}`", name, tuple(FILTERS))
    return Reference(tuple(path.split(".")), tuple(filters), match[0])


def render(value: Any, scope: Mapping[str, Any]) -> Any:
    """A value with its templates filled in; lists and mappings are rendered through and through.

    A text that is one template alone keeps the type of what it names. What is `PENDING` stays as written.

    Raises:
        TemplateError: A name is not in the scope.
    """
    if isinstance(value, str):
        return _render_text(value, scope)
    if isinstance(value, Mapping):
        return {key: render(item, scope) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [render(item, scope) for item in value]
    return value


def _render_text(text: str, scope: Mapping[str, Any]) -> Any:
    whole = _MARK.fullmatch(text)
    if whole and "{{" not in whole[1]:
        return _evaluate(_reference(whole), scope)

    def fill(match: re.Match[str]) -> str:
        value = _evaluate(_reference(match), scope)
        return value if isinstance(value, str) else _text(value)

    return _MARK.sub(fill, text)


def _evaluate(reference: Reference, scope: Mapping[str, Any]) -> Any:
    value = lookup(reference.path, scope)
    if value is PENDING:
        return reference.text
    for name in reference.filters:
        value = FILTERS[name](value)
    return value


def lookup(path: tuple[str, ...], scope: Mapping[str, Any]) -> Any:
    """The value that a path names.

    Raises:
        TemplateError: There is no such name.
    """
    value: Any = scope
    for index, name in enumerate(path):
        if value is PENDING:
            return PENDING
        if not isinstance(value, Mapping) or name not in value:
            known = tuple(value) if isinstance(value, Mapping) else ()
            raise TemplateError(f"there is no `{'.'.join(path[: index + 1])}`", name, known)
        value = value[name]
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return ",".join(_text(item) for item in value)
    if isinstance(value, Mapping):
        return json.dumps(value, default=_iso, sort_keys=True)
    return "" if value is None else str(value)


as_text = _text

_CONSTANTS = {"true": True, "false": False, "null": None}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


def condition_paths(text: str) -> list[tuple[str, ...]]:
    """The names that a condition reads.

    Raises:
        TemplateError: It is not a condition: comparisons, `in`, `and`, `or`, `not`, values and names.
    """
    tree = _parse_condition(text)
    found = []
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and id(node) not in inside:
            inside |= {id(part) for part in ast.walk(node)}
            path = _path(node, text)
            if path[0] not in _CONSTANTS:
                found.append(path)
    return found


def evaluate_condition(text: str, scope: Mapping[str, Any]) -> bool:
    """Whether a condition such as `inputs.full_refresh == false` holds.

    Raises:
        TemplateError: It is not a condition, or compares what cannot be compared.
    """
    try:
        return bool(_value(_parse_condition(text), scope, text))
    except TypeError as error:
        raise TemplateError(f"`{text}` compares values of different types: {error}") from error


def _parse_condition(text: str) -> ast.expr:
    stripped = text.strip()
    if whole := _MARK.fullmatch(stripped):
        stripped = whole[1].strip()
    try:
        tree = ast.parse(stripped, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise TemplateError(f"`{text}` is not a condition") from error
    allowed = (
        *(ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.Compare, ast.Constant, ast.List, ast.Load),
        *(ast.Attribute, ast.Name, *_COMPARE),
    )
    for node in ast.walk(tree):
        if not isinstance(node, allowed):
            raise TemplateError(
                f"`{text}` is not a condition: only names, values, comparisons, in, and, or, not"
            )
    return tree


def _path(node: ast.expr, text: str) -> tuple[str, ...]:
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        return (*_path(node.value, text), node.attr)
    raise TemplateError(f"`{text}` is not a condition: expected a name such as inputs.x")


def _value(node: ast.expr, scope: Mapping[str, Any], text: str) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.List():
            return [_value(item, scope, text) for item in node.elts]
        case ast.BoolOp():
            each = (bool(_value(item, scope, text)) for item in node.values)
            return all(each) if isinstance(node.op, ast.And) else any(each)
        case ast.UnaryOp():
            return not _value(node.operand, scope, text)
        case ast.Compare():
            left = _value(node.left, scope, text)
            for operator, right_node in zip(node.ops, node.comparators, strict=True):
                right = _value(right_node, scope, text)
                if isinstance(left, date) and isinstance(right, str):
                    right = _date(right)
                if not _COMPARE[type(operator)](left, right):
                    return False
                left = right
            return True
        case _:
            path = _path(node, text)
            if path[0] in _CONSTANTS and len(path) == 1:
                return _CONSTANTS[path[0]]
            return lookup(path, scope)

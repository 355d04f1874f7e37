"""The filter grammar of DV360 lists: `entityStatus="ENTITY_STATUS_ACTIVE" AND (a=1 OR a=2)`.

As in Google's API guidelines (AIP-160), OR binds tighter than AND, and restrictions one after the other
are joined by AND.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adelt_sandbox.clock import parse_instant
from adelt_sandbox.errors import GoogleError, bad_field

MAX_LENGTH = 500
_TOKEN = re.compile(
    r'\s*(?:(?P<mark>[()]|>=|<=|!=|=|:|>|<)|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>[^\s()"=:<>!]+))'
)
Row = Mapping[str, Any]
Test = Callable[[Row], bool]


@dataclass(frozen=True)
class Field:
    """A field a list can be filtered by.

    Attributes:
        read: Values a row has for it; more than one for repeated fields.
        operators: Operators that are allowed.
        kind: `text`, `time` or `seconds`; how values compare.
        values: Allowed values, for enums.
    """

    read: Callable[[Row], Sequence[Any]]
    operators: tuple[str, ...] = ("=",)
    kind: str = "text"
    values: frozenset[str] = frozenset()


def at(path: str) -> Callable[[Row], list[Any]]:
    """Reads the values at a dotted path, going through lists."""
    names = path.split(".")

    def read(row: Row) -> list[Any]:
        found: list[Any] = [row]
        for name in names:
            found = [item[name] for item in found if isinstance(item, Mapping) and name in item]
            found = [leaf for item in found for leaf in (item if isinstance(item, list) else [item])]
        return found

    return read


def compile_filter(text: str, fields: Mapping[str, Field]) -> Test:
    """A test for rows, or a 400 that says what is wrong with the filter."""
    if not text.strip():
        return lambda _: True
    if len(text) > MAX_LENGTH:
        raise bad_field("filter", f"Filter must be no more than {MAX_LENGTH} characters, got {len(text)}.")
    return _Parser(text, fields).parse()


class _Parser:
    def __init__(self, text: str, fields: Mapping[str, Field]) -> None:
        self._text, self._fields = text, fields
        self._tokens: list[tuple[str, str]] = []
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if not match or match.lastgroup is None:
                raise self._error(f"unexpected input at position {position}")
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()
        self._at = 0

    def parse(self) -> Test:
        test = self._all()
        if self._at < len(self._tokens):
            raise self._error(f"unexpected '{self._tokens[self._at][1]}'")
        return test

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _all(self) -> Test:
        tests = [self._any()]
        while self._peek()[0] != "end" and self._peek() != ("mark", ")"):
            if self._peek() == ("word", "AND"):
                self._take()
            tests.append(self._any())
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _any(self) -> Test:
        tests = [self._term()]
        while self._peek() == ("word", "OR"):
            self._take()
            tests.append(self._term())
        return tests[0] if len(tests) == 1 else lambda row: any(test(row) for test in tests)

    def _term(self) -> Test:
        if self._peek() == ("mark", "("):
            self._take()
            test = self._all()
            if self._take() != ("mark", ")"):
                raise self._error("missing ')'")
            return test
        return self._restriction()

    def _restriction(self) -> Test:
        kind, name = self._take()
        if kind != "word" or name in ("AND", "OR"):
            raise self._error(f"expected a field, got '{name}'")
        field = self._fields.get(name)
        if field is None:
            known = ", ".join(sorted(self._fields)) or "none"
            raise self._error(f"'{name}' is not a supported field; supported: {known}")
        kind, operator = self._take()
        if kind != "mark" or operator in "()":
            raise self._error(f"expected an operator after '{name}'")
        if operator not in field.operators:
            raise self._error(f"field '{name}' must use the operator {' or '.join(field.operators)}")
        kind, value = self._take()
        if kind not in ("word", "quoted"):
            raise self._error(f"expected a value after '{name}{operator}'")
        if kind == "quoted":
            value = re.sub(r"\\(.)", r"\1", value)
        if field.values and value not in field.values:
            raise self._error(f"'{value}' is not a value of '{name}'")
        return self._test(field, operator, value)

    def _test(self, field: Field, operator: str, value: str) -> Test:
        if field.kind == "time":
            limit = self._time(value)
            if operator == ">=":
                return lambda row: any(parse_instant(str(item)) >= limit for item in field.read(row))
            return lambda row: any(parse_instant(str(item)) <= limit for item in field.read(row))
        if field.kind == "seconds":
            return lambda row: value in [str(item) for item in field.read(row)]
        if operator == ":":
            needle = value.strip("*").lower()
            return lambda row: any(needle in str(item).lower() for item in field.read(row))
        return lambda row: any(_text(item) == value for item in field.read(row))

    def _time(self, value: str) -> datetime:
        try:
            return parse_instant(value)
        except ValueError:
            raise self._error(f"'{value}' is not a time in ISO 8601 format") from None

    def _error(self, what: str) -> GoogleError:
        return bad_field("filter", f"Invalid filter {self._text!r}: {what}.")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

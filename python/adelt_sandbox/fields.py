"""Partial responses: the `fields` parameter, e.g. `nextPageToken,items(id,name)` or `items/id`."""

import re
from typing import Any

from adelt_sandbox.errors import bad_field

Mask = dict[str, "Mask"]
_TOKEN = re.compile(r"\s*([A-Za-z_][\w.-]*|\*|[(),/])")


def parse(text: str) -> Mask:
    """Read a selector; `{}` below a name means everything below it."""
    tokens = _tokens(text)
    mask, rest = _list(tokens, 0, text)
    if rest != len(tokens):
        raise _invalid(text)
    return mask


def apply(mask: Mask, value: Any) -> Any:
    """Keep of a JSON value only what a selector names."""
    if not mask:
        return value
    if isinstance(value, list):
        return [apply(mask, item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, item in value.items():
        below = mask.get(key, mask.get("*"))
        if below is not None:
            kept[key] = apply(below, item)
    return kept


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise _invalid(text)
        tokens.append(match[1])
        position = match.end()
    return tokens


def _list(tokens: list[str], at: int, text: str) -> tuple[Mask, int]:
    mask: Mask = {}
    while True:
        at = _path(tokens, at, mask, text)
        if at < len(tokens) and tokens[at] == ",":
            at += 1
            continue
        return mask, at


def _path(tokens: list[str], at: int, mask: Mask, text: str) -> int:
    while True:
        if at >= len(tokens) or tokens[at] in "(),/":
            raise _invalid(text)
        mask = mask.setdefault(tokens[at], {})
        at += 1
        if at < len(tokens) and tokens[at] == "/":
            at += 1
            continue
        if at < len(tokens) and tokens[at] == "(":
            inner, at = _list(tokens, at + 1, text)
            if at >= len(tokens) or tokens[at] != ")":
                raise _invalid(text)
            mask.update(inner)
            at += 1
        return at


def _invalid(text: str) -> Exception:
    return bad_field("fields", f"Invalid field selection {text}")

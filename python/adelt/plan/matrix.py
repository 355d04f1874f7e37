"""Matrices: lists whose combinations each become one task."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from adelt.definition import templates
from adelt.definition.model import Matrix
from adelt.errors import InputError

Item = Mapping[str, Any]


def expand(matrix: Matrix, scope: Mapping[str, Any], where: str) -> list[Item] | None:
    """The items of a matrix in the order of its lists; None when another task has to run first.

    Raises:
        InputError: A list is no list, or two items are the same.
    """
    axes: dict[str, Sequence[Any]] = {}
    for name, value in matrix.axes.items():
        found = _list(value, scope, f"{where}.matrix.{name}")
        if found is None:
            return None
        axes[name] = found
    items: list[Item] = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    if not axes:
        items = []
    items = [item for item in items if not any(_matches(item, exclude) for exclude in matrix.exclude)]
    items += [dict(item) for item in matrix.include]
    seen: set[str] = set()
    for item in items:
        text = item_id(item)
        if text in seen:
            raise InputError(f"the matrix has {text} twice", where=where, fix="give every item once")
        seen.add(text)
    return items


def item_id(item: Item) -> str:
    """The item as people write it: `partner=1001,table=line_item`."""
    return ",".join(f"{key}={templates.as_text(value)}" for key, value in item.items())


def _list(value: Any, scope: Mapping[str, Any], where: str) -> Sequence[Any] | None:
    if isinstance(value, list):
        return value
    reference = next(templates.references(value))
    result = templates.lookup(reference.path, scope)
    if result is templates.PENDING:
        return None
    if not isinstance(result, list | tuple):
        raise InputError(f"`{reference.text}` is no list but {result!r}", where=where)
    for item in result:
        if isinstance(item, list | tuple | dict) or item is None:
            raise InputError(
                f"`{reference.text}` holds {item!r}", where=where, fix="a list of texts, numbers or booleans"
            )
    return result


def _matches(item: Item, pattern: Item) -> bool:
    return all(templates.as_text(item[key]) == templates.as_text(value) for key, value in pattern.items())

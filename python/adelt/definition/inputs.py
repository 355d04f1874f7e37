"""Values of inputs: read from text, checked against their declaration."""

import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from adelt.definition.model import Input
from adelt.errors import DefinitionErrors, InputError, did_you_mean


def resolve(specs: Mapping[str, Input], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Every input's value for a run: what was given, else its default.

    Raises:
        DefinitionErrors: Inputs that do not exist, are missing or have a wrong value.
    """
    problems: list[InputError] = []
    for name in given:
        if name not in specs:
            fix = did_you_mean(name, specs, otherwise="inputs")
            problems.append(InputError(f"there is no input `{name}`", where=where, fix=fix))
    values: dict[str, Any] = {}
    for name, spec in specs.items():
        if name not in given and spec.required:
            problems.append(
                InputError(f"the input `{name}` is not set", where=where, fix=f"add -i {name}=...")
            )
            continue
        try:
            values[name] = coerce(spec, given.get(name, spec.default))
        except ValueError as error:
            problems.append(InputError(f"input `{name}`: {error}", where=where))
    if problems:
        raise DefinitionErrors(problems)
    return values


def coerce(spec: Input, value: Any) -> Any:
    """A value of the declared type; texts (from a command line) are read.

    Raises:
        ValueError: It does not fit the declaration.
    """
    if value is None and not spec.required:
        return None
    if spec.type == "array":
        items = [_scalar(spec.items or "string", item) for item in _array(value)]
        _bounds(spec, len(items), "items")
        for item in items:
            _member(spec, item)
        return items
    result = _scalar(spec.type, value)
    _member(spec, result)
    if spec.type in ("integer", "number", "date"):
        _bounds(spec, result, "")
    return result


def _array(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a list")
    text = value.strip()
    if text.startswith("["):
        try:
            parsed = json.loads(text)
        except ValueError as error:
            raise ValueError(f"`{text}` is not a JSON list") from error
        return list(parsed)
    return [part.strip() for part in text.split(",") if part.strip()]


def _scalar(kind: str, value: Any) -> Any:
    match kind:
        case "string" if isinstance(value, str):
            return value
        case "string" if isinstance(value, int | float | date) and not isinstance(value, bool):
            return str(value)
        case "boolean" if isinstance(value, bool):
            return value
        case "boolean" if isinstance(value, str) and value.lower() in ("true", "false", "yes", "no"):
            return value.lower() in ("true", "yes")
        case "integer" if isinstance(value, int) and not isinstance(value, bool):
            return value
        case "integer" if isinstance(value, str) and re.fullmatch(r"[+-]?\d+", value.strip()):
            return int(value)
        case "number" if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        case "number" if isinstance(value, str):
            try:
                return float(value)
            except ValueError:
                pass
        case "date" if isinstance(value, date):
            return value
        case "date" if isinstance(value, str):
            try:
                return date.fromisoformat(value.strip())
            except ValueError:
                pass
    article = "an" if kind == "integer" else "a"
    raise ValueError(f"`{value}` is not {article} {kind}")


def _member(spec: Input, value: Any) -> None:
    if spec.enum is not None and value not in spec.enum:
        hint = did_you_mean(str(value), map(str, spec.enum), otherwise="values")
        raise ValueError(f"`{value}` is not one of its values; {hint}")


def _bounds(spec: Input, value: Any, unit: str) -> None:
    shown = f"{value} {unit}".strip()
    try:
        if spec.min is not None and value < spec.min:
            raise ValueError(f"{shown} is below the minimum {_plain(spec.min)}")
        if spec.max is not None and value > spec.max:
            raise ValueError(f"{shown} is above the maximum {_plain(spec.max)}")
    except TypeError as error:
        raise ValueError(f"min and max of a {spec.type} must be of that type") from error


def _plain(bound: float | date) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)

"""Files of other engines as definitions: what can be taken over is, the rest is listed; the result is always valid."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from adelt.definition import check
from adelt.definition.model import Pipeline
from adelt.definition.source import parse
from adelt.definition.templates import slug
from adelt.errors import DefinitionErrors, InputError, did_you_mean
from adelt.export.core import to_yaml

_WRITTEN = re.compile(r"# Written by `adelt export \w+` from (.+); do not edit\.")
_MARK = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass
class Reading:
    """What was taken over.

    Attributes:
        definition: The definition, as plain values.
        lost: What was not taken over, or stands for something that it is not quite.
    """

    definition: dict[str, Any]
    lost: list[str] = field(default_factory=list)

    def text(self, source: str) -> str:
        """The definition as YAML, with what was lost above it."""
        head = [f"# Read from {source}."] + [f"# Not taken over: {lost}" for lost in self.lost]
        return "\n".join(head) + "\n" + to_yaml(self.definition)

    def lose(self, what: str) -> None:
        """Note something that is not taken over, once."""
        line = " ".join(what.split())  # it may quote a text of several lines, and stands in a comment
        if line not in self.lost:
            self.lost.append(line)

    def placeholder(self, name: str, why: str) -> None:
        """Let a task stand in the graph, disabled, because what it does is not taken over."""
        self.lose(f"task {name}: {why}")
        old = self.definition["tasks"].get(name, {})
        self.definition["tasks"][name] = {
            "description": f"Not taken over: {why}",
            **{key: old[key] for key in ("needs", "matrix", "concurrency") if old.get(key)},
            "enabled": False,
            "run": ["false"],
        }


def read(engine: str, text: str, where: str, known: Collection[str] = ()) -> Reading:
    """Turn a file of another engine into a definition.

    Args:
        engine: kestra or orchestra.
        text: The file.
        where: Its name for messages.
        known: Names of the pipelines there are; only they can be run by a task.

    Raises:
        InputError: The engine is not known, the file is adelt's own, or it is not of the engine's format.
    """
    from adelt.export import read_kestra, read_orchestra

    readers: dict[str, Callable[[str, str], Reading]] = {
        "kestra": read_kestra.read,
        "orchestra": read_orchestra.read,
    }
    if engine not in readers:
        raise InputError(
            f"files of `{engine}` cannot be read", fix=did_you_mean(engine, readers, otherwise="engines")
        )
    if written := _WRITTEN.match(text):
        raise InputError(
            f"the file was written from {written[1]}", where=where, fix="that file is the definition"
        )
    return made_valid(readers[engine](text, where), known)


def parsed(model: type[_Model], text: str, where: str, lost: list[str] | None = None) -> _Model:
    """A file in the strict model of its format.

    Args:
        model: The format.
        text: The file.
        where: Its name for messages.
        lost: Takes unknown keys, which are then left out; without it they are errors.

    Raises:
        DefinitionError: It is no YAML.
        DefinitionErrors: It is not of the format; each fault with its place.
    """
    source = parse(text, where)
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    unknown = [fault["loc"] for fault in faults if fault["type"] == "extra_forbidden"]
    if lost is not None and unknown:
        for loc in unknown:
            lost.append(f"`{loc[-1]}` is no key that is known ({source.where(tuple(loc), key=True)})")
            _drop(source.data, loc)
        try:
            return model.model_validate(source.data)
        except ValidationError as error:
            faults = error.errors(include_url=False)
    raise DefinitionErrors(
        InputError(
            f"`{'.'.join(map(str, fault['loc'])) or 'the file'}`: {fault['msg'][:1].lower()}{fault['msg'][1:]}",
            where=source.where(tuple(fault["loc"]), key=fault["type"] == "extra_forbidden"),
        )
        for fault in faults
    )


def _drop(data: Any, loc: tuple[int | str, ...]) -> None:
    """Remove a key; steps that name a branch of a union are not in the data."""
    for step in loc[:-1]:
        if (isinstance(data, dict) and step in data) or (isinstance(data, list) and isinstance(step, int)):
            data = data[step]  # type: ignore[index]
    data.pop(loc[-1], None)


def name_of(text: str) -> str:
    """A name as definitions have them: small letters, digits and _, a letter first."""
    found = slug(text)[:60]
    return found if found[0].isalpha() else f"p_{found}"


def translated(value: Any, one: Callable[[str], str | None], mark: re.Pattern[str] = _MARK) -> Any:
    """A value with the expressions of another engine as templates.

    Args:
        value: Texts, lists and mappings are gone through.
        one: Gives the path of a template for the inside of an expression; None when there is none.
        mark: What an expression looks like; its first group is the inside.

    Raises:
        ValueError: An expression has no template; it is the message.
    """
    if isinstance(value, Mapping):
        return {key: translated(item, one, mark) for key, item in value.items()}
    if isinstance(value, list):
        return [translated(item, one, mark) for item in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        path = one(match[1].strip())
        if path is None:
            raise ValueError(f"`{match[0]}` is no template of adelt")
        return f"{{{{ {path} }}}}" if path else ""

    return mark.sub(replace, value)


def dbt_action(commands: list[str]) -> dict[str, Any] | None:
    """One dbt command as an action; None when it has words that the action does not know."""
    if len(commands) != 1:
        return None
    words = commands[0].split()
    if words[:1] != ["dbt"] or len(words) < 2:
        return None
    command, rest = words[1], words[2:]
    if words[1:3] == ["source", "freshness"]:
        command, rest = "source freshness", words[3:]
    action: dict[str, Any] = {"command": command}
    while rest:
        word = rest.pop(0)
        if word in ("--select", "-s", "--exclude"):
            values = []
            while rest and not rest[0].startswith("-"):
                values.append(rest.pop(0).strip("'\""))
            action["exclude" if word == "--exclude" else "select"] = " ".join(values)
        elif word in ("--full-refresh", "-f"):
            action["full_refresh"] = True
        elif word == "--threads" and rest and rest[0].isdigit():
            action["threads"] = int(rest.pop(0))
        else:
            return None
    known = ("build", "run", "test", "seed", "snapshot", "compile", "source freshness")
    return action if command in known else None


def made_valid(reading: Reading, known: Collection[str] = ()) -> Reading:
    """Leave out what `adelt validate` would not take, and say so."""
    for _ in range(1000):  # each turn leaves something out
        fault = _fault(reading.definition, known)
        if fault is None:
            return reading
        place, why = fault
        match place:
            case ("tasks", str(name), *_) if name in reading.definition["tasks"]:
                if reading.definition["tasks"][name].get("run") == ["false"]:
                    reading.definition["tasks"][name].pop("needs", None)
                reading.placeholder(name, why)
            case (str(key), (str() | int()) as inner, *_) if inner in _keys(reading.definition.get(key)):
                del reading.definition[key][inner]
                reading.lose(f"{key} {inner}: {why}")
            case (str(key), *_) if key in reading.definition and key not in ("version", "name", "tasks"):
                del reading.definition[key]
                reading.lose(f"{key}: {why}")
            case _:
                break
    raise InputError("the file cannot be made a definition", where=".".join(map(str, place)), fix=why)


def _keys(value: Any) -> list[Any]:
    return (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )


def _fault(data: dict[str, Any], known: Collection[str]) -> tuple[tuple[str | int, ...], str] | None:
    """The first thing wrong with a definition: its place, and why."""
    try:
        pipeline = Pipeline.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return first["loc"], str(first["msg"])
    places: list[tuple[str | int, ...]] = []

    def where(loc: tuple[str | int, ...], *, key: bool = False) -> str:  # noqa: ARG001
        places.append(loc)
        return ""

    def peek(name: str) -> Pipeline | None:
        if name not in known:
            raise InputError(f"there is no pipeline `{name}`")
        return None

    found = check.problems(pipeline, where, peek)
    return (places[0], found[0].what) if found else None

"""Load pipeline files: read, check the shape, check the sense; every problem at once, each with its line."""

import hashlib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from adelt.definition import check
from adelt.definition.model import ACTIONS, Matrix, Pipeline
from adelt.definition.source import Source, read
from adelt.errors import AdeltError, DefinitionError, DefinitionErrors, InputError, did_you_mean

M = TypeVar("M", bound=BaseModel)
FOLDER = "pipelines"
_SUFFIXES = (".yml", ".yaml")


@dataclass(frozen=True)
class Definition:
    """A pipeline that was read and checked.

    Attributes:
        pipeline: What it says.
        path: Its file, as shown in messages.
        digest: Checksum of the file.
    """

    pipeline: Pipeline
    path: str
    digest: str


def load(path: Path, project: Path) -> Definition:
    """Read and check one file.

    Args:
        path: The file.
        project: Folder that `pipelines/` is in; paths are shown relative to it, other pipelines are found there.

    Raises:
        DefinitionErrors: Everything that is wrong with it.
    """
    try:
        source = read(path, _shown(path, project))
    except DefinitionError as error:
        raise DefinitionErrors([error]) from error
    pipeline = validated(Pipeline, source)
    problems = check.problems(pipeline, source.where, lambda name: _peek(name, project))
    if problems:
        raise DefinitionErrors(sorted(problems, key=_line))
    return Definition(pipeline, source.path, hashlib.sha256(source.text.encode()).hexdigest())


def load_checked_before(path: Path, project: Path) -> Definition:
    """Read one file that `load` was content with before it came here: its shape and order are checked, its sense is not.

    An engine that reads hundreds of pipelines every minute has neither the time for it nor the declared tables.

    Args:
        path: The file.
        project: Folder that `pipelines/` is in.

    Raises:
        DefinitionErrors: It has another shape, or tasks need what is not there or each other.
    """
    try:
        source = read(path, _shown(path, project))
        pipeline = Pipeline.model_validate(source.data)
    except (AdeltError, ValidationError):
        return load(path, project)  # which says what is wrong, and where
    if check.order_problems(pipeline):
        return load(path, project)
    return Definition(pipeline, source.path, hashlib.sha256(source.text.encode()).hexdigest())


def validated(model: type[M], source: Source) -> M:
    """What a file says, as a model.

    Raises:
        DefinitionErrors: Everything that does not fit, with its line.
    """
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        raise DefinitionErrors(_problems(error, source, model)) from error


def find(name: str, project: Path) -> Definition:
    """Load a pipeline by its name, or by the path of its file.

    Raises:
        InputError: There is no such pipeline.
        DefinitionErrors: Everything that is wrong with it.
    """
    return load(_locate(name, project), project)


def find_all(project: Path) -> list[Path]:
    """The files in `pipelines/`, in alphabetical order."""
    return sorted(path for path in (project / FOLDER).glob("*") if path.suffix in _SUFFIXES)


def _locate(name: str, project: Path) -> Path:
    if name.endswith(_SUFFIXES):
        path = Path(name)
        if path.exists():
            return path
    for suffix in _SUFFIXES:
        path = project / FOLDER / f"{name}{suffix}"
        if path.exists():
            return path
    known = [path.stem for path in find_all(project)]
    stem = Path(name).stem
    raise InputError(
        f"there is no pipeline `{name}`",
        where=f"{project / FOLDER}",
        fix=did_you_mean(stem, known, otherwise="pipelines")
        if known
        else "run adelt in the folder of the project, or set ADELT_PROJECT",
    )


def _peek(name: str, project: Path) -> Pipeline | None:
    """Another pipeline for cross checks; None when it cannot be read (it has errors of its own)."""
    try:
        source = read(_locate(name, project), name)
        return Pipeline.model_validate(source.data)
    except InputError:
        raise
    except (AdeltError, ValidationError):
        return None


def _shown(path: Path, project: Path) -> str:
    try:
        return str(path.resolve().relative_to(project))
    except ValueError:
        return str(path)


def _line(problem: AdeltError) -> tuple[int, int]:
    parts = problem.where.rsplit(":", 2)
    return (int(parts[1]), int(parts[2])) if len(parts) == 3 else (0, 0)


def _problems(error: ValidationError, source: Source, root: type[BaseModel]) -> list[DefinitionError]:
    found: dict[tuple[str, str], DefinitionError] = {}
    for item in error.errors(include_url=False):
        problem = _problem(item, source, root)
        found.setdefault((problem.where, problem.what), problem)
    return sorted(_best(list(found.values())), key=_line)


def _best(problems: list[DefinitionError]) -> Iterator[DefinitionError]:
    """One problem per place: a union reports each of its branches."""
    seen: dict[str, int] = {}
    for problem in problems:
        if problem.where not in seen or problem.what.startswith("unknown key"):
            yield problem
        seen[problem.where] = 1


def _problem(item: Mapping[str, Any], source: Source, root: type[BaseModel]) -> DefinitionError:
    loc: tuple[str | int, ...] = item["loc"]
    last = str(loc[-1]) if loc else ""
    kind = item["type"]
    if kind == "extra_forbidden":
        known = _keys_at(loc[:-1], root)
        return DefinitionError(
            f"unknown key `{last}`",
            where=source.where(loc, key=True),
            fix=did_you_mean(last, known, otherwise="keys"),
        )
    if kind == "missing":
        return DefinitionError(f"`{last}` is missing", where=source.where(loc[:-1]), fix=f"add `{last}:`")
    if last == "[key]":
        return DefinitionError(
            f"`{loc[-2]}` is not a name",
            where=source.where(loc[:-1], key=True),
            fix="use small letters, digits and _, a letter first",
        )
    if kind in ("action", "concurrency", "matrix", "sql", "sensor", "export", "purge", "alert", "notice"):
        what, _, fix = str(item["msg"]).partition("; ")
        keys = item["input"] if isinstance(item["input"], Mapping) else {}
        close = next((f for key in keys if key not in ACTIONS and (f := did_you_mean(key, ACTIONS))), "")
        return DefinitionError(f"{_shown_loc(loc)}: {what}", where=source.where(loc), fix=close or fix)
    what, _, fix = str(item["msg"]).partition("; ")
    if kind == "literal_error":
        fix = did_you_mean(str(item["input"]), _words(item["ctx"]["expected"]), otherwise="values")
        what = f"`{item['input']}` is not a value of `{_field(loc)}`"
        return DefinitionError(what, where=source.where(loc), fix=fix)
    if kind == "string_pattern_mismatch":
        what, fix = f"`{item['input']}` is not a name", "use small letters, digits and _, a letter first"
    if kind == "none_required" or item["input"] is None:
        what, fix = "the value is missing", f"write a value after `{_field(loc)}:`"
    return DefinitionError(f"`{_field(loc)}`: {what[:1].lower()}{what[1:]}", where=source.where(loc), fix=fix)


def _field(loc: tuple[str | int, ...]) -> str:
    names = [part for part in loc if isinstance(part, str) and part.isidentifier() and part not in _BRANCHES]
    return names[-1] if names else "the file"


_BRANCHES = {"str", "int", "float", "bool", "date", "list", "function"}


def _shown_loc(loc: tuple[str | int, ...]) -> str:
    return "`" + ".".join(str(part) for part in loc if not str(part).startswith("function-")) + "`"


def _words(expected: str) -> list[str]:
    return [word.strip("' ") for word in expected.replace(" or ", ",").split(",")]


def _keys_at(loc: tuple[str | int, ...], root: type[BaseModel]) -> list[str]:
    """The keys that the model at a place of the file knows."""
    kinds: list[Any] = [root]
    for step in loc:
        kinds = [child for kind in kinds for child in _children(kind, step)] or kinds
    keys: list[str] = []
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += [field.alias or name for name, field in kind.model_fields.items()]
    return keys


def _children(kind: Any, step: str | int) -> list[Any]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            if step in (name, field.alias):
                return _unwrap(cast(Any, field.annotation))
        return [Matrix] if kind is Matrix else []
    origin, args = get_origin(kind), get_args(kind)
    if origin is dict and isinstance(step, str):
        return _unwrap(args[1])
    if origin in (list, tuple) and isinstance(step, int):
        return _unwrap(args[0])
    return []


@cache
def _unwrap(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _unwrap(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [kind for arg in get_args(annotation) for kind in _unwrap(arg)]
    return [annotation]

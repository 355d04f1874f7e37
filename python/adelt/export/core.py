"""What an export is: files with their text, and notes about what the engine cannot do or does differently."""

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from adelt.definition import Definition
from adelt.errors import DefinitionErrors, InputError, did_you_mean

Kind = Literal["missing", "approximated"]
FOLDER = "deploy"
_ENGINES = ("airflow", "kestra", "orchestra")  # offered once there is a module of the name beside this one
_Config = TypeVar("_Config", bound=BaseModel)


@dataclass(frozen=True)
class Note:
    """Something that the engine does not do as adelt does.

    Attributes:
        pipeline: The pipeline.
        where: The key it is about, such as `tasks.ingest.retries`.
        kind: `missing` (the engine cannot express it) or `approximated`.
        what: What happens instead.
    """

    pipeline: str
    where: str
    kind: Kind
    what: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class Export:
    """What an exporter made.

    Attributes:
        files: Text of each file by its path in the project.
        notes: What is missing or approximated.
        owned: Folder (in the project) in which every file is generated: others in it are out of date.
    """

    files: dict[str, str]
    notes: tuple[Note, ...]
    owned: str


Exporter = Callable[[Sequence[Definition], Path], Export]


def engines() -> list[str]:
    """Engines that there is an exporter for."""
    return [name for name in _ENGINES if importlib.util.find_spec(f"adelt.export.{name}")]


def exporter(engine: str) -> Exporter:
    """The function `export(definitions, project)` of an engine's module.

    Raises:
        InputError: There is no such engine.
    """
    if engine not in engines():
        fix = did_you_mean(engine, engines(), otherwise="engines")
        raise InputError(f"there is no exporter for `{engine}`", where="adelt export", fix=fix)
    found: Exporter = importlib.import_module(f"adelt.export.{engine}").export
    return found


def export(engine: str, definitions: Sequence[Definition], project: Path) -> Export:
    """Export pipelines.

    Args:
        engine: One of `engines()`.
        definitions: The pipelines, each name once.
        project: Folder of the project; `deploy/<engine>/config.yml` in it, if there is one, has the engine's settings.

    Raises:
        InputError: The engine is not known, or its settings are wrong.
    """
    return exporter(engine)(definitions, project)


def read_config(model: type[_Config], engine: str, project: Path) -> _Config:
    """The settings of an engine, `deploy/<engine>/config.yml`; defaults without the file.

    Raises:
        DefinitionErrors: A setting is wrong.
    """
    path = project / FOLDER / engine / "config.yml"
    if not path.exists():
        return model()
    shown = str(path.relative_to(project))
    try:
        return model.model_validate(yaml.safe_load(path.read_text("utf-8")) or {})
    except yaml.YAMLError as error:
        raise InputError(f"not YAML: {' '.join(str(error).split())}", where=shown) from error
    except ValidationError as error:
        raise DefinitionErrors(
            InputError(
                f"`{'.'.join(map(str, item['loc'])) or 'the file'}`: {item['msg'][:1].lower()}{item['msg'][1:]}",
                where=shown,
                fix=did_you_mean(
                    "".join(map(str, item["loc"][-1:])), model.model_fields, otherwise="settings"
                ),
            )
            for item in error.errors()
        ) from error


def document(definition: Definition, engine: str, value: BaseModel, notes: Sequence[Note]) -> str:
    """A generated file: where it is from, what differs, and the value as YAML."""
    lines = [
        f"# Written by `adelt export {engine}` from {definition.path}; do not edit.",
        f"# adelt: sha256:{definition.digest}",
    ]
    lines += [f"# adelt: {note.kind}  {note}" for note in notes]
    # A value of the definition in a note must not end the comment.
    lines = [
        "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line) for line in lines
    ]
    return "\n".join(lines) + "\n" + to_yaml(value.model_dump(by_alias=True, exclude_none=True))


class _Dumper(yaml.SafeDumper):
    """Block style, lists indented, long texts as blocks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:  # noqa: ARG002
        return super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = "|" if "\n" in value else '"' if "'" in value and '"' not in value and "\\" not in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(value: Any) -> str:
    """YAML text, the same for the same value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100_000)

"""Read YAML and remember on which line every value stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from adelt.errors import DefinitionError

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RULES: Any = yaml.resolver.Resolver()
_TEXT = "tag:yaml.org,2002:str"
_MOST_NODES = 50_000  # more is an alias bomb, not a pipeline


@dataclass(frozen=True)
class Source:
    """A YAML file: its values and where they stand.

    Attributes:
        path: The file as it is named in messages.
        data: Plain values.
        root: Node tree with positions.
        text: The whole file.
    """

    path: str
    data: Any
    root: Any
    text: str

    def where(self, loc: tuple[str | int, ...], *, key: bool = False) -> str:
        """`file:line:column` of the node that a path of keys leads to.

        Steps that the file does not have are left out: they come from normalisation, or name a branch of a union.

        Args:
            loc: Keys and indexes from the root.
            key: Point at the last key rather than at its value.
        """
        node, mark = self.root, self.root.start_mark if self.root else None
        for step in loc:
            found = _step(node, step)
            if found:
                key_node, node = found
                mark = key_node.start_mark if key or isinstance(node, _CONTAINERS) else node.start_mark
        if mark is None:
            return f"{self.path}:1"
        return f"{self.path}:{mark.line + 1}:{mark.column + 1}"

    def order(self, loc: tuple[str | int, ...]) -> tuple[int, int]:
        """Line and column, for sorting."""
        *_, line, column = self.where(loc).rsplit(":", 2) if self.root else ("", "1", "1")
        return int(line), int(column)


_CONTAINERS = (yaml.MappingNode, yaml.SequenceNode)


def _step(node: Any, step: str | int) -> tuple[Any, Any] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def read(path: Path, shown: str, begin: str = "version: 1") -> Source:
    """Read one YAML file.

    Args:
        path: The file.
        shown: What it is called in errors.
        begin: A key that such a file begins with.

    Raises:
        DefinitionError: It is not there, not YAML, or has a key twice.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(f"the file cannot be read: {error}", where=shown) from error
    return parse(text, shown, begin)


def parse(text: str, shown: str, begin: str = "") -> Source:
    """Read YAML text, a mapping.

    Args:
        text: The text.
        shown: What it is called in errors.
        begin: A key that such a text begins with.

    Raises:
        DefinitionError: It is not YAML, no mapping, or has a key twice.
    """
    loader = _Loader(text)
    loader.resolve = _tag
    try:
        root = loader.get_single_node()
        data = _Builder(loader, shown).build(root) if root else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{shown}:{mark.line + 1}:{mark.column + 1}" if mark else shown
        raise DefinitionError(
            f"this is not YAML: {error.problem or error.context}",
            where=where,
            fix="check quotes and indentation",
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise DefinitionError(f"this is not YAML: {error}", where=shown) from error
    finally:
        loader.dispose()
    if not isinstance(data, Mapping):
        what = "the file is empty" if data is None else "the file is not made of keys and values"
        raise DefinitionError(what, where=f"{shown}:1", fix=f"begin with `{begin}`" if begin else "")
    return Source(shown, data, root, text)


@lru_cache(maxsize=4096)
def _tag(kind: Any, value: str | None, implicit: Any) -> str:
    """Whether a word is a number or the like, by the loader's rules; files have few different words."""
    return str(_RULES.resolve(kind, value, implicit))


class _Builder:
    """Values of nodes; unlike the loader's own, it refuses double keys and alias bombs."""

    def __init__(self, loader: Any, shown: str) -> None:
        self._loader, self._shown = loader, shown
        self._count = 0
        self._open: set[int] = set()

    def build(self, node: Any) -> Any:
        self._count += 1
        if self._count > _MOST_NODES or id(node) in self._open:
            raise self._error(node, "aliases that multiply or contain themselves")
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.tag == _TEXT else self._scalar(node)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node)
            return [self.build(item) for item in node.value]
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: Any) -> Any:
        try:
            return self._loader.construct_object(node)
        except ValueError:  # 2026-02-30: who expects a day says so, with its place
            return node.value

    def _mapping(self, node: Any) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(key, "a key that is not a word")
            if key.value in result:
                raise self._error(key, f"the key `{key.value}` is there twice")
            result[key.value] = self.build(value)
        return result

    def _error(self, node: Any, what: str) -> DefinitionError:
        mark = node.start_mark
        return DefinitionError(what, where=f"{self._shown}:{mark.line + 1}:{mark.column + 1}")

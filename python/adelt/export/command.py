"""The command of a task as a shell runs it, and the ids of matrix items."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from adelt.definition import templates


def shell(program: str, words: Sequence[str], optional: Sequence[str]) -> str:
    """A command for a POSIX shell, an option on each line; values come from variables, so that none of them is code.

    Args:
        program: What is called.
        words: Its words: two, then options with a value each.
        optional: Inputs that are handed on only if they have a value.
    """
    lines: list[str] = [f"{program} {words[0]} {words[1]}"]
    for flag, value in zip(words[2::2], words[3::2], strict=True):
        lines.append(f'{flag} "{value}"' if "$" in value else f"{flag} {value}")
    lines += [f'${{INPUT_{key}:+-i}} ${{INPUT_{key}:+"{key}=$INPUT_{key}"}}' for key in optional]
    return " \\\n  ".join(lines)


def field(key: str) -> str:
    """What a key of a matrix is called in an exported item, in which `id` is the item's own."""
    return "id_" if key == "id" else key


def entries(items: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Items as an engine is given them: each with an `id`, and its values as texts."""
    return [
        {"id": name, **{field(key): text for key, text in item.items()}}
        for name, item in named_items(items).items()
    ]


def entry_id(entry: Mapping[str, Any]) -> str:
    """The item of an entry as people write it: `partner=1001,table=line_item`."""
    return ",".join(f"{'id' if key == 'id_' else key}={value}" for key, value in entry.items() if key != "id")


def named_items(items: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Items of a matrix as texts, by an id that is short, safe and the item's own."""
    result: dict[str, dict[str, str]] = {}
    for item in items:
        texts = {key: templates.as_text(value) for key, value in item.items()}
        base = templates.slug("_".join(texts.values()))[:80]
        if base in result:
            base = f"{base}_{hashlib.sha256(repr(sorted(texts.items())).encode()).hexdigest()[:6]}"
        result[base] = texts
    return result

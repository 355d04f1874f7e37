"""Environments: which warehouse a target name stands for (deploy/targets.yml and environment variables)."""

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adelt.errors import InputError, did_you_mean
from adelt_sources.warehouse import BigQuery, DuckDb, Warehouse

FILE = Path("deploy/targets.yml")
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z][A-Z0-9_]*)(?P<default>:-(?P<text>[^}]*))?\}")
_TYPES: Mapping[str, type[DuckDb] | type[BigQuery]] = {"duckdb": DuckDb, "bigquery": BigQuery}
_LABEL = re.compile(r"[a-z0-9_-]{0,63}")
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "local": {"type": "duckdb"},
    "bigquery": {
        "type": "bigquery",
        "project": "${ADELT_BIGQUERY_PROJECT}",
        "location": "${ADELT_BIGQUERY_LOCATION:-EU}",
        "prefix": "${ADELT_DATASET_PREFIX:-}",
        "bucket": "${ADELT_BUCKET:-}",
        "max_bytes": "${ADELT_MAX_BYTES:-}",
        "max_run_bytes": "${ADELT_MAX_RUN_BYTES:-}",
    },
}


def names(project: Path) -> list[str]:
    """The targets there are.

    Args:
        project: Folder of the project.

    Raises:
        InputError: The file cannot be read.
    """
    return list(_read(project))


def find(name: str, project: Path, home: Path, environment: Mapping[str, str]) -> Warehouse:
    """The warehouse of a target.

    Args:
        name: Target, for example `prod`.
        project: Folder of the project; its `deploy/targets.yml` declares the targets. Without one there are `local`
            and `bigquery`, both told by environment variables.
        home: Folder for a DuckDB file that is not placed elsewhere.
        environment: Environment variables; ADELT_WAREHOUSE goes before the `file` of a DuckDB target.

    Raises:
        InputError: There is no such target, or its declaration is wrong; nothing has been opened.
    """
    declared = _read(project)
    where = f"{FILE}: {name}"
    if name not in declared:
        raise InputError(
            f"there is no target `{name}`",
            where="ADELT_TARGET or --target",
            fix=did_you_mean(name, declared, otherwise="targets"),
        )
    raw = {key: _filled(value, environment, f"{where}.{key}") for key, value in declared[name].items()}
    kind = raw.pop("type", None)
    if kind not in _TYPES:
        raise InputError(f"`{kind}` is no type of warehouse", where=where, fix="type: duckdb or bigquery")
    if kind == "duckdb":
        _check_keys(raw, ["file"], where)
        file = environment.get("ADELT_WAREHOUSE") or raw.get("file")
        return DuckDb((project / file).resolve() if file else home / "warehouse.duckdb")
    return _bigquery(raw, where)


def _read(project: Path) -> Mapping[str, Mapping[str, Any]]:
    import yaml

    path = project / FILE
    if not path.exists():
        return _DEFAULTS
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, in every invocation
        raw = yaml.load(path.read_text("utf-8"), loader)
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"the targets cannot be read: {error}", where=str(FILE)) from error
    targets = raw.get("targets") if isinstance(raw, dict) else None
    if not isinstance(targets, dict) or not all(isinstance(one, dict) for one in targets.values()):
        raise InputError(
            "there are no targets in it", where=str(FILE), fix="write `targets: {local: {type: duckdb}}`"
        )
    return targets


def _filled(value: Any, environment: Mapping[str, str], where: str) -> Any:
    """The value with environment variables put in; what is empty then counts as not given."""
    if isinstance(value, dict):
        return {key: _filled(inner, environment, f"{where}.{key}") for key, inner in value.items()}
    if not isinstance(value, str):
        return value

    def one(match: re.Match[str]) -> str:
        found = environment.get(match["name"]) or match["text"]
        if found is None:
            raise InputError(f"{match['name']} is not set", where=where, fix=f"export {match['name']}=...")
        return found

    return _VARIABLE.sub(one, value) or None


def _bigquery(raw: dict[str, Any], where: str) -> BigQuery:
    hints = typing.get_type_hints(BigQuery)
    _check_keys(raw, [field.name for field in dataclasses.fields(BigQuery)], where)
    given = {
        key: _typed(value, hints[key], f"{where}.{key}") for key, value in raw.items() if value is not None
    }
    if not given.get("project"):
        raise InputError("it names no project", where=where, fix="add project: ${ADELT_BIGQUERY_PROJECT}")
    if not re.fullmatch(r"[A-Za-z0-9_]*", given.get("prefix", "")):
        raise InputError(
            f"`{given['prefix']}` cannot begin the name of a dataset",
            where=f"{where}.prefix",
            fix="letters, digits and _ only",
        )
    return BigQuery(**given)


def _typed(value: Any, hint: Any, where: str) -> Any:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if typing.get_origin(hint) is Mapping or hint is Mapping:
        bad = [
            f"{k}: {v}"
            for k, v in value.items()
            if not (_LABEL.fullmatch(str(k)) and _LABEL.fullmatch(str(v)))
        ]
        if bad:
            raise InputError(
                f"`{bad[0]}` cannot be a label",
                where=where,
                fix="lower case letters, digits, _ and -, up to 63",
            )
        return {str(key): str(inner) for key, inner in value.items()}
    if bool in options:
        if isinstance(value, bool) or str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
        raise InputError(f"`{value}` is neither true nor false", where=where)
    if int in options:
        if str(value).isdigit() and int(value) > 0:
            return int(value)
        raise InputError(f"`{value}` is not a whole number above zero", where=where)
    return str(value)


def _check_keys(raw: Mapping[str, Any], known: list[str], where: str) -> None:
    for key in raw:
        if key not in known:
            raise InputError(
                f"a target has no `{key}`", where=where, fix=did_you_mean(key, known, otherwise="keys")
            )

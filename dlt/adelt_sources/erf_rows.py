"""Turn Entity Read Files into a typed Parquet file with nested columns, losing no field.

DuckDB parses the JSON array in any layout (one object per line, one long line, pretty-printed). It would drop fields
that are not declared without a word when it is given the columns; so it is given a prototype object with every declared
field to learn the columns from, and then refuses an object that has another one. Only such a file takes the slower way,
which keeps the unknown fields in `_unknown_fields`.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from adelt_sources.catalog import Column, ListOf, Record, TableSpec, Type
from adelt_sources.errors import InputError
from adelt_sources.run import Run
from adelt_sources.types import duckdb_type

# Nested rows are wide: smaller groups than those of reports keep the loading connection within its memory.
NESTED_ROW_GROUP = 10_240

# Marks the prototype's row: no entity has this id, and it still fits a bigint.
_PROTOTYPE = -9_007_199_254_740_993
_SAMPLES: dict[str, Any] = {"bigint": _PROTOTYPE, "text": "x", "bool": True, "double": 1.5, "json": "x"}


def to_parquet(
    con: duckdb.DuckDBPyConnection,
    run: Run,
    spec: TableSpec,
    files: Sequence[Path],
    target: Path,
    *,
    account: int,
    day: date,
) -> Counter[str]:
    """Write the objects of one account and day as a Parquet file, all columns nullable.

    Args:
        con: Connection to parse with.
        run: The invocation.
        spec: Table of the entity.
        files: The batches.
        target: File to write.
        account: Value of `_account_id`.
        day: Value of `_snapshot_date`.

    Returns:
        How often each field that is not declared was seen, by its path.

    Raises:
        InputError: A file is not a JSON array of objects, or a value does not fit its declared type.
    """
    columns = spec.role("field")
    prototype = run.work_dir / f"{target.stem}.prototype.json"
    prototype.write_text(json.dumps([_sample(Record({c.name: c.type for c in columns}))]), "utf-8")
    constants = {
        "_account_id": f"{account}::BIGINT",
        "_snapshot_date": f"DATE '{day.isoformat()}'",
        "_run_id": f"'{run.id}'",
        "_loaded_at": f"TIMESTAMPTZ '{run.started_at.isoformat()}'",
    }
    reader = (
        f"read_json([{_quoted([prototype, *files])}], format = 'array', sample_size = 1, maximum_sample_files = 1, "
        "maximum_depth = -1, field_appearance_threshold = 0, map_inference_threshold = -1)"
    )
    try:
        _copy(con, spec, columns, reader, {"_unknown_fields": "NULL::VARCHAR", **constants}, target)
        return Counter()
    except duckdb.Error as error:
        if "unknown key" not in str(error):
            raise _bad_file(error, spec, files) from error
    return _keeping_unknown(con, run, spec, files, constants, target)


def _keeping_unknown(
    con: duckdb.DuckDBPyConnection,
    run: Run,
    spec: TableSpec,
    files: Sequence[Path],
    constants: dict[str, str],
    target: Path,
) -> Counter[str]:
    columns = spec.role("field")
    record = Record({c.name: c.type for c in columns})
    rewritten = run.work_dir / f"{target.stem}.known.json"
    unknown: Counter[str] = Counter()
    try:
        objects = con.execute(f"SELECT json FROM read_json_objects([{_quoted(files)}], format = 'array')")
        with rewritten.open("w", encoding="utf-8") as out:
            while rows := objects.fetchmany(1000):
                for (text,) in rows:
                    rest: dict[str, Any] = {}
                    known = _split(json.loads(text), record, "", rest)
                    unknown.update(re.sub(r"\[\d+\]", "[]", path) for path in rest)
                    known["_unknown_fields"] = json.dumps(rest, sort_keys=True) if rest else None
                    out.write(json.dumps(known) + "\n")
        types = ", ".join(f"'{c.name}': '{duckdb_type(c.type)}'" for c in columns)
        reader = f"read_json('{rewritten}', format = 'newline_delimited', columns = {{{types}, '_unknown_fields': 'VARCHAR'}})"
        _copy(con, spec, columns, reader, {"_unknown_fields": '"_unknown_fields"', **constants}, target)
    except duckdb.Error as error:
        raise _bad_file(error, spec, files) from error
    finally:
        rewritten.unlink(missing_ok=True)
    return unknown


def _copy(
    con: duckdb.DuckDBPyConnection,
    spec: TableSpec,
    columns: Sequence[Column],
    reader: str,
    constants: dict[str, str],
    target: Path,
) -> None:
    fields = ", ".join(f'"{c.name}"' for c in columns)
    metas = ", ".join(f'{constants[c.name]} AS "{c.name}"' for c in spec.role("meta"))
    con.execute(
        f"""
        COPY (SELECT {fields}, {metas} FROM {reader} WHERE {spec.key[0]} IS DISTINCT FROM {_PROTOTYPE})
        TO '{target}' (FORMAT parquet, ROW_GROUP_SIZE {NESTED_ROW_GROUP})
        """
    )


def _sample(type_: Type) -> Any:
    if isinstance(type_, ListOf):
        return [_sample(type_.item)]
    if isinstance(type_, Record):
        return {name: _sample(inner) for name, inner in type_.fields.items()}
    return _SAMPLES[type_.name]


def _split(value: Any, type_: Type, path: str, rest: dict[str, Any]) -> Any:
    """The declared part of a value; what is not declared goes to `rest` under its path."""
    if isinstance(type_, Record) and isinstance(value, dict):
        known: dict[str, Any] = {}
        for name, inner in value.items():
            below = f"{path}.{name}" if path else name
            if name in type_.fields:
                known[name] = _split(inner, type_.fields[name], below, rest)
            else:
                rest[below] = inner
        return known
    if isinstance(type_, ListOf) and isinstance(value, list):
        return [_split(item, type_.item, f"{path}[{n}]", rest) for n, item in enumerate(value)]
    return value


def _bad_file(error: duckdb.Error, spec: TableSpec, files: Sequence[Path]) -> InputError:
    text = re.sub(r"\s+", " ", str(error).partition("\nTry ")[0].partition("\n\n")[0])
    bad = next((file for file in files if str(file) in text), files[0])
    reason = re.sub(r'^[\w ]*Error: |in file "[^"]*",? ?', "", text).strip()
    return InputError(
        f"an Entity Read File cannot be parsed: {reason}",
        where=f"{spec.qualified}, {bad}",
        fix="mend or fetch the file again; nothing was loaded",
    )


def _quoted(files: Sequence[Path]) -> str:
    return ", ".join(f"'{file}'" for file in files)

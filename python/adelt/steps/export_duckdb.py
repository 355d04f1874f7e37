"""An export from DuckDB: files are written on this machine and copied to their folder."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adelt.steps import export_files as names
from adelt.steps.context import Context, StepError
from adelt.steps.export_files import File, Written
from adelt_sources.objects import Place
from adelt_sources.warehouse import DuckDb

_MEMORY = "240MB"


def write(context: Context, warehouse: DuckDb, query: str, to: Place, stem: str) -> Written:
    """Write the rows of a query as files.

    Args:
        context: The task, whose action says the format, the compression and the column to partition by.
        warehouse: Where to ask.
        query: The query.
        to: Folder for the files.
        stem: What their names begin with.

    Raises:
        InputError: The query does not work, or its columns do not fit the format.
        SourceError: A file could not be written.
    """
    with _work_folder(context) as temp:
        with _reading(context, warehouse, temp) as con:
            # The rows as they are now, once: each file is then written from the same state.
            con.execute(f"CREATE TEMP TABLE export_rows AS {query}")
            columns = tuple(
                (str(row[0]), str(row[1])) for row in con.execute("DESCRIBE export_rows").fetchall()
            )
            names.check_columns(
                context, [name for name, _ in columns], [name for name, kind in columns if _is_nested(kind)]
            )
            made = _files(context, con, temp, stem)
        files = []
        for file, name, rows, partition in made:
            context.progress("upload", f"writing {name}", rows, file.stat().st_size, None)
            stored = to.put(file, name)
            files.append(File(name, rows, stored.size, stored.crc32c, partition))
    return Written(tuple(files), sum(rows for _, _, rows, _ in made), columns, {})


def _files(context: Context, con: Any, temp: Path, stem: str) -> list[tuple[Path, str, int, dict[str, Any]]]:
    """One file for each value of the partition column, or one: the file, its name, its rows, its value."""
    column, ending = context.action["partition_by"], names.ending(context)
    parts: list[tuple[str, str, dict[str, Any]]] = [("SELECT * FROM export_rows", "", {})]
    if column:
        found = con.execute(f'SELECT DISTINCT "{column}" FROM export_rows').fetchall()
        parts = [
            (
                f'SELECT * EXCLUDE ("{column}") FROM export_rows WHERE {names.equals(context, column, value, chr(34))}',
                f"{names.folder_of(column, value)}/",
                {column: value},
            )
            for value in names.values(found)
        ]
    made = []
    for number, (select, folder, partition) in enumerate(parts):
        file = temp / f"{number}.{ending}"
        (rows,) = con.execute(f"COPY ({select}) TO '{file}' ({_options(context)})").fetchone()
        made.append((file, f"{folder}{stem}-000000000000.{ending}", int(rows), partition))
    return made


@contextmanager
def _work_folder(context: Context) -> Iterator[Path]:
    folder = (
        context.settings.home / "work" / context.run_id / f"export-{context.task.key[:12]}-{context.attempt}"
    )
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _reading(context: Context, warehouse: DuckDb, temp: Path) -> Iterator[Any]:
    """The warehouse, read-only, under the lock that writers take: DuckDB refuses readers while a process writes."""
    import duckdb

    from adelt_sources.lock import warehouse_lock

    if warehouse.is_gone:
        raise context.bad("there is no warehouse yet", "run a pipeline that loads it first")
    config = {"memory_limit": _MEMORY, "temp_directory": str(temp / "spill")}
    with warehouse_lock(
        warehouse.file,
        holder=context.where,
        on_wait=lambda who: context.tell("wait", f"the warehouse is used by {who}"),
    ):
        context.tell("export", "reading the warehouse")
        try:
            with duckdb.connect(str(warehouse.file), read_only=True, config=config) as con:
                con.execute("SET TimeZone = 'UTC'")
                yield con
        except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
            raise context.bad(f"the query does not work: {error}", "nothing was exported") from error
        except duckdb.Error as error:
            raise StepError(
                f"the export failed: {error}", where=context.where, fix="nothing was changed"
            ) from error


def _is_nested(kind: str) -> bool:
    return kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))


def _options(context: Context) -> str:
    compression = names.compression(context)
    match context.action["format"]:
        case "parquet":
            return f"FORMAT parquet, COMPRESSION {'uncompressed' if compression == 'none' else compression}"
        case "csv":
            return f"FORMAT csv, HEADER, COMPRESSION {compression}"
        case _:
            return f"FORMAT json, COMPRESSION {compression}"

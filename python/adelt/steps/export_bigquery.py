"""An export from BigQuery: its own jobs write to Cloud Storage; no row comes here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from adelt.steps import export_files as names
from adelt.steps.context import Context
from adelt.steps.export_files import File, Written
from adelt_sources import bigquery
from adelt_sources.objects import Object, Place
from adelt_sources.scope import literal
from adelt_sources.warehouse import BigQuery

if TYPE_CHECKING:
    from adelt_sources.bigquery import Connection

Part = tuple[str, int, dict[str, Any]]


def write(context: Context, warehouse: BigQuery, query: str, to: Place, stem: str) -> Written:
    """Write the rows of a query as files, by one job for each value of the partition column.

    Args:
        context: The task, whose action says the format, the compression and the column to partition by.
        warehouse: Where to ask.
        query: The query.
        to: Folder for the files, in Cloud Storage.
        stem: What their names begin with.

    Raises:
        InputError: The query does not work, its columns do not fit the format, or the folder is on this machine.
        SourceError: A job failed.
    """
    if not to.url.startswith("gs://"):
        raise context.bad(
            f"BigQuery writes to Cloud Storage only, not to {to.url}",
            "export to gs://BUCKET/FOLDER, and copy files from there with a transfer",
        )
    labels = {"pipeline": context.plan.pipeline, "task": context.task.task, "run": context.run_id}
    with bigquery.connected(warehouse, labels) as connection:
        schema = _schema(connection, query, context)
        nested = [
            field.name
            for field in schema
            if field.field_type in ("RECORD", "STRUCT") or field.mode == "REPEATED"
        ]
        names.check_columns(context, [field.name for field in schema], nested)
        parts = _parts(context, connection, query, to, stem)
        cost = connection.cost.as_dict()
    stored: dict[str, list[Object]] = {}
    for one in to.list():
        folder, _, name = one.name.rpartition("/")
        if name.startswith(f"{stem}-"):
            stored.setdefault(folder, []).append(one)
    files = tuple(
        File(one.name, rows if len(stored[folder]) == 1 else None, one.size, one.crc32c, partition)
        for folder, rows, partition in parts
        for one in stored.get(folder, [])
    )
    columns = tuple((field.name, _type(field)) for field in schema)
    return Written(files, sum(rows for _, rows, _ in parts), columns, cost)


def _parts(context: Context, connection: "Connection", query: str, to: Place, stem: str) -> list[Part]:
    """One job for each value of the partition column, or one: its folder, its rows, its value."""
    column = context.action["partition_by"]
    job = bigquery.new_job_id(context.run_id, context.task.key[:12])
    if not column:
        return [("", _job(context, connection, query, f"{to.url}/{stem}", job), {})]
    parts: list[Part] = []
    with _snapshot(context, connection, query, column, job) as table:
        _, found = connection.ask(f"SELECT DISTINCT `{column}` FROM {table}")
        for number, value in enumerate(names.values(found)):
            select = (
                f"SELECT * EXCEPT (`{column}`) FROM {table} WHERE {names.equals(context, column, value, '`')}"
            )
            folder = names.folder_of(column, value)
            rows = _job(context, connection, select, f"{to.url}/{folder}/{stem}", f"{job}_{number}")
            parts.append((folder, rows, {column: value}))
    return parts


@contextmanager
def _snapshot(context: Context, connection: "Connection", query: str, column: str, job: str) -> Iterator[str]:
    """A table with the rows of the query as they are now, clustered so that each job reads its own part only."""
    from adelt_sources.bigquery_destination import STAGING, STAGING_DAYS

    dataset = connection.warehouse.dataset(STAGING)
    connection.ensure_dataset(dataset, expires_after=STAGING_DAYS)
    name = f"{dataset}.export_{job}".replace("-", "_")
    table = f"`{connection.warehouse.project}.{name}`"
    try:
        connection.run(
            f"CREATE TABLE {table} CLUSTER BY `{column}` AS\n{query}", f"{job}_rows", where=context.where
        )
        yield table
    finally:
        connection.drop(name)


def _schema(connection: "Connection", query: str, context: Context) -> Any:
    """Columns of a query, from a dry run, which is free."""
    from google.cloud.bigquery import QueryJobConfig

    config = QueryJobConfig(dry_run=True, use_query_cache=False, use_legacy_sql=False)
    with bigquery.told(context.where, connection.warehouse):
        return connection.client.query(query, job_config=config, retry=bigquery.PATIENT).schema


def _job(context: Context, connection: "Connection", select: str, uri: str, job_id: str) -> int:
    form, compression = context.action["format"], names.compression(context)
    options = [f"uri={literal(f'{uri}-*.{names.ending(context)}', '`')}", "overwrite=false"]
    options.append(f"format='{'JSON' if form == 'ndjson' else form.upper()}'")
    if compression != "none":
        options.append(f"compression='{compression.upper()}'")
    if form == "csv":
        options.append("header=true")
    context.tell("export", f"writing {uri}-*")
    job = connection.run(
        f"EXPORT DATA OPTIONS({', '.join(options)}) AS\n{select}", job_id, where=context.where
    )
    statistics = job._properties["statistics"]["query"]["exportDataStatistics"]
    return int(statistics["rowCount"])


def _type(field: Any) -> str:
    inner = (
        f"STRUCT<{', '.join(f'{f.name} {_type(f)}' for f in field.fields)}>"
        if field.fields
        else field.field_type
    )
    return f"ARRAY<{inner}>" if field.mode == "REPEATED" else str(inner)

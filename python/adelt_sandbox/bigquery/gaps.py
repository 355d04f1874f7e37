"""What the emulator lacks and BigQuery has, filled in for the emulator alone."""

import re
from contextvars import ContextVar
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError

from adelt_sandbox.bigquery.trees import tree

LOCATION: ContextVar[str] = ContextVar("location", default="US")  # of the job that is being done

_DISTINCT = re.compile(
    r"array_agg\(\s*(?:--[^\n]*\n\s*)*distinct ([\w(). ]+?) ignore nulls\s*\)", re.IGNORECASE
)
_DECIMAL = re.compile(
    r"\bDECIMAL(\(18, 3\)|\b(?!\s*\())"
)  # without digits; (18, 3) is what DuckDB makes of it


def apply() -> None:
    """Patch the emulator; each patch says why."""
    import bqemulator.api.routes.jobs as jobs
    import bqemulator.api.routes.tables as tables
    import bqemulator.api.routes.upload as upload
    import bqemulator.catalog.ddl_sync as ddl
    import bqemulator.sql.inner_query as query
    import bqemulator.sql.rewriter.create_table_schema_ctas as ctas
    import bqemulator.storage.type_map as types
    from bqemulator.catalog.memory_repository import MemoryCatalogRepository
    from bqemulator.sql.translator import SQLTranslator
    from bqemulator.storage.engine import DuckDBEngine
    from bqemulator.versioning.snapshots import SnapshotManager

    # google-cloud-bigquery always says */* for the file in a multipart upload.
    upload._PERMITTED_MEDIA_CONTENT_TYPES += ("*/*",)
    # Geography needs an extension from the internet.
    DuckDBEngine._load_spatial = lambda _self: None
    # Time travel copies a table for every change; nothing here travels.
    SnapshotManager.record_change = lambda *_args, **_kwargs: None
    # A dataset that a statement creates is where the statement runs, not always in the US.
    plain_dataset = ddl._ensure_dataset

    def ensure_dataset(project: str, dataset: str, context: Any) -> None:
        is_new = context.catalog.get_dataset(project, dataset) is None
        plain_dataset(project, dataset, context)
        if is_new:
            made = context.catalog.get_dataset(project, dataset)
            context.catalog.update_dataset(made.model_copy(update={"location": LOCATION.get()}))

    ddl._ensure_dataset = ensure_dataset
    # A table made from declared columns and a query, as dbt's contracts make it, may have the query in parentheses.
    plain_select = ctas._first_select
    ctas._first_select = lambda body: plain_select(_without_parentheses(body))
    # NUMERIC has nine digits after the point, not three.
    plain_translate = SQLTranslator.translate
    SQLTranslator.translate = lambda self, sql, **more: _exact(plain_translate(self, sql, **more))
    # The strategy `insert_overwrite` looks for the partitions of its rows with a function that cannot be translated.
    plain_query = jobs.execute_query_job

    async def run(project: str, job_id: str, sql: str, query_params: Any, *args: Any, **kwargs: Any) -> Any:
        sql = _DISTINCT.sub(r"array_agg(distinct \1)", sql)
        if query_params and ";" in sql.strip().rstrip(";"):  # scripts know no parameters
            sql, query_params = _filled_in(sql, query_params), None
        return await plain_query(project, job_id, sql, query_params, *args, **kwargs)

    jobs.execute_query_job = run
    # Two tables of one name in two datasets are two tables.
    plain_schema = query.build_catalog_schema
    query.build_catalog_schema = lambda sql, **more: {} if _ambiguous(sql) else plain_schema(sql, **more)
    # A table whose schema gains columns or fields has them.
    plain_update = MemoryCatalogRepository.update_table

    def update_table(self: Any, table: Any) -> Any:
        done = plain_update(self, table)
        if table.table_type == "TABLE":
            _grow(self._engine, table)
        return done

    MemoryCatalogRepository.update_table = update_table
    # A table keeps whether it asks for a partition filter.
    plain_read, plain_told = tables._rest_to_table_meta, tables._table_to_rest

    def read(project: str, dataset: str, body: dict[str, Any], clock: Any, existing: Any = None) -> Any:
        made = plain_read(project, dataset, body, clock, existing)
        had = existing.time_partitioning if existing else None
        asks = body.get("requirePartitionFilter", had.require_partition_filter if had else False)
        if made.time_partitioning is None:
            return made
        parts = made.time_partitioning.model_copy(update={"require_partition_filter": bool(asks)})
        return made.model_copy(update={"time_partitioning": parts})

    def told(table: Any) -> dict[str, Any]:
        body: dict[str, Any] = plain_told(table)
        if body.get("timePartitioning", {}).pop("requirePartitionFilter", False):
            body["requirePartitionFilter"] = True
        return body

    tables._rest_to_table_meta, tables._table_to_rest = read, told
    # Fields of records may have names that DuckDB's SQL reserves (`offset`, `end`).
    types.bq_schema_to_duckdb_columns = tables.bq_schema_to_duckdb_columns = _columns
    plain = types._split_name_type
    types._split_name_type = lambda token: _unquoted(*plain(token))


def _filled_in(sql: str, params: list[dict[str, Any]]) -> str:
    """The script with its named parameters as literals."""
    for param in params:
        kind, value = param["parameterType"]["type"], param["parameterValue"].get("value")
        text = "NULL" if value is None else str(value)
        quoted = text if value is None or kind in ("INT64", "FLOAT64", "BOOL") else f"'{text}'"
        literal = f"{kind} {quoted}" if kind in ("DATE", "TIMESTAMP") and value is not None else quoted
        sql = re.sub(rf"@{param.get('name')}\b", literal.replace("\\", r"\\"), sql)
    return sql


def _grow(engine: Any, table: Any) -> None:
    """Give the stored table the columns and fields that its schema has gained."""
    from bqemulator.api.routes.tables import _field_to_rest
    from bqemulator.storage.sql_identifiers import quoted_table_ref

    name = quoted_table_ref(table.project_id, table.dataset_id, table.table_id)
    stored = {row[0]: row[1] for row in engine.execute(f"DESCRIBE {name}").fetchall()}
    for column, type_ in _columns([_field_to_rest(field) for field in table.schema_.fields]):
        if column not in stored:
            engine.execute(f'ALTER TABLE {name} ADD COLUMN "{column}" {type_}')
        elif "STRUCT" in type_ and type_.replace('"', "").upper() != stored[column].replace('"', "").upper():
            engine.execute(f'ALTER TABLE {name} ALTER COLUMN "{column}" SET DATA TYPE {type_}')


def _exact(result: Any) -> Any:
    from bqemulator.domain.result import Ok

    return Ok(_DECIMAL.sub("DECIMAL(38, 9)", result.value)) if isinstance(result, Ok) else result


def _without_parentheses(body: Any) -> Any:
    from sqlglot import exp

    while isinstance(body, exp.Subquery):
        body = body.this
    return body


def _ambiguous(sql: str) -> bool:
    try:
        tables = {(table.db, table.name) for table in tree(sql).find_all(exp.Table)}
    except SqlglotError:
        return True
    names = [name for _, name in tables]
    return len(names) != len(set(names))


def _columns(fields: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Name and DuckDB type of each field, names inside records quoted."""
    from bqemulator.storage.type_map import bq_to_duckdb

    result = []
    for field in fields:
        if field["type"].upper() in ("RECORD", "STRUCT"):
            inner = ", ".join(f'"{name}" {type_}' for name, type_ in _columns(field.get("fields", [])))
            type_ = f"STRUCT({inner})"
        else:
            type_ = bq_to_duckdb(field["type"])
        repeated = field.get("mode", "NULLABLE").upper() == "REPEATED"
        result.append((field["name"], f"{type_}[]" if repeated else type_))
    return result


def _unquoted(name: str, type_: str) -> tuple[str, str]:
    return name.strip('"'), type_

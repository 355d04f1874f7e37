"""What the emulator lacks and BigQuery has, filled in for the emulator alone."""

from contextvars import ContextVar
from typing import Any

LOCATION: ContextVar[str] = ContextVar("location", default="US")  # of the job that is being done


def apply() -> None:
    """Patch the emulator; each patch says why."""
    import bqemulator.api.routes.tables as tables
    import bqemulator.api.routes.upload as upload
    import bqemulator.catalog.ddl_sync as ddl
    import bqemulator.storage.type_map as types
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
    # Fields of records may have names that DuckDB's SQL reserves (`offset`, `end`).
    types.bq_schema_to_duckdb_columns = tables.bq_schema_to_duckdb_columns = _columns
    plain = types._split_name_type
    types._split_name_type = lambda token: _unquoted(*plain(token))


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

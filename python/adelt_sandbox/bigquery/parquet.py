"""Load Parquet as BigQuery does: by name, lists only with list inference, no unknown fields."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def apply() -> None:
    """Replace the emulator's way of loading Parquet."""
    import bqemulator.jobs.executor as executor

    plain = executor._load_path_into_target

    def load(path: str, job: Any, context: Any) -> None:
        if job.source_format != "PARQUET":
            plain(path, job, context)
            return
        _load(path, job, context)

    executor._load_path_into_target = load


def _load(path: str, job: Any, context: Any) -> None:
    from bqemulator.domain.errors import InvalidQueryError

    source = pq.read_schema(path)
    options = job.raw_config.get("parquetOptions") or {}
    if not options.get("enableListInference") and any(_has_list(field.type) for field in source):
        raise InvalidQueryError(
            "A LIST column without parquetOptions.enableListInference: BigQuery would load empty arrays"
        )
    target = context.engine.fetch_arrow(f"SELECT * FROM {job.target_ref} LIMIT 0").schema
    unknown = next(_unknown(list(source), {field.name: field.type for field in target}), None)
    if unknown and not job.raw_config.get("ignoreUnknownValues"):
        raise InvalidQueryError(
            f"Provided Schema does not match Table. Cannot add fields (field: {unknown})"
        )
    context.engine.execute(f"INSERT INTO {job.target_ref} BY NAME SELECT * FROM read_parquet(?)", [path])


def _has_list(type_: pa.DataType) -> bool:
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return True
    return pa.types.is_struct(type_) and any(_has_list(field.type) for field in type_)


def _unknown(source: list[Any], target: dict[str, Any], path: str = "") -> Iterator[str]:
    """Fields of a file that the table does not have, at any depth."""
    for field in source:
        if field.name not in target:
            yield path + field.name
            continue
        ours, theirs = field.type, target[field.name]
        while hasattr(ours, "value_type") and hasattr(theirs, "value_type"):
            ours, theirs = ours.value_type, theirs.value_type
        if pa.types.is_struct(ours) and pa.types.is_struct(theirs):
            inner = {other.name: other.type for other in theirs}
            yield from _unknown(list(ours), inner, f"{path}{field.name}.")

"""Load Parquet as BigQuery does: by name, lists only with list inference, no unknown fields; and count what came."""

from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_LOADED: ContextVar[list[int]] = ContextVar("loaded")


def apply() -> None:
    """Replace the emulator's way of loading Parquet."""
    import bqemulator.api.routes.jobs as jobs
    import bqemulator.api.routes.upload as upload
    import bqemulator.jobs.executor as executor

    plain = executor._load_path_into_target
    plain_job = executor.execute_load_job

    def load(path: str, job: Any, context: Any) -> None:
        if job.source_format != "PARQUET":
            plain(path, job, context)
            return
        _load(path, job, context)

    async def job(project: str, job_id: str, configuration: Any, context: Any) -> Any:
        _LOADED.set([])
        done = await plain_job(project, job_id, configuration, context)
        if _LOADED.get():  # the emulator tells how many rows the table has now
            done.statistics["load"]["outputRows"] = str(sum(_LOADED.get()))
        return done

    executor._load_path_into_target = load
    jobs.execute_load_job = upload.execute_load_job = job


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
        raise InvalidQueryError(f"Provided Schema does not match Table. Cannot add fields (field: {unknown})")
    done = context.engine.execute(
        f"INSERT INTO {job.target_ref} BY NAME SELECT * FROM read_parquet(?)", [path]
    )
    _LOADED.get().append(int(done.fetchone()[0]))


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

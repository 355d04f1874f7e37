"""The action `export`: rows of the warehouse as files in a folder, with a manifest.

A reader takes the files that `manifest.json` names: it is written when they are all there, in one go, and only then the
files of an earlier run are deleted. Files are never written over, so a reader of the manifest before still has its own.
"""

import hashlib
import json
import time
from typing import Any
from uuid import uuid4

from adelt.ledger.rows import Operation
from adelt.steps import places, tables
from adelt.steps.context import Context, StepResult
from adelt.steps.export_files import Written
from adelt_sources.objects import Place
from adelt_sources.warehouse import DuckDb

MANIFEST = "manifest.json"
VERSION = 1


def step(context: Context) -> StepResult:
    """Export; running it again for the same folder replaces what is there.

    Raises:
        InputError: The query or the folder does not work, or the folder holds another task's export.
        SourceError: A file could not be written; the export that was there is still whole.
    """
    action = context.action
    begun = time.monotonic()
    to = places.folder(context, str(action["to"]))
    former = _former(context, to)
    # Says whose files these are, so that a later run may delete what a killed one left.
    family = "part-" + hashlib.sha256(f"{_owner(context)} {to.url}".encode()).hexdigest()[:8]
    query = tables.query(context)
    # Another try may know nothing of this one, and yet must not meet its files.
    written = _write(context, query, to, f"{family}-{context.run_id}-{uuid4().hex[:8]}")
    to.write(MANIFEST, json.dumps(_manifest(context, query, written), indent=1, default=str).encode())
    removed = _clear(to, former, family, written)
    size = sum(file.bytes for file in written.files)
    count = len(written.files)
    operation = Operation(
        "EXPORT",
        to.url,
        rows=written.rows,
        bytes=size,
        seconds=time.monotonic() - begun,
        details={"files": count, "removed": removed, **written.cost},
    )
    return StepResult(
        f"{to.url}: {written.rows:,} rows in {count} file{'s' * (count != 1)}",
        written.rows,
        size,
        outputs={"rows": written.rows, "files": count, "manifest": f"{to.url}/{MANIFEST}"},
        operations=(operation,),
    )


def _write(context: Context, query: str, to: Place, stem: str) -> Written:
    warehouse = context.settings.warehouse
    if isinstance(warehouse, DuckDb):
        from adelt.steps import export_duckdb

        return export_duckdb.write(context, warehouse, query, to, stem)
    from adelt.steps import export_bigquery

    return export_bigquery.write(context, warehouse, query, to, stem)


def _owner(context: Context) -> str:
    return f"{context.plan.pipeline}.{context.task.id}"


def _former(context: Context, to: Place) -> list[str]:
    """Files of the export that is there now.

    Raises:
        InputError: It is another task's.
    """
    if to.find(MANIFEST) is None:
        return []
    try:
        body = json.loads(to.read(MANIFEST))
        owner = f"{body['pipeline']}.{body['task']}"
        names = [str(file["name"]) for file in body["files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise context.bad(
            f"{to.url}/{MANIFEST} is not of an export: {error!r}", "choose another folder, or delete it"
        ) from error
    if owner != _owner(context):
        raise context.bad(
            f"{to.url} holds the export of {owner}", f"choose another folder, or delete {MANIFEST} there"
        )
    return names


def _manifest(context: Context, query: str, written: Written) -> dict[str, Any]:
    action = context.action
    return {
        "version": VERSION,
        "pipeline": context.plan.pipeline,
        "task": context.task.id,
        "run_id": context.run_id,
        "attempt": context.attempt,
        "interval": {"start": str(context.plan.interval.start), "end": str(context.plan.interval.end)},
        "table": action["table"],
        "query": context.clean(query),
        "format": action["format"],
        "partition_by": action["partition_by"],
        "columns": [{"name": name, "type": kind} for name, kind in written.columns],
        "rows": written.rows,
        "bytes": sum(file.bytes for file in written.files),
        "files": [vars(file) for file in written.files],
    }


def _clear(to: Place, former: list[str], family: str, written: Written) -> int:
    """Delete the files of earlier runs; how many those were."""
    left = {one.name for one in to.list() if one.name.rpartition("/")[2].startswith(f"{family}-")}
    stale = sorted((left | set(former)) - {file.name for file in written.files})
    to.delete(stale)
    return len(stale)

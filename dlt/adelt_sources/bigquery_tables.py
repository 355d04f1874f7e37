"""Raw tables on BigQuery: created as declared, and never loaded when they are something else."""

from collections.abc import Sequence
from typing import Any

from google.api_core import exceptions as api
from google.cloud import bigquery

from adelt_sources.bigquery import PATIENT, Connection, told
from adelt_sources.catalog import Column, ListOf, Record, Scalar, TableSpec, Type
from adelt_sources.errors import InputError
from adelt_sources.types import DECIMAL_PRECISION, DECIMAL_SCALE

_TYPES = {
    "bigint": "INT64",
    "text": "STRING",
    "bool": "BOOL",
    "double": "FLOAT64",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "decimal": "NUMERIC",
    "json": "STRING",
}
_ATTEMPTS = 5  # tasks that load one table at the same time may all find it otherwise than declared
_SAME = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "STRUCT": "RECORD", "DECIMAL": "NUMERIC"}


def schema(columns: Sequence[Column]) -> list[bigquery.SchemaField]:
    """Columns as BigQuery describes them, all nullable."""
    return [_field(column.name, column.type, column.description) for column in columns]


def _field(name: str, type_: Type, description: str = "") -> bigquery.SchemaField:
    mode = "NULLABLE"
    if isinstance(type_, ListOf):
        mode, type_ = "REPEATED", type_.item
    more = {"description": description} if description else {}
    if isinstance(type_, Record):
        fields = [_field(inner, inner_type) for inner, inner_type in type_.fields.items()]
        return bigquery.SchemaField(name, "RECORD", mode=mode, fields=fields, **more)
    if not isinstance(type_, Scalar):
        raise TypeError(f"{name}: BigQuery has no list of lists")
    precision = {"precision": DECIMAL_PRECISION, "scale": DECIMAL_SCALE} if type_.name == "decimal" else {}
    return bigquery.SchemaField(name, _TYPES[type_.name], mode=mode, **more, **precision)


def qualified(connection: Connection, spec: TableSpec) -> str:
    """`dataset.table`, prefix included."""
    return f"{connection.warehouse.dataset(spec.dataset)}.{spec.table}"


def ensure_table(connection: Connection, spec: TableSpec) -> bool:
    """Create a raw table, or bring the one that is there to its declaration and the target's settings.

    Columns and fields are only added, and labels that the target does not name stay.

    Args:
        connection: Where; the dataset is there.
        spec: The declaration: columns with descriptions, partition, cluster.

    Returns:
        Whether it was created.

    Raises:
        InputError: There is such a table, and a column of it has another type, or it is partitioned otherwise.
            Nothing was changed.
    """
    name = qualified(connection, spec)
    declared = _declared(connection, spec)
    with told(name, connection.warehouse):
        for attempt in range(_ATTEMPTS):
            try:
                found = connection.client.get_table(declared.reference, retry=PATIENT)
            except api.NotFound:
                connection.client.create_table(declared, exists_ok=True, retry=PATIENT)
                return True
            _check_partition(found, spec, name)
            fields = _brought(found, declared, name)
            if not fields:
                break
            try:
                connection.client.update_table(found, fields, retry=PATIENT)
                break
            except api.PreconditionFailed:  # another task changed it since it was read
                if attempt + 1 == _ATTEMPTS:
                    raise
    return False


def _declared(connection: Connection, spec: TableSpec) -> bigquery.Table:
    warehouse = connection.warehouse
    table = bigquery.Table(f"{warehouse.project}.{qualified(connection, spec)}", schema=schema(spec.columns))
    table.description = spec.description
    table.labels = dict(warehouse.labels)
    if spec.partition_by:
        days = warehouse.partition_expiration_days
        table.time_partitioning = bigquery.TimePartitioning(
            field=spec.partition_by, expiration_ms=days * 24 * 3600 * 1000 if days else None
        )
        table.require_partition_filter = warehouse.require_partition_filter
    if spec.cluster_by:
        table.clustering_fields = list(spec.cluster_by)
    return table


def _brought(found: bigquery.Table, declared: bigquery.Table, name: str) -> list[str]:
    """Give a table that was found what is declared; the names of the properties that were otherwise."""
    wanted = {
        "schema": _merged(found.schema, declared.schema, name) or found.schema,
        "description": declared.description or None,
        "labels": {**found.labels, **declared.labels},
        "clustering_fields": declared.clustering_fields,
    }
    if declared.time_partitioning:
        expiration = declared.time_partitioning.expiration_ms
        wanted["time_partitioning"] = _expiring(found.time_partitioning, expiration)
        wanted["require_partition_filter"] = declared.require_partition_filter
    changed = [field for field, value in wanted.items() if (getattr(found, field) or None) != (value or None)]
    for field in changed:
        setattr(found, field, wanted[field])
    return changed


def _expiring(have: bigquery.TimePartitioning, milliseconds: int | None) -> bigquery.TimePartitioning:
    """The same partitions, kept for another time."""
    if have.expiration_ms == milliseconds:
        return have
    result = bigquery.TimePartitioning.from_api_repr(dict(have.to_api_repr()))
    result.expiration_ms = milliseconds
    return result


def _check_partition(found: bigquery.Table, spec: TableSpec, name: str) -> None:
    have = found.time_partitioning.field if found.time_partitioning else ""
    if (have or "") != spec.partition_by:
        raise InputError(
            f"the table is partitioned by {have or 'nothing'}, declared is {spec.partition_by or 'nothing'}",
            where=name,
            fix="copy its rows away, drop it, and load again: the partition of a table cannot be changed",
        )


def _merged(
    have: Sequence[bigquery.SchemaField], want: Sequence[bigquery.SchemaField], name: str, path: str = ""
) -> list[bigquery.SchemaField] | None:
    """The table's schema with what the declaration adds or describes otherwise; None if that is nothing."""
    wanted = {field.name: field for field in want}
    result: list[bigquery.SchemaField] = []
    for field in have:
        other = wanted.pop(field.name, None)
        if other is None:
            result.append(field)  # an older declaration's column: its rows stay
            continue
        ours, theirs = _kind(other), _kind(field)
        if ours != theirs:
            raise InputError(
                f"column `{path}{field.name}` is {theirs}, declared is {ours}",
                where=name,
                fix="it is another table: rename or drop it, or use a prefix of your own in deploy/targets.yml",
            )
        changes: dict[str, Any] = {}
        if other.description and other.description != field.description:
            changes["description"] = other.description
        if (
            inner := _merged(field.fields, other.fields, name, f"{path}{field.name}.")
            if other.fields
            else None
        ):
            changes["fields"] = [one.to_api_repr() for one in inner]
        # What only the table has, such as policy tags, stays.
        result.append(
            bigquery.SchemaField.from_api_repr({**field.to_api_repr(), **changes}) if changes else field
        )
    result += wanted.values()
    return None if result == list(have) else result


def _kind(field: bigquery.SchemaField) -> str:
    name = _SAME.get(field.field_type, field.field_type)
    return f"ARRAY<{name}>" if field.mode == "REPEATED" else name

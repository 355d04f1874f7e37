"""The reference page of raw tables, written from their declarations."""

from collections.abc import Mapping

from adelt_sources.catalog import Column, ListOf, Record, Scalar, TableSpec, Type, source_spec, sources

PATH = "docs/reference/tables.md"

_HEADER = """# Raw tables

Written by `adelt generate` from `dlt/adelt_sources/tables/*.yml`; do not edit. A record is shown as `{{field, ...}}`, a list as
`[type]`; records deeper than one level are shown by their number of fields.

"""


def page() -> str:
    """The text of the page: every source, table and column."""
    parts = [_HEADER.replace("{{", "{").replace("}}", "}")]
    for name in sources():
        source = source_spec(name)
        parts.append(f"## {name}\n\n{source.description} Dataset `{source.dataset}`.\n\n")
        parts += [_table(spec) for spec in source.tables.values()]
    return "".join(parts).rstrip() + "\n"


def _table(spec: TableSpec) -> str:
    facts = f"Key: {', '.join(spec.key)}. A load replaces (`{spec.write}`): {spec.account} and {spec.date}."
    if spec.lookback_days:
        facts += f" Look-back: {spec.lookback_days} days."
    rows = "".join(_row(column) for column in spec.columns)
    lines = f"### {spec.name}\n\n`{spec.qualified}`: {spec.description} {facts}\n\n"
    return f"{lines}| column | type | |\n|---|---|---|\n{rows}\n"


def _row(column: Column) -> str:
    asked = f" (`{column.api_name}`)" if column.api_name else ""
    return f"| {column.name} | {_type(column.type)} | {column.description.replace('|', '/')}{asked} |\n"


def _type(type_: Type) -> str:
    if isinstance(type_, Scalar):
        return type_.name
    if isinstance(type_, ListOf):
        return f"[{_type(type_.item)}]"
    return "{" + ", ".join(_field(name, inner) for name, inner in type_.fields.items()) + "}"


def _field(name: str, type_: Type) -> str:
    fields: Mapping[str, Type] = type_.fields if isinstance(type_, Record) else {}
    return f"{name} {{{len(fields)}}}" if fields else name

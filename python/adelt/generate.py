"""Write what follows from the table declarations: the sources of dbt and the reference page.

`dlt/adelt_sources/tables/*.yml` declares every raw table once; dbt learns of it from files that this module writes.
"""

import argparse
import difflib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from adelt import reference
from adelt_sources.catalog import Source, TableSpec, source_spec, sources

#: What a dbt source is called, by the dataset that its tables are in.
DBT_SOURCES = {"raw_dv360": "dv360", "raw_cm360": "cm360", "raw_erf": "dv360_erf", "raw_ops": "ops"}

#: The feed behind these datasets is over: old rows are all there will ever be.
ENDED = {"raw_erf"}

WARN_AFTER_HOURS, ERROR_AFTER_HOURS = 36, 72

_HEADER = "# Written by `adelt generate` from dlt/adelt_sources/tables/{declared}; do not edit.\n"
_SPECIAL = set(":#{}[],&*?|>%@`'\"\\!")


def dbt_sources() -> dict[str, str]:
    """The text of the files that tell dbt of the raw tables, by their path in the project."""
    by_dataset: dict[str, list[Source]] = {}
    for name in sources():
        source = source_spec(name)
        by_dataset.setdefault(source.dataset, []).append(source)
    return {
        f"dbt/models/staging/{_dbt_source(dataset)}/_{_dbt_source(dataset)}__sources.yml": _sources_yml(
            dataset, declared
        )
        for dataset, declared in sorted(by_dataset.items())
    }


def generated() -> dict[str, str]:
    """The text of every generated file by its path in the project."""
    return {**dbt_sources(), reference.PATH: reference.page()}


def write(project: Path, *, check: bool = False) -> list[Path]:
    """Bring the generated files up to date.

    Args:
        project: Folder of the project, the one with `dbt/`.
        check: Write nothing, only tell what is out of date.

    Returns:
        The files that were out of date.
    """
    stale = []
    for name, text in generated().items():
        path = project / name
        if path.exists() and path.read_text("utf-8") == text:
            continue
        stale.append(path)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    return stale


def difference(project: Path, path: Path) -> str:
    """How a file differs from what would be written, as a unified diff."""
    name = path.relative_to(project).as_posix()
    now = path.read_text("utf-8") if path.exists() else ""
    lines = difflib.unified_diff(
        now.splitlines(), generated()[name].splitlines(), name, f"{name} (generated)", lineterm=""
    )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of `python -m adelt.generate`: 0 if all is well, 1 if a check found old files."""
    parser = argparse.ArgumentParser(prog="python -m adelt.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    parser.add_argument("--project", type=Path, default=Path(), help="folder of the project")
    options = parser.parse_args(arguments)
    stale = write(options.project, check=options.check)
    for path in stale:
        print(f"{'out of date' if options.check else 'wrote'} {path}")
        if options.check:
            print(difference(options.project, path))
    return 1 if stale and options.check else 0


def _dbt_source(dataset: str) -> str:
    return DBT_SOURCES.get(dataset, dataset.removeprefix("raw_"))


def _sources_yml(dataset: str, declared: Sequence[Source]) -> str:
    names = ", ".join(f"{source.name}.yml" for source in declared)
    lines = [
        _HEADER.format(declared=names) + "version: 2",
        "",
        "sources:",
        f"  - name: {_dbt_source(dataset)}",
        f"    description: {_text(' '.join(source.description for source in declared))}",
        f"    schema: \"{{{{ (var('raw_prefix') or env_var('ADELT_RAW_PREFIX', '')) ~ '{dataset}' }}}}\"",
        "    config:",
        "      loaded_at_field: _loaded_at",
        f"      freshness: {_freshness(dataset)}",
        "    tables:",
    ]
    for source in declared:
        for spec in source.tables.values():
            lines += _table(spec)
    return "\n".join(lines) + "\n"


def _freshness(dataset: str) -> str:
    if dataset in ENDED:
        return "null"
    return (
        f"{{warn_after: {{count: {WARN_AFTER_HOURS}, period: hour}}, "
        f"error_after: {{count: {ERROR_AFTER_HOURS}, period: hour}}}}"
    )


def _table(spec: TableSpec) -> list[str]:
    lines = [
        f"      - name: {spec.table}",
        f"        description: {_text(_described(spec))}",
    ]
    if spec.dataset not in ENDED:  # a table may refuse a look at its freshness that would read all of it
        lines += ["        config:", f"          freshness: {{filter: \"{spec.date} >= '1900-01-01'\"}}"]
    lines += ["        columns:"]
    lines += [_column({"name": c.name, "description": c.description}) for c in spec.columns]
    return lines


def _described(spec: TableSpec) -> str:
    return f"{spec.description} One row per {spec.account}, {spec.date} and {', '.join(_key(spec))}."


def _key(spec: TableSpec) -> list[str]:
    return [name for name in spec.key if name not in (spec.account, spec.date)]


def _column(facts: Mapping[str, str]) -> str:
    inner = ", ".join(f"{name}: {_text(value)}" for name, value in facts.items())
    return f"          - {{{inner}}}"


def _text(value: str) -> str:
    """A YAML scalar: quoted if it holds anything that YAML could read as something else."""
    if not value or _SPECIAL & set(value) or value[0] == "-" or value != value.strip():
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return value


if __name__ == "__main__":
    sys.exit(main())

"""A DuckDB warehouse that tests fill with raw rows and build with dbt, without sources or sandbox in between."""

import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from adelt.raw_tables import ensure
from adelt_sources.catalog import Column, ListOf, Record, Scalar, TableSpec, catalog, sources
from adelt_sources.types import arrow_schema
from adelt_sources.warehouse import DuckDb

ROOT = Path(__file__).parents[1]
SPECS: dict[str, TableSpec] = {
    spec.qualified: spec for source in sources() for spec in catalog(source).values()
}


class Warehouse:
    """One DuckDB file with all raw tables, and dbt on it.

    Loads are numbered: each gets a `_loaded_at` one minute after the one before.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "warehouse.duckdb"
        self.target = folder / "target"
        self._loads = 0
        self._built = False
        ensure(DuckDb(self.file))

    def load(
        self,
        table: str,
        rows: Iterable[Mapping[str, Any]],
        *,
        days: tuple[date, date],
        accounts: Iterable[int] = (),
    ) -> None:
        """Replace the rows of the days [start, end) and accounts (none means all) as a load does."""
        spec = SPECS[table]
        self._loads += 1
        meta = {
            "_run_id": f"run-{self._loads}",
            "_loaded_at": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=self._loads),
        }
        plain = [
            {column.name: _plain(column, {**row, **meta}.get(column.name)) for column in spec.columns}
            for row in rows
        ]
        new = pa.Table.from_pylist(plain, schema=arrow_schema(spec.columns))
        where = f'"{spec.date}" >= ? AND "{spec.date}" < ?'
        if wanted := ", ".join(map(str, accounts)):
            where += f' AND "{spec.account}" IN ({wanted})'
        with duckdb.connect(str(self.file)) as con:
            con.begin()
            con.execute(f"DELETE FROM {table} WHERE {where}", list(days))
            con.register("new", new)
            con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM new")
            con.commit()

    def forget(self, table: str, before: date) -> None:
        """Delete old raw rows, as retention does."""
        with duckdb.connect(str(self.file)) as con:
            con.execute(f'DELETE FROM {table} WHERE "{SPECS[table].date}" < ?', [before])

    def dbt(self, *words: str, variables: Mapping[str, Any] | None = None) -> Any:
        """Run dbt in this process; its result, or an assertion with what failed."""
        result = self.try_dbt(*words, variables=variables)
        failed = [
            f"{node.node.name}: {node.message}"
            for node in getattr(result.result, "results", [])
            if str(node.status) in ("error", "fail", "runtime error")
        ]
        assert result.success, failed or result.exception
        return result

    def try_dbt(self, *words: str, variables: Mapping[str, Any] | None = None) -> Any:
        """Run dbt in this process, whatever comes of it."""
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner

        folder = str(ROOT / "dbt")
        more = ["--vars", json.dumps(variables, default=str)] if variables else []
        before, old = Path.cwd(), os.environ.get("ADELT_WAREHOUSE")
        os.environ["ADELT_WAREHOUSE"] = str(self.file)
        try:
            return dbtRunner().invoke(
                [
                    *words,
                    *(
                        "--project-dir",
                        folder,
                        "--profiles-dir",
                        folder,
                        "--target",
                        "local",
                        "--threads",
                        "2",
                    ),
                    *("--target-path", str(self.target), "--log-path", str(self.target)),
                    *("--quiet", "--no-send-anonymous-usage-stats"),
                    *more,
                ]
            )
        finally:
            DuckDBConnectionManager.close_all_connections()  # dbt keeps the file open for its next command
            os.chdir(before)
            if old is None:
                del os.environ["ADELT_WAREHOUSE"]
            else:
                os.environ["ADELT_WAREHOUSE"] = old

    def build(self, **variables: Any) -> None:
        """Models and snapshots of advertising, no tests; views stay as they are once they are there."""
        views = ["path:models/staging"] if self._built else []
        words = ["--resource-type", "model", "snapshot", "--exclude", "source:ops+", *views]
        self.dbt("build", *words, variables=variables)
        self._built = True

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The answer to a query."""
        with duckdb.connect(str(self.file), read_only=True) as con:
            con.execute("SET TimeZone = 'UTC'")
            return con.execute(sql).fetchall()


def _plain(column: Column, value: Any) -> Any:
    return _fit(column.type, value)


def _fit(type_: Any, value: Any) -> Any:
    """A value in the form that Arrow wants for the type: JSON as text, records with every field."""
    if value is None:
        return None
    if isinstance(type_, ListOf):
        return [_fit(type_.item, item) for item in value]
    if isinstance(type_, Record):
        unknown = set(value) - set(type_.fields)
        assert not unknown, f"fields that the declaration does not know: {unknown}"
        return {name: _fit(inner, value.get(name)) for name, inner in type_.fields.items()}
    if isinstance(type_, Scalar) and type_.name == "json":
        return json.dumps(value)
    return value

"""Which rows of a table a load replaces."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

Literal = str | int | date


@dataclass(frozen=True)
class Scope:
    """The rows of a table that one load replaces.

    Attributes:
        equal: Column to the values it may have; empty means every row of the table.
        between: Date column with its first and last day, both included; None means no date bound.
        keys: For `merge`: rows whose key is in the file are replaced; the other two are empty then.
    """

    equal: Mapping[str, tuple[Literal, ...]]
    between: tuple[str, date, date] | None = None
    keys: tuple[str, ...] = ()

    def predicate(self, file: str) -> str:
        """The WHERE clause, in literals, so that a warehouse can prune partitions.

        Args:
            file: SQL that reads the rows to load (only used by `keys`).
        """
        if self.keys:
            columns = ", ".join(f'"{key}"' for key in self.keys)
            return f"({columns}) IN (SELECT ({columns}) FROM {file})"
        return self.bounds()

    def bounds(self, alias: str = "", quote: str = '"') -> str:
        """The accounts and days of the scope as a condition in literals; `TRUE` if it has no bounds.

        Args:
            alias: Put in front of each column, for example `t.`.
            quote: What the dialect puts around names: `"` or, on BigQuery, a backtick.
        """
        terms = [
            f"{alias}{quote}{name}{quote} IN ({', '.join(literal(value, quote) for value in values)})"
            for name, values in self.equal.items()
        ]
        if self.between:
            name, first, last = self.between
            terms.append(f"{alias}{quote}{name}{quote} BETWEEN {literal(first)} AND {literal(last)}")
        return " AND ".join(terms) or "TRUE"


@dataclass(frozen=True)
class Swap:
    """What one load job does: replace `scope` by the `rows` rows of its file."""

    scope: Scope | None
    rows: int


def literal(value: Literal, quote: str = '"') -> str:
    """A value as SQL of the dialect that puts `quote` around names."""
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, int):
        return str(value)
    if quote == "`":
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return "'" + value.replace("'", "''") + "'"

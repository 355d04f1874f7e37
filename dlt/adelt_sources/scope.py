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
        terms = [f'"{name}" IN ({", ".join(map(literal, values))})' for name, values in self.equal.items()]
        if self.between:
            name, first, last = self.between
            terms.append(f'"{name}" BETWEEN {literal(first)} AND {literal(last)}')
        return " AND ".join(terms) or "TRUE"


@dataclass(frozen=True)
class Swap:
    """What one load job does: replace `scope` by the `rows` rows of its file."""

    scope: Scope | None
    rows: int


def literal(value: Literal) -> str:
    """A value as SQL that both warehouses read."""
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, int):
        return str(value)
    return "'" + value.replace("'", "''") + "'"

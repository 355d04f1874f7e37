"""Statements as trees: parsed once for everyone who only reads them, which is most of what the emulator does with SQL."""

import re
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp

COMMENTS = re.compile(r"^(\s|/\*.*?\*/|--[^\n]*\n)+", re.DOTALL)
_MOST = 512  # trees to remember; a big model's takes a megabyte


def tree(sql: str) -> exp.Expression:
    """The tree of a GoogleSQL statement, shared: do not change it.

    Raises:
        sqlglot.errors.SqlglotError: It is not one statement of the dialect.
    """
    return _tree(COMMENTS.sub("", sql))  # dbt's says which run asks, and would make each text another


class Shared:
    """Stands in for the module `sqlglot` in a module that reads trees and never changes one."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sqlglot, name)

    def parse_one(self, sql: str, *, read: str) -> exp.Expression:
        """The tree, shared where the dialect is BigQuery's."""
        return tree(sql) if read == "bigquery" else sqlglot.parse_one(sql, read=read)


@lru_cache(_MOST)
def _tree(sql: str) -> exp.Expression:
    return sqlglot.parse_one(sql, read="bigquery")

"""Nearly all of the emulator's time goes into reading the same SQL again and again: read it once, and only where it counts.

Nothing here changes an answer for what the sandbox offers: no row access policies, no time travel, no wildcard tables,
no materialized views, no routines.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from sqlglot.errors import SqlglotError

from adelt_sandbox.bigquery.trees import COMMENTS, Shared, tree

_MOST = 4096  # texts to remember


def apply() -> None:
    """Patch the emulator."""
    import bqemulator.catalog.ddl_sync as ddl_sync
    import bqemulator.jobs.ddl_result as ddl_result
    import bqemulator.jobs.executor as executor
    import bqemulator.sql.catalog_schema as catalog_schema
    import bqemulator.sql.inner_query as inner

    for reader in (ddl_sync, ddl_result, catalog_schema):
        reader.sqlglot = Shared()
    executor._parse_for_classification = _parsed
    # What follows from the text alone.
    executor.classify_statement_type = lru_cache(_MOST)(executor.classify_statement_type)
    executor.rewrite_table_refs = lru_cache(_MOST)(executor.rewrite_table_refs)
    for name, words in {
        "sync_created_schema": ("create schema",),
        "sync_created_table": ("create table", "create or replace table"),
        "sync_created_view": ("create view", "create or replace view"),
        "sync_dropped_object": ("drop",),
        "assert_drop_schema_allowed": ("drop",),
        "_maybe_run_routine_drop": ("drop",),
    }.items():
        setattr(executor, name, _only_for(words, getattr(executor, name)))
    executor._capture_dml_snapshots = _nothing_later
    executor._reject_dml_on_immutable = _nothing
    plain = executor._build_query_configuration

    def configuration(sql: str, project: str, job: str) -> Any:
        made = plain(sql if _begins(sql, ("create",)) else "select 1", project, job)
        made["query"]["query"] = sql
        return made

    executor._build_query_configuration = configuration
    inner.rewrite_for_row_access = lambda sql, **_: sql
    inner.rewrite_for_system_time = lambda sql, *_: sql
    inner.expand_wildcard_tables = lambda sql, *_: sql
    inner.expand_information_schema = _only_with("information_schema", inner.expand_information_schema)
    inner.rewrite_unnest_offset = _only_with("offset", inner.rewrite_unnest_offset)
    _remember_translations()


def _remember_translations() -> None:
    from bqemulator.sql.translator import SQLTranslator

    plain = SQLTranslator.translate
    kept: dict[tuple[str, str], Any] = {}

    def translate(self: Any, sql: str, *, schema: Any = None, caller: Any = None, **more: Any) -> Any:
        sql = COMMENTS.sub("", sql)  # says which run asks, and so would make each text another
        key = sql, repr(schema)
        if key not in kept:
            if len(kept) >= _MOST:
                kept.clear()
            kept[key] = plain(self, sql, schema=schema, caller=caller, **more)
        return kept[key]

    SQLTranslator.translate = translate


def _only_for(words: tuple[str, ...], function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, called only for statements that begin with one of the words."""
    import inspect

    if inspect.iscoroutinefunction(function):

        async def later(*args: Any, **kwargs: Any) -> Any:
            sql = kwargs.get("bq_sql") or next(a for a in args if isinstance(a, str) and " " in a)
            return await function(*args, **kwargs) if _begins(sql, words) else None

        return later
    return lambda sql, *args, **kwargs: function(sql, *args, **kwargs) if _begins(sql, words) else None


def _only_with(word: str, function: Callable[..., str]) -> Callable[..., str]:
    """The function, called only for SQL that has the word in it."""
    return lambda sql, *args: function(sql, *args) if word in sql.lower() else sql


def _begins(sql: str, words: tuple[str, ...]) -> bool:
    text = " ".join(COMMENTS.sub("", sql[:2000]).lower().split()[:4])
    return text.startswith(words)


def _parsed(sql: str) -> Any:
    try:
        return tree(sql)
    except SqlglotError:
        return None


def _nothing(*_: Any, **__: Any) -> None:
    """Nothing to do."""


async def _nothing_later(*_: Any, **__: Any) -> None:
    """Nothing to do."""

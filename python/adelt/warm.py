"""What is worth importing and reading once for all tasks of a run; `python -m adelt.warm NAME ... DOOR LIFELINE` serves.

Only the action `ingest` profits enough: it is most of the tasks, and most of a small one is importing dlt, pyarrow and
Google's client.
"""

import gc
import importlib
import sys

from adelt import settings
from adelt.run import forkserver
from adelt.run.workers import Server
from adelt.settings import Settings
from adelt_sources.catalog import sources
from adelt_sources.light import UNUSED, without
from adelt_sources.warehouse import BigQuery

KINDS = frozenset({"ingest"})  # actions whose tasks are forked


def modules(here: Settings) -> list[str]:
    """Modules that a task of these kinds would import for the target, and what to call in them; all must do without threads."""
    names = ["adelt.cli.commands", "adelt.taskrun", "adelt.steps.ingest", "adelt.steps.registry"]
    names += [
        "adelt_sources.ingest",
        "adelt_sources.google",
        "adelt_sources.load",
        "adelt_sources.report_runs",
    ]
    names += [f"adelt_sources.{source}" for source in sources()]
    # What their libraries import late.
    names += ["dlt.common.configuration.plugins", "dlt.sources.helpers.requests", "pytz", "uuid6"]
    names += ["google.oauth2.credentials", "googleapiclient.discovery_cache", "pendulum.locales.en.locale"]
    names += ["adelt.publish", "dlt.common.libs.sql_alchemy_compat", "netrc", "shlex"]
    if isinstance(here.warehouse, BigQuery):
        names += ["adelt_sources.bigquery_destination", "adelt_sources.bigquery_tables"]
    else:
        names += ["adelt_sources.destination"]
    return [*names, "adelt.rehearsal:rehearse"]


def server(here: Settings) -> Server:
    """How to start the server of a run's workers."""
    return Server(
        argv=[sys.executable, "-P", "-m", "adelt.warm", *modules(here)],
        env=settings.child_environment(
            {
                **here.variables,
                "PYTHONUNBUFFERED": "1",
                # Or jemalloc, which pyarrow brings but does not use here, starts a thread of its own.
                "JE_ARROW_MALLOC_CONF": "background_thread:false",
            },
        ),
        cwd=here.project,
        log=here.home / "logs" / "workers.log",
    )


def main(names: list[str], door: int, lifeline: int) -> None:
    """Import modules, call functions (written `module:function`), and serve until the runner has gone."""
    gc.disable()  # collecting while importing takes a fifth of its time; workers switch it on again
    with without(*UNUSED):
        for name in names:
            module, _, function = name.partition(":")
            found = importlib.import_module(module)
            if function:
                getattr(found, function)()
    if duckdb := sys.modules.get("duckdb"):
        duckdb.default_connection().close()  # importing it opens a database, with a thread for each core
    forkserver.serve(door, lifeline)


if __name__ == "__main__":
    main(sys.argv[1:-2], int(sys.argv[-2]), int(sys.argv[-1]))

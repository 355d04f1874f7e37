"""What the server of a run's workers makes before it forks them; `adelt.warm` names it, nothing imports it."""

import contextlib

from adelt import definition, settings
from adelt.cli.commands import command_line
from adelt.errors import AdeltError
from adelt_sources import load
from adelt_sources.catalog import source_spec, sources


def rehearse() -> None:
    """Have made what is made when it is first used: declarations, dlt's settings, checks of the command line and of pipelines."""
    for source in sources():
        source_spec(source)
    load.configure()
    command_line.commands["task"].make_context("task", ["a.b"])
    here = settings.load()
    for path in definition.find_all(here.project):
        with contextlib.suppress(AdeltError):  # whose it is will say so
            definition.load(path, here.project).pipeline.model_dump(mode="json", by_alias=True)

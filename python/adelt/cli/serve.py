"""The command that serves the run history."""

import sys
from typing import Annotated

import typer

from adelt.cli.app import Json
from adelt.errors import InputError


def serve(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 picks a free one.")] = 8780,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; not loopback needs ADELT_SERVE_TOKEN.")
    ] = "127.0.0.1",
    as_json: Json = False,
) -> None:
    """Serve the run history over HTTP, in the shape of Orchestra's Metadata API; Ctrl-C ends it."""
    from adelt import settings
    from adelt.cli.output import print_json
    from adelt.serve import server

    def ready(url: str) -> None:
        if as_json:
            print_json({"url": url})
            sys.stdout.flush()
        else:
            print(f"the run history is at {url} (pipeline_runs, task_runs, operations, assets)", flush=True)

    try:
        server.serve(settings.load(), host, port, ready)
    except ImportError as error:
        raise InputError(
            f"what serves the run history is not installed ({error.name} is missing)",
            fix="in the folder of adelt: make setup, or pip install '.[serve]'",
        ) from error

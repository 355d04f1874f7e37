"""The command that brings one table."""

from typing import Annotated

import typer

from adelt.cli.app import Json, TargetOption, pairs


def ingest(
    source: Annotated[str, typer.Argument(help="A source; `adelt tables` lists them.")],
    table: Annotated[str, typer.Argument(help="One of its tables.")],
    first: Annotated[str, typer.Option("--from", help="First day, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last day, included.")],
    params: Annotated[
        list[str] | None,
        typer.Option("-p", "--param", help="A parameter of the source, name=value. Repeatable."),
    ] = None,
    target: TargetOption = None,
    as_json: Json = False,
) -> None:
    """Bring one table for a window of days into the warehouse, in this process.

    `adelt runs` lists it; it is brought whether or not it has been before, and pipelines do their own tasks all the same.
    """
    from adelt import settings
    from adelt.by_hand import run_ingest
    from adelt.cli.intervals import days
    from adelt.cli.output import human_bytes, human_seconds, print_json
    from adelt.cli.progress import single

    window = days(first, last, f"{source}.{table}")
    here = settings.load(target)
    with single(f"{source}.{table}", quiet=as_json) as progress:
        result = run_ingest(
            here,
            source=source,
            table=table,
            params=pairs(params, "-p"),
            window=window,
            on_progress=progress,
        )
    if as_json:
        print_json(result)
        return
    for warning in result.warnings:
        print(f"warning {warning}")
    seconds = human_seconds(sum(result.seconds.values()))
    print(
        f"{result.dataset}.{result.table}: {result.rows:,} rows, {human_bytes(result.bytes)} in {seconds}"
        f" -> {here.warehouse}"
    )

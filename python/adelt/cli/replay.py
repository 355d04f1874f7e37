"""The command that loads kept files again."""

from typing import TYPE_CHECKING, Annotated

import typer

from adelt.cli.app import Json, TargetOption

if TYPE_CHECKING:
    from adelt_sources.replay import Step


def replay(
    source: Annotated[str, typer.Argument(help="A source; `adelt tables` lists them.")],
    table: Annotated[str, typer.Argument(help="One of its tables.")],
    first: Annotated[str, typer.Option("--from", help="First day, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last day, included.")],
    run: Annotated[
        str, typer.Option("--run", help="Only the files of this run, also if they were refused.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be loaded.")] = False,
    target: TargetOption = None,
    as_json: Json = False,
) -> None:
    """Load the files that a source gave for these days again, without asking the source; `adelt runs` lists it."""
    from adelt import by_hand, settings
    from adelt.cli.intervals import days
    from adelt.cli.output import print_json
    from adelt.cli.progress import single
    from adelt_sources import replay as replays
    from adelt_sources.catalog import table_spec

    table_spec(source, table)
    window = days(first, last, f"{source}.{table}")
    here = settings.load(target)
    if dry_run:
        job = by_hand.replay_job(here, source=source, table=table, window=window, of_run=run)
        steps = replays.plan(job)
    else:
        with single(f"{source}.{table}", quiet=as_json) as progress:
            steps = by_hand.run_replay(
                here, source=source, table=table, window=window, of_run=run, on_progress=progress
            )
    if as_json:
        print_json([_plain(step) for step in steps])
        return
    _show(steps, dry_run=dry_run)
    if not dry_run:
        loaded = [step for step in steps if not step.is_left_out]
        rows = sum(step.rows or 0 for step in loaded)
        print(
            f"{source}.{table}: {rows:,} rows of {len(loaded)} run{'s' * (len(loaded) != 1)} -> {here.warehouse}"
        )


def _show(steps: "list[Step]", *, dry_run: bool) -> None:
    from adelt.cli.output import human_bytes, print_table

    print_table(
        ("run", "fetched at", "files", "size", "replaces", "rows"),
        [
            (
                step.kept.run_id,
                step.kept.fetched_at[:19],
                len(step.kept.files),
                human_bytes(step.kept.bytes),
                f"left out: {step.why}" if step.is_left_out else f"{step.first} .. {step.last}",
                step.kept.rows if dry_run else step.rows,
            )
            for step in steps
        ],
    )


def _plain(step: "Step") -> dict[str, object]:
    return {
        "run_id": step.kept.run_id,
        "manifest": step.kept.path,
        "fetched_at": step.kept.fetched_at,
        "status": step.kept.status,
        "first": step.first,
        "last": step.last,
        "accounts": step.accounts,
        "why": step.why,
        "rows": step.rows,
    }

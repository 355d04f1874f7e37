"""The command that shows environments."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from adelt.cli.app import Json

if TYPE_CHECKING:
    from adelt.settings import Settings


def targets(
    name: Annotated[str | None, typer.Argument(help="One of them; all by default.")] = None,
    export: Annotated[
        bool,
        typer.Option("--export", help="Print what dbt reads as lines for the shell: eval them, run dbt."),
    ] = False,
    as_json: Json = False,
) -> None:
    """List the environments of deploy/targets.yml, or show one: where runs load."""
    from adelt import settings
    from adelt import targets as declared
    from adelt.cli.output import print_json, print_table
    from adelt.errors import InputError

    if export:
        _export(name)
        return
    if name:
        shown = _plain(settings.load(name))
        if as_json:
            print_json(shown)
        else:
            print_table(("", name), [(key, _text(value)) for key, value in shown.items()])
        return
    rows = []
    for one in declared.names(settings.load("local").project):
        try:
            rows.append((one, str(settings.load(one).warehouse)))
        except (
            InputError
        ) as error:  # a variable of another environment is not set: that is no error of this one
            rows.append((one, f"({error.what})"))
    if as_json:
        print_json([{"target": one, "warehouse": where} for one, where in rows])
    else:
        print_table(("target", "warehouse"), rows)


def _export(name: str | None) -> None:
    import shlex

    from adelt import settings
    from adelt.datasets import dbt_variables
    from adelt_sources.warehouse import BigQuery

    warehouse = settings.load(name).warehouse
    variables = {"ADELT_DBT_TARGET": "local", "ADELT_WAREHOUSE": str(warehouse)}
    if isinstance(warehouse, BigQuery):
        variables = dbt_variables(warehouse, settings.schema_prefix())
    for key, value in variables.items():
        print(f"export {key}={shlex.quote(value)}")


def _plain(here: "Settings") -> dict[str, Any]:
    """What deploy/gcp/setup.sh wants to know, too."""
    from dataclasses import asdict

    from adelt import settings
    from adelt.datasets import STAGING, names
    from adelt_sources.warehouse import BigQuery

    warehouse = here.warehouse
    if not isinstance(warehouse, BigQuery):
        return {"target": here.target, "type": "duckdb", **asdict(warehouse)}
    datasets = names(warehouse, settings.schema_prefix())
    return {
        "target": here.target,
        "type": "bigquery",
        **asdict(warehouse),
        "landing_days": here.landing_days,
        "datasets": datasets,
        "staging": warehouse.dataset(STAGING),
    }


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={inner}" for key, inner in value.items())
    return "" if value is None else str(value)

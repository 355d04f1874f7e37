"""Which datasets the runs of a target use."""

from adelt_sources.catalog import catalog, sources
from adelt_sources.warehouse import BigQuery

MODELS = ("staging", "intermediate", "snapshots", "marts_ads")  # what dbt builds into (dbt/dbt_project.yml)


def names(warehouse: BigQuery, schema_prefix: str = "") -> list[str]:
    """The datasets that runs of a target use: raw ones, then those of the models.

    Args:
        warehouse: The target.
        schema_prefix: Put in front of what dbt builds, instead of the target's prefix.
    """
    raw = {spec.dataset for source in sources() for spec in catalog(source).values()}
    models = [f"{schema_prefix or warehouse.prefix}{name}" for name in MODELS]
    return [*sorted(warehouse.dataset(name) for name in raw), *models]

"""Which datasets the runs of a target use."""

from adelt_sources.catalog import catalog, sources
from adelt_sources.warehouse import BigQuery

STAGING = "_adelt_staging"  # files on their way in (adelt_sources.bigquery_destination); its tables expire
MODELS = (
    "staging",
    "intermediate",
    "snapshots",
    "marts_ads",
    "marts_ops",
)  # what dbt builds into (dbt/dbt_project.yml)


def names(warehouse: BigQuery, schema_prefix: str = "") -> list[str]:
    """The datasets that runs of a target use: raw ones, that of files on their way in, those of the models.

    Args:
        warehouse: The target.
        schema_prefix: Put in front of what dbt builds, instead of the target's prefix.
    """
    raw = {spec.dataset for source in sources() for spec in catalog(source).values()}
    models = [f"{schema_prefix or warehouse.prefix}{name}" for name in MODELS]
    return [*sorted(warehouse.dataset(name) for name in raw), warehouse.dataset(STAGING), *models]


def dbt_variables(warehouse: BigQuery, schema_prefix: str = "") -> dict[str, str]:
    """What dbt/profiles.yml reads about a target, so that dbt runs without adelt.

    Args:
        warehouse: The target.
        schema_prefix: Put in front of what dbt builds, instead of the target's prefix.
    """
    return {
        "ADELT_DBT_TARGET": "bigquery",
        "ADELT_BIGQUERY_PROJECT": warehouse.project,
        "ADELT_BIGQUERY_LOCATION": warehouse.location,
        "ADELT_BIGQUERY_IMPERSONATE": warehouse.impersonate,
        "ADELT_BIGQUERY_MAX_BYTES": str(warehouse.max_bytes or ""),
        "ADELT_BIGQUERY_JOB_TIMEOUT": str(warehouse.job_timeout),
        "ADELT_RAW_DAYS": str(warehouse.partition_expiration_days or ""),
        "ADELT_RAW_PREFIX": warehouse.prefix,
        "ADELT_SCHEMA_PREFIX": schema_prefix or warehouse.prefix,
    }

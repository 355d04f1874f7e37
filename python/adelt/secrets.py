"""Where `{{ secrets.NAME }}` comes from: the environment, a file that git ignores, Google Secret Manager."""

import tomllib
from collections.abc import Iterable
from pathlib import Path

from adelt import settings
from adelt.errors import InputError
from adelt.settings import Settings
from adelt_sources.warehouse import BigQuery

FILE = Path("dlt/.dlt/secrets.toml")


def read(names: Iterable[str], here: Settings) -> dict[str, str]:
    """The values of secrets, each from the first place that has it.

    1. the environment: ADELT_SECRET_NAME, or NAME;
    2. `dlt/.dlt/secrets.toml`, in its table `[secrets]`;
    3. on a BigQuery target, the latest version of the secret NAME in Secret Manager of the target's project.

    Nobody may log them: whoever asks tells them to the redactor.

    Args:
        names: Their names.
        here: Settings: the project's folder and the target.

    Raises:
        InputError: One is nowhere, the file is wrong, or Secret Manager may not be read.
        SourceError: Secret Manager did not answer; a retry may help.
    """
    found = {name: settings.secret(name) for name in names}
    if not all(found.values()):
        kept = _file(here.project / FILE)
        found = {name: value or kept.get(name, "") for name, value in found.items()}
    missing = [name for name, value in found.items() if not value]
    if missing and isinstance(here.warehouse, BigQuery):
        found.update(_managed(missing, here, here.warehouse))
    for name, value in found.items():
        if not value:
            raise _missing(name, here)
    return found


def _missing(name: str, here: Settings) -> InputError:
    managed = (
        f", or: printf %s VALUE | gcloud secrets create {name} --data-file=- --project={here.warehouse.project}"
        if isinstance(here.warehouse, BigQuery)
        else ""
    )
    return InputError(
        f"the secret `{name}` is not set",
        where=f"{{{{ secrets.{name} }}}}",
        fix=f"set ADELT_SECRET_{name} in the environment, or {name} under [secrets] in {FILE}{managed}",
    )


def _file(path: Path) -> dict[str, str]:
    try:
        told = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        # tomllib's message names line and column, and quotes nothing of the file.
        raise InputError(
            f"the file of secrets cannot be read: {error}",
            where=str(FILE),
            fix="see secrets.example.toml beside it",
        ) from error
    table = told.get("secrets", {})
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise InputError(
            "a secret is not a text", where=f"{FILE}: [secrets]", fix='write NAME = "value" under [secrets]'
        )
    return table


def _managed(names: list[str], here: Settings, warehouse: BigQuery) -> dict[str, str]:
    from adelt_sources.secret_manager import (
        latest,  # late: most tasks have no secrets, and Google's client is slow
    )

    return latest(
        names,
        project=warehouse.project,
        impersonate=warehouse.impersonate,
        endpoint=here.google_endpoint,
        patience=here.patience,
    )

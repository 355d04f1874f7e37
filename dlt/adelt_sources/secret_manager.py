"""Google Secret Manager: the latest version of secrets."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from adelt_sources.errors import InputError
from adelt_sources.google import Google
from adelt_sources.run import Patience, Run


def latest(
    names: Iterable[str],
    *,
    project: str,
    impersonate: str = "",
    endpoint: str | None = None,
    patience: Mapping[str, float] | None = None,
) -> dict[str, str]:
    """The latest enabled version of each secret; one that does not exist is left out.

    Args:
        names: Names of secrets.
        project: Google Cloud project that holds them.
        impersonate: Service account to act as.
        endpoint: Another server that speaks the API; None is Google.
        patience: Seconds of retrying that differ from the defaults.

    Raises:
        InputError: They may not be read, the API is not enabled, or one is not text.
        SourceError: Secret Manager did not answer; a retry may help.
    """
    google = Google(_run(impersonate, endpoint, patience or {}))
    versions = google.service("secretmanager").projects().secrets().versions()
    found: dict[str, str] = {}
    for name in names:
        resource = f"projects/{project}/secrets/{name}/versions/latest"
        try:
            answer = google.execute(versions.access(name=resource))
        except InputError as error:
            status = getattr(getattr(error.__cause__, "resp", None), "status", None)
            if status == 404:
                continue
            if status == 403:
                raise InputError(
                    f"the secret may not be read: {error.what}",
                    where=resource,
                    fix="enable the API (gcloud services enable secretmanager.googleapis.com) and grant "
                    "roles/secretmanager.secretAccessor; docs/roles.md",
                ) from error
            raise
        found[name] = _text(answer, resource)
    return found


def _text(answer: Mapping[str, Any], where: str) -> str:
    try:
        return base64.b64decode(answer["payload"]["data"], validate=True).decode()
    except (KeyError, binascii.Error, UnicodeDecodeError) as error:
        raise InputError(
            "the secret is empty, or not text", where=where, fix="add a version that is"
        ) from error


def _run(impersonate: str, endpoint: str | None, patience: Mapping[str, float]) -> Run:
    """What the client wants to know; days and folders mean nothing here."""
    known = {name: value for name, value in patience.items() if name != "attempts"}
    attempts = {"attempts": int(patience["attempts"])} if "attempts" in patience else {}
    return Run(
        id="secrets",
        start=date.min,
        end=date.min,
        params={},
        work_dir=Path(),
        patience=Patience(**known, **attempts),  # type: ignore[arg-type]
        google_endpoint=endpoint,
        tell=lambda _: None,
        impersonate=impersonate,
    )

"""Google credentials: those of the environment, or of a service account that they may act as."""

from collections.abc import Sequence

import google.auth
import google.auth.credentials
from google.auth import exceptions, impersonated_credentials

from adelt_sources.errors import InputError


def credentials(scopes: Sequence[str], impersonate: str = "") -> google.auth.credentials.Credentials:
    """Credentials for a Google API; no request is sent yet.

    Args:
        scopes: OAuth scopes.
        impersonate: E-mail of a service account to act as; empty acts as the credentials themselves.

    Raises:
        InputError: There are none, or they cannot be read.
    """
    try:
        found, _ = google.auth.default(scopes=list(scopes))
    except (exceptions.GoogleAuthError, OSError, ValueError) as error:
        raise InputError(
            f"there are no Google credentials: {str(error).splitlines()[0]}",
            where="GOOGLE_APPLICATION_CREDENTIALS",
            fix="set it to the key file of a service account, or run gcloud auth application-default login",
        ) from error
    if not impersonate:
        return found
    return impersonated_credentials.Credentials(
        source_credentials=found, target_principal=impersonate, target_scopes=list(scopes)
    )

"""Google credentials: those of the environment, or of a service account that they may act as."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import google.auth
import google.auth.credentials
import requests
from google.auth import exceptions, impersonated_credentials
from google.auth.transport.requests import Request

from adelt_sources.errors import InputError, SourceError

VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
CLOUD = "https://www.googleapis.com/auth/cloud-platform"
_FIX = f"set {VARIABLE} to the key file of a service account, or run gcloud auth application-default login"
_GOOGLE = "https://oauth2.googleapis.com"
_TIMEOUT = 20  # seconds
_KINDS = {
    "service_account": "key file of a service account",
    "authorized_user": "user account",
    "impersonated_credentials": "impersonated service account",
    "compute_engine": "service account of this machine",
    "external_account": "workload identity federation",
    "identity_pool": "workload identity federation",
}


def credentials(scopes: Sequence[str], impersonate: str = "") -> google.auth.credentials.Credentials:
    """Credentials for a Google API; no request is sent yet.

    Args:
        scopes: OAuth scopes.
        impersonate: E-mail of a service account to act as; empty acts as the credentials themselves.

    Raises:
        InputError: There are none, or they cannot be read.
    """
    # A user's token carries the scopes it was asked with; acting as another account needs this one.
    asked = [CLOUD] if impersonate else list(scopes)
    try:
        found, _ = google.auth.default(scopes=asked)
    except (exceptions.GoogleAuthError, OSError, ValueError, KeyError) as error:
        # A key file without a field that it must have is a KeyError in some versions of google-auth.
        raise InputError(
            f"there are no Google credentials: {(str(error).splitlines() or ['?'])[0]}",
            where=VARIABLE,
            fix=_FIX,
        ) from error
    if not impersonate:
        return found
    return impersonated_credentials.Credentials(
        source_credentials=found,
        target_principal=impersonate,
        target_scopes=list(scopes),
        iam_endpoint_override=_iam(found, impersonate),
    )


@dataclass(frozen=True)
class Account:
    """Who credentials are.

    Attributes:
        kind: What they are, for people.
        email: The account, where they say it; empty where not.
    """

    kind: str
    email: str


def account(found: google.auth.credentials.Credentials) -> Account:
    """Who credentials are, as far as they say it without a request."""
    module = type(found).__module__
    name = next((kind for kind in _KINDS if kind in module), "")
    if module.startswith("google.oauth2.service_account"):
        name = "service_account"
    elif module.startswith("google.oauth2.credentials"):
        name = "authorized_user"
    email = str(getattr(found, "service_account_email", "") or getattr(found, "account", "") or "")
    return Account(_KINDS.get(name, type(found).__name__), "" if email == "default" else email)


def refreshed(found: google.auth.credentials.Credentials, where: str = VARIABLE) -> None:
    """Ask for an access token, which shows whether credentials work.

    Raises:
        InputError: They are refused: expired, revoked, without a scope, or the clock is wrong.
        SourceError: Google did not answer; a retry may help.
    """
    try:
        found.refresh(Request())
    except exceptions.GoogleAuthError as error:
        if isinstance(error, exceptions.TransportError) or error.retryable:
            raise SourceError(
                f"Google did not answer: {_text(error)}", where=where, fix="is there a network? Run it again"
            ) from error
        raise refused(error, where) from error


def refused(error: exceptions.GoogleAuthError, where: str) -> InputError:
    """Say what to do about credentials that Google refuses.

    Args:
        error: The error of google-auth.
        where: What was asked for.
    """
    return InputError(f"the credentials are refused: {_text(error)}", where=where, fix=_fix(str(error)))


def granted(found: google.auth.credentials.Credentials) -> frozenset[str]:
    """The scopes that the access token carries; ask `refreshed` first.

    Raises:
        InputError: The token is not known (any more).
        SourceError: Google did not answer; a retry may help.
    """
    where = f"{_server(found) or _GOOGLE}/tokeninfo"
    try:
        answer = requests.post(where, data={"access_token": found.token}, timeout=_TIMEOUT)
        told = answer.json()
    except (requests.RequestException, ValueError) as error:
        # The token is not in the address, so the message is safe to show.
        raise SourceError(
            f"Google did not answer: {_text(error)}", where=where, fix="run it again"
        ) from error
    if answer.status_code >= 500:
        raise SourceError(f"Google answered {answer.status_code}", where=where, fix="run it again")
    if answer.status_code >= 400:
        raise InputError(f"the token is not known: {_error(told)}", where=where, fix=_FIX)
    return frozenset(str(told.get("scope", "")).split())


def _server(found: google.auth.credentials.Credentials) -> str:
    """The server that a key file's tokens come from, if it is not Google: the sandbox. Empty for Google."""
    source = getattr(found, "_source_credentials", found)
    uri = urlsplit(str(getattr(source, "_token_uri", "") or ""))
    host = uri.hostname or ""
    if not host or host == "googleapis.com" or host.endswith((".googleapis.com", ".google.com")):
        return ""
    return f"{uri.scheme}://{uri.netloc}"


def _iam(source: google.auth.credentials.Credentials, email: str) -> str | None:
    """Where to ask for another account's token; None for Google."""
    server = _server(source)
    return f"{server}/v1/projects/-/serviceAccounts/{email}:generateAccessToken" if server else None


def _fix(text: str) -> str:
    """What to do about a refused token request."""
    if "reasonable timeframe" in text or "iat and exp" in text:
        return "set the clock of this machine: it differs too much from Google's"
    if "getAccessToken" in text or "impersonated" in text:
        return (
            "grant roles/iam.serviceAccountTokenCreator on that service account to the account of the credentials "
            "(deploy/gcp/setup.sh does), and check `impersonate` in deploy/targets.yml"
        )
    if "invalid_scope" in text or "scope" in text.lower():
        return "log in again with the scopes that docs/environments.md lists"
    return f"{_FIX}; a key may have been deleted, a login may have expired"


def _text(error: Exception) -> str:
    """The message of an error, on one line; google-auth puts what the server answered behind it."""
    text = " ".join(str(error.args[0] if error.args else error).split())[:300]
    answer = error.args[1] if len(error.args) > 1 else None
    if isinstance(answer, str):
        try:
            answer = json.loads(answer)
        except ValueError:
            return text
    more = _error(answer)
    return f"{text}: {more}" if more and more not in text else text


def _error(told: Any) -> str:
    if not isinstance(told, dict):
        return ""
    inner = told.get("error_description") or told.get("error")
    if isinstance(inner, dict):
        inner = inner.get("message")
    return " ".join(str(inner or "").split())[:300]

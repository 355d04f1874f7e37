"""What a Google Cloud project adds: tokens of another service account (IAM Credentials) and secrets (Secret Manager)."""

import base64
import re
import threading
import time
from datetime import UTC, datetime
from typing import Any

import google_crc32c

from adelt_sandbox.apicall import ApiCall
from adelt_sandbox.auth import MAIN, Accounts
from adelt_sandbox.errors import GoogleError, bad_field, forbidden, not_found
from adelt_sandbox.http import Call, Reply, json_reply

MAX_LIFETIME = 3600
_ACCOUNT = re.compile(r"projects/-/serviceAccounts/(?P<email>[^/]+)")
_VERSION = re.compile(r"projects/(?P<project>[^/]+)/secrets/(?P<name>[^/]+)/versions/(?P<version>[^/]+)")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_MOST_BYTES = 64 * 1024


class IamCredentials:
    """Tokens of another service account. The main account may act as every account of the sandbox, others as none."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def call(self, request: ApiCall) -> dict[str, Any]:
        """Answer one checked request."""
        if request.method.short_id != "projects.serviceAccounts.generateAccessToken":
            raise GoogleError(501, f"The sandbox does not offer {request.method.id}")
        match = _ACCOUNT.fullmatch(request.values["name"])
        if not match:
            raise bad_field("name", "The resource name must be projects/-/serviceAccounts/{email}.")
        found = self._accounts.named(match["email"])
        if found is None:
            raise not_found(f"Not found; Gaia id not found for email {match['email']}")
        if request.identity != MAIN:
            raise GoogleError(
                403,
                "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
                details=[
                    {
                        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                        "reason": "IAM_PERMISSION_DENIED",
                        "domain": "iam.googleapis.com",
                        "metadata": {"permission": "iam.serviceAccounts.getAccessToken"},
                    }
                ],
            )
        scopes = request.body.get("scope", [])
        if not scopes:
            raise bad_field("scope", "At least one scope is required.")
        seconds = _lifetime(str(request.body.get("lifetime", f"{MAX_LIFETIME}s")))
        expires = datetime.fromtimestamp(time.time() + seconds, UTC)
        return {
            "accessToken": self._accounts.issue(found, scopes, seconds),
            "expireTime": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


class SecretManager:
    """Secrets that somebody put here through `/sandbox/secrets`; read-only for clients."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: dict[tuple[str, str], list[bytes]] = {}

    def put(self, call: Call) -> Reply:
        """POST /sandbox/secrets {project, name, value}: a new version of a secret."""
        body = call.json_body()
        if set(body) != {"project", "name", "value"} or not all(isinstance(v, str) for v in body.values()):
            raise bad_field("secret", 'Send {"project": "p", "name": "KEY", "value": "text"}.')
        value = body["value"].encode()
        if not _NAME.fullmatch(body["name"]) or len(value) > _MOST_BYTES:
            raise bad_field("secret", "A name has letters, digits, _ and -; a value at most 64 KiB.")
        with self._lock:
            versions = self._versions.setdefault((body["project"], body["name"]), [])
            versions.append(value)
            number = len(versions)
        return json_reply({"name": f"projects/{body['project']}/secrets/{body['name']}/versions/{number}"})

    def call(self, request: ApiCall) -> dict[str, Any]:
        """Answer one checked request."""
        if request.method.short_id != "projects.secrets.versions.access":
            raise GoogleError(501, f"The sandbox does not offer {request.method.id}")
        match = _VERSION.fullmatch(request.values["name"])
        if not match:
            raise bad_field("name", "The resource name must be projects/*/secrets/*/versions/*.")
        if not request.identity.everything:
            raise forbidden(
                f"Permission 'secretmanager.versions.access' denied for resource '{request.values['name']}' "
                "(or it may not exist)."
            )
        with self._lock:
            versions = list(self._versions.get((match["project"], match["name"]), []))
        if not versions:
            raise not_found(
                f"Secret [projects/{match['project']}/secrets/{match['name']}] not found or has no versions."
            )
        number = len(versions) if match["version"] == "latest" else _number(match["version"], len(versions))
        return _payload(match, number, versions[number - 1])


def _payload(match: re.Match[str], number: int, value: bytes) -> dict[str, Any]:
    return {
        "name": f"projects/{match['project']}/secrets/{match['name']}/versions/{number}",
        "payload": {
            "data": base64.b64encode(value).decode(),
            "dataCrc32c": str(google_crc32c.value(value)),
        },
    }


def _number(text: str, most: int) -> int:
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise not_found(f"Secret Version [{text}] not found.")
    return int(text)


def _lifetime(text: str) -> int:
    match = re.fullmatch(r"(\d+)s", text)
    if not match or not 0 < int(match[1]) <= MAX_LIFETIME:
        raise bad_field("lifetime", f"The lifetime must be between 1s and {MAX_LIFETIME}s.")
    return int(match[1])

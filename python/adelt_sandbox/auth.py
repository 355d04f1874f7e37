"""Who is asking: service-account keys of the sandbox's own, access tokens, scopes."""

import base64
import binascii
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from adelt_sandbox.errors import GoogleError
from adelt_sandbox.http import Call, Reply, json_reply

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# google-auth signs for this audience whatever the token_uri of the key file.
GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"
ALL_SCOPES = (
    "https://www.googleapis.com/auth/display-video",
    "https://www.googleapis.com/auth/doubleclickbidmanager",
    "https://www.googleapis.com/auth/dfareporting",
    "https://www.googleapis.com/auth/dfatrafficking",
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/display-video-user-management",
)
REALM = 'Bearer realm="https://accounts.google.com/"'
CLOCK_SKEW_SECONDS = 300
MAX_JWT_SECONDS = 3600 + CLOCK_SKEW_SECONDS


@dataclass(frozen=True)
class Identity:
    """An account that can call the sandbox.

    Attributes:
        name: Short name, the stem of its key file.
        email: Service-account address; `iss` of its signed requests.
        everything: True if it may see the whole world; otherwise only the last partner and profile.
    """

    name: str
    email: str
    everything: bool


MAIN = Identity("credentials", "adelt@sandbox.iam.gserviceaccount.com", everything=True)
OTHER = Identity("credentials-other", "other@sandbox.iam.gserviceaccount.com", everything=False)
# Has no key file: one acts as it.
RUNNER = Identity("runner", "runner@sandbox.iam.gserviceaccount.com", everything=True)


@dataclass(frozen=True)
class Grant:
    """What an access token stands for."""

    identity: Identity
    scopes: frozenset[str]
    expires: float


class Accounts:
    """The sandbox's accounts: writes their key files, issues tokens and checks them."""

    def __init__(self, state_dir: Path, base_url: str, token_seconds: int = 3600) -> None:
        self.token_uri = f"{base_url}/token"
        self.token_seconds = token_seconds
        self._lock = threading.Lock()
        self._tokens: dict[str, Grant] = {}
        self._keys: dict[str, tuple[Identity, rsa.RSAPublicKey]] = {}
        state_dir.mkdir(parents=True, exist_ok=True)
        for identity in (MAIN, OTHER):
            self._keys[identity.email] = (identity, self._key_file(state_dir, identity))
        self._refresh = self._user_file(state_dir)

    def _key_file(self, state_dir: Path, identity: Identity) -> rsa.RSAPublicKey:
        """Write the key file, keeping the key of an earlier start so that running clients stay valid."""
        path = state_dir / f"{identity.name}.json"
        try:
            pem = json.loads(path.read_text())["private_key"].encode()
            key = serialization.load_pem_private_key(pem, None)
            if not isinstance(key, rsa.RSAPrivateKey):
                raise ValueError("not an RSA key")
        except (OSError, ValueError, KeyError):
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            pem = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        _write_private(
            path,
            {
                "type": "service_account",
                "project_id": "adelt-sandbox",
                "private_key_id": _key_id(pem),
                "private_key": pem.decode(),
                "client_email": identity.email,
                "client_id": "1000000000000000000" + str(len(self._keys)),
                "token_uri": self.token_uri,
                "universe_domain": "googleapis.com",
            },
        )
        return key.public_key()

    def _user_file(self, state_dir: Path) -> dict[str, str]:
        """Write a user's refresh token, for clients that do not use service accounts."""
        path = state_dir / "credentials-user.json"
        user = {
            "type": "authorized_user",
            "client_id": "sandbox.apps.googleusercontent.com",
            "client_secret": secrets.token_urlsafe(18),
            "refresh_token": "1//" + secrets.token_urlsafe(32),
            "token_uri": self.token_uri,
        }
        _write_private(path, user)
        return user

    def token(self, call: Call) -> Reply:
        """POST /token: an access token for a signed assertion or a refresh token."""
        form = call.form()
        grant_type = form.get("grant_type", "")
        try:
            if grant_type == JWT_GRANT:
                claims = self._verified(form.get("assertion", ""))
                if claims.get("aud") not in (GOOGLE_AUDIENCE, self.token_uri, f"{call.base_url}/token"):
                    raise _OAuthError("invalid_grant", "Invalid JWT: Failed audience check.")
                scopes = str(claims.get("scope", "")).split()
                if not scopes:
                    raise _OAuthError("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
                identity = self._keys[claims["iss"]][0]
            elif grant_type == "refresh_token":
                for name in ("refresh_token", "client_id", "client_secret"):
                    if form.get(name) != self._refresh[name]:
                        raise _OAuthError("invalid_grant", "Bad Request")
                identity, scopes = MAIN, form.get("scope", "").split() or list(ALL_SCOPES)
            else:
                raise _OAuthError("unsupported_grant_type", f"Invalid grant_type: {grant_type}")
        except _OAuthError as error:
            return json_reply({"error": error.code, "error_description": error.description}, 400)
        return json_reply(
            {
                "access_token": self.issue(identity, scopes),
                "expires_in": self.token_seconds,
                "scope": " ".join(scopes),
                "token_type": "Bearer",
            }
        )

    def named(self, email: str) -> Identity | None:
        """The account with an address, if there is one."""
        return next((one for one in (MAIN, OTHER, RUNNER) if one.email == email), None)

    def tokeninfo(self, call: Call) -> Reply:
        """/tokeninfo: what an access token may do."""
        token = call.param("access_token") or call.form().get("access_token", "")
        with self._lock:
            grant = self._tokens.get(token)
        if grant is None or grant.expires <= time.time():
            return json_reply({"error": "invalid_token", "error_description": "Invalid Value"}, 400)
        return json_reply(
            {
                "scope": " ".join(sorted(grant.scopes)),
                "expires_in": str(int(grant.expires - time.time())),
                "access_type": "online",
            }
        )

    def issue(self, identity: Identity, scopes: Sequence[str], seconds: int | None = None) -> str:
        """A new access token for an identity, for `token_seconds` unless something else is said."""
        token = "ya29.sandbox-" + secrets.token_urlsafe(32)
        with self._lock:
            life = self.token_seconds if seconds is None else seconds
            self._tokens[token] = Grant(identity, frozenset(scopes), time.time() + life)
        return token

    def require(self, call: Call, scopes: Sequence[str], service: str) -> Identity:
        """The caller, if its token is valid and carries one of `scopes`; refuses otherwise."""
        grant = self.grant(call, service)
        if scopes and not grant.scopes & set(scopes):
            raise GoogleError(
                403,
                "Request had insufficient authentication scopes.",
                reason="insufficientPermissions",
                details=[_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", service)],
                headers={
                    "WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{" ".join(scopes)}"'
                },
            )
        return grant.identity

    def grant(self, call: Call, service: str) -> Grant:
        """What the caller's token stands for; 401 if there is none or it is no good."""
        scheme, _, token = call.header("authorization").partition(" ")
        if scheme.lower() != "bearer" or not token:
            token = call.param("access_token") or call.param("oauth_token")
        if not token:
            raise GoogleError(
                401,
                "Request is missing required authentication credential. Expected OAuth 2 access token, login "
                "cookie or other valid authentication credential. See "
                "https://developers.google.com/identity/sign-in/web/devconsole-project.",
                reason="required",
                details=[_info("CREDENTIALS_MISSING", service)],
                headers={"WWW-Authenticate": REALM},
            )
        with self._lock:
            grant = self._tokens.get(token)
        if grant is None and token.count(".") == 2:
            grant = self._self_signed(token)
        if grant is None or grant.expires <= time.time():
            reason = "ACCESS_TOKEN_EXPIRED" if grant else "ACCESS_TOKEN_TYPE_UNSUPPORTED"
            raise GoogleError(
                401,
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or "
                "other valid authentication credential. See "
                "https://developers.google.com/identity/sign-in/web/devconsole-project.",
                reason="authError",
                details=[_info(reason, service)],
                headers={"WWW-Authenticate": f'{REALM}, error="invalid_token"'},
            )
        return grant

    def revoke_all(self) -> int:
        """Make every token invalid, as if its life were over; returns how many there were."""
        with self._lock:
            count = len(self._tokens)
            self._tokens.clear()
        return count

    def _self_signed(self, token: str) -> Grant | None:
        """Google libraries may send a JWT they signed themselves instead of asking for a token."""
        try:
            claims = self._verified(token)
        except _OAuthError:
            return None
        scopes = str(claims.get("scope", "")).split() or list(ALL_SCOPES)
        return Grant(self._keys[claims["iss"]][0], frozenset(scopes), float(claims["exp"]))

    def _verified(self, assertion: str) -> dict[str, Any]:
        """The claims of a JWT signed by one of the sandbox's keys and still valid."""
        try:
            head, payload, signature = assertion.split(".")
            header, claims = json.loads(_unbase64(head)), json.loads(_unbase64(payload))
            raw_signature = _unbase64(signature)
        except (ValueError, binascii.Error):
            raise _OAuthError("invalid_grant", "Invalid JWT: malformed assertion.") from None
        if not isinstance(header, dict) or not isinstance(claims, dict) or header.get("alg") != "RS256":
            raise _OAuthError("invalid_grant", "Invalid JWT: must be signed with RS256.")
        issuer = claims.get("iss")
        if issuer not in self._keys:
            raise _OAuthError("invalid_grant", "Invalid grant: account not found")
        try:
            self._keys[issuer][1].verify(
                raw_signature, f"{head}.{payload}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            raise _OAuthError("invalid_grant", "Invalid JWT Signature.") from None
        now = time.time()
        issued, expires = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int | float) or not isinstance(expires, int | float):
            raise _OAuthError("invalid_grant", "Invalid JWT: iat and exp are required.")
        too_long = expires - issued > MAX_JWT_SECONDS
        if expires < now - CLOCK_SKEW_SECONDS or issued > now + CLOCK_SKEW_SECONDS or too_long:
            raise _OAuthError(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
                "Check your iat and exp values in the JWT claim.",
            )
        return claims


class _OAuthError(Exception):
    """An answer of the token endpoint in RFC 6749 form."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code, self.description = code, description


def _key_id(pem: bytes) -> str:
    """A stable id for a key."""
    return hashlib.sha256(pem).hexdigest()[:40]


def _info(reason: str, service: str) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": service},
    }


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _write_private(path: Path, document: Mapping[str, Any]) -> None:
    path.touch(mode=0o600, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")

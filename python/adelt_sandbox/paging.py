"""Opaque page tokens that remember the request they belong to."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from adelt_sandbox.errors import bad_field

Item = TypeVar("Item")
NOT_BOUND = frozenset({"pageToken", "pageSize", "maxResults", "fields", "alt", "prettyPrint", "access_token"})


class Paging:
    """Makes and reads page tokens; a token is good only for the request that it came from."""

    def __init__(self, seed: int) -> None:
        self._key = f"adelt-sandbox-{seed}".encode()

    def token(self, method: str, request: Mapping[str, Any], offset: int) -> str:
        """A token for the page that starts at `offset`."""
        payload = json.dumps([offset, self._digest(method, request)]).encode()
        mac = hmac.new(self._key, payload, hashlib.sha256).digest()[:9]
        return base64.urlsafe_b64encode(mac + payload).decode().rstrip("=")

    def offset(self, method: str, request: Mapping[str, Any]) -> int:
        """Where the page asked for starts; 400 for a token that is foreign or of another request."""
        token = str(request.get("pageToken") or "")
        if not token:
            return 0
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            mac, payload = raw[:9], raw[9:]
            good = hmac.compare_digest(mac, hmac.new(self._key, payload, hashlib.sha256).digest()[:9])
            offset, digest = json.loads(payload) if good else (0, "")
        except (ValueError, binascii.Error):
            good, offset, digest = False, 0, ""
        if not good or digest != self._digest(method, request):
            raise bad_field("pageToken", "Page token is invalid or does not belong to this request.")
        return int(offset)

    def page(
        self, method: str, request: Mapping[str, Any], items: Sequence[Item], size: int
    ) -> tuple[list[Item], str]:
        """The items of the page asked for and the token of the next one, empty on the last."""
        start = self.offset(method, request)
        following = start + size
        token = self.token(method, request, following) if following < len(items) else ""
        return list(items[start:following]), token

    @staticmethod
    def _digest(method: str, request: Mapping[str, Any]) -> str:
        bound = sorted((key, str(value)) for key, value in request.items() if key not in NOT_BOUND)
        return hashlib.sha256(json.dumps([method, bound]).encode()).hexdigest()[:16]


def listed(key: str, items: Sequence[Any], token: str) -> dict[str, Any]:
    """A page as Google writes it: no key for an empty list, no token on the last page."""
    document: dict[str, Any] = {}
    if items:
        document[key] = list(items)
    if token:
        document["nextPageToken"] = token
    return document

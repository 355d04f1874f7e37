"""A request for one method of an API, after it was found to be well-formed and its caller known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from adelt_sandbox.auth import Identity
from adelt_sandbox.discovery import Method
from adelt_sandbox.faults import Effect


@dataclass(frozen=True)
class ApiCall:
    """One checked request.

    Attributes:
        method: The method it is for.
        values: Typed path and query parameters.
        body: JSON body.
        identity: Who asks.
        base_url: Scheme and host the client used.
        effect: The fault that strikes it, if any.
    """

    method: Method
    values: Mapping[str, Any]
    identity: Identity
    body: dict[str, Any] = field(default_factory=dict)
    base_url: str = ""
    effect: Effect = field(default_factory=Effect)

    @property
    def bound(self) -> dict[str, Any]:
        """What a page token of this request is good for: its parameters and its caller."""
        return {**self.values, "caller": self.identity.email}


class Service(Protocol):
    """What answers the methods of one API."""

    def call(self, request: ApiCall) -> dict[str, Any]:
        """Answer one checked request."""
        ...

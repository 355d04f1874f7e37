"""What goes in and out of the sandbox's handlers: plain values, no web framework."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from adelt_sandbox.errors import GoogleError


@dataclass(frozen=True)
class Call:
    """One HTTP request.

    Attributes:
        method: Upper-case verb.
        path: Path as it was sent, still percent-encoded.
        query: Parameters in their order, repeated ones included.
        headers: Headers with lower-case names.
        body: The whole request body.
        base_url: Scheme and host the client used, without a trailing slash.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base_url: str = ""

    @property
    def plain_path(self) -> str:
        """The path with percent-encoding undone."""
        return unquote(self.path)

    def param(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return next((value for key, value in self.query if key == name), default)

    def params(self, name: str) -> list[str]:
        """All values of a repeated query parameter."""
        return [value for key, value in self.query if key == name]

    def header(self, name: str, default: str = "") -> str:
        """One header, by its lower-case name."""
        return self.headers.get(name, default)

    def form(self) -> dict[str, str]:
        """The body read as a form or as JSON, as OAuth token endpoints accept both."""
        if "json" in self.header("content-type"):
            data = self.json_body()
            return {key: str(value) for key, value in data.items()}
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def json_body(self) -> dict[str, Any]:
        """The body as a JSON object; an empty body is an empty object."""
        if not self.body.strip():
            return {}
        try:
            data = json.loads(self.body)
        except ValueError as error:
            raise GoogleError(400, f"Invalid JSON payload received. {error}", reason="parseError") from None
        if not isinstance(data, dict):
            raise GoogleError(400, "Invalid JSON payload received. Root element must be a message.")
        return data


@dataclass(frozen=True)
class FilePart:
    """A stretch of a file to send without reading it into memory."""

    path: Path
    start: int
    length: int


@dataclass
class Reply:
    """One HTTP response; the body is either bytes or a stretch of a file."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    part: FilePart | None = None

    @property
    def length(self) -> int:
        """Bytes the body has."""
        return self.part.length if self.part else len(self.body)


def json_reply(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON response as the Google front end sends it."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return Reply(
        status,
        {"Content-Type": "application/json; charset=UTF-8", "Cache-Control": "private", **(headers or {})},
        body,
    )


def error_reply(error: GoogleError) -> Reply:
    """A refusal as an HTTP response."""
    return json_reply(error.document(), error.code, error.headers)

"""Refusals in the shape Google gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    416: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}
REASON = {
    400: "badRequest",
    401: "authError",
    403: "forbidden",
    404: "notFound",
    405: "httpMethodNotAllowed",
    409: "conflict",
    412: "conditionNotMet",
    416: "requestedRangeNotSatisfiable",
    429: "rateLimitExceeded",
    500: "backendError",
    501: "notImplemented",
    503: "backendError",
}


class GoogleError(Exception):
    """A request refused the way the Google APIs refuse it: a status code and an error document."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str = "",
        domain: str = "global",
        details: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason or REASON.get(code, "unknown")
        self.domain = domain
        self.details = [dict(detail) for detail in details]
        self.headers = dict(headers or {})

    def document(self) -> dict[str, Any]:
        """The JSON body, with both the `errors` of older clients and the `status`/`details` of newer ones."""
        error: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "errors": [{"message": self.message, "domain": self.domain, "reason": self.reason}],
            "status": STATUS.get(self.code, "UNKNOWN"),
        }
        if self.details:
            error["details"] = self.details
        return {"error": error}


def bad_field(field: str, description: str, message: str = "") -> GoogleError:
    """A 400 that names the offending field, as google.rpc.BadRequest does."""
    return GoogleError(
        400,
        message or description,
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{"field": field, "description": description}],
            }
        ],
    )


def not_found(message: str = "Requested entity was not found.") -> GoogleError:
    """A 404 for an entity that does not exist (or not any more)."""
    return GoogleError(404, message)


def forbidden(message: str = "The caller does not have permission") -> GoogleError:
    """A 403 for an entity that belongs to somebody else."""
    return GoogleError(403, message)

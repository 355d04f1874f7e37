"""Requests to an engine elsewhere: patient when repeating is harmless, and never sent twice when it is not."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import NewConnectionError

from adelt.errors import AdeltError, InputError
from adelt.redact import Redactor

Json = Any
Authorize = Callable[[requests.PreparedRequest], requests.PreparedRequest]
Sleep = Callable[[float], None]  # seconds; may raise to end the waiting

_TIMEOUT = (10, 60)  # seconds to connect, and between two bytes
_BUSY = (429, 500, 502, 503, 504)
_LONGEST = 3600.0  # seconds that a server may ask us to wait
_LOCAL = ("localhost", "127.0.0.1", "::1")


class UnreachableError(AdeltError):
    """Nobody answered, or only with errors, although asked several times: nothing more can be done for now."""


class RefusedError(InputError):
    """The credentials or the address are wrong: no request will succeed."""


class RejectedError(AdeltError):
    """The engine says no to this one request.

    Attributes:
        status: HTTP status of the answer.
    """

    exit_code = 2

    def __init__(self, what: str, *, status: int, where: str = "", fix: str = "") -> None:
        super().__init__(what, where=where, fix=fix)
        self.status = status


class LostError(AdeltError):
    """A request was sent and no answer came that tells what has become of it.

    Attributes:
        again: Seconds after which the server asks to be sent it again; None if it does not.
    """

    def __init__(self, what: str, *, where: str = "", again: float | None = None) -> None:
        super().__init__(what, where=where)
        self.again = again


class Client:
    """One server that speaks JSON."""

    def __init__(
        self,
        url: str,
        authorize: Authorize,
        *,
        refusal: str,
        known: tuple[str, ...] = (),
        patience: Mapping[str, float] | None = None,
        sleep: Sleep = time.sleep,
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: Base of every address.
            authorize: Adds the credentials to a request.
            refusal: What to do when they are refused.
            known: Secrets, to be kept out of messages.
            patience: `attempts`, `retry_min` and `retry_max` (seconds) that differ from 6, 1 and 60.
            sleep: Waits.
        """
        more = patience or {}
        self.url = url
        self._authorize, self._refusal, self._sleep = authorize, refusal, sleep
        self._clean = Redactor(known).clean
        self._attempts = max(1, int(more.get("attempts", 6)))
        self._delay, self._longest_delay = more.get("retry_min", 1.0), more.get("retry_max", 60.0)
        self._session = requests.Session()

    def get(
        self, path: str, parameters: Mapping[str, str] | None = None, *, having: tuple[str, ...] = ()
    ) -> Json:
        """The object at a path, with the fields that it must have.

        Raises:
            RejectedError: There is nothing, or the request is wrong.
            RefusedError: The credentials are wrong, or this is not the API.
            UnreachableError: It kept failing.
        """
        found = self._patiently("GET", path, parameters=parameters)
        missing = [name for name in having if name not in found] if isinstance(found, dict) else ["{...}"]
        if missing:
            raise RefusedError(
                f"the answer has no `{missing[0]}`",
                where=self._place(path),
                fix="check the address of the API",
            )
        return found

    def put(self, path: str, body: Json) -> Json:
        """Send a POST that may arrive twice without harm; raises as `get` does."""
        return self._patiently("POST", path, body=body)

    def post(self, path: str, body: Json) -> Json:
        """Send a POST that may arrive once at most: it is repeated only when it has surely not been taken.

        Raises:
            LostError: Whether it was taken is not known.
            RejectedError: It was not, because it is wrong.
            RefusedError: It was not, because the credentials are.
            UnreachableError: It was not, in all attempts.
        """
        for attempt in range(1, self._attempts + 1):
            last = attempt == self._attempts
            try:
                answer = self._send("POST", path, body=body)
            except requests.RequestException as error:
                if not _was_not_sent(error):
                    raise LostError(
                        f"no answer came: {type(error).__name__}", where=self._place(path)
                    ) from error
                if last:
                    raise self._unreachable(path, error) from error
                self._sleep(self._backoff(attempt))
                continue
            if answer.status_code == 429 and not last:
                self._sleep(self._wait(answer, attempt, path))
                continue
            if answer.status_code >= 500:
                asked = retry_after(answer.headers) if answer.status_code == 503 else None
                again = asked if asked is not None and asked <= _LONGEST else None
                raise LostError(self._said(answer), where=self._place(path), again=again)
            try:
                return self._judged(answer, path)
            except ValueError as error:  # it may well have been taken
                raise LostError("the answer is not JSON", where=self._place(path)) from error
        raise AssertionError

    def _patiently(
        self, method: str, path: str, *, parameters: Mapping[str, str] | None = None, body: Json = None
    ) -> Json:
        for attempt in range(1, self._attempts + 1):
            last = attempt == self._attempts
            try:
                answer = self._send(method, path, parameters=parameters, body=body)
            except requests.RequestException as error:
                if last:
                    raise self._unreachable(path, error) from error
                self._sleep(self._backoff(attempt))
                continue
            if answer.status_code in _BUSY and not last:
                self._sleep(self._wait(answer, attempt, path))
                continue
            try:
                return self._judged(answer, path)
            except ValueError as error:
                raise RefusedError(
                    "the answer is not JSON", where=self._place(path), fix="check the address of the API"
                ) from error
        raise AssertionError

    def _send(
        self, method: str, path: str, *, parameters: Mapping[str, str] | None = None, body: Json = None
    ) -> requests.Response:
        # A connection that was kept may be closed while a request is on its way: for what must not be sent twice there
        # is always a new one. The credentials are no header of the session, as a .netrc would replace that.
        asking: Any = self._session if method == "GET" else requests
        found: requests.Response = asking.request(
            method,
            f"{self.url}/{path}",
            params=parameters,
            json=body,
            auth=self._authorize,
            timeout=_TIMEOUT,
            allow_redirects=False,
        )
        return found

    def _judged(self, answer: requests.Response, path: str) -> Json:
        """The answer's JSON if it is a good one."""
        where = self._place(path)
        if answer.status_code in (401, 403):
            raise RefusedError(self._said(answer), where=where, fix=self._refusal)
        if answer.is_redirect:
            raise RefusedError(
                f"it answered {answer.status_code}: go to {answer.headers.get('Location', '?')[:200]}",
                where=where,
                fix="give the address of the API itself, not of a log-in page before it",
            )
        if answer.status_code in _BUSY:
            raise UnreachableError(self._said(answer), where=where, fix="try again later")
        if not answer.ok:
            raise RejectedError(self._said(answer), status=answer.status_code, where=where)
        return answer.json() if answer.content else None

    def _said(self, answer: requests.Response) -> str:
        return self._clean(f"it answered {answer.status_code}: {' '.join(answer.text.split())[:300]}")

    def _place(self, path: str) -> str:
        return f"{self.url}/{path}"

    def _unreachable(self, path: str, error: Exception) -> UnreachableError:
        return UnreachableError(
            f"nobody answers: {type(error).__name__}",
            where=self._place(path),
            fix="check the address and the network, or try again later",
        )

    def _wait(self, answer: requests.Response, attempt: int, path: str) -> float:
        asked = retry_after(answer.headers)
        if asked is not None and asked > _LONGEST:
            raise UnreachableError(
                f"it is busy, and asks to come back in {asked / 3600:.1f} hours",
                where=self._place(path),
                fix="try again then",
            )
        return self._backoff(attempt) if asked is None else asked

    def _backoff(self, attempt: int) -> float:
        return min(self._delay * 2.0 ** (attempt - 1), self._longest_delay)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a `Retry-After` asks to wait, given as seconds or as a date; None if there is none."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    moment = _date(text)
    if moment is None:
        return None
    # A date is one of the server's clock, which may differ from ours.
    now = _date(headers.get("Date", "")) or datetime.fromtimestamp(time.time(), UTC)
    return max(0.0, (moment - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def base_url(text: str, variable: str, example: str) -> str:
    """An address as a setting gives it, without the slash at its end.

    Raises:
        InputError: It is no https:// address, or holds a password. http:// is for this machine only.
    """
    url = text.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host, secret = parts.hostname, parts.username or parts.password
    except ValueError:
        host, secret, parts = None, None, urlsplit("")
    if secret:
        raise InputError(
            "the address holds a user or a password", where=variable, fix=f"write it like {example}"
        )
    if not host or parts.query or parts.fragment or parts.scheme not in ("https", "http"):
        raise InputError(f"`{url}` is not an address", where=variable, fix=f"write it like {example}")
    if parts.scheme == "http" and host not in _LOCAL:
        raise InputError(
            f"`{url}` would send the credentials unprotected",
            where=variable,
            fix="use https://, or forward a port of this machine to it; http:// is for this machine only",
        )
    return url


def is_local(url: str) -> bool:
    """Whether an address is this machine's."""
    return urlsplit(url).hostname in _LOCAL


def bearer(token: str) -> Authorize:
    """Credentials that are a token."""

    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return authorize


def _was_not_sent(error: requests.RequestException) -> bool:
    """Whether a connection was never made."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError)

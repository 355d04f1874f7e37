"""The Google clients: the only module that imports googleapiclient.

Every call goes through `Google.execute`, which tells a quota that is used up (stop, say when it resets) from a rate
limit (wait as told) and from a bad request (show it, do not retry).
"""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import google_auth_httplib2
import httplib2
import requests
from google.auth.exceptions import RefreshError, TransportError
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from googleapiclient.http import HttpRequest, MediaIoBaseDownload

from adelt_sources.credentials import CLOUD, credentials, refused
from adelt_sources.errors import InputError, SourceError
from adelt_sources.run import Download, Patience, Progress, Run, downloaded

SCOPES = {
    "displayvideo": "https://www.googleapis.com/auth/display-video",
    "doubleclickbidmanager": "https://www.googleapis.com/auth/doubleclickbidmanager",
    "dfareporting": "https://www.googleapis.com/auth/dfareporting",
    "dfatrafficking": "https://www.googleapis.com/auth/dfatrafficking",
}
# api_endpoint replaces the root URL *and* the service path of the discovery document.
_PATHS = {
    "displayvideo": ("v4", ""),
    "doubleclickbidmanager": ("v2", "v2/"),
    "dfareporting": ("v5", "dfareporting/v5/"),
    "secretmanager": ("v1", ""),
}

_RATE = {"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}
_DAILY = {"dailyLimitExceeded", "dailyLimitExceededUnreg", "quotaExceeded"}
# HTTPException is what a body that ends too early is to httplib2, if the connection was closed and not reset.
_NETWORK = (
    OSError,
    httplib2.HttpLib2Error,
    HTTPException,
    TransportError,
    requests.RequestException,
    EOFError,
)
_CHUNK = 16 << 20


def scopes_of(api: str) -> list[str]:
    """The scopes that an API is called with."""
    if api == "dfareporting":
        return [SCOPES["dfareporting"], SCOPES["dfatrafficking"]]
    return [SCOPES.get(api, CLOUD)]


class Google:
    """The marketing APIs and Secret Manager for one run.

    Attributes:
        requests: API to how many requests were sent to it, repeated ones included: what its quota counts.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.requests: Counter[str] = Counter()
        self._services: dict[str, Any] = {}

    def service(self, api: str) -> Any:
        """The stock client of an API: `displayvideo`, `doubleclickbidmanager`, `dfareporting` or `secretmanager`.

        Raises:
            InputError: There are no usable credentials.
        """
        if api not in self._services:
            version, path = _PATHS[api]
            endpoint = self._run.google_endpoint
            self._services[api] = build(
                api,
                version,
                http=google_auth_httplib2.AuthorizedHttp(
                    credentials(scopes_of(api), self._run.impersonate), http=httplib2.Http(timeout=120)
                ),
                static_discovery=True,
                client_options={"api_endpoint": f"{endpoint.rstrip('/')}/{path}"} if endpoint else None,
            )
        return self._services[api]

    def execute(self, request: HttpRequest) -> Any:
        """Send a request; wait and try again where that can help.

        Raises:
            InputError: The request is refused for good (bad request, no permission, not found).
            SourceError: The quota is used up, or the API keeps failing.
        """

        def send() -> Any:
            self.requests[str(request.methodId).partition(".")[0]] += 1
            return request.execute()

        return retrying(send, self._run, _describe(request))

    def pages(
        self, collection: Any, items: str, method: str = "list", **parameters: Any
    ) -> Iterator[list[dict[str, Any]]]:
        """All pages of a list method; a token that comes back again ends the listing.

        Args:
            collection: Resource of the client, for example `service.advertisers()`.
            items: Key of the items in the answer.
            method: Name of the list method.
            **parameters: Parameters of the method.
        """
        seen: set[str] = set()
        request = getattr(collection, method)(**parameters)
        following = getattr(collection, f"{method}_next", None)
        while request is not None:
            answer = self.execute(request)
            yield answer.get(items, [])
            token = answer.get("nextPageToken")
            if not token or token in seen or following is None:
                return
            seen.add(token)
            request = following(request, answer)

    def download_media(self, request: HttpRequest, target: Path) -> Download:
        """Fetch the media of a request in ranges; after an interruption it goes on where it was."""
        with target.open("wb") as out:
            media = MediaIoBaseDownload(out, request, chunksize=_CHUNK)
            done = False
            while not done:
                status, done = retrying(lambda: media.next_chunk(), self._run, _describe(request))
                size = out.tell()
                total = int(status.total_size) if status and status.total_size else None
                self._run.tell(Progress("fetch", "downloading the report", bytes=size, total_bytes=total))
        return downloaded(target)

    def download_url(self, url: str, target: Path) -> Download:
        """Fetch a signed URL in ranges; after an interruption it goes on where it was.

        Raises:
            SourceError: The URL has expired, or the file changed or stayed short.
        """
        target.write_bytes(b"")
        place = url.partition("?")[0]  # the signature is a secret

        def rest() -> None:
            have = target.stat().st_size
            headers = {"Range": f"bytes={have}-"} if have else {}
            with requests.get(url, headers=headers, stream=True, timeout=120) as answer:
                if answer.status_code == 416:
                    return
                if answer.status_code >= 500 or answer.status_code == 429:
                    raise requests.HTTPError(f"the server answered {answer.status_code}", response=answer)
                if answer.status_code >= 400:
                    raise SourceError(
                        f"the report cannot be downloaded: {answer.status_code} {answer.reason}",
                        where=place,
                        fix="signed URLs expire; run it again for a new one",
                    )
                resumed = answer.status_code == 206
                total = _total(answer, have if resumed else 0)
                with target.open("ab" if resumed else "wb") as out:
                    for block in answer.iter_content(1 << 20):
                        out.write(block)
                        self._run.tell(
                            Progress("fetch", "downloading the report", bytes=out.tell(), total_bytes=total)
                        )
            size = target.stat().st_size
            if total is not None and size < total:
                raise requests.ConnectionError(f"the body ended after {size} of {total} bytes")

        retrying(rest, self._run, f"GET {place}")
        return downloaded(target)


def retrying(call: Callable[[], Any], run: Run, what: str) -> Any:
    """Call until it works; back off with jitter, honour Retry-After, stop where waiting cannot help.

    Raises:
        InputError: Refused for good.
        SourceError: Quota used up, or still failing after the last attempt.
    """
    patience = run.patience
    for attempt in range(1, patience.attempts + 1):
        try:
            return call()
        except HttpError as error:
            delay = _delay_or_raise(error, what)
            last: Exception = error
        except RefreshError as error:
            if not error.retryable:
                raise refused(error, what) from error
            delay, last = None, error
        except _NETWORK as error:
            delay, last = None, error
        if attempt < patience.attempts:
            pause = delay if delay is not None else _backoff(patience, attempt)
            run.tell(
                Progress(
                    "wait", f"{_short(last)}; trying again in {pause:.0f} s ({attempt}/{patience.attempts})"
                )
            )
            time.sleep(pause)
    raise SourceError(
        f"the API kept failing ({patience.attempts} attempts): {_short(last)}",
        where=what,
        fix="run it again later; Google also answers 5xx to some invalid combinations of dimensions and metrics",
    ) from last


def poll(run: Run, ask: Callable[[], Any | None], what: str, where: str) -> Any:
    """Ask until there is an answer; 5 s to 5 min between asks by default, with jitter.

    Args:
        run: Whose patience is used.
        ask: Returns the answer, or None while there is none.
        what: What is waited for, for the progress line.
        where: For the error.

    Raises:
        SourceError: The deadline passed.
    """
    patience, begun, pause = run.patience, time.monotonic(), run.patience.poll_min
    while (answer := ask()) is None:
        waited = time.monotonic() - begun
        if waited + pause > patience.poll_deadline:
            raise SourceError(
                f"{what} was not ready after {waited / 60:.0f} min", where=where, fix="run it again later"
            )
        run.tell(Progress("wait", f"{what} ({waited:.0f} s)"))
        time.sleep(pause * random.uniform(0.9, 1.1))
        pause = min(pause * 2, patience.poll_max)
    return answer


def _delay_or_raise(error: HttpError, what: str) -> float | None:
    status, reasons, message = error.resp.status, _reasons(error), _message(error)
    if reasons & _DAILY:
        raise SourceError(
            f"the daily quota is used up: {message}",
            where=what,
            fix=f"it resets at midnight Pacific time, {_next_midnight_pacific():%Y-%m-%d %H:%M} UTC; run it again then",
        ) from error
    if status == 429 or (status == 403 and reasons & _RATE):
        after = error.resp.get("retry-after", "")
        return float(after) if after.isdigit() else None
    if status >= 500:
        return None
    if status == 401:
        fix = "the credentials are not accepted: check GOOGLE_APPLICATION_CREDENTIALS"
    elif status == 403:
        fix = "give the account access to this partner, advertiser or profile, and the API its scope"
    elif status == 404:
        fix = "it does not exist, or these credentials cannot see it"
    else:
        fix = "Google refuses this request; trying again cannot help"
    raise InputError(f"the API answered {status}: {message}", where=what, fix=fix) from error


def _reasons(error: HttpError) -> set[str]:
    try:
        body = json.loads(error.content)["error"]
    except (ValueError, KeyError, TypeError):
        return set()
    found = {str(item.get("reason")) for item in body.get("errors", [])} | {str(body.get("status"))}
    return found | {str(item.get("reason")) for item in body.get("details", []) if isinstance(item, dict)}


def _message(error: HttpError) -> str:
    try:
        return str(json.loads(error.content)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason or error)


def _describe(request: HttpRequest) -> str:
    body = request.body.decode() if isinstance(request.body, bytes) else request.body
    return f"{request.method} {request.uri}" + (f" {body[:2000]}" if body else "")


def _short(error: Exception) -> str:
    if isinstance(error, HttpError):
        return f"{error.resp.status} {_message(error)}"
    return str(error) or type(error).__name__


def _backoff(patience: Patience, attempt: int) -> float:
    ceiling = min(patience.retry_max, patience.retry_min * 2 ** (attempt - 1))
    return random.uniform(ceiling / 2, ceiling)


def _next_midnight_pacific() -> datetime:
    now = datetime.now(ZoneInfo("America/Los_Angeles"))
    return (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def _total(answer: requests.Response, have: int) -> int | None:
    length = answer.headers.get("Content-Length")
    return have + int(length) if length and length.isdigit() else None

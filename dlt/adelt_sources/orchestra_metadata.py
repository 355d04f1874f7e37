"""Run history from Orchestra's Metadata API, or from `adelt serve`, which speaks the same.

A run asks for one day at a time: the API takes seven at most, and a day's rows are then always replaced together. Assets
have no history: they are what they are on the last day that is asked for.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NewConnectionError
from urllib3.util import Retry

from adelt_sources.catalog import TableSpec
from adelt_sources.entities import check_keys, unknown_warnings
from adelt_sources.errors import InputError, SourceError
from adelt_sources.google import Google
from adelt_sources.records import RecordWriter
from adelt_sources.report_rows import connect
from adelt_sources.run import Evidence, Fetched, Progress, Run
from adelt_sources.scope import Scope

PARAMETERS = ("base_url", "account_id", "next_day")
TOKEN = "ORCHESTRA_API_KEY"
ORCHESTRA = "https://app.getorchestra.io/api/engine/public"

_PAGE_SIZE = 100
_TIMEOUT = (10, 60)  # seconds to connect, and between two bytes
_BUSY = (429, 500, 502, 503, 504)
_LOCAL = ("localhost", "127.0.0.1", "::1")

Item = dict[str, Any]


def fetch(run: Run, spec: TableSpec, google: Google) -> Fetched:
    """Read one resource, day by day.

    Parameters of the run: `base_url` (default: Orchestra's own), `account_id`, a number that keeps the rows of
    several accounts apart (default 0), and `next_day`, whether the day after the window is brought too, as far as it
    has come (default false). The token is read from the environment: ORCHESTRA_API_KEY.

    Raises:
        SourceError: A request was refused or kept failing; nothing is loaded then.
    """
    url = f"{_base_url(run)}/{spec.name}"
    session = _session(run, url)
    pages = _Pages(run, session, url, google)
    with session:
        by_day = bool(spec.facts.get("by_day"))
        # A day, not the clock: whenever it is asked for again, the same rows are replaced.
        days = [*run.days, run.end] if run.flag("next_day") else run.days
        asked = days if by_day else days[-1:]
        return _write(run, spec, {day: pages.read(_window(day) if by_day else {}) for day in asked})


def parse(run: Run, spec: TableSpec, files: Sequence[Evidence]) -> Fetched:
    """Convert answers that were kept, without asking the API.

    Raises:
        SourceError: They do not fit the declaration.
    """
    return _write(run, spec, {date.fromisoformat(file.facts["day"]): _kept(file.path) for file in files})


def _write(run: Run, spec: TableSpec, days: dict[date, Iterator[Item]]) -> Fetched:
    writer = RecordWriter(spec, run.work_dir / f"{spec.source}.{spec.name}.parquet")
    (account,) = run.ids("account_id") or [0]
    kept = []
    for day, items in days.items():
        constants = {
            "_account_id": account,
            "_snapshot_date": day,
            "_run_id": run.id,
            "_loaded_at": run.started_at,
        }
        copy = run.work_dir / f"{spec.source}.{spec.name}.{day}.ndjson"
        with copy.open("w", encoding="utf-8") as out:
            for item in _once(items, spec):
                writer.add([item], constants)
                out.write(f"{json.dumps(item)}\n")
        kept.append(Evidence(copy, {"day": day.isoformat()}))
        run.tell(Progress("fetch", f"read {spec.name} of {day}", rows=writer.rows))
    file = writer.close()
    scope = Scope({spec.account: (account,)}, (spec.date, min(days), max(days)))
    run.keep(kept, scope)
    with connect(run.work_dir) as con:
        check_keys(con, spec, file)
    return Fetched(
        file, scope, writer.rows, file.stat().st_size, warnings=unknown_warnings(spec, writer.unknown)
    )


def _once(items: Iterator[Item], spec: TableSpec) -> Iterator[Item]:
    """Each item once: newer ones shift a listing while it is read, and its last row comes again on the next page."""
    head, *tail = spec.key[0].split("_")
    name = head + "".join(word.capitalize() for word in tail)
    seen = set()
    for item in items:
        if not item.get(name):
            raise SourceError(f"an item has no `{name}`", where=spec.qualified, exit_code=2)
        if item[name] not in seen:
            seen.add(item[name])
            yield item


class _Pages:
    def __init__(self, run: Run, session: requests.Session, url: str, google: Google) -> None:
        self._run, self._session, self._url, self._google = run, session, url, google

    def read(self, parameters: dict[str, str]) -> Iterator[Item]:
        """The items of every page, until one is not full or empty."""
        seen = 0
        for page in itertools.count(1):
            answer = self._get({**parameters, "page": str(page), "page_size": str(_PAGE_SIZE)})
            results, total = answer.get("results"), answer.get("total")
            if not isinstance(results, list) or not isinstance(total, int):
                raise SourceError(
                    "the answer has no `results` and `total`",
                    where=self._url,
                    fix="check -p base_url",
                    exit_code=2,
                )
            yield from results
            seen += len(results)
            if not results or seen >= total:
                return

    def _get(self, parameters: dict[str, str]) -> Item:
        self._google.requests["orchestra"] += 1
        try:
            answer = self._session.get(self._url, params=parameters, timeout=_TIMEOUT, allow_redirects=False)
        except requests.RequestException as error:
            raise _unreachable(self._url, error) from error
        if answer.status_code in (401, 403):
            raise InputError(
                f"the API refused the token ({answer.status_code})",
                where=self._url,
                fix=f"set {TOKEN} to a token of this account",
            )
        if not answer.ok:
            raise SourceError(
                f"the API answered {answer.status_code}: {answer.text[:300]}",
                where=self._url,
                fix="run it again later" if answer.status_code in _BUSY else "check the parameters",
                exit_code=1 if answer.status_code in _BUSY else 2,
            )
        try:
            found = answer.json()
        except ValueError:
            found = None
        return found if isinstance(found, dict) else {}


def _unreachable(url: str, error: requests.RequestException) -> SourceError:
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if _is_local(url) and isinstance(reason, NewConnectionError):
        return InputError(
            "no server answers on this machine",
            where=url,
            fix=f"start `adelt serve` here, or set base_url to the address of Orchestra, {ORCHESTRA}",
        )
    return SourceError(
        f"the API kept failing: {type(error).__name__}", where=url, fix="run it again later; check base_url"
    )


def _session(run: Run, url: str) -> requests.Session:
    patience = run.patience
    retry = Retry(
        total=patience.attempts - 1,
        connect=0 if _is_local(url) else None,  # where nobody listens, waiting starts no server
        backoff_factor=patience.retry_min,
        backoff_max=patience.retry_max,
        status_forcelist=_BUSY,
        allowed_methods=("GET",),
        respect_retry_after_header=True,
        raise_on_status=False,
    )
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=retry))
    session.mount("https://", HTTPAdapter(max_retries=retry))
    session.auth = partial(
        _authorize, _token(run)
    )  # not a header of the session: a .netrc would replace that
    return session


def _token(run: Run) -> str:
    return run.secret(TOKEN).strip()


def _authorize(token: str, request: requests.PreparedRequest) -> requests.PreparedRequest:
    if token:
        request.headers["Authorization"] = f"Bearer {token}"
    return request


def _base_url(run: Run) -> str:
    url = run.params.get("base_url", "").strip().rstrip("/") or ORCHESTRA
    parts = urlsplit(url)
    local = _is_local(url)
    if not parts.hostname or parts.scheme not in (("https", "http") if local else ("https",)):
        raise InputError(
            f"`{url}` is not a base URL",
            where="parameter `base_url`",
            fix=f"write -p base_url={ORCHESTRA}; http:// is for this machine only",
        )
    if not local and not _token(run):
        raise InputError("there is no token for the API", where=url, fix=f"export {TOKEN}=...")
    return url


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in _LOCAL


def _window(day: date) -> dict[str, str]:
    begin = datetime.combine(day, clock(), UTC)
    end = begin + timedelta(days=1)
    return {"time_from": _time(begin), "time_to": _time(end)}


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _kept(path: Path) -> Iterator[Item]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)

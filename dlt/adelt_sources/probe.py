"""Small questions to Google that show whether it can be used: what `adelt doctor` asks. Nothing asked for stays behind."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import uuid4

import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud import bigquery, storage
from google.cloud.storage.retry import DEFAULT_RETRY

from adelt_sources.bigquery import PATIENT, Connection, told
from adelt_sources.bucket import SCOPES, TIMEOUT, Bucket
from adelt_sources.credentials import credentials, refused
from adelt_sources.errors import InputError, SourceError

_HOUR_MS = 3600 * 1000
_RETRY = DEFAULT_RETRY.with_timeout(10)  # somebody waits for the answer
_READ = ("https://www.googleapis.com/auth/devstorage.read_only",)


def clock_offset(endpoint: str | None, clock: Callable[[], float]) -> float:
    """Seconds by which this machine's clock is ahead of Google's, give or take the second that Google's answer is told in.

    Args:
        endpoint: Another server that speaks the Google APIs; None is Google.
        clock: Says the time, in seconds since 1970.

    Raises:
        SourceError: The server cannot be reached, or does not say the time.
    """
    url = endpoint or "https://www.googleapis.com"
    before = clock()
    try:
        answer = requests.head(url, timeout=20)
        there = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (requests.RequestException, KeyError, ValueError) as error:
        raise SourceError(
            f"the server cannot be reached: {' '.join(str(error).split())[:200]}",
            where=url,
            fix="check the network, HTTPS_PROXY and the firewall, and run it again",
        ) from error
    return (before + clock()) / 2 - (there + 0.5)


def bucket_location(name: str, impersonate: str = "") -> str:
    """Where a bucket is, for example `EU`; empty if the account may not ask that.

    Raises:
        InputError: There are no credentials, or there is no such bucket.
        SourceError: Cloud Storage did not answer; a retry may help.
    """
    where = f"gs://{name}"
    client = storage.Client(project=None, credentials=credentials(SCOPES, impersonate))
    with _asked(where):
        try:
            return str(client.get_bucket(name, timeout=TIMEOUT, retry=_RETRY).location or "")
        except api.Forbidden:
            return ""
        except api.NotFound as error:
            raise InputError(
                "there is no such bucket",
                where=where,
                fix="deploy/gcp/setup.sh makes it, or name another one",
            ) from error


def write_and_delete(name: str, impersonate: str = "") -> None:
    """Write an object under `staging/` of a bucket, read it, and delete it.

    Raises:
        InputError: One of these is not allowed.
        SourceError: Cloud Storage did not answer; a retry may help.
    """
    bucket, made = Bucket(name, "staging", impersonate), f"adelt-doctor-{uuid4().hex}"
    bucket.write(made, b"{}")
    try:
        bucket.read(made)
    finally:
        bucket.delete([made])


def may_list(name: str, prefix: str, impersonate: str = "") -> bool | None:
    """Whether objects of a bucket may be listed; None if there is no such bucket.

    Raises:
        InputError: There are no credentials.
        SourceError: Cloud Storage did not answer; a retry may help.
    """
    client = storage.Client(project=None, credentials=credentials(_READ, impersonate))
    with _asked(f"gs://{name}"):
        try:
            list(
                client.list_blobs(
                    name, prefix=prefix, max_results=1, fields="items(name)", timeout=TIMEOUT, retry=_RETRY
                )
            )
        except api.NotFound:
            return None
        except (api.Forbidden, api.Unauthorized):
            return False
    return True


@contextmanager
def _asked(where: str) -> Iterator[None]:
    """Turn errors of the storage client into ours."""
    try:
        yield
    except auth.GoogleAuthError as error:
        if not isinstance(error, auth.TransportError):
            raise refused(error, where) from error
        raise _silent(error, where) from error
    except (api.GoogleAPIError, requests.RequestException) as error:
        raise _silent(error, where) from error


def _silent(error: Exception, where: str) -> SourceError:
    text = " ".join(str(error).split())[:200]
    return SourceError(f"Cloud Storage did not answer: {text}", where=where, fix="run it again")


def dataset_locations(connection: Connection, names: list[str]) -> dict[str, str]:
    """Where those of the datasets are that there are.

    Raises:
        InputError: They may not be looked at.
        SourceError: BigQuery did not answer; a retry may help.
    """
    found: dict[str, str] = {}
    for name in names:
        where = f"{connection.warehouse.project}.{name}"
        with told(where, connection.warehouse):
            try:
                found[name] = str(connection.client.get_dataset(where, retry=PATIENT).location)
            except api.NotFound:
                continue
    return found


def make_dataset(connection: Connection, prefix: str) -> None:
    """Create a dataset, a table in it, and drop both; what a crash leaves behind expires within the hour.

    Raises:
        InputError: One of these is not allowed.
        SourceError: BigQuery did not answer; a retry may help.
    """
    name = f"{connection.warehouse.project}.{prefix}adelt_doctor_{uuid4().hex[:12]}"
    dataset = bigquery.Dataset(name)
    dataset.location = connection.warehouse.location
    dataset.labels = dict(connection.warehouse.labels)
    dataset.default_table_expiration_ms = _HOUR_MS
    with told(name, connection.warehouse):
        connection.client.create_dataset(dataset, retry=PATIENT)
        try:
            _table(connection, name)
        finally:
            connection.client.delete_dataset(name, delete_contents=True, not_found_ok=True, retry=PATIENT)


def make_table(connection: Connection, dataset: str) -> None:
    """Create a table in a dataset and drop it.

    Raises:
        InputError: One of these is not allowed.
        SourceError: BigQuery did not answer; a retry may help.
    """
    name = f"{connection.warehouse.project}.{dataset}"
    with told(name, connection.warehouse):
        _table(connection, name)


def _table(connection: Connection, dataset: str) -> None:
    table: Any = bigquery.Table(
        f"{dataset}.adelt_doctor_{uuid4().hex[:12]}", [bigquery.SchemaField("a", "INT64")]
    )
    connection.client.create_table(table, retry=PATIENT)
    connection.client.delete_table(table, not_found_ok=True, retry=PATIENT)

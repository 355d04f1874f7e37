"""BigQuery: one connection with adelt's rules on top of Google's client.

Every job has an id of its own choosing, so that a call whose answer was lost is asked about instead of done again;
labels that say what it was for; a limit on what it may cost; and errors that say what to do.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import requests.exceptions
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud import bigquery
from google.cloud.bigquery import DEFAULT_RETRY

from adelt_sources.credentials import credentials
from adelt_sources.errors import InputError, SourceError
from adelt_sources.warehouse import BigQuery

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
RETRIES = 5
RETRY_SECONDS = 60  # how long Google's client goes on trying one request
_LOST = (
    api.ServerError,
    api.TooManyRequests,
    requests.exceptions.ConnectionError,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.Timeout,
    ConnectionError,
)
_WAIT = 0.5  # seconds before the first retry; doubled each time
_T = TypeVar("_T")
PATIENT = DEFAULT_RETRY.with_timeout(RETRY_SECONDS)


@dataclass
class Cost:
    """What jobs have used so far.

    Attributes:
        bytes_billed: Bytes that queries were billed for; load jobs are free.
        slot_ms: Milliseconds of slots.
        jobs: Ids of the jobs.
    """

    bytes_billed: int = 0
    slot_ms: int = 0
    jobs: list[str] = field(default_factory=list)

    def add(self, job: Any) -> None:
        """Count a job that is done."""
        self.bytes_billed += int(getattr(job, "total_bytes_billed", 0) or 0)
        self.slot_ms += int(getattr(job, "slot_millis", 0) or 0)
        self.jobs.append(str(job.job_id))

    def as_dict(self) -> dict[str, Any]:
        """For the ledger."""
        return {"bytes_billed": self.bytes_billed, "slot_ms": self.slot_ms, "jobs": list(self.jobs)}


class Connection:
    """BigQuery for one task.

    Attributes:
        warehouse: Where.
        client: Google's client, for what is not offered here.
        labels: On each of its jobs.
        cost: What this connection's jobs have used.
        failure: Why a load failed, for those who only hear that it did.
    """

    def __init__(self, warehouse: BigQuery, labels: Mapping[str, str]) -> None:
        """Use `connected` instead."""
        self.warehouse = warehouse
        self.cost = Cost()
        self.failure: SourceError | None = None
        self.labels = {**warehouse.labels, **{key: label(value) for key, value in labels.items()}}
        self.client = client(warehouse)
        # For those who query through this client without knowing us: dlt.
        self.client.default_query_job_config = self._query_config()

    def _query_config(self) -> bigquery.QueryJobConfig:
        config = bigquery.QueryJobConfig(labels=self.labels, use_legacy_sql=False)
        config.job_timeout_ms = self.warehouse.job_timeout * 1000
        if self.warehouse.max_bytes:
            config.maximum_bytes_billed = self.warehouse.max_bytes
        return config

    def ensure_dataset(self, name: str, *, expires_after: int | None = None) -> None:
        """Create a dataset if it is missing.

        Args:
            name: Its name, prefix included.
            expires_after: Days after which its tables are deleted; None keeps them.

        Raises:
            InputError: It is in another location, or may not be created.
        """
        where = f"{self.warehouse.project}.{name}"
        with told(where, self.warehouse):
            try:
                found = self.client.get_dataset(where, retry=PATIENT)
            except api.NotFound:
                dataset = bigquery.Dataset(where)
                dataset.location = self.warehouse.location
                dataset.labels = dict(self.warehouse.labels)
                if expires_after:
                    dataset.default_table_expiration_ms = expires_after * 24 * 3600 * 1000
                found = self.client.create_dataset(dataset, exists_ok=True, retry=PATIENT)
        if found.location and found.location.upper() != self.warehouse.location.upper():
            raise InputError(
                f"the dataset is in {found.location}, the target says {self.warehouse.location}",
                where=where,
                fix=f"set location: {found.location} in deploy/targets.yml, or use another prefix; "
                "a dataset cannot be moved",
            )

    def run(
        self,
        sql: str,
        job_id: str,
        *,
        where: str = "",
        parameters: Sequence[Any] = (),
    ) -> bigquery.QueryJob:
        """Run a statement once and wait for it.

        Args:
            sql: One statement or script.
            job_id: Its id: a second call with the same one finds the first one's job.
            where: For errors.
            parameters: Query parameters.

        Raises:
            SourceError: It failed; a retry may help.
            InputError: It cannot work: rights, location, the limit on bytes, or the SQL itself.
        """
        config = self._query_config()
        config.query_parameters = list(parameters)
        with told(where or job_id, self.warehouse):
            job = self._once(
                lambda: self.client.query(
                    sql, job_id=job_id, job_config=config, job_retry=None, retry=None, timeout=120
                ),
                job_id,
            )
            job.result(timeout=self.warehouse.job_timeout, retry=PATIENT, job_retry=None)
        self.cost.add(job)
        return job

    def estimate(self, sql: str, *, where: str = "") -> int:
        """Bytes that a statement would be billed for; nothing is run, and asking is free."""
        config = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False, use_legacy_sql=False)
        with told(where or "dry run", self.warehouse):
            return int(self.client.query(sql, job_config=config, retry=PATIENT).total_bytes_processed or 0)

    def load(
        self,
        file: Path,
        table: str,
        schema: Sequence[bigquery.SchemaField],
        job_id: str,
        *,
        append: bool,
        where: str = "",
    ) -> int:
        """Load a Parquet file by a load job, which costs nothing; through the bucket if it is large.

        Args:
            file: The file.
            table: `dataset.table`, prefix included.
            schema: Columns of the table, which is created from them if it is missing.
            job_id: The job's id: a second call with the same one finds the first one's job.
            append: Add to the table instead of replacing what is in it.
            where: For errors; the table by default.

        Returns:
            Rows loaded.

        Raises:
            SourceError: It failed; a retry may help.
            InputError: It cannot work.
        """
        disposition = bigquery.WriteDisposition
        options = bigquery.ParquetOptions()
        options.enable_list_inference = True  # without it BigQuery loads empty arrays, and says nothing
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            schema=list(schema),
            write_disposition=disposition.WRITE_APPEND if append else disposition.WRITE_TRUNCATE,
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER
            if append
            else bigquery.CreateDisposition.CREATE_IF_NEEDED,
            labels=self.labels,
        )
        config.parquet_options = options
        target = f"{self.warehouse.project}.{table}"
        with told(where or table, self.warehouse), self._source(file, job_id) as source:

            def submit() -> bigquery.LoadJob:
                if isinstance(source, str):
                    return self.client.load_table_from_uri(
                        source, target, job_id=job_id, job_config=config, timeout=120
                    )
                with source.open("rb") as content:
                    return self.client.load_table_from_file(
                        content,
                        target,
                        size=source.stat().st_size,
                        num_retries=0,
                        job_id=job_id,
                        job_config=config,
                        timeout=self.warehouse.job_timeout,
                    )

            job = self._once(submit, job_id)
            job.result(timeout=self.warehouse.job_timeout, retry=PATIENT)
        self.cost.add(job)
        return int(job.output_rows or 0)

    @contextmanager
    def _source(self, file: Path, job_id: str) -> Iterator[Path | str]:
        """The file, or its copy in the bucket for as long as the block runs."""
        if not self.warehouse.bucket or file.stat().st_size < self.warehouse.stage_above:
            yield file
            return
        from google.cloud import storage

        project = self.warehouse.project
        bucket = storage.Client(project, credentials=self.client._credentials).bucket(self.warehouse.bucket)
        blob = bucket.blob(f"staging/{job_id}.parquet")
        blob.upload_from_filename(str(file), checksum="crc32c")
        try:
            yield f"gs://{self.warehouse.bucket}/{blob.name}"
        finally:
            blob.delete()

    def _once(self, submit: Callable[[], _T], job_id: str) -> _T:
        """Submit a job; when the answer is lost, ask whether it is there before trying again."""
        for attempt in range(RETRIES):
            try:
                return submit()
            except api.Conflict:
                return self.client.get_job(job_id, location=self.warehouse.location, retry=PATIENT)  # type: ignore[no-any-return]
            except _LOST:
                if attempt + 1 == RETRIES:
                    raise
                time.sleep(_WAIT * 2**attempt)
        raise AssertionError  # unreachable

    def drop(self, table: str) -> None:
        """Delete a table if it is there."""
        with told(table, self.warehouse):
            self.client.delete_table(f"{self.warehouse.project}.{table}", not_found_ok=True, retry=PATIENT)

    def ask(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The columns and rows of a query.

        Raises:
            InputError: It does not work, or would change something.
        """
        if not re.match(r"\s*(--[^\n]*\n\s*)*(with|select|\()", sql, re.IGNORECASE):
            raise InputError(
                "only a query can be asked", where=sql.strip()[:60], fix="begin with SELECT or WITH"
            )
        config = self._query_config()
        with told("query", self.warehouse):
            job = self.client.query(sql, job_config=config, retry=PATIENT)
            rows = job.result(timeout=self.warehouse.job_timeout, retry=PATIENT)
            result = [field.name for field in rows.schema], [tuple(row.values()) for row in rows]
        self.cost.add(job)
        return result

    def tables(self) -> list[tuple[str, str]]:
        """Dataset and name of every table and view under the prefix, in alphabetical order."""
        prefix = self.warehouse.prefix
        with told(str(self.warehouse), self.warehouse):
            return sorted(
                (dataset.dataset_id, table.table_id)
                for dataset in self.client.list_datasets(retry=PATIENT)
                if dataset.dataset_id.startswith(prefix)
                for table in self.client.list_tables(dataset.reference, retry=PATIENT)
            )


@contextmanager
def connected(warehouse: BigQuery, labels: Mapping[str, str] | None = None) -> Iterator[Connection]:
    """A connection for the length of a block.

    Args:
        warehouse: Where.
        labels: More labels for its jobs, for example the pipeline and the run.

    Raises:
        InputError: The credentials do not work.
    """
    connection = Connection(warehouse, labels or {})
    try:
        yield connection
    finally:
        connection.client.close()


def client(warehouse: BigQuery) -> bigquery.Client:
    """Google's client for a warehouse."""
    return bigquery.Client(
        warehouse.project,
        credentials=credentials(SCOPES, warehouse.impersonate),
        location=warehouse.location,
    )


def label(text: str) -> str:
    """A text as the value of a label: lower case letters, digits, `_` and `-`, at most 63."""
    return re.sub(r"[^a-z0-9_-]", "_", text.lower())[:63]


def new_job_id(run: str, what: str) -> str:
    """An id that no job has had. Calls that repeat a lost one share it; another try, and another item, have their own.

    Args:
        run: Whose job it is.
        what: What it does.
    """
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', f'adelt_{run}_{what}')[:500]}_{uuid4().hex[:12]}"


@contextmanager
def told(where: str, warehouse: BigQuery) -> Iterator[None]:
    """Turn errors of Google's clients into ours."""
    try:
        yield
    except (
        api.GoogleAPIError,
        auth.GoogleAuthError,
        requests.exceptions.RequestException,
        TimeoutError,
    ) as error:
        raise _explained(error, where, warehouse) from error


def _explained(error: Exception, where: str, warehouse: BigQuery) -> SourceError:
    reason, text = _reason(error), _text(error)
    if isinstance(error, auth.GoogleAuthError):
        return InputError(
            f"the credentials do not work: {text}",
            where=where,
            fix="set GOOGLE_APPLICATION_CREDENTIALS to a key that is valid, or run gcloud auth "
            "application-default login; adelt doctor says more",
        )
    if reason in ("quotaExceeded", "rateLimitExceeded", "jobRateLimitExceeded"):
        return SourceError(
            f"a quota of BigQuery is used up: {text}",
            where=where,
            fix="wait and run it again; nothing was half loaded. Fewer tasks at a time: concurrency.tasks",
        )
    if reason == "bytesBilledLimitExceeded" or "bytes billed" in text:
        return InputError(
            f"it would cost more than allowed: {text}",
            where=where,
            fix=f"read fewer days, or raise max_bytes of the target ({warehouse.max_bytes})",
        )
    if isinstance(error, api.Forbidden):
        return InputError(
            f"not allowed: {text}",
            where=where,
            fix="grant the role that docs/roles.md lists; adelt doctor says which one is missing",
        )
    if isinstance(error, api.NotFound) and "location" in text:
        return InputError(
            text, where=where, fix=f"the target says location: {warehouse.location}; use that of the dataset"
        )
    if isinstance(
        error, api.ServerError | api.RetryError | requests.exceptions.RequestException | TimeoutError
    ):
        return SourceError(f"BigQuery did not answer: {text}", where=where, fix="run it again")
    return InputError(f"BigQuery refused: {text}", where=where, fix="adelt doctor checks the target")


def _reason(error: Exception) -> str:
    errors = getattr(error, "errors", None) or []
    return str(errors[0].get("reason", "")) if errors and isinstance(errors[0], Mapping) else ""


def _text(error: Exception) -> str:
    """What the service said, without the request's address and the job's id."""
    text = str(getattr(error, "message", "") or error)
    text = re.sub(r"^\d{3} ", "", text)
    text = re.sub(r"(POST|GET|PUT|PATCH|DELETE) https?://\S+: ", "", text)
    return " ".join(text.split("\n\n")[0].split())[:500]

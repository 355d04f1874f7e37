"""A folder of a Cloud Storage bucket, through Google's client."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests.exceptions
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption
from google.cloud.storage.retry import DEFAULT_RETRY

from adelt_sources.credentials import credentials
from adelt_sources.errors import InputError, SourceError
from adelt_sources.objects import Object, Tell, checksum, differs

SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)
CHUNK = 16 << 20  # bytes asked for or sent at a time; a multiple of 256 KiB, as uploads want it
SESSIONS = 3  # times that an upload is begun
TIMEOUT = 120  # seconds without an answer
# Names and contents make every request here one that can be sent twice; how long to go on trying, in seconds.
RETRY = DEFAULT_RETRY.with_timeout(120)
_NETWORK = (requests.exceptions.RequestException, ConnectionError, TimeoutError)


class Bucket:
    """A folder of a bucket."""

    def __init__(self, bucket: str, folder: str, impersonate: str = "") -> None:
        """No request is sent.

        Args:
            bucket: Its name.
            folder: Folder in it, without slashes at its ends; empty is the whole bucket.
            impersonate: Service account to act as.

        Raises:
            InputError: There are no credentials.
        """
        self._name, self._folder = bucket, f"{folder}/" if folder else ""
        # Without a project: objects have none, and credentials of a user may not say any.
        self._client = storage.Client(project=None, credentials=credentials(SCOPES, impersonate))
        self._bucket = self._client.bucket(bucket)

    @property
    def url(self) -> str:
        """`gs://bucket/folder`."""
        return f"gs://{self._name}/{self._folder}".rstrip("/")

    def list(self, prefix: str = "") -> list[Object]:
        """Every object whose name begins with `prefix`, at any depth, by name."""
        fields = "items(name,size,updated,crc32c),nextPageToken"
        with self._told(prefix):
            blobs = self._client.list_blobs(
                self._bucket, prefix=self._folder + prefix, fields=fields, retry=RETRY, timeout=TIMEOUT
            )
            return [self._object(blob) for blob in blobs if not blob.name.endswith("/")]

    def find(self, name: str) -> Object | None:
        """One object; None if it is not there."""
        with self._told(name):
            blob = self._bucket.get_blob(self._folder + name, retry=RETRY, timeout=TIMEOUT)
        return self._object(blob) if blob else None

    def read(self, name: str) -> bytes:
        """What is in a small object."""
        with self._told(name):
            return bytes(self._blob(name).download_as_bytes(retry=RETRY, timeout=TIMEOUT, checksum="crc32c"))

    def write(self, name: str, content: bytes) -> Object:
        """Write a small object in one go."""
        blob = self._blob(name)
        with self._told(name):
            blob.upload_from_string(
                content, "application/json", retry=RETRY, timeout=TIMEOUT, checksum="crc32c"
            )
        return self._object(blob)

    def get(self, name: str, target: Path, tell: Tell) -> None:
        """Copy an object to this machine range by range and compare checksums.

        A call that was cut off is gone on with: ranges that came are in a file beside the target whose name holds the
        object's generation, so that ranges of two versions are never put together.
        """
        where = f"{self.url}/{name}"
        with self._told(name):
            blob = self._bucket.get_blob(self._folder + name, retry=RETRY, timeout=TIMEOUT)
            if blob is None:
                raise _missing(where)
            source = self._blob(
                name
            )  # by its name: an address that a server makes up may be spelled otherwise
            part = target.with_name(f"{target.name}.{blob.generation}.part")
            with part.open("ab") as out:
                while (have := out.tell()) < blob.size:
                    out.write(
                        source.download_as_bytes(
                            start=have,
                            end=min(have + CHUNK, blob.size) - 1,
                            if_generation_match=blob.generation,
                            checksum=None,  # of the whole object only; compared below
                            retry=RETRY,
                            timeout=TIMEOUT,
                        )
                    )
                    tell(out.tell(), blob.size)
        if (found := checksum(part)) != blob.crc32c:
            part.unlink()
            raise differs(where, blob.crc32c, found)
        part.replace(target)

    def put(self, file: Path, name: str) -> Object:
        """Copy a file here; Cloud Storage compares the checksum before the object appears."""
        blob, told = self._blob(name), checksum(file)
        blob.chunk_size = CHUNK
        with self._told(name):
            for attempt in range(1, SESSIONS + 1):
                try:
                    blob.upload_from_filename(str(file), retry=RETRY, timeout=TIMEOUT, checksum="crc32c")
                    break
                except api.ClientError as error:
                    # An upload in chunks that was interrupted may be over, or be forgotten by the server.
                    if error.code not in (404, 410):
                        raise
                    blob = self._bucket.get_blob(self._folder + name, retry=RETRY, timeout=TIMEOUT)
                    if blob is not None and blob.crc32c == told:
                        break
                    if attempt == SESSIONS:
                        raise
                    blob = self._blob(name)
                    blob.chunk_size = CHUNK
        if told != blob.crc32c:
            blob.delete(retry=RETRY, timeout=TIMEOUT)
            raise differs(f"{self.url}/{name}", told, blob.crc32c)
        return self._object(blob)

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; one that is gone already does not matter."""
        for name in names:
            with self._told(name):
                try:
                    self._blob(name).delete(retry=RETRY, timeout=TIMEOUT)
                except api.NotFound:
                    continue

    def copy(self, name: str, target: "Bucket", target_name: str, tell: Tell) -> None:
        """Copy an object to another place of Cloud Storage without bringing it here; large ones go in several steps."""
        source, copy = self._blob(name), target._blob(target_name)
        with self._told(name):
            token, done, total = copy.rewrite(source, retry=RETRY, timeout=TIMEOUT)
            while token is not None:
                tell(done, total)
                token, done, total = copy.rewrite(source, token=token, retry=RETRY, timeout=TIMEOUT)
            tell(done, total)

    def _blob(self, name: str) -> Any:
        return self._bucket.blob(self._folder + name)

    def _object(self, blob: Any) -> Object:
        return Object(
            blob.name.removeprefix(self._folder), int(blob.size or 0), blob.updated, blob.crc32c or ""
        )

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Turn errors of Google's client into ours."""
        where = f"{self.url}/{name}"
        try:
            yield
        except auth.GoogleAuthError as error:
            raise InputError(
                f"the credentials do not work: {error}",
                where=where,
                fix="set GOOGLE_APPLICATION_CREDENTIALS to a key that is valid; adelt doctor says more",
            ) from error
        except api.NotFound as error:
            raise _missing(where) from error
        except (api.Forbidden, api.Unauthorized) as error:
            raise InputError(
                f"not allowed: {_text(error)}",
                where=where,
                fix="grant the role that docs/roles.md lists; adelt doctor says which one is missing",
            ) from error
        except DataCorruption as error:
            raise SourceError(
                f"the copy differs from the original: {_text(error)}",
                where=where,
                fix="nothing was changed; run it again",
            ) from error
        except (*_NETWORK, api.ServerError, api.TooManyRequests, api.RetryError) as error:
            raise SourceError(
                f"Cloud Storage did not answer: {_text(error)}", where=where, fix="run it again"
            ) from error
        except OSError as error:
            raise InputError(
                f"the copy cannot be written: {error.strerror or error}",
                where=str(error.filename or where),
                fix="is there space, and may this account write there?",
            ) from error
        except api.GoogleAPIError as error:
            raise InputError(
                f"Cloud Storage refused: {_text(error)}", where=where, fix="is the name right?"
            ) from error


def _missing(where: str) -> InputError:
    return InputError(
        "there is no such bucket or object", where=where, fix="is the name right? adelt does not make buckets"
    )


def _text(error: Exception) -> str:
    cause = getattr(error, "cause", None)
    return " ".join(str(getattr(error, "message", "") or cause or error).split())[:300]

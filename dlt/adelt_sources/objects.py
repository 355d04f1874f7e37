"""Files in a place: a folder of this machine, or a folder of a Cloud Storage bucket (`gs://bucket/folder`).

A file appears whole or not at all, and what was written is compared with what was sent by its crc32c.
"""

import base64
import contextlib
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import google_crc32c

from adelt_sources.errors import InputError, SourceError

_BLOCK = 1 << 20
_PART = ".adelt-part"  # what is still being written ends so

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Object:
    """One file of a place.

    Attributes:
        name: Its path below the place, with `/` between folders.
        size: Bytes.
        updated: When it was written.
        crc32c: Checksum in base64, as Cloud Storage gives it; empty where it would have to be computed.
    """

    name: str
    size: int
    updated: datetime
    crc32c: str = ""


class Place(Protocol):
    """A folder, here or in a bucket."""

    @property
    def url(self) -> str:
        """How to name it; ends without a slash."""

    def list(self, prefix: str = "") -> list[Object]:
        """Every file whose name begins with `prefix`, at any depth, by name."""

    def find(self, name: str) -> Object | None:
        """One file, with its checksum; None if it is not there."""

    def read(self, name: str) -> bytes:
        """What is in a small file."""

    def write(self, name: str, content: bytes) -> Object:
        """Write a small file in one go."""

    def get(self, name: str, target: Path, tell: Tell) -> None:
        """Copy a file to this machine and compare checksums; goes on where an earlier call was cut off."""

    def put(self, file: Path, name: str) -> Object:
        """Copy a file of this machine here and compare checksums."""

    def delete(self, names: Iterable[str]) -> None:
        """Delete files; one that is gone already does not matter."""


def place(url: str | Path, impersonate: str = "") -> Place:
    """The place that a URL or path names; nothing is read yet.

    Args:
        url: `gs://bucket/folder`, or a path.
        impersonate: Service account to act as in Cloud Storage; empty acts as the credentials themselves.

    Raises:
        InputError: It is neither.
    """
    text = str(url)
    if text.startswith("gs://"):
        from adelt_sources.bucket import Bucket

        name, _, folder = text.removeprefix("gs://").partition("/")
        if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{1,220}[a-z0-9]", name):
            raise InputError(f"`{name}` is no bucket", where=text, fix="write gs://BUCKET/FOLDER")
        return Bucket(name, folder.strip("/"), impersonate)
    if "://" in text:
        raise InputError(
            f"`{text}` is neither a path nor in Cloud Storage", where=text, fix="gs://... or a path"
        )
    return Folder(Path(text))


def split(url: str) -> tuple[str, str]:
    """Folder and name of a file: `gs://b/x/y.csv` is `gs://b/x` and `y.csv`.

    Raises:
        InputError: It names no file.
    """
    folder, _, name = url.rpartition("/")
    if not name or folder in ("gs:/", "gs:"):
        raise InputError(f"`{url}` names no file", where=url, fix="write gs://BUCKET/FOLDER/FILE or a path")
    return folder or ("/" if url.startswith("/") else "."), name


def checksum(file: Path) -> str:
    """The crc32c of a file in base64, as Cloud Storage gives it."""
    total = 0
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            total = google_crc32c.extend(total, block)
    return base64.b64encode(total.to_bytes(4, "big")).decode()


def differs(where: str, told: str, found: str) -> SourceError:
    """The error for a copy that is not what was sent."""
    return SourceError(
        f"the copy differs from the original: crc32c {found}, expected {told}",
        where=where,
        fix="nothing was changed; run it again",
    )


class Folder:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()

    @property
    def url(self) -> str:
        """Its path."""
        return str(self._path)

    def list(self, prefix: str = "") -> list[Object]:
        """Every file whose name begins with `prefix`, at any depth, by name."""
        start = self._path / prefix.rpartition("/")[0]
        found = []
        for path in start.rglob("*") if start.is_dir() else ():
            name = path.relative_to(self._path).as_posix()
            if name.startswith(prefix) and not name.endswith(_PART) and path.is_file():
                found.append(self._object(name))
        return sorted(found, key=lambda one: one.name)

    def find(self, name: str) -> Object | None:
        """One file, with its checksum; None if it is not there."""
        return self._object(name, summed=True) if self._at(name).is_file() else None

    def read(self, name: str) -> bytes:
        """What is in a small file."""
        with self._told(name):
            return self._at(name).read_bytes()

    def write(self, name: str, content: bytes) -> Object:
        """Write a small file in one go."""
        with self._told(name), self._appearing(name) as part:
            part.write_bytes(content)
        return self._object(name, summed=True)

    def get(self, name: str, target: Path, tell: Tell) -> None:
        """Copy a file and compare checksums."""
        with self._told(name):
            shutil.copyfile(self._at(name), target)
            told = checksum(self._at(name))
        if (found := checksum(target)) != told:
            raise differs(f"{self.url}/{name}", told, found)
        tell(target.stat().st_size, target.stat().st_size)

    def put(self, file: Path, name: str) -> Object:
        """Copy a file here and compare checksums."""
        told = checksum(file)
        with self._told(name), self._appearing(name) as part:
            shutil.copyfile(file, part)
            if (found := checksum(part)) != told:
                raise differs(f"{self.url}/{name}", told, found)
        return self._object(name, summed=True)

    def delete(self, names: Iterable[str]) -> None:
        """Delete files and the folders that are empty then."""
        for name in names:
            path = self._at(name)
            with self._told(name):
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not empty
                for folder in path.parents:
                    if folder == self._path:
                        break
                    folder.rmdir()

    def _at(self, name: str) -> Path:
        """Where a file is; names come from manifests, too, and must not lead out of the folder."""
        if name.startswith("/") or ".." in name.split("/"):
            raise InputError(
                f"`{name}` leads out of the folder", where=self.url, fix="was a manifest changed?"
            )
        return self._path / name

    def _object(self, name: str, *, summed: bool = False) -> Object:
        path = self._at(name)
        facts = path.stat()
        updated = datetime.fromtimestamp(facts.st_mtime, UTC)
        return Object(name, facts.st_size, updated, checksum(path) if summed else "")

    @contextlib.contextmanager
    def _appearing(self, name: str) -> Iterator[Path]:
        """A file to write that takes its name when the block is over."""
        path = self._at(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + _PART)
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _told(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"the file cannot be used: {error.strerror or error}",
                where=f"{self.url}/{name}",
                fix="is the path right, is there space, and may this account read and write it?",
            ) from error

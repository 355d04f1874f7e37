"""Find Entity Read Files: in Google's buckets, or in an archive (any fsspec URL or folder, also gzipped).

Layout: `gs://gdbm-public/entity/<YYYYMMDD>.<batch>.<Type>.json` and `gs://gdbm-<partner>/entity/...`. Archives are kept
in many ways: the partner may be any folder of the path (`1001/`, `gdbm-1001/`), with or without `entity/`; a flat folder
belongs to the one partner that is asked for.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import fsspec

from adelt_sources.catalog import TableSpec
from adelt_sources.credentials import credentials, refreshed
from adelt_sources.errors import InputError, SourceError
from adelt_sources.google import poll, retrying
from adelt_sources.run import Progress, Run

PUBLIC = 0  # the account of public files

_NAME = re.compile(r"(?P<day>\d{8})\.(?P<batch>\d+)\.(?P<type>\w+)\.json(?:\.gz)?$")
_FOLDER = re.compile(r"^(?:gdbm-)?(?P<account>\d+|public)$")
_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_only",)
_CHUNK = 16 << 20


@dataclass(frozen=True)
class ErfFile:
    """One file of one day, account and entity type.

    Attributes:
        path: Path in its file system.
        day: File date.
        account: Partner id, 0 for public files.
        batch: Shard number, from 0.
        type: Entity type, for example `LineItem`.
    """

    path: str
    day: date
    account: int
    batch: int
    type: str


class ErfStore:
    """Where the files are: buckets or an archive."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._archive = run.params.get("archive", "")
        url = self._archive or "gs://"
        # A cached file system would keep the endpoint and the credentials of the process's first use.
        options = {"skip_instance_cache": True}
        if run.impersonate and url.startswith("gs://"):
            options["token"] = credentials(_SCOPES, run.impersonate)
            refreshed(options["token"], run.impersonate)  # gcsfs retries a refusal for a minute
        try:
            self._fs, root = fsspec.core.url_to_fs(url, **options)
        except (ImportError, ValueError) as error:
            raise InputError(
                f"the archive cannot be opened: {error}",
                where=url,
                fix="a folder, or a URL that fsspec can read",
            ) from error
        self._root = root.rstrip("/")
        self._local = "file" in _protocols(self._fs)
        if self._local and not Path(self._root).exists():
            raise InputError("there is no such archive", where=self._root, fix="check -p archive=...")

    def files(self, spec: TableSpec, accounts: list[int]) -> list[ErfFile]:
        """Files of the table for every day of the window and every account, in order.

        Raises:
            SourceError: A day has no file, or a batch is missing between others.
        """
        kind = spec.facts["entity"]
        if not self._archive and self._run.flag("wait_for_summary"):
            for account in accounts:
                self._wait_for_summary(account)
        found = self._listing(spec, accounts)
        chosen: list[ErfFile] = []
        for day in self._run.days:
            for account in accounts:
                files = sorted(
                    (f for f in found if (f.day, f.account, f.type) == (day, account, kind)),
                    key=lambda f: f.batch,
                )
                self._check_complete(files, spec, day, account)
                chosen += files
        return chosen

    def accounts(self) -> list[int]:
        """Partners that the archive has files of, in order (0, public, is not one)."""
        return sorted({file.account for file in self._archived(PUBLIC)} - {PUBLIC}) if self._archive else []

    def fetch(self, file: ErfFile, folder: Path) -> tuple[Path, int]:
        """A local copy of a file (a local archive is read in place) and its size in bytes.

        Raises:
            SourceError: The copy differs from the checksum of the object.
        """
        if self._local:
            path = Path(file.path)
            return path, path.stat().st_size
        info = self._try(lambda: self._fs.info(file.path), file.path)
        size, digest = int(info["size"]), hashlib.md5(usedforsecurity=False)
        target = folder / f"{file.account}.{Path(file.path).name}"
        with target.open("wb") as out:
            while out.tell() < size:
                start = out.tell()
                end = min(size, start + _CHUNK)
                block = self._try(lambda s=start, e=end: self._range(file.path, s, e), file.path)
                digest.update(block)
                out.write(block)
                self._run.tell(Progress("fetch", f"reading {file.path}", bytes=out.tell(), total_bytes=size))
        told = info.get("md5Hash")
        if told and base64.b64decode(told) != digest.digest():
            raise SourceError(
                "the download differs from the object's md5", where=file.path, fix="run it again"
            )
        return target, size

    def _range(self, path: str, start: int, end: int) -> bytes:
        block: bytes = self._fs.cat_file(path, start=start, end=end)
        if len(block) != end - start:
            raise ConnectionError(f"{len(block)} of {end - start} bytes came")
        return block

    def _listing(self, spec: TableSpec, accounts: list[int]) -> list[ErfFile]:
        if self._archive:
            return self._archived(accounts[0] if len(accounts) == 1 else None)
        found: list[ErfFile] = []
        for account in accounts:
            folder = f"{_bucket(account)}/entity"
            for day in self._run.days:
                pattern = f"{folder}/{day:%Y%m%d}.*.{spec.facts['entity']}.json"
                for path in self._try(lambda p=pattern: self._fs.glob(p), f"gs://{folder}"):
                    found += _parse(path, account)
        return found

    def _archived(self, flat: int | None) -> list[ErfFile]:
        paths = self._try(lambda: self._fs.find(self._root), self._root)
        found: list[ErfFile] = []
        for path in paths:
            folders = [m["account"] for part in Path(path).parts[:-1] if (m := _FOLDER.match(part))]
            account = flat if not folders else PUBLIC if folders[-1] == "public" else int(folders[-1])
            if account is not None:
                found += _parse(path, account)
        return found

    def _check_complete(self, files: list[ErfFile], spec: TableSpec, day: date, account: int) -> None:
        name = f"{day:%Y%m%d}.*.{spec.facts['entity']}.json"
        where = (
            f"{self._root or 'gs:/'}/{_bucket(account)}/entity/{name}" if not self._archive else self._root
        )
        if not files:
            who = "public files" if account == PUBLIC else f"partner {account}"
            raise SourceError(
                f"there is no {name} of {who}",
                where=where,
                fix="Google ended the feed on 2024-10-31 and kept files for 60 days; name an archive with -p archive=..."
                if not self._archive
                else "the archive does not hold that day; choose another window",
                exit_code=1 if not self._archive else 2,
            )
        batches = [file.batch for file in files]
        if batches != list(range(len(batches))):
            raise SourceError(
                f"batches of {name} are {batches}, expected 0 to {max(batches)} without gaps, each once",
                where=where,
                fix="complete the files of that day; nothing was loaded",
            )

    def _wait_for_summary(self, account: int) -> None:
        for day in self._run.days:
            path = f"{_bucket(account)}/entity/{day:%Y%m%d}.0.summary.json"

            def there(path: str = path) -> bool | None:
                self._fs.invalidate_cache()
                return self._try(lambda: self._fs.exists(path), path) or None

            poll(self._run, there, f"{path} to appear", f"gs://{path}")

    def _try(self, call: Any, where: str) -> Any:
        def attempt() -> Any:
            try:
                return call()
            except FileNotFoundError as error:
                raise SourceError(
                    "there is no such bucket or file",
                    where=where,
                    fix="check partner ids and the window",
                    exit_code=2,
                ) from error
            except PermissionError as error:
                raise _forbidden(where) from error
            except Exception as error:  # gcsfs has its own HttpError, with a code
                code = getattr(error, "code", None)
                if (
                    code in (401, 403)
                    and "quota" not in str(error).lower()
                    and "rate" not in str(error).lower()
                ):
                    raise _forbidden(where) from error
                if code is not None and not isinstance(error, OSError):
                    raise ConnectionError(f"{code} {error}") from error
                raise

        return retrying(attempt, self._run, where)


def _forbidden(where: str) -> InputError:
    return InputError(
        "the bucket may not be read",
        where=where,
        fix="add the account to the Google Group that the partner lists for Entity Read Files",
    )


def _parse(path: str, account: int) -> Iterable[ErfFile]:
    match = _NAME.search(path)
    if match:
        day = date.fromisoformat(f"{match['day'][:4]}-{match['day'][4:6]}-{match['day'][6:]}")
        yield ErfFile(path, day, account, int(match["batch"]), match["type"])


def _bucket(account: int) -> str:
    return "gdbm-public" if account == PUBLIC else f"gdbm-{account}"


def _protocols(fs: Any) -> tuple[str, ...]:
    protocol = fs.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)

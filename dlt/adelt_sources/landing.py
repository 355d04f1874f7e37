"""Evidence: the files as a source gave them, kept so that they can be parsed again without asking the source.

    <landing>/<source>/<table>/dt=<first day of the window>/<run id>/<first>_<last>.<hash>.manifest.json
    <landing>/<source>/<table>/dt=<first day of the window>/<run id>/<hash>.<name>.gz

A run's files are there before its manifest, the manifest before anything is parsed: files without a manifest are what a
killed run left. The days in the manifest's name let a reader find a window without opening every manifest; the hash is
that of the parameters, so that tasks of one run that bring the same table for different accounts keep apart.
"""

import gzip
import hashlib
import json
import re
import shutil
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

from adelt_sources.catalog import TableSpec
from adelt_sources.errors import SourceError
from adelt_sources.objects import Place, place
from adelt_sources.run import Evidence, Progress, Run, downloaded
from adelt_sources.scope import Scope

VERSION = 1
Status = Literal["fetched", "loaded", "refused"]
_GZIP_LEVEL = 5  # half the time of the default for 2 % more bytes
_BLOCK = 1 << 20
_MANIFEST = re.compile(
    r"(?:.*/)?dt=[\d-]+/(?P<run>[^/]+)/(?P<first>\d{4}-\d\d-\d\d)_(?P<last>\d{4}-\d\d-\d\d)\.\w+\.manifest\.json"
)


@dataclass(frozen=True)
class Landing:
    """Where evidence is kept.

    Attributes:
        url: `gs://bucket/folder`, or a path.
        impersonate: Service account to act as in Cloud Storage; empty acts as the credentials themselves.
    """

    url: str
    impersonate: str = ""

    def place(self) -> Place:
        """The folder."""
        return place(self.url, self.impersonate)


@dataclass(frozen=True)
class KeptFile:
    """One file of a run's evidence.

    Attributes:
        name: Its name beside the manifest.
        original: The name it came under.
        bytes: Its size as it came.
        sha256: Its checksum as it came.
        stored_bytes: Its size here.
        crc32c: Its checksum here, in base64.
        facts: What is needed, beside the file, to parse it.
    """

    name: str
    original: str
    bytes: int
    sha256: str
    stored_bytes: int
    crc32c: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Kept:
    """The evidence of one table of one run: what the manifest says.

    Attributes:
        path: Name of the manifest below the landing place.
        source: Source.
        table: Table of the source.
        run_id: The run.
        start: First day of its window.
        end: Day after the last day of its window.
        params: Parameters of the source.
        fetched_at: When the run began, in ISO form; the newest evidence of a day is what counts.
        accounts: Accounts whose rows the files stand for.
        first: First day whose rows the files stand for.
        last: Last day.
        files: The files.
        status: `fetched`, `loaded` or `refused`.
        message: Why it was refused.
        rows: Rows that were loaded.
    """

    path: str
    source: str
    table: str
    run_id: str
    start: date
    end: date
    params: Mapping[str, str]
    fetched_at: str
    accounts: tuple[int, ...]
    first: date
    last: date
    files: tuple[KeptFile, ...]
    status: Status = "fetched"
    message: str = ""
    rows: int | None = None

    @property
    def bytes(self) -> int:
        """Size of the files as they came."""
        return sum(file.bytes for file in self.files)


class Keeper:
    """Keeps the evidence of one run, whose `keeper` is `keep`.

    Attributes:
        kept: What was kept; None until then.
    """

    def __init__(self, landing: Landing, spec: TableSpec) -> None:
        """Nothing is opened yet."""
        self._landing, self._spec = landing, spec
        self._place: Place | None = None
        self.kept: Kept | None = None

    def keep(self, run: Run, files: Sequence[Evidence], scope: Scope) -> None:
        """Copy the files to the landing place, the manifest last.

        Args:
            run: The run.
            files: Its files.
            scope: The rows they stand for.

        Raises:
            SourceError: The place cannot be written; nothing has been loaded.
        """
        spec = self._spec
        assert scope.between is not None
        _, first, last = scope.between
        mark = hashlib.sha256(json.dumps(sorted(run.params.items())).encode()).hexdigest()[:8]
        folder = f"{spec.source}/{spec.name}/dt={run.start}/{run.id}"
        self._place = self._landing.place()
        stored: list[KeptFile] = []
        for number, file in enumerate(files):
            run.tell(Progress("keep", f"keeping {file.path.name}", bytes=file.path.stat().st_size))
            taken = {one.original for one in stored}
            original = file.path.name if file.path.name not in taken else f"{number}.{file.path.name}"
            stored.append(_store(self._place, folder, mark, original, file, run.work_dir))
        self.kept = Kept(
            path=f"{folder}/{first}_{last}.{mark}.manifest.json",
            source=spec.source,
            table=spec.name,
            run_id=run.id,
            start=run.start,
            end=run.end,
            params=dict(run.params),
            fetched_at=run.started_at.isoformat(),
            accounts=tuple(int(account) for account in scope.equal.get(spec.account, ())),  # type: ignore[arg-type]
            first=first,
            last=last,
            files=tuple(stored),
        )
        _write(self._place, self.kept)

    def settle(self, status: Status, *, rows: int | None = None, message: str = "") -> None:
        """Write down what became of the evidence.

        Raises:
            SourceError: The manifest cannot be written; it says `fetched` then.
        """
        if self.kept and self._place:
            settle(self._place, self.kept, status, rows=rows, message=message)


def settle(here: Place, kept: Kept, status: Status, *, rows: int | None = None, message: str = "") -> None:
    """Write down what became of evidence.

    Raises:
        SourceError: The manifest cannot be written.
    """
    _write(here, replace(kept, status=status, rows=rows, message=message))


def find(here: Place, spec: TableSpec, first: date, last: date, run_id: str = "") -> list[Kept]:
    """The evidence of a table that has something of the days `first` to `last`, oldest first.

    Args:
        here: The landing place.
        spec: The table.
        first: First day.
        last: Last day.
        run_id: Only that of this run; empty is every run.

    Raises:
        SourceError: The place cannot be read, or a manifest is not one.
    """
    found = []
    for one in here.list(f"{spec.source}/{spec.name}/dt="):
        match = _MANIFEST.fullmatch(one.name)
        if match is None or (run_id and match["run"] != run_id):
            continue
        if date.fromisoformat(match["first"]) <= last and date.fromisoformat(match["last"]) >= first:
            found.append(_read(here, one.name))
    return sorted(found, key=lambda kept: (kept.fetched_at, kept.path))


def fetch(here: Place, kept: Kept, folder: Path) -> list[Evidence]:
    """Local copies of the files as they came.

    Args:
        here: The landing place.
        kept: The evidence.
        folder: Folder for the copies.

    Raises:
        SourceError: A file is gone or not what was kept.
    """
    return [_fetched(here, kept, file, folder) for file in kept.files]


def _store(here: Place, folder: str, mark: str, original: str, file: Evidence, temp: Path) -> KeptFile:
    name, packed = f"{mark}.{original}", file.path
    is_packed = original.endswith(".gz")
    if not is_packed:
        name, packed = f"{name}.gz", temp / f"{name}.gz"
        _pack(file.path, packed)
    stored = here.put(packed, f"{folder}/{name}")
    if not is_packed:
        packed.unlink()
    came = downloaded(file.path)
    return KeptFile(name, original, came.bytes, came.sha256, stored.size, stored.crc32c, file.facts)


def _pack(file: Path, target: Path) -> None:
    # No name and no time in it: the same content is the same object.
    with (
        file.open("rb") as content,
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0) as out,
    ):
        shutil.copyfileobj(content, out, _BLOCK)


def _fetched(here: Place, kept: Kept, file: KeptFile, folder: Path) -> Evidence:
    name = f"{kept.path.rpartition('/')[0]}/{file.name}"
    packed, target = folder / file.name, folder / file.original
    here.get(name, packed, lambda *_: None)
    if file.name.endswith(f"{file.original}.gz"):
        try:
            with gzip.open(packed, "rb") as content, target.open("wb") as out:
                shutil.copyfileobj(content, out, _BLOCK)
        except (OSError, EOFError, zlib.error) as error:
            raise _corrupt(here, name, f"it cannot be unpacked ({error})") from error
        packed.unlink()
    else:
        packed.replace(target)
    found = downloaded(target).sha256
    if found != file.sha256:
        raise _corrupt(here, name, f"sha256 is {found}, {file.sha256} was kept")
    return Evidence(target, file.facts)


def _corrupt(here: Place, name: str, why: str) -> SourceError:
    return SourceError(
        f"the evidence is not what was kept: {why}",
        where=f"{here.url}/{name}",
        fix="nothing was changed; ask the source again with adelt ingest, or restore the object",
        exit_code=2,
    )


def _write(here: Place, kept: Kept) -> None:
    body = {
        "version": VERSION,
        "status": kept.status,
        "message": kept.message,
        "source": kept.source,
        "table": kept.table,
        "run_id": kept.run_id,
        "window": {"start": kept.start.isoformat(), "end": kept.end.isoformat()},
        "params": dict(kept.params),
        "fetched_at": kept.fetched_at,
        "rows": kept.rows,
        "replaces": {
            "accounts": list(kept.accounts),
            "first": kept.first.isoformat(),
            "last": kept.last.isoformat(),
        },
        "files": [{**vars(file), "facts": dict(file.facts)} for file in kept.files],
    }
    here.write(kept.path, json.dumps(body, indent=1).encode())


def _read(here: Place, path: str) -> Kept:
    try:
        body = json.loads(here.read(path))
        if body["version"] != VERSION:
            raise ValueError(f"version {body['version']}")
        names = [file[key] for file in body["files"] for key in ("name", "original")]
        if bad := [name for name in names if "/" in name or name in ("", ".", "..")]:
            raise ValueError(f"`{bad[0]}` is no file name")
        return Kept(
            path=path,
            source=body["source"],
            table=body["table"],
            run_id=body["run_id"],
            start=date.fromisoformat(body["window"]["start"]),
            end=date.fromisoformat(body["window"]["end"]),
            params=body["params"],
            fetched_at=body["fetched_at"],
            accounts=tuple(body["replaces"]["accounts"]),
            first=date.fromisoformat(body["replaces"]["first"]),
            last=date.fromisoformat(body["replaces"]["last"]),
            files=tuple(KeptFile(**file) for file in body["files"]),
            status=body["status"],
            message=body["message"],
            rows=body["rows"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"the manifest cannot be read: {error!r}",
            where=f"{here.url}/{path}",
            fix="was it changed by hand, or written by another version of adelt?",
            exit_code=2,
        ) from error

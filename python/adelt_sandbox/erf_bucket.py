"""Entity read files: the buckets `gdbm-public` and `gdbm-<partner>`, read only, made when first asked for."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from adelt_sandbox import spool
from adelt_sandbox.clock import Clock, format_instant
from adelt_sandbox.universe import Universe

PUBLIC = "gdbm-public"
KEPT_DAYS = 60
TABLES_AT = time(5, 0, tzinfo=UTC)
SUMMARY_AT = time(5, 30, tzinfo=UTC)
SUMMARY = "summary"


@dataclass(frozen=True)
class ErfFile:
    """One file of a bucket, before it is made."""

    bucket: str
    day: date
    batch: int
    batches: int
    entity_type: str

    @property
    def name(self) -> str:
        """Object name."""
        return f"entity/{self.day:%Y%m%d}.{self.batch}.{self.entity_type}.json"

    @property
    def created(self) -> datetime:
        """When it appears: tables first, the summary after all of them."""
        return datetime.combine(self.day, SUMMARY_AT if self.entity_type == SUMMARY else TABLES_AT)

    @property
    def generation(self) -> int:
        """A number that stays the same for the same file."""
        return int(self.created.timestamp()) * 1_000_000 + self.batch

    @property
    def partner_id(self) -> int | None:
        """Partner of a private file."""
        return None if self.bucket == PUBLIC else int(self.bucket.removeprefix("gdbm-"))


class ErfBuckets:
    """Lists and makes entity read files from the world."""

    def __init__(self, universe: Universe, clock: Clock, folder: Path, seed: int, until: date) -> None:
        self._universe = universe
        self._clock = clock
        self._folder = folder
        self._seed = seed
        self._until = until
        self._lock = threading.Lock()
        self._made: dict[ErfFile, spool.Spooled] = {}
        self._layouts: tuple[Callable[[list[Any]], Iterator[bytes]], ...] = (_lines, _single, _pretty)

    def owns(self, bucket: str) -> bool:
        """True for the buckets that hold entity read files."""
        return bucket == PUBLIC or bucket in {f"gdbm-{partner}" for partner in self._universe.partner_ids}

    def files(self, bucket: str, prefix: str = "") -> list[ErfFile]:
        """Files that exist at the time of the clock, by name."""
        types = self._universe.world.erf_types()["public" if bucket == PUBLIC else "private"]
        found = []
        for back in range(KEPT_DAYS):
            day = self._until - timedelta(days=back)
            stem = f"entity/{day:%Y%m%d}."
            if not (stem.startswith(prefix) or prefix.startswith(stem)):
                continue
            found.append(ErfFile(bucket, day, 0, 1, SUMMARY))
            partner = found[-1].partner_id
            for entity_type in types:
                count = self._universe.world.erf_batches(entity_type, day, partner)
                found += [ErfFile(bucket, day, index, count, entity_type) for index in range(count)]
        now = self._clock.now
        visible = [file for file in found if file.created <= now and file.name.startswith(prefix)]
        return sorted(visible, key=lambda file: file.name)

    def find(self, bucket: str, name: str) -> ErfFile | None:
        """One file by its name."""
        return next((file for file in self.files(bucket, name) if file.name == name), None)

    def made(self, file: ErfFile) -> spool.Spooled:
        """The content of a file, made if it is not yet there."""
        with self._lock:
            if file not in self._made:
                path = self._folder / file.bucket / Path(file.name).name
                self._made[file] = spool.write(path, self._content(file))
            return self._made[file]

    def resource(self, file: ErfFile, base_url: str) -> dict[str, Any]:
        """The JSON resource of a file."""
        content, created = self.made(file), format_instant(file.created)
        encoded = file.name.replace("/", "%2F")
        return {
            "kind": "storage#object",
            "id": f"{file.bucket}/{file.name}/{file.generation}",
            "selfLink": f"{base_url}/storage/v1/b/{file.bucket}/o/{encoded}",
            "mediaLink": f"{base_url}/download/storage/v1/b/{file.bucket}/o/{encoded}"
            f"?generation={file.generation}&alt=media",
            "name": file.name,
            "bucket": file.bucket,
            "generation": str(file.generation),
            "metageneration": "1",
            "contentType": "application/json",
            "storageClass": "STANDARD",
            "size": str(content.size),
            "md5Hash": content.md5,
            "crc32c": content.crc32c,
            "etag": f"CL{file.generation % 10**12:X}",
            "timeCreated": created,
            "updated": created,
            "timeStorageClassUpdated": created,
        }

    def bucket_resource(self, bucket: str, base_url: str) -> dict[str, Any]:
        """The JSON resource of a bucket."""
        created = format_instant(datetime(2024, 1, 1, tzinfo=UTC))
        return {
            "kind": "storage#bucket",
            "id": bucket,
            "selfLink": f"{base_url}/storage/v1/b/{bucket}",
            "projectNumber": "1234",
            "name": bucket,
            "location": "US",
            "locationType": "multi-region",
            "storageClass": "STANDARD",
            "metageneration": "1",
            "etag": "CAE=",
            "timeCreated": created,
            "updated": created,
        }

    def _content(self, file: ErfFile) -> Iterator[bytes]:
        world = self._universe.world
        if file.entity_type == SUMMARY:
            types = world.erf_types()["public" if file.bucket == PUBLIC else "private"]
            rows: list[Any] = [
                {"entity_type": name, "file_count": world.erf_batches(name, file.day, file.partner_id)}
                for name in types
            ]
        else:
            every = world.erf(file.entity_type, file.day, file.partner_id)
            share = -(-len(every) // file.batches)
            rows = every[file.batch * share : (file.batch + 1) * share]
        # The layout of the real files is not known; readers must cope with all of them.
        digest = hashlib.sha256(f"{self._seed}|{file.entity_type}".encode()).digest()
        return self._layouts[digest[0] % len(self._layouts)](rows)


def _lines(rows: list[Any]) -> Iterator[bytes]:
    yield b"["
    for index, row in enumerate(rows):
        yield (b",\n" if index else b"\n") + _dump(row)
    yield b"\n]\n"


def _single(rows: list[Any]) -> Iterator[bytes]:
    yield b"["
    for index, row in enumerate(rows):
        yield (b"," if index else b"") + _dump(row)
    yield b"]"


def _pretty(rows: list[Any]) -> Iterator[bytes]:
    yield json.dumps(rows, indent=2, ensure_ascii=False).encode() + b"\n"


def _dump(row: Any) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()

"""Files on disk with their checksums, written chunk by chunk."""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import google_crc32c


@dataclass(frozen=True)
class Spooled:
    """A finished file and what a server says about it."""

    path: Path
    size: int
    md5: str
    crc32c: str

    @property
    def etag(self) -> str:
        """The MD5 in hexadecimal, as Cloud Storage uses it for simple objects."""
        return base64.b64decode(self.md5).hex()


def write(path: Path, chunks: Iterable[bytes]) -> Spooled:
    """Write chunks to a file; the file appears under its name only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    md5, crc, size = hashlib.md5(usedforsecurity=False), google_crc32c.Checksum(), 0  # type: ignore[no-untyped-call]
    with partial.open("wb") as out:
        for chunk in chunks:
            out.write(chunk)
            md5.update(chunk)
            crc.update(chunk)  # type: ignore[no-untyped-call]
            size += len(chunk)
    partial.replace(path)
    return Spooled(
        path,
        size,
        base64.b64encode(md5.digest()).decode(),
        base64.b64encode(crc.digest()).decode(),  # type: ignore[no-untyped-call]
    )

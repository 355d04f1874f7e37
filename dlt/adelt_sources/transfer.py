"""Copy one file from one place to another.

Between two buckets Cloud Storage copies; everything else goes through this machine, in ranges that an interrupted copy
goes on from.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from adelt_sources.errors import InputError
from adelt_sources.objects import Folder, Place, Tell, differs


@dataclass(frozen=True)
class Copied:
    """A file that is at its target.

    Attributes:
        bytes: Its size.
        crc32c: Its checksum in base64, the same at both ends.
        was_there: Whether it had been copied before.
    """

    bytes: int
    crc32c: str
    was_there: bool


def transfer(source: Place, name: str, target: Place, target_name: str, work_dir: Path, tell: Tell) -> Copied:
    """Copy a file, unless one with the same size and checksum is there already.

    Args:
        source: Where it is.
        name: Its name there.
        target: Where it goes.
        target_name: Its name there.
        work_dir: Folder for what has come so far; the next call goes on from it.
        tell: Called with bytes done and bytes in all.

    Raises:
        InputError: There is no such file.
        SourceError: The copy differs from the original, or a place did not answer.
    """
    found = source.find(name)
    if found is None:
        raise InputError("there is no such file", where=f"{source.url}/{name}", fix="is the name right?")
    there = target.find(target_name)
    if there is not None and (there.size, there.crc32c) == (found.size, found.crc32c):
        return Copied(found.size, found.crc32c, was_there=True)
    if not _copied_inside(source, name, target, target_name, tell):
        _through_here(source, name, target, target_name, work_dir, tell)
    there = target.find(target_name)
    if there is None or there.crc32c != found.crc32c:
        raise differs(f"{target.url}/{target_name}", found.crc32c, there.crc32c if there else "missing")
    return Copied(found.size, found.crc32c, was_there=False)


def _copied_inside(source: Place, name: str, target: Place, target_name: str, tell: Tell) -> bool:
    """Whether both are in Cloud Storage, which has copied the file then."""
    if isinstance(source, Folder) or isinstance(target, Folder):
        return False
    from adelt_sources.bucket import Bucket

    assert isinstance(source, Bucket)
    assert isinstance(target, Bucket)
    source.copy(name, target, target_name, tell)
    return True


def _through_here(
    source: Place, name: str, target: Place, target_name: str, work_dir: Path, tell: Tell
) -> None:
    if isinstance(source, Folder):
        target.put(Path(source.url) / name, target_name)
        return
    work_dir.mkdir(parents=True, exist_ok=True)
    # The same transfer finds what its last try has brought.
    mark = hashlib.sha256(f"{source.url}/{name} {target.url}/{target_name}".encode()).hexdigest()[:16]
    local = work_dir / mark
    source.get(name, local, tell)
    target.put(local, target_name)
    local.unlink()

"""Send files with Range, the way resumable downloads need it."""

import re

from adelt_sandbox.errors import GoogleError
from adelt_sandbox.http import Call, FilePart, Reply
from adelt_sandbox.spool import Spooled

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte asked for; None means the whole file, as for a header that is no single range."""
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if not match or match[0] == "bytes=-":
        return None
    if not match[1]:
        length = min(int(match[2]), size)
        start, end = size - length, size - 1
    else:
        start = int(match[1])
        end = min(int(match[2]), size - 1) if match[2] else size - 1
        if match[2] and int(match[2]) < start:
            return None
    if start >= size or start > end:
        raise GoogleError(416, "Request range not satisfiable", headers={"Content-Range": f"bytes */{size}"})
    return start, end


def send_file(call: Call, file: Spooled, content_type: str, headers: dict[str, str] | None = None) -> Reply:
    """The file, or the part of it that the Range header names."""
    common = {
        "Content-Type": content_type,
        "Accept-Ranges": "bytes",
        "ETag": f'"{file.etag}"',
        "X-Goog-Hash": f"crc32c={file.crc32c},md5={file.md5}",
        "X-Goog-Stored-Content-Length": str(file.size),
        **(headers or {}),
    }
    wanted = call.header("range")
    if_range = call.header("if-range")
    if if_range and if_range != common["ETag"]:
        wanted = ""
    span = byte_range(wanted, file.size) if wanted else None
    if span is None:
        return Reply(200, common, part=FilePart(file.path, 0, file.size))
    start, end = span
    common["Content-Range"] = f"bytes {start}-{end}/{file.size}"
    return Reply(206, common, part=FilePart(file.path, start, end - start + 1))

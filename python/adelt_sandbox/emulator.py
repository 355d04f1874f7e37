"""gcp-storage-emulator inside this process: its router without its server."""

import base64
import hashlib
import io
import threading
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import google_crc32c
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers.objects import _make_object_resource
from gcp_storage_emulator.server import Router
from gcp_storage_emulator.settings import STORAGE_DIR
from gcp_storage_emulator.storage import Storage as Store

from adelt_sandbox.http import Call, Reply


class Emulator:
    """The buckets users make; one request at a time, as the emulator expects."""

    def __init__(self, folder: Path) -> None:
        self._lock = threading.RLock()
        self._store = Store(data_dir=str(folder.resolve()))
        self._root = folder.resolve() / STORAGE_DIR
        self._adopted: dict[tuple[str, str], tuple[int, int]] = {}

    def answer(self, call: Call) -> Reply:
        """Let the emulator answer a request."""
        exchange = _Exchange(call, self._store)
        with self._lock:
            Router(exchange).handle(call.method)
        return exchange.reply()

    def adopt(self, bucket: str) -> None:
        """Know the files that another process wrote into a bucket's folder, as BigQuery's exports are."""
        with self._lock:
            known = self._store.objects.setdefault(bucket, {})
            for path in sorted(Path(self._root, bucket).rglob("*")):
                name = path.relative_to(self._root / bucket).as_posix()
                if not path.is_file() or (name in known and (bucket, name) not in self._adopted):
                    continue
                facts = path.stat()
                version = (facts.st_mtime_ns, facts.st_size)
                if name not in known or self._adopted[bucket, name] != version:
                    known[name] = _resource(bucket, name, path.read_bytes())
                    self._adopted[bucket, name] = version

    def has_bucket(self, bucket: str) -> bool:
        """True if a bucket exists."""
        return bucket in self._store.buckets

    def find(self, bucket: str, name: str) -> dict[str, Any] | None:
        """The resource of an object, if it exists."""
        try:
            found: dict[str, Any] = self._store.get_file_obj(bucket, name)
        except NotFound:
            return None
        return found

    def path(self, bucket: str, name: str) -> Path:
        """Where the content of an object lies on disk."""
        return Path(self._root, bucket, name.lstrip("/"))


def _resource(bucket: str, name: str, content: bytes) -> dict[str, Any]:
    resource: dict[str, Any] = _make_object_resource(
        "", bucket, name, "application/octet-stream", len(content)
    )
    resource["md5Hash"] = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    resource["crc32c"] = base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()
    resource["etag"] = resource["md5Hash"]
    return resource


class _Exchange:
    """What the emulator takes for a connection: a request to read and a response to write."""

    def __init__(self, call: Call, store: Store) -> None:
        query = urlencode(call.query)
        self.path = f"{call.path}?{query}" if query else call.path
        self.headers = Message()
        for name, value in call.headers.items():
            if name not in ("transfer-encoding", "content-length"):
                self.headers[name] = value
        self.headers["content-length"] = str(len(call.body))
        self.rfile = io.BytesIO(call.body)
        self.wfile = io.BytesIO()
        self.server = SimpleNamespace(server_address=("127.0.0.1", 0))
        self.storage = store
        self._reply = Reply(headers={})

    def send_response(self, status: int, _phrase: str = "") -> None:
        self._reply.status = status

    def send_header(self, name: str, value: str) -> None:
        if name.lower() != "content-length":
            self._reply.headers[name] = str(value)

    def end_headers(self) -> None:
        """Headers need no end here."""

    def reply(self) -> Reply:
        self._reply.body = self.wfile.getvalue()
        return self._reply

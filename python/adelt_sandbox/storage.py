"""Cloud Storage JSON API: entity read files of our own, all other buckets through gcp-storage-emulator.

What the emulator leaves out is added here: tokens, preconditions, paging, every form of Range, and errors
in Google's form.
"""

import json
import re
import shutil
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from gcp_storage_emulator.gcs_glob import gcs_glob_match

from adelt_sandbox import fields, spool
from adelt_sandbox.auth import MAIN, Accounts, Identity
from adelt_sandbox.clock import Clock
from adelt_sandbox.config import Config
from adelt_sandbox.emulator import Emulator
from adelt_sandbox.erf_bucket import PUBLIC, ErfBuckets
from adelt_sandbox.errors import GoogleError, bad_field, forbidden, not_found
from adelt_sandbox.faults import Effect
from adelt_sandbox.http import Call, Reply, error_reply, json_reply
from adelt_sandbox.media import send_file
from adelt_sandbox.paging import Paging
from adelt_sandbox.universe import Universe

SERVICE = "storage.googleapis.com"
READ_SCOPES = tuple(
    f"https://www.googleapis.com/auth/{name}"
    for name in ("devstorage.read_only", "devstorage.read_write", "devstorage.full_control", "cloud-platform")
)
WRITE_SCOPES = READ_SCOPES[1:]
MAX_PAGE = 1000
_PATH = re.compile(
    r"(?P<kind>/download/storage/v1|/upload/storage/v1|/resumable/upload/storage/v1|/storage/v1)?"
    r"/b(?:/(?P<bucket>[^/]+)(?:/o(?:/(?P<name>.+))?)?)?"
)
_CONDITIONS = {
    "ifGenerationMatch": ("generation", True),
    "ifGenerationNotMatch": ("generation", False),
    "ifMetagenerationMatch": ("metageneration", True),
    "ifMetagenerationNotMatch": ("metageneration", False),
}


class Storage:
    """Answers Cloud Storage requests."""

    def __init__(
        self, config: Config, universe: Universe, clock: Clock, accounts: Accounts, paging: Paging
    ) -> None:
        self._config = config
        self._universe = universe
        self._accounts = accounts
        self._paging = paging
        self._emulator = Emulator(config.state_dir / "buckets")
        folder = config.state_dir / "erf"
        shutil.rmtree(folder, ignore_errors=True)
        self._erf = ErfBuckets(universe, clock, folder, config.seed, config.erf_until)

    def answer(self, call: Call, effect: Effect) -> Reply:
        """Answer one request."""
        identity = self._identity(call)
        match = _PATH.fullmatch(call.path)
        bucket = unquote(match["bucket"] or "") if match else ""
        name = unquote(match["name"] or "") if match else ""
        if self._erf.owns(bucket):
            self._may_read(bucket, identity)
            return self._erf_answer(call, bucket, name, effect)
        if not match:
            return self._explained(call, self._emulator.answer(call), bucket, name)
        if call.method == "POST" and not bucket and self._erf.owns(str(call.json_body().get("name"))):
            raise GoogleError(409, "The requested bucket name is not available.")
        if call.method in ("POST", "PUT", "DELETE", "PATCH"):
            self._check_conditions(call, bucket, name)
        is_list = call.method == "GET" and bucket and call.path.endswith("/o")
        if bucket and (is_list or (name and self._emulator.find(bucket, name) is None)):
            self._emulator.adopt(bucket)
        if call.method == "GET" and name and (call.param("alt") == "media" or "/download/" in call.path):
            return self._download(call, bucket, name)
        if call.method == "GET" and name:
            self._check_conditions(call, bucket, name)
        reply = self._explained(call, self._emulator.answer(call), bucket, name)
        if is_list and reply.status == 200:
            found = json.loads(reply.body)
            return self._listed(call, found.get("items", []), found.get("prefixes", []), effect)
        return self._masked(call, reply)

    def _identity(self, call: Call) -> Identity:
        anonymous = not call.header("authorization") and not call.param("access_token")
        if anonymous and self._config.anonymous_storage:
            return MAIN
        scopes = READ_SCOPES if call.method in ("GET", "HEAD") else WRITE_SCOPES
        return self._accounts.require(call, scopes, SERVICE)

    def _may_read(self, bucket: str, identity: Identity) -> None:
        if bucket == PUBLIC or int(bucket.removeprefix("gdbm-")) in self._universe.partners_of(identity):
            return
        raise forbidden(
            f"{identity.email} does not have storage.objects.list access to the Google Cloud Storage bucket. "
            "Permission 'storage.objects.list' denied on resource (or it may not exist)."
        )

    def _erf_answer(self, call: Call, bucket: str, name: str, effect: Effect) -> Reply:
        if call.method != "GET":
            raise forbidden(f"Bucket {bucket} holds entity read files: it can only be read.")
        if not name and not call.path.endswith("/o"):
            return self._masked(call, json_reply(self._erf.bucket_resource(bucket, call.base_url)))
        if not name:
            return self._erf_list(call, bucket, effect)
        file = self._erf.find(bucket, name)
        wanted = call.param("generation")
        if file is None or (wanted and wanted != str(file.generation)):
            raise not_found(f"No such object: {bucket}/{name}")
        resource = self._erf.resource(file, call.base_url)
        self._conditions(call, resource)
        if call.param("alt") == "media" or "/download/" in call.path:
            return send_file(call, self._erf.made(file), "application/json", _object_headers(resource))
        return self._masked(call, json_reply(resource))

    def _erf_list(self, call: Call, bucket: str, effect: Effect) -> Reply:
        prefix, delimiter = call.param("prefix"), call.param("delimiter")
        items, prefixes = [], []
        for file in self._erf.files(bucket, prefix):
            rest = file.name[len(prefix) :]
            if delimiter and delimiter in rest:
                folder = prefix + rest.split(delimiter)[0] + delimiter
                if folder not in prefixes:
                    prefixes.append(folder)
            else:
                items.append(file)
        by_name = {file.name: file for file in items}
        return self._listed(
            call,
            [{"name": file.name} for file in items],
            prefixes,
            effect,
            fill=lambda item: self._erf.resource(by_name[item["name"]], call.base_url),
        )

    def _listed(
        self, call: Call, items: list[Any], prefixes: list[str], effect: Effect, fill: Any = None
    ) -> Reply:
        """One page of objects and prefixes together, as Cloud Storage counts them."""
        size = _page_size(call)
        low, high = call.param("startOffset"), call.param("endOffset")
        glob = call.param("matchGlob")
        entries = [("", text) for text in prefixes] + [("item", item) for item in items]
        entries.sort(key=lambda entry: entry[1] if entry[0] == "" else entry[1]["name"])
        if low or high or (glob and fill):
            entries = [entry for entry in entries if _within(entry, low, high, glob if fill else "")]
        request = {name: value for name, value in call.query if name not in ("maxResults", "pageToken")}
        request["path"] = call.path
        page, token = self._paging.page(
            "storage.objects.list", {**request, "pageToken": call.param("pageToken")}, entries, size
        )
        document: dict[str, Any] = {"kind": "storage#objects"}
        found = [fill(value) if fill else value for kind, value in page if kind]
        if effect.duplicate and found:
            found.append(found[-1])
        if found:
            document["items"] = found
        folders = [value for kind, value in page if not kind]
        if folders:
            document["prefixes"] = folders
        if token:
            document["nextPageToken"] = token
        return self._masked(call, json_reply(document))

    def _check_conditions(self, call: Call, bucket: str, name: str) -> None:
        if not any(call.param(condition) for condition in _CONDITIONS):
            return
        name = name or call.param("name") or _uploaded_name(call)
        self._conditions(call, self._emulator.find(bucket, name))

    def _conditions(self, call: Call, resource: Mapping[str, Any] | None) -> None:
        """Refuse a request whose generation preconditions do not hold."""
        for condition, (key, must_match) in _CONDITIONS.items():
            wanted = call.param(condition)
            if not wanted:
                continue
            have = str(resource[key]) if resource else "0"
            if (wanted == have) is not must_match:
                if call.method == "GET" and not must_match:
                    raise GoogleError(304, "Not modified")
                raise GoogleError(
                    412,
                    "At least one of the pre-conditions you specified did not hold.",
                    reason="conditionNotMet",
                )

    def _download(self, call: Call, bucket: str, name: str) -> Reply:
        resource = self._emulator.find(bucket, name)
        wanted = call.param("generation")
        if resource is None or (wanted and wanted != str(resource["generation"])):
            if not self._emulator.has_bucket(bucket):
                raise not_found("The specified bucket does not exist.")
            raise not_found(f"No such object: {bucket}/{name}")
        self._conditions(call, resource)
        path = self._emulator.path(bucket, name)
        content = spool.Spooled(path, path.stat().st_size, resource["md5Hash"], resource["crc32c"])
        kind = resource.get("contentType") or "application/octet-stream"
        return send_file(call, content, kind, _object_headers(resource))

    def _masked(self, call: Call, reply: Reply) -> Reply:
        mask = fields.parse(call.param("fields")) if call.param("fields") else {}
        if not mask or reply.status != 200 or "json" not in reply.headers.get("Content-Type", ""):
            return reply
        return json_reply(fields.apply(mask, json.loads(reply.body)), reply.status)

    def _explained(self, call: Call, reply: Reply, bucket: str, name: str) -> Reply:
        """The emulator's answer, with Google's error document where it gives none."""
        kept = {key.title(): value for key, value in reply.headers.items()}
        reply.headers = kept
        if reply.status == 501:
            return error_reply(
                GoogleError(501, f"The sandbox does not offer {call.method} {call.plain_path}")
            )
        if reply.status < 400 or reply.body:
            return reply
        if reply.status == 404:
            missing = f"No such object: {bucket}/{name}" if name else "The specified bucket does not exist."
            return error_reply(GoogleError(404, missing))
        return error_reply(GoogleError(reply.status, "The request could not be carried out."))


def _object_headers(resource: Mapping[str, Any]) -> dict[str, str]:
    headers = {
        "X-Goog-Generation": str(resource["generation"]),
        "X-Goog-Metageneration": str(resource["metageneration"]),
        "X-Goog-Storage-Class": str(resource.get("storageClass", "STANDARD")),
    }
    for key, value in (resource.get("metadata") or {}).items():
        headers[f"X-Goog-Meta-{key}"] = str(value)
    return headers


def _page_size(call: Call) -> int:
    text = call.param("maxResults", str(MAX_PAGE))
    if not text.isdigit() or int(text) < 1:
        raise bad_field("maxResults", f"Invalid value '{text}': must be a whole number from 1.")
    return min(int(text), MAX_PAGE)


def _within(entry: tuple[str, Any], low: str, high: str, glob: str) -> bool:
    name = entry[1]["name"] if entry[0] else entry[1]
    if (low and name < low) or (high and name >= high):
        return False
    return not glob or bool(gcs_glob_match(glob, name))


def _uploaded_name(call: Call) -> str:
    """The object name of an upload, from its metadata."""
    body = call.body
    if call.header("content-type").startswith("multipart/"):
        found = re.search(rb"\r?\n\r?\n(\{.*?\})\r?\n--", body, re.DOTALL)
        body = found[1] if found else b"{}"
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return ""
    return str(document.get("name", "")) if isinstance(document, dict) else ""

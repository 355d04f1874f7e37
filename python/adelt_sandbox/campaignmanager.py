"""CM360 API v5: profiles, reports, files and entity lists."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from adelt_sandbox import cm_csv, jobs, ranges, spool
from adelt_sandbox.apicall import ApiCall
from adelt_sandbox.auth import Identity
from adelt_sandbox.clock import Clock
from adelt_sandbox.cm_entities import Entities, page_size
from adelt_sandbox.cm_fields import DIMENSIONS, GRAIN, METRICS, plain_name
from adelt_sandbox.errors import GoogleError, bad_field, forbidden, not_found
from adelt_sandbox.http import Call, Reply
from adelt_sandbox.media import send_file
from adelt_sandbox.paging import Paging
from adelt_sandbox.tabular import Query
from adelt_sandbox.universe import Universe

Document = dict[str, Any]
STATES = {
    jobs.QUEUED: "QUEUED",
    jobs.RUNNING: "PROCESSING",
    jobs.DONE: "REPORT_AVAILABLE",
    jobs.FAILED: "FAILED",
}
READ_ONLY = ("id", "etag", "kind", "lastModifiedTime", "ownerProfileId", "accountId", "subAccountId")


@dataclass
class _Report:
    owner: Identity
    document: Document


@dataclass
class _File:
    report_id: str
    file_id: int
    owner: Identity
    profile_id: str
    name: str
    start: date
    end: date
    modified: int
    job: jobs.Job


class CampaignManager:
    """Keeps the reports and files of this run of the sandbox and answers for the CM360 API."""

    def __init__(
        self,
        universe: Universe,
        clock: Clock,
        paging: Paging,
        work: jobs.Jobs,
        folder: Path,
        seed: int,
    ) -> None:
        self._universe = universe
        self._clock = clock
        self._paging = paging
        self._jobs = work
        self._folder = folder
        self._seed = seed
        self._entities = Entities(universe, paging)
        self._lock = threading.Lock()
        self._reports: dict[str, _Report] = {}
        self._files: dict[int, _File] = {}

    def call(self, request: ApiCall) -> dict[str, Any]:
        """Answer one method of the API, `reports.run` and the like."""
        spec, values, identity = request.method, request.values, request.identity
        method = spec.short_id
        profile = self._profile(values["profileId"], identity) if "profileId" in values else {}
        actions: dict[str, Callable[[], Document]] = {
            "userProfiles.list": lambda: self._profiles(identity),
            "userProfiles.get": lambda: deepcopy(profile),
            "reports.insert": lambda: self._insert(request.body, profile, identity),
            "reports.list": lambda: self._list_reports(request),
            "reports.get": lambda: deepcopy(self._report(values, identity).document),
            "reports.update": lambda: self._update(values, request.body, profile, identity),
            "reports.delete": lambda: self._delete(values, identity),
            "reports.run": lambda: self._run(request, profile),
            "reports.compatibleFields.query": lambda: _compatible(request.body),
            "reports.files.list": lambda: self._list_files(request),
            "reports.files.get": lambda: self._document(self._file(values, identity), request.base_url),
            "files.list": lambda: self._list_files(request),
            "files.get": lambda: self._document(self._file(values, identity), request.base_url),
        }
        if method in actions:
            return actions[method]()
        if spec.verb != "GET" or not profile:
            raise GoogleError(501, f"The sandbox only reads entities: {spec.id} is not offered.")
        account = str(profile["accountId"])
        if method.endswith(".list"):
            return self._entities.page(spec, values, account, self._clock.now)
        return self._entities.one(spec, values, account, self._clock.now)

    def media(self, values: Mapping[str, Any], identity: Identity, call: Call) -> Reply:
        """The content of a report file."""
        file = self._file(values, identity)
        if file.job.state != jobs.DONE:
            raise not_found(f"Report file {file.file_id} is not available: {STATES[file.job.state]}.")
        name = f"{file.name}_{file.file_id}.csv"
        safe = name.encode("ascii", "replace").decode().replace('"', "'")
        headers = {"Content-Disposition": f'attachment; filename="{safe}"'}
        return send_file(call, file.job.file, "text/csv; charset=UTF-8", headers)

    def _profiles(self, identity: Identity) -> Document:
        items = deepcopy(self._universe.profiles_of(identity))
        return {"kind": "dfareporting#userProfileList", "etag": _etag(items), "items": items}

    def _profile(self, profile_id: str, identity: Identity) -> Document:
        for profile in self._universe.profiles_of(identity):
            if str(profile["profileId"]) == profile_id:
                return profile
        if any(str(item["profileId"]) == profile_id for item in self._universe.world.profiles):
            raise forbidden(f"The caller may not use user profile {profile_id}.")
        raise not_found(f"User profile {profile_id} was not found.")

    def _insert(self, body: Document, profile: Document, identity: Identity) -> Document:
        _check(body)
        document = {key: value for key, value in deepcopy(body).items() if key not in READ_ONLY}
        document["id"] = str(self._jobs.next_id())
        self._finish(document, profile)
        with self._lock:
            self._reports[document["id"]] = _Report(identity, document)
        return deepcopy(document)

    def _update(
        self, values: Mapping[str, Any], body: Document, profile: Document, identity: Identity
    ) -> Document:
        report = self._report(values, identity)
        _check(body)
        document = {key: value for key, value in deepcopy(body).items() if key not in READ_ONLY}
        document["id"] = report.document["id"]
        self._finish(document, profile)
        report.document = document
        return deepcopy(document)

    def _finish(self, document: Document, profile: Document) -> None:
        document["kind"] = "dfareporting#report"
        document["ownerProfileId"] = str(profile["profileId"])
        document["accountId"] = str(profile["accountId"])
        document.setdefault("format", "CSV")
        document.setdefault("fileName", document["name"])
        document["lastModifiedTime"] = str(time.time_ns() // 1_000_000)
        document["etag"] = _etag(document)

    def _report(self, values: Mapping[str, Any], identity: Identity) -> _Report:
        with self._lock:
            report = self._reports.get(str(values["reportId"]))
        if report is None:
            raise not_found(f"Report {values['reportId']} was not found.")
        if report.owner != identity:
            raise forbidden(f"The caller may not use report {values['reportId']}.")
        return report

    def _delete(self, values: Mapping[str, Any], identity: Identity) -> Document:
        report_id = self._report(values, identity).document["id"]
        with self._lock:
            self._reports.pop(report_id, None)
            gone = [file for file in self._files.values() if file.report_id == report_id]
            for file in gone:
                del self._files[file.file_id]
        for file in gone:
            file.job.work.add_done_callback(jobs.remove_result)
        return {}

    def _list_reports(self, request: ApiCall) -> Document:
        values, identity = request.values, request.identity
        size = page_size(request.method, values)
        with self._lock:
            found = [item.document for item in self._reports.values() if item.owner == identity]
        field = {"ID": "id", "NAME": "name"}.get(values.get("sortField", ""), "lastModifiedTime")
        found.sort(
            key=lambda item: (str(item[field]) if field == "name" else int(item[field]), int(item["id"])),
            reverse=values.get("sortOrder", "DESCENDING") == "DESCENDING",
        )
        page, token = self._paging.page(request.method.id, request.bound, found, size)
        return _list("reportList", deepcopy(page), token)

    def _run(self, request: ApiCall, profile: Document) -> Document:
        values, identity, effect = request.values, request.identity, request.effect
        report, as_of = deepcopy(self._report(values, identity).document), self._clock.now
        start, end = _dates(report["criteria"]["dateRange"], as_of)
        file_id = self._jobs.next_id()
        path = self._folder / f"{report['id']}_{file_id}.csv"
        account = int(profile["accountId"])

        def make() -> spool.Spooled:
            chunks = self._write(report, account, as_of, start, end, file_id)
            return spool.write(path, self._jobs.until_stopped(chunks))

        job = self._jobs.start(make, extra_seconds=effect.report_seconds, doomed=effect.report_fails)
        file = _File(
            report["id"],
            file_id,
            identity,
            str(profile["profileId"]),
            report["fileName"],
            start,
            end,
            time.time_ns() // 1_000_000,
            job,
        )
        with self._lock:
            self._files[file_id] = file
        if values.get("synchronous"):
            job.wait()
        return self._document(file, request.base_url)

    def _write(
        self, report: Document, account: int, as_of: datetime, start: date, end: date, file_id: int
    ) -> Iterator[bytes]:
        criteria = report["criteria"]
        dimensions = tuple(DIMENSIONS[plain_name(item["name"])] for item in criteria["dimensions"])
        filters: dict[str, set[str]] = {}
        lines = []
        for item in criteria.get("dimensionFilters", []):
            dimension = DIMENSIONS[plain_name(item["dimensionName"])]
            column, value = dimension.column, item.get("value", "")
            if item.get("id") and column.endswith("_name"):
                column, value = column.removesuffix("_name") + "_id", item["id"]
            filters.setdefault(column, set()).add(value)
            lines.append((dimension.header, f"Equals:{value}"))
        query = Query(
            dimensions,
            tuple(METRICS[plain_name(name)] for name in criteria["metricNames"]),
            {column: frozenset(allowed) for column, allowed in filters.items()},
            unique={item.column for item in dimensions if item.kind in ("id", "date")} >= GRAIN,
            missing="(not set)",
            date_separator="-",
        )
        heading = cm_csv.Heading(
            report["name"], str(account), as_of, start, end, lines, variant=file_id + self._seed
        )
        delivery = self._universe.delivery_cm360(start, end + timedelta(days=1), as_of, [account])
        return cm_csv.report(query, delivery, heading)

    def _file(self, values: Mapping[str, Any], identity: Identity) -> _File:
        with self._lock:
            file = self._files.get(int(values["fileId"]))
        if file is None or file.report_id != str(values["reportId"]):
            raise not_found(f"File {values['fileId']} of report {values['reportId']} was not found.")
        if file.owner != identity:
            raise forbidden(f"The caller may not use file {values['fileId']}.")
        return file

    def _list_files(self, request: ApiCall) -> Document:
        values, identity, method = request.values, request.identity, request.method
        if "reportId" in values:
            self._report(values, identity)
        size = page_size(method, values)
        with self._lock:
            found = [
                file
                for file in self._files.values()
                if file.owner == identity and file.report_id == values.get("reportId", file.report_id)
            ]
        by_id = values.get("sortField") == "ID"
        found.sort(
            key=lambda file: (0 if by_id else file.modified, file.file_id),
            reverse=values.get("sortOrder", "DESCENDING") == "DESCENDING",
        )
        start = self._paging.offset(method.id, request.bound)
        # The live API repeats a full last page under a fresh token: clients must watch the ids.
        repeated = bool(found) and start >= len(found)
        first = max(0, len(found) - size) if repeated else start
        page = found[first : first + size]
        more = not repeated and len(page) == size
        token = self._paging.token(method.id, request.bound, start + size) if more else ""
        return _list("fileList", [self._document(file, request.base_url) for file in page], token)

    def _document(self, file: _File, base_url: str) -> Document:
        document: Document = {
            "kind": "dfareporting#file",
            "reportId": file.report_id,
            "id": str(file.file_id),
            "lastModifiedTime": str(file.modified),
            "status": STATES[file.job.state],
            "fileName": file.name,
            "format": "CSV",
            "dateRange": {
                "kind": "dfareporting#dateRange",
                "startDate": file.start.isoformat(),
                "endDate": file.end.isoformat(),
            },
        }
        if document["status"] == "REPORT_AVAILABLE":
            path = f"reports/{file.report_id}/files/{file.file_id}"
            document["urls"] = {
                "apiUrl": f"{base_url}/dfareporting/v5/{path}?alt=media",
                "browserUrl": f"{base_url}/dfareporting/v5/userprofiles/{file.profile_id}/{path}?alt=media",
            }
        document["etag"] = _etag(document)
        return document


def _check(body: Document) -> None:
    """Refuse a report that could not run."""
    if not body.get("name"):
        raise bad_field("name", "Report name is required.")
    if body.get("type") != "STANDARD":
        raise bad_field("type", f"The sandbox offers STANDARD reports, not {body.get('type', 'no type')}.")
    if body.get("format", "CSV") != "CSV":
        raise bad_field("format", "The sandbox writes CSV reports only.")
    criteria = body.get("criteria") or {}
    names = [item.get("name", "") for item in criteria.get("dimensions", [])]
    metrics = criteria.get("metricNames", [])
    if not names or not metrics:
        raise bad_field("criteria", "A report needs at least one dimension and one metric.")
    for field, found, known in (("dimensions", names, DIMENSIONS), ("metricNames", metrics, METRICS)):
        for name in found:
            if plain_name(name) not in known:
                raise bad_field(
                    f"criteria.{field}", f"Invalid value: {name} is not compatible with this report."
                )
        if len({plain_name(name) for name in found}) != len(found):
            raise bad_field(f"criteria.{field}", f"Duplicate values in criteria.{field}.")
    for item in criteria.get("dimensionFilters", []):
        if plain_name(item.get("dimensionName", "")) not in DIMENSIONS:
            raise bad_field("criteria.dimensionFilters", f"Invalid filter: {item.get('dimensionName')}")
        if item.get("matchType", "EXACT") != "EXACT":
            raise bad_field("criteria.dimensionFilters", "The sandbox filters with matchType EXACT only.")
    _check_range(criteria.get("dateRange") or {})


def _check_range(data_range: Document) -> None:
    if data_range.get("relativeDateRange"):
        if data_range.get("startDate") or data_range.get("endDate"):
            raise bad_field("criteria.dateRange", "Give either relativeDateRange or startDate and endDate.")
        return
    try:
        start = date.fromisoformat(data_range["startDate"])
        end = date.fromisoformat(data_range["endDate"])
    except (KeyError, ValueError):
        raise bad_field("criteria.dateRange", "Date range is required: startDate and endDate.") from None
    if start > end:
        raise bad_field("criteria.dateRange", "startDate must not be after endDate.")


def _dates(data_range: Document, as_of: datetime) -> tuple[date, date]:
    if data_range.get("relativeDateRange"):
        today = as_of.astimezone(ZoneInfo(cm_csv.ZONE)).date()
        return ranges.resolve(data_range["relativeDateRange"], today)
    return date.fromisoformat(data_range["startDate"]), date.fromisoformat(data_range["endDate"])


def _compatible(body: Document) -> Document:
    if body.get("type", "STANDARD") != "STANDARD":
        raise bad_field("type", f"The sandbox offers STANDARD reports, not {body['type']}.")
    dimensions = [{"kind": "dfareporting#dimension", "name": name} for name in DIMENSIONS]
    metrics = [{"kind": "dfareporting#metric", "name": name} for name in METRICS]
    return {
        "kind": "dfareporting#compatibleFields",
        "reportCompatibleFields": {
            "kind": "dfareporting#reportCompatibleFields",
            "dimensions": dimensions,
            "dimensionFilters": dimensions,
            "metrics": metrics,
        },
    }


def _list(kind: str, items: list[Document], token: str) -> Document:
    document: Document = {"kind": f"dfareporting#{kind}", "etag": _etag(items), "items": items}
    if token:
        document["nextPageToken"] = token
    return document


def _etag(value: Any) -> str:
    return '"' + hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:20] + '"'

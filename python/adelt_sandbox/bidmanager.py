"""Bid Manager API v2: queries, runs and report files."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa

from adelt_sandbox import bid_csv, jobs, ranges, spool
from adelt_sandbox.apicall import ApiCall
from adelt_sandbox.auth import Identity
from adelt_sandbox.bid_fields import DIMENSIONS, GRAIN, METRICS, WITHOUT_TOTALS
from adelt_sandbox.clock import Clock, format_instant
from adelt_sandbox.errors import GoogleError, bad_field, forbidden, not_found
from adelt_sandbox.http import Call, Reply
from adelt_sandbox.media import send_file
from adelt_sandbox.paging import Paging, listed
from adelt_sandbox.signing import Signer, missing
from adelt_sandbox.tabular import Dimension, Query
from adelt_sandbox.universe import Universe

DOWNLOADS = "/bidmanager-reports/"
Document = dict[str, Any]


@dataclass
class _Query:
    owner: Identity
    document: Document


@dataclass
class _Report:
    query_id: int
    report_id: int
    params: Document
    start: date
    end: date
    job: jobs.Job
    finished: datetime

    @property
    def file_path(self) -> str:
        """Where its download lives on this server."""
        return f"{DOWNLOADS}{self.query_id}/{self.finished:%Y%m%d}_{self.query_id}_{self.report_id}.csv"


class BidManager:
    """Keeps the queries and reports of this run of the sandbox and answers for them."""

    def __init__(
        self, universe: Universe, clock: Clock, paging: Paging, work: jobs.Jobs, signer: Signer, folder: Path
    ) -> None:
        self._universe = universe
        self._clock = clock
        self._paging = paging
        self._jobs = work
        self._signer = signer
        self._folder = folder
        self._lock = threading.Lock()
        self._queries: dict[int, _Query] = {}
        self._reports: dict[int, _Report] = {}

    def call(self, request: ApiCall) -> dict[str, Any]:
        """Answer one method of the API, `queries.run` and the like."""
        method, values, identity = request.method.short_id, request.values, request.identity
        actions: dict[str, Callable[[], Document]] = {
            "queries.create": lambda: self._create(request.body, identity),
            "queries.list": lambda: self._list(request),
            "queries.get": lambda: deepcopy(self._query(values, identity).document),
            "queries.delete": lambda: self._delete(values, identity),
            "queries.run": lambda: self._run(request),
            "queries.reports.list": lambda: self._list_reports(request),
            "queries.reports.get": lambda: self._document(self._report(values, identity), request.base_url),
        }
        if method not in actions:
            raise GoogleError(501, f"The sandbox does not know {method}")
        return actions[method]()

    def download(self, call: Call) -> Reply:
        """A report file behind its signed link."""
        refusal = self._signer.refusal(call)
        if refusal:
            return refusal
        with self._lock:
            found = [item for item in self._reports.values() if item.file_path == call.plain_path]
        if not found or found[0].job.state != jobs.DONE:
            return missing(call.plain_path)
        name = call.plain_path.rsplit("/", 1)[1]
        return send_file(
            call,
            found[0].job.file,
            "text/csv",
            {
                "Content-Disposition": f'attachment; filename="{name}"',
                "X-Goog-Generation": str(found[0].report_id),
            },
        )

    def _create(self, body: Document, identity: Identity) -> Document:
        if "queryId" in body:
            raise bad_field("queryId", "Field 'queryId' is output only and must not be set.")
        self._check(body, identity)
        document = deepcopy(body)
        query_id = self._jobs.next_id()
        document["queryId"] = str(query_id)
        document["metadata"].setdefault("sendNotification", False)
        schedule = document.setdefault("schedule", {"frequency": "ONE_TIME"})
        schedule.setdefault("nextRunTimezoneCode", "America/New_York")
        with self._lock:
            self._queries[query_id] = _Query(identity, document)
        return deepcopy(document)

    def _check(self, body: Document, identity: Identity) -> None:
        metadata, params = body.get("metadata"), body.get("params")
        if not metadata or not metadata.get("title"):
            raise bad_field("metadata.title", "Query title is required.")
        if not params:
            raise bad_field("params", "Query parameters are required.")
        if metadata.get("format", "CSV") != "CSV":
            raise bad_field("metadata.format", "The sandbox writes CSV reports only.")
        self._check_range(metadata.get("dataRange"))
        if params.get("type", "REPORT_TYPE_UNSPECIFIED") == "REPORT_TYPE_UNSPECIFIED":
            raise bad_field("params.type", "Report type is required.")
        groups, metrics = params.get("groupBys", []), params.get("metrics", [])
        for field, names, known in (("groupBys", groups, DIMENSIONS), ("metrics", metrics, METRICS)):
            if not names:
                raise bad_field(f"params.{field}", f"At least one of params.{field} is required.")
            for name in names:
                if name not in known:
                    raise bad_field(f"params.{field}", f"Invalid value: {name} is not valid for this report.")
            if len(set(names)) != len(names):
                raise bad_field(f"params.{field}", f"Duplicate values in params.{field}.")
        self._partners(params, identity)
        for pair in params.get("filters", []):
            kind, value = pair.get("type", ""), pair.get("value", "")
            if kind not in DIMENSIONS or DIMENSIONS[kind].kind not in ("id", "text"):
                raise bad_field("params.filters", f"Invalid filter type: {kind}")
            if not value or (DIMENSIONS[kind].kind == "id" and not value.isdigit()):
                raise bad_field("params.filters", f"Invalid filter value for {kind}: {value!r}")

    def _check_range(self, data_range: Any) -> None:
        if not data_range or data_range.get("range", "RANGE_UNSPECIFIED") == "RANGE_UNSPECIFIED":
            raise bad_field("metadata.dataRange.range", "Data range is required.")
        dates = [data_range.get(name) for name in ("customStartDate", "customEndDate")]
        if data_range["range"] != "CUSTOM_DATES":
            if any(dates):
                raise bad_field("dataRange", "Custom dates may only be set with range CUSTOM_DATES.")
            return
        if not all(dates):
            raise bad_field("dataRange", "CUSTOM_DATES needs customStartDate and customEndDate.")
        if _day(dates[0]) > _day(dates[1]):
            raise bad_field("dataRange", "customStartDate must not be after customEndDate.")

    def _partners(self, params: Document, identity: Identity) -> list[int]:
        """Partners a report may read; 403 when a filter names one that the caller does not have."""
        mine = self._universe.partners_of(identity)
        named = [pair["value"] for pair in params.get("filters", []) if pair.get("type") == "FILTER_PARTNER"]
        for value in named:
            if value not in {str(partner) for partner in mine}:
                raise forbidden(f"User does not have access to partner {value}.")
        return [partner for partner in mine if not named or str(partner) in named]

    def _query(self, values: Mapping[str, Any], identity: Identity) -> _Query:
        with self._lock:
            query = self._queries.get(int(values["queryId"]))
        if query is None:
            raise not_found(f"Query {values['queryId']} was not found.")
        if query.owner != identity:
            raise forbidden("The caller does not have permission to access this query.")
        return query

    def _list(self, request: ApiCall) -> Document:
        values, identity = request.values, request.identity
        size = _page_size(values)
        field, down = _order(values, ("queryId", "metadata.title"))
        with self._lock:
            mine = [query.document for query in self._queries.values() if query.owner == identity]
        if field == "metadata.title":
            mine.sort(key=lambda query: query["metadata"]["title"], reverse=down)
        else:
            mine.sort(key=lambda query: int(query["queryId"]), reverse=down)
        page, token = self._paging.page(request.method.id, request.bound, mine, size)
        return listed("queries", deepcopy(page), token)

    def _delete(self, values: Mapping[str, Any], identity: Identity) -> Document:
        self._query(values, identity)
        query_id = int(values["queryId"])
        with self._lock:
            gone = [item for item in self._reports.values() if item.query_id == query_id]
            for report in gone:
                del self._reports[report.report_id]
            self._queries.pop(query_id, None)
        for report in gone:
            report.job.work.add_done_callback(jobs.remove_result)
        return {}

    def _run(self, request: ApiCall) -> Document:
        values, body, identity = request.values, request.body, request.identity
        query = self._query(values, identity)
        data_range = body.get("dataRange") or query.document["metadata"]["dataRange"]
        if body.get("dataRange"):
            self._check_range(data_range)
        params, as_of = deepcopy(query.document["params"]), self._clock.now
        partners = self._partners(params, identity)
        start, end = self._dates(data_range, params, partners, as_of)
        report_id = self._jobs.next_id()
        path = self._folder / f"{values['queryId']}_{report_id}.csv"

        def make() -> spool.Spooled:
            chunks = self._write(params, partners, as_of, start, end)
            return spool.write(path, self._jobs.until_stopped(chunks))

        job = self._jobs.start(
            make, extra_seconds=request.effect.report_seconds, doomed=request.effect.report_fails
        )
        report = _Report(int(values["queryId"]), report_id, params, start, end, job, as_of)
        with self._lock:
            self._reports[report_id] = report
        if values.get("synchronous"):
            job.wait()
        return self._document(report, request.base_url)

    def _dates(
        self, data_range: Document, params: Document, partners: Sequence[int], as_of: datetime
    ) -> tuple[date, date]:
        if data_range["range"] == "CUSTOM_DATES":
            return _day(data_range["customStartDate"]), _day(data_range["customEndDate"])
        today = as_of.astimezone(self._zone(params, partners, as_of)).date()
        return ranges.resolve(data_range["range"], today)

    def _zone(self, params: Document, partners: Sequence[int], as_of: datetime) -> ZoneInfo:
        """The time zone of the first advertiser a report covers; ranges are evaluated in it."""
        wanted = [item["value"] for item in params.get("filters", []) if item["type"] == "FILTER_ADVERTISER"]
        for row in self._universe.dv360("advertisers", as_of):
            if int(row["partnerId"]) in partners and (not wanted or row["advertiserId"] in wanted):
                try:
                    return ZoneInfo(row["generalConfig"]["timeZone"])
                except (KeyError, ZoneInfoNotFoundError):
                    break
        return ZoneInfo("UTC")

    def _write(
        self, params: Document, partners: Sequence[int], as_of: datetime, start: date, end: date
    ) -> Iterator[bytes]:
        dimensions = tuple(DIMENSIONS[name] for name in params["groupBys"])
        filters: dict[str, set[str]] = {}
        for pair in params.get("filters", []):
            if pair["type"] != "FILTER_PARTNER":  # the world gives the rows of these partners only
                filters.setdefault(DIMENSIONS[pair["type"]].column, set()).add(pair["value"])
        query = Query(
            dimensions,
            tuple(METRICS[name] for name in params["metrics"]),
            {column: frozenset(allowed) for column, allowed in filters.items()},
            unique={item.column for item in dimensions if item.kind in ("id", "date")} >= GRAIN,
            missing="Unknown",
        )
        delivery = self._universe.delivery_dv360(start, end + timedelta(days=1), as_of, partners)
        return bid_csv.report(
            query,
            self._with_partner_names(dimensions, delivery, as_of),
            with_totals=params["type"] not in WITHOUT_TOTALS,
            as_of=as_of,
            start=start,
            end=end,
            filters=self._filter_lines(params, as_of),
        )

    def _with_partner_names(
        self, dimensions: Sequence[Dimension], delivery: Iterator[pa.Table], as_of: datetime
    ) -> Iterator[pa.Table]:
        if not any(item.column == "partner_name" for item in dimensions):
            yield from delivery
            return
        names = {int(row["partnerId"]): row["displayName"] for row in self._universe.dv360("partners", as_of)}
        for table in delivery:
            values = [names.get(int(partner or 0)) for partner in table["partner_id"].to_pylist()]
            yield table.append_column("partner_name", pa.array(values, pa.string()))

    def _filter_lines(self, params: Document, as_of: datetime) -> list[tuple[str, str]]:
        names = {
            row["advertiserId"]: row["displayName"] for row in self._universe.dv360("advertisers", as_of)
        }
        lines = []
        for pair in params.get("filters", []):
            text = pair["value"]
            if pair["type"] == "FILTER_ADVERTISER" and text in names:
                text = f"{names[text]} ({text})"
            lines.append((DIMENSIONS[pair["type"]].label, text))
        return lines

    def _report(self, values: Mapping[str, Any], identity: Identity) -> _Report:
        self._query(values, identity)
        with self._lock:
            report = self._reports.get(int(values["reportId"]))
        if report is None or report.query_id != int(values["queryId"]):
            raise not_found(f"Report {values['reportId']} was not found.")
        return report

    def _list_reports(self, request: ApiCall) -> Document:
        values, identity = request.values, request.identity
        self._query(values, identity)
        size = _page_size(values)
        _, down = _order(values, ("key.reportId",))
        with self._lock:
            found = [item for item in self._reports.values() if item.query_id == int(values["queryId"])]
        found.sort(key=lambda item: item.report_id, reverse=down)
        page, token = self._paging.page(request.method.id, request.bound, found, size)
        return listed("reports", [self._document(report, request.base_url) for report in page], token)

    def _document(self, report: _Report, base_url: str) -> Document:
        state = report.job.state
        status: Document = {"state": state, "format": "CSV"}
        metadata: Document = {
            "status": status,
            "reportDataStartDate": _date_document(report.start),
            "reportDataEndDate": _date_document(report.end),
        }
        if state in (jobs.DONE, jobs.FAILED):
            status["finishTime"] = format_instant(report.finished)
        if state == jobs.DONE:
            metadata["googleCloudStoragePath"] = self._signer.url(base_url, report.file_path)
        return {
            "key": {"queryId": str(report.query_id), "reportId": str(report.report_id)},
            "metadata": metadata,
            "params": deepcopy(report.params),
        }


def _day(document: Document) -> date:
    try:
        return date(document["year"], document["month"], document["day"])
    except (KeyError, ValueError):
        raise bad_field("dataRange", f"Invalid date: {document}") from None


def _date_document(day: date) -> Document:
    return {"year": day.year, "month": day.month, "day": day.day}


def _page_size(values: Mapping[str, Any]) -> int:
    size = int(values.get("pageSize", 100) or 100)
    if not 1 <= size <= 100:
        raise bad_field("pageSize", f"Page size must be between 1 and 100, got {size}.")
    return size


def _order(values: Mapping[str, Any], fields: Sequence[str]) -> tuple[str, bool]:
    words = str(values.get("orderBy") or fields[0]).split()
    if words[0] not in fields or len(words) > 2 or (len(words) == 2 and words[1] != "desc"):
        raise bad_field(
            "orderBy", f"Invalid orderBy: {values.get('orderBy')}; use one of {', '.join(fields)}."
        )
    return words[0], len(words) == 2

"""Display & Video 360 reports: create a query, run it, wait, download, parse, delete the query.

A query is fixed to the state of the account at its creation, and partners or advertisers added later are silently left
out. So each run makes a fresh query by default and deletes it afterwards; `query=reuse` looks for one with the same
request hash in its title.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

from adelt_sources import dv360_accounts, report_file, reports
from adelt_sources.catalog import TableSpec
from adelt_sources.errors import InputError, SourceError
from adelt_sources.google import Google, poll
from adelt_sources.report_runs import ReportRun, request_hash
from adelt_sources.run import Evidence, Fetched, Progress, Run

PARAMETERS = ("partner_ids", "query")


def fetch(run: Run, spec: TableSpec, google: Google) -> Fetched:
    """Run a report for the window and parse it.

    Parameters of the run: `partner_ids` (default: all partners the credentials see), `query` (`fresh` or `reuse`).

    Raises:
        SourceError: The report failed, was refused or did not pass its checks.
    """
    mode = run.params.get("query", "fresh")
    if mode not in ("fresh", "reuse"):
        raise InputError(
            f"`{mode}` is not a way to get a query", where="parameter `query`", fix="fresh or reuse"
        )
    partners = run.ids("partner_ids") or dv360_accounts.partner_ids(google)
    if not partners:
        raise InputError(
            "the credentials see no partner",
            where=spec.qualified,
            fix="give them access, or name -p partner_ids=...",
        )
    parameters = _parameters(spec, partners)
    note = ReportRun(run, spec, partners, request_hash(parameters))
    try:
        return _fetch(run, spec, google, note, parameters, reuse=mode == "reuse")
    except SourceError as error:
        note.message = error.what
        error.report_runs = [note.row()]
        raise


def parse(run: Run, spec: TableSpec, files: Sequence[Evidence]) -> Fetched:
    """Parse a report that was kept, without asking the API.

    Raises:
        SourceError: The report does not pass its checks.
    """
    return reports.parse_kept(run, spec, files, report_file.bid_manager)


def _fetch(
    run: Run,
    spec: TableSpec,
    google: Google,
    note: ReportRun,
    parameters: dict[str, Any],
    *,
    reuse: bool,
) -> Fetched:
    queries = google.service("doubleclickbidmanager").queries()
    note.query_id = (_find(google, queries, _title(spec, note)) if reuse else "") or _create(
        run, google, queries, parameters, _title(spec, note, "" if reuse else run.id)
    )
    where = f"{spec.qualified} {run.start} .. {run.last_day}, query {note.query_id}"
    try:
        report = google.execute(queries.run(queryId=note.query_id, body={"dataRange": _range(run)}))
        note.report_id = report["key"]["reportId"]
        where += f", report {note.report_id}"
        get = queries.reports().get(queryId=note.query_id, reportId=note.report_id)

        def finished() -> dict[str, Any] | None:
            answer = google.execute(get)
            status = answer["metadata"]["status"]["state"]
            note.saw(status)
            return answer if status in ("DONE", "FAILED") else None

        report = poll(run, finished, f"report {note.report_id} to finish", where)
        if report["metadata"]["status"]["state"] == "FAILED":
            raise SourceError(
                f"report {note.report_id} finished as FAILED",
                where=where,
                fix="run it again; if it fails every time, check dimensions and metrics with "
                f"`adelt tables {spec.source}.{spec.name}`",
            )
        url = report["metadata"].get("googleCloudStoragePath")
        if not url:
            raise SourceError(
                f"report {note.report_id} is DONE without a file", where=where, fix="run it again"
            )
        path = run.work_dir / f"{spec.source}.{spec.name}.{note.report_id}.csv"
        note.download = google.download_url(url, path)
    finally:
        if not reuse:
            _delete(run, google, queries, note.query_id)
    return reports.finish(run, spec, [note], report_file.bid_manager)


def _parameters(spec: TableSpec, partners: list[int]) -> dict[str, Any]:
    return {
        "type": spec.facts["report"]["type"],
        "groupBys": [c.api_name for c in spec.role("dimension")],
        "metrics": [c.api_name for c in spec.role("metric")],
        "filters": [{"type": "FILTER_PARTNER", "value": str(partner)} for partner in partners],
    }


def _title(spec: TableSpec, note: ReportRun, run_id: str = "") -> str:
    return f"adelt {spec.source}.{spec.name} {note.request_hash[:12]} {run_id}".strip()


def _create(run: Run, google: Google, queries: Any, parameters: dict[str, Any], title: str) -> str:
    body = {
        "metadata": {"title": title, "dataRange": _range(run), "format": "CSV"},
        "params": parameters,
        "schedule": {"frequency": "ONE_TIME"},
    }
    run.tell(Progress("fetch", "creating the query"))
    return str(google.execute(queries.create(body=body))["queryId"])


def _find(google: Google, queries: Any, title: str) -> str:
    for page in google.pages(queries, "queries", pageSize=100, orderBy="metadata.title"):
        for query in page:
            if query["metadata"].get("title") == title:
                return str(query["queryId"])
    return ""


def _delete(run: Run, google: Google, queries: Any, query_id: str) -> None:
    """Delete a query; a query that stays behind is untidy, not a failure."""
    try:
        google.execute(queries.delete(queryId=query_id))
    except SourceError as error:
        run.tell(Progress("fetch", f"query {query_id} could not be deleted: {error.what}"))


def _range(run: Run) -> dict[str, Any]:
    return {
        "range": "CUSTOM_DATES",
        "customStartDate": _date(run.start),
        "customEndDate": _date(run.last_day),
    }


def _date(day: date) -> dict[str, int]:
    return {"year": day.year, "month": day.month, "day": day.day}

"""Campaign Manager 360 reports: insert a report, run it, wait for its file, download, parse, delete the report."""

from collections.abc import Sequence
from typing import Any

from adelt_sources import cm360_accounts, report_file, reports
from adelt_sources.catalog import TableSpec
from adelt_sources.cm360_accounts import Profile
from adelt_sources.errors import SourceError
from adelt_sources.google import Google, poll
from adelt_sources.report_runs import ReportRun, request_hash
from adelt_sources.run import Evidence, Fetched, Progress, Run

PARAMETERS = ("profile_ids",)


def fetch(run: Run, spec: TableSpec, google: Google) -> Fetched:
    """Run a report for the window in each account and parse it.

    Parameters of the run: `profile_ids` (default: one user profile for each account the credentials see).

    Raises:
        SourceError: A report failed, was refused or did not pass its checks; then nothing is loaded.
    """
    profiles = cm360_accounts.profiles(run, google, spec.qualified)
    notes: list[ReportRun] = []
    for profile in profiles:
        criteria = _criteria(spec)
        note = ReportRun(run, spec, [profile.account_id], request_hash({"profile": profile.id, **criteria}))
        notes.append(note)
        try:
            _download(run, spec, google, note, profile, criteria)
        except SourceError as error:
            reports.refuse(error, note, notes)
            raise
    return reports.finish(run, spec, notes, report_file.campaign_manager)


def parse(run: Run, spec: TableSpec, files: Sequence[Evidence]) -> Fetched:
    """Parse reports that were kept, one for each account, without asking the API.

    Raises:
        SourceError: A report does not pass its checks.
    """
    return reports.parse_kept(run, spec, files, report_file.campaign_manager)


def _download(
    run: Run, spec: TableSpec, google: Google, note: ReportRun, profile: Profile, criteria: dict[str, Any]
) -> None:
    service = google.service("dfareporting")
    body = {
        "name": f"adelt {spec.source}.{spec.name} {note.request_hash[:12]} {run.id}",
        "fileName": f"adelt_{spec.name}",
        "type": spec.facts["report"]["type"],
        "format": "CSV",
        "criteria": {
            **criteria,
            "dateRange": {"startDate": run.start.isoformat(), "endDate": run.last_day.isoformat()},
        },
    }
    run.tell(Progress("fetch", f"creating the report in account {profile.account_id}"))
    inserted = google.execute(service.reports().insert(profileId=profile.id, body=body))
    note.query_id = str(inserted["id"])
    where = f"{spec.qualified} {run.start} .. {run.last_day}, report {note.query_id}"
    try:
        file = google.execute(service.reports().run(profileId=profile.id, reportId=note.query_id))
        note.report_id = str(file["id"])
        where += f", file {note.report_id}"
        get = (
            service.reports().files().get(profileId=profile.id, reportId=note.query_id, fileId=note.report_id)
        )

        def finished() -> dict[str, Any] | None:
            answer: dict[str, Any] = google.execute(get)
            note.saw(answer["status"])
            return answer if answer["status"] in ("REPORT_AVAILABLE", "FAILED", "CANCELLED") else None

        file = poll(run, finished, f"file {note.report_id} to finish", where)
        if file["status"] != "REPORT_AVAILABLE":
            raise SourceError(
                f"file {note.report_id} finished as {file['status']}",
                where=where,
                fix="run it again; if it fails every time, check dimensions and metrics with "
                f"`adelt tables {spec.source}.{spec.name}`",
            )
        path = run.work_dir / f"{spec.source}.{spec.name}.{profile.account_id}.{note.report_id}.csv"
        media = service.files().get_media(reportId=note.query_id, fileId=note.report_id)
        note.download = google.download_media(media, path)
    finally:
        _delete(run, google, service, profile, note.query_id)


def _criteria(spec: TableSpec) -> dict[str, Any]:
    return {
        "dimensions": [{"name": c.api_name} for c in spec.role("dimension")],
        "metricNames": [c.api_name for c in spec.role("metric")],
    }


def _delete(run: Run, google: Google, service: Any, profile: Profile, report_id: str) -> None:
    """Delete a report; one that stays behind is untidy, not a failure."""
    try:
        google.execute(service.reports().delete(profileId=profile.id, reportId=report_id))
    except SourceError as error:
        run.tell(Progress("fetch", f"report {report_id} could not be deleted: {error.what}"))

"""Faults over real connections: each kind, once on purpose, and the same again in a replay."""

import http.client
import json
import time
import urllib.error
import urllib.request

import pytest
from google.oauth2 import service_account
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

import adelt_sandbox

SCOPE = "https://www.googleapis.com/auth/"
SCOPES = [
    SCOPE + name for name in ("display-video", "doubleclickbidmanager", "dfareporting", "dfatrafficking")
]
DAY = {"year": 2026, "month": 1, "day": 2}


@pytest.fixture(scope="module")
def running():
    with adelt_sandbox.running() as sandbox:
        yield sandbox
        assert sandbox.stats()["problems"] == []


@pytest.fixture
def sandbox(running):
    yield running
    running.request("DELETE", "/sandbox/faults")


def client(sandbox, api, version, path=""):
    made = service_account.Credentials.from_service_account_file(str(sandbox.credentials), scopes=SCOPES)
    return build(
        api,
        version,
        credentials=made,
        static_discovery=True,
        client_options={"api_endpoint": sandbox.url + path},
    )


@pytest.fixture(scope="module")
def dv(running):
    return client(running, "displayvideo", "v4")


@pytest.fixture(scope="module")
def bm(running):
    return client(running, "doubleclickbidmanager", "v2", "/v2/")


@pytest.fixture(scope="module")
def cm(running):
    return client(running, "dfareporting", "v5", "/dfareporting/v5/")


@pytest.fixture(scope="module")
def query_id(bm):
    window = {"range": "CUSTOM_DATES", "customStartDate": DAY, "customEndDate": DAY}
    body = {
        "metadata": {"title": "t", "dataRange": window, "format": "CSV"},
        "params": {"type": "STANDARD", "groupBys": ["FILTER_LINE_ITEM"], "metrics": ["METRIC_IMPRESSIONS"]},
    }
    return bm.queries().create(body=body).execute()["queryId"]


@pytest.fixture(scope="module")
def link(bm, query_id):
    report = bm.queries().run(queryId=query_id, synchronous=True).execute()
    return report["metadata"]["googleCloudStoragePath"]


@pytest.fixture(scope="module")
def whole(link):
    with urllib.request.urlopen(link, timeout=60) as answer:
        return answer.read()


def refusal(request):
    with pytest.raises(HttpError) as caught:
        request.execute()
    error = caught.value
    return error.status_code, json.loads(error.content)["error"]["errors"][0]["reason"], error.resp


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ({"fault": "quota_rate"}, 429, "rateLimitExceeded"),
        ({"fault": "quota_rate", "status": 403}, 403, "userRateLimitExceeded"),
        ({"fault": "quota_daily"}, 403, "dailyLimitExceeded"),
        ({"fault": "http", "status": 500}, 500, "backendError"),
        ({"fault": "http"}, 503, "backendError"),
    ],
)
def test_a_request_is_refused_on_purpose_and_the_next_is_not(sandbox, dv, fault, status, reason):
    dv.partners().list().execute()
    sandbox.set_faults([{"match": {"api": "displayvideo"}, "nth": 1, **fault}])
    assert refusal(dv.partners().list())[:2] == (status, reason)
    assert "partners" in dv.partners().list().execute()


def test_a_refusal_can_say_when_to_come_back(sandbox, dv):
    sandbox.set_faults(
        [{"match": {"api": "displayvideo"}, "nth": 1, "fault": "quota_rate", "retry_after": 2}]
    )
    assert refusal(dv.partners().list())[2]["retry-after"] == "2"


def test_a_client_that_retries_gets_through(sandbox, dv):
    sandbox.set_faults([{"match": {"api": "displayvideo"}, "nth": 1, "fault": "http"}])
    assert "partners" in dv.partners().list().execute(num_retries=2)


def test_a_download_is_reset_after_some_bytes_and_can_be_continued(sandbox, link, whole):
    sandbox.set_faults([{"match": {"api": "download"}, "nth": 1, "fault": "reset", "after_bytes": 20}])
    answer = urllib.request.urlopen(link, timeout=60)
    assert int(answer.headers["Content-Length"]) == len(whole)
    received = answer.read1(20)
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        answer.read()
    assert received == whole[:20]
    rest = urllib.request.Request(link, headers={"Range": f"bytes={len(received)}-"})
    assert received + urllib.request.urlopen(rest, timeout=60).read() == whole


def test_a_body_is_cut_with_a_length_that_hides_it(sandbox, link, whole):
    sandbox.set_faults([{"match": {"api": "download"}, "nth": 1, "fault": "truncate", "drop_bytes": 7}])
    assert urllib.request.urlopen(link, timeout=60).read() == whole[:-7]
    assert urllib.request.urlopen(link, timeout=60).read() == whole


def test_a_body_is_cut_with_the_length_that_was_promised(sandbox, link, whole):
    entry = {
        "match": {"api": "download"},
        "nth": 1,
        "fault": "truncate",
        "keep_bytes": 30,
        "keep_length": True,
    }
    sandbox.set_faults([entry])
    with pytest.raises(http.client.IncompleteRead) as caught:
        urllib.request.urlopen(link, timeout=60).read()
    assert caught.value.partial == whole[:30]


def test_a_report_fails_on_purpose(sandbox, bm, query_id):
    sandbox.set_faults([{"match": {"path": ":run$"}, "nth": 1, "fault": "failed_report"}])
    failed = bm.queries().run(queryId=query_id, synchronous=True).execute()
    assert failed["metadata"]["status"]["state"] == "FAILED"
    assert "googleCloudStoragePath" not in failed["metadata"]
    done = bm.queries().run(queryId=query_id, synchronous=True).execute()
    assert done["metadata"]["status"]["state"] == "DONE"


def test_a_report_is_slow_on_purpose(sandbox, bm, query_id):
    sandbox.set_faults([{"match": {"path": ":run$"}, "fault": "slow_report", "seconds": 0.4}])
    start = time.monotonic()
    bm.queries().run(queryId=query_id, synchronous=True).execute()
    assert time.monotonic() - start >= 0.4


def test_cm360_reports_fail_and_files_are_listed_twice(sandbox, cm):
    profile = cm.userProfiles().list().execute()["items"][0]["profileId"]
    body = {
        "name": "t",
        "type": "STANDARD",
        "criteria": {
            "dateRange": {"startDate": "2026-01-02", "endDate": "2026-01-02"},
            "dimensions": [{"name": "date"}],
            "metricNames": ["impressions"],
        },
    }
    report = cm.reports().insert(profileId=profile, body=body).execute()["id"]
    sandbox.set_faults(
        [
            {"match": {"api": "dfareporting", "path": "/run$"}, "nth": 1, "fault": "failed_report"},
            {"match": {"api": "dfareporting", "path": "/files$"}, "nth": 1, "fault": "duplicate_file"},
        ]
    )
    failed = cm.reports().run(profileId=profile, reportId=report, synchronous=True).execute()
    assert failed["status"] == "FAILED"
    media = cm.files().get_media(reportId=report, fileId=failed["id"])
    assert refusal(media)[0] == 404
    twice = cm.reports().files().list(profileId=profile, reportId=report).execute()["items"]
    assert [item["id"] for item in twice] == [failed["id"], failed["id"]]
    once = cm.reports().files().list(profileId=profile, reportId=report).execute()["items"]
    assert [item["id"] for item in once] == [failed["id"]]


def test_entity_read_files_are_listed_twice(sandbox):
    sandbox.set_faults([{"match": {"api": "storage"}, "nth": 1, "fault": "duplicate_file"}])
    url = f"{sandbox.url}/storage/v1/b/gdbm-public/o?prefix=entity/20241031."
    names = [item["name"] for item in json.load(urllib.request.urlopen(url, timeout=60))["items"]]
    assert names[-1] == names[-2]


def test_a_schedule_strikes_the_same_requests_in_every_replay(sandbox):
    def outcomes():
        sandbox.set_faults([{"match": {"api": "storage"}, "probability": 0.4, "fault": "http"}], seed=11)
        found = []
        for _ in range(20):
            try:
                urllib.request.urlopen(f"{sandbox.url}/storage/v1/b/gdbm-public", timeout=60).read()
                found.append(200)
            except urllib.error.HTTPError as error:
                found.append(error.code)
        return found

    first = outcomes()
    assert set(first) == {200, 503}
    assert outcomes() == first


def test_what_fired_can_be_read_and_cleared(sandbox, dv):
    sandbox.set_faults([{"match": {"api": "displayvideo"}, "nth": 1, "fault": "http"}])
    refusal(dv.partners().list())
    state = sandbox.request("GET", "/sandbox/faults")
    assert state["faults"][0]["fired"] == 1
    assert state["fired"][0]["path"] == "/v4/partners"
    cleared = sandbox.request("DELETE", "/sandbox/faults")
    assert cleared["faults"] == cleared["fired"] == []


def test_a_schedule_that_makes_no_sense_is_refused(sandbox):
    with pytest.raises(urllib.error.HTTPError) as caught:
        sandbox.set_faults([{"fault": "flood"}])
    assert caught.value.code == 400
    assert "quota_rate" in json.loads(caught.value.read())["error"]["message"]


def test_the_control_endpoints_are_never_struck(sandbox):
    sandbox.set_faults([{"fault": "http"}])
    assert sandbox.request("GET", "/sandbox/health")["status"] == "ok"

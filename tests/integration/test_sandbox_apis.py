"""The sandbox over HTTP, with the clients people really use: tokens, DV360, Bid Manager, CM360."""

import csv
import io
import json
import time
import urllib.error
import urllib.request
from decimal import Decimal
from urllib.parse import urlencode

import pytest
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request as AuthRequest
from google.oauth2 import credentials as user_credentials
from google.oauth2 import service_account
from googleapiclient.discovery import build, build_from_document
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaIoBaseDownload

import adelt_sandbox
from adelt_sandbox.discovery import Api

SCOPE = "https://www.googleapis.com/auth/"
DV, BM, CM_REPORTS, CM_ENTITIES = (
    SCOPE + name for name in ("display-video", "doubleclickbidmanager", "dfareporting", "dfatrafficking")
)
ENDPOINTS = {"displayvideo": "", "doubleclickbidmanager": "/v2/", "dfareporting": "/dfareporting/v5/"}
VERSIONS = {"displayvideo": "v4", "doubleclickbidmanager": "v2", "dfareporting": "v5"}
FIRST, LAST = {"year": 2026, "month": 1, "day": 1}, {"year": 2026, "month": 1, "day": 3}


@pytest.fixture(scope="module")
def sandbox():
    with adelt_sandbox.running() as running:
        yield running
        assert running.stats()["problems"] == []


@pytest.fixture(scope="module")
def health(sandbox):
    return sandbox.request("GET", "/sandbox/health")


def client(sandbox, api, *scopes, other=False):
    key = sandbox.other_credentials if other else sandbox.credentials
    made = service_account.Credentials.from_service_account_file(
        str(key), scopes=scopes or [DV, BM, CM_REPORTS, CM_ENTITIES]
    )
    options = {"api_endpoint": sandbox.url + ENDPOINTS[api]}
    return build(api, VERSIONS[api], credentials=made, static_discovery=True, client_options=options)


@pytest.fixture(scope="module")
def dv(sandbox):
    return client(sandbox, "displayvideo")


@pytest.fixture(scope="module")
def bm(sandbox):
    return client(sandbox, "doubleclickbidmanager")


@pytest.fixture(scope="module")
def cm(sandbox):
    return client(sandbox, "dfareporting")


@pytest.fixture(scope="module")
def advertiser(dv, health):
    """An advertiser with line items."""
    for partner in health["partner_ids"]:
        for row in everything(dv.advertisers(), partnerId=partner):
            if dv.advertisers().lineItems().list(advertiserId=row["advertiserId"]).execute():
                return row
    raise AssertionError("no advertiser has line items")


def everything(resource, **arguments):
    rows, request = [], resource.list(**arguments)
    while request is not None:
        answer = request.execute()
        rows += next((value for value in answer.values() if isinstance(value, list)), [])
        request = resource.list_next(request, answer)
    return rows


def refusal(request):
    with pytest.raises(HttpError) as caught:
        request.execute()
    return caught.value.status_code, json.loads(caught.value.content)["error"]


def fetch(url, headers=None, method="GET", data=None):
    request = urllib.request.Request(url, headers=headers or {}, method=method, data=data)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


# --- tokens


def test_a_request_without_a_token_is_401(sandbox):
    status, headers, body = fetch(sandbox.url + "/v4/partners")
    assert status == 401
    assert headers["www-authenticate"].startswith("Bearer realm=")
    assert json.loads(body)["error"]["status"] == "UNAUTHENTICATED"


def test_an_invented_token_is_401(sandbox):
    status, headers, _ = fetch(sandbox.url + "/v2/queries", {"Authorization": "Bearer nope"})
    assert status == 401
    assert 'error="invalid_token"' in headers["www-authenticate"]


@pytest.mark.parametrize(
    ("api", "call"),
    [
        ("displayvideo", lambda api: api.partners().list()),
        ("doubleclickbidmanager", lambda api: api.queries().list()),
        ("dfareporting", lambda api: api.userProfiles().list()),
    ],
)
def test_a_token_without_the_scope_is_403(sandbox, api, call):
    status, error = refusal(call(client(sandbox, api, SCOPE + "cloud-platform")))
    assert status == 403
    assert error["status"] == "PERMISSION_DENIED"
    assert error["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"


def test_a_key_that_is_not_the_sandbox_s_gets_no_token(sandbox, tmp_path):
    key = json.loads(sandbox.credentials.read_text())
    key["private_key"] = json.loads(sandbox.other_credentials.read_text())["private_key"]
    forged = service_account.Credentials.from_service_account_info(key, scopes=[DV])
    with pytest.raises(RefreshError, match="Invalid JWT Signature"):
        forged.refresh(AuthRequest())


def test_a_refresh_token_works_too(sandbox):
    info = json.loads((sandbox.state_dir / "credentials-user.json").read_text())
    user = user_credentials.Credentials(
        None, **{key: info[key] for key in ("refresh_token", "client_id", "client_secret", "token_uri")}
    )
    user.refresh(AuthRequest())
    status, _, _ = fetch(sandbox.url + "/v4/partners", {"Authorization": f"Bearer {user.token}"})
    assert status == 200


def test_a_token_dies_and_the_client_gets_a_new_one(sandbox):
    api = client(sandbox, "displayvideo")
    api.partners().list().execute()
    assert sandbox.request("POST", "/sandbox/revoke")["revoked"] >= 1
    assert "partners" in api.partners().list().execute()


def test_unsupported_grants_are_refused_as_oauth_does(sandbox):
    status, _, body = fetch(sandbox.url + "/token", method="POST", data=b"grant_type=password")
    assert status == 400
    assert json.loads(body)["error"] == "unsupported_grant_type"


# --- discovery


def test_a_client_can_be_built_from_the_served_documents(sandbox):
    for api, version in VERSIONS.items():
        _, _, body = fetch(f"{sandbox.url}/discovery/v1/apis/{api}/{version}/rest")
        assert build_from_document(body.decode(), credentials=AnonymousCredentials())._baseUrl.startswith(
            sandbox.url
        )
    _, _, body = fetch(f"{sandbox.url}/$discovery/rest?version=v4")
    assert json.loads(body)["name"] == "displayvideo"
    assert fetch(f"{sandbox.url}/discovery/v1/apis/nothing/v1/rest")[0] == 404


def test_a_client_built_with_a_discovery_url_reads_the_real_paths(sandbox):
    made = service_account.Credentials.from_service_account_file(str(sandbox.credentials), scopes=[BM])
    url = sandbox.url + "/discovery/v1/apis/{api}/{apiVersion}/rest"
    api = build(
        "doubleclickbidmanager", "v2", credentials=made, discoveryServiceUrl=url, static_discovery=False
    )
    assert isinstance(api.queries().list().execute(), dict)


# --- DV360


def test_paging_lists_every_advertiser_once(dv, health):
    partner = health["partner_ids"][0]
    whole = everything(dv.advertisers(), partnerId=partner)
    paged = everything(dv.advertisers(), partnerId=partner, pageSize=2)
    assert [row["advertiserId"] for row in paged] == [row["advertiserId"] for row in whole]
    assert len({row["advertiserId"] for row in whole}) == len(whole) > 2
    assert {row["partnerId"] for row in whole} == {partner}


def test_a_page_token_belongs_to_its_request(dv, health):
    partner = health["partner_ids"][0]
    token = dv.advertisers().list(partnerId=partner, pageSize=1).execute()["nextPageToken"]
    status, error = refusal(
        dv.advertisers().list(partnerId=partner, pageSize=1, pageToken=token, orderBy="displayName")
    )
    assert status == 400
    assert error["details"][0]["fieldViolations"][0]["field"] == "pageToken"


@pytest.mark.parametrize(
    "resource",
    ["campaigns", "insertionOrders", "lineItems", "adGroups", "adGroupAds", "creatives"],
)
def test_every_entity_of_an_advertiser_can_be_listed_and_filtered(dv, advertiser, resource):
    api = getattr(dv.advertisers(), resource)()
    rows = everything(api, advertiserId=advertiser["advertiserId"])
    assert all(row["advertiserId"] == advertiser["advertiserId"] for row in rows)
    active = everything(
        api, advertiserId=advertiser["advertiserId"], filter='entityStatus="ENTITY_STATUS_ACTIVE"'
    )
    assert active == [row for row in rows if row["entityStatus"] == "ENTITY_STATUS_ACTIVE"]


def test_lists_are_sorted_as_asked(dv, advertiser):
    line_items = dv.advertisers().lineItems()
    names = [
        row["displayName"]
        for row in everything(
            line_items, advertiserId=advertiser["advertiserId"], orderBy="displayName desc", pageSize=3
        )
    ]
    assert names == sorted(names, reverse=True)


def test_one_entity_can_be_read(dv, advertiser):
    advertiser_id = advertiser["advertiserId"]
    assert dv.advertisers().get(advertiserId=advertiser_id).execute() == advertiser
    row = dv.advertisers().lineItems().list(advertiserId=advertiser_id, pageSize=1).execute()["lineItems"][0]
    same = (
        dv.advertisers().lineItems().get(advertiserId=advertiser_id, lineItemId=row["lineItemId"]).execute()
    )
    assert same == row
    assert (
        refusal(dv.advertisers().lineItems().get(advertiserId=advertiser_id, lineItemId="999999999999"))[0]
        == 404
    )


def test_a_list_without_data_has_no_items_key(dv, advertiser, health):
    assert dv.advertisers().channels().list(advertiserId=advertiser["advertiserId"]).execute() == {}
    assert dv.googleAudiences().list(partnerId=health["partner_ids"][0]).execute() == {}
    nobody = dv.advertisers().list(partnerId=health["partner_ids"][0], filter='displayName="nobody"')
    assert nobody.execute() == {}


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda dv, partner: dv.advertisers().list(), "partnerId"),
        (lambda dv, partner: dv.advertisers().list(partnerId=partner, pageSize=201), "pageSize"),
        (lambda dv, partner: dv.advertisers().list(partnerId=partner, pageSize=-1), "pageSize"),
        (lambda dv, partner: dv.advertisers().list(partnerId=partner, orderBy="colour"), "orderBy"),
        (lambda dv, partner: dv.advertisers().list(partnerId=partner, filter="colour=1"), "filter"),
        (lambda dv, partner: dv.advertisers().list(partnerId=partner, filter='entityStatus="ON"'), "filter"),
        (lambda dv, partner: dv.inventorySources().list(), "accessor"),
        (lambda dv, partner: dv.inventorySources().list(partnerId=partner, advertiserId="5"), "accessor"),
        (lambda dv, partner: dv.advertisers().list(partnerId="abc"), "partnerId"),
        (lambda dv, partner: dv.advertisers().list(partnerId=partner, fields="a("), "fields"),
    ],
)
def test_a_wrong_list_request_is_400_and_names_the_field(dv, health, call, field):
    status, error = refusal(call(dv, health["partner_ids"][0]))
    assert status == 400
    assert error["status"] == "INVALID_ARGUMENT"
    assert error["details"][0]["fieldViolations"][0]["field"] == field


def test_an_unknown_parameter_is_400(sandbox, dv):
    dv.partners().list().execute()
    token = dv._http.credentials.token
    status, _, body = fetch(sandbox.url + "/v4/partners?colour=red", {"Authorization": f"Bearer {token}"})
    assert status == 400
    assert 'Unknown name "colour"' in json.loads(body)["error"]["message"]


def test_partial_responses_hold_only_the_fields_asked_for(dv, health):
    answer = dv.advertisers().list(
        partnerId=health["partner_ids"][0], pageSize=1, fields="advertisers(advertiserId),nextPageToken"
    )
    found = answer.execute()
    assert set(found) == {"advertisers", "nextPageToken"}
    assert set(found["advertisers"][0]) == {"advertiserId"}


def test_entities_of_somebody_else_are_403_and_missing_ones_404(sandbox, dv, health):
    mine = {row["partnerId"] for row in dv.partners().list().execute()["partners"]}
    assert mine == set(health["partner_ids"])
    other = client(sandbox, "displayvideo", other=True)
    assert [row["partnerId"] for row in other.partners().list().execute()["partners"]] == health[
        "partner_ids"
    ][-1:]
    foreign = dv.advertisers().list(partnerId=health["partner_ids"][0]).execute()["advertisers"][0]
    assert refusal(other.advertisers().list(partnerId=health["partner_ids"][0]))[0] == 403
    assert refusal(other.advertisers().lineItems().list(advertiserId=foreign["advertiserId"]))[0] == 403
    assert refusal(dv.advertisers().list(partnerId="999999999999"))[0] == 404


def test_partner_wide_lists(dv, health):
    partner = health["partner_ids"][0]
    for api, key in (
        (dv.inventorySources(), "inventorySourceId"),
        (dv.customBiddingAlgorithms(), "customBiddingAlgorithmId"),
    ):
        rows = everything(api, partnerId=partner)
        assert len({row[key] for row in rows}) == len(rows)


def test_floodlight_groups_lead_to_activities(dv, health):
    seen = 0
    for partner in health["partner_ids"]:
        for row in everything(dv.advertisers(), partnerId=partner):
            config = row.get("adServerConfig", {}).get("cmHybridConfig", {}).get("cmFloodlightConfigId")
            if not config:
                continue
            group = dv.floodlightGroups().get(floodlightGroupId=config, partnerId=partner).execute()
            assert group["floodlightGroupId"] == config
            activities = everything(
                dv.floodlightGroups().floodlightActivities(), floodlightGroupId=config, partnerId=partner
            )
            assert all(item["floodlightGroupId"] == config for item in activities)
            seen += len(activities)
    assert seen


def test_assigned_targeting_of_line_items(dv, advertiser):
    advertiser_id = advertiser["advertiserId"]
    ids = [row["lineItemId"] for row in everything(dv.advertisers().lineItems(), advertiserId=advertiser_id)][
        :5
    ]
    request = (
        dv.advertisers()
        .lineItems()
        .bulkListAssignedTargetingOptions(advertiserId=advertiser_id, lineItemIds=ids)
    )
    rows = request.execute().get("lineItemAssignedTargetingOptions", [])
    assert {row["lineItemId"] for row in rows} <= set(ids)
    assert rows
    first = rows[0]
    listed = (
        dv.advertisers()
        .lineItems()
        .targetingTypes()
        .assignedTargetingOptions()
        .list(
            advertiserId=advertiser_id,
            lineItemId=first["lineItemId"],
            targetingType=first["assignedTargetingOption"]["targetingType"],
        )
        .execute()
    )
    assert first["assignedTargetingOption"] in listed["assignedTargetingOptions"]
    missing = dv.advertisers().lineItems().bulkListAssignedTargetingOptions(advertiserId=advertiser_id)
    assert refusal(missing)[0] == 400


def test_writing_entities_is_not_offered(dv, advertiser):
    status, _ = refusal(
        dv.advertisers().campaigns().delete(advertiserId=advertiser["advertiserId"], campaignId="1")
    )
    assert status == 501


# --- Bid Manager


def query_body(health, **changes):
    body = {
        "metadata": {
            "title": "daily",
            "dataRange": {"range": "CUSTOM_DATES", "customStartDate": FIRST, "customEndDate": LAST},
            "format": "CSV",
        },
        "params": {
            "type": "STANDARD",
            "groupBys": ["FILTER_DATE", "FILTER_ADVERTISER", "FILTER_ADVERTISER_NAME", "FILTER_CREATIVE_ID"],
            "metrics": ["METRIC_IMPRESSIONS", "METRIC_BILLABLE_IMPRESSIONS", "METRIC_REVENUE_USD"],
            "filters": [{"type": "FILTER_PARTNER", "value": health["partner_ids"][0]}],
        },
    }
    for path, value in changes.items():
        *parents, leaf = path.split("__")
        target = body
        for parent in parents:
            target = target[parent]
        target[leaf] = value
    return body


@pytest.fixture
def query(bm, health):
    made = bm.queries().create(body=query_body(health)).execute()
    yield made
    bm.queries().delete(queryId=made["queryId"]).execute()


def finished(bm, report):
    key = report["key"]
    states = [report["metadata"]["status"]["state"]]
    while states[-1] not in ("DONE", "FAILED"):
        time.sleep(0.005)
        report = bm.queries().reports().get(**key).execute()
        states.append(report["metadata"]["status"]["state"])
    return report, states


def test_a_query_is_kept_listed_and_deleted(bm, health):
    made = bm.queries().create(body=query_body(health, metadata__title="zz")).execute()
    assert int(made["queryId"]) > 0
    assert bm.queries().get(queryId=made["queryId"]).execute() == made
    newest = bm.queries().list(pageSize=1, orderBy="queryId desc").execute()["queries"][0]
    assert newest == made
    bm.queries().delete(queryId=made["queryId"]).execute()
    assert refusal(bm.queries().get(queryId=made["queryId"]))[0] == 404


def test_a_report_goes_from_queued_to_done_and_only_then_has_a_link(bm, query):
    report = bm.queries().run(queryId=query["queryId"]).execute()
    assert "googleCloudStoragePath" not in report["metadata"]
    assert report["metadata"]["reportDataStartDate"] == FIRST
    done, states = finished(bm, report)
    assert states[-1] == "DONE"
    assert states == sorted(states, key=["QUEUED", "RUNNING", "DONE"].index)
    assert done["metadata"]["googleCloudStoragePath"].startswith("http")
    listed = bm.queries().reports().list(queryId=query["queryId"]).execute()["reports"]
    assert [item["key"] for item in listed] == [report["key"]]


def test_the_file_of_a_report_adds_up_to_its_totals(bm, query):
    report = bm.queries().run(queryId=query["queryId"], synchronous=True).execute()
    status, headers, content = fetch(report["metadata"]["googleCloudStoragePath"])
    assert status == 200
    assert int(headers["content-length"]) == len(content)
    lines = list(csv.reader(io.StringIO(content.decode())))
    end = lines.index([])
    assert lines[0][:4] == ["Date", "Advertiser ID", "Advertiser", "Creative ID"]
    rows, totals = lines[1 : end - 1], lines[end - 1]
    assert totals[:4] == ["", "", "", ""]
    assert rows
    for column in (4, 5, 6):
        assert sum(Decimal(row[column]) for row in rows) == Decimal(totals[column])
    assert {row[0] for row in rows} <= {"2026/01/01", "2026/01/02", "2026/01/03"}
    assert len({tuple(row[:4]) for row in rows}) == len(rows)
    assert ["Date Range:", "2026/01/01 to 2026/01/03"] in lines[end:]


def test_a_download_can_be_continued_with_range(bm, query):
    report = bm.queries().run(queryId=query["queryId"], synchronous=True).execute()
    url = report["metadata"]["googleCloudStoragePath"]
    _, headers, whole = fetch(url)
    status, part_headers, part = fetch(url, {"Range": "bytes=10-"})
    assert (status, part) == (206, whole[10:])
    assert part_headers["content-range"] == f"bytes 10-{len(whole) - 1}/{len(whole)}"
    assert part_headers["etag"] == headers["etag"]
    assert fetch(url, {"Range": "bytes=-5"})[2] == whole[-5:]
    assert fetch(url, {"Range": f"bytes={len(whole)}-"})[0] == 416
    assert fetch(url, {"Range": "bytes=10-", "If-Range": '"old"'})[0] == 200


def test_a_link_without_its_signature_is_403(sandbox, bm, query):
    report = bm.queries().run(queryId=query["queryId"], synchronous=True).execute()
    url = report["metadata"]["googleCloudStoragePath"]
    status, headers, body = fetch(url.split("?")[0])
    assert status == 403
    assert headers["content-type"].startswith("application/xml")
    assert b"<Code>AccessDenied</Code>" in body
    assert b"SignatureDoesNotMatch" in fetch(url.replace("Expires=1", "Expires=2"))[2]


def test_links_expire(health):
    with adelt_sandbox.running(options=["--signed-url-seconds", "0"]) as hasty:
        api = client(hasty, "doubleclickbidmanager")
        made = api.queries().create(body=query_body(health)).execute()
        report = api.queries().run(queryId=made["queryId"], synchronous=True).execute()
        status, _, body = fetch(report["metadata"]["googleCloudStoragePath"])
    assert status == 403
    assert b"<Code>ExpiredToken</Code>" in body


def test_the_window_of_a_run_can_be_changed(bm, query):
    window = {"dataRange": {"range": "CUSTOM_DATES", "customStartDate": LAST, "customEndDate": LAST}}
    report = bm.queries().run(queryId=query["queryId"], body=window, synchronous=True).execute()
    content = fetch(report["metadata"]["googleCloudStoragePath"])[2].decode()
    assert "Date Range:,2026/01/03 to 2026/01/03\n" in content
    assert "\n2026/01/01," not in content


def test_a_report_is_frozen_at_the_clock_of_its_run(sandbox, bm, query):
    before = bm.queries().run(queryId=query["queryId"], synchronous=True).execute()
    sandbox.set_clock("2026-01-20T06:00:00Z")
    try:
        later = bm.queries().run(queryId=query["queryId"], synchronous=True).execute()
    finally:
        sandbox.set_clock("2026-01-06T06:00:00Z")
    again = bm.queries().run(queryId=query["queryId"], synchronous=True).execute()
    files = [fetch(item["metadata"]["googleCloudStoragePath"])[2] for item in (before, later, again)]
    assert files[0] == files[2]
    assert files[0] != files[1]


def test_days_without_delivery_give_the_empty_report(bm, query):
    future = {"year": 2030, "month": 1, "day": 1}
    window = {"dataRange": {"range": "CUSTOM_DATES", "customStartDate": future, "customEndDate": future}}
    report = bm.queries().run(queryId=query["queryId"], body=window, synchronous=True).execute()
    content = fetch(report["metadata"]["googleCloudStoragePath"])[2].decode()
    assert content.splitlines()[1] == "No data returned by the reporting service."


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"params__metrics": ["METRIC_NONSENSE"]}, "METRIC_NONSENSE"),
        ({"params__groupBys": ["FILTER_NONSENSE"]}, "FILTER_NONSENSE"),
        ({"params__groupBys": []}, "groupBys"),
        ({"params__metrics": ["METRIC_CLICKS", "METRIC_CLICKS"]}, "Duplicate"),
        ({"params__type": "NONSENSE"}, "params.type"),
        ({"params__filters": [{"type": "FILTER_ADVERTISER", "value": "abc"}]}, "abc"),
        ({"metadata__dataRange": {"range": "CUSTOM_DATES"}}, "customStartDate"),
        (
            {
                "metadata__dataRange": {
                    "range": "CUSTOM_DATES",
                    "customStartDate": LAST,
                    "customEndDate": FIRST,
                }
            },
            "must not be after",
        ),
        ({"metadata__dataRange": {"range": "NEXT_WEEK"}}, "dataRange.range"),
        ({"metadata__format": "XLSX"}, "CSV"),
        ({"nonsense": 1}, "nonsense"),
        ({"queryId": "5"}, "output only"),
    ],
)
def test_a_wrong_query_is_400_and_says_why(bm, health, changes, said):
    status, error = refusal(bm.queries().create(body=query_body(health, **changes)))
    assert status == 400
    assert said in error["message"]


def test_queries_belong_to_the_account_that_made_them(sandbox, bm, query, health):
    other = client(sandbox, "doubleclickbidmanager", other=True)
    assert refusal(other.queries().get(queryId=query["queryId"]))[0] == 403
    assert refusal(other.queries().run(queryId=query["queryId"]))[0] == 403
    assert refusal(other.queries().create(body=query_body(health)))[0] == 403
    assert query["queryId"] not in [
        item["queryId"] for item in other.queries().list().execute().get("queries", [])
    ]


def test_the_bare_endpoint_works_as_well(sandbox):
    made = service_account.Credentials.from_service_account_file(str(sandbox.credentials), scopes=[BM])
    api = build(
        "doubleclickbidmanager",
        "v2",
        credentials=made,
        static_discovery=True,
        client_options={"api_endpoint": sandbox.url},
    )
    assert isinstance(api.queries().list().execute(), dict)


# --- CM360


@pytest.fixture(scope="module")
def profile(cm):
    return cm.userProfiles().list().execute()["items"][0]["profileId"]


def report_body(**changes):
    criteria = {
        "dateRange": {"startDate": "2026-01-01", "endDate": "2026-01-03"},
        "dimensions": [{"name": name} for name in ("date", "advertiserId", "advertiser", "placementId")],
        "metricNames": ["impressions", "clicks", "mediaCost"],
    }
    return {"name": "daily", "type": "STANDARD", "criteria": {**criteria, **changes}}


@pytest.fixture
def report(cm, profile):
    made = cm.reports().insert(profileId=profile, body=report_body()).execute()
    yield made
    cm.reports().delete(profileId=profile, reportId=made["id"]).execute()


def available(cm, file):
    states = [file["status"]]
    while states[-1] not in ("REPORT_AVAILABLE", "FAILED"):
        time.sleep(0.005)
        file = cm.files().get(reportId=file["reportId"], fileId=file["id"]).execute()
        states.append(file["status"])
    return file, states


def test_a_report_file_becomes_available_and_adds_up(cm, profile, report):
    file = cm.reports().run(profileId=profile, reportId=report["id"]).execute()
    assert "urls" not in file
    file, states = available(cm, file)
    assert states == sorted(states, key=["QUEUED", "PROCESSING", "REPORT_AVAILABLE"].index)
    content = io.BytesIO()
    download = MediaIoBaseDownload(
        content, cm.files().get_media(reportId=report["id"], fileId=file["id"]), chunksize=1000
    )
    done = False
    while not done:
        _, done = download.next_chunk()
    same = (
        cm.reports().files().get_media(profileId=profile, reportId=report["id"], fileId=file["id"]).execute()
    )
    assert content.getvalue() == same
    lines = list(csv.reader(io.StringIO(same.decode())))
    start = lines.index(["Report Fields"]) + 1
    assert lines[start][:4] == ["Date", "Advertiser ID", "Advertiser", "Placement ID"]
    rows, totals = lines[start + 1 : -1], lines[-1]
    assert totals[:4] == ["Grand Total:", "---", "---", "---"]
    assert rows
    for column in (4, 5, 6):
        assert sum(Decimal(row[column]) for row in rows) == Decimal(totals[column])


def test_prefixed_names_and_filters_are_understood(cm, profile):
    whole = cm.reports().insert(profileId=profile, body=report_body()).execute()
    file = cm.reports().run(profileId=profile, reportId=whole["id"], synchronous=True).execute()
    text = cm.files().get_media(reportId=whole["id"], fileId=file["id"]).execute().decode()
    advertiser_id = text.split("Report Fields\n")[1].splitlines()[1].split(",")[1]
    body = report_body(
        dimensions=[{"name": "dfa:advertiserId"}],
        metricNames=["dfa:impressions"],
        dimensionFilters=[
            {"dimensionName": "dfa:advertiserId", "value": advertiser_id, "matchType": "EXACT"}
        ],
    )
    part = cm.reports().insert(profileId=profile, body=body).execute()
    file = cm.reports().run(profileId=profile, reportId=part["id"], synchronous=True).execute()
    text = cm.files().get_media(reportId=part["id"], fileId=file["id"]).execute().decode()
    rows = text.split("Report Fields\n")[1].splitlines()
    assert rows[0] == "Advertiser ID,Impressions"
    assert [row.split(",")[0] for row in rows[1:]] == [advertiser_id, "Grand Total:"]


def test_file_lists_repeat_a_full_last_page_under_a_fresh_token(cm, profile, report):
    for _ in range(4):
        cm.reports().run(profileId=profile, reportId=report["id"], synchronous=True).execute()
    files, pages, request = cm.reports().files(), [], None
    request = files.list(profileId=profile, reportId=report["id"], maxResults=2)
    while request is not None:
        answer = request.execute()
        pages.append([item["id"] for item in answer["items"]])
        request = files.list_next(request, answer)
    assert len(pages) == 3
    assert pages[2] == pages[1] != pages[0]
    assert len({item for page in pages for item in page}) == 4


def test_reports_can_be_changed_listed_and_deleted(cm, profile):
    made = cm.reports().insert(profileId=profile, body=report_body()).execute()
    body = {**report_body(), "name": "renamed"}
    assert (
        cm.reports().update(profileId=profile, reportId=made["id"], body=body).execute()["name"] == "renamed"
    )
    listed = cm.reports().list(profileId=profile, sortField="ID", maxResults=1).execute()["items"]
    assert [item["id"] for item in listed] == [made["id"]]
    cm.reports().delete(profileId=profile, reportId=made["id"]).execute()
    assert refusal(cm.reports().get(profileId=profile, reportId=made["id"]))[0] == 404


def test_compatible_fields_are_those_a_report_can_have(cm, profile):
    answer = cm.reports().compatibleFields().query(profileId=profile, body=report_body()).execute()
    fields = answer["reportCompatibleFields"]
    body = report_body(
        dimensions=[{"name": item["name"]} for item in fields["dimensions"]],
        metricNames=[item["name"] for item in fields["metrics"]],
    )
    made = cm.reports().insert(profileId=profile, body=body).execute()
    file = cm.reports().run(profileId=profile, reportId=made["id"], synchronous=True).execute()
    assert file["status"] == "REPORT_AVAILABLE"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (report_body(metricNames=["nonsense"]), "nonsense"),
        (report_body(dimensions=[{"name": "nonsense"}]), "nonsense"),
        (report_body(dimensions=[]), "at least one"),
        (report_body(dateRange={"startDate": "2026-01-03", "endDate": "2026-01-01"}), "must not be after"),
        (report_body(dateRange={}), "Date range"),
        (report_body(dateRange={"relativeDateRange": "NEXT_WEEK"}), "relativeDateRange"),
        ({**report_body(), "type": "REACH"}, "STANDARD"),
        ({**report_body(), "colour": "red"}, "colour"),
        ({**report_body(), "name": ""}, "name"),
    ],
)
def test_a_wrong_report_is_400_and_says_why(cm, profile, body, said):
    status, error = refusal(cm.reports().insert(profileId=profile, body=body))
    assert status == 400
    assert said in error["message"]


@pytest.mark.parametrize(
    "resource",
    ["accounts", "advertisers", "campaigns", "sites", "placements", "ads", "creatives", "directorySites"],
)
def test_entity_lists_page_sort_and_select(cm, profile, resource):
    api = getattr(cm, resource)()
    rows = everything(api, profileId=profile)
    ids = [row["id"] for row in rows]
    assert ids == sorted(ids, key=int)
    assert [row["id"] for row in everything(api, profileId=profile, maxResults=2)] == ids
    reverse = everything(api, profileId=profile, sortOrder="DESCENDING")
    assert [row["id"] for row in reverse] == ids[::-1]
    if ids:
        assert [row["id"] for row in everything(api, profileId=profile, ids=ids[:2])] == ids[:2]
        assert api.get(profileId=profile, id=ids[0]).execute() == rows[0]
    assert refusal(api.get(profileId=profile, id="999999999999"))[0] == 404


def test_entity_lists_select_by_parent_and_name(cm, profile):
    placements = everything(cm.placements(), profileId=profile)
    campaign = placements[0]["campaignId"]
    found = everything(cm.placements(), profileId=profile, campaignIds=[campaign])
    assert found == [row for row in placements if row["campaignId"] == campaign]
    name = placements[0]["name"]
    assert placements[0] in everything(cm.placements(), profileId=profile, searchString=name)
    assert everything(cm.placements(), profileId=profile, searchString="no such name") == []


def test_floodlight_lists_need_to_know_of_what(cm, profile):
    assert everything(cm.floodlightActivities(), profileId=profile) == []
    activities = [
        activity
        for row in everything(cm.advertisers(), profileId=profile)
        for activity in everything(cm.floodlightActivities(), profileId=profile, advertiserId=row["id"])
    ]
    assert activities
    config = activities[0]["floodlightConfigurationId"]
    configs = cm.floodlightConfigurations().list(profileId=profile, ids=[config]).execute()
    assert [row["id"] for row in configs["floodlightConfigurations"]] == [config]


def test_reference_lists_without_data_are_empty(cm, profile):
    assert "browsers" not in cm.browsers().list(profileId=profile).execute()


@pytest.mark.parametrize("size", [0, 1001])
def test_page_sizes_have_bounds(cm, profile, size):
    status, error = refusal(cm.advertisers().list(profileId=profile, maxResults=size))
    assert status == 400
    assert "[1, 1000]" in error["message"]


def test_profiles_and_reports_of_others_are_403(sandbox, cm, profile, report, health):
    other = client(sandbox, "dfareporting", other=True)
    assert [item["profileId"] for item in other.userProfiles().list().execute()["items"]] == health[
        "profile_ids"
    ][-1:]
    if len(health["profile_ids"]) > 1:
        assert refusal(other.advertisers().list(profileId=profile))[0] == 403
    mine = health["profile_ids"][-1]
    assert refusal(other.reports().get(profileId=mine, reportId=report["id"]))[0] == 403
    assert refusal(cm.advertisers().list(profileId="999999999999"))[0] == 404


# --- every list there is


def example(name, spec, known):
    if name in known:
        return known[name]
    if spec.get("enum"):
        return next(value for value in spec["enum"] if not value.endswith("UNSPECIFIED"))
    return "1" if spec.get("format") in ("int64", "int32", None) else "2026-01-01"


@pytest.mark.parametrize(("api", "version"), [("displayvideo", "v4"), ("dfareporting", "v5")])
def test_every_list_method_answers(sandbox, profile, advertiser, api, version):
    users = SCOPE + "display-video-user-management"
    able = client(sandbox, "displayvideo", DV, users, CM_REPORTS, CM_ENTITIES)
    able.partners().list().execute()
    headers = {"Authorization": f"Bearer {able._http.credentials.token}"}
    ids = {
        "advertiserId": advertiser["advertiserId"],
        "partnerId": advertiser["partnerId"],
        "profileId": profile,
    }
    described = Api(api, version)
    wrong = {}
    for method in (item for item in described.methods if item.is_list):
        path, query = described.prefix + raw_path(described, method), []
        scopes = [name for name in ("partnerId", "advertiserId") if name in method.parameters]
        for name, spec in method.parameters.items():
            value = example(name, spec, ids)
            if spec["location"] == "path":
                path = path.replace("{+" + name + "}", value).replace("{" + name + "}", value)
            elif spec.get("required") or name in ("lineItemIds", "adGroupIds") or name in scopes[:1]:
                query.append((name, value))
        status, _, body = fetch(f"{sandbox.url}{path}?{urlencode(query)}", headers)
        if status != 200 and method.short_id != "reports.files.list":  # that one needs a report
            wrong[method.id] = (status, body[:200])
    assert wrong == {}


def raw_path(described, method):
    found, todo = [], [described.document]
    while todo:
        part = todo.pop()
        todo += part.get("resources", {}).values()
        found += [item["path"] for item in part.get("methods", {}).values() if item["id"] == method.id]
    return found[0]


# --- control


def test_the_control_endpoints_explain_themselves(sandbox):
    status, _, body = fetch(sandbox.url + "/sandbox/nothing")
    assert status == 404
    assert "truth" in json.loads(body)["error"]["message"]
    assert fetch(sandbox.url + "/sandbox/clock", method="DELETE")[0] == 405
    status, _, body = fetch(sandbox.url + "/sandbox/clock", method="POST", data=b'{"now": "soon"}')
    assert status == 400
    assert "ISO 8601" in json.loads(body)["error"]["message"]


def test_the_clock_can_be_advanced(sandbox):
    try:
        assert (
            sandbox.request("POST", "/sandbox/clock", {"advance_seconds": 60})["now"]
            == "2026-01-06T06:01:00Z"
        )
    finally:
        sandbox.set_clock("2026-01-06T06:00:00Z")


def test_the_truth_can_be_asked_for(sandbox):
    assert "raw_dv360.report_standard" in sandbox.request("GET", "/sandbox/truth")["tables"]
    answer = sandbox.truth(
        "raw_dv360/report_standard", as_of="2026-01-06T06:00:00Z", start="2026-01-01", end="2026-01-02"
    )
    assert answer["rows"]
    assert {row["date"] for row in answer["rows"]} == {"2026-01-01"}
    status, _, _ = fetch(sandbox.url + "/sandbox/truth/raw_dv360/nothing")
    assert status == 404


def test_an_unknown_path_is_a_json_404(sandbox):
    status, _, body = fetch(sandbox.url + "/v9/nothing")
    assert status == 404
    assert json.loads(body)["error"]["status"] == "NOT_FOUND"

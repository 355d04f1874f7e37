"""Small parts of the sandbox: page tokens, field masks, date ranges, byte ranges, fault schedules."""

from datetime import UTC, date, datetime

import pytest

from adelt_sandbox import fields, ranges
from adelt_sandbox.clock import Clock, format_instant, parse_instant
from adelt_sandbox.errors import GoogleError
from adelt_sandbox.faults import Schedule
from adelt_sandbox.media import byte_range
from adelt_sandbox.paging import Paging

TODAY = date(2026, 3, 4)  # a Wednesday


def test_pages_cover_every_item_once():
    paging, items, found, token = Paging(7), list(range(10)), [], ""
    while True:
        page, token = paging.page("m", {"filter": "x", "pageToken": token}, items, 3)
        found += page
        if not token:
            break
    assert found == items


@pytest.mark.parametrize(
    ("method", "request_"),
    [("m", {"filter": "y"}), ("other", {"filter": "x"}), ("m", {"filter": "x", "orderBy": "z"})],
)
def test_a_page_token_is_refused_for_another_request(method, request_):
    paging = Paging(7)
    token = paging.token("m", {"filter": "x"}, 3)
    assert paging.offset("m", {"filter": "x", "pageSize": 9, "pageToken": token}) == 3
    with pytest.raises(GoogleError, match="Page token is invalid"):
        paging.offset(method, {**request_, "pageToken": token})


@pytest.mark.parametrize("token", ["x", "!!!!", "AAAAAAAAAAAAAAAAAAAAAAAA"])
def test_an_invented_page_token_is_refused(token):
    with pytest.raises(GoogleError, match="Page token is invalid"):
        Paging(7).offset("m", {"pageToken": token})


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("a", {"a": 1}),
        ("items(x)", {"items": [{"x": 1}, {"x": 3}]}),
        ("items/y,a", {"a": 1, "items": [{"y": 2}, {}]}),
        ("*", {"a": 1, "items": [{"x": 1, "y": 2}, {"x": 3}]}),
        ("items(x,y)", {"items": [{"x": 1, "y": 2}, {"x": 3}]}),
    ],
)
def test_a_field_mask_keeps_what_it_names(mask, expected):
    value = {"a": 1, "items": [{"x": 1, "y": 2}, {"x": 3}]}
    assert fields.apply(fields.parse(mask), value) == expected


@pytest.mark.parametrize("mask", ["items(", "a,", ")", "items(x))", "a b", "ü"])
def test_a_broken_field_mask_is_refused(mask):
    with pytest.raises(GoogleError, match="Invalid field selection"):
        fields.parse(mask)


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("CURRENT_DAY", "2026-03-04", "2026-03-04"),
        ("PREVIOUS_DAY", "2026-03-03", "2026-03-03"),
        ("LAST_7_DAYS", "2026-02-25", "2026-03-03"),
        ("LAST_365_DAYS", "2025-03-04", "2026-03-03"),
        ("WEEK_TO_DATE", "2026-03-01", "2026-03-04"),
        ("PREVIOUS_WEEK", "2026-02-22", "2026-02-28"),
        ("MONTH_TO_DATE", "2026-03-01", "2026-03-04"),
        ("PREVIOUS_MONTH", "2026-02-01", "2026-02-28"),
        ("QUARTER_TO_DATE", "2026-01-01", "2026-03-04"),
        ("PREVIOUS_QUARTER", "2025-10-01", "2025-12-31"),
        ("YEAR_TO_DATE", "2026-01-01", "2026-03-04"),
        ("PREVIOUS_YEAR", "2025-01-01", "2025-12-31"),
        ("ALL_TIME", "2024-01-01", "2026-03-03"),
        ("LAST_24_MONTHS", "2024-03-01", "2026-02-28"),
    ],
)
def test_a_relative_range_is_resolved_like_google_documents_it(name, start, end):
    assert ranges.resolve(name, TODAY) == (date.fromisoformat(start), date.fromisoformat(end))


def test_every_range_of_the_bid_manager_api_can_be_resolved():
    from adelt_sandbox.discovery import Api

    names = Api("doubleclickbidmanager", "v2").schema("DataRange")["properties"]["range"]["enum"]
    for name in set(names) - {"RANGE_UNSPECIFIED", "CUSTOM_DATES"}:
        start, end = ranges.resolve(name, TODAY)
        assert start <= end <= TODAY


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-4", (0, 4)),
        ("bytes=5-", (5, 9)),
        ("bytes=-3", (7, 9)),
        ("bytes=0-99", (0, 9)),
        ("bytes=-99", (0, 9)),
        ("bytes=0-1,3-4", None),
        ("bytes=-", None),
        ("lines=1-2", None),
        ("bytes=4-2", None),
    ],
)
def test_a_range_header_names_bytes(header, expected):
    assert byte_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=-0"])
def test_a_range_outside_the_file_is_416(header):
    with pytest.raises(GoogleError, match="not satisfiable") as caught:
        byte_range(header, 10)
    assert caught.value.code == 416
    assert caught.value.headers["Content-Range"] == "bytes */10"


def test_the_clock_only_moves_when_told():
    clock = Clock(parse_instant("2026-01-06T07:00:00+01:00"))
    assert clock.now == datetime(2026, 1, 6, 6, tzinfo=UTC)
    clock.advance(86400)
    assert format_instant(clock.now) == "2026-01-07T06:00:00Z"
    clock.set(parse_instant("2025-12-31"))
    assert format_instant(clock.now) == "2025-12-31T00:00:00Z"


def hits(schedule: Schedule, count: int, path: str = "/v4/partners", api: str = "displayvideo") -> list[int]:
    return [index for index in range(1, count + 1) if schedule.effect(api, "GET", path).reply]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"nth": 2}, [2]),
        ({"nth": [1, 4]}, [1, 4]),
        ({"every": 3}, [3, 6]),
        ({"every": 2, "times": 2}, [2, 4]),
        ({"probability": 0}, []),
        ({"probability": 1}, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_a_fault_fires_when_the_schedule_says(when, expected):
    schedule = Schedule(7)
    schedule.load([{"match": {"api": "displayvideo"}, "fault": "http", **when}])
    assert hits(schedule, 6) == expected
    assert [entry["request"] for entry in schedule.state()["fired"]] == expected


def test_a_schedule_replays_exactly_and_follows_the_seed():
    entry = [{"probability": 0.3, "fault": "http"}]
    schedules = [Schedule(1), Schedule(1), Schedule(2)]
    for schedule in schedules:
        schedule.load(entry)
    first, again, other = (hits(schedule, 60) for schedule in schedules)
    assert first == again
    assert first != other
    assert 5 < len(first) < 35


def test_only_matching_requests_are_counted():
    schedule = Schedule(7)
    schedule.load([{"match": {"path": "/files/", "method": "get"}, "nth": 2, "fault": "quota_daily"}])
    assert hits(schedule, 3) == []
    assert hits(schedule, 3, "/dfareporting/v5/reports/1/files/2", "dfareporting") == [2]


@pytest.mark.parametrize(
    "document",
    [
        {"nope": []},
        [{"fault": "flood"}],
        [{"fault": "http", "color": 1}],
        [{"fault": "http", "match": {"host": "x"}}],
        [{"fault": "http", "nth": 1, "every": 2}],
        [{"fault": "http", "match": {"path": "("}}],
        [{"fault": "http", "every": 0}],
    ],
)
def test_a_wrong_schedule_is_refused(document):
    with pytest.raises(GoogleError, match="fault") as caught:
        Schedule(7).load(document)
    assert caught.value.code == 400

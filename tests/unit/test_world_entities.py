"""Entities of the world: valid for Google's own schemas, alive over time, and the same in files and API."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from adelt_sandbox.discovery import Api
from adelt_sandbox.world import World

Row = dict[str, Any]
INSTANTS = [
    datetime(2024, 1, 2, 6, tzinfo=UTC),
    datetime(2024, 10, 29, 5, tzinfo=UTC),
    datetime(2026, 1, 15, 6, tzinfo=UTC),
    datetime(2026, 3, 29, 23, 30, tzinfo=UTC),
]
DV360_SCHEMAS = {
    "partners": "Partner",
    "advertisers": "Advertiser",
    "campaigns": "Campaign",
    "insertionOrders": "InsertionOrder",
    "lineItems": "LineItem",
    "adGroups": "AdGroup",
    "adGroupAds": "AdGroupAd",
    "creatives": "Creative",
    "inventorySources": "InventorySource",
    "customBiddingAlgorithms": "CustomBiddingAlgorithm",
    "floodlightGroups": "FloodlightGroup",
    "floodlightActivities": "FloodlightActivity",
    "lineItemAssignedTargetingOptions": "LineItemAssignedTargetingOption",
    "adGroupAssignedTargetingOptions": "AdGroupAssignedTargetingOption",
    "advertiserAssignedTargetingOptions": "AssignedTargetingOption",
    "targetingOptions": "TargetingOption",
}
CM360_SCHEMAS = {
    "accounts": "Account",
    "advertisers": "Advertiser",
    "campaigns": "Campaign",
    "sites": "Site",
    "placements": "Placement",
    "ads": "Ad",
    "creatives": "Creative",
    "floodlightConfigurations": "FloodlightConfiguration",
    "floodlightActivityGroups": "FloodlightActivityGroup",
    "floodlightActivities": "FloodlightActivity",
    "directorySites": "DirectorySite",
    "placementGroups": "PlacementGroup",
}
TABLES = Path(__file__).parents[2] / "dlt" / "adelt_sources" / "tables" / "dv360_erf.yml"


@pytest.fixture(scope="module")
def world() -> World:
    return World(7, "tiny")


def by_id(rows: list[Row], key: str) -> dict[int, Row]:
    return {int(row[key]): row for row in rows}


def empty_places(value: Any, path: str = "") -> Iterator[str]:
    if value is None or value == "" or value == [] or value == {}:
        yield path
    for name, item in value.items() if isinstance(value, dict) else ():
        yield from empty_places(item, f"{path}.{name}")
    for item in value if isinstance(value, list) else ():
        yield from empty_places(item, f"{path}[]")


@pytest.mark.parametrize("as_of", INSTANTS, ids=str)
@pytest.mark.parametrize("resource", DV360_SCHEMAS)
def test_dv360_objects_fit_the_discovery_document(world: World, resource: str, as_of: datetime) -> None:
    rows = world.dv360(resource, as_of)
    assert rows
    api = Api("displayvideo", "v4")
    assert [p for row in rows for p in api.problems({"$ref": DV360_SCHEMAS[resource]}, row)] == []
    assert [place for row in rows for place in empty_places(row)] == []


@pytest.mark.parametrize("as_of", INSTANTS, ids=str)
@pytest.mark.parametrize("resource", CM360_SCHEMAS)
def test_cm360_objects_fit_the_discovery_document(world: World, resource: str, as_of: datetime) -> None:
    rows = world.cm360(resource, as_of)
    assert rows
    api = Api("dfareporting", "v5")
    assert [p for row in rows for p in api.problems({"$ref": CM360_SCHEMAS[resource]}, row)] == []
    assert [place for row in rows for place in empty_places(row)] == []
    ids = [int(row["id"]) for row in rows]
    assert ids == sorted(set(ids))


def test_every_resource_that_is_listed_is_checked(world: World) -> None:
    assert set(world.dv360_resources) == set(DV360_SCHEMAS)
    assert set(world.cm360_resources) == set(CM360_SCHEMAS)


def test_profiles_fit_the_discovery_document_and_open_every_account(world: World) -> None:
    api = Api("dfareporting", "v5")
    assert [p for row in world.profiles for p in api.problems({"$ref": "UserProfile"}, row)] == []
    accounts = {row["id"] for row in world.cm360("accounts", INSTANTS[2])}
    assert {row["accountId"] for row in world.profiles} == accounts


@pytest.mark.parametrize("resource", DV360_SCHEMAS)
def test_every_object_belongs_to_a_partner_that_exists(world: World, resource: str) -> None:
    advertisers = by_id(world.dv360("advertisers", INSTANTS[2]), "advertiserId")
    for row in world.dv360(resource, INSTANTS[2]):
        scope = world.scope(resource, row)
        if resource == "targetingOptions":
            assert scope == {}
            continue
        assert scope["partnerId"] in world.partner_ids
        if "advertiserId" in scope:
            assert advertisers[scope["advertiserId"]]["partnerId"] == str(scope["partnerId"])


def test_children_point_to_parents_that_are_listed(world: World) -> None:
    as_of = INSTANTS[2]
    campaigns = by_id(world.dv360("campaigns", as_of), "campaignId")
    orders = by_id(world.dv360("insertionOrders", as_of), "insertionOrderId")
    items = by_id(world.dv360("lineItems", as_of), "lineItemId")
    creatives = by_id(world.dv360("creatives", as_of), "creativeId")
    groups = by_id(world.dv360("adGroups", as_of), "adGroupId")
    assert all(int(order["campaignId"]) in campaigns for order in orders.values())
    for number, item in items.items():
        assert orders[int(item["insertionOrderId"])]["campaignId"] == item["campaignId"]
        for creative in item.get("creativeIds", []):
            assert str(number) in creatives[int(creative)]["lineItemIds"]
    assert all(int(group["lineItemId"]) in items for group in groups.values())
    assert all(int(ad["adGroupId"]) in groups for ad in world.dv360("adGroupAds", as_of))
    for option in world.dv360("lineItemAssignedTargetingOptions", as_of):
        assert int(option["lineItemId"]) in items


def test_dv360_and_cm360_name_each_other(world: World) -> None:
    as_of = INSTANTS[2]
    placements = by_id(world.cm360("placements", as_of), "id")
    advertisers = by_id(world.cm360("advertisers", as_of), "id")
    configurations = by_id(world.cm360("floodlightConfigurations", as_of), "id")
    there = by_id(world.dv360("advertisers", as_of), "advertiserId")
    served = [row for row in world.dv360("creatives", as_of) if "cmPlacementId" in row]
    assert served
    for creative in served:
        link = there[int(creative["advertiserId"])]["adServerConfig"]["cmHybridConfig"]
        assert placements[int(creative["cmPlacementId"])]["advertiserId"] in link["cmAdvertiserIds"]
    groups = {row["floodlightGroupId"] for row in world.dv360("floodlightGroups", as_of)}
    linked = [row["adServerConfig"].get("cmHybridConfig") for row in there.values()]
    assert groups == {link["cmFloodlightConfigId"] for link in linked if link}
    assert {int(group) for group in groups} <= set(configurations)
    assert all(int(number) in advertisers for link in linked if link for number in link["cmAdvertiserIds"])


def test_the_world_is_varied(world: World) -> None:
    advertisers = world.dv360("advertisers", INSTANTS[3])
    assert len({row["generalConfig"]["currencyCode"] for row in advertisers}) >= 4
    assert len({row["generalConfig"]["timeZone"] for row in advertisers}) >= 4
    items = world.dv360("lineItems", INSTANTS[3])
    assert len({row["lineItemType"] for row in items}) >= 4
    segments = [len(row["budget"]["budgetSegments"]) for row in world.dv360("insertionOrders", INSTANTS[3])]
    assert max(segments) >= 4
    assert min(segments) >= 2
    kinds = {
        row["assignedTargetingOption"]["targetingType"].removeprefix("TARGETING_TYPE_")
        for row in world.dv360("lineItemAssignedTargetingOptions", INSTANTS[3])
    }
    assert {"GEO_REGION", "DEVICE_TYPE", "CHANNEL", "KEYWORD", "AUDIENCE_GROUP", "LANGUAGE"} <= kinds


WEEKS = [
    (date(2024, 10, 25), date(2024, 11, 1)),
    *[(date(2025, 12, 29) + timedelta(weeks=n), date(2026, 1, 5) + timedelta(weeks=n)) for n in range(5)],
    *[(date(2026, 3, 2) + timedelta(weeks=n), date(2026, 3, 9) + timedelta(weeks=n)) for n in range(5)],
]


@pytest.mark.parametrize(("start", "end"), WEEKS, ids=str)
def test_every_week_something_is_new_renamed_paused_rebudgeted_and_removed(
    world: World, start: date, end: date
) -> None:
    happened: set[str] = set()
    day = start
    while day < end - timedelta(days=1):
        before, after = (datetime.combine(day + timedelta(days=n), time(6), UTC) for n in (0, 1))
        old, new = (by_id(world.dv360("lineItems", at), "lineItemId") for at in (before, after))
        happened |= {"new"} if new.keys() - old.keys() else set()
        happened |= {"removed"} if old.keys() - new.keys() else set()
        for number in old.keys() & new.keys():
            if old[number]["displayName"] != new[number]["displayName"]:
                happened.add("renamed")
                assert after >= datetime.fromisoformat(new[number]["updateTime"]) > before
            if (old[number]["entityStatus"], new[number]["entityStatus"]) == (
                "ENTITY_STATUS_ACTIVE",
                "ENTITY_STATUS_PAUSED",
            ):
                happened.add("paused")
        old, new = (by_id(world.dv360("insertionOrders", at), "insertionOrderId") for at in (before, after))
        if any(old[number]["budget"] != new[number]["budget"] for number in old.keys() & new.keys()):
            happened.add("rebudgeted")
        day += timedelta(days=1)
    assert happened == {"new", "removed", "renamed", "paused", "rebudgeted"}


def test_update_time_moves_with_every_change_and_only_then(world: World) -> None:
    before, after = (datetime(2026, 1, day, 6, tzinfo=UTC) for day in (5, 19))
    for resource, key in (("lineItems", "lineItemId"), ("insertionOrders", "insertionOrderId")):
        old, new = (by_id(world.dv360(resource, at), key) for at in (before, after))
        for number in old.keys() & new.keys():
            fields = {"displayName", "entityStatus", "budget"}
            changed = any(old[number].get(name) != new[number].get(name) for name in fields)
            moved = old[number]["updateTime"] != new[number]["updateTime"]
            assert moved or not changed
        assert any(
            old[number]["updateTime"] == new[number]["updateTime"] for number in old.keys() & new.keys()
        )


def test_an_advertiser_comes_and_one_goes_with_all_it_has(world: World) -> None:
    def advertisers(day: date) -> set[str]:
        return {
            row["advertiserId"] for row in world.dv360("advertisers", datetime.combine(day, time(0), UTC))
        }

    come = advertisers(date(2026, 1, 15)) - advertisers(date(2026, 1, 14))
    gone = advertisers(date(2026, 3, 18)) - advertisers(date(2026, 3, 19))
    assert (len(come), len(gone)) == (1, 1)
    for resource in ("campaigns", "insertionOrders", "lineItems", "creatives"):
        here = {row["advertiserId"] for row in world.dv360(resource, datetime(2026, 3, 19, tzinfo=UTC))}
        assert come <= here
        assert not gone & here


def test_instants_need_a_time_zone(world: World) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        world.dv360("partners", datetime(2026, 1, 5))  # noqa: DTZ001


def test_unknown_names_are_refused(world: World) -> None:
    with pytest.raises(KeyError, match="floodlight"):
        world.dv360("floodlights", INSTANTS[0])
    with pytest.raises(KeyError, match="keywords"):
        world.cm360("keywords", INSTANTS[0])
    with pytest.raises(KeyError, match="Sitemap"):
        world.erf("Sitemap", date(2024, 10, 29), None)
    with pytest.raises(ValueError, match="gigantic"):
        World(7, "gigantic")


# --- Entity Read Files -----------------------------------------------------------------------------------------------


def erf_objects(world: World, entity_type: str, day: date) -> list[Row]:
    if entity_type in world.erf_types()["public"]:
        return world.erf(entity_type, day, None)
    return [row for partner in world.partner_ids for row in world.erf(entity_type, day, partner)]


def erf_problems(value: Any, type_: Any, records: Mapping[str, Any], path: str) -> Iterator[str]:
    if isinstance(type_, list):
        if not isinstance(value, list):
            yield f"{path} is no list"
        else:
            for item in value:
                yield from erf_problems(item, type_[0], records, f"{path}[]")
    elif isinstance(type_, str) and type_ in records:
        type_ = records[type_]
        for name, item in value.items():
            if name not in type_:
                yield f"{path}.{name} is not declared"
            else:
                yield from erf_problems(item, type_[name], records, f"{path}.{name}")
    else:
        wanted = {"bigint": int, "text": str, "bool": bool, "double": float}[type_]
        if type(value) is not wanted:
            yield f"{path} is {value!r}, not {type_}"


@pytest.mark.parametrize("table", yaml.safe_load(TABLES.read_text())["tables"])
def test_erf_objects_fit_the_documented_columns(world: World, table: str) -> None:
    declared = yaml.safe_load(TABLES.read_text())
    spec = declared["tables"][table]
    columns = {column["name"]: column["type"] for column in spec["columns"]}
    scope = world.erf_types()[spec["scope"]]
    assert spec["entity"] in scope
    rows = erf_objects(world, spec["entity"], date(2024, 10, 30))
    assert rows
    records = {**declared["records"], "row": columns}
    assert [p for row in rows for p in erf_problems(row, "row", records, table)] == []
    assert [place for row in rows for place in empty_places(row)] == []
    seen = {name for row in rows for name in row}
    assert seen == set(columns), "every column is filled in some object"


@pytest.mark.parametrize(
    ("entity_type", "path"),
    [
        ("LineItem", "target_list.geo_locations.criteria_id"),
        ("LineItem", "target_list.audience_intersect.union.excluded"),
        ("LineItem", "target_list.keywords.parameter"),
        ("LineItem", "cost_tracking_pixels.floodlight_activity_id"),
        ("LineItem", "partner_costs.media_fee_percent_1_millis"),
        ("LineItem", "budget.start_time_usec"),
        ("InsertionOrder", "scheduled_segments.end_time_usec"),
        ("InsertionOrder", "default_target_list.browsers.union.criteria_id"),
        ("Campaign", "default_target_list.geo_locations.criteria_id"),
        ("Partner", "exchange_settings.seat_id"),
        ("Creative", "approval_status.feedback"),
        ("UserList", "advertiser_pricings.pricing.cost_micros"),
    ],
)
def test_nested_fields_of_erf_are_filled(world: World, entity_type: str, path: str) -> None:
    found: list[Any] = list(erf_objects(world, entity_type, date(2024, 10, 30)))
    for name in path.split("."):
        found = [row[name] for row in found if name in row]
        found = [item for value in found for item in (value if isinstance(value, list) else [value])]
    assert found


@pytest.mark.parametrize(
    ("entity_type", "resource", "key"),
    [
        ("Partner", "partners", "partnerId"),
        ("Advertiser", "advertisers", "advertiserId"),
        ("Campaign", "campaigns", "campaignId"),
        ("InsertionOrder", "insertionOrders", "insertionOrderId"),
        ("LineItem", "lineItems", "lineItemId"),
        ("Creative", "creatives", "creativeId"),
    ],
)
def test_files_and_api_tell_the_same_at_the_same_instant(
    world: World, entity_type: str, resource: str, key: str
) -> None:
    day = date(2024, 10, 29)
    files = {row["common_data"]["id"]: row["common_data"] for row in erf_objects(world, entity_type, day)}
    api = by_id(world.dv360(resource, datetime.combine(day, time(5), UTC)), key)
    assert files.keys() == api.keys()
    for number, row in api.items():
        assert files[number]["name"] == row["displayName"]
        assert files[number]["active"] == (row["entityStatus"] == "ENTITY_STATUS_ACTIVE")


def test_budgets_of_files_and_api_are_the_same_money(world: World) -> None:
    files = {
        row["common_data"]["id"]: row for row in erf_objects(world, "InsertionOrder", date(2024, 10, 29))
    }
    for row in world.dv360("insertionOrders", datetime(2024, 10, 29, 5, tzinfo=UTC)):
        theirs = files[int(row["insertionOrderId"])]["scheduled_segments"]
        ours = row["budget"]["budgetSegments"]
        assert [s["max_spend_advertiser_micros"] for s in theirs] == [
            int(s["budgetAmountMicros"]) for s in ours
        ]
        for segment, same in zip(theirs, ours, strict=True):
            first, last = same["dateRange"]["startDate"], same["dateRange"]["endDate"]
            start = datetime(first["year"], first["month"], first["day"], tzinfo=UTC)
            end = datetime(last["year"], last["month"], last["day"], tzinfo=UTC) + timedelta(days=1)
            assert segment["start_time_usec"] == int(start.timestamp()) * 1_000_000
            assert segment["end_time_usec"] == int(end.timestamp()) * 1_000_000


def test_the_files_end_and_some_come_in_batches(world: World) -> None:
    assert world.erf("LineItem", date(2024, 10, 31), world.partner_ids[0])
    assert world.erf("LineItem", date(2024, 11, 1), world.partner_ids[0]) == []
    days = [date(2024, 10, 1) + timedelta(days=n) for n in range(20)]
    counts = {world.erf_batches("LineItem", day, world.partner_ids[0]) for day in days}
    assert counts == {1, 2, 3}
    assert {world.erf_batches("Partner", day, world.partner_ids[0]) for day in days} == {1}
    longer = World(7, "tiny", erf_until=date(2026, 1, 31))
    assert longer.erf("LineItem", date(2026, 1, 5), longer.partner_ids[0])


# --- Same seed, same world -------------------------------------------------------------------------------------------

DIGEST = """
import hashlib, json, sys
from datetime import UTC, date, datetime
from adelt_sandbox.world import World
world = World(int(sys.argv[1]), "tiny")
at = datetime(2026, 1, 9, 6, tzinfo=UTC)
parts = [world.dv360(name, at) for name in world.dv360_resources]
parts += [world.cm360(name, at) for name in world.cm360_resources]
parts += [world.erf("LineItem", date(2024, 10, 30), world.partner_ids[0])]
for tables in (world.dv360_delivery, world.cm360_delivery):
    parts += [table.to_pylist() for table in tables(date(2026, 1, 2), date(2026, 1, 9), at)]
print(hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest())
"""


def digest(seed: int, hash_seed: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", DIGEST, str(seed)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
    )
    return run.stdout.strip()


def test_another_process_makes_the_same_world_and_another_seed_another() -> None:
    first = digest(7, "1")
    assert re.fullmatch(r"[0-9a-f]{64}", first)
    assert digest(7, "2") == first
    assert digest(8, "1") != first


def test_answers_do_not_depend_on_what_was_asked_before() -> None:
    early, late = datetime(2026, 1, 5, 6, tzinfo=UTC), datetime(2026, 2, 5, 6, tzinfo=UTC)
    one, other = World(3, "tiny"), World(3, "tiny")
    first = (one.dv360("lineItems", early), one.cm360("ads", late), one.dv360("creatives", late))
    second = (other.dv360("creatives", late), other.cm360("ads", late), other.dv360("lineItems", early))
    assert first == (second[2], second[1], second[0])

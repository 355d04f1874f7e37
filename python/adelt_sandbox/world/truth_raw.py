"""What the raw tables of a perfect warehouse hold."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from adelt_sandbox.discovery import document

if TYPE_CHECKING:
    from adelt_sandbox.world import World

Row = dict[str, Any]

REPORTS = ("raw_dv360.report_standard", "raw_cm360.report_standard")

#: Tables of DV360: the resource of the API, its schema, and the key.
DV360: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "partner": ("partners", "Partner", ("partner_id",)),
    "advertiser": ("advertisers", "Advertiser", ("advertiser_id",)),
    "campaign": ("campaigns", "Campaign", ("campaign_id",)),
    "insertion_order": ("insertionOrders", "InsertionOrder", ("insertion_order_id",)),
    "line_item": ("lineItems", "LineItem", ("line_item_id",)),
    "ad_group": ("adGroups", "AdGroup", ("ad_group_id",)),
    "ad": ("adGroupAds", "AdGroupAd", ("ad_group_ad_id",)),
    "creative": ("creatives", "Creative", ("creative_id",)),
    "inventory_source": ("inventorySources", "InventorySource", ("inventory_source_id",)),
    "custom_bidding_algorithm": (
        "customBiddingAlgorithms",
        "CustomBiddingAlgorithm",
        ("custom_bidding_algorithm_id",),
    ),
    "floodlight_group": ("floodlightGroups", "FloodlightGroup", ("floodlight_group_id",)),
    "floodlight_activity": ("floodlightActivities", "FloodlightActivity", ("floodlight_activity_id",)),
    "assigned_targeting_option": (
        "lineItemAssignedTargetingOptions",
        "AssignedTargetingOption",
        ("line_item_id", "targeting_type", "assigned_targeting_option_id"),
    ),
}
#: Tables of CM360: the resource of the API and its schema.
CM360: dict[str, tuple[str, str]] = {
    "account": ("accounts", "Account"),
    "advertiser": ("advertisers", "Advertiser"),
    "campaign": ("campaigns", "Campaign"),
    "site": ("sites", "Site"),
    "placement": ("placements", "Placement"),
    "ad": ("ads", "Ad"),
    "creative": ("creatives", "Creative"),
    "floodlight_configuration": ("floodlightConfigurations", "FloodlightConfiguration"),
    "floodlight_activity_group": ("floodlightActivityGroups", "FloodlightActivityGroup"),
    "floodlight_activity": ("floodlightActivities", "FloodlightActivity"),
}
#: Tables of entity read files: the entity type and whether it is public.
ERF: dict[str, tuple[str, bool]] = {
    "app_collection": ("AppCollection", True),
    "browser": ("Browser", True),
    "data_partner": ("DataPartner", True),
    "device_criteria": ("DeviceCriteria", True),
    "geo_location": ("GeoLocation", True),
    "isp": ("Isp", True),
    "language": ("Language", True),
    "supported_exchange": ("SupportedExchange", True),
    "universal_site": ("UniversalSite", True),
    "advertiser": ("Advertiser", False),
    "campaign": ("Campaign", False),
    "creative": ("Creative", False),
    "custom_affinity": ("CustomAffinity", False),
    "floodlight_activity": ("FloodlightActivity", False),
    "insertion_order": ("InsertionOrder", False),
    "inventory_source": ("InventorySource", False),
    "line_item": ("LineItem", False),
    "negative_keyword_list": ("NegativeKeywordList", False),
    "partner": ("Partner", False),
    "pixel": ("Pixel", False),
    "universal_channel": ("UniversalChannel", False),
    "user_list": ("UserList", False),
}


@dataclass(frozen=True)
class Observation:
    """One reading of the entity APIs.

    Attributes:
        snapshot_date: Date the snapshot is kept under.
        as_of: When the APIs were asked.
    """

    snapshot_date: date
    as_of: datetime


def in_order(observed: Sequence[Observation]) -> list[Observation]:
    """Observations by date; the last one for a date replaces those before it."""
    latest = {observation.snapshot_date: observation for observation in observed}
    return [latest[day] for day in sorted(latest)]


def report(world: "World", table: str, start: date, end: date, as_of: datetime) -> list[Row]:
    """Rows of a standard report with the names of the warehouse."""
    if table == "raw_dv360.report_standard":
        found: list[Row] = []
        for chunk in world.dv360_delivery(start, end, as_of):
            found += chunk.drop_columns(["device_type", "country"]).to_pylist()
        keys, nameless = ("date", "partner_id", "line_item_id", "creative_id"), "Unknown"
    else:
        found = []
        for chunk in world.cm360_delivery(start, end, as_of):
            found += chunk.to_pylist()
        keys, nameless = ("date", "account_id", "placement_id", "creative_id"), "(not set)"
    found.sort(key=lambda row: [row[key] or 0 if key != "date" else row[key].toordinal() for key in keys])
    # A null id is null in a warehouse; a null name is the text that the report prints.
    return [
        {
            _column(name): nameless if value is None and name.endswith("_name") else value
            for name, value in row.items()
        }
        for row in found
    ]


def dv360_rows(world: "World", table: str, observed: Sequence[Observation]) -> list[Row]:
    """Rows of an entity table of DV360, one snapshot after the other."""
    resource, schema, key = DV360[table]
    found = []
    for observation in in_order(observed):
        snapshot = []
        for item in world.dv360(resource, observation.as_of):
            partner = world.scope(resource, item)["partnerId"]
            row = _option(world, item) if table == "assigned_targeting_option" else item
            plain = plain_row("displayvideo.v4", schema, row)
            snapshot.append({**plain, "_snapshot_date": observation.snapshot_date, "_account_id": partner})
        found += sorted(snapshot, key=lambda row: [row[name] for name in key])
    return found


def cm360_rows(world: "World", table: str, observed: Sequence[Observation]) -> list[Row]:
    """Rows of an entity table of CM360, one snapshot after the other."""
    resource, schema = CM360[table]
    found = []
    for observation in in_order(observed):
        snapshot = []
        for item in world.cm360(resource, observation.as_of):
            plain = plain_row("dfareporting.v5", schema, item)
            account = plain["id"] if table == "account" else plain["account_id"]
            snapshot.append({**plain, "_snapshot_date": observation.snapshot_date, "_account_id": account})
        found += sorted(snapshot, key=lambda row: row["id"])
    return found


def erf_rows(world: "World", table: str, days: Sequence[date]) -> list[Row]:
    """Rows of a table of entity read files, one file date after the other."""
    entity_type, public = ERF[table]
    found = []
    for day in erf_days(world, days):
        for partner in [None] if public else world.partner_ids:
            for item in world.erf(entity_type, day, partner):
                found.append({**item, "_snapshot_date": day, "_account_id": partner or 0})
    return found


def erf_days(world: "World", days: Sequence[date]) -> list[date]:
    """File dates in order, without those for which there are no files."""
    return sorted({day for day in days if day <= world.erf_until})


def plain_row(api: str, schema: str, item: Mapping[str, Any]) -> Row:
    """An object of an API with names in snake_case, whole numbers as numbers, and times as times."""
    properties = _properties(api, schema)
    return {snake_case(name): _plain(api, properties.get(name, {}), value) for name, value in item.items()}


@lru_cache(maxsize=4096)
def snake_case(name: str) -> str:
    """`sslRequired` becomes `ssl_required`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _column(name: str) -> str:
    """The warehouse calls names by what they name: `advertiser` for `advertiser_name`."""
    return "_account_id" if name == "account_id" else name.removesuffix("_name")


def _option(world: "World", item: Mapping[str, Any]) -> Row:
    """An assigned targeting option as one flat row; its details keep the form of the API."""
    option = item["assignedTargetingOption"]
    flat = {name: value for name, value in option.items() if not name.endswith("Details")}
    details = {name: value for name, value in option.items() if name.endswith("Details")}
    advertiser = world.scope("lineItemAssignedTargetingOptions", dict(item))["advertiserId"]
    return {**flat, "advertiserId": advertiser, "lineItemId": int(item["lineItemId"]), "details": details}


def _properties(api: str, schema: str) -> Mapping[str, Any]:
    name, _, version = api.partition(".")
    properties: Mapping[str, Any] = document(name, version)["schemas"][schema]["properties"]
    return properties


def _plain(api: str, spec: Mapping[str, Any], value: Any) -> Any:
    if "$ref" in spec:
        return plain_row(api, spec["$ref"], value)
    if spec.get("type") == "array":
        return [_plain(api, spec["items"], item) for item in value]
    form = spec.get("format", "")
    if form in ("int64", "uint64"):
        return int(value)
    if form in ("google-datetime", "date-time"):
        return datetime.fromisoformat(value)
    if form == "date":
        return date.fromisoformat(value)
    return value


def instants(observed: Sequence[Observation]) -> Iterator[tuple[date, datetime]]:
    """Snapshot dates and when they were read."""
    for observation in in_order(observed):
        yield observation.snapshot_date, observation.as_of

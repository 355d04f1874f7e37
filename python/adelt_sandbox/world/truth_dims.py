"""What the dimensions of a perfect warehouse hold: every version of every entity, as it was observed.

A version begins on the date it was first seen and ends on the date another version, or the absence of the entity, was
first seen. DV360 is observed through entity read files and through the API; the API wins where both have a date.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from adelt_sandbox.world.truth_raw import Observation, erf_days, instants

if TYPE_CHECKING:
    from adelt_sandbox.world import World

Row = dict[str, Any]
Make = Callable[[Mapping[str, Any], int], Row]


@dataclass(frozen=True)
class Feed:
    """Where the versions of a dimension come from on one platform.

    Attributes:
        platform: `dv360` or `cm360`.
        resource: Resource of the API.
        make: Makes a row of the dimension from an object of the API and the id of its account.
        erf_type: Entity type of the entity read files, if they have it.
        erf_make: Makes a row of the dimension from an object of the files and the id of its partner.
    """

    platform: str
    resource: str
    make: Make
    erf_type: str = ""
    erf_make: Make | None = None


@dataclass(frozen=True)
class Dimension:
    """A dimension.

    Attributes:
        key: Name of its surrogate key.
        id: Column that names the entity.
        with_platform: Whether it holds both platforms and says which.
        feeds: Where it comes from.
    """

    key: str
    id: str
    with_platform: bool
    feeds: tuple[Feed, ...]


def rows(world: "World", name: str, observed: Sequence[Observation], erf: Sequence[date]) -> list[Row]:
    """All versions of a dimension, by platform, id and date."""
    dimension = DIMENSIONS[name]
    found = []
    for feed in dimension.feeds:
        snapshots = dict(_snapshots(world, feed, dimension.id, observed, erf))
        for identity, valid_from, valid_to, item in _versions(snapshots):
            platform = {"platform": feed.platform} if dimension.with_platform else {}
            found.append(
                {
                    dimension.key: f"{feed.platform}|{identity}|{valid_from.isoformat()}",
                    **platform,
                    **item,
                    "valid_from": valid_from,
                    "valid_to": valid_to,
                    "is_current": valid_to is None,
                }
            )
    return sorted(found, key=lambda row: (row.get("platform", ""), row[dimension.id], row["valid_from"]))


def _snapshots(
    world: "World", feed: Feed, id_column: str, observed: Sequence[Observation], erf: Sequence[date]
) -> Iterator[tuple[date, dict[int, Row]]]:
    if feed.erf_make:
        for day in erf_days(world, erf):
            made = [
                feed.erf_make(item, partner)
                for partner in world.partner_ids
                for item in world.erf(feed.erf_type, day, partner)
            ]
            yield day, {row[id_column]: row for row in made}
    for day, as_of in instants(observed):
        if feed.platform == "dv360":
            made = [
                feed.make(item, world.scope(feed.resource, item)["partnerId"])
                for item in world.dv360(feed.resource, as_of)
            ]
        else:
            made = [feed.make(item, int(item["accountId"])) for item in world.cm360(feed.resource, as_of)]
        yield day, {row[id_column]: row for row in made}


def _versions(snapshots: Mapping[date, Mapping[int, Row]]) -> Iterator[tuple[int, date, date | None, Row]]:
    """Versions as id, first date, first date on which it was not so any more, and content."""
    open_since: dict[int, tuple[date, Row]] = {}
    for day in sorted(snapshots):
        seen = snapshots[day]
        for identity, (since, item) in list(open_since.items()):
            if seen.get(identity) != item:
                yield identity, since, day, item
                del open_since[identity]
        for identity, item in seen.items():
            open_since.setdefault(identity, (day, item))
    for identity, (since, item) in open_since.items():
        yield identity, since, None, item


def _int(value: Any) -> int | None:
    return None if value is None else int(value)


def _api_date(value: Mapping[str, int] | None) -> date | None:
    return date(value["year"], value["month"], value["day"]) if value else None


def _cm_date(value: str | None) -> date | None:
    return date.fromisoformat(value) if value else None


def _usec_date(value: int | None, *, end: bool = False) -> date | None:
    """The UTC day of microseconds; an end is the midnight after the last day."""
    if value is None:
        return None
    day = datetime.fromtimestamp(value // 1_000_000, UTC).date()
    return day - timedelta(days=1) if end else day


def _amount(micros: Sequence[int]) -> Decimal | None:
    return Decimal(sum(micros)).scaleb(-6).quantize(Decimal("0.000001")) if micros else None


def _active(item: Mapping[str, Any]) -> bool:
    return bool(item["entityStatus"] == "ENTITY_STATUS_ACTIVE")


def _partner(item: Mapping[str, Any], account: int) -> Row:
    return {
        "partner_id": account,
        "partner_name": item["displayName"],
        "is_active": _active(item),
        "currency_code": item["generalConfig"]["currencyCode"],
    }


def _erf_partner(item: Mapping[str, Any], account: int) -> Row:
    return {
        "partner_id": account,
        "partner_name": item["common_data"]["name"],
        "is_active": item["common_data"]["active"],
        "currency_code": item["currency_code"],
    }


def _advertiser(item: Mapping[str, Any], account: int) -> Row:
    return {
        "advertiser_id": int(item["advertiserId"]),
        "account_id": account,
        "advertiser_name": item["displayName"],
        "is_active": _active(item),
        "currency_code": item["generalConfig"]["currencyCode"],
        "time_zone": item["generalConfig"]["timeZone"],
    }


def _erf_advertiser(item: Mapping[str, Any], account: int) -> Row:
    return {
        "advertiser_id": item["common_data"]["id"],
        "account_id": account,
        "advertiser_name": item["common_data"]["name"],
        "is_active": item["common_data"]["active"],
        "currency_code": item["currency_code"],
        "time_zone": item["timezone_code"],
    }


def _cm_advertiser(item: Mapping[str, Any], account: int) -> Row:
    return {
        "advertiser_id": int(item["id"]),
        "account_id": account,
        "advertiser_name": item["name"],
        "is_active": item["status"] == "APPROVED",
        "currency_code": None,
        "time_zone": None,
    }


def _campaign(item: Mapping[str, Any], _: int) -> Row:
    planned = item["campaignFlight"]["plannedDates"]
    return {
        "campaign_id": int(item["campaignId"]),
        "advertiser_id": int(item["advertiserId"]),
        "campaign_name": item["displayName"],
        "is_active": _active(item),
        "start_date": _api_date(planned.get("startDate")),
        "end_date": _api_date(planned.get("endDate")),
    }


def _erf_campaign(item: Mapping[str, Any], _: int) -> Row:
    return {
        "campaign_id": item["common_data"]["id"],
        "advertiser_id": item["advertiser_id"],
        "campaign_name": item["common_data"]["name"],
        "is_active": item["common_data"]["active"],
        "start_date": _usec_date(item["budget"].get("start_time_usec")),
        "end_date": _usec_date(item["budget"].get("end_time_usec"), end=True),
    }


def _cm_campaign(item: Mapping[str, Any], _: int) -> Row:
    return {
        "campaign_id": int(item["id"]),
        "advertiser_id": int(item["advertiserId"]),
        "campaign_name": item["name"],
        "is_active": not item["archived"],
        "start_date": _cm_date(item.get("startDate")),
        "end_date": _cm_date(item.get("endDate")),
    }


def _insertion_order(item: Mapping[str, Any], _: int) -> Row:
    segments = item["budget"].get("budgetSegments", [])
    starts = [_api_date(segment["dateRange"]["startDate"]) for segment in segments]
    ends = [_api_date(segment["dateRange"]["endDate"]) for segment in segments]
    return {
        "insertion_order_id": int(item["insertionOrderId"]),
        "campaign_id": int(item["campaignId"]),
        "advertiser_id": int(item["advertiserId"]),
        "insertion_order_name": item["displayName"],
        "is_active": _active(item),
        "budget_amount": _amount([int(segment["budgetAmountMicros"]) for segment in segments]),
        "start_date": min((day for day in starts if day), default=None),
        "end_date": max((day for day in ends if day), default=None),
    }


def _erf_insertion_order(item: Mapping[str, Any], _: int) -> Row:
    segments = item.get("scheduled_segments", [])
    starts = [_usec_date(segment["start_time_usec"]) for segment in segments]
    ends = [_usec_date(segment["end_time_usec"], end=True) for segment in segments]
    return {
        "insertion_order_id": item["common_data"]["id"],
        "campaign_id": item["campaign_id"],
        "advertiser_id": item["advertiser_id"],
        "insertion_order_name": item["common_data"]["name"],
        "is_active": item["common_data"]["active"],
        "budget_amount": _amount([segment["max_spend_advertiser_micros"] for segment in segments]),
        "start_date": min((day for day in starts if day), default=None),
        "end_date": max((day for day in ends if day), default=None),
    }


def _line_item(item: Mapping[str, Any], _: int) -> Row:
    own = item["flight"].get("dateRange", {})
    return {
        "line_item_id": int(item["lineItemId"]),
        "insertion_order_id": int(item["insertionOrderId"]),
        "line_item_name": item["displayName"],
        "is_active": _active(item),
        "line_item_type": item["lineItemType"],
        "start_date": _api_date(own.get("startDate")),
        "end_date": _api_date(own.get("endDate")),
    }


def _erf_line_item(item: Mapping[str, Any], _: int) -> Row:
    return {
        "line_item_id": item["common_data"]["id"],
        "insertion_order_id": item["insertion_order_id"],
        "line_item_name": item["common_data"]["name"],
        "is_active": item["common_data"]["active"],
        "line_item_type": None,  # the files have a number whose meaning was never documented
        "start_date": _usec_date(item["budget"].get("start_time_usec")),
        "end_date": _usec_date(item["budget"].get("end_time_usec"), end=True),
    }


def _creative(item: Mapping[str, Any], _: int) -> Row:
    size = item.get("dimensions", {})
    return {
        "creative_id": int(item["creativeId"]),
        "advertiser_id": int(item["advertiserId"]),
        "creative_name": item["displayName"],
        "is_active": _active(item),
        "creative_type": item["creativeType"],
        "width": size.get("widthPixels"),
        "height": size.get("heightPixels"),
        "cm_placement_id": _int(item.get("cmPlacementId")),
    }


def _erf_creative(item: Mapping[str, Any], _: int) -> Row:
    return {
        "creative_id": item["common_data"]["id"],
        "advertiser_id": item["advertiser_id"],
        "creative_name": item["common_data"]["name"],
        "is_active": item["common_data"]["active"],
        "creative_type": None,
        "width": item.get("width_pixels"),
        "height": item.get("height_pixels"),
        "cm_placement_id": item.get("dcm_placement_id"),
    }


def _cm_creative(item: Mapping[str, Any], _: int) -> Row:
    size = item.get("size", {})
    return {
        "creative_id": int(item["id"]),
        "advertiser_id": int(item["advertiserId"]),
        "creative_name": item["name"],
        "is_active": item["active"] and not item["archived"],
        "creative_type": item["type"],
        "width": size.get("width"),
        "height": size.get("height"),
        "cm_placement_id": None,
    }


def _placement(item: Mapping[str, Any], _: int) -> Row:
    size = item.get("size", {})
    return {
        "placement_id": int(item["id"]),
        "campaign_id": int(item["campaignId"]),
        "advertiser_id": int(item["advertiserId"]),
        "site_id": int(item["siteId"]),
        "placement_name": item["name"],
        "is_active": item["activeStatus"] == "PLACEMENT_STATUS_ACTIVE",
        "compatibility": item["compatibility"],
        "width": size.get("width"),
        "height": size.get("height"),
        "start_date": _cm_date(item["pricingSchedule"].get("startDate")),
        "end_date": _cm_date(item["pricingSchedule"].get("endDate")),
    }


def _site(item: Mapping[str, Any], _: int) -> Row:
    return {
        "site_id": int(item["id"]),
        "site_name": item["name"],
        "is_active": item["approved"],
        "directory_site_id": _int(item.get("directorySiteId")),
    }


def _both(key: str, id_column: str, dv360: Feed, cm360: tuple[str, Make] | None = None) -> Dimension:
    feeds = (dv360,) if cm360 is None else (dv360, Feed("cm360", *cm360))
    return Dimension(key, id_column, cm360 is not None, feeds)


DIMENSIONS: dict[str, Dimension] = {
    "dim_partner": _both(
        "partner_key", "partner_id", Feed("dv360", "partners", _partner, "Partner", _erf_partner)
    ),
    "dim_advertiser": _both(
        "advertiser_key",
        "advertiser_id",
        Feed("dv360", "advertisers", _advertiser, "Advertiser", _erf_advertiser),
        ("advertisers", _cm_advertiser),
    ),
    "dim_campaign": _both(
        "campaign_key",
        "campaign_id",
        Feed("dv360", "campaigns", _campaign, "Campaign", _erf_campaign),
        ("campaigns", _cm_campaign),
    ),
    "dim_insertion_order": _both(
        "insertion_order_key",
        "insertion_order_id",
        Feed("dv360", "insertionOrders", _insertion_order, "InsertionOrder", _erf_insertion_order),
    ),
    "dim_line_item": _both(
        "line_item_key", "line_item_id", Feed("dv360", "lineItems", _line_item, "LineItem", _erf_line_item)
    ),
    "dim_creative": _both(
        "creative_key",
        "creative_id",
        Feed("dv360", "creatives", _creative, "Creative", _erf_creative),
        ("creatives", _cm_creative),
    ),
    "dim_placement": Dimension(
        "placement_key", "placement_id", False, (Feed("cm360", "placements", _placement),)
    ),
    "dim_site": Dimension("site_key", "site_id", False, (Feed("cm360", "sites", _site),)),
}

"""Dimensions and metrics of CM360 reports, and what entity lists can be filtered by."""

from collections.abc import Callable, Mapping
from typing import Any

from adelt_sandbox.filters import at
from adelt_sandbox.tabular import Dimension, Metric

Row = Mapping[str, Any]

DIMENSIONS = {
    "date": Dimension("Date", "date", "date"),
    "week": Dimension("Week", "date", "week"),
    "month": Dimension("Month", "date", "month"),
    "accountId": Dimension("Account ID", "account_id", "id"),
    "advertiserId": Dimension("Advertiser ID", "advertiser_id", "id"),
    "advertiser": Dimension("Advertiser", "advertiser_name"),
    "campaignId": Dimension("Campaign ID", "campaign_id", "id"),
    "campaign": Dimension("Campaign", "campaign_name"),
    "siteId": Dimension("Site ID (CM360)", "site_id", "id"),
    "site": Dimension("Site (CM360)", "site_name"),
    "placementId": Dimension("Placement ID", "placement_id", "id"),
    "placement": Dimension("Placement", "placement_name"),
    "adId": Dimension("Ad ID", "ad_id", "id"),
    "ad": Dimension("Ad", "ad_name"),
    "creativeId": Dimension("Creative ID", "creative_id", "id"),
    "creative": Dimension("Creative", "creative_name"),
}
METRICS = {
    "impressions": Metric("Impressions", "impressions"),
    "clicks": Metric("Clicks", "clicks"),
    "clickRate": Metric("Click Rate", "clicks", "ratio", over="impressions", factor=100),
    "mediaCost": Metric("Media Cost", "media_cost", "amount"),
    "totalConversions": Metric("Total Conversions", "total_conversions", "amount"),
    "activityClickThroughConversions": Metric(
        "Click-through Conversions", "click_through_conversions", "amount"
    ),
    "activityViewThroughConversions": Metric(
        "View-through Conversions", "view_through_conversions", "amount"
    ),
}
GRAIN = frozenset({"date", "advertiser_id", "campaign_id", "site_id", "placement_id", "ad_id", "creative_id"})

#: Entity lists the world has rows for; every other list is empty.
RESOURCES = frozenset(
    {
        "accounts",
        "ads",
        "advertisers",
        "campaigns",
        "creatives",
        "directorySites",
        "floodlightActivities",
        "floodlightActivityGroups",
        "floodlightConfigurations",
        "placementGroups",
        "placements",
        "sites",
    }
)
#: Where a filter parameter finds its value when the row does not carry it under the same name.
PATHS: dict[str, str] = {
    "ads.creativeIds": "creativeRotation.creativeAssignments.creativeId",
    "ads.placementIds": "placementAssignments.placementId",
    "ads.sizeIds": "size.id",
    "creatives.sizeIds": "size.id",
    "placements.sizeIds": "size.id",
    "placements.groupIds": "placementGroupId",
    "placements.pricingTypes": "pricingSchedule.pricingType",
    "placementGroups.pricingTypes": "pricingSchedule.pricingType",
    "placements.compatibilities": "compatibility",
    "creatives.types": "type",
    "creatives.companionCreativeIds": "companionCreatives",
    "creatives.renderingIds": "renderingId",
    "floodlightActivities.floodlightActivityGroupIds": "floodlightActivityGroupId",
}
#: Parameters that compare dates: name, path of the date, and whether the row's date must not be earlier.
DATES: dict[str, tuple[str, bool]] = {
    "minStartDate": ("pricingSchedule.startDate", True),
    "maxStartDate": ("pricingSchedule.startDate", False),
    "minEndDate": ("pricingSchedule.endDate", True),
    "maxEndDate": ("pricingSchedule.endDate", False),
}
#: Parameters that do not filter rows.
NOT_FILTERS = frozenset(
    {"profileId", "pageToken", "maxResults", "sortField", "sortOrder", "searchString", "alt", "fields", "key"}
    | {"prettyPrint", "quotaUser", "access_token", "oauth_token", "callback", "uploadType", "upload_protocol"}
    | {"$.xgafv", "scope"}
)


def reader(resource: str, parameter: str) -> Callable[[Row], list[Any]]:
    """Reads the values of a row that a filter parameter speaks about."""
    if f"{resource}.{parameter}" in PATHS:
        return at(PATHS[f"{resource}.{parameter}"])
    if parameter in ("ids", "excludedIds"):
        return at("id")
    if parameter.endswith("Ids"):
        return at(parameter[:-1])
    return at(parameter)


def plain_name(name: str) -> str:
    """A dimension or metric without the `dfa:` prefix of earlier versions."""
    return name.removeprefix("dfa:")

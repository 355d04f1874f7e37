"""What each DV360 list offers: where its rows come from and what it can be filtered by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from adelt_sandbox.filters import Field, at

Row = Mapping[str, Any]
TIME = (">=", "<=")


@dataclass(frozen=True)
class ListSpec:
    """One list method.

    Attributes:
        resource: Resource of the world it shows; empty if the world has none, then the list is empty.
        filters: Fields it can be filtered by.
        match: Path parameters that rows must carry, with the path of the value in the row.
        many: The same for repeated query parameters, which must be given.
        one_scope: True if exactly one of partnerId and advertiserId is needed.
        order: Fields to sort by beyond those the discovery document names.
        unwrap: Key below which the row to show sits, for lists that show a part of a row.
    """

    resource: str = ""
    filters: Mapping[str, Field] = field(default_factory=dict)
    match: Mapping[str, str] = field(default_factory=dict)
    many: Mapping[str, str] = field(default_factory=dict)
    one_scope: bool = False
    order: tuple[str, ...] = ()
    unwrap: str = ""


def _fields(*names: str, **special: Field) -> dict[str, Field]:
    found = {name: Field(at(name)) for name in names}
    if "updateTime" in found:
        found["updateTime"] = Field(at("updateTime"), TIME, "time")
    return {**found, **special}


def _constant(path: str, default: str) -> Callable[[Row], list[Any]]:
    read = at(path)
    return lambda row: read(row) or [default]


def _size(row: Row) -> list[str]:
    size = row.get("dimensions", {})
    return [f"{size.get('widthPixels', 0)}x{size.get('heightPixels', 0)}"]


def _reviews(row: Row) -> list[str]:
    statuses = row.get("reviewStatus", {}).get("exchangeReviewStatuses", [])
    return [f"{item.get('exchange')}-{item.get('status')}" for item in statuses]


_OPTION = "assignedTargetingOption"
_TARGETING = {
    "targetingType": Field(at(f"{_OPTION}.targetingType")),
    "inheritance": Field(at(f"{_OPTION}.inheritance")),
}
_CREATIVE = _fields(
    "creativeId",
    "creativeType",
    "entityStatus",
    "updateTime",
    approvalStatus=Field(at("reviewStatus.approvalStatus")),
    dimensions=Field(_size),
    dynamic=Field(_constant("dynamic", "false")),
    exchangeReviewStatus=Field(_reviews),
    lineItemIds=Field(at("lineItemIds"), (":",)),
    minDuration=Field(at("mediaDuration"), ("=",), "seconds"),
    maxDuration=Field(at("mediaDuration"), ("=",), "seconds"),
)

LISTS: dict[str, ListSpec] = {
    "partners.list": ListSpec("partners", _fields("entityStatus"), order=("partnerId",)),
    "advertisers.list": ListSpec(
        "advertisers", _fields("advertiserId", "displayName", "entityStatus", "updateTime")
    ),
    "advertisers.campaigns.list": ListSpec(
        "campaigns", _fields("campaignId", "displayName", "entityStatus", "updateTime")
    ),
    "advertisers.insertionOrders.list": ListSpec(
        "insertionOrders",
        _fields("campaignId", "displayName", "entityStatus", "updateTime"),
        order=("displayName", "entityStatus", "updateTime"),
    ),
    "advertisers.lineItems.list": ListSpec(
        "lineItems",
        _fields(
            "campaignId",
            "displayName",
            "entityStatus",
            "insertionOrderId",
            "lineItemId",
            "lineItemType",
            "updateTime",
        ),
    ),
    "advertisers.adGroups.list": ListSpec(
        "adGroups", _fields("adGroupId", "displayName", "entityStatus", "lineItemId", "adGroupFormat")
    ),
    "advertisers.adGroupAds.list": ListSpec(
        "adGroupAds",
        _fields(
            "adGroupId",
            "displayName",
            "entityStatus",
            "adGroupAdId",
            parentCreativeId=Field(at("parentCreativeId")),
        ),
    ),
    "advertisers.creatives.list": ListSpec("creatives", _CREATIVE),
    "advertisers.lineItems.bulkListAssignedTargetingOptions": ListSpec(
        "lineItemAssignedTargetingOptions", _TARGETING, many={"lineItemIds": "lineItemId"}
    ),
    "advertisers.adGroups.bulkListAssignedTargetingOptions": ListSpec(
        "adGroupAssignedTargetingOptions",
        {"targetingType": _TARGETING["targetingType"]},
        many={"adGroupIds": "adGroupId"},
    ),
    "advertisers.listAssignedTargetingOptions": ListSpec(
        "advertiserAssignedTargetingOptions", _fields("targetingType")
    ),
    "advertisers.lineItems.targetingTypes.assignedTargetingOptions.list": ListSpec(
        "lineItemAssignedTargetingOptions",
        _fields("assignedTargetingOptionId", "inheritance"),
        match={"lineItemId": "lineItemId", "targetingType": f"{_OPTION}.targetingType"},
        unwrap=_OPTION,
    ),
    "advertisers.adGroups.targetingTypes.assignedTargetingOptions.list": ListSpec(
        "adGroupAssignedTargetingOptions",
        _fields("assignedTargetingOptionId"),
        match={"adGroupId": "adGroupId", "targetingType": f"{_OPTION}.targetingType"},
        unwrap=_OPTION,
    ),
    "advertisers.targetingTypes.assignedTargetingOptions.list": ListSpec(
        "advertiserAssignedTargetingOptions",
        _fields("assignedTargetingOptionId"),
        match={"targetingType": "targetingType"},
    ),
    "inventorySources.list": ListSpec(
        "inventorySources",
        _fields("status.entityStatus", "commitment", "deliveryMethod", "rateDetails.rateType", "exchange"),
        one_scope=True,
    ),
    "customBiddingAlgorithms.list": ListSpec(
        "customBiddingAlgorithms",
        _fields("customBiddingAlgorithmType", displayName=Field(at("displayName"), (":",))),
        one_scope=True,
    ),
    "floodlightGroups.floodlightActivities.list": ListSpec(
        "floodlightActivities", match={"floodlightGroupId": "floodlightGroupId"}
    ),
    "targetingTypes.targetingOptions.list": ListSpec(
        "targetingOptions",
        _fields("carrierAndIspDetails.type", "geoRegionDetails.geoRegionType", "targetingOptionId"),
        match={"targetingType": "targetingType"},
    ),
    "combinedAudiences.list": ListSpec(
        filters={"displayName": Field(at("displayName"), (":",))}, one_scope=True
    ),
    "firstPartyAndPartnerAudiences.list": ListSpec(
        filters={"displayName": Field(at("displayName"), (":",))}, one_scope=True
    ),
    "googleAudiences.list": ListSpec(
        filters={"displayName": Field(at("displayName"), (":",))}, one_scope=True
    ),
    "guaranteedOrders.list": ListSpec(
        filters=_fields("guaranteed_order_id", "exchange", "display_name", "status.entityStatus"),
        one_scope=True,
    ),
    "inventorySourceGroups.list": ListSpec(filters=_fields("inventorySourceGroupId"), one_scope=True),
    "customLists.list": ListSpec(filters={"displayName": Field(at("displayName"), (":",))}),
    "advertisers.channels.list": ListSpec(filters={"displayName": Field(at("displayName"), (":",))}),
    "partners.channels.list": ListSpec(filters={"displayName": Field(at("displayName"), (":",))}),
    "advertisers.channels.sites.list": ListSpec(filters={"urlOrAppId": Field(at("urlOrAppId"), (":",))}),
    "partners.channels.sites.list": ListSpec(filters={"urlOrAppId": Field(at("urlOrAppId"), (":",))}),
    "advertisers.locationLists.list": ListSpec(filters=_fields("locationType")),
    "advertisers.locationLists.assignedLocations.list": ListSpec(filters=_fields("assignedLocationId")),
    "advertisers.negativeKeywordLists.negativeKeywords.list": ListSpec(filters=_fields("keywordValue")),
    "advertisers.adAssets.list": ListSpec(
        filters=_fields("youtubeVideoAsset.youtubeVideoId", "entityStatus")
    ),
    "inventorySourceGroups.assignedInventorySources.list": ListSpec(
        filters=_fields("assignedInventorySourceId"), one_scope=True
    ),
    "partners.targetingTypes.assignedTargetingOptions.list": ListSpec(
        filters=_fields("assignedTargetingOptionId")
    ),
    "users.list": ListSpec(
        filters=_fields(
            "assignedUserRole.userRole",
            "assignedUserRole.partnerId",
            "assignedUserRole.parentPartnerId",
            "assignedUserRole.advertiserId",
            "assignedUserRole.entityType",
            displayName=Field(at("displayName"), (":",)),
            email=Field(at("email"), (":",)),
            lastLoginTime=Field(at("lastLoginTime"), TIME, "time"),
        )
    ),
}

#: Get methods: the resource, the path parameter that names the row, and where the row carries it.
GETS: dict[str, tuple[str, str, str]] = {
    "partners.get": ("partners", "partnerId", "partnerId"),
    "advertisers.get": ("advertisers", "advertiserId", "advertiserId"),
    "advertisers.campaigns.get": ("campaigns", "campaignId", "campaignId"),
    "advertisers.insertionOrders.get": ("insertionOrders", "insertionOrderId", "insertionOrderId"),
    "advertisers.lineItems.get": ("lineItems", "lineItemId", "lineItemId"),
    "advertisers.adGroups.get": ("adGroups", "adGroupId", "adGroupId"),
    "advertisers.adGroupAds.get": ("adGroupAds", "adGroupAdId", "adGroupAdId"),
    "advertisers.creatives.get": ("creatives", "creativeId", "creativeId"),
    "inventorySources.get": ("inventorySources", "inventorySourceId", "inventorySourceId"),
    "customBiddingAlgorithms.get": (
        "customBiddingAlgorithms",
        "customBiddingAlgorithmId",
        "customBiddingAlgorithmId",
    ),
    "floodlightGroups.get": ("floodlightGroups", "floodlightGroupId", "floodlightGroupId"),
    "floodlightGroups.floodlightActivities.get": (
        "floodlightActivities",
        "floodlightActivityId",
        "floodlightActivityId",
    ),
    "targetingTypes.targetingOptions.get": ("targetingOptions", "targetingOptionId", "targetingOptionId"),
}

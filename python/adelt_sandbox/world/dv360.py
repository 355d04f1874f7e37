"""Entities of DV360 in the JSON of its API v4."""

from collections.abc import Callable, Iterator
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np

from adelt_sandbox.world import flights, targeting
from adelt_sandbox.world.calendar import iso
from adelt_sandbox.world.cm_model import CmModel
from adelt_sandbox.world.delivery import Dv360Delivery
from adelt_sandbox.world.dice import I64
from adelt_sandbox.world.life import State
from adelt_sandbox.world.model import CREATIVE_KINDS, FIRST_YOUTUBE, LINE_ITEM_TYPES, Model, Table

Row = dict[str, Any]
STATUSES = ("ENTITY_STATUS_ACTIVE", "ENTITY_STATUS_PAUSED", "ENTITY_STATUS_DRAFT", "ENTITY_STATUS_ARCHIVED")
EXCHANGES = ("EXCHANGE_GOOGLE_AD_MANAGER", "EXCHANGE_APPNEXUS", "EXCHANGE_RUBICON", "EXCHANGE_INDEX")


def row_of(**fields: Any) -> Row:
    """An object of the API: what is empty, false or zero is left out, as Google does."""
    return {name: value for name, value in fields.items() if value or isinstance(value, str)}


def api_date(day: date | None) -> Row | None:
    """A date as the DV360 API writes it."""
    return None if day is None else {"year": day.year, "month": day.month, "day": day.day}


def api_range(start: date, end: date | None) -> Row:
    """A range of dates as the DV360 API writes it."""
    return row_of(startDate=api_date(start), endDate=api_date(end))


class Dv360Entities:
    """Answers what the DV360 API would list at an instant."""

    def __init__(self, model: Model, cm: CmModel, delivery: Dv360Delivery) -> None:
        self._model = model
        self._cm = cm
        self._delivery = delivery
        self._lists: dict[str, Callable[[int], Iterator[Row]]] = {
            "partners": self._partners,
            "advertisers": self._advertisers,
            "campaigns": self._campaigns,
            "insertionOrders": self._insertion_orders,
            "lineItems": self._line_items,
            "adGroups": self._ad_groups,
            "adGroupAds": self._ads,
            "creatives": self._creatives,
            "inventorySources": self._inventory_sources,
            "customBiddingAlgorithms": self._algorithms,
            "floodlightGroups": self._floodlight_groups,
            "floodlightActivities": self._floodlight_activities,
            "lineItemAssignedTargetingOptions": self._line_item_targeting,
            "adGroupAssignedTargetingOptions": self._ad_group_targeting,
            "advertiserAssignedTargetingOptions": self._advertiser_targeting,
            "targetingOptions": lambda _: targeting.options(),
        }

    @property
    def resources(self) -> list[str]:
        """Names of what can be listed."""
        return list(self._lists)

    def rows(self, resource: str, at: int) -> list[Row]:
        """All objects of a resource at an instant, by id."""
        if resource not in self._lists:
            raise KeyError(f"DV360 has no {resource}; there are {', '.join(self._lists)}")
        return list(self._lists[resource](at))

    def scope(self, resource: str, row: Row) -> dict[str, int]:
        """Partner and, if there is one, advertiser that an object belongs to."""
        model = self._model
        if resource == "partners":
            return {"partnerId": int(row["partnerId"])}
        if resource == "targetingOptions":
            return {}
        if resource in ("floodlightGroups", "floodlightActivities"):
            return {"partnerId": self._partner_of_group[int(row["floodlightGroupId"])]}
        if resource == "inventorySources":
            return {"partnerId": int(row["readWriteAccessors"]["partner"]["partnerId"])}
        if resource == "lineItemAssignedTargetingOptions":
            advertiser = self._advertiser_of_line_item[int(row["lineItemId"])]
        elif resource == "adGroupAssignedTargetingOptions":
            advertiser = self._advertiser_of_ad_group[int(row["adGroupId"])]
        elif resource == "advertiserAssignedTargetingOptions":
            advertiser = self._index_of_advertiser[int(row["name"].split("/")[1])]
        elif "advertiserId" in row:
            advertiser = self._index_of_advertiser[int(row["advertiserId"])]
        else:
            return {"partnerId": int(row["partnerId"])}
        partner = int(model.partners.ids[model.advertisers.up["partner"][advertiser]])
        return {"partnerId": partner, "advertiserId": int(model.advertisers.ids[advertiser])}

    @cached_property
    def _index_of_advertiser(self) -> dict[int, int]:
        return {int(found): index for index, found in enumerate(self._model.advertisers.ids)}

    @cached_property
    def _advertiser_of_line_item(self) -> dict[int, int]:
        items = self._model.line_items
        return dict(zip(items.ids.tolist(), items.up["advertiser"].tolist(), strict=True))

    @cached_property
    def _advertiser_of_ad_group(self) -> dict[int, int]:
        groups = self._model.ad_groups
        return dict(zip(groups.ids.tolist(), groups.up["advertiser"].tolist(), strict=True))

    @cached_property
    def _partner_of_group(self) -> dict[int, int]:
        cm, model = self._cm, self._model
        owners = model.partners.ids[cm.advertisers.up["account"]]
        return dict(zip(cm.configurations.ids.tolist(), owners.tolist(), strict=True))

    def _living(self, table: Table, at: int) -> tuple[State, list[int], list[str]]:
        """State, indexes of the entities that exist, and the names of all."""
        state = table.life.state(at)
        return state, np.flatnonzero(state.exists).tolist(), table.names(at)

    def _advertiser_id(self, index: int) -> str:
        return str(self._model.advertisers.ids[index])

    def _partners(self, at: int) -> Iterator[Row]:
        table = self._model.partners
        state, living, names = self._living(table, at)
        for index in living:
            market, partner = self._model.partner_market(index), str(table.ids[index])
            sdf = {"version": "SDF_VERSION_9", "adminEmail": f"ads@agency-{partner}.example"}
            yield row_of(
                name=f"partners/{partner}",
                partnerId=partner,
                displayName=names[index],
                entityStatus=STATUSES[int(state.status[index])],
                updateTime=iso(int(state.updated[index])),
                generalConfig={"timeZone": market.time_zone, "currencyCode": market.currency},
                adServerConfig={
                    "measurementConfig": {
                        "dv360ToCmCostReportingEnabled": True,
                        "dv360ToCmDataSharingEnabled": True,
                    }
                },
                dataAccessConfig={"sdfConfig": sdf},
                exchangeConfig={
                    "enabledExchanges": [
                        row_of(
                            exchange=exchange,
                            seatId=f"seat-{partner}-{number}",
                            googleAdManagerAgencyId=str(70_000 + index) if number == 0 else None,
                        )
                        for number, exchange in enumerate(EXCHANGES[: 2 + int(state.edit[index]) % 3])
                    ]
                },
                billingConfig={"billingProfileId": str(880_000 + index)},
            )

    def _advertisers(self, at: int) -> Iterator[Row]:
        model, cm = self._model, self._cm
        table = model.advertisers
        state, living, names = self._living(table, at)
        for index in living:
            market, gene = model.market(index), table.genes[index]
            partner = int(table.up["partner"][index])
            server: Row = {"thirdPartyOnlyConfig": {"pixelOrderIdReportingEnabled": True}}
            if model.linked(index):
                there = int(cm.advertiser_of_dv360[index])
                server = {
                    "cmHybridConfig": {
                        "cmAccountId": str(cm.accounts.ids[partner]),
                        "cmFloodlightConfigId": str(cm.configurations.ids[there]),
                        "cmAdvertiserIds": [str(cm.advertisers.ids[there])],
                        "cmSyncableSiteIds": [str(cm.sites.ids[cm.dv360_site(partner)])],
                        "cmFloodlightLinkingAuthorized": True,
                        "dv360ToCmDataSharingEnabled": True,
                        "dv360ToCmCostReportingEnabled": True,
                    }
                }
            yield row_of(
                name=f"advertisers/{table.ids[index]}",
                advertiserId=self._advertiser_id(index),
                partnerId=str(model.partners.ids[partner]),
                displayName=names[index],
                entityStatus=STATUSES[int(state.status[index])],
                updateTime=iso(int(state.updated[index])),
                generalConfig={
                    "domainUrl": f"https://www.brand{index + 1}.example/{'start' * (int(state.edit[index]) % 2)}",
                    "timeZone": market.time_zone,
                    "currencyCode": market.currency,
                },
                adServerConfig=server,
                creativeConfig=row_of(
                    dynamicCreativeEnabled=bool(gene & 1),
                    iasClientId=str(4_000 + index) if gene >> 1 & 1 else None,
                    videoCreativeDataSharingAuthorized=bool(gene >> 2 & 1),
                ),
                dataAccessConfig={
                    "sdfConfig": {
                        "overridePartnerSdfConfig": True,
                        "sdfConfig": {"version": "SDF_VERSION_10"},
                    }
                }
                if gene >> 3 & 1
                else None,
                integrationDetails={"integrationCode": f"crm-{index + 1}", "details": "billing"}
                if gene >> 5 & 1
                else None,
                servingConfig={"exemptTvFromViewabilityTargeting": True} if gene >> 6 & 1 else None,
                billingConfig={"billingProfileId": str(880_000 + partner)},
                containsEuPoliticalAds="DOES_NOT_CONTAIN_EU_POLITICAL_ADVERTISING",
            )

    def _campaigns(self, at: int) -> Iterator[Row]:
        model = self._model
        table = model.campaigns
        state, living, names = self._living(table, at)
        for index in living:
            gene, edits = table.genes[index], int(state.edit[index])
            advertiser = self._advertiser_id(int(table.up["advertiser"][index]))
            start, end = flights.campaign_dates(model, index)
            amount = (40_000 + (gene >> 8 & 1023) * 100) * 1_000_000 * (10 + edits) // 10
            goal = ("ONLINE_ACTION", "BRAND_AWARENESS", "OFFLINE_ACTION", "APP_INSTALL")[gene >> 4 & 3]
            budget = {
                "budgetId": str(int(table.ids[index]) * 10 + 1),
                "displayName": "Budget 1",
                "budgetUnit": "BUDGET_UNIT_CURRENCY",
                "budgetAmountMicros": str(amount // 2),
                "dateRange": api_range(start, end or date(2026, 12, 31)),
                "externalBudgetSource": "EXTERNAL_BUDGET_SOURCE_NONE",
            }
            yield row_of(
                name=f"advertisers/{advertiser}/campaigns/{table.ids[index]}",
                advertiserId=advertiser,
                campaignId=str(table.ids[index]),
                displayName=names[index],
                entityStatus=STATUSES[int(state.status[index])],
                updateTime=iso(int(state.updated[index])),
                campaignGoal={
                    "campaignGoalType": f"CAMPAIGN_GOAL_TYPE_{goal}",
                    "performanceGoal": {
                        "performanceGoalType": "PERFORMANCE_GOAL_TYPE_CPC",
                        "performanceGoalAmountMicros": str(1_000_000 + (gene >> 20 & 7) * 250_000),
                    }
                    if gene >> 6 & 1
                    else {
                        "performanceGoalType": "PERFORMANCE_GOAL_TYPE_VIEWABILITY",
                        "performanceGoalPercentageMicros": "70000000",
                    },
                },
                campaignFlight=row_of(
                    plannedSpendAmountMicros=str(amount), plannedDates=api_range(start, end)
                ),
                frequencyCap=frequency_cap(gene),
                campaignBudgets=[budget] if gene >> 7 & 1 else None,
            )

    def _insertion_orders(self, at: int) -> Iterator[Row]:
        model = self._model
        table = model.insertion_orders
        state, living, names = self._living(table, at)
        for index in living:
            gene, edits = table.genes[index], int(state.edit[index])
            advertiser = self._advertiser_id(int(table.up["advertiser"][index]))
            booked = flights.segments(model, index, at, edits)
            updated = int(state.updated[index])
            if index < table.base and flights.booked_at(booked[-1][0]) <= at:
                updated = max(updated, flights.booked_at(booked[-1][0]))
            kpi: Row = (
                {"kpiType": "KPI_TYPE_CPM", "kpiAmountMicros": str(2_000_000 + (gene >> 30 & 15) * 100_000)},
                {"kpiType": "KPI_TYPE_CTR", "kpiPercentageMicros": "200000"},
                {"kpiType": "KPI_TYPE_OTHER", "kpiString": "brand lift, measured by survey"},
            )[gene % 3]
            yield row_of(
                name=f"advertisers/{advertiser}/insertionOrders/{table.ids[index]}",
                advertiserId=advertiser,
                campaignId=str(model.campaigns.ids[table.up["campaign"][index]]),
                insertionOrderId=str(table.ids[index]),
                displayName=names[index],
                insertionOrderType="RTB",
                entityStatus=STATUSES[int(state.status[index])],
                updateTime=iso(updated),
                reservationType="RESERVATION_TYPE_NOT_GUARANTEED",
                optimizationObjective=("CONVERSION", "CLICK", "BRAND_AWARENESS", "NO_OBJECTIVE")[
                    gene >> 5 & 3
                ],
                pacing=pacing(gene),
                frequencyCap=frequency_cap(gene),
                kpi=kpi,
                partnerCosts=partner_costs(gene),
                integrationDetails={"integrationCode": f"PO-{10_000 + index}"} if gene >> 3 & 1 else None,
                budget={
                    "budgetUnit": "BUDGET_UNIT_CURRENCY",
                    "automationType": "INSERTION_ORDER_AUTOMATION_TYPE_NONE",
                    "budgetSegments": [
                        row_of(
                            budgetAmountMicros=str(amount),
                            description=f"segment {number}" if gene >> 4 & 1 else None,
                            dateRange=api_range(start, end),
                        )
                        for number, (start, end, amount) in enumerate(booked, 1)
                    ],
                },
                bidStrategy={"fixedBid": {"bidAmountMicros": "0"}}
                if gene >> 18 & 1
                else {
                    "maximizeSpendAutoBid": row_of(
                        performanceGoalType="BIDDING_STRATEGY_PERFORMANCE_GOAL_TYPE_CPC",
                        raiseBidForDeals=bool(gene >> 19 & 1),
                    )
                },
            )

    def creative_lists(self, at: int) -> tuple[list[list[int]], list[list[int]]]:
        """Ids of the living creatives of each line item, and of the living line items of each creative."""
        model = self._model
        items, creatives = model.line_items, model.creatives
        line_item, creative = self._delivery.line_item, self._delivery.creative
        here = creative >= 0
        here &= items.life.state(at).exists[line_item] & creatives.life.state(at).exists[creative]
        line_item, creative = line_item[here], creative[here]
        of_item = _grouped(len(items), line_item, creatives.ids[creative])
        order = np.argsort(creative, kind="stable")
        return of_item, _grouped(len(creatives), creative[order], items.ids[line_item[order]])

    def _line_items(self, at: int) -> Iterator[Row]:
        model = self._model
        table = model.line_items
        state, living, names = self._living(table, at)
        shown = self.creative_lists(at)[0]
        activities = self.activities_of_advertiser()
        types, orders = table.extra["type"].tolist(), table.up["insertion_order"].tolist()
        campaigns, owners = table.up["campaign"].tolist(), table.up["advertiser"].tolist()
        for index in living:
            gene, kind, edits = table.genes[index], types[index], int(state.edit[index])
            advertiser, youtube = self._advertiser_id(owners[index]), types[index] >= FIRST_YOUTUBE
            days = flights.line_item_dates(model, index)
            allocation = ("AUTOMATIC", "FIXED", "UNLIMITED")[gene >> 12 & 1 if gene >> 13 & 7 else 2]
            by_count = allocation == "FIXED" and gene >> 16 & 3 == 0
            amount = (200 + (gene >> 20 & 511)) * (10 + edits) * (500 if by_count else 100_000)
            counted = activities.get(owners[index], [])
            yield row_of(
                name=f"advertisers/{advertiser}/lineItems/{table.ids[index]}",
                advertiserId=advertiser,
                campaignId=str(model.campaigns.ids[campaigns[index]]),
                insertionOrderId=str(model.insertion_orders.ids[orders[index]]),
                lineItemId=str(table.ids[index]),
                displayName=names[index],
                lineItemType=LINE_ITEM_TYPES[kind],
                entityStatus=STATUSES[int(state.status[index])],
                updateTime=iso(int(state.updated[index])),
                partnerCosts=partner_costs(gene >> 2),
                flight=row_of(
                    flightDateType=f"LINE_ITEM_FLIGHT_DATE_TYPE_{'CUSTOM' if days else 'INHERITED'}",
                    dateRange=api_range(*days) if days else None,
                ),
                budget=row_of(
                    budgetAllocationType=f"LINE_ITEM_BUDGET_ALLOCATION_TYPE_{allocation}",
                    budgetUnit="BUDGET_UNIT_IMPRESSIONS" if by_count else "BUDGET_UNIT_CURRENCY",
                    maxAmount=None if allocation == "UNLIMITED" else str(amount),
                ),
                pacing=pacing(gene >> 1),
                frequencyCap=frequency_cap(gene >> 3),
                partnerRevenueModel={
                    "markupType": "PARTNER_REVENUE_MODEL_MARKUP_TYPE_MEDIA_COST_MARKUP",
                    "markupAmount": str((50 + (gene >> 40 & 127)) * 100),
                },
                conversionCounting={
                    "postViewCountPercentageMillis": str((100_000, 50_000, 25_000, 100_000)[gene >> 62]),
                    "floodlightActivityConfigs": [
                        {
                            "floodlightActivityId": str(activity),
                            "postClickLookbackWindowDays": 30,
                            "postViewLookbackWindowDays": 14,
                        }
                        for activity in counted[:2]
                    ],
                }
                if counted
                else None,
                creativeIds=[str(creative) for creative in shown[index]],
                bidStrategy=self._bid(gene, youtube),
                integrationDetails={"integrationCode": f"LI {index + 1}"} if gene >> 9 & 3 == 0 else None,
                targetingExpansion={"enableOptimizedTargeting": True} if gene >> 50 & 1 else None,
                reservationType="RESERVATION_TYPE_NOT_GUARANTEED",
                excludeNewExchanges=bool(gene >> 51 & 1),
                warningMessages=["NO_VALID_CREATIVE"] if not youtube and not shown[index] else None,
                mobileApp={
                    "appId": f"com.brand{owners[index] + 1}.app",
                    "platform": "ANDROID",
                    "displayName": model.brand(owners[index]),
                    "publisher": f"Brand {owners[index] + 1} Ltd.",
                }
                if kind == 4
                else None,
                youtubeAndPartnersSettings={
                    "contentCategory": "YOUTUBE_AND_PARTNERS_CONTENT_CATEGORY_STANDARD",
                    "effectiveContentCategory": "YOUTUBE_AND_PARTNERS_CONTENT_CATEGORY_STANDARD",
                    "inventorySourceSettings": row_of(
                        includeYoutube=True, includeYoutubeVideoPartners=bool(gene >> 52 & 1)
                    ),
                    "viewFrequencyCap": {
                        "maxImpressions": 5,
                        "timeUnit": "TIME_UNIT_WEEKS",
                        "timeUnitCount": 1,
                    },
                }
                if youtube
                else None,
                containsEuPoliticalAds="DOES_NOT_CONTAIN_EU_POLITICAL_ADVERTISING",
            )

    def _bid(self, gene: int, youtube: bool) -> Row:
        amount = str(1_000_000 + (gene >> 33 & 31) * 50_000)
        if youtube:
            kind = "YOUTUBE_AND_PARTNERS_BIDDING_STRATEGY_TYPE_TARGET_CPM"
            return {"youtubeAndPartnersBid": {"type": kind, "value": amount}}
        if gene >> 30 & 1:
            return {"fixedBid": {"bidAmountMicros": amount}}
        goal = "BIDDING_STRATEGY_PERFORMANCE_GOAL_TYPE_CPA"
        if gene >> 31 & 1:
            return {
                "performanceGoalAutoBid": {
                    "performanceGoalType": goal,
                    "performanceGoalAmountMicros": amount,
                    "maxAverageCpmBidAmountMicros": "9000000",
                }
            }
        return {"maximizeSpendAutoBid": {"performanceGoalType": goal, "raiseBidForDeals": True}}

    def _ad_groups(self, at: int) -> Iterator[Row]:
        model = self._model
        table = model.ad_groups
        state, living, names = self._living(table, at)
        for index in living:
            gene = table.genes[index]
            advertiser = self._advertiser_id(int(table.up["advertiser"][index]))
            yield row_of(
                name=f"advertisers/{advertiser}/adGroups/{table.ids[index]}",
                advertiserId=advertiser,
                adGroupId=str(table.ids[index]),
                lineItemId=str(model.line_items.ids[table.up["line_item"][index]]),
                displayName=names[index],
                entityStatus=STATUSES[int(state.status[index])],
                adGroupFormat=(
                    "AD_GROUP_FORMAT_IN_STREAM",
                    "AD_GROUP_FORMAT_BUMPER",
                    "AD_GROUP_FORMAT_NON_SKIPPABLE_IN_STREAM",
                )[gene % 3],
                bidStrategy={
                    "youtubeAndPartnersBid": {
                        "type": "YOUTUBE_AND_PARTNERS_BIDDING_STRATEGY_TYPE_TARGET_CPM",
                        "value": str(2_000_000 + int(state.edit[index]) * 100_000),
                    }
                },
                targetingExpansion={"enableOptimizedTargeting": True} if gene >> 4 & 1 else None,
            )

    def _ads(self, at: int) -> Iterator[Row]:
        model = self._model
        table = model.ads
        state, living, names = self._living(table, at)
        for index in living:
            gene, group = table.genes[index], int(table.up["ad_group"][index])
            advertiser = int(table.up["advertiser"][index])
            kind = ("inStreamAd", "bumperAd", "nonSkippableAd")[model.ad_groups.genes[group] % 3]
            link = f"https://www.brand{advertiser + 1}.example/offer/{1 + int(state.edit[index])}"
            video = {
                "commonInStreamAttribute": row_of(
                    displayUrl=f"brand{advertiser + 1}.example",
                    finalUrl=link,
                    actionButtonLabel="Mehr, jetzt" if gene & 1 else None,
                    actionHeadline=names[index][:15] if gene & 1 else None,
                    video={"id": f"yt{gene >> 8 & 0xFFFFFFFF:08x}"},
                )
            }
            fields: Row = {kind: video}
            yield row_of(
                name=f"advertisers/{self._advertiser_id(advertiser)}/adGroupAds/{table.ids[index]}",
                advertiserId=self._advertiser_id(advertiser),
                adGroupAdId=str(table.ids[index]),
                adGroupId=str(model.ad_groups.ids[group]),
                displayName=names[index],
                entityStatus=STATUSES[int(state.status[index])],
                adUrls=[{"type": "AD_URL_TYPE_BEACON_IMPRESSION", "url": f"{link}?imp=1"}]
                if gene >> 1 & 1
                else None,
                adPolicy={"adPolicyReviewStatus": "REVIEWED", "adPolicyApprovalStatus": "APPROVED"},
                **fields,
            )

    def _creatives(self, at: int) -> Iterator[Row]:
        model = self._model
        table = model.creatives
        state, living, names = self._living(table, at)
        used = self.creative_lists(at)[1]
        placements = self._cm.placement_of_creative.tolist()
        kinds, owners = table.extra["kind"].tolist(), table.up["advertiser"].tolist()
        for index in living:
            gene, owner = table.genes[index], owners[index]
            kind, width, height = CREATIVE_KINDS[kinds[index]]
            advertiser, placement = self._advertiser_id(owner), placements[index]
            spoken = kind in ("CREATIVE_TYPE_VIDEO", "CREATIVE_TYPE_AUDIO")
            link = f"https://www.brand{owner + 1}.example/?c={index + 1}&v={1 + int(state.edit[index])}"
            yield row_of(
                name=f"advertisers/{advertiser}/creatives/{table.ids[index]}",
                advertiserId=advertiser,
                creativeId=str(table.ids[index]),
                displayName=names[index],
                entityStatus=STATUSES[int(state.status[index])],
                createTime=iso(int(table.life.created[index])),
                updateTime=iso(int(state.updated[index])),
                creativeType=kind,
                hostingSource="HOSTING_SOURCE_CM" if placement >= 0 else "HOSTING_SOURCE_HOSTED",
                cmPlacementId=str(self._cm.placements.ids[placement]) if placement >= 0 else None,
                cmTrackingAd={
                    "cmAdId": str(self._cm.ads.ids[placement]),
                    "cmPlacementId": str(self._cm.placements.ids[placement]),
                    "cmCreativeId": str(self._cm.creatives.ids[self._cm.first_creative[placement]]),
                }
                if placement >= 0 and gene >> 20 & 3 == 0
                else None,
                dimensions={"widthPixels": width, "heightPixels": height} if width else None,
                lineItemIds=[str(item) for item in used[index]],
                mediaDuration=f"{(6, 15, 30, 60)[gene >> 8 & 3]}s" if spoken else None,
                assets=[{"asset": {"mediaId": str(7_000_000 + index)}, "role": "ASSET_ROLE_MAIN"}]
                if placement < 0
                else None,
                exitEvents=[{"type": "EXIT_EVENT_TYPE_DEFAULT", "url": link, "name": "Main exit"}],
                integrationCode=f"CR-{index + 1}" if gene >> 10 & 3 == 0 else None,
                notes='Approved by legal: "ok", see mail' if gene >> 12 & 7 == 0 else None,
                trackerUrls=[f"https://track.example/{index}?cb=[CACHEBUSTER]"] if gene >> 15 & 1 else None,
                dynamic=bool(gene >> 16 & 1) and kind == "CREATIVE_TYPE_STANDARD",
                skippable=kind == "CREATIVE_TYPE_VIDEO" and bool(gene >> 17 & 1),
                requireHtml5=bool(gene >> 18 & 1) and kind == "CREATIVE_TYPE_STANDARD",
                expandingDirection="EXPANDING_DIRECTION_DOWN" if kind == "CREATIVE_TYPE_EXPANDABLE" else None,
                reviewStatus={
                    "approvalStatus": "APPROVAL_STATUS_APPROVED_SERVABLE",
                    "creativeAndLandingPageReviewStatus": "REVIEW_STATUS_APPROVED",
                    "contentAndPolicyReviewStatus": "REVIEW_STATUS_APPROVED",
                    "exchangeReviewStatuses": [
                        {
                            "exchange": exchange,
                            "status": "REVIEW_STATUS_PENDING"
                            if gene >> (22 + number) & 7 == 0
                            else "REVIEW_STATUS_APPROVED",
                        }
                        for number, exchange in enumerate(EXCHANGES[1:3])
                    ],
                },
            )

    def _inventory_sources(self, at: int) -> Iterator[Row]:
        model = self._model
        table = model.inventory_sources
        state, living, names = self._living(table, at)
        for index in living:
            gene, partner = table.genes[index], int(table.up["partner"][index])
            guaranteed = gene & 3 == 0
            rate = 2_000 + (gene >> 8 & 2047) + int(state.edit[index]) * 10
            size = CREATIVE_KINDS[gene >> 4 & 3]
            yield row_of(
                name=f"inventorySources/{table.ids[index]}",
                inventorySourceId=str(table.ids[index]),
                displayName=names[index],
                inventorySourceType="INVENTORY_SOURCE_TYPE_PRIVATE",
                inventorySourceProductType="PROGRAMMATIC_GUARANTEED" if guaranteed else "PREFERRED_DEAL",
                commitment="INVENTORY_SOURCE_COMMITMENT_GUARANTEED"
                if guaranteed
                else "INVENTORY_SOURCE_COMMITMENT_NON_GUARANTEED",
                deliveryMethod="INVENTORY_SOURCE_DELIVERY_METHOD_PROGRAMMATIC",
                dealId=f"deal-{gene >> 16 & 0xFFFFFF:06x}",
                exchange=EXCHANGES[gene >> 2 & 3],
                publisherName=names[index].split(" deal")[0],
                updateTime=iso(int(state.updated[index])),
                status={
                    "entityStatus": STATUSES[int(state.status[index])],
                    "sellerStatus": "ENTITY_STATUS_ACTIVE",
                    "configStatus": "INVENTORY_SOURCE_CONFIG_STATUS_COMPLETED",
                },
                rateDetails=row_of(
                    inventorySourceRateType="INVENTORY_SOURCE_RATE_TYPE_CPM_FIXED",
                    rate=row_of(
                        currencyCode=model.partner_market(partner).currency,
                        units=str(rate // 1000),
                        nanos=rate % 1000 * 1_000_000,
                    ),
                    unitsPurchased=str(1_000_000) if guaranteed else None,
                ),
                timeRange={"startTime": "2023-11-01T00:00:00Z", "endTime": "2028-12-31T23:59:59Z"},
                creativeConfigs=[
                    {
                        "creativeType": size[0],
                        "displayCreativeConfig": {
                            "creativeSize": {"widthPixels": size[1], "heightPixels": size[2]}
                        },
                    }
                ],
                readWriteAccessors={"partner": {"partnerId": str(model.partners.ids[partner])}},
                readPartnerIds=[str(model.partners.ids[partner])],
            )

    def _algorithms(self, at: int) -> Iterator[Row]:
        model = self._model
        table = model.algorithms
        state, living, names = self._living(table, at)
        first_of = model.size.advertisers
        for index in living:
            partner = int(table.up["partner"][index])
            advertiser = self._advertiser_id(partner * first_of)
            shared = index % 2 == 0
            yield row_of(
                name=f"customBiddingAlgorithms/{table.ids[index]}",
                customBiddingAlgorithmId=str(table.ids[index]),
                displayName=names[index],
                entityStatus=STATUSES[int(state.status[index])],
                customBiddingAlgorithmType="SCRIPT_BASED" if shared else "RULE_BASED",
                partnerId=str(model.partners.ids[partner]) if shared else None,
                advertiserId=None if shared else advertiser,
                sharedAdvertiserIds=[advertiser] if shared else None,
                modelDetails=[
                    {
                        "advertiserId": advertiser,
                        "readinessState": "READINESS_STATE_ACTIVE",
                        "suspensionState": "SUSPENSION_STATE_ENABLED",
                    }
                ],
            )

    def _floodlight_groups(self, at: int) -> Iterator[Row]:
        cm = self._cm
        here = self._model.advertisers.life.state(at).exists
        for index in cm.linked.tolist():
            if not here[cm.advertisers.up["dv360"][index]]:
                continue
            gene, group = cm.configurations.genes[index], str(cm.configurations.ids[index])
            yield row_of(
                name=f"floodlightGroups/{group}",
                floodlightGroupId=group,
                displayName=f"Floodlight {cm.advertisers.first_names[index]}",
                lookbackWindow=cm.lookback(index),
                webTagType="WEB_TAG_TYPE_DYNAMIC",
                activeViewConfig={
                    "displayName": "Seen",
                    "minimumDuration": "VIDEO_DURATION_SECONDS_2",
                    "minimumViewability": "VIEWABILITY_PERCENT_50",
                    "minimumVolume": "VIDEO_VOLUME_PERCENT_10",
                    "minimumQuartile": "VIDEO_DURATION_QUARTILE_FIRST",
                }
                if gene & 1
                else None,
                customVariables={"u1": "order value", "u2": "shop, region"} if gene >> 1 & 1 else None,
            )

    def _floodlight_activities(self, at: int) -> Iterator[Row]:
        model, cm = self._model, self._cm
        here = model.advertisers.life.state(at).exists
        state, living, names = self._living(cm.activities, at)
        for index in living:
            there = int(cm.activities.up["advertiser"][index])
            owner = int(cm.advertisers.up["dv360"][there])
            if owner < 0 or not here[owner]:
                continue
            group, activity = str(cm.configurations.ids[there]), str(cm.activities.ids[index])
            advertiser = self._advertiser_id(owner)
            disabled = int(state.status[index]) != 0
            yield row_of(
                name=f"floodlightGroups/{group}/floodlightActivities/{activity}",
                floodlightGroupId=group,
                floodlightActivityId=activity,
                displayName=names[index],
                servingStatus=f"FLOODLIGHT_ACTIVITY_SERVING_STATUS_{'DIS' if disabled else 'EN'}ABLED",
                advertiserIds=[advertiser],
                remarketingConfigs=[
                    row_of(advertiserId=advertiser, remarketingEnabled=bool(cm.activities.genes[index] & 1))
                ],
                sslRequired=True,
            )

    def activities_of_advertiser(self) -> dict[int, list[int]]:
        """Ids of the floodlight activities of each linked advertiser."""
        found: dict[int, list[int]] = {}
        cm = self._cm
        for index, there in enumerate(cm.activities.up["advertiser"].tolist()):
            owner = int(cm.advertisers.up["dv360"][there])
            if owner >= 0:
                found.setdefault(owner, []).append(int(cm.activities.ids[index]))
        return found

    def _line_item_targeting(self, at: int) -> Iterator[Row]:
        table = self._model.line_items
        state = table.life.state(at)
        for index in np.flatnonzero(state.exists).tolist():
            parent = f"advertisers/{self._advertiser_id(int(table.up['advertiser'][index]))}"
            parent += f"/lineItems/{table.ids[index]}"
            for option in self.line_item_options(index, parent, int(state.edit[index])):
                yield {"lineItemId": str(table.ids[index]), "assignedTargetingOption": option}

    def line_item_options(self, index: int, parent: str, edits: int) -> list[Row]:
        """Targeting of one line item."""
        model = self._model
        gene, owner = model.line_items.genes[index], int(model.line_items.up["advertiser"][index])
        market, partner = (
            int(model.advertisers.extra["market"][owner]),
            int(model.advertisers.up["partner"][owner]),
        )
        deal = partner * model.size.sites + (gene >> 28) % model.size.sites
        deal_id = int(model.inventory_sources.ids[deal])
        return targeting.of_line_item(parent, gene, market, owner, deal_id, edits)

    def _ad_group_targeting(self, at: int) -> Iterator[Row]:
        table = self._model.ad_groups
        for index in np.flatnonzero(table.life.state(at).exists).tolist():
            parent = f"advertisers/{self._advertiser_id(int(table.up['advertiser'][index]))}"
            parent += f"/adGroups/{table.ids[index]}"
            for option in targeting.of_ad_group(parent, table.genes[index]):
                yield {"adGroupId": str(table.ids[index]), "assignedTargetingOption": option}

    def _advertiser_targeting(self, at: int) -> Iterator[Row]:
        table = self._model.advertisers
        for index in np.flatnonzero(table.life.state(at).exists).tolist():
            for number in range(1, 3):
                yield targeting.sensitive(f"advertisers/{table.ids[index]}", number)


def frequency_cap(gene: int) -> Row:
    """How often one person may see something."""
    if gene >> 11 & 1:
        return {"unlimited": True}
    unit = ("TIME_UNIT_DAYS", "TIME_UNIT_WEEKS", "TIME_UNIT_MONTHS")[gene % 3]
    return {"maxImpressions": 3 + (gene >> 13 & 7), "timeUnit": unit, "timeUnitCount": 1 + (gene >> 16 & 1)}


def pacing(gene: int) -> Row:
    """How fast money is spent."""
    if gene >> 21 & 1:
        return {"pacingPeriod": "PACING_PERIOD_FLIGHT", "pacingType": "PACING_TYPE_AHEAD"}
    amount = str(50_000_000 + (gene >> 22 & 63) * 1_000_000)
    return {"pacingPeriod": "PACING_PERIOD_DAILY", "pacingType": "PACING_TYPE_EVEN", "dailyMaxMicros": amount}


def partner_costs(gene: int) -> list[Row]:
    """Fees on top of the media cost; about half of the entities have some."""
    found: list[Row] = []
    if gene >> 24 & 1:
        found.append(
            {
                "costType": "PARTNER_COST_TYPE_DV360_FEE",
                "feeType": "PARTNER_COST_FEE_TYPE_MEDIA_FEE",
                "feePercentageMillis": str(5_000 + (gene >> 25 & 7) * 500),
                "invoiceType": "PARTNER_COST_INVOICE_TYPE_DV360",
            }
        )
    if gene >> 28 & 1:
        found.append(
            {
                "costType": "PARTNER_COST_TYPE_DOUBLE_VERIFY",
                "feeType": "PARTNER_COST_FEE_TYPE_CPM_FEE",
                "feeAmount": str(40_000 + (gene >> 29 & 7) * 5_000),
                "invoiceType": "PARTNER_COST_INVOICE_TYPE_PARTNER",
            }
        )
    return found


def _grouped(size: int, keys: I64, values: I64) -> list[list[int]]:
    """Values by their key; the keys are in order."""
    ends = np.cumsum(np.bincount(keys, minlength=size))
    plain = values.tolist()
    return [plain[start:end] for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)]

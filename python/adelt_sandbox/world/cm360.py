"""Entities of CM360 in the JSON of its API v5."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from adelt_sandbox.world.calendar import MARKETS, iso, utc_day
from adelt_sandbox.world.cm_model import CmModel
from adelt_sandbox.world.flights import START, campaign_dates
from adelt_sandbox.world.life import ACTIVE, ARCHIVED, NEVER, State
from adelt_sandbox.world.model import CREATIVE_KINDS, Model, Table

Row = dict[str, Any]
_CURRENCIES = {"USD": "1", "GBP": "3", "EUR": "24", "JPY": "12", "AUD": "2", "BRL": "5", "INR": "31"}
_COMPATIBILITIES = {"CREATIVE_TYPE_VIDEO": "IN_STREAM_VIDEO", "CREATIVE_TYPE_AUDIO": "IN_STREAM_AUDIO"}
_CREATIVE_TYPES = {
    "CREATIVE_TYPE_VIDEO": "INSTREAM_VIDEO",
    "CREATIVE_TYPE_AUDIO": "INSTREAM_AUDIO",
    "CREATIVE_TYPE_NATIVE": "IMAGE",
    "CREATIVE_TYPE_EXPANDABLE": "RICH_MEDIA_DISPLAY_EXPANDING",
}


def row_of(resource: str, **fields: Any) -> Row:
    """An object of the API with its kind; what is empty is left out, false stays."""
    kept = {
        name: value for name, value in fields.items() if value is not None and value != [] and value != {}
    }
    return {"kind": f"dfareporting#{resource}", **kept}


class Cm360Entities:
    """Answers what the CM360 API would list at an instant."""

    def __init__(self, model: Model, cm: CmModel) -> None:
        self._model = model
        self._cm = cm
        self._lists: dict[str, Callable[[int], Iterator[Row]]] = {
            "accounts": self._accounts,
            "advertisers": self._advertisers,
            "campaigns": self._campaigns,
            "sites": self._sites,
            "placements": self._placements,
            "ads": self._ads,
            "creatives": self._creatives,
            "floodlightConfigurations": self._configurations,
            "floodlightActivityGroups": self._activity_groups,
            "floodlightActivities": self._activities,
            "directorySites": self._directory_sites,
            "placementGroups": self._placement_groups,
        }

    @property
    def resources(self) -> list[str]:
        """Names of what can be listed."""
        return list(self._lists)

    def rows(self, resource: str, at: int) -> list[Row]:
        """All objects of a resource at an instant, by id."""
        if resource not in self._lists:
            raise KeyError(f"CM360 has no {resource}; there are {', '.join(self._lists)}")
        return list(self._lists[resource](at))

    def profiles(self) -> list[Row]:
        """The user profiles, one for each account."""
        accounts = self._cm.accounts
        return [
            {
                "kind": "dfareporting#userProfile",
                "etag": f'"profile-{account}"',
                "profileId": str(9_000_001 + index * 11),
                "userName": f"reporting-{index + 1}",
                "accountId": str(account),
                "accountName": accounts.first_names[index],
            }
            for index, account in enumerate(accounts.ids.tolist())
        ]

    def _living(self, table: Table, at: int) -> tuple[State, list[int], list[str]]:
        state = table.life.state(at)
        return state, np.flatnonzero(state.exists).tolist(), table.names(at)

    def _account(self, index: int) -> str:
        return str(self._cm.accounts.ids[index])

    def _accounts(self, at: int) -> Iterator[Row]:
        table = self._cm.accounts
        _, living, names = self._living(table, at)
        for index in living:
            market = self._model.partner_market(index)
            yield row_of(
                "account",
                id=str(table.ids[index]),
                name=names[index],
                active=True,
                accountProfile="ACCOUNT_PROFILE_STANDARD",
                activeAdsLimitTier="ACTIVE_ADS_TIER_100K",
                activeViewOptOut=False,
                countryId=str(market.geo_id),
                currencyId=_CURRENCIES[market.currency],
                locale="en",
                maximumImageSize="1024",
                accountPermissionIds=["10", "21"],
                reportsConfiguration={
                    "exposureToConversionEnabled": False,
                    "lookbackConfiguration": {"clickDuration": 30, "postImpressionActivitiesDuration": 14},
                    "reportGenerationTimeZoneId": "1",
                },
            )

    def _advertisers(self, at: int) -> Iterator[Row]:
        cm = self._cm
        state, living, names = self._living(cm.advertisers, at)
        for index in living:
            found = str(cm.advertisers.ids[index])
            configuration = str(cm.configurations.ids[index])
            gene = cm.advertisers.genes[index]
            yield row_of(
                "advertiser",
                id=found,
                idDimensionValue=dimension("advertiser", found),
                accountId=self._account(int(cm.advertisers.up["account"][index])),
                name=names[index],
                status="APPROVED" if state.status[index] == ACTIVE else "ON_HOLD",
                suspended=False,
                defaultEmail=f"traffic@brand{index + 1}.example" if gene & 1 else None,
                clickThroughUrlSuffix="utm_source=cm&utm_medium=display" if gene >> 1 & 1 else None,
                floodlightConfigurationId=configuration,
                floodlightConfigurationIdDimensionValue=dimension("floodlightConfigId", configuration),
                originalFloodlightConfigurationId=configuration,
                euPoliticalAdsDeclaration="ADVERTISER_DOES_NOT_PLAN_TO_SERVE_EU_POLITICAL_ADS",
            )

    def _campaigns(self, at: int) -> Iterator[Row]:
        cm = self._cm
        table = cm.campaigns
        state, living, names = self._living(table, at)
        for index in living:
            gene, advertiser = table.genes[index], str(cm.advertisers.ids[table.up["advertiser"][index]])
            link = int(table.up["dv360"][index])
            start, end = campaign_dates(self._model, link) if link >= 0 else (START, None)
            yield row_of(
                "campaign",
                id=str(table.ids[index]),
                idDimensionValue=dimension("campaign", str(table.ids[index])),
                accountId=self._account(int(table.up["account"][index])),
                advertiserId=advertiser,
                advertiserIdDimensionValue=dimension("advertiser", advertiser),
                name=names[index],
                archived=bool(state.status[index] == ARCHIVED),
                startDate=start.isoformat(),
                endDate=(end or START.replace(year=2028, month=12, day=31)).isoformat(),
                comment='Booked by phone, see "notes"' if gene & 7 == 0 else None,
                billingInvoiceCode=f"INV-{index + 1}" if gene >> 3 & 1 else None,
                externalId=f"media-plan-{index + 1}" if gene >> 4 & 1 else None,
                euPoliticalAdsDeclaration="DOES_NOT_CONTAIN_EU_POLITICAL_ADS",
                createInfo=stamp(int(table.life.created[index])),
                lastModifiedInfo=stamp(int(state.updated[index])),
                creativeOptimizationConfiguration={
                    "id": str(700_000 + index),
                    "name": "By clicks",
                    "optimizationModel": "CLICK",
                }
                if gene >> 5 & 1
                else None,
            )

    def _directory_sites(self, at: int) -> Iterator[Row]:
        table = self._cm.directory_sites
        _, living, names = self._living(table, at)
        for index in living:
            yield row_of(
                "directorySite",
                id=str(table.ids[index]),
                idDimensionValue=dimension("directorySite", str(table.ids[index])),
                name=names[index],
                url=f"https://www.site{index}.example",
                inpageTagFormats=["STANDARD", "JAVASCRIPT_INPAGE"],
                settings={"activeViewOptOut": False, "instreamVideoPlacementAccepted": index % 2 == 0},
            )

    def _sites(self, at: int) -> Iterator[Row]:
        cm = self._cm
        table = cm.sites
        state, living, names = self._living(table, at)
        for index in living:
            gene, directory = table.genes[index], str(cm.directory_sites.ids[table.up["directory"][index]])
            yield row_of(
                "site",
                id=str(table.ids[index]),
                idDimensionValue=dimension("site", str(table.ids[index])),
                accountId=self._account(int(table.up["account"][index])),
                name=names[index],
                keyName=f"site-{index + 1}",
                approved=bool(state.status[index] == ACTIVE),
                directorySiteId=directory,
                directorySiteIdDimensionValue=dimension("directorySite", directory),
                siteContacts=[
                    {
                        "id": str(40_000 + index),
                        "firstName": "Ana",
                        "lastName": "O'Neil",
                        "email": f"sales@site{index}.example",
                        "contactType": "SALES_PERSON",
                    }
                ]
                if gene & 1
                else None,
                siteSettings={
                    "activeViewOptOut": False,
                    "adBlockingOptOut": bool(gene >> 1 & 1),
                    "tagSetting": {"includeClickThroughUrls": True, "keywordOption": "IGNORE"},
                },
            )

    def _placements(self, at: int) -> Iterator[Row]:
        cm = self._cm
        table = cm.placements
        state, living, names = self._living(table, at)
        up = {key: values.tolist() for key, values in table.up.items()}
        kinds = table.extra["kind"].tolist()
        for index in living:
            gene, found = table.genes[index], str(table.ids[index])
            kind, width, height = CREATIVE_KINDS[kinds[index]]
            campaign = str(cm.campaigns.ids[up["campaign"][index]])
            advertiser = str(cm.advertisers.ids[up["advertiser"][index]])
            site = up["site"][index]
            directory = str(cm.directory_sites.ids[cm.sites.up["directory"][site]])
            created, archived = int(table.life.created[index]), int(table.life.archived[index])
            start = max(START, utc_day(created))
            end = utc_day(archived) if archived < NEVER else START.replace(year=2028, month=12, day=31)
            package = index < table.base and up["dv360_creative"][index] < 0 and index % 2 == 0
            group = self._group_of(index) if package else None
            yield row_of(
                "placement",
                id=found,
                idDimensionValue=dimension("placement", found),
                accountId=self._account(up["account"][index]),
                advertiserId=advertiser,
                advertiserIdDimensionValue=dimension("advertiser", advertiser),
                campaignId=campaign,
                campaignIdDimensionValue=dimension("campaign", campaign),
                siteId=str(cm.sites.ids[site]),
                siteIdDimensionValue=dimension("site", str(cm.sites.ids[site])),
                directorySiteId=directory,
                directorySiteIdDimensionValue=dimension("directorySite", directory),
                name=names[index],
                activeStatus="PLACEMENT_STATUS_"
                + ("ACTIVE", "INACTIVE", "ACTIVE", "ARCHIVED")[int(state.status[index])],
                compatibility=_COMPATIBILITIES.get(kind, "DISPLAY"),
                size=size_of(width, height) if width else None,
                additionalSizes=[size_of(300, 600)]
                if kind == "CREATIVE_TYPE_STANDARD" and gene >> 4 & 7 == 0
                else None,
                pricingSchedule={
                    "startDate": start.isoformat(),
                    "endDate": end.isoformat(),
                    "testingStartDate": start.isoformat(),
                    "pricingType": "PRICING_TYPE_CPM" if gene >> 7 & 1 else "PRICING_TYPE_CPC",
                    "flighted": False,
                    "capCostOption": "CAP_COST_NONE",
                    "pricingPeriods": [
                        {
                            "startDate": start.isoformat(),
                            "endDate": end.isoformat(),
                            "units": str(1_000_000 + int(state.edit[index]) * 50_000),
                            "rateOrCostNanos": str((2_000 + (gene >> 8 & 4095)) * 1_000_000),
                        }
                    ],
                },
                paymentSource="PLACEMENT_AGENCY_PAID",
                paymentApproved=True,
                placementGroupId=group,
                placementGroupIdDimensionValue=dimension("placementGroup", group) if group else None,
                primary=False,
                sslRequired=True,
                tagFormats=["PLACEMENT_TAG_STANDARD", "PLACEMENT_TAG_JAVASCRIPT"],
                tagSetting={"includeClickThroughUrls": True, "keywordOption": "IGNORE"},
                lookbackConfiguration={"clickDuration": 30, "postImpressionActivitiesDuration": 14}
                if gene >> 20 & 1
                else None,
                externalId=f"booking-{index + 1}" if gene >> 21 & 1 else None,
                createInfo=stamp(created),
                lastModifiedInfo=stamp(int(state.updated[index])),
            )

    def _group_of(self, placement: int) -> str:
        campaign = int(self._cm.placements.up["campaign"][placement])
        return str(360_000_000 + int(self._cm.campaigns.ids[campaign]))

    def _placement_groups(self, at: int) -> Iterator[Row]:
        cm = self._cm
        table = cm.placements
        living = table.life.state(at).exists[: table.base]
        members: dict[int, list[int]] = {}
        for index in np.flatnonzero(living & (table.up["dv360_creative"][: table.base] < 0)).tolist():
            if index % 2 == 0:
                members.setdefault(int(table.up["campaign"][index]), []).append(index)
        names = cm.campaigns.names(at)
        for campaign, inside in sorted(members.items()):
            advertiser = str(cm.advertisers.ids[cm.campaigns.up["advertiser"][campaign]])
            group, first = self._group_of(inside[0]), inside[0]
            yield row_of(
                "placementGroup",
                id=group,
                idDimensionValue=dimension("placementGroup", group),
                accountId=self._account(int(cm.campaigns.up["account"][campaign])),
                advertiserId=advertiser,
                campaignId=str(cm.campaigns.ids[campaign]),
                siteId=str(cm.sites.ids[table.up["site"][first]]),
                name=f"{names[campaign]}, package",
                activeStatus="PLACEMENT_STATUS_ACTIVE",
                placementGroupType="PLACEMENT_PACKAGE",
                childPlacementIds=[str(table.ids[index]) for index in inside],
                primaryPlacementId=str(table.ids[first]),
                pricingSchedule={
                    "startDate": START.isoformat(),
                    "endDate": "2028-12-31",
                    "pricingType": "PRICING_TYPE_CPM",
                    "flighted": False,
                },
            )

    def _ads(self, at: int) -> Iterator[Row]:
        cm = self._cm
        table = cm.ads
        state, living, names = self._living(table, at)
        up = {key: values.tolist() for key, values in table.up.items()}
        kinds = cm.placements.extra["kind"].tolist()
        for index in living:
            gene, found = table.genes[index], str(table.ids[index])
            kind, width, height = CREATIVE_KINDS[kinds[index]]
            campaign = str(cm.campaigns.ids[up["campaign"][index]])
            advertiser = str(cm.advertisers.ids[up["advertiser"][index]])
            first, count = int(cm.first_creative[index]), int(cm.creative_count[index])
            archived = int(table.life.archived[index])
            link = {
                "customClickThroughUrl": f"https://www.brand{up['advertiser'][index] + 1}.example/?ad={found}"
            }
            yield row_of(
                "ad",
                id=found,
                idDimensionValue=dimension("ad", found),
                accountId=self._account(up["account"][index]),
                advertiserId=advertiser,
                advertiserIdDimensionValue=dimension("advertiser", advertiser),
                campaignId=campaign,
                campaignIdDimensionValue=dimension("campaign", campaign),
                name=names[index],
                active=bool(state.status[index] == ACTIVE),
                archived=bool(state.status[index] == ARCHIVED),
                type="AD_SERVING_TRACKING" if up["dv360_creative"][index] >= 0 else "AD_SERVING_STANDARD_AD",
                compatibility=_COMPATIBILITIES.get(kind, "DISPLAY"),
                size=size_of(width, height) if width else None,
                startTime=iso(max(int(table.life.created[index]), 1_704_067_200)),
                endTime=iso(archived if archived < NEVER else 1_861_919_999),
                sslRequired=True,
                sslCompliant=True,
                dynamicClickTracker=False,
                clickThroughUrl=link if gene & 1 else {"defaultLandingPage": True},
                deliverySchedule={
                    "priority": f"AD_PRIORITY_{1 + gene % 15:02d}",
                    "hardCutoff": bool(gene >> 5 & 1),
                    "impressionRatio": "1",
                }
                | ({"frequencyCap": {"impressions": "5", "duration": "86400"}} if gene >> 6 & 1 else {}),
                placementAssignments=[
                    {
                        "active": True,
                        "placementId": str(cm.placements.ids[index]),
                        "placementIdDimensionValue": dimension("placement", str(cm.placements.ids[index])),
                        "sslRequired": True,
                    }
                ],
                creativeRotation={
                    "type": "CREATIVE_ROTATION_TYPE_RANDOM",
                    "weightCalculationStrategy": "WEIGHT_STRATEGY_EQUAL",
                    "creativeAssignments": [
                        {
                            "active": True,
                            "creativeId": str(cm.creatives.ids[creative]),
                            "creativeIdDimensionValue": dimension(
                                "creative", str(cm.creatives.ids[creative])
                            ),
                            "clickThroughUrl": link,
                            "weight": 1,
                        }
                        for creative in range(first, first + count)
                    ],
                },
                geoTargeting={
                    "countries": [
                        {
                            "kind": "dfareporting#country",
                            "countryCode": MARKETS[gene >> 8 & 7].country,
                            "dartId": str(MARKETS[gene >> 8 & 7].geo_id),
                            "name": MARKETS[gene >> 8 & 7].country_name,
                        }
                    ],
                    "excludeCountries": False,
                }
                if gene >> 7 & 1
                else None,
                createInfo=stamp(int(table.life.created[index])),
                lastModifiedInfo=stamp(int(state.updated[index])),
            )

    def _creatives(self, at: int) -> Iterator[Row]:
        cm = self._cm
        table = cm.creatives
        state, living, names = self._living(table, at)
        kinds = cm.placements.extra["kind"][table.up["placement"]].tolist()
        owners, accounts = table.up["advertiser"].tolist(), cm.advertisers.up["account"].tolist()
        for index in living:
            gene, found, owner = table.genes[index], str(table.ids[index]), owners[index]
            kind, width, height = CREATIVE_KINDS[kinds[index]]
            file = {"name": f"file_{index + 1}.zip", "type": "HTML"}
            yield row_of(
                "creative",
                id=found,
                idDimensionValue=dimension("creative", found),
                accountId=self._account(accounts[owner]),
                advertiserId=str(cm.advertisers.ids[owner]),
                name=names[index],
                active=bool(state.status[index] == ACTIVE),
                archived=bool(state.status[index] == ARCHIVED),
                type=_CREATIVE_TYPES.get(kind, "DISPLAY"),
                compatibility=[_COMPATIBILITIES.get(kind, "DISPLAY")],
                authoringSource="CREATIVE_AUTHORING_SOURCE_DCM",
                artworkType="ARTWORK_TYPE_HTML5" if kind == "CREATIVE_TYPE_STANDARD" else None,
                size=size_of(width, height) if width else None,
                version=1 + (gene & 3),
                sslCompliant=True,
                totalFileSize=str(20_000 + (gene >> 8 & 0xFFFF)),
                mediaDuration=float(6 + (gene >> 24 & 31)) if kind == "CREATIVE_TYPE_VIDEO" else None,
                clickTags=[
                    {
                        "name": "clickTag",
                        "eventName": "exit",
                        "clickThroughUrl": {"customClickThroughUrl": f"https://www.brand{owner + 1}.example"},
                    }
                ],
                creativeAssets=[
                    {
                        "assetIdentifier": file,
                        "role": "PRIMARY",
                        "fileSize": str(20_000 + (gene >> 8 & 0xFFFF)),
                        "active": True,
                        "sslCompliant": True,
                    }
                ]
                if kind == "CREATIVE_TYPE_STANDARD"
                else None,
                lastModifiedInfo=stamp(int(state.updated[index])),
            )

    def _configurations(self, at: int) -> Iterator[Row]:
        cm = self._cm
        for index in np.flatnonzero(cm.configurations.life.state(at).exists).tolist():
            gene, found = cm.configurations.genes[index], str(cm.configurations.ids[index])
            advertiser, days = str(cm.advertisers.ids[index]), cm.lookback(index)
            yield row_of(
                "floodlightConfiguration",
                id=found,
                idDimensionValue=dimension("floodlightConfigId", found),
                accountId=self._account(int(cm.advertisers.up["account"][index])),
                advertiserId=advertiser,
                advertiserIdDimensionValue=dimension("advertiser", advertiser),
                firstDayOfWeek="MONDAY",
                analyticsDataSharingEnabled=bool(gene & 1),
                exposureToConversionEnabled=False,
                inAppAttributionTrackingEnabled=bool(gene >> 1 & 1),
                naturalSearchConversionAttributionOption="EXCLUDE_NATURAL_SEARCH_CONVERSION_ATTRIBUTION",
                lookbackConfiguration={
                    "clickDuration": days["clickDays"],
                    "postImpressionActivitiesDuration": days["impressionDays"],
                },
                tagSettings={"dynamicTagEnabled": True, "imageTagEnabled": False},
                userDefinedVariableConfigurations=[
                    {"variableType": "U1", "reportName": "order value", "dataType": "NUMBER"},
                    {"variableType": "U2", "reportName": "shop, region", "dataType": "STRING"},
                ]
                if gene >> 2 & 1
                else None,
            )

    def _activity_groups(self, at: int) -> Iterator[Row]:
        cm = self._cm
        table = cm.activity_groups
        _, living, names = self._living(table, at)
        for index in living:
            owner = int(table.up["advertiser"][index])
            advertiser, configuration = str(cm.advertisers.ids[owner]), str(cm.configurations.ids[owner])
            yield row_of(
                "floodlightActivityGroup",
                id=str(table.ids[index]),
                idDimensionValue=dimension("activityGroup", str(table.ids[index])),
                accountId=self._account(int(cm.advertisers.up["account"][owner])),
                advertiserId=advertiser,
                advertiserIdDimensionValue=dimension("advertiser", advertiser),
                floodlightConfigurationId=configuration,
                floodlightConfigurationIdDimensionValue=dimension("floodlightConfigId", configuration),
                name=names[index],
                tagString=f"grp{index + 1:04d}",
                type="SALE" if index % 2 == 0 else "COUNTER",
            )

    def _activities(self, at: int) -> Iterator[Row]:
        cm = self._cm
        table = cm.activities
        state, living, names = self._living(table, at)
        group_names = cm.activity_groups.names(at)
        for index in living:
            gene, owner = table.genes[index], int(table.up["advertiser"][index])
            group = owner * 2 + (index % 3 > 0)
            advertiser, configuration = str(cm.advertisers.ids[owner]), str(cm.configurations.ids[owner])
            yield row_of(
                "floodlightActivity",
                id=str(table.ids[index]),
                idDimensionValue=dimension("activity", str(table.ids[index])),
                accountId=self._account(int(cm.advertisers.up["account"][owner])),
                advertiserId=advertiser,
                advertiserIdDimensionValue=dimension("advertiser", advertiser),
                floodlightConfigurationId=configuration,
                floodlightConfigurationIdDimensionValue=dimension("floodlightConfigId", configuration),
                floodlightActivityGroupId=str(cm.activity_groups.ids[group]),
                floodlightActivityGroupName=group_names[group],
                floodlightActivityGroupTagString=f"grp{group + 1:04d}",
                floodlightActivityGroupType="SALE" if group % 2 == 0 else "COUNTER",
                name=names[index],
                status="ACTIVE" if state.status[index] == ACTIVE else "ARCHIVED",
                countingMethod="TRANSACTIONS_COUNTING" if group % 2 == 0 else "STANDARD_COUNTING",
                conversionCategory="CONVERSION_CATEGORY_PURCHASE" if group % 2 == 0 else None,
                floodlightTagType="GLOBAL_SITE_TAG",
                cacheBustingType="JAVASCRIPT",
                tagFormat="HTML",
                tagString=f"act{index + 1:04d}",
                expectedUrl=f"https://www.brand{owner + 1}.example/thanks",
                secure=True,
                sslCompliant=True,
                sslRequired=True,
                attributionEnabled=True,
                userDefinedVariableTypes=["U1", "U2"] if gene & 1 else None,
                defaultTags=[
                    {"id": str(50_000 + index), "name": "Piggyback", "tag": '<img src="//x.example/p">'}
                ]
                if gene >> 1 & 1
                else None,
            )


def dimension(name: str, value: str) -> Row:
    """The value of a dimension, as it stands beside ids."""
    return {
        "kind": "dfareporting#dimensionValue",
        "etag": f'"{name}-{value}"',
        "dimensionName": name,
        "id": value,
        "value": value,
        "matchType": "EXACT",
    }


def size_of(width: int, height: int) -> Row:
    """A size of something."""
    return {
        "kind": "dfareporting#size",
        "id": str(width * 10_000 + height),
        "width": width,
        "height": height,
        "iab": (width, height) in ((300, 250), (728, 90), (160, 600)),
    }


def stamp(second: int) -> Row:
    """When something was changed, in milliseconds."""
    return {"time": str(second * 1000)}

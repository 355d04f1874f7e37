"""What line items, ad groups and advertisers are targeted at, and the options there are."""

from collections.abc import Iterator
from typing import Any

from adelt_sandbox.world.calendar import MARKETS

Row = dict[str, Any]

REGIONS = (
    (2840, "United States", "GEO_REGION_TYPE_COUNTRY"),
    (2826, "United Kingdom", "GEO_REGION_TYPE_COUNTRY"),
    (2276, "Germany", "GEO_REGION_TYPE_COUNTRY"),
    (2392, "Japan", "GEO_REGION_TYPE_COUNTRY"),
    (2036, "Australia", "GEO_REGION_TYPE_COUNTRY"),
    (2076, "Brazil", "GEO_REGION_TYPE_COUNTRY"),
    (2356, "India", "GEO_REGION_TYPE_COUNTRY"),
    (21137, "California, United States", "GEO_REGION_TYPE_STATE"),
    (20228, "Bavaria, Germany", "GEO_REGION_TYPE_STATE"),
    (1006886, "London, England, United Kingdom", "GEO_REGION_TYPE_CITY"),
)
DEVICE_TYPES = (
    "DEVICE_TYPE_COMPUTER",
    "DEVICE_TYPE_SMART_PHONE",
    "DEVICE_TYPE_TABLET",
    "DEVICE_TYPE_CONNECTED_TV",
)
LANGUAGES = ((1000, "English"), (1001, "German"), (1005, "Japanese"), (1014, "Portuguese"))
BROWSERS = ((500072, "Chrome"), (500073, "Firefox"), (500102, "Safari"), (500105, "Edge"))
SENSITIVE = (
    "SENSITIVE_CATEGORY_ADULT",
    "SENSITIVE_CATEGORY_GAMBLING",
    "SENSITIVE_CATEGORY_WEAPONS",
    "SENSITIVE_CATEGORY_VIOLENCE",
)
VIEWABILITY = ("VIEWABILITY_50_PERCENT_OR_MORE", "VIEWABILITY_70_PERCENT_OR_MORE")
AGES = ("AGE_RANGE_18_24", "AGE_RANGE_25_34", "AGE_RANGE_35_44", "AGE_RANGE_45_54")
GENDERS = ("GENDER_FEMALE", "GENDER_MALE")
KEYWORDS = ("cheap flights", "möbel", "electric car, used", 'the "best" bank', "recipes", "weather")

FIRST_CHANNEL = 4_400_001
FIRST_AUDIENCE = 6_600_001


def options() -> Iterator[Row]:
    """Every targeting option of the types that line items use."""
    for option, name, kind in REGIONS:
        details = {"displayName": name, "geoRegionType": kind}
        yield _option("TARGETING_TYPE_GEO_REGION", option, "geoRegionDetails", details)
    for number, device in enumerate(DEVICE_TYPES, 1):
        yield _option("TARGETING_TYPE_DEVICE_TYPE", number, "deviceTypeDetails", {"deviceType": device})
    for option, name in LANGUAGES:
        yield _option("TARGETING_TYPE_LANGUAGE", option, "languageDetails", {"displayName": name})
    for option, name in BROWSERS:
        yield _option("TARGETING_TYPE_BROWSER", option, "browserDetails", {"displayName": name})
    for number, category in enumerate(SENSITIVE, 1):
        details = {"sensitiveCategory": category}
        kind = "TARGETING_TYPE_SENSITIVE_CATEGORY_EXCLUSION"
        yield _option(kind, number, "sensitiveCategoryDetails", details)
    for number, share in enumerate(VIEWABILITY, 1):
        yield _option("TARGETING_TYPE_VIEWABILITY", number, "viewabilityDetails", {"viewability": share})
    for number, age in enumerate(AGES, 1):
        yield _option("TARGETING_TYPE_AGE_RANGE", number, "ageRangeDetails", {"ageRange": age})
    for number, gender in enumerate(GENDERS, 1):
        yield _option("TARGETING_TYPE_GENDER", number, "genderDetails", {"gender": gender})


def of_line_item(parent: str, gene: int, market: int, advertiser: int, deal: int, edits: int) -> list[Row]:
    """Options assigned to a line item.

    Args:
        parent: Resource name of the line item.
        gene: Its gene.
        market: Index of the market of its advertiser.
        advertiser: Index of its advertiser.
        deal: Id of an inventory source of its partner.
        edits: How often it was edited; every edit changes its keyword.
    """
    home = MARKETS[market]
    found = [
        _geo(parent, home.geo_id),
        *(_device(parent, number) for number in range(1, 2 + gene % 3)),
        *(sensitive(parent, number, inherited=True) for number in range(1, 3)),
    ]
    if gene >> 3 & 3 == 0 and home.country in ("US", "DE", "GB"):
        excluded = {"US": 21137, "DE": 20228, "GB": 1006886}[home.country]
        found.append(_geo(parent, excluded, negative=True))
    if gene >> 5 & 1:
        channel = str(FIRST_CHANNEL + advertiser * 2 + (gene >> 6 & 1))
        details: Row = {"channelId": channel} | ({"negative": True} if gene >> 7 & 1 else {})
        found.append(assigned(parent, "TARGETING_TYPE_CHANNEL", channel, "channelDetails", details))
    if gene >> 8 & 1:
        word = KEYWORDS[((gene >> 9 & 7) + edits) % len(KEYWORDS)]
        details = {"keyword": word} | ({"negative": True} if gene >> 12 & 3 == 0 else {})
        option = str(80_000 + (gene >> 9 & 7) + edits)
        found.append(assigned(parent, "TARGETING_TYPE_KEYWORD", option, "keywordDetails", details))
    if gene >> 14 & 1:
        settings = [
            {"firstPartyAndPartnerAudienceId": str(FIRST_AUDIENCE + advertiser * 2 + step)}
            | ({"recency": "RECENCY_30_DAYS"} if gene >> (15 + step) & 1 else {})
            for step in range(2)
        ]
        details = {"includedFirstPartyAndPartnerAudienceGroups": [{"settings": settings}]}
        kind = "TARGETING_TYPE_AUDIENCE_GROUP"
        found.append(assigned(parent, kind, "audienceGroup", "audienceGroupDetails", details))
    if gene >> 18 & 1:
        number, name = next(item for item in LANGUAGES if item[1] == home.language)
        details = {"displayName": name, "targetingOptionId": str(number)}
        found.append(assigned(parent, "TARGETING_TYPE_LANGUAGE", str(number), "languageDetails", details))
    if gene >> 19 & 3 == 0:
        number, name = BROWSERS[gene >> 21 & 3]
        details = {"displayName": name, "targetingOptionId": str(number)}
        found.append(assigned(parent, "TARGETING_TYPE_BROWSER", str(number), "browserDetails", details))
    if gene >> 24 & 3 == 0:
        details = {"viewability": VIEWABILITY[gene >> 26 & 1]}
        kind = "TARGETING_TYPE_VIEWABILITY"
        found.append(assigned(parent, kind, str(1 + (gene >> 26 & 1)), "viewabilityDetails", details))
    if gene >> 27 & 3 == 0:
        details = {"inventorySourceId": str(deal)}
        kind = "TARGETING_TYPE_INVENTORY_SOURCE"
        found.append(assigned(parent, kind, str(deal), "inventorySourceDetails", details))
    return found


def of_ad_group(parent: str, gene: int) -> list[Row]:
    """Options assigned to an ad group."""
    age, gender = gene % len(AGES), gene >> 4 & 1
    found = [
        assigned(parent, "TARGETING_TYPE_AGE_RANGE", str(age + 1), "ageRangeDetails", {"ageRange": AGES[age]})
    ]
    if gene >> 5 & 1:
        details = {"gender": GENDERS[gender]}
        found.append(assigned(parent, "TARGETING_TYPE_GENDER", str(gender + 1), "genderDetails", details))
    return found


def sensitive(parent: str, number: int, *, inherited: bool = False) -> Row:
    """A category that is never bought."""
    kind = "TARGETING_TYPE_SENSITIVE_CATEGORY_EXCLUSION"
    details = {"excludedSensitiveCategory": SENSITIVE[number - 1]}
    row = assigned(parent, kind, str(number), "sensitiveCategoryExclusionDetails", details)
    return row | ({"inheritance": "INHERITED_FROM_ADVERTISER"} if inherited else {})


def assigned(parent: str, kind: str, option: str, key: str, details: Row) -> Row:
    """One assigned targeting option."""
    return {
        "name": f"{parent}/targetingTypes/{kind}/assignedTargetingOptions/{option}",
        "assignedTargetingOptionId": option,
        "targetingType": kind,
        "inheritance": "NOT_INHERITED",
        key: details,
    }


def _geo(parent: str, option: int, *, negative: bool = False) -> Row:
    _, name, kind = next(region for region in REGIONS if region[0] == option)
    details: Row = {"displayName": name, "geoRegionType": kind, "targetingOptionId": str(option)}
    details |= {"negative": True} if negative else {}
    return assigned(parent, "TARGETING_TYPE_GEO_REGION", str(option), "geoRegionDetails", details)


def _device(parent: str, number: int) -> Row:
    details = {"deviceType": DEVICE_TYPES[number - 1]}
    return assigned(parent, "TARGETING_TYPE_DEVICE_TYPE", str(number), "deviceTypeDetails", details)


def _option(kind: str, option: int, key: str, details: Row) -> Row:
    return {
        "name": f"targetingTypes/{kind}/targetingOptions/{option}",
        "targetingOptionId": str(option),
        "targetingType": kind,
        key: details,
    }

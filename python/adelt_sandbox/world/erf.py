"""Entity Read Files: the daily dump of DV360 entities, with integers for ids, enums, money and times."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np

from adelt_sandbox.world import flights, names, targeting
from adelt_sandbox.world.calendar import HOUR, MARKETS, midnight
from adelt_sandbox.world.cm_model import CmModel
from adelt_sandbox.world.dv360 import Dv360Entities
from adelt_sandbox.world.life import ACTIVE, State
from adelt_sandbox.world.model import CREATIVE_KINDS, Model, Table

Row = dict[str, Any]
WRITTEN_AT = 5 * HOUR
_BROWSERS = ("Chrome", "Firefox", "Safari", "Edge", "Opera, Mini")
_EXCHANGES = ("Google Ad Manager", "Xandr", "Rubicon", "Index Exchange")
_PARTNERS = ("Data & More", "Audience House", "Census, Inc.")
_LANGUAGES = ("en", "de", "ja", "pt", "fr")
_ISPS = (("Telekom", False), ("Verizon Wireless", True), ("NTT, Japan", False), ("Vivo", True))
_DEVICES = (("Pixel 8", "Google", True, 2), ("iPhone 15", "Apple", True, 2), ("Windows PC", "", False, 1))
_APPS = ("All games", "News & weather", "Children's apps")


def row_of(**fields: Any) -> Row:
    """An object of a file: keys without a value are absent; false and zero stay."""
    return {
        name: value for name, value in fields.items() if value is not None and value != [] and value != {}
    }


def usec(day: date) -> int:
    """Midnight UTC of a day in microseconds."""
    return midnight(day) * 1_000_000


class ErfFiles:
    """Makes the objects of entity read files."""

    def __init__(self, model: Model, cm: CmModel, api: Dv360Entities, until: date) -> None:
        self._model = model
        self._cm = cm
        self._api = api
        self.until = until
        self._public: dict[str, Callable[[], Iterator[Row]]] = {
            "AppCollection": lambda: _numbered(_APPS, 300),
            "Browser": self._browsers,
            "DataPartner": lambda: _numbered(_PARTNERS, 40),
            "DeviceCriteria": self._devices,
            "GeoLocation": self._locations,
            "Isp": self._isps,
            "Language": self._languages,
            "SupportedExchange": lambda: _numbered(_EXCHANGES, 1),
            "UniversalSite": self._universal_sites,
        }
        self._private: dict[str, Callable[[int, int], Iterator[Row]]] = {
            "Advertiser": self._advertisers,
            "Campaign": self._campaigns,
            "Creative": self._creatives,
            "CustomAffinity": self._affinities,
            "FloodlightActivity": self._floodlights,
            "InsertionOrder": self._insertion_orders,
            "InventorySource": self._inventory_sources,
            "LineItem": self._line_items,
            "NegativeKeywordList": self._keyword_lists,
            "Partner": self._partners,
            "Pixel": self._pixels,
            "UniversalChannel": self._channels,
            "UserList": self._user_lists,
        }

    def types(self) -> dict[str, list[str]]:
        """Names of the public and the private entity types."""
        return {"public": list(self._public), "private": list(self._private)}

    def rows(self, entity_type: str, file_date: date, partner_id: int | None) -> list[Row]:
        """Objects of a type as they stood at 05:00 UTC of the day; none after the feed ended."""
        if entity_type not in self._public and entity_type not in self._private:
            raise KeyError(f"there are no entity read files of type {entity_type}")
        if file_date > self.until:
            return []
        if entity_type in self._public:
            return list(self._public[entity_type]())
        partners = self._model.partners.ids.tolist()
        if partner_id not in partners:
            raise KeyError(
                f"{entity_type} is a private type; {partner_id} is none of the partners {partners}"
            )
        return list(self._private[entity_type](partners.index(partner_id), midnight(file_date) + WRITTEN_AT))

    def batches(self, entity_type: str, file_date: date, partner_id: int | None) -> int:
        """Number of files: two or three for the big types on some days, one for others."""
        if file_date > self.until:
            return 0
        if entity_type not in ("LineItem", "Creative", "GeoLocation"):
            return 1
        return 1 + self._model.dice.one(
            3, "erf.batches", len(entity_type), midnight(file_date), partner_id or 0
        )

    def _mine(self, table: Table, partner: int, at: int) -> tuple[State, list[int], list[str]]:
        """State, the living entities of a partner and all names."""
        state = table.life.state(at)
        owner = self._model.advertisers.up["partner"][table.up["advertiser"]]
        return state, np.flatnonzero(state.exists & (owner == partner)).tolist(), table.names(at)

    def _common(self, table: Table, index: int, state: State, names_: list[str]) -> Row:
        gene = table.genes[index]
        return row_of(
            id=int(table.ids[index]),
            name=names_[index],
            active=bool(state.status[index] == ACTIVE),
            integration_code=f"int-{index + 1}" if gene >> 3 & 1 else None,
        )

    def _partners(self, partner: int, at: int) -> Iterator[Row]:
        table = self._model.partners
        state, gene = table.life.state(at), table.genes[partner]
        yield row_of(
            common_data=self._common(table, partner, state, table.names(at)),
            currency_code=self._model.partner_market(partner).currency,
            exchange_settings=[
                row_of(
                    exchange_id=number,
                    seat_id=f"seat-{table.ids[partner]}-{number}",
                    seat_user_name=f"trader {number}" if number > 1 else None,
                )
                for number in range(1, 3 + int(state.edit[partner]) % 3)
            ],
            default_partner_costs=partner_costs(gene | 1 << 24),
            default_partner_revenue_model=revenue_model(gene),
            default_target_list={
                "brand_safety": {"criteria_id": 3, "excluded": True},
                "sites": [{"criteria_id": 9001, "parameter": "bad.example", "excluded": True}],
            },
        )

    def _advertisers(self, partner: int, at: int) -> Iterator[Row]:
        model, cm, table = self._model, self._cm, self._model.advertisers
        state, names_ = table.life.state(at), table.names(at)
        for index in np.flatnonzero(state.exists & (table.up["partner"] == partner)).tolist():
            market = model.market(index)
            fields: Row = {"dcm_configuration": 0}
            if model.linked(index):
                there = int(cm.advertiser_of_dv360[index])
                fields = {
                    "dcm_configuration": 2,
                    "dcm_network_id": int(cm.accounts.ids[partner]),
                    "dcm_network_name": cm.accounts.first_names[partner],
                    "dcm_advertiser_id": [int(cm.advertisers.ids[there])],
                    "dcm_advertiser_name": cm.advertisers.names(at)[there],
                    "dcm_floodlight_group_id": int(cm.configurations.ids[there]),
                    "dcm_syncable_site_ids": [int(cm.sites.ids[cm.dv360_site(partner)])],
                }
            yield row_of(
                common_data=self._common(table, index, state, names_),
                partner_id=int(model.partners.ids[partner]),
                currency_code=market.currency,
                timezone_code=market.time_zone,
                landing_page_url=f"https://www.brand{index + 1}.example/",
                available_channel_ids=[targeting.FIRST_CHANNEL + index * 2 + step for step in range(2)],
                blacklist_channel_id=[targeting.FIRST_CHANNEL + index * 2]
                if table.genes[index] & 1
                else None,
                enable_oba_tags=bool(table.genes[index] >> 1 & 1),
                **fields,
            )

    def _campaigns(self, partner: int, at: int) -> Iterator[Row]:
        model, table = self._model, self._model.campaigns
        state, living, names_ = self._mine(table, partner, at)
        for index in living:
            gene, edits = table.genes[index], int(state.edit[index])
            start, end = flights.campaign_dates(model, index)
            amount = (40_000 + (gene >> 8 & 1023) * 100) * 1_000_000 * (10 + edits) // 10
            market = int(model.advertisers.extra["market"][table.up["advertiser"][index]])
            yield row_of(
                common_data=self._common(table, index, state, names_),
                advertiser_id=int(model.advertisers.ids[table.up["advertiser"][index]]),
                budget=budget(start, end, amount, gene),
                frequency_cap=frequency_cap(gene),
                default_target_list=selection(gene, market),
                uses_video_creatives=bool(gene & 1),
                uses_display_creatives=True,
                uses_audio_creatives=bool(gene >> 1 & 1),
                objective=gene >> 4 & 3,
                objective_description="Sell more, everywhere" if gene >> 2 & 1 else None,
                metric=1 + (gene >> 6 & 1),
                metric_amount_micros=1_000_000 + (gene >> 20 & 7) * 250_000,
            )

    def _insertion_orders(self, partner: int, at: int) -> Iterator[Row]:
        model, table = self._model, self._model.insertion_orders
        state, living, names_ = self._mine(table, partner, at)
        for index in living:
            gene = table.genes[index]
            booked = flights.segments(model, index, at, int(state.edit[index]))
            whole = sum(amount for _, _, amount in booked)
            market = int(model.advertisers.extra["market"][table.up["advertiser"][index]])
            yield row_of(
                common_data=self._common(table, index, state, names_),
                advertiser_id=int(model.advertisers.ids[table.up["advertiser"][index]]),
                campaign_id=int(model.campaigns.ids[table.up["campaign"][index]]),
                overall_budget=budget(booked[0][0], booked[-1][1], whole, gene),
                scheduled_segments=[budget(start, end, amount, gene) for start, end, amount in booked],
                frequency_cap=frequency_cap(gene),
                default_partner_costs=partner_costs(gene),
                default_target_list=selection(gene >> 3, market),
            )

    def _line_items(self, partner: int, at: int) -> Iterator[Row]:
        model, table = self._model, self._model.line_items
        state, living, names_ = self._mine(table, partner, at)
        shown = self._api.creative_lists(at)[0]
        activities = self._api.activities_of_advertiser()
        types, owners = table.extra["type"].tolist(), table.up["advertiser"].tolist()
        for index in living:
            gene, owner, edits = table.genes[index], owners[index], int(state.edit[index])
            days = flights.line_item_dates(model, index)
            amount = (200 + (gene >> 20 & 511)) * (10 + edits) * 100_000
            parent = f"advertisers/{model.advertisers.ids[owner]}/lineItems/{table.ids[index]}"
            yield row_of(
                common_data=self._common(table, index, state, names_),
                line_item_type=types[index],
                insertion_order_id=int(model.insertion_orders.ids[table.up["insertion_order"][index]]),
                creative_ids=shown[index],
                max_cpm_advertiser_micros=1_000_000 + (gene >> 33 & 31) * 50_000,
                performance_goal=gene >> 5 & 7,
                goal_advertiser_micros=500_000 + (gene >> 12 & 255) * 1_000,
                partner_revenue_model=revenue_model(gene),
                cost_tracking_pixels=[
                    {
                        "pixel_id": activity + 1_000_000,
                        "view_window_minutes": 14 * 1440,
                        "click_window_minutes": 30 * 1440,
                        "floodlight_activity_id": activity,
                    }
                    for activity in activities.get(owner, [])[:2]
                ],
                budget=budget(days[0] if days else None, days[1] if days else None, amount, gene),
                frequency_cap=frequency_cap(gene >> 3),
                target_list=target_list(self._api.line_item_options(index, parent, edits), gene),
                partner_costs=partner_costs(gene >> 2),
            )

    def _creatives(self, partner: int, at: int) -> Iterator[Row]:
        model, table = self._model, self._model.creatives
        state, living, names_ = self._mine(table, partner, at)
        placements, kinds = self._cm.placement_of_creative.tolist(), table.extra["kind"].tolist()
        for index in living:
            gene, placement = table.genes[index], placements[index]
            kind, width, height = CREATIVE_KINDS[kinds[index]]
            checked = (int(table.life.created[index]) + 7200) * 1_000_000
            yield row_of(
                common_data=self._common(table, index, state, names_),
                advertiser_id=int(model.advertisers.ids[table.up["advertiser"][index]]),
                dcm_placement_id=int(self._cm.placements.ids[placement]) if placement >= 0 else None,
                width_pixels=width or None,
                height_pixels=height or None,
                approval_status=[
                    row_of(
                        auditor=number,
                        status=2,
                        feedback="Too loud, please lower" if gene >> (30 + number) & 7 == 0 else None,
                        sync_time=checked,
                        external_id=gene >> 16 & 0xFFFF if number == 2 else None,
                    )
                    for number in range(1, 2 + (gene >> 10 & 1))
                ],
                expanding_direction=2 if kind == "CREATIVE_TYPE_EXPANDABLE" else None,
                creative_type=kinds[index],
            )

    def _inventory_sources(self, partner: int, at: int) -> Iterator[Row]:
        model, table = self._model, self._model.inventory_sources
        state, names_ = table.life.state(at), table.names(at)
        first = partner * model.size.advertisers
        for index in np.flatnonzero(state.exists & (table.up["partner"] == partner)).tolist():
            gene = table.genes[index]
            yield row_of(
                id=int(table.ids[index]),
                unclassified=False,
                inventory_name=names_[index],
                exchange_id=1 + (gene >> 2 & 3),
                external_id=f"deal-{gene >> 16 & 0xFFFFFF:06x}",
                min_cpm_micros=(2_000 + (gene >> 8 & 2047) + int(state.edit[index]) * 10) * 1_000,
                min_cpm_currency_code=model.partner_market(partner).currency,
                accessing_advertisers=[int(model.advertisers.ids[first])] if gene & 1 else None,
            )

    def _floodlights(self, partner: int, at: int) -> Iterator[Row]:
        for index, advertiser, common in self._activities(partner, at):
            yield row_of(
                common_data=common,
                advertiser_id=advertiser,
                partner_id=int(self._model.partners.ids[partner]),
                remarketing_enabled=bool(self._cm.activities.genes[index] & 1),
                ssl_required=True,
            )

    def _pixels(self, partner: int, at: int) -> Iterator[Row]:
        for index, advertiser, common in self._activities(partner, at):
            activity = int(self._cm.activities.ids[index])
            yield row_of(
                common_data=common | {"id": activity + 1_000_000, "name": f"Pixel of {common['name']}"},
                advertiser_id=advertiser,
                partner_id=int(self._model.partners.ids[partner]),
                dcm_floodlight_id=activity,
                dcm_floodlight_name=common["name"],
                allow_google_redirect=True,
                allow_rm_redirect=False,
                remarketing_enabled=bool(self._cm.activities.genes[index] & 1),
                is_secure=True,
            )

    def _activities(self, partner: int, at: int) -> Iterator[tuple[int, int, Row]]:
        model, cm = self._model, self._cm
        table, here = cm.activities, model.advertisers.life.state(at).exists
        state, names_ = table.life.state(at), table.names(at)
        for index in np.flatnonzero(state.exists).tolist():
            owner = int(cm.advertisers.up["dv360"][table.up["advertiser"][index]])
            if owner < 0 or not here[owner] or int(model.advertisers.up["partner"][owner]) != partner:
                continue
            yield index, int(model.advertisers.ids[owner]), self._common(table, index, state, names_)

    def _of_advertisers(self, partner: int, at: int) -> list[tuple[int, int]]:
        table = self._model.advertisers
        here = table.life.state(at).exists & (table.up["partner"] == partner)
        return [(index, int(table.ids[index])) for index in np.flatnonzero(here).tolist()]

    def _affinities(self, partner: int, at: int) -> Iterator[Row]:
        for index, advertiser in self._of_advertisers(partner, at):
            yield row_of(
                id=6_900_001 + index,
                name=f"People like {self._model.brand(index)}",
                description="Seed: buyers of 90 days" if index % 2 else None,
                advertiser_id=advertiser,
            )

    def _keyword_lists(self, partner: int, at: int) -> Iterator[Row]:
        for index, advertiser in self._of_advertisers(partner, at):
            yield {"id": 5_500_001 + index, "name": "Never beside this", "advertiser_id": advertiser}

    def _channels(self, partner: int, at: int) -> Iterator[Row]:
        for index, advertiser in self._of_advertisers(partner, at):
            for step, word in enumerate(("Blocked sites", "Good sites, checked")):
                yield row_of(
                    id=targeting.FIRST_CHANNEL + index * 2 + step,
                    name=f"{word} {index + 1}",
                    site_ids=[9001 + (index + number) % 8 for number in range(2 + step)],
                    is_deleted=False,
                    is_brand_safe_channel=step == 1,
                    accessing_advertisers=[advertiser],
                )

    def _user_lists(self, partner: int, at: int) -> Iterator[Row]:
        for index, advertiser in self._of_advertisers(partner, at):
            for step in range(2):
                price = {"cost_type": "CPM", "currency_code": "USD", "cost_micros": 250_000 * (1 + step)}
                yield row_of(
                    id=targeting.FIRST_AUDIENCE + index * 2 + step,
                    name=f"{names.pick(names.AUDIENCES, index + step)} {index + 1}",
                    data_partner_id=40 + step,
                    accessing_advertisers=[advertiser],
                    partner_pricing=price if step else None,
                    advertiser_pricings=[{"pricing": price, "advertiser_id": advertiser}],
                )

    def _browsers(self) -> Iterator[Row]:
        for index, row in enumerate(_numbered(_BROWSERS, 500_072)):
            yield row | {"is_mobile": index == len(_BROWSERS) - 1}

    def _devices(self) -> Iterator[Row]:
        for index, (name, brand, mobile, device) in enumerate(_DEVICES):
            yield row_of(
                id=600_000 + index,
                name=name,
                criteria_type=1,
                is_mobile=mobile,
                mobile_brand_name=brand or None,
                mobile_model_name=name if brand else None,
                operating_system_id=10 + index,
                device_type=device,
                mobile_make_model_id=700_000 + index if brand else None,
            )

    def _locations(self) -> Iterator[Row]:
        for option, name, kind in targeting.REGIONS:
            place, _, country = name.rpartition(", ")
            code = next(market.country for market in MARKETS if market.country_name == country)
            yield row_of(
                id=option,
                country_code=code,
                region_code=place.split(", ")[-1] or None,
                city_name=place.split(", ")[0] if kind.endswith("CITY") else None,
                dma_code=803 if option == 21137 else None,
                canonical_name=name,
                geo_name=name.split(", ")[0],
            )
        yield {
            "id": 9_042_314,
            "country_code": "DE",
            "region_code": "Berlin",
            "postal_code": "10115",
            "canonical_name": "10115, Berlin, Germany",
            "geo_name": "10115",
        }

    def _isps(self) -> Iterator[Row]:
        for index, (name, mobile) in enumerate(_ISPS):
            yield row_of(
                id=200 + index,
                name=name,
                is_mobile=mobile,
                secondary_criteria_id=900 + index if mobile else None,
            )

    def _languages(self) -> Iterator[Row]:
        for index, code in enumerate(_LANGUAGES):
            yield {"id": 1000 + index, "code": code}

    def _universal_sites(self) -> Iterator[Row]:
        for index in range(8):
            yield {"id": 9001 + index, "name": f"site{index}.example"}


def budget(start: date | None, end: date | None, micros: int, gene: int) -> Row:
    """A budget; its end is the midnight after its last day."""
    limited = gene >> 21 & 1
    return row_of(
        start_time_usec=usec(start) if start else None,
        end_time_usec=usec(end + timedelta(days=1)) if end else None,
        max_spend_advertiser_micros=micros,
        pacing_type=1 + (gene >> 21 & 1),
        pacing_max_impressions=10_000 + (gene >> 22 & 63) * 100 if limited else None,
        pacing_max_spend_advertiser_micros=None if limited else 50_000_000 + (gene >> 22 & 63) * 1_000_000,
        pacing_distribution=gene >> 29 & 3,
    )


def frequency_cap(gene: int) -> Row | None:
    """How often one person may see something; absent if there is no limit."""
    if gene >> 11 & 1:
        return None
    return {
        "max_impressions": 3 + (gene >> 13 & 7),
        "time_unit": 1 + gene % 3,
        "time_range": 1 + (gene >> 16 & 1),
    }


def partner_costs(gene: int) -> Row:
    """Fees, as far as there are any."""
    found: Row = {}
    if gene >> 24 & 1:
        found |= {
            "media_fee_percent_1_millis": 5_000 + (gene >> 25 & 7) * 500,
            "media_fee_percent_1_cost_type": 7,
            "media_fee_percent_1_bill_to_type": 1,
        }
    if gene >> 28 & 1:
        found |= {
            "cpm_fee_1_advertiser_micros": 40_000 + (gene >> 29 & 7) * 5_000,
            "cpm_fee_1_cost_type": 11,
            "cpm_fee_1_bill_to_type": 2,
        }
    return found


def revenue_model(gene: int) -> Row:
    """What is put on top of the media cost."""
    return row_of(
        type=2,
        media_cost_markup_percent_millis=(50 + (gene >> 40 & 127)) * 100,
        amount_advertiser_micros=100_000 if gene >> 47 & 3 == 0 else None,
        post_view_conversion_tracking_fraction=(1.0, 0.5, 0.25, 1.0)[gene >> 62],
    )


def selection(gene: int, market: int) -> Row:
    """Targeting that new line items begin with."""
    return row_of(
        geo_locations=[{"criteria_id": MARKETS[market].geo_id, "excluded": False}],
        ad_position={"criteria_id": 1, "excluded": False} if gene & 1 else None,
        browsers={
            "union": [{"criteria_id": 500_072}, {"criteria_id": 500_073}],
            "excluded": bool(gene >> 1 & 1),
        }
        if gene >> 2 & 1
        else None,
        languages={"union": [{"criteria_id": 1000 + (gene >> 3 & 3)}], "excluded": False}
        if gene >> 5 & 1
        else None,
        audience_intersect=[
            {
                "union": [{"criteria_id": targeting.FIRST_AUDIENCE + step, "parameter": "30d"}],
                "excluded": False,
            }
            for step in range(gene >> 6 & 1)
        ],
        keywords=[
            {
                "criteria_id": 80_000 + step,
                "parameter": names.pick(targeting.KEYWORDS, step),
                "excluded": True,
            }
            for step in range(gene >> 7 & 3)
        ],
        kct_include_uncrawled_sites=True if gene >> 9 & 1 else None,
        brand_safety={"criteria_id": 2, "excluded": True} if gene >> 10 & 1 else None,
    )


def target_list(options: list[Row], gene: int) -> Row:
    """Targeting of a line item: the same as the API tells, in the words of the files."""
    found: Row = {}

    def negative(details: Row) -> bool:
        return bool(details.get("negative", False))

    for option in options:
        kind = option["targetingType"].removeprefix("TARGETING_TYPE_")
        number = option["assignedTargetingOptionId"]
        if kind == "GEO_REGION":
            row = {"criteria_id": int(number), "excluded": negative(option["geoRegionDetails"])}
            found.setdefault("geo_locations", []).append(row)
        elif kind == "DEVICE_TYPE":
            found.setdefault("device_criteria", []).append({"criteria_id": int(number), "excluded": False})
        elif kind == "CHANNEL":
            row = {"criteria_id": int(number), "excluded": negative(option["channelDetails"])}
            found.setdefault("universal_channels", []).append(row)
        elif kind == "KEYWORD":
            details = option["keywordDetails"]
            row = {"criteria_id": int(number), "parameter": details["keyword"], "excluded": negative(details)}
            found.setdefault("keywords", []).append(row)
        elif kind == "AUDIENCE_GROUP":
            groups = option["audienceGroupDetails"]["includedFirstPartyAndPartnerAudienceGroups"]
            found["audience_intersect"] = [
                {
                    "union": [
                        row_of(
                            criteria_id=int(setting["firstPartyAndPartnerAudienceId"]),
                            parameter=setting.get("recency"),
                            excluded="false",  # text in the schema of this list, unlike everywhere else
                        )
                        for setting in group["settings"]
                    ],
                    "excluded": False,
                }
                for group in groups
            ]
        elif kind in ("LANGUAGE", "BROWSER"):
            found[f"{kind.lower()}s"] = {"union": [{"criteria_id": int(number)}], "excluded": False}
        elif kind == "INVENTORY_SOURCE":
            found.setdefault("inventory_sources", []).append({"criteria_id": int(number), "excluded": False})
    if gene >> 30 & 3 == 0:
        hours = [{"criteria_id": 700 + hour, "parameter": f"{hour}:00"} for hour in (8, 20)]
        found["day_parting"] = {"union": hours, "excluded": False}
    if gene >> 32 & 3 == 0:
        found["sites"] = [
            {"criteria_id": 9003, "parameter": "site2.example", "excluded": bool(gene >> 34 & 1)}
        ]
    if gene >> 35 & 3 == 0:
        found["isps"] = [{"union": [{"criteria_id": 201}], "excluded": False}]
    return found


def _numbered(words: tuple[str, ...], first: int) -> Iterator[Row]:
    for index, word in enumerate(words):
        yield {"id": first + index, "name": word}

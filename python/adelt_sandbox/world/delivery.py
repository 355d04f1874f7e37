"""Delivery of DV360: rows per day, line item and creative."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from adelt_sandbox.world.calendar import MARKETS, midnight, utc_day
from adelt_sandbox.world.dice import I64, bits
from adelt_sandbox.world.life import BEGINNING
from adelt_sandbox.world.measures import MILLION, Lines, Measures, Moment, measure
from adelt_sandbox.world.model import FIRST_YOUTUBE, Column, Model

CHUNK = 400_000
MONEY: Any = pa.decimal128(28, 6)
DEVICES = ("Desktop", "Smart Phone", "Tablet", "Connected TV")

_COLUMNS: list[Any] = [
    ("date", pa.date32()),
    ("partner_id", pa.int64()),
    ("advertiser_id", pa.int64()),
    ("advertiser_name", pa.string()),
    ("advertiser_currency", pa.string()),
    ("advertiser_time_zone", pa.string()),
    ("campaign_id", pa.int64()),
    ("campaign_name", pa.string()),
    ("insertion_order_id", pa.int64()),
    ("insertion_order_name", pa.string()),
    ("line_item_id", pa.int64()),
    ("line_item_name", pa.string()),
    ("creative_id", pa.int64()),
    ("creative_name", pa.string()),
    ("impressions", pa.int64()),
    ("billable_impressions", pa.int64()),
    ("clicks", pa.int64()),
    ("total_conversions", MONEY),
    ("post_click_conversions", MONEY),
    ("post_view_conversions", MONEY),
    ("media_cost_advertiser", MONEY),
    ("media_cost_partner", MONEY),
    ("media_cost_usd", MONEY),
    ("revenue_advertiser", MONEY),
    ("revenue_partner", MONEY),
    ("revenue_usd", MONEY),
    ("device_type", pa.string()),
    ("country", pa.string()),
]
DV360_SCHEMA = pa.schema(_COLUMNS)


def decimals(micros: I64) -> Column:
    """Millionths as decimals with six digits, without passing through floats."""
    wide = np.empty((len(micros), 2), dtype=np.int64)
    wide[:, 0] = micros
    wide[:, 1] = micros >> 63
    return pa.Array.from_buffers(MONEY, len(micros), [None, pa.py_buffer(wide.tobytes())])


def dates(day: date, count: int) -> Column:
    """One date, repeated."""
    number = midnight(day) // 86400
    return pa.array(np.full(count, number, dtype=np.int32)).cast(pa.date32())


def days_between(start: date, end: date, at: int) -> Iterator[date]:
    """Days of [start, end) on which something can have been delivered until an instant."""
    day = max(start, BEGINNING)
    last = min(end, utc_day(at) + timedelta(days=2))  # it is tomorrow already in the east
    while day < last:
        yield day
        day += timedelta(days=1)


class Dv360Delivery:
    """Answers what DV360 delivered."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._texts: Any = lru_cache(maxsize=16)(self._make_texts)
        self._active: Any = lru_cache(maxsize=16)(self._make_active)

    def tables(self, start: date, end: date, at: int, partners: Sequence[int]) -> Iterator[pa.Table]:
        """Delivery of the days [start, end) of some partners (by index), in chunks."""
        rows = self.rows_of(partners)
        for day in days_between(start, end, at):
            for first in range(0, len(rows), CHUNK):
                chunk = rows[first : first + CHUNK]
                found, measures = self.measures(chunk, day, at)
                if len(found):
                    yield self._table(found, measures, day, at)

    def measures(self, rows: I64, day: date, at: int) -> tuple[I64, Measures]:
        """Numbers of the lines at some rows that have any, and which rows these are."""
        moment = Moment.of(MARKETS, day, at)
        line_item, creative = self._active(day)
        length = (moment.end - moment.start)[self.lines.market[rows]]
        shown = creative[self.creative[rows]]  # the last entry stands for no creative
        active = line_item[self.line_item[rows]] * np.minimum(shown, length) // length
        running = np.flatnonzero(active)
        rows = rows[running]
        measures = measure(self._model.dice, "dv360", self.lines.take(rows), active[running], moment)
        present = measures.present
        return rows[present], measures.take(present)

    def rows_of(self, partners: Sequence[int]) -> I64:
        """Lines of some partners."""
        if len(partners) == self._model.size.partners:
            return np.arange(len(self.line_item), dtype=np.int64)
        owner = self._model.advertisers.up["partner"][self.advertiser]
        return np.flatnonzero(np.isin(owner, np.asarray(partners, dtype=np.int64))).astype(np.int64)

    @cached_property
    def _pairs(self) -> tuple[I64, I64]:
        """Line item and creative of each line; -1 where the creative is not known."""
        model = self._model
        items, size = model.line_items, model.size
        index = np.arange(len(items), dtype=np.int64)
        package = items.up["package"]
        youtube = items.extra["type"] >= FIRST_YOUTUBE
        # YouTube ads are no creatives; a few other line items have delivery without a known creative as well.
        nameless = youtube | (bits(items.gene, 8, 5) == 0)
        rotation = size.rotation + bits(items.gene, 16, 1) - bits(items.gene, 17, 1)
        shown = np.where(package >= 0, 2, np.clip(rotation, 1, size.creatives))
        counts = np.where(youtube, 0, shown) + nameless
        line_item = np.repeat(index, counts)
        turn = np.arange(len(line_item)) - np.repeat(np.cumsum(counts) - counts, counts)
        offset = bits(items.gene, 20, 16)[line_item]
        owner = items.up["advertiser"][line_item]
        creative = owner * size.creatives + (offset + turn) % size.creatives
        bought = package[line_item]
        base = model.creatives.base
        creative = np.where(bought >= 0, base + bought * 2 + turn, creative)
        creative = np.where(turn == counts[line_item] - nameless[line_item], -1, creative)
        return line_item, creative.astype(np.int64)

    @property
    def line_item(self) -> I64:
        """Index of the line item of each line."""
        return self._pairs[0]

    @property
    def creative(self) -> I64:
        """Index of the creative of each line, -1 for none."""
        return self._pairs[1]

    @cached_property
    def advertiser(self) -> I64:
        """Index of the advertiser of each line."""
        return self._model.line_items.up["advertiser"][self.line_item]

    @cached_property
    def lines(self) -> Lines:
        """The lines themselves."""
        model = self._model
        gene = model.line_items.gene[self.line_item]
        market = model.advertisers.extra["market"][self.advertiser]
        worth = np.array([m.usd_millionths for m in MARKETS], dtype=np.int64)[market]
        # Lines keep their draws when others are added: the ids of both sides name them.
        key = model.line_items.ids[self.line_item] * 1_000_003 + self.creative
        noise = model.dice.draw("line", key)
        usd = 800_000 + bits(gene, 36, 12) * 2_500  # 0.80 to 11.04 dollars
        youtube = model.line_items.extra["type"][self.line_item] >= FIRST_YOUTUBE
        return Lines(
            key=key,
            base=(150 + bits(noise, 0, 9)) << bits(noise, 12, 2),
            market=market,
            click_rate=400 + bits(gene, 48, 12),
            cpm=usd * MILLION // worth,
            billable=np.where(youtube, 310_000, np.where(bits(gene, 60, 2) == 0, 985_000, MILLION)),
            post_view=np.array([MILLION, 500_000, 250_000, MILLION], dtype=np.int64)[bits(gene, 62, 2)],
        )

    @cached_property
    def _markup(self) -> I64:
        """Thousandths on top of the cost that the advertiser pays, by line item."""
        return 50 + bits(self._model.line_items.gene, 40, 7)

    def _make_active(self, day: date) -> tuple[I64, I64]:
        """Seconds of the day in which line items, with all above them, and creatives were active."""
        model = self._model
        moment = Moment.of(MARKETS, day, 0)

        def of(table: Any, advertiser: I64) -> I64:
            market = model.advertisers.extra["market"][advertiser]
            seconds: I64 = table.life.active_seconds(moment.start[market], moment.end[market])
            return seconds

        every = np.arange(len(model.advertisers), dtype=np.int64)
        length = (moment.end - moment.start)[model.advertisers.extra["market"]]
        above = of(model.advertisers, every)
        up = model.campaigns.up["advertiser"]
        campaigns = of(model.campaigns, up) * above[up] // length[up]
        up, owner = model.insertion_orders.up["campaign"], model.insertion_orders.up["advertiser"]
        orders = of(model.insertion_orders, owner) * campaigns[up] // length[owner]
        up, owner = model.line_items.up["insertion_order"], model.line_items.up["advertiser"]
        items = of(model.line_items, owner) * orders[up] // length[owner]
        creatives = of(model.creatives, model.creatives.up["advertiser"])
        return items, np.r_[creatives, np.int64(1 << 40)]

    def _make_texts(self, at: int) -> dict[str, Column]:
        model = self._model
        creatives = model.creatives.names(at)
        return {
            "advertiser": model.advertisers.name_array(at),
            "campaign": model.campaigns.name_array(at),
            "insertion_order": model.insertion_orders.name_array(at),
            "line_item": model.line_items.name_array(at),
            "creative": pa.array(creatives, pa.string()),
            "currency": pa.array([market.currency for market in MARKETS], pa.string()),
            "time_zone": pa.array([market.time_zone for market in MARKETS], pa.string()),
            "country": pa.array([market.country_name for market in MARKETS], pa.string()),
            "device": pa.array(DEVICES, pa.string()),
        }

    def _table(self, rows: I64, numbers: Measures, day: date, at: int) -> pa.Table:
        model, texts = self._model, self._texts(at)
        line_item, creative, advertiser = self.line_item[rows], self.creative[rows], self.advertiser[rows]
        campaign = model.line_items.up["campaign"][line_item]
        order = model.line_items.up["insertion_order"][line_item]
        partner = model.advertisers.up["partner"][advertiser]
        market = self.lines.market[rows]
        unknown = creative < 0
        shown: Column = pa.array(np.where(unknown, 0, creative), mask=unknown)
        cost = numbers.cost
        revenue = cost + cost * self._markup[line_item] // 1000
        worth = np.array([m.usd_millionths for m in MARKETS], dtype=np.int64)[market]
        home = [model.partner_market(index).usd_millionths for index in range(model.size.partners)]
        partner_worth = np.array(home, dtype=np.int64)[partner]

        def usd(micros: I64) -> I64:
            return micros * worth // MILLION

        def local(micros: I64) -> I64:
            return np.where(worth == partner_worth, micros, micros * worth // partner_worth)

        columns = {
            "date": dates(day, len(rows)),
            "partner_id": model.partners.ids[partner],
            "advertiser_id": model.advertisers.ids[advertiser],
            "advertiser_name": texts["advertiser"].take(pa.array(advertiser)),
            "advertiser_currency": texts["currency"].take(pa.array(market)),
            "advertiser_time_zone": texts["time_zone"].take(pa.array(market)),
            "campaign_id": model.campaigns.ids[campaign],
            "campaign_name": texts["campaign"].take(pa.array(campaign)),
            "insertion_order_id": model.insertion_orders.ids[order],
            "insertion_order_name": texts["insertion_order"].take(pa.array(order)),
            "line_item_id": model.line_items.ids[line_item],
            "line_item_name": texts["line_item"].take(pa.array(line_item)),
            "creative_id": pa.array(model.creatives.ids).take(shown),
            "creative_name": texts["creative"].take(shown),
            "impressions": numbers.impressions,
            "billable_impressions": numbers.billable,
            "clicks": numbers.clicks,
            "total_conversions": decimals(numbers.post_click + numbers.post_view),
            "post_click_conversions": decimals(numbers.post_click),
            "post_view_conversions": decimals(numbers.post_view),
            "media_cost_advertiser": decimals(cost),
            "media_cost_partner": decimals(local(cost)),
            "media_cost_usd": decimals(usd(cost)),
            "revenue_advertiser": decimals(revenue),
            "revenue_partner": decimals(local(revenue)),
            "revenue_usd": decimals(usd(revenue)),
            "device_type": texts["device"].take(pa.array(bits(model.line_items.gene, 52, 2)[line_item])),
            "country": texts["country"].take(pa.array(market)),
        }
        return pa.table([columns[name] for name in DV360_SCHEMA.names], schema=DV360_SCHEMA)

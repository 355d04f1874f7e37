"""Delivery of CM360: what it sees of DV360's delivery, and what its direct placements deliver."""

from collections.abc import Iterator, Sequence
from datetime import date
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from adelt_sandbox.world.calendar import MARKETS
from adelt_sandbox.world.cm_model import CmModel
from adelt_sandbox.world.delivery import CHUNK, MONEY, Dv360Delivery, dates, days_between, decimals
from adelt_sandbox.world.dice import I64, bits
from adelt_sandbox.world.measures import MILLION, Lines, Measures, Moment, measure
from adelt_sandbox.world.model import Column, Model

_COLUMNS: list[Any] = [
    ("date", pa.date32()),
    ("account_id", pa.int64()),
    ("advertiser_id", pa.int64()),
    ("advertiser_name", pa.string()),
    ("campaign_id", pa.int64()),
    ("campaign_name", pa.string()),
    ("site_id", pa.int64()),
    ("site_name", pa.string()),
    ("placement_id", pa.int64()),
    ("placement_name", pa.string()),
    ("ad_id", pa.int64()),
    ("ad_name", pa.string()),
    ("creative_id", pa.int64()),
    ("creative_name", pa.string()),
    ("impressions", pa.int64()),
    ("clicks", pa.int64()),
    ("media_cost", MONEY),
    ("total_conversions", MONEY),
    ("click_through_conversions", MONEY),
    ("view_through_conversions", MONEY),
]
CM360_SCHEMA = pa.schema(_COLUMNS)


class Cm360Delivery:
    """Answers what CM360 counted."""

    def __init__(self, model: Model, cm: CmModel, dv360: Dv360Delivery) -> None:
        self._model = model
        self._cm = cm
        self._dv360 = dv360
        self._texts: Any = lru_cache(maxsize=16)(self._make_texts)

    def tables(self, start: date, end: date, at: int, accounts: Sequence[int]) -> Iterator[pa.Table]:
        """Delivery of the days [start, end) of some accounts (by index), in chunks."""
        for day in days_between(start, end, at):
            for creative, numbers in (self._linked(day, at, accounts), self._direct(day, at, accounts)):
                for first in range(0, len(creative), CHUNK):
                    rows = np.arange(first, min(first + CHUNK, len(creative)))
                    yield self._table(creative[rows], numbers.take(rows), day, at)

    def _linked(self, day: date, at: int, accounts: Sequence[int]) -> tuple[I64, Measures]:
        """Delivery of placements that DV360 buys: its own numbers, seen by another counter."""
        size = len(self._model.creatives)
        totals = [np.zeros(size, dtype=np.int64) for _ in range(6)]
        rows = self._dv360.rows_of(accounts)
        rows = rows[self._cm.placement_of_creative[self._dv360.creative[rows]] >= 0]
        rows = rows[self._dv360.creative[rows] >= 0]
        for first in range(0, len(rows), CHUNK):
            found, numbers = self._dv360.measures(rows[first : first + CHUNK], day, at)
            creative = self._dv360.creative[found]
            for total, values in zip(totals, _columns(numbers), strict=True):
                np.add.at(total, creative, values)
        wanted = np.isin(self._cm.accounts.ids, self._cm.accounts.ids[list(accounts)])
        placed = np.flatnonzero(self._cm.placement_of_creative >= 0)
        placement = self._cm.placement_of_creative[placed]
        mine = wanted[self._cm.placements.up["account"][placement]]
        placed, placement = placed[mine], placement[mine]
        theirs = Measures(*(total[placed] for total in totals))

        gene = self._cm.placements.gene[placement]
        moment = Moment.of(MARKETS, day, at)
        noise = self._model.dice.draw("cm360.seen", self._cm.placements.ids[placement], moment.number)
        # Millionths that CM360 counts more; most placements lose up to three percent, some more.
        habit = np.where(bits(gene, 0, 4) == 0, -60_000 - bits(gene, 8, 16), 4_000 - bits(gene, 8, 15))
        factor = MILLION + habit + bits(noise, 0, 10)
        factor = np.where(bits(noise, 16, 6) == 0, 0, factor)  # a tag that did not fire that day
        seen = theirs.impressions * factor // MILLION
        # Now and then an ad is shown outside of DV360, or kept here after DV360 found it invalid.
        active = self._cm.placements.life.active_seconds(
            *(
                limit[self._cm.market_of(self._cm.placements.up["advertiser"])]
                for limit in (moment.start, moment.end)
            )
        )[placement]
        begun = moment.at >= moment.end[self._cm.market_of(self._cm.placements.up["advertiser"][placement])]
        stray = (bits(noise, 24, 6) < 3) & (active > 0) & begun
        seen = seen + np.where(stray, 3 + bits(noise, 32, 4), 0)
        numbers = Measures(
            impressions=seen,
            billable=seen,
            clicks=np.minimum(theirs.clicks * factor // MILLION, seen),
            post_click=np.where(seen > 0, theirs.post_click, 0),
            post_view=np.where(seen > 0, theirs.post_view, 0),
            # Not every advertiser lets DV360 tell CM360 what it paid.
            cost=np.where((bits(gene, 4, 3) == 0) | (seen == 0), 0, theirs.cost),
        )
        present = numbers.present
        return self._cm.first_creative[placement[present]], numbers.take(present)

    def _direct(self, day: date, at: int, accounts: Sequence[int]) -> tuple[I64, Measures]:
        """Delivery of placements on sites that are bought directly."""
        cm = self._cm
        moment = Moment.of(MARKETS, day, at)
        wanted = np.isin(cm.placements.up["account"], np.asarray(accounts, dtype=np.int64))
        creative = self._direct_creatives
        placement = cm.creatives.up["placement"][creative]
        mine = wanted[placement]
        creative, placement, lines = (
            creative[mine],
            placement[mine],
            self._direct_lines.take(np.flatnonzero(mine)),
        )
        start, end = moment.start[lines.market], moment.end[lines.market]
        length, owner = end - start, cm.placements.up["advertiser"]
        market = cm.market_of(owner)
        above = cm.placements.life.active_seconds(moment.start[market], moment.end[market])
        ads = cm.ads.life.active_seconds(moment.start[market], moment.end[market])
        active = above[placement] * ads[placement] // length
        running = np.flatnonzero(active)
        numbers = measure(self._model.dice, "cm360", lines.take(running), active[running], moment)
        present = numbers.present
        return creative[running][present], numbers.take(present)

    @cached_property
    def _direct_creatives(self) -> I64:
        cm = self._cm
        return np.flatnonzero(cm.placements.up["dv360_creative"][cm.creatives.up["placement"]] < 0)

    @cached_property
    def _direct_lines(self) -> Lines:
        cm, creative = self._cm, self._direct_creatives
        placement = cm.creatives.up["placement"][creative]
        gene = cm.placements.gene[placement]
        market = cm.market_of(cm.placements.up["advertiser"][placement])
        worth = np.array([m.usd_millionths for m in MARKETS], dtype=np.int64)[market]
        whole = np.full(len(creative), MILLION, dtype=np.int64)
        return Lines(
            key=cm.creatives.ids[creative],
            base=(300 + bits(gene, 24, 10)) << bits(cm.creatives.gene[creative], 0, 1),
            market=market,
            click_rate=300 + bits(gene, 36, 11),
            cpm=(1_500_000 + bits(gene, 48, 12) * 2_000) * MILLION // worth,
            billable=whole,
            post_view=whole,
        )

    def _make_texts(self, at: int) -> dict[str, Column]:
        cm = self._cm
        return {
            "advertiser": cm.advertisers.name_array(at),
            "campaign": cm.campaigns.name_array(at),
            "site": cm.sites.name_array(at),
            "placement": cm.placements.name_array(at),
            "ad": cm.ads.name_array(at),
            "creative": cm.creatives.name_array(at),
        }

    def _table(self, creative: I64, numbers: Measures, day: date, at: int) -> pa.Table:
        cm, texts = self._cm, self._texts(at)
        placement = cm.creatives.up["placement"][creative]
        up = {name: values[placement] for name, values in cm.placements.up.items()}
        columns = {
            "date": dates(day, len(creative)),
            "account_id": cm.accounts.ids[up["account"]],
            "advertiser_id": cm.advertisers.ids[up["advertiser"]],
            "advertiser_name": texts["advertiser"].take(pa.array(up["advertiser"])),
            "campaign_id": cm.campaigns.ids[up["campaign"]],
            "campaign_name": texts["campaign"].take(pa.array(up["campaign"])),
            "site_id": cm.sites.ids[up["site"]],
            "site_name": texts["site"].take(pa.array(up["site"])),
            "placement_id": cm.placements.ids[placement],
            "placement_name": texts["placement"].take(pa.array(placement)),
            "ad_id": cm.ads.ids[placement],
            "ad_name": texts["ad"].take(pa.array(placement)),
            "creative_id": cm.creatives.ids[creative],
            "creative_name": texts["creative"].take(pa.array(creative)),
            "impressions": numbers.impressions,
            "clicks": numbers.clicks,
            "media_cost": decimals(numbers.cost),
            "total_conversions": decimals(numbers.post_click + numbers.post_view),
            "click_through_conversions": decimals(numbers.post_click),
            "view_through_conversions": decimals(numbers.post_view),
        }
        return pa.table([columns[name] for name in CM360_SCHEMA.names], schema=CM360_SCHEMA)


def _columns(numbers: Measures) -> tuple[I64, ...]:
    return (
        numbers.impressions,
        numbers.billable,
        numbers.clicks,
        numbers.post_click,
        numbers.post_view,
        numbers.cost,
    )

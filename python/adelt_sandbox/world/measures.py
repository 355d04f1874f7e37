"""What one row of a report says, and how that changes in the days after: value(date, as_of).

Everything is computed in whole numbers (counts, micros and millionths), so that it is the same on every machine.

A day is complete only some time after it ended: the last impressions are counted up to three days later, whole rows
can come late, invalid traffic is taken out within a week, conversions land for up to two weeks, and on the first of
the next month some cost is credited. From `settled_from(day)` on nothing changes any more.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np

from adelt_sandbox.world.calendar import (
    DAY,
    EPOCH,
    HOUR,
    Market,
    day_length,
    day_start,
    midnight,
    next_month,
    settled_from,
)
from adelt_sandbox.world.dice import I64, Dice, bits

MILLION = 1_000_000
_WEEKDAYS = np.array([1_000, 1_030, 1_050, 1_020, 960, 780, 840], dtype=np.int64)


@dataclass(frozen=True)
class Moment:
    """A day seen from an instant, in the time zone of each market.

    Attributes:
        day: The day that is reported.
        at: The instant, in full hours since 1970 as seconds; beyond all changes if the day is settled.
        start: When the day begins, by market.
        end: When it ends, by market.
        credit_at: When the month-end credit is booked.
    """

    day: date
    at: int
    start: I64
    end: I64
    credit_at: int

    @classmethod
    def of(cls, markets: tuple[Market, ...], day: date, at: int) -> "Moment":
        """The moment for a list of markets."""
        start = np.array([day_start(market, day) for market in markets], dtype=np.int64)
        length = np.array([day_length(market, day) for market in markets], dtype=np.int64)
        settled = at >= settled_from(day)
        return cls(
            day=day,
            # Numbers are brought up to date every hour.
            at=1 << 40 if settled else at // HOUR * HOUR,
            start=start,
            end=start + length,
            credit_at=midnight(next_month(day)) + 12 * HOUR,
        )

    @property
    def number(self) -> int:
        """The day as a number, for draws."""
        return (self.day - EPOCH).days


@dataclass(frozen=True)
class Lines:
    """What is delivered, apart from the day: one entry per future row.

    Attributes:
        key: Number that names the line in draws.
        base: Impressions of an ordinary day.
        market: Index of the market.
        click_rate: Clicks per million impressions.
        cpm: Micros of the advertiser's currency for a thousand impressions.
        billable: Millionths of impressions that are billed.
        post_view: Millionths of a conversion that a conversion after a view counts for.
    """

    key: I64
    base: I64
    market: I64
    click_rate: I64
    cpm: I64
    billable: I64
    post_view: I64

    def take(self, rows: I64) -> "Lines":
        """Some of the lines."""
        return Lines(
            self.key[rows],
            self.base[rows],
            self.market[rows],
            self.click_rate[rows],
            self.cpm[rows],
            self.billable[rows],
            self.post_view[rows],
        )

    def __len__(self) -> int:
        return len(self.key)


@dataclass(frozen=True)
class Measures:
    """Numbers of rows; money in micros of the advertiser's currency, conversions in millionths."""

    impressions: I64
    billable: I64
    clicks: I64
    post_click: I64
    post_view: I64
    cost: I64

    @property
    def present(self) -> I64:
        """Rows that have any number at all."""
        return np.flatnonzero(
            self.impressions | self.billable | self.clicks | self.post_click | self.post_view | self.cost
        )

    def take(self, rows: I64) -> "Measures":
        """Some of the rows."""
        return Measures(
            self.impressions[rows],
            self.billable[rows],
            self.clicks[rows],
            self.post_click[rows],
            self.post_view[rows],
            self.cost[rows],
        )


def measure(dice: Dice, purpose: str, lines: Lines, active: I64, moment: Moment) -> Measures:
    """What the lines say about a day at a moment.

    Args:
        dice: Where chance comes from.
        purpose: Keeps the draws of different kinds of lines apart.
        lines: The lines.
        active: Seconds of the day in which each line could deliver.
        moment: The day and the instant.
    """
    first = dice.draw(f"{purpose}.first", lines.key, moment.number)
    second = dice.draw(f"{purpose}.second", lines.key, moment.number)
    start, end = moment.start[lines.market], moment.end[lines.market]

    total = lines.base * int(_WEEKDAYS[moment.day.weekday()]) // 1000
    total = total * (700 + bits(first, 8, 10) * 600 // 1024) // 1000 * active // DAY
    total = np.where(bits(first, 0, 8) < 200, total, 0)  # not every line delivers on every day

    quality = bits(first, 24, 8)
    partly = np.where(quality < 28, total * (20 + bits(first, 48, 7)) // 1000, 0)
    invalid = np.where(quality >= 250, total // 8, partly)
    valid = np.where(quality >= 250, 0, total - invalid)
    invalid_until = end + 20 * HOUR + bits(first, 32, 7) * HOUR
    counted_from = np.where(bits(first, 40, 8) < 8, end + (12 + bits(first, 56, 6)) * HOUR, start)

    clicks = (valid * lines.click_rate + bits(second, 0, 16) * 15) // MILLION
    false_clicks = np.minimum((invalid * lines.click_rate * 4 + bits(second, 0, 16) * 15) // MILLION, invalid)
    after_click = (clicks * 60_000 + bits(second, 16, 16) * 15) // MILLION
    after_view = (valid * 300 + bits(second, 32, 16) * 15) // MILLION

    share = _share(moment.at - HOUR, start, end)
    late = (MILLION - _share(moment.at, end, end + 72 * HOUR)) * (20 + bits(second, 48, 6)) // 1000
    share = np.where(moment.at >= counted_from, share * (MILLION - late) // MILLION, 0)
    still_in = np.where(moment.at < invalid_until, share, 0)
    landed_at = end + 72 * HOUR + bits(second, 54, 8) * HOUR
    rest = MILLION - _share(moment.at, start, landed_at)
    landed = np.where(moment.at >= counted_from, MILLION - rest * rest // MILLION, 0)

    # Few clicks or conversions: chance decides which of them are seen early.
    early = bits(second, 8, 20) * 15 // 16
    impressions = valid * share // MILLION + invalid * still_in // MILLION
    seen_clicks = np.minimum((clicks * share + early) // MILLION, clicks)
    billable = impressions * lines.billable // MILLION
    cost = billable * (lines.cpm * (900 + bits(first, 56, 8) * 200 // 256) // 1000) // 1000
    credited = (bits(second, 62, 2) == 0) & (bits(first, 18, 6) < 16) & (moment.at >= moment.credit_at)
    cost = np.where(credited, cost - cost * (10 + bits(second, 16, 6)) // 1000, cost)
    shown = impressions > 0  # nothing is reported for what was not shown
    return Measures(
        impressions=impressions,
        billable=billable,
        clicks=np.minimum(seen_clicks + false_clicks * still_in // MILLION, impressions),
        post_click=(after_click * landed + early) // MILLION * MILLION * shown,
        post_view=(after_view * landed + early) // MILLION * lines.post_view * shown,
        cost=cost,
    )


def _share(at: int, start: I64, end: I64) -> I64:
    """How much of the time between two instants is over, in millionths."""
    share: I64 = np.clip((np.minimum(at, end) - start) * MILLION // (end - start), 0, MILLION)
    return share

"""Days of advertisers in their time zones, and what money is worth.

The rules for daylight saving are written out instead of read from the machine's time zone files, because the world
must be the same on every machine.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

HOUR = 3600
DAY = 86400
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Market:
    """Where an advertiser is at home.

    Attributes:
        country: ISO code of the country.
        country_name: Its name, as reports write it.
        time_zone: IANA name.
        currency: ISO code.
        usd_millionths: What one unit of the currency is worth, in millionths of a US dollar; it never changes.
        offset: Hours from UTC in winter (of the northern half) or without daylight saving.
        rule: `us`, `eu`, `au` or empty, for the days daylight saving begins and ends.
        geo_id: Id of the country as a targeting option.
        language: Name of the language.
    """

    country: str
    country_name: str
    time_zone: str
    currency: str
    usd_millionths: int
    offset: float
    rule: str
    geo_id: int
    language: str


MARKETS = (
    Market("US", "United States", "America/New_York", "USD", 1_000_000, -5, "us", 2840, "English"),
    Market("GB", "United Kingdom", "Europe/London", "GBP", 1_270_000, 0, "eu", 2826, "English"),
    Market("DE", "Germany", "Europe/Berlin", "EUR", 1_085_000, 1, "eu", 2276, "German"),
    Market("JP", "Japan", "Asia/Tokyo", "JPY", 6_700, 9, "", 2392, "Japanese"),
    Market("US", "United States", "America/Los_Angeles", "USD", 1_000_000, -8, "us", 2840, "English"),
    Market("AU", "Australia", "Australia/Sydney", "AUD", 655_000, 10, "au", 2036, "English"),
    Market("BR", "Brazil", "America/Sao_Paulo", "BRL", 182_000, -3, "", 2076, "Portuguese"),
    Market("IN", "India", "Asia/Kolkata", "INR", 11_900, 5.5, "", 2356, "English"),
)


def seconds(instant: datetime) -> int:
    """Seconds since 1970 of an instant that knows its time zone."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant.isoformat()} has no time zone; instants of the world are aware")
    return int(instant.timestamp())


def instant_of(second: int) -> datetime:
    """The instant, in UTC, so many seconds after 1970."""
    return datetime.fromtimestamp(second, UTC)


def midnight(day: date) -> int:
    """When a day begins in UTC."""
    return (day - EPOCH).days * DAY


def utc_day(second: int) -> date:
    """The UTC day of an instant."""
    return EPOCH + timedelta(days=second // DAY)


def iso(second: int) -> str:
    """An instant as the APIs write it."""
    return instant_of(second).strftime("%Y-%m-%dT%H:%M:%SZ")


def day_start(market: Market, day: date) -> int:
    """When a day begins for an advertiser, in seconds since 1970."""
    return midnight(day) - int(market.offset * HOUR) - (HOUR if _summer(market.rule, day) else 0)


def day_length(market: Market, day: date) -> int:
    """Seconds of a day: 23, 24 or 25 hours."""
    return day_start(market, day + timedelta(days=1)) - day_start(market, day)


def settled_from(day: date) -> int:
    """When the numbers of a day are final: 8 days later, not before the 4th of the next month."""
    return max(midnight(day + timedelta(days=8)), midnight(next_month(day).replace(day=4)))


def next_month(day: date) -> date:
    """The first day of the next month."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def _summer(rule: str, day: date) -> bool:
    """Whether the clock shows summer time at the midnight that begins the day; it changes after midnight everywhere."""
    if rule == "us":
        return _sunday(day.year, 3, 2) < day <= _sunday(day.year, 11, 1)
    if rule == "eu":
        return _sunday(day.year, 4, 1, -7) < day <= _sunday(day.year, 11, 1, -7)
    if rule == "au":
        return day <= _sunday(day.year, 4, 1) or day > _sunday(day.year, 10, 1)
    return False


def _sunday(year: int, month: int, number: int, shift: int = 0) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (number - 1) + shift)

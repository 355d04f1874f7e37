"""Flights and budgets: when things run and for how much money."""

from datetime import date, timedelta

from adelt_sandbox.world.calendar import DAY, midnight, utc_day
from adelt_sandbox.world.model import Model

START = date(2024, 1, 1)
Segment = tuple[date, date, int]


def campaign_dates(model: Model, index: int) -> tuple[date, date | None]:
    """Planned first and last day of a campaign."""
    if index >= model.campaigns.base:
        return _package_days(model, int(model.campaigns.life.created[index]), index)
    gene = model.campaigns.genes[index]
    start = _not_before(START, int(model.campaigns.life.created[index]))
    return start, None if gene & 3 == 0 else date(2027 + (gene >> 2 & 1), 12, 31)


def segments(model: Model, index: int, at: int, edits: int) -> list[Segment]:
    """Budget segments of an insertion order at an instant: first day, last day, micros.

    The first two are booked at once, each later one 14 days before it begins; every edit of the order raises all.
    """
    gene = model.insertion_orders.genes[index]
    amount = (5_000 + (gene >> 8 & 1023) * 50) * 1_000_000 * (10 + edits) // 10
    campaign = int(model.insertion_orders.up["campaign"][index])
    if index >= model.insertion_orders.base:
        start, end = campaign_dates(model, campaign)
        assert end is not None
        middle = start + (end - start) // 2
        return [(start, middle, amount // 4), (middle + timedelta(days=1), end, amount // 6)]
    months = (3, 6, 12)[gene % 3]
    start = _not_before(START, int(model.insertion_orders.life.created[index]))
    found: list[Segment] = []
    while len(found) < 2 or booked_at(start) <= at:
        following = _plus_months(start, months)
        found.append((start, following - timedelta(days=1), amount + len(found) * 1_000_000))
        start = following
    return found


def booked_at(start: date) -> int:
    """When a budget segment is booked that begins on a day."""
    return midnight(start) - 14 * DAY


def line_item_dates(model: Model, index: int) -> tuple[date, date] | None:
    """Days of a line item's own flight; None if it runs as long as its insertion order."""
    items = model.line_items
    package = int(items.up["package"][index])
    if package >= 0:
        start = utc_day(int(model.packages.created[package]))
        return start, utc_day(int(model.packages.archived[package]))
    gene = items.genes[index]
    if gene >> 10 & 1:
        return None
    return _not_before(START, int(items.life.created[index])), date(2027, 6, 30)


def _package_days(model: Model, created: int, campaign: int) -> tuple[date, date]:
    start = utc_day(created)
    archived = utc_day(int(model.campaigns.life.archived[campaign]))
    return start, archived


def _not_before(day: date, created: int) -> date:
    return max(day, utc_day(created))


def _plus_months(day: date, months: int) -> date:
    number = day.year * 12 + day.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)

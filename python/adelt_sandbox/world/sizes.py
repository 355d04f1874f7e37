"""How much there is in a world of each size."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Counts that decide the size of a world.

    Attributes:
        partners: Partners, each with a CM360 account.
        advertisers: Advertisers of a partner.
        campaigns: Campaigns of an advertiser.
        insertion_orders: Insertion orders of a campaign.
        line_items: Line items of an insertion order.
        creatives: Creatives of an advertiser.
        rotation: Creatives that a line item shows.
        sites: Sites an account buys directly.
        direct: Placements on such sites of a campaign.
        packages: Things that come and go in two days: new line items with their creatives and placements.
    """

    partners: int
    advertisers: int
    campaigns: int
    insertion_orders: int
    line_items: int
    creatives: int
    rotation: int
    sites: int
    direct: int
    packages: int


SIZES = {
    "tiny": Size(2, 3, 2, 2, 2, 8, 3, 4, 2, 1),
    "small": Size(3, 5, 4, 3, 5, 24, 4, 8, 8, 2),
    "medium": Size(4, 8, 5, 5, 8, 80, 15, 20, 30, 5),
    "large": Size(5, 12, 8, 5, 10, 200, 36, 40, 60, 10),
    "huge": Size(8, 15, 10, 5, 16, 400, 90, 60, 100, 20),
}

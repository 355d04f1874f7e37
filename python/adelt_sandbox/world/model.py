"""Everything there is in a world, as columns: who belongs to whom and how each entity lives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from adelt_sandbox.world import names
from adelt_sandbox.world.calendar import DAY, HOUR, MARKETS, Market, midnight
from adelt_sandbox.world.dice import I64, U64, Bools, Dice, bits
from adelt_sandbox.world.life import FIRST, NEVER, SLOT, SLOTS, Life, Rates
from adelt_sandbox.world.sizes import SIZES, Size

# The published types of pyarrow are stricter than the library: its arrays stay untyped here.
Column = Any

#: In every world the last advertiser of the first partner goes and the last one of the last partner comes.
ADVERTISER_REMOVED = midnight(date(2026, 3, 18)) + 9 * HOUR + 20 * 60
ADVERTISER_CREATED = midnight(date(2026, 1, 14)) + 13 * HOUR + 45 * 60

LINE_ITEM_TYPES = (
    "LINE_ITEM_TYPE_DISPLAY_DEFAULT",
    "LINE_ITEM_TYPE_VIDEO_DEFAULT",
    "LINE_ITEM_TYPE_AUDIO_DEFAULT",
    "LINE_ITEM_TYPE_VIDEO_OVER_THE_TOP",
    "LINE_ITEM_TYPE_DISPLAY_MOBILE_APP_INSTALL",
    "LINE_ITEM_TYPE_YOUTUBE_AND_PARTNERS_REACH",
    "LINE_ITEM_TYPE_YOUTUBE_AND_PARTNERS_VIEW",
    "LINE_ITEM_TYPE_YOUTUBE_AND_PARTNERS_ACTION",
)
FIRST_YOUTUBE = 5
# Out of 16 line items: how many are of which type.
_TYPE_OF_16 = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 3, 4, 5, 6, 7], dtype=np.int64)

CREATIVE_KINDS = (
    ("CREATIVE_TYPE_STANDARD", 300, 250),
    ("CREATIVE_TYPE_STANDARD", 728, 90),
    ("CREATIVE_TYPE_STANDARD", 160, 600),
    ("CREATIVE_TYPE_STANDARD", 320, 50),
    ("CREATIVE_TYPE_VIDEO", 1920, 1080),
    ("CREATIVE_TYPE_NATIVE", 1200, 627),
    ("CREATIVE_TYPE_EXPANDABLE", 970, 250),
    ("CREATIVE_TYPE_AUDIO", 0, 0),
)


@dataclass(frozen=True)
class Table:
    """The entities of one type, in the order of their ids.

    Attributes:
        ids: Ids.
        gene: 64 random bits for each entity, from which its settings are read.
        life: What happens to them.
        up: Index of the parent in another table, by the name of that table; -1 for none.
        base: How many of them, at the beginning, are long-lived.
        name: Makes the first name of the entity at an index.
        extra: Other columns.
    """

    ids: I64
    gene: U64
    life: Life
    base: int
    name: Callable[[int], str]
    up: Mapping[str, I64] = field(default_factory=dict)
    extra: Mapping[str, I64] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def first_names(self) -> list[str]:
        """Names the entities were created with."""
        return [self.name(index) for index in range(len(self))]

    @cached_property
    def genes(self) -> list[int]:
        """The genes as Python numbers, which are quicker one by one."""
        return [int(gene) for gene in self.gene]

    def names(self, at: int) -> list[str]:
        """Names of all entities at an instant."""
        found = list(self.first_names)
        times = self.life.state(at).name
        for index in np.flatnonzero(times).tolist():
            found[index] = names.renamed(found[index], int(times[index]))
        return found

    def name_array(self, at: int) -> Column:
        """Names of all entities at an instant, as an Arrow array."""
        return pa.array(self.names(at), pa.string())


class Model:
    """All tables of a world."""

    def __init__(self, seed: int, size: str) -> None:
        if size not in SIZES:
            raise ValueError(f"there is no size {size!r}; there are {', '.join(SIZES)}")
        self.dice = Dice(seed)
        self.size = SIZES[size]
        self.partners = self._partners()
        self.advertisers = self._advertisers()
        self.packages = Packages(self.dice, self.size, self.advertisers)
        self.campaigns = self._campaigns()
        self.insertion_orders = self._insertion_orders()
        self.line_items = self._line_items()
        self.creatives = self._creatives()
        self.ad_groups = self._ad_groups()
        self.ads = self._ads()
        self.inventory_sources = self._inventory_sources()
        self.algorithms = self._algorithms()

    def market(self, advertiser: int) -> Market:
        """Where an advertiser is at home."""
        return MARKETS[int(self.advertisers.extra["market"][advertiser])]

    def partner_market(self, partner: int) -> Market:
        """Where a partner is at home."""
        return MARKETS[(0, 2)[partner % 2]]

    def linked(self, advertiser: int) -> bool:
        """Whether an advertiser shares its creatives and floodlights with CM360."""
        return bool(self.advertisers.extra["linked"][advertiser])

    def brand(self, advertiser: int) -> str:
        """The brand of an advertiser, which its entities carry in their names."""
        name = names.pick(names.BRANDS, advertiser)
        turn = advertiser // len(names.BRANDS)
        return f"{name} {turn + 1}" if turn else name

    def ids(self, kind: str, first: int, count: int, spread: int = 13) -> I64:
        """Ids that rise with the index and have gaps."""
        index = np.arange(count, dtype=np.int64)
        return first + index * spread + self.dice.below(spread, f"id.{kind}", index)

    def gene(self, kind: str, count: int) -> U64:
        """The genes of a table."""
        return self.dice.draw(f"gene.{kind}", np.arange(count, dtype=np.int64))

    def long_ago(self, kind: str, count: int) -> I64:
        """When the entities were created that were there from the beginning."""
        return (
            FIRST - DAY * 5 - self.dice.below(200 * DAY, f"created.{kind}", np.arange(count, dtype=np.int64))
        )

    def _partners(self) -> Table:
        count = self.size.partners
        return Table(
            ids=np.arange(count, dtype=np.int64) + 1001,
            gene=self.gene("partner", count),
            life=Life(
                self.dice, "partner", Rates(edit=0.02, rename=0.01), created=self.long_ago("partner", count)
            ),
            base=count,
            name=lambda index: f"Agency {'ABCDEFGHIJ'[index % 10]}, worldwide",
        )

    def _advertisers(self) -> Table:
        per, count = self.size.advertisers, self.size.partners * self.size.advertisers
        index = np.arange(count, dtype=np.int64)
        created = self.long_ago("advertiser", count)
        created[-1] = ADVERTISER_CREATED
        removed = np.full(count, NEVER, dtype=np.int64)
        removed[per - 1] = ADVERTISER_REMOVED
        return Table(
            ids=self.ids("advertiser", 2_000_003, count),
            gene=self.gene("advertiser", count),
            life=Life(
                self.dice,
                "advertiser",
                Rates(rename=0.1, pause=0.05, edit=0.1),
                created=created,
                removed=removed,
            ),
            base=count,
            name=self.brand,
            up={"partner": index // per},
            extra={"market": index % len(MARKETS), "linked": (index % per % 3 != 1).astype(np.int64)},
        )

    def _campaigns(self) -> Table:
        per, base = self.size.campaigns, len(self.advertisers) * self.size.campaigns
        packages = self.packages
        advertiser = np.r_[
            np.repeat(np.arange(len(self.advertisers)), per), packages.advertiser[packages.large]
        ]
        count = len(advertiser)

        def name(index: int) -> str:
            number = index % per + 1 if index < base else index - base + 100
            season = names.pick(names.SEASONS, index * 5 // 3)
            return f"{self.brand(int(advertiser[index]))} | {season} {number}"

        return Table(
            ids=self.ids("campaign", 30_000_011, count),
            gene=self.gene("campaign", count),
            life=self._lives(
                "campaign",
                Rates(rename=0.3, pause=0.2, edit=0.25),
                base,
                self.advertisers,
                advertiser,
                packages.large,
            ),
            base=base,
            name=name,
            up={"advertiser": advertiser},
        )

    def _insertion_orders(self) -> Table:
        per, campaigns, packages = self.size.insertion_orders, self.campaigns, self.packages
        base = campaigns.base * per
        campaign = np.r_[np.repeat(np.arange(campaigns.base), per), np.arange(campaigns.base, len(campaigns))]
        count = len(campaign)

        def name(index: int) -> str:
            return (
                f"{names.pick(names.GOALS, index)} · {names.pick(names.SEASONS, index * 3 + 1)} IO{index + 1}"
            )

        return Table(
            ids=self.ids("insertion_order", 400_000_021, count),
            gene=self.gene("insertion_order", count),
            life=self._lives(
                "insertion_order",
                Rates(rename=0.4, pause=0.4, edit=1.0),
                base,
                campaigns,
                campaign,
                packages.large,
            ),
            base=base,
            name=name,
            up={"campaign": campaign, "advertiser": campaigns.up["advertiser"][campaign]},
        )

    def _line_items(self) -> Table:
        size, orders, packages = self.size, self.insertion_orders, self.packages
        base_orders = np.arange(orders.base, dtype=np.int64)
        spare = max(1, size.line_items // 4)
        lengths = size.line_items + self.dice.below(2 * spare + 1, "line_items", base_orders) - spare
        base = int(lengths.sum())
        # Small packages go under an insertion order that is there, large ones bring two line items for their own.
        small = np.flatnonzero(~packages.large)
        per_advertiser = size.campaigns * size.insertion_orders
        old = packages.advertiser[small] * per_advertiser
        old = old + self.dice.below(per_advertiser, "package.order", small)
        large = np.flatnonzero(packages.large)
        new = np.repeat(orders.base + np.arange(len(large)), 2)
        package = np.r_[small, np.repeat(large, 2)]
        order = np.r_[np.repeat(base_orders, lengths), old, new]
        rank = np.argsort(package, kind="stable")  # ids follow the time of creation
        order[base:], package = order[base:][rank], package[rank]
        count = len(order)
        gene = self.gene("line_item", count)
        kind = _TYPE_OF_16[bits(gene, 0, 4)]
        kind[base:] = np.where(kind[base:] >= FIRST_YOUTUBE, 0, kind[base:])
        advertiser = orders.up["advertiser"][order]

        def name(index: int) -> str:
            short = LINE_ITEM_TYPES[int(kind[index])].removeprefix("LINE_ITEM_TYPE_").split("_")[0].title()
            audience = names.pick(names.AUDIENCES, index * 7)
            return f"{short}_{self.market(int(advertiser[index])).country}_{audience}_{index + 1}"

        return Table(
            ids=self.ids("line_item", 21_000_000_017, count, 29),
            gene=gene,
            life=self._lives(
                "line_item", Rates(rename=1.0, pause=1.0, edit=0.7), base, orders, order, package, late=12
            ),
            base=base,
            name=name,
            up={
                "insertion_order": order,
                "campaign": orders.up["campaign"][order],
                "advertiser": advertiser,
                "package": np.r_[np.full(base, -1, dtype=np.int64), package],
            },
            extra={"type": kind},
        )

    def _creatives(self) -> Table:
        size, packages = self.size, self.packages
        base = len(self.advertisers) * size.creatives
        package = np.repeat(np.arange(len(packages), dtype=np.int64), 2)
        owner = np.repeat(np.arange(len(self.advertisers)), size.creatives)
        advertiser = np.r_[owner, packages.advertiser[package]]
        count = len(advertiser)
        gene = self.gene("creative", count)
        kind = bits(gene, 0, 3)
        served = self.advertisers.extra["linked"][advertiser] * (bits(gene, 3, 3) < 6)

        def name(index: int) -> str:
            width, height = CREATIVE_KINDS[int(kind[index])][1:]
            sizes = f"{width}x{height}" if width else "audio"
            return f"{self.brand(int(advertiser[index]))} {names.pick(names.CONCEPTS, index * 5)} {sizes} {index + 1}"

        return Table(
            ids=self.ids("creative", 530_000_003, count),
            gene=gene,
            life=self._lives(
                "creative",
                Rates(rename=0.7, pause=0.4, edit=0.2),
                base,
                self.advertisers,
                advertiser,
                package,
                late=15,
            ),
            base=base,
            name=name,
            up={
                "advertiser": advertiser,
                "package": np.r_[np.full(base, -1, dtype=np.int64), package],
            },
            extra={"kind": kind, "served": served},
        )

    def _ad_groups(self) -> Table:
        items = self.line_items
        item = np.repeat(np.flatnonzero(items.extra["type"] >= FIRST_YOUTUBE), 2)
        return self._below(
            "ad_group",
            120_000_000_007,
            items,
            "line_item",
            item,
            lambda index: f"Ad group {index + 1}: {names.pick(names.AUDIENCES, index)}",
            {"advertiser": items.up["advertiser"][item]},
        )

    def _ads(self) -> Table:
        groups = self.ad_groups
        group = np.repeat(np.arange(len(groups), dtype=np.int64), 2)
        return self._below(
            "ad",
            640_000_000_009,
            groups,
            "ad_group",
            group,
            lambda index: f"{names.pick(names.CONCEPTS, index)} {(6, 15, 30)[index % 3]}s",
            {"advertiser": groups.up["advertiser"][group], "line_item": groups.up["line_item"][group]},
        )

    def _inventory_sources(self) -> Table:
        partner = np.repeat(np.arange(self.size.partners), self.size.sites)
        return self._below(
            "inventory_source",
            7_000_001,
            self.partners,
            "partner",
            partner,
            lambda index: f"{names.pick(names.PUBLISHERS, index)} deal {index + 1}",
        )

    def _algorithms(self) -> Table:
        partner = np.repeat(np.arange(self.size.partners), 2)
        return self._below(
            "algorithm",
            9_100_001,
            self.partners,
            "partner",
            partner,
            lambda index: f"{names.pick(names.GOALS, index)} score",
        )

    def _below(
        self,
        kind: str,
        first_id: int,
        parents: Table,
        above: str,
        parent: I64,
        name: Callable[[int], str],
        up: Mapping[str, I64] | None = None,
    ) -> Table:
        """A table of long-lived entities that come and go with their parents."""
        life = Life(
            self.dice,
            kind,
            Rates(rename=0.15, pause=0.15, edit=0.1),
            created=np.maximum(self.long_ago(kind, len(parent)), parents.life.created[parent]),
            removed=parents.life.removed[parent],
        )
        return Table(
            ids=self.ids(kind, first_id, len(parent)),
            gene=self.gene(kind, len(parent)),
            life=life,
            base=len(parent),
            name=name,
            up={above: parent, **(up or {})},
        )

    def _lives(
        self,
        kind: str,
        rates: Rates,
        base: int,
        parents: Table,
        parent: I64,
        package: I64 | Bools,
        *,
        late: int = 0,
    ) -> Life:
        """Lives below those of their parents; one in `late` of the long-lived begins only in 2024 to 2026."""
        packages, count = self.packages, len(parent)
        created = self.long_ago(kind, count)
        if late:
            index = np.arange(count, dtype=np.int64)
            joins = self.dice.below(late, f"late.{kind}", index) == 0
            created = np.where(joins, FIRST + self.dice.below(1096 * DAY, f"joins.{kind}", index), created)
        removed = np.full(count, NEVER, dtype=np.int64)
        archived, begins = removed.copy(), created.copy()
        created[base:] = packages.created[package]
        begins[base:] = packages.begins[package]
        archived[base:] = packages.archived[package]
        removed[base:] = packages.removed[package]
        created = np.maximum(created, parents.life.created[parent])
        removed = np.minimum(removed, parents.life.removed[parent])
        return Life(
            self.dice,
            kind,
            rates,
            created=created,
            removed=removed,
            archived=archived,
            begins=begins,
            base=base,
        )


class Packages:
    """Small campaigns of a few days, so that on every day something is new and something goes."""

    def __init__(self, dice: Dice, size: Size, advertisers: Table) -> None:
        turn = np.arange(SLOTS * size.packages, dtype=np.int64)
        noise = dice.draw("package", turn)
        slot = turn // size.packages
        self.created = FIRST + slot * SLOT + bits(noise, 0, 20) * SLOT // (1 << 20)
        self.begins = self.created + HOUR * (1 + bits(noise, 20, 3))
        #: Days of the flight, counted from the day of creation.
        self.days = 9 + bits(noise, 24, 3)
        self.archived = self.created + self.days * DAY + HOUR * (20 + bits(noise, 28, 4))
        self.removed = self.archived + HOUR * (20 + bits(noise, 32, 5))
        #: Large ones bring a campaign and an insertion order of their own.
        self.large: Bools = turn % 4 == 1
        owner = np.full(len(turn), 0, dtype=np.int64)
        found = np.zeros(len(turn), dtype=np.bool_)
        for attempt in range(8):
            candidate = dice.below(len(advertisers), "package.owner", turn, attempt)
            life = advertisers.life
            lives = (life.created[candidate] < self.created) & (self.removed < life.removed[candidate])
            owner = np.where(~found & lives, candidate, owner)
            found |= lives
        self.advertiser: I64 = owner

    def __len__(self) -> int:
        return len(self.created)

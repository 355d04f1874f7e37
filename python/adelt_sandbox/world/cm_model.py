"""The CM360 side of the world as columns, linked to DV360."""

from typing import Any

import numpy as np

from adelt_sandbox.world import names
from adelt_sandbox.world.dice import I64, bits
from adelt_sandbox.world.life import NEVER, Life, Rates
from adelt_sandbox.world.model import Model, Table


class CmModel:
    """All tables of CM360.

    Attributes:
        advertiser_of_dv360: Index of the CM360 advertiser of each DV360 advertiser, -1 for none.
        linked: Indexes of the CM360 advertisers that are linked to a DV360 advertiser.
        placement_of_creative: Index of the placement of each DV360 creative, -1 for none.
        first_creative: Index of the first creative of each placement; it has as many as `creative_count` says.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.accounts = self._table(
            "cm_account", 510_001, np.arange(model.size.partners), Rates(), "account", {}
        )
        self.advertisers = self._advertisers()
        self.linked = np.flatnonzero(self.advertisers.up["dv360"] >= 0)
        self.advertiser_of_dv360 = np.full(len(model.advertisers), -1, dtype=np.int64)
        self.advertiser_of_dv360[self.advertisers.up["dv360"][self.linked]] = self.linked
        self.configurations = self._per_advertiser("cm_configuration", 8_100_001, 1, "")
        self.activity_groups = self._per_advertiser("cm_activity_group", 8_300_001, 2, "group")
        self.activities = self._per_advertiser("cm_activity", 8_500_001, 3, "activity")
        self.campaigns = self._campaigns()
        self.directory_sites = self._directory_sites()
        self.sites = self._sites()
        self.placements = self._placements()
        self.placement_of_creative = np.full(len(model.creatives), -1, dtype=np.int64)
        served = np.flatnonzero(self.placements.up["dv360_creative"] >= 0)
        self.placement_of_creative[self.placements.up["dv360_creative"][served]] = served
        self.ads = self._ads()
        self.creative_count = np.where(self.placements.up["dv360_creative"] >= 0, 1, 2)
        self.first_creative = np.cumsum(self.creative_count) - self.creative_count
        self.creatives = self._creatives()

    def dv360_site(self, account: int) -> int:
        """Index of the site of an account that stands for DV360."""
        return account * (self._model.size.sites + 1)

    def lookback(self, advertiser: int) -> dict[str, int]:
        """Days in which clicks and views count, in the words of DV360."""
        gene = self.configurations.genes[advertiser]
        return {"clickDays": (30, 60, 14)[gene % 3], "impressionDays": (14, 30, 7)[gene % 3]}

    def market_of(self, advertiser: I64) -> I64:
        """Index of the market of CM360 advertisers."""
        here = self.advertisers.up["dv360"][advertiser]
        own = self.advertisers.up["account"][advertiser] % 2 * 2
        market: I64 = np.where(here >= 0, self._model.advertisers.extra["market"][here], own)
        return market

    def _table(self, kind: str, first: int, rows: Any, rates: Rates, word: str, up: dict[str, I64]) -> Table:
        model, count = self._model, len(rows)
        return Table(
            ids=model.ids(kind, first, count),
            gene=model.gene(kind, count),
            life=Life(model.dice, kind, rates, created=model.long_ago(kind, count)),
            base=count,
            name=lambda index: f"{names.pick('ABCDEFGHIJ', index)} network {word}",
            up=up,
        )

    def _advertisers(self) -> Table:
        model = self._model
        accounts, links = [], []
        for account in range(model.size.partners):
            own = np.flatnonzero(model.advertisers.up["partner"] == account)
            here = own[model.advertisers.extra["linked"][own] == 1].tolist()
            links += [*here, -1]  # the last one buys only directly
            accounts += [account] * (len(here) + 1)
        link, count = np.array(links, dtype=np.int64), len(links)
        created = model.long_ago("cm_advertiser", count)
        created = np.where(link >= 0, np.maximum(created, model.advertisers.life.created[link]), created)
        return Table(
            ids=model.ids("cm_advertiser", 6_000_001, count),
            gene=model.gene("cm_advertiser", count),
            life=Life(model.dice, "cm_advertiser", Rates(rename=0.1, pause=0.05), created=created),
            base=count,
            name=lambda index: f"{model.brand(links[index] if links[index] >= 0 else 7 + index)} (CM)",
            up={"account": np.array(accounts, dtype=np.int64), "dv360": link},
        )

    def _per_advertiser(self, kind: str, first: int, each: int, word: str) -> Table:
        model, count = self._model, len(self.advertisers) * each
        advertiser = np.repeat(np.arange(len(self.advertisers), dtype=np.int64), each)
        created = np.maximum(model.long_ago(kind, count), self.advertisers.life.created[advertiser])
        steps = ("Purchase", "Sign-up", "Home page, visit")
        return Table(
            ids=model.ids(kind, first, count),
            gene=model.gene(kind, count),
            life=Life(
                model.dice,
                kind,
                Rates(rename=0.15 if word else 0, pause=0.05 if word else 0),
                created=created,
            ),
            base=count,
            name=lambda index: f"{names.pick(steps, index % each)} {word} {index + 1}",
            up={"advertiser": advertiser},
        )

    def _campaigns(self) -> Table:
        model = self._model
        owner = self.advertiser_of_dv360[model.campaigns.up["advertiser"]]
        here = np.flatnonzero(owner >= 0)
        base = here[here < model.campaigns.base]
        later = here[here >= model.campaigns.base]
        direct = np.repeat(np.flatnonzero(self.advertisers.up["dv360"] < 0), model.size.campaigns)
        link = np.r_[base, np.full(len(direct), -1), later].astype(np.int64)
        advertiser = np.r_[owner[base], direct, owner[later]]
        count, lasting = len(link), len(base) + len(direct)
        theirs = model.campaigns.life
        created = np.maximum(model.long_ago("cm_campaign", count), self.advertisers.life.created[advertiser])
        created[lasting:] = theirs.created[later]
        archived = np.full(count, NEVER, dtype=np.int64)
        removed = archived.copy()
        archived[lasting:], removed[lasting:] = theirs.archived[later], theirs.removed[later]

        def name(index: int) -> str:
            if link[index] >= 0:
                return f"{model.campaigns.first_names[int(link[index])]} · CM"
            return f"Direct, {names.pick(names.SEASONS, index)} {index + 1}"

        return Table(
            ids=model.ids("cm_campaign", 31_000_007, count),
            gene=model.gene("cm_campaign", count),
            life=Life(
                model.dice,
                "cm_campaign",
                Rates(rename=0.2),
                created=created,
                archived=archived,
                removed=removed,
                base=lasting,
            ),
            base=lasting,
            name=name,
            up={
                "advertiser": advertiser,
                "dv360": link,
                "account": self.advertisers.up["account"][advertiser],
            },
        )

    def _directory_sites(self) -> Table:
        count = self._model.size.sites + 1
        table = self._table("cm_directory_site", 1_100_001, range(count), Rates(), "", {})
        return Table(
            ids=table.ids,
            gene=table.gene,
            life=table.life,
            base=count,
            name=lambda index: (
                f"{names.pick(names.PUBLISHERS, index - 1)} {index}" if index else "Display & Video 360"
            ),
        )

    def _sites(self) -> Table:
        model, each = self._model, self._model.size.sites + 1
        index = np.arange(model.size.partners * each, dtype=np.int64)
        table = self._table(
            "cm_site", 1_300_001, index, Rates(rename=0.2, pause=0.2), "", {"account": index // each}
        )
        return Table(
            ids=table.ids,
            gene=table.gene,
            life=table.life,
            base=len(index),
            name=lambda at: f"{self.directory_sites.first_names[at % each]} / {at // each + 1}",
            up={"account": index // each, "directory": index % each},
        )

    def _placements(self) -> Table:
        model, size, dice = self._model, self._model.size, self._model.dice
        creatives, packages = model.creatives, model.packages
        to_campaign = np.full(len(model.campaigns), -1, dtype=np.int64)
        links = self.campaigns.up["dv360"]
        to_campaign[links[links >= 0]] = np.flatnonzero(links >= 0)

        served = np.flatnonzero(creatives.extra["served"])
        lasting, passing = served[served < creatives.base], served[served >= creatives.base]
        choice = creatives.up["advertiser"][served] * size.campaigns
        choice = choice + dice.below(size.campaigns, "cm_placement.campaign", served)
        campaign_of = np.full(len(creatives), -1, dtype=np.int64)
        campaign_of[served] = to_campaign[choice]
        # Large packages have a campaign of their own.
        own = np.full(len(packages), -1, dtype=np.int64)
        own[packages.large] = model.campaigns.base + np.arange(int(packages.large.sum()))
        special = own[creatives.up["package"][passing]]
        campaign_of[passing] = np.where(special >= 0, to_campaign[special], campaign_of[passing])

        direct = np.repeat(np.arange(self.campaigns.base, dtype=np.int64), size.direct)
        bought = dice.below(self.campaigns.base, "cm_placement.direct", np.arange(len(packages)))
        alive = self.campaigns.life.created[bought] < packages.created
        bought = np.where(alive, bought, 0)
        # Ids follow the time of creation: for every package its linked placements, then the direct one.
        turn = np.r_[creatives.up["package"][passing], np.arange(len(packages))]
        rank = np.argsort(turn, kind="stable")
        campaign = np.r_[campaign_of[lasting], direct, np.r_[campaign_of[passing], bought][rank]]
        creative = np.r_[
            lasting, np.full(len(direct), -1), np.r_[passing, np.full(len(packages), -1)][rank]
        ].astype(np.int64)
        package, base, count = turn[rank], len(lasting) + len(direct), len(campaign)
        account = self.campaigns.up["account"][campaign]
        gene = model.gene("cm_placement", count)
        index = np.arange(count, dtype=np.int64)
        site = 1 + dice.below(size.sites, "cm_placement.site", index)
        site = account * (size.sites + 1) + np.where(creative >= 0, 0, site)
        created = np.maximum(model.long_ago("cm_placement", count), self.campaigns.life.created[campaign])
        created[: len(lasting)] = np.maximum(created[: len(lasting)], creatives.life.created[lasting])
        archived = np.full(count, NEVER, dtype=np.int64)
        removed = archived.copy()
        created[base:] = packages.created[package]
        archived[base:], removed[base:] = packages.archived[package], packages.removed[package]

        def name(at: int) -> str:
            if creative[at] >= 0:
                return f"DV360 | {creatives.first_names[int(creative[at])]}"
            return f"{self.sites.first_names[int(site[at])]} | {names.pick(names.GOALS, at)}, {at + 1}"

        return Table(
            ids=model.ids("cm_placement", 340_000_007, count),
            gene=gene,
            life=Life(
                dice,
                "cm_placement",
                Rates(rename=0.7, pause=0.5, edit=0.2),
                created=created,
                archived=archived,
                removed=removed,
                base=base,
            ),
            base=base,
            name=name,
            up={
                "campaign": campaign,
                "account": account,
                "advertiser": self.campaigns.up["advertiser"][campaign],
                "site": site,
                "dv360_creative": creative,
            },
            extra={"kind": np.where(creative >= 0, creatives.extra["kind"][creative], bits(gene, 0, 2))},
        )

    def _ads(self) -> Table:
        model, placements = self._model, self.placements
        count, life = len(placements), self.placements.life
        return Table(
            ids=model.ids("cm_ad", 520_000_011, count),
            gene=model.gene("cm_ad", count),
            life=Life(
                model.dice,
                "cm_ad",
                Rates(rename=0.3, pause=0.2),
                created=life.created,
                archived=life.archived,
                removed=life.removed,
                base=placements.base,
            ),
            base=placements.base,
            name=lambda index: f"Ad {index + 1}: {names.pick(names.CONCEPTS, index)}",
            up=placements.up,
        )

    def _creatives(self) -> Table:
        model, placements = self._model, self.placements
        placement = np.repeat(np.arange(len(placements), dtype=np.int64), self.creative_count)
        base = int(self.creative_count[: placements.base].sum())
        count, life = len(placement), placements.life

        def name(index: int) -> str:
            creative = int(placements.up["dv360_creative"][placement[index]])
            if creative >= 0:
                return model.creatives.first_names[creative]
            return f"{names.pick(names.CONCEPTS, index)} #{index + 1}"

        return Table(
            ids=model.ids("cm_creative", 230_000_003, count),
            gene=model.gene("cm_creative", count),
            life=Life(
                model.dice,
                "cm_creative",
                Rates(rename=0.4, pause=0.2),
                created=life.created[placement],
                archived=life.archived[placement],
                removed=life.removed[placement],
                base=base,
            ),
            base=base,
            name=name,
            up={"placement": placement, "advertiser": placements.up["advertiser"][placement]},
        )

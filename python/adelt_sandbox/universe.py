"""The seeded world as the server sees it: what an account may see, at the instant of the clock."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from adelt_sandbox.auth import Identity

if TYPE_CHECKING:
    from adelt_sandbox.world import World

CACHED_SNAPSHOTS = 96
Row = dict[str, Any]


class Universe:
    """Answers questions about the world and remembers recent answers."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self._lock = threading.RLock()
        self._snapshots: OrderedDict[tuple[str, str, datetime], list[Row]] = OrderedDict()

    @property
    def partner_ids(self) -> list[int]:
        """Every partner there is."""
        return list(self.world.partner_ids)

    def partners_of(self, identity: Identity) -> list[int]:
        """Partners an account may see."""
        return self.partner_ids if identity.everything else self.partner_ids[-1:]

    def profiles_of(self, identity: Identity) -> list[Row]:
        """CM360 user profiles of an account."""
        profiles = list(self.world.profiles)
        return profiles if identity.everything else profiles[-1:]

    def dv360(self, resource: str, as_of: datetime) -> list[Row]:
        """All rows of a DV360 resource, in a stable order."""
        return self._rows("dv360", resource, as_of)

    def cm360(self, resource: str, as_of: datetime) -> list[Row]:
        """All rows of a CM360 resource, in a stable order."""
        return self._rows("cm360", resource, as_of)

    def scope(self, resource: str, row: Row) -> dict[str, int]:
        """Partner and advertiser a row belongs to."""
        owner: dict[str, int] = self.world.scope(resource, row)
        return owner

    def delivery_dv360(
        self, start: date, end: date, as_of: datetime, partner_ids: Sequence[int]
    ) -> Iterator[pa.Table]:
        """DV360 delivery of the days [start, end), chunk by chunk."""
        yield from self.world.dv360_delivery(start, end, as_of, partner_ids)

    def delivery_cm360(
        self, start: date, end: date, as_of: datetime, account_ids: Sequence[int]
    ) -> Iterator[pa.Table]:
        """CM360 delivery of the days [start, end), chunk by chunk."""
        yield from self.world.cm360_delivery(start, end, as_of, account_ids)

    def _rows(self, side: str, resource: str, as_of: datetime) -> list[Row]:
        key = (side, resource, as_of)
        with self._lock:
            if key in self._snapshots:
                self._snapshots.move_to_end(key)
                return self._snapshots[key]
            rows: list[Row] = getattr(self.world, side)(resource, as_of)
            self._snapshots[key] = rows
            while len(self._snapshots) > CACHED_SNAPSHOTS:
                self._snapshots.popitem(last=False)
            return rows

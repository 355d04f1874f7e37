"""The seeded world behind the sandbox: what exists, what was delivered, and what one would have seen when.

`World(seed, size)` is a pure function of its arguments: every answer depends only on seed, size, what is asked and the
instant (`as_of`) at which it is asked.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from adelt_sandbox.world.calendar import seconds
from adelt_sandbox.world.cm360 import Cm360Entities
from adelt_sandbox.world.cm_delivery import Cm360Delivery
from adelt_sandbox.world.cm_model import CmModel
from adelt_sandbox.world.delivery import Dv360Delivery
from adelt_sandbox.world.dv360 import Dv360Entities
from adelt_sandbox.world.erf import ErfFiles
from adelt_sandbox.world.model import Model
from adelt_sandbox.world.sizes import SIZES

Row = dict[str, Any]

__all__ = ["SIZES", "World"]


class World:
    """A world of advertising data.

    Args:
        seed: Same seed, same world.
        size: `tiny`, `small`, `medium`, `large` or `huge`.
        erf_until: Last day for which entity read files exist.

    Attributes:
        partner_ids: DV360 partners.
        account_ids: CM360 accounts, one for each partner.
        profiles: CM360 user profiles, one for each account, in the JSON of the API.
    """

    def __init__(self, seed: int = 7, size: str = "tiny", *, erf_until: date = date(2024, 10, 31)) -> None:
        self.seed = seed
        self.erf_until = erf_until
        self.size = size
        model = Model(seed, size)
        cm = CmModel(model)
        self._dv360_delivery = Dv360Delivery(model)
        self._cm360_delivery = Cm360Delivery(model, cm, self._dv360_delivery)
        self._dv360 = Dv360Entities(model, cm, self._dv360_delivery)
        self._cm360 = Cm360Entities(model, cm)
        self._erf = ErfFiles(model, cm, self._dv360, erf_until)
        self.partner_ids: list[int] = model.partners.ids.tolist()
        self.account_ids: list[int] = cm.accounts.ids.tolist()
        self.profiles: list[Row] = self._cm360.profiles()

    def dv360(self, resource: str, as_of: datetime) -> list[Row]:
        """Objects of a DV360 API v4 resource at an instant, by id, of all partners; archived ones included."""
        return self._dv360.rows(resource, seconds(as_of))

    def scope(self, resource: str, row: Row) -> dict[str, int]:
        """Partner and, if there is one, advertiser that a DV360 object belongs to."""
        return self._dv360.scope(resource, row)

    def cm360(self, resource: str, as_of: datetime) -> list[Row]:
        """Objects of a CM360 API v5 resource at an instant, by id, of all accounts."""
        return self._cm360.rows(resource, seconds(as_of))

    @property
    def dv360_resources(self) -> list[str]:
        """Names that `dv360` knows."""
        return self._dv360.resources

    @property
    def cm360_resources(self) -> list[str]:
        """Names that `cm360` knows."""
        return self._cm360.resources

    def erf_types(self) -> dict[str, list[str]]:
        """Entity types of entity read files: `public` ones and `private` ones of a partner."""
        return self._erf.types()

    def erf(self, entity_type: str, file_date: date, partner_id: int | None) -> list[Row]:
        """Objects of one entity type in the files of a day; no partner for public types."""
        return self._erf.rows(entity_type, file_date, partner_id)

    def erf_batches(self, entity_type: str, file_date: date, partner_id: int | None) -> int:
        """In how many files the objects of an entity type come."""
        return self._erf.batches(entity_type, file_date, partner_id)

    def dv360_delivery(
        self, start: date, end: date, as_of: datetime, partner_ids: Sequence[int] | None = None
    ) -> Iterator[pa.Table]:
        """Delivery of the days [start, end) as DV360 reports it at an instant, in chunks that hold one day each."""
        wanted = self.partner_ids if partner_ids is None else partner_ids
        partners = [index for index, found in enumerate(self.partner_ids) if found in wanted]
        yield from self._dv360_delivery.tables(start, end, seconds(as_of), partners)

    def cm360_delivery(
        self, start: date, end: date, as_of: datetime, account_ids: Sequence[int] | None = None
    ) -> Iterator[pa.Table]:
        """Delivery of the days [start, end) as CM360 reports it at an instant, in chunks that hold one day each."""
        wanted = self.account_ids if account_ids is None else account_ids
        accounts = [index for index, found in enumerate(self.account_ids) if found in wanted]
        yield from self._cm360_delivery.tables(start, end, seconds(as_of), accounts)

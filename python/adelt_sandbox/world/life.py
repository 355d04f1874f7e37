"""What happens to entities over time: created, renamed, edited, paused, archived, removed."""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np

from adelt_sandbox.world.calendar import DAY, midnight
from adelt_sandbox.world.dice import I64, Bools, Dice, bits

NEVER = 1 << 40
BEGINNING = date(2024, 1, 1)
SLOT = 2 * DAY
SLOTS = 914  # two days each: until the end of 2028
FIRST = midnight(BEGINNING)

ACTIVE, PAUSED, DRAFT, ARCHIVED = range(4)
_KEPT_STATES = 6
_CANDIDATES = 8


@dataclass(frozen=True)
class Events:
    """Instants at which something happened to entities.

    Attributes:
        entity: Index of the entity of each event.
        at: When; the events are in this order.
        second: True for every second event of an entity, counted from its first.
    """

    entity: I64
    at: I64
    second: Bools

    @classmethod
    def of(cls, entity: I64, at: I64) -> "Events":
        """Events in the order of time."""
        order = np.lexsort((entity, at))
        entity, at = entity[order], at[order]
        by_entity = np.argsort(entity, kind="stable")
        ordinal = np.zeros(len(entity), dtype=np.int64)
        grouped = entity[by_entity]
        starts = np.flatnonzero(np.r_[True, grouped[1:] != grouped[:-1]]) if len(grouped) else grouped
        lengths = np.diff(np.r_[starts, len(grouped)])
        ordinal[by_entity] = np.arange(len(grouped)) - np.repeat(starts, lengths)
        return cls(entity, at, ordinal % 2 == 1)

    def count(self, size: int, until: int) -> I64:
        """How many events each entity had until an instant."""
        return np.bincount(self.entity[: self._end(until)], minlength=size).astype(np.int64)

    def latest(self, into: I64, until: int) -> None:
        """Raise the instants of `into` to the last event of each entity."""
        end = self._end(until)
        np.maximum.at(into, self.entity[:end], self.at[:end])

    def between(self, after: int, before: int) -> slice:
        """Events with after < at < before."""
        return slice(self._end(after), int(np.searchsorted(self.at, before, side="left")))

    def _end(self, until: int) -> int:
        return int(np.searchsorted(self.at, until, side="right"))


@dataclass(frozen=True)
class State:
    """How the entities of a table stand at an instant.

    Attributes:
        exists: Created and not removed.
        status: ACTIVE, PAUSED, DRAFT or ARCHIVED.
        name: How often the entity was renamed.
        edit: How often its settings, such as its budget, were changed.
        updated: When the entity last changed.
    """

    exists: Bools
    status: I64
    name: I64
    edit: I64
    updated: I64


@dataclass(frozen=True)
class Rates:
    """How many entities of a table are changed within two days, in a world where they are few."""

    rename: float = 0.0
    pause: float = 0.0
    edit: float = 0.0


class Life:
    """The lives of the entities of one table."""

    def __init__(
        self,
        dice: Dice,
        kind: str,
        rates: Rates,
        *,
        created: I64,
        base: int | None = None,
        removed: I64 | None = None,
        archived: I64 | None = None,
        begins: I64 | None = None,
    ) -> None:
        size = len(created)
        # Only the long-lived entities, which come first, are changed; the others come and go.
        self._base = size if base is None else base
        self.created = created
        self.removed = np.full(size, NEVER, dtype=np.int64) if removed is None else removed
        self.archived = np.full(size, NEVER, dtype=np.int64) if archived is None else archived
        self.begins = created if begins is None else np.maximum(begins, created)
        self.renames = self._events(dice, f"{kind}.rename", rates.rename)
        self.edits = self._events(dice, f"{kind}.edit", rates.edit)
        self.toggles = self._events(dice, f"{kind}.pause", rates.pause, pairs=True)
        self._cached: Any = lru_cache(maxsize=_KEPT_STATES)(self._state)

    def __len__(self) -> int:
        return len(self.created)

    def state(self, at: int) -> State:
        """How the entities stand at an instant."""
        found: State = self._cached(at)
        return found

    def _state(self, at: int) -> State:
        size = len(self)
        paused = self.toggles.count(size, at) % 2 == 1
        status = np.where(paused, PAUSED, ACTIVE)
        status = np.where(at < self.begins, DRAFT, status)
        status = np.where(at >= self.archived, ARCHIVED, status).astype(np.int64)
        updated = self.created.copy()
        for instants in (self.begins, self.archived):
            updated = np.where((instants <= at) & (instants > updated), instants, updated)
        for events in (self.renames, self.edits, self.toggles):
            events.latest(updated, at)
        return State(
            exists=(self.created <= at) & (at < self.removed),
            status=status,
            name=self.renames.count(size, at),
            edit=self.edits.count(size, at),
            updated=updated,
        )

    def active_seconds(self, start: I64, end: I64) -> I64:
        """Seconds each entity was active between two instants (one pair for each entity)."""
        first = np.maximum(start, self.begins)
        last = np.minimum(np.minimum(end, self.archived), self.removed)
        low, high = int(start.min(initial=NEVER)), int(end.max(initial=0))
        # Toggles of the stretch that all windows share are handled one by one below.
        paused = self.toggles.count(len(self), low) % 2 == 1
        total = np.where(paused, 0, np.maximum(last - first, 0))
        window = self.toggles.between(low, high)
        entity, at, resumes = (
            self.toggles.entity[window],
            self.toggles.at[window],
            self.toggles.second[window],
        )
        rest = np.clip(last[entity] - np.maximum(at, first[entity]), 0, None)
        np.add.at(total, entity, np.where(resumes, rest, -rest))
        return np.maximum(total, 0)

    def _events(self, dice: Dice, purpose: str, rate: float, *, pairs: bool = False) -> Events:
        """Events spread evenly over time: some every two days, each on an entity that lives then."""
        size = self._base
        # Few entities change as often as asked; many entities change about once in two years.
        per_slot = max(rate, rate * size / 400) if size else 0.0
        slots = np.arange(SLOTS, dtype=np.int64)
        chance = np.floor(per_slot * (slots + 1) + 0.5) - np.floor(per_slot * slots + 0.5)
        slot = np.repeat(slots, chance.astype(np.int64))
        turn = np.arange(len(slot), dtype=np.int64)
        if not len(slot):
            empty = np.zeros(0, dtype=np.int64)
            return Events(empty, empty, empty.astype(np.bool_))
        noise = dice.draw(purpose, turn)
        at = FIRST + slot * SLOT + bits(noise, 0, 20) * SLOT // (1 << 20)
        gap = DAY + bits(noise, 24, 12) * (6 * DAY) // 4096
        until = at + gap if pairs else at
        chosen = np.full(len(slot), -1, dtype=np.int64)
        for attempt in range(_CANDIDATES):
            candidate = dice.below(size, purpose, turn, attempt)
            lives = (self.begins[candidate] + 6 * 3600 < at) & (until < self.archived[candidate])
            lives &= until < self.removed[candidate]
            chosen = np.where((chosen < 0) & lives, candidate, chosen)
        found = chosen >= 0
        entity, at, until = chosen[found], at[found], until[found]
        if pairs:
            entity, at = np.r_[entity, entity], np.r_[at, until]
        return Events.of(entity, at)

"""Random numbers that depend on what they are for, never on when they are asked for.

A draw is a hash (splitmix64) of the seed, a purpose and some counters, so that any part of the world can be
made on its own, in any order, in any process, and comes out the same.
"""

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Bools = NDArray[np.bool_]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_MASK = (1 << 64) - 1


def mix(values: U64) -> U64:
    """The splitmix64 finaliser: every bit of the input changes half of the bits of the output."""
    x = values + _GOLDEN
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    result: U64 = x ^ (x >> np.uint64(31))
    return result


def bits(values: U64, shift: int, width: int) -> I64:
    """Some bits of a draw as a small number."""
    part = (values >> np.uint64(shift)) & np.uint64((1 << width) - 1)
    return part.astype(np.int64)


class Dice:
    """Draws for one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed & _MASK

    def draw(self, purpose: str, *counters: Any) -> U64:
        """64 random bits for each combination of the counters (numbers or arrays of them)."""
        start = (self._seed * 0x2545F4914F6CDD1D + zlib.crc32(purpose.encode())) & _MASK
        x = mix(np.array([start], dtype=np.uint64))
        for counter in counters:
            x = mix(x ^ (np.asarray(counter).astype(np.int64).astype(np.uint64) * _SECOND))
        return x

    def below(self, limit: Any, purpose: str, *counters: Any) -> I64:
        """Numbers from 0 to limit - 1."""
        high = self.draw(purpose, *counters) >> np.uint64(32)
        return ((high * np.asarray(limit).astype(np.uint64)) >> np.uint64(32)).astype(np.int64)

    def one(self, limit: int, purpose: str, *counters: int) -> int:
        """One number from 0 to limit - 1."""
        return int(self.below(limit, purpose, *counters)[0])

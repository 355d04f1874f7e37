"""When a failed task is tried again."""

import random

from adelt.plan import Retry

PERMANENT = frozenset(
    {2, 78}
)  # bad input or configuration (sysexits: EX_CONFIG); 1, 75 and the rest may pass


def will_retry(exit_code: int, attempt: int, retry: Retry) -> bool:
    """Whether another attempt follows.

    Args:
        exit_code: How the attempt ended; negative for a signal.
        attempt: Which attempt that was, from 1.
        retry: The task's retries.
    """
    return exit_code not in PERMANENT and attempt <= retry.max


def delay(attempt: int, retry: Retry, jitter: random.Random) -> float:
    """Seconds to wait after an attempt: fixed or doubling, up to a quarter more or less, so that tasks do not return at once."""
    base = retry.delay * (2 ** (attempt - 1) if retry.backoff == "exponential" else 1)
    return min(base, retry.max_delay) * jitter.uniform(0.75, 1.25)

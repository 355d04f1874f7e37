"""The local executor: one process for each task, limits, retries, timeouts; it tells listeners what happens."""

from adelt.run.executor import Executor, Outcome
from adelt.run.schedule import Scheduler, State

__all__ = ["Executor", "Outcome", "Scheduler", "State"]

"""Years of data in bulk: a plan of chunks that is recorded as a whole, and done chunk by chunk until nothing is missing."""

from adelt.backfill.conduct import conduct
from adelt.backfill.estimate import Estimate, estimate
from adelt.backfill.plan import BackfillPlan, PlannedChunk, plan_backfill
from adelt.backfill.spec import Entry, Spec, load_spec

__all__ = [
    "BackfillPlan",
    "Entry",
    "Estimate",
    "PlannedChunk",
    "Spec",
    "conduct",
    "estimate",
    "load_spec",
    "plan_backfill",
]

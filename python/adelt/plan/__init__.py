"""Plans: what would run, computed from a definition, an interval and inputs, and from nothing else."""

from adelt.plan.matrix import expand, item_id
from adelt.plan.plan import Group, Plan, PlannedTask, Retry, instances, kept, make_plan, rendered

__all__ = [
    "Group", "Plan", "PlannedTask", "Retry", "expand", "instances", "item_id", "kept", "make_plan", "rendered",
]  # fmt: skip

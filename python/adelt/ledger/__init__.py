"""The ledger: every run, task, operation and asset in one SQLite file, and the leases that keep runs apart."""

from adelt.ledger.ledger import WAREHOUSE_KINDS, Ledger
from adelt.ledger.rows import Claimed, Done, Experience, Held, NewRun, NewTask, Operation

__all__ = [
    "WAREHOUSE_KINDS",
    "Claimed",
    "Done",
    "Experience",
    "Held",
    "Ledger",
    "NewRun",
    "NewTask",
    "Operation",
]

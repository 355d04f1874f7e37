"""`adelt doctor`: whether everything that a run needs is there, and what to do where it is not."""

from adelt.doctor.check import Check, exit_code
from adelt.doctor.examination import examine

__all__ = ["Check", "examine", "exit_code"]

"""Pipeline definitions: read a YAML file, say everything that is wrong with it, hand out typed values."""

from adelt.definition.load import Definition, find, find_all, load, load_checked_before
from adelt.definition.model import Pipeline, Task

__all__ = ["Definition", "Pipeline", "Task", "find", "find_all", "load", "load_checked_before"]

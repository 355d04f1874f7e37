"""Many operators of one kind: Airflow makes the first of a DAG, the others are copies of it with fields of their own.

Making each one took Airflow longer than everything else about a pipeline together (decision 0051).
"""

import copy
from collections.abc import Callable
from typing import Any


class Twins:
    """The operators of one DAG; it must be the current one. What they wait for is not set."""

    def __init__(self) -> None:
        self._first: dict[Callable[..., Any], Any] = {}

    def make(self, kind: Callable[..., Any], fields: dict[str, Any]) -> Any:
        """An operator.

        Args:
            kind: Its class, or what else makes one.
            fields: Its arguments: the same names for all of a kind, and names that are attributes of it too.
        """
        first = self._first.get(kind)
        if first is None:
            self._first[kind] = first = kind(**fields)
            return first
        made = copy.copy(first)
        alone = {"task_group": None, "upstream_task_ids": set(), "downstream_task_ids": set()}
        vars(made).update(fields | alone)
        first.task_group.add(made)
        first.dag.add_task(made)
        return made

"""Many operators of one kind: Airflow makes the first of a folder, the others are copies of it with fields of their own.

Making each one took Airflow longer than everything else about a pipeline together (decision 0051).
"""

import copy
from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from typing import Any
from weakref import ProxyType, proxy

from .api import DAG, VERSION

# On these the tests compare copies with what Airflow makes itself; any other version makes every operator itself.
COMPARED = ("2.11", "3.1", "3.2", "3.3")
_EDGES = ("upstream_task_ids", "downstream_task_ids")
_ARGUMENTS = "_BaseOperator__init_kwargs"  # in which an operator remembers them


class Twins:
    """The operators of the DAGs of one folder, which have the same default arguments.

    Each is made while its DAG is the current one. What it waits for is not set.
    """

    def __init__(self) -> None:
        self._copies = VERSION in COMPARED
        self._models: dict[tuple[Any, ...], Any] = {}

    def make(self, dag: DAG, kind: Callable[..., Any], fields: dict[str, Any]) -> Any:
        """An operator.

        Args:
            dag: Its DAG.
            kind: Its class, or what else makes one.
            fields: Its arguments; each is an attribute of it too.
        """
        model = self._models.get((kind, *fields))
        if model is None:
            made = kind(**fields)
            if self._copies and _keeps(vars(made), fields):
                self._models[kind, *fields] = _Model(made)
            return made
        return model.copy(dag, fields)

    def mapped(self, dag: DAG, kind: Any, fields: dict[str, Any], over: dict[str, Any]) -> Any:
        """An operator that is mapped.

        Args:
            dag: Its DAG.
            kind: Its class.
            fields: Its arguments.
            over: The argument that it is mapped over, with the result of another task.
        """
        model = self._models.get((kind, *fields, *over))
        if model is None:
            made = kind.partial(**fields).expand(**over)
            if self._copies and _keeps({**made.partial_kwargs, "task_id": made.task_id}, fields):
                self._models[kind, *fields, *over] = _MappedModel(made)
            return made
        return model.copy(dag, fields, over)


def _keeps(own: Mapping[str, Any], fields: Mapping[str, Any]) -> bool:
    """Whether arguments have become attributes as they were; another provider may do something else with them."""
    return all(name in own and own[name] == value for name, value in fields.items())


class _Model:
    """An operator to be copied."""

    def __init__(self, first: Any) -> None:
        self._operator = copy.copy(first)
        self._group = _group_of(first)
        own = vars(self._operator)
        own.update((name, set()) for name in _EDGES)
        self._fresh = _fresh(own)

    def copy(self, dag: DAG, fields: Mapping[str, Any]) -> Any:
        made = copy.copy(self._operator)
        own = vars(made)
        own.update([(name, make()) for name, make in self._fresh])
        own.update(fields)
        own.update(_dag=dag, task_group=self._group(dag), start_date=dag.start_date)
        own[_ARGUMENTS].update(fields)
        if "dag" in own[_ARGUMENTS]:  # Airflow 3
            own[_ARGUMENTS].update(dag=dag, task_group=dag.task_group)
        _enlist(made, dag)
        return made


class _MappedModel:
    """The same for an operator that is mapped; most of its values are in a mapping of their own."""

    def __init__(self, first: Any) -> None:
        self._operator = copy.copy(first)
        self._group = _group_of(first)
        self._given = first.partial_kwargs.copy()
        self._fresh = _fresh(self._given)

    def copy(self, dag: DAG, fields: Mapping[str, Any], over: Mapping[str, Any]) -> Any:
        made = copy.copy(self._operator)
        given = self._given.copy()
        given.update([(name, make()) for name, make in self._fresh])
        given.update(fields)
        made.task_id = given.pop("task_id")
        made.params = copy.copy(made.params)
        made.partial_kwargs = given
        made.expand_input = type(made.expand_input)(over)
        made.upstream_task_ids, made.downstream_task_ids = set(), set()
        made.dag, made.task_group, made.start_date = dag, self._group(dag), dag.start_date
        _enlist(made, dag)
        return made


def _group_of(first: Any) -> Callable[[DAG], Any]:
    """What operators of a kind have as their group: some of Airflow's versions hold it weakly."""
    weak = isinstance(first.task_group, ProxyType)
    return lambda dag: proxy(dag.task_group) if weak else dag.task_group


def _enlist(made: Any, dag: DAG) -> None:
    """As `add_task` does, which takes twice as long as the copy."""
    name, group = made.task_id, dag.task_group
    dag.task_dict[name] = group.children[name] = made
    group.used_group_ids.add(name)
    if VERSION == "2.11":
        dag.task_count = len(dag.task_dict)


def _fresh(values: Mapping[str, Any]) -> list[tuple[str, Callable[[], Any]]]:
    """What makes the containers that each copy needs of its own: a policy that changes one's means no other's."""
    found = (
        (name, value) for name, value in values.items() if isinstance(value, list | set | MutableMapping)
    )
    return [(name, getattr(value, "copy", None) or partial(copy.copy, value)) for name, value in found]

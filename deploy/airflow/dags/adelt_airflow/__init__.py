"""Definitions of adelt as Airflow DAGs: `load` finds them, `dag` makes the graph, `operators` do a task.

`api` has what Airflow 2.11 and 3 call by different names, `tell` says how a run ended.
"""

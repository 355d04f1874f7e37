"""Ids of runs and tasks: uuid7, which sort by the time they were made."""


def new_id() -> str:
    """A new id."""
    from uuid6 import uuid7

    return str(uuid7())

"""Backfills that another engine does: Airflow or Orchestra is asked to run the chunks, and watched until they are over."""

from adelt.backfill.remote.client import Sleep
from adelt.backfill.remote.engine import Engine
from adelt.settings import Settings


def connect(name: str, here: Settings, sleep: Sleep) -> Engine:
    """The engine of a name, `airflow` or `orchestra`, as the environment says where it is.

    Args:
        name: Which one.
        here: Settings.
        sleep: Waits a number of seconds.

    Raises:
        InputError: An address or a secret is missing or wrong.
        AdeltError: Nobody answers.
    """
    if name == "airflow":
        from adelt.backfill.remote.airflow import Airflow

        return Airflow(here, sleep)
    from adelt.backfill.remote.orchestra import Orchestra

    return Orchestra(here, sleep)

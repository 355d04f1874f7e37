"""Say how a run ended: Slack, Teams, e-mail, webhooks."""

from collections.abc import Sequence
from typing import Any

from adelt.definition.model import Notice


def notifiers(notices: Sequence[Notice], word: str) -> list[Any]:
    """A notifier for each notice."""
    return []

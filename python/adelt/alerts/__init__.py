"""Tell people how a run ended: Slack, Teams, e-mail, or any webhook."""

from adelt.alerts.alert import Alert
from adelt.alerts.send import send_all

__all__ = ["Alert", "send_all"]

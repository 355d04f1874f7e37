"""Say how a run ended: Slack, Teams, webhooks, and e-mail through Airflow's own notifier.

Addresses are secrets of the same names as elsewhere (docs/alerts.md): the environment, then Airflow's variables.
"""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from adelt.definition import templates
from adelt.definition.model import Notice

from .api import BaseNotifier, Variable

_TIMEOUT = 10  # seconds


def notifiers(notices: Sequence[Notice], status: str) -> list[Any]:
    """A notifier for each notice.

    Args:
        notices: Whom to tell.
        status: What the run has: SUCCEEDED or FAILED.
    """
    return [_mail(one.email, status) if one.email else PostNotifier(one, status) for one in notices]


class PostNotifier(BaseNotifier):
    """Posts JSON to an incoming webhook of Slack or Teams, or to any address."""

    def __init__(self, notice: Notice, status: str) -> None:
        """Prepare.

        Args:
            notice: Whom to tell.
            status: SUCCEEDED or FAILED.
        """
        super().__init__()
        self.notice, self.status = notice, status

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """There is nothing to fill in; Airflow's own way needs a DAG that `airflow dags test` does not have."""

    def notify(self, context: Any) -> None:
        """Send it.

        Raises:
            RuntimeError: It was not taken. The address is not in the message.
        """
        facts = _facts(context, self.status)
        address, body = self._letter(facts)
        try:
            request = urllib.request.Request(
                address, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
            )
            if request.type not in ("https", "http"):
                raise ValueError("a webhook is a web address")
            urllib.request.urlopen(request, timeout=_TIMEOUT).close()
        except (OSError, ValueError) as error:
            code = f" {error.code}" if isinstance(error, urllib.error.HTTPError) else ""
            kind = next(name for name in Notice.model_fields if getattr(self.notice, name))
            raise RuntimeError(f"{kind} could not be told: {type(error).__name__}{code}") from None

    def _letter(self, facts: dict[str, str]) -> tuple[str, Any]:
        notice = self.notice
        if notice.slack:
            return _secret("SLACK_WEBHOOK_URL"), {"channel": notice.slack, "text": facts["title"]}
        if notice.teams:
            card = {
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": [{"type": "TextBlock", "wrap": True, "text": facts["title"]}],
            }
            content = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
            return _secret("TEAMS_WEBHOOK_URL"), {"type": "message", "attachments": [content]}
        text = notice.webhook or ""
        names = {path[1] for path in templates.paths(text) if path[0] == "secrets"}
        return str(templates.render(text, {"secrets": {name: _secret(name) for name in names}})), facts


def _mail(address: str, status: str) -> Any:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    title = f"{{{{ dag.dag_id }}}} {status.lower()}: {{{{ run_id }}}}"
    return SmtpNotifier(to=address, subject=title, html_content=title)


def _facts(context: Any, status: str) -> dict[str, str]:
    dag_id, run_id = context["dag"].dag_id, str(context.get("run_id") or context["dag_run"].run_id)
    title = f"{dag_id} {status.lower()}: {run_id}"
    reason = str(context.get("reason") or "")
    return {"pipeline": dag_id, "run_id": run_id, "status": status, "message": reason, "title": title}


def _secret(name: str) -> str:
    found = os.environ.get(f"ADELT_SECRET_{name}") or os.environ.get(name)
    return found or str(Variable.get(name))

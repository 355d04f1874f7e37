"""Say how a run ended: Slack, Teams, webhooks, and e-mail through Airflow's own notifier.

Addresses are secrets of the same names as elsewhere (docs/alerts.md): the environment, then Airflow's variables.
"""

import contextlib
import html
import json
import os
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from adelt.definition import templates
from adelt.definition.model import Notice

from .api import BaseNotifier, Variable

_TIMEOUT = 10  # seconds
_MOST = 10  # failed tasks that are named


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

    class MailNotifier(SmtpNotifier):  # type: ignore[misc]
        """Airflow's own, with the message that the others send."""

        def notify(self, context: Any) -> None:
            """Send it."""
            self.subject = _facts(context, status)["title"]
            self.html_content = html.escape(self.subject)
            super().notify(context)

    return MailNotifier(to=address)


def _facts(context: Any, status: str) -> dict[str, str]:
    dag_id, run_id = context["dag"].dag_id, str(context.get("run_id") or context["dag_run"].run_id)
    failed = _failed(context, run_id) if status == "FAILED" else []
    named = ", ".join(failed[:_MOST]) + (f" and {len(failed) - _MOST} more" if len(failed) > _MOST else "")
    title = f"{dag_id} {status.lower()}: " + (f"{named} in {run_id}" if named else run_id)
    message = f"failed: {named}" if named else str(context.get("reason") or "")
    return {"pipeline": dag_id, "run_id": run_id, "status": status, "message": message, "title": title}


def _failed(context: Any, run_id: str) -> list[str]:
    """The tasks of a run that failed, items of a matrix as `task[0]`; none if they cannot be found out."""
    dag = context["dag"]
    try:
        states = _states(context.get("ti"), dag.dag_id, run_id)
    except Exception as error:  # how the run ended is told in any case
        print(f"which tasks failed is not known: {type(error).__name__}: {error}")
        return []
    return sorted(_bracketed(name, dag.task_ids) for name, state in states.items() if state == "failed")


def _states(ti: Any, dag_id: str, run_id: str) -> Mapping[str, str]:
    """States of the tasks of a run, items of a matrix as `task_0`."""
    if hasattr(
        ti, "get_task_states"
    ):  # Airflow 3 answers its own process of callbacks, which may not read the database
        with contextlib.suppress(Exception):
            return dict(ti.get_task_states(dag_id, run_ids=[run_id])[run_id])
    from airflow.models.dagrun import DagRun  # in Airflow 2, and in `airflow dags test`

    found = [one for run in DagRun.find(dag_id=dag_id, run_id=run_id) for one in run.get_task_instances()]
    return {
        f"{one.task_id}_{one.map_index}" if one.map_index >= 0 else one.task_id: one.state for one in found
    }


def _bracketed(name: str, tasks: Collection[str]) -> str:
    task, _, item = name.rpartition("_")
    return f"{task}[{item}]" if name not in tasks and task in tasks else name


def _secret(name: str) -> str:
    found = os.environ.get(f"ADELT_SECRET_{name}") or os.environ.get(name)
    return found or str(Variable.get(name))

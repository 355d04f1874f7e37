"""Send alerts. One that cannot be sent is told, and never harms the run."""

import smtplib
import socket
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from adelt import secrets, settings
from adelt.alerts.alert import Alert
from adelt.definition.model import Notice
from adelt.errors import InputError
from adelt.redact import Redactor
from adelt.settings import Settings

SLACK, TEAMS, SMTP = "SLACK_WEBHOOK_URL", "TEAMS_WEBHOOK_URL", "SMTP_URL"
_SECONDS = 5  # to connect, and for the answer
_LOCAL = ("localhost", "127.0.0.1", "::1")


class _Unsent(Exception):  # noqa: N818 - says what happened, and holds no secret
    pass


def send_all(notices: Sequence[Notice], alert: Alert, here: Settings) -> list[str]:
    """Send an alert to everybody.

    Args:
        notices: Whom to tell.
        alert: What.
        here: Settings: where secrets are.

    Returns:
        For each that could not be told, why; without secrets.
    """
    unsent = []
    for notice in notices:
        ((kind, receiver),) = notice.model_dump(exclude_none=True).items()
        try:
            _send(kind, receiver, alert, here)
        except _Unsent as error:
            unsent.append(f"the {kind} alert was not sent: {error}")
        except Exception as error:  # a run that worked is not to fail because nobody could be told
            # Only the kind of the error: its text may quote the address, and that is a secret.
            unsent.append(f"the {kind} alert was not sent: {type(error).__name__}")
    return unsent


def _send(kind: str, receiver: str, alert: Alert, here: Settings) -> None:
    # What follows `webhook` is the name of the secret with the address: a URL often is a password.
    name = {"slack": SLACK, "teams": TEAMS, "email": SMTP}.get(kind, receiver)
    try:
        address = secrets.read([name], here)[name]
    except InputError as error:
        raise _Unsent(f"{error.what}") from error
    clean = alert.cleaned(Redactor([*settings.secret_values(), address]))
    match kind:
        case "slack":
            _post(address, clean.for_slack(receiver))
        case "teams":
            _post(address, clean.for_teams())
        case "webhook":
            _post(address, clean.for_webhook())
        case "email":
            _mail(address, receiver, clean)


def _post(url: str, body: dict[str, Any]) -> None:
    import requests  # late: most runs tell nobody

    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
        raise _Unsent("its address does not begin with https://")
    # The body of the answer is not read: a receiver that drips it would hold the run up.
    with requests.post(url, json=body, timeout=_SECONDS, allow_redirects=False, stream=True) as answer:
        if not 200 <= answer.status_code < 300:
            raise _Unsent(f"the answer was {answer.status_code}")


def _mail(url: str, receiver: str, alert: Alert) -> None:
    """Send by smtp://user:password@host:587?from=me@example.com, or smtps:// for TLS from the first byte."""
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise _Unsent(f"{SMTP} does not look like smtp://user:password@host:587?from=me@example.com")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    sender = parse_qs(parts.query).get("from", [user if "@" in user else f"adelt@{socket.gethostname()}"])[0]
    letter = EmailMessage()
    letter["Subject"] = " ".join(alert.title.split())
    letter["From"], letter["To"] = sender, receiver
    letter.set_content(alert.text)
    trust = ssl.create_default_context()
    with (
        smtplib.SMTP_SSL(parts.hostname, parts.port or 465, timeout=_SECONDS, context=trust)
        if parts.scheme == "smtps"
        else smtplib.SMTP(parts.hostname, parts.port or 587, timeout=_SECONDS)
    ) as server:
        server.ehlo()
        if parts.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=trust)
            server.ehlo()
        elif parts.scheme == "smtp" and parts.hostname not in _LOCAL:
            raise _Unsent("the mail server offers no encryption")
        if user:
            server.login(user, password)
        server.send_message(letter)

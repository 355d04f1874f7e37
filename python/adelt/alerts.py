"""Tell people: how a run or a backfill ended, as `on_failure` and `on_success` say, or what an `alert` task has found.

It goes to Slack, Teams, e-mail or any webhook. Addresses that are secrets come from where every secret does (adelt.secrets):
`SLACK_WEBHOOK_URL`, `TEAMS_WEBHOOK_URL`, and `SMTP_URL` (`smtp://user:password@host:587`, which is asked for TLS, or
`smtps://`). They, and every secret of the environment, are cut out of what is sent and of what is said about the sending. A
run never fails because nobody could be told how it ended.
"""

import smtplib
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from email.message import EmailMessage
from html import escape
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from adelt import secrets, settings
from adelt.definition.model import NOTICE_SECRETS, Notice, Pipeline
from adelt.definition.templates import paths, render
from adelt.errors import AdeltError, InputError
from adelt.redact import Redactor
from adelt.settings import Settings

SECONDS = 10.0  # for a receiver to answer
MOST_LINES = 20  # of what was found, in one message
_FAILED = ("FAILED",)
_SUCCEEDED = ("SUCCEEDED", "WARNING")


class Message(Protocol):
    """What is told."""

    @property
    def title(self) -> str:
        """One line."""

    @property
    def text(self) -> str:
        """A few lines, the title first."""

    @property
    def details(self) -> str:
        """What a mail has room for, too."""

    @property
    def body(self) -> Mapping[str, Any]:
        """What a webhook gets."""

    def cleaned(self, clean: Callable[[str], str]) -> "Message":
        """The same without secrets."""


@dataclass(frozen=True)
class RunEnded:
    """How a run ended.

    Attributes:
        pipeline: The pipeline.
        run_id: Its run.
        interval: What the run was for.
        status: SUCCEEDED, WARNING or FAILED.
        environment: Target that was loaded.
        seconds: How long it took.
        message: What failed, in one line.
        tasks: State of every task.
    """

    pipeline: str
    run_id: str
    interval: str
    status: str
    environment: str
    seconds: float
    message: str
    tasks: Mapping[str, str]

    @property
    def title(self) -> str:
        """One line."""
        return f"{self.pipeline} {self.interval}: {self.status.lower()} ({self.environment})"

    @property
    def text(self) -> str:
        """A few lines: what failed, and how to look at it."""
        lines = [self.title, self.message, f"adelt runs {self.run_id}"]
        return "\n".join(line for line in lines if line)

    @property
    def details(self) -> str:
        """The state of every task."""
        return "\n".join(f"  {task}: {state.lower()}" for task, state in self.tasks.items())

    @property
    def body(self) -> Mapping[str, Any]:
        """All of it."""
        return {**asdict(self), "tasks": dict(self.tasks), "title": self.title}

    def cleaned(self, clean: Callable[[str], str]) -> "RunEnded":
        """The same without secrets."""
        return replace(self, message=clean(self.message))


@dataclass(frozen=True)
class BackfillEnded:
    """How the runs of one pipeline in a backfill ended, all together.

    Attributes:
        pipeline: The pipeline.
        backfill_id: The backfill.
        interval: From its first to its last day.
        status: SUCCEEDED, WARNING or FAILED.
        environment: Target that was loaded.
        chunks: How many runs it takes.
        failed: Interval of a run to what went wrong.
    """

    pipeline: str
    backfill_id: str
    interval: str
    status: str
    environment: str
    chunks: int
    failed: Mapping[str, str]

    @property
    def title(self) -> str:
        """One line."""
        return f"backfill of {self.pipeline} {self.interval}: {self.status.lower()} ({self.environment})"

    @property
    def text(self) -> str:
        """The title, what failed as far as a message may be long, and how to look at it."""
        lines = [self.title, f"{self.chunks} chunks, {len(self.failed) or 'none'} failed"]
        lines += _first(f"{interval}: {' '.join(why.split())}" for interval, why in self.failed.items())
        return "\n".join([*lines, f"adelt backfill --status {self.backfill_id}"])

    @property
    def details(self) -> str:
        """There is no more."""
        return ""

    @property
    def body(self) -> Mapping[str, Any]:
        """All of it."""
        return {**asdict(self), "failed": dict(self.failed), "title": self.title}

    def cleaned(self, clean: Callable[[str], str]) -> "BackfillEnded":
        """The same without secrets."""
        return replace(self, failed={interval: clean(why) for interval, why in self.failed.items()})


@dataclass(frozen=True)
class Found:
    """What a task has found in the warehouse.

    Attributes:
        pipeline: The pipeline.
        task: The task.
        run_id: Its run.
        interval: What the run was for.
        environment: Target that was asked.
        alerts: Key and message of each.
    """

    pipeline: str
    task: str
    run_id: str
    interval: str
    environment: str
    alerts: Mapping[str, str]

    @property
    def title(self) -> str:
        """One line."""
        count = len(self.alerts)
        return f"{self.pipeline} {self.interval}: {count} new alert{'s' * (count != 1)} ({self.environment})"

    @property
    def text(self) -> str:
        """The title, and each message on a line, as far as a message may be long."""
        return "\n".join([self.title, *_first(" ".join(one.split()) for one in self.alerts.values())])

    @property
    def details(self) -> str:
        """Where they come from."""
        return f"adelt runs {self.run_id}"

    @property
    def body(self) -> Mapping[str, Any]:
        """All of it."""
        found = [{"key": key, "message": message} for key, message in self.alerts.items()]
        return {**asdict(self), "alerts": found, "title": self.title}

    def cleaned(self, clean: Callable[[str], str]) -> "Found":
        """The same without secrets."""
        return replace(self, alerts={clean(key): clean(message) for key, message in self.alerts.items()})


@dataclass(frozen=True)
class Told:
    """Whether somebody was told.

    Attributes:
        whom: Kind and address, without secrets: `slack #ads-data`.
        error: Why not; empty if they were.
        exit_code: 0 if they were, 1 if trying again may help, 2 if it cannot.
    """

    whom: str
    error: str = ""
    exit_code: int = 0


def _first(found: Iterable[str]) -> list[str]:
    lines = list(found)
    more = len(lines) - MOST_LINES
    return lines[:MOST_LINES] + ([f"and {more} more"] if more > 0 else [])


def tell(pipeline: Pipeline, message: RunEnded | BackfillEnded, here: Settings) -> list[Told]:
    """Tell everyone whom the pipeline names for this end of a run, or of its part of a backfill.

    Args:
        pipeline: The pipeline.
        message: What happened.
        here: Settings, for the secrets.

    Returns:
        Who was told, and who could not be; nothing is raised.
    """
    notices = [
        *(pipeline.on_failure if message.status in _FAILED else ()),
        *(pipeline.on_success if message.status in _SUCCEEDED else ()),
    ]
    return [tell_one(notice, message, here) for notice in notices]


def tell_one(notice: Notice, message: Message, here: Settings) -> Told:
    """Tell one receiver.

    Args:
        notice: Whom; secrets in its address are still templates.
        message: What.
        here: Settings, for the secrets.

    Returns:
        Whether they were told; nothing is raised.
    """
    known = list(settings.secret_values())
    try:
        found = secrets.read([*NOTICE_SECRETS[notice.kind], *_named(notice.address)], here)
        known += found.values()
        address = str(render(notice.address, {"secrets": found}))
        _SENDERS[notice.kind](address, message.cleaned(Redactor(known).clean), found)
    except AdeltError as error:
        return Told(notice.shown, Redactor(known).clean(str(error.what)), error.exit_code)
    except Exception as error:
        return Told(notice.shown, Redactor(known).clean(f"{type(error).__name__}: {error}"), 1)
    return Told(notice.shown)


def _named(address: str) -> list[str]:
    """Secrets that an address refers to."""
    return [path[1] for path in paths(address) if path[0] == "secrets" and len(path) > 1]


def _slack(channel: str, message: Message, found: Mapping[str, str]) -> None:
    # Slack takes <...> as a link, or as a call of everybody in the channel.
    _post(found["SLACK_WEBHOOK_URL"], {"channel": channel, "text": escape(message.text, quote=False)})


def _teams(_channel: str, message: Message, found: Mapping[str, str]) -> None:
    lines = [{"type": "TextBlock", "text": line, "wrap": True} for line in message.text.splitlines()]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{**lines[0], "weight": "bolder"}, *lines[1:]],
    }
    kind = "application/vnd.microsoft.card.adaptive"
    _post(
        found["TEAMS_WEBHOOK_URL"],
        {"type": "message", "attachments": [{"contentType": kind, "content": card}]},
    )


def _webhook(url: str, message: Message, _found: Mapping[str, str]) -> None:
    _post(url, message.body)


def _post(url: str, body: Mapping[str, Any]) -> None:
    import requests  # late: most runs tell nobody

    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError("the address is not a URL that begins with https://")
    try:
        answer = requests.post(url, json=body, timeout=SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        raise AdeltError(f"nobody answered: {type(error).__name__}") from error  # its text has the URL
    if answer.status_code >= 300:
        raise AdeltError(f"the receiver answered {answer.status_code}: {answer.text[:200]}")


def _email(to: str, message: Message, found: Mapping[str, str]) -> None:
    server = urlsplit(found["SMTP_URL"])
    if server.scheme not in ("smtp", "smtps") or not server.hostname:
        raise InputError("SMTP_URL is not smtp://[user:password@]host[:port] or smtps://...")
    mail = EmailMessage()
    mail["Subject"], mail["To"] = message.title, to
    mail["From"] = unquote(server.username) if server.username and "@" in unquote(server.username) else to
    mail.set_content(f"{message.text}\n\n{message.details}\n")
    trusted = ssl.create_default_context()
    with (
        smtplib.SMTP_SSL(server.hostname, server.port or 465, timeout=SECONDS, context=trusted)
        if server.scheme == "smtps"
        else smtplib.SMTP(server.hostname, server.port or 587, timeout=SECONDS)
    ) as smtp:
        smtp.ehlo()
        if server.scheme == "smtp" and smtp.has_extn("starttls"):
            smtp.starttls(context=trusted)
        elif server.scheme == "smtp" and server.username:
            raise AdeltError("the mail server offers no TLS, and a password is not sent without")
        if server.username:
            smtp.login(unquote(server.username), unquote(server.password or ""))
        smtp.send_message(mail)


_Sender = Callable[[str, Message, Mapping[str, str]], None]
_SENDERS: Mapping[str, _Sender] = {"slack": _slack, "teams": _teams, "email": _email, "webhook": _webhook}

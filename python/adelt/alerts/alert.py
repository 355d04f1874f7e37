"""What is told, and how each receiver wants it written."""

import html
from dataclasses import asdict, dataclass, replace
from typing import Any

from adelt.redact import Redactor

_LONGEST = 1_000  # characters of a message; the log has the rest


@dataclass(frozen=True)
class Alert:
    """How a run ended.

    Attributes:
        pipeline: Pipeline.
        run_id: The run.
        status: SUCCEEDED, WARNING or FAILED.
        interval: What it was for.
        target: What it loads.
        seconds: How long it took.
        message: What went wrong.
        tasks: Tasks that failed.
    """

    pipeline: str
    run_id: str
    status: str
    interval: str
    target: str
    seconds: float
    message: str = ""
    tasks: tuple[str, ...] = ()

    def cleaned(self, redactor: Redactor) -> "Alert":
        """The alert without secrets, and not too long."""
        return replace(
            self,
            interval=redactor.clean(self.interval),
            message=redactor.clean(self.message)[:_LONGEST],
            tasks=tuple(redactor.clean(task) for task in self.tasks),
        )

    @property
    def title(self) -> str:
        """The alert in one line."""
        return f"{self.status}: {self.pipeline} for {self.interval} ({self.target})"

    @property
    def lines(self) -> list[str]:
        """Everything else, line by line."""
        found = [f"Failed: {', '.join(self.tasks)}"] if self.tasks else []
        found += [self.message] if self.message else []
        return [*found, f"Took {self.seconds:.0f} s. Look at it with: adelt runs {self.run_id}"]

    @property
    def text(self) -> str:
        """The alert as plain text."""
        return "\n".join((self.title, *self.lines))

    def for_slack(self, channel: str) -> dict[str, Any]:
        """The body of a Slack incoming webhook."""
        # Only old webhooks heed the channel; the others write where they were made for.
        return {"channel": channel, "text": html.escape(self.text, quote=False)}

    def for_teams(self) -> dict[str, Any]:
        """The body of a Teams workflow: a message with an adaptive card."""
        blocks = [{"type": "TextBlock", "text": self.title, "weight": "Bolder", "wrap": True}]
        blocks += [{"type": "TextBlock", "text": line, "wrap": True} for line in self.lines]
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": blocks,
        }
        kind = "application/vnd.microsoft.card.adaptive"
        return {"type": "message", "attachments": [{"contentType": kind, "content": card}]}

    def for_webhook(self) -> dict[str, Any]:
        """The body of a plain webhook: the fields, and the text."""
        return {**asdict(self), "text": self.text}

"""What an alert says to each receiver, and what it never says."""

import json

import pytest

from adelt.alerts import Alert
from adelt.redact import Redactor

SECRET = "open-sesame-77"
ALERT = Alert(
    "p", "run-1", "FAILED", "2026-01-05/2026-01-06", "local", 3.0, f"<b> & {SECRET} " + "x" * 5_000, (f"t[{SECRET}]",)
)  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        lambda alert: alert.for_slack("#a"),
        lambda alert: alert.for_teams(),
        lambda alert: alert.for_webhook(),
        lambda alert: alert.text,
    ],
)
def test_no_receiver_gets_a_secret_or_a_book(body):
    said = json.dumps(body(ALERT.cleaned(Redactor([SECRET]))))
    assert SECRET not in said
    assert "t[***]" in said
    assert len(said) < 4_000


def test_slack_reads_no_markup_in_a_message():
    assert "&lt;b&gt; &amp; " in ALERT.for_slack("#a")["text"]

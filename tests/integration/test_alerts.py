"""Alerts reach real receivers on this machine; no secret is in what they get, and nothing they do changes a run."""

import json
import os
import socket
import ssl
import subprocess
import sys

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from receivers import Hooks, Mails

from adelt import alerts

SECRET = "open-sesame-4711"
INTERVAL = ["--interval", "2026-01-05/2026-01-06"]


@pytest.fixture
def hooks():
    hooks = Hooks(SECRET)
    yield hooks
    hooks.close()


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def post_office(authority):
    """Start a mail server: with TLS, or without."""
    started = []

    def start(*, tls):
        context = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("localhost").configure_cert(context)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        mails = Mails()
        controller = Controller(
            mails, "127.0.0.1", port, tls_context=context, auth_required=tls, auth_require_tls=True,
            authenticator=lambda *a: AuthResult(success=a[4].password == SECRET.encode(), handled=False),
        )  # fmt: skip
        controller.start()
        started.append(controller)
        return mails, port

    yield start
    for controller in started:
        controller.stop()


@pytest.fixture
def run(tmp_path, authority, monkeypatch):
    """Run a pipeline that succeeds or fails and has these notices; what it printed."""
    (tmp_path / "pipelines").mkdir()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    def run(notices, *, fails=True, code=None, **secrets):
        text = f"version: 1\nname: p\ntasks:\n  a: {{run: 'echo {SECRET}; exit {int(fails)}'}}\n{notices}\n"
        (tmp_path / "pipelines" / "p.yml").write_text(text)
        env = {
            **os.environ, "ADELT_PROJECT": str(tmp_path), "ADELT_HOME": str(tmp_path / "home"),
            "SSL_CERT_FILE": str(tmp_path / "ca.pem"), "ADELT_SECRET_KEY": SECRET, **secrets,
        }  # fmt: skip
        command = [sys.executable, "-P", "-m", "adelt", "run", "p", *INTERVAL, "--force"]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == (int(fails) if code is None else code), done.stderr
        said = done.stdout + done.stderr
        assert SECRET not in said
        return said

    def backfill(*, code):
        env = {**os.environ, "ADELT_PROJECT": str(tmp_path), "ADELT_HOME": str(tmp_path / "home")}
        command = [
            sys.executable,
            "-P",
            "-m",
            "adelt",
            "backfill",
            "p",
            "--from",
            "2026-01-01",
            "--to",
            "2026-01-25",
        ]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        return done.stderr

    def recorded():
        env = {**os.environ, "ADELT_PROJECT": str(tmp_path), "ADELT_HOME": str(tmp_path / "home")}
        command = [sys.executable, "-P", "-m", "adelt", "runs", "--json"]
        return json.loads(
            subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=True).stdout
        )[0]["message"]

    run.recorded, run.backfill = recorded, backfill
    return run


def test_slack_is_told_what_failed(run, hooks):
    said = run('on_failure: [{slack: "#ads"}]', SLACK_WEBHOOK_URL=f"{hooks.url}/T0/{SECRET}")
    ((path, body),) = hooks.got
    assert (path, body["channel"]) == (f"/T0/{SECRET}", "#ads")
    title, message, command = body["text"].splitlines()
    assert title == "p 2026-01-05/2026-01-06: failed (local)"
    assert "exit code 1" in message
    assert command.startswith("adelt runs ")
    assert SECRET not in body["text"]
    assert "p: told slack #ads" in said


def test_teams_gets_a_card(run, hooks):
    run("on_failure: [{teams: ads}]", TEAMS_WEBHOOK_URL=hooks.url)
    card = hooks.got[0][1]["attachments"][0]
    assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert card["content"]["body"][0]["text"] == "p 2026-01-05/2026-01-06: failed (local)"
    assert SECRET not in json.dumps(card)


def test_a_webhook_gets_the_run_as_json(run, hooks):
    said = run(f'on_failure: [{{webhook: "{hooks.url}/x?key={{{{ secrets.KEY }}}}"}}]')
    ((path, body),) = hooks.got
    assert path == f"/x?key={SECRET}"
    assert (body["pipeline"], body["status"], body["tasks"]) == ("p", "FAILED", {"a": "FAILED"})
    assert SECRET not in json.dumps(body)
    assert "secrets.KEY" in said


def test_only_the_end_that_came_is_told(run, hooks):
    notices = f"on_failure: [{{webhook: '{hooks.url}/bad'}}]\non_success: [{{webhook: '{hooks.url}/good'}}]"
    run(notices, fails=False)
    run(notices)
    assert [path for path, _ in hooks.got] == ["/good", "/bad"]
    assert hooks.got[0][1]["status"] == "SUCCEEDED"


def test_a_backfill_tells_once_when_it_is_over(run, hooks, tmp_path):
    notices = f"on_failure: [{{webhook: '{hooks.url}/bad'}}]\non_success: [{{webhook: '{hooks.url}/good'}}]"
    run(notices, fails=False)
    hooks.got.clear()
    file = tmp_path / "pipelines" / "p.yml"
    good = file.read_text()
    file.write_text(good.replace("exit 0", "case $ADELT_WINDOW_START in 2026-01-1*) exit 3;; esac"))
    said = run.backfill(code=1)
    ((path, body),) = hooks.got
    assert (path, body["status"], body["chunks"], body["interval"]) == (
        "/bad",
        "FAILED",
        25,
        "2026-01-01/2026-01-26",
    )
    assert list(body["failed"]) == [f"2026-01-{n}/2026-01-{n + 1}" for n in range(10, 20)]
    assert all("exit code 3" in why for why in body["failed"].values())
    assert f"p: told webhook {hooks.url}/bad" in said


def test_a_long_list_of_failures_is_cut(hooks):
    failed = {f"2026-01-{n:02}/x": "broken\nhere" for n in range(1, 26)}
    message = alerts.BackfillEnded("p", "b-1", "2026-01-01/2026-02-01", "FAILED", "local", 31, failed)
    lines = message.text.splitlines()
    assert lines[:3] == [
        "backfill of p 2026-01-01/2026-02-01: failed (local)", "31 chunks, 25 failed", "2026-01-01/x: broken here",
    ]  # fmt: skip
    assert lines[-2:] == ["and 5 more", "adelt backfill --status b-1"]
    assert len(lines) == 2 + alerts.MOST_LINES + 2


def test_mail_goes_over_tls_with_the_password(run, post_office):
    mails, port = post_office(tls=True)
    said = run(
        "on_failure: [{email: ads@example.com}]",
        SMTP_URL=f"smtp://robot%40example.com:{SECRET}@localhost:{port}",
    )
    assert "told email ads@example.com" in said
    ((secure, to, mail),) = mails.got
    assert (secure, to) == (True, ["ads@example.com"])
    assert (mail["Subject"], mail["From"]) == ("p 2026-01-05/2026-01-06: failed (local)", "robot@example.com")
    assert "a: failed" in mail.get_payload()
    assert SECRET not in mail.as_string()


def test_a_password_is_not_sent_without_tls(run, post_office):
    mails, port = post_office(tls=False)
    said = run("on_failure: [{email: a@example.com}]", SMTP_URL=f"smtp://u:{SECRET}@localhost:{port}")
    assert "could not tell email a@example.com: the mail server offers no TLS" in said
    assert mails.got == []
    run("on_failure: [{email: a@example.com}]", SMTP_URL=f"smtp://localhost:{port}")
    assert len(mails.got) == 1


@pytest.mark.parametrize(
    ("notices", "secrets", "why"),
    [
        ('[{slack: "#ads"}]', {}, "the secret `SLACK_WEBHOOK_URL` is not set"),
        (
            '[{slack: "#ads"}]',
            {"SLACK_WEBHOOK_URL": f"http://127.0.0.1:9/{SECRET}"},
            "nobody answered: ConnectionError",
        ),
        ('[{slack: "#ads"}]', {"SLACK_WEBHOOK_URL": f"file:///{SECRET}"}, "not a URL"),
        ("[{email: a@example.com}]", {"SMTP_URL": f"{SECRET}"}, "SMTP_URL is not smtp://"),
        (
            "[{email: a@example.com}]",
            {"SMTP_URL": f"smtp://u:{SECRET}@127.0.0.1:9"},
            "ConnectionRefusedError",
        ),
    ],
)
def test_who_cannot_be_told_is_named_and_the_run_ends_as_it_did(run, notices, secrets, why):
    said = run(f"on_failure: {notices}\non_success: {notices}", fails=False, **secrets)
    assert "p: could not tell " in said
    assert why in said
    assert why in run.recorded()


def test_a_receiver_that_refuses_is_told_without_its_secrets(run, hooks):
    hooks.status = 403
    said = run('on_failure: [{slack: "#ads"}]', SLACK_WEBHOOK_URL=hooks.url)
    assert "could not tell slack #ads: the receiver answered 403: no: ***" in said

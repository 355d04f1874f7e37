"""Alerts: each kind against a real receiver, from a real run; none of them can harm the run or tell a secret."""

import json
import socketserver
import sqlite3
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

PASSWORD = "open-sesame-77"
NAMES = ("slack: '#ads'", "teams: ads", "webhook: MY_HOOK", "email: me@example.com")


@contextmanager
def serving(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def web(status=200):
    """A receiver of webhooks; gives its port and what it got, by path."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, json.loads(body)))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield port, got


@contextmanager
def post_office():
    """A mail server; gives its port and the letters."""
    letters = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 hello\r\n")
            while line := self.rfile.readline().decode().strip():
                if line.upper() == "DATA":
                    self.wfile.write(b"354 go on\r\n")
                    text = ""
                    while (part := self.rfile.readline().decode()) != ".\r\n":
                        text += part
                    letters.append(text)
                self.wfile.write(b"221 bye\r\n" if line.upper() == "QUIT" else b"250 fine\r\n")

    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        yield port, letters


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("ADELT_PROJECT", str(tmp_path))
    monkeypatch.setenv("ADELT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MY_PASSWORD", PASSWORD)
    for name in ("SLACK_WEBHOOK_URL", "TEAMS_WEBHOOK_URL", "MY_HOOK", "SMTP_URL", "ADELT_WAREHOUSE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "pipelines").mkdir()

    def go(command, notices=NAMES, when="on_failure", code=0):
        told = "".join(f"  - {{{notice}}}\n" for notice in notices)
        text = f"version: 1\nname: p\ntasks:\n  t:\n    run: {json.dumps(command)}\n{when}:\n{told}"
        (tmp_path / "pipelines" / "p.yml").write_text(text, "utf-8")
        words = [sys.executable, "-P", "-m", "adelt", "run", "p", "--date", "2026-01-05", "--json"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=90)
        assert done.returncode == code, done.stdout + done.stderr
        with sqlite3.connect(tmp_path / "home" / "ledger.sqlite") as con:
            (message,) = con.execute("SELECT message FROM pipeline_run").fetchone()
        return json.loads(done.stdout)[0], message

    return go


FAIL = ["python", "-c", f"raise SystemExit('no: {PASSWORD}')"]


def test_everybody_is_told_once_without_the_secret(run, monkeypatch):
    with web() as (port, got), post_office() as (mail, letters):
        for name, path in (("SLACK_WEBHOOK_URL", "s"), ("TEAMS_WEBHOOK_URL", "t"), ("MY_HOOK", "w")):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}/{path}")
        monkeypatch.setenv("SMTP_URL", f"smtp://127.0.0.1:{mail}?from=adelt@example.com")
        result, message = run(FAIL, code=1)
    bodies = dict(got)
    assert len(got) == 3
    assert "not sent" not in message
    assert bodies["/s"]["text"].startswith("FAILED: p for 2026-01-05/2026-01-06 (local)")
    assert bodies["/t"]["attachments"][0]["content"]["body"][0]["text"].startswith("FAILED: p")
    assert (bodies["/w"]["run_id"], bodies["/w"]["tasks"]) == (result["run_id"], ["t"])
    (letter,) = letters
    assert "Subject: FAILED: p for 2026-01-05" in letter
    assert "To: me@example.com" in letter
    assert PASSWORD not in json.dumps(got) + letter


def test_success_is_told_to_those_who_want_it(run, monkeypatch):
    with web() as (port, got):
        monkeypatch.setenv("MY_HOOK", f"http://127.0.0.1:{port}/x")
        run(["true"], ("webhook: MY_HOOK",), "on_success")
        assert [body["status"] for _, body in got] == ["SUCCEEDED"]


def test_an_alert_that_fails_does_not_fail_the_run_and_is_recorded(run, monkeypatch):
    with web(status=500) as (port, _):
        monkeypatch.setenv("SLACK_WEBHOOK_URL", f"http://127.0.0.1:{port}/T0/secretpath")
        monkeypatch.setenv("TEAMS_WEBHOOK_URL", "http://127.0.0.1:1/secretpath")
        monkeypatch.setenv("MY_HOOK", "http://elsewhere.example/secretpath")
        result, message = run(["true"], when="on_success")
    assert result["status"] == "SUCCEEDED"
    assert result["message"] == message
    assert "the slack alert was not sent: the answer was 500" in message
    assert "the teams alert was not sent: ConnectionError" in message
    assert "the webhook alert was not sent: its address does not begin with https://" in message
    assert "the email alert was not sent: the secret `SMTP_URL` is not set" in message
    assert "secretpath" not in message

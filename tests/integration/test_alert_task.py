"""The action `alert`: rows of the warehouse reach real receivers here, each once, and no secret does."""

import itertools
import json
import os
import socket
import sqlite3
import subprocess
import sys

import duckdb
import pytest
import yaml
from aiosmtpd.controller import Controller
from receivers import Hooks, Mails

SECRET = "open-sesame-4711"


@pytest.fixture
def hooks():
    hooks = Hooks(SECRET)
    yield hooks
    hooks.close()


@pytest.fixture
def mails():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    mails = Mails()
    controller = Controller(mails, "127.0.0.1", port)
    controller.start()
    mails.url = f"smtp://127.0.0.1:{port}"
    yield mails
    controller.stop()


@pytest.fixture
def alert(tmp_path):
    """Put rows into a table and do a task that tells of them; its exit code and what it said."""
    (tmp_path / "pipelines").mkdir()
    runs = itertools.count(1)

    def alert(rows, to, *, day=5, key="key", sql="select * from f", **secrets):
        task = {"alert": {"sql": sql, "key": key, "to": to}}
        inputs = {"path": {"type": "string", "default": "there"}}
        definition = {"version": 1, "name": "p", "inputs": inputs, "tasks": {"alert": task}}
        (tmp_path / "pipelines" / "p.yml").write_text(yaml.safe_dump(definition))
        with duckdb.connect(str(tmp_path / "w.duckdb")) as con:
            con.execute("CREATE OR REPLACE TABLE f (key TEXT, message TEXT)")
            con.executemany("INSERT INTO f VALUES (?, ?)", rows)
        env = {
            **os.environ, "ADELT_PROJECT": str(tmp_path), "ADELT_HOME": str(tmp_path / "home"),
            "ADELT_WAREHOUSE": str(tmp_path / "w.duckdb"), "ADELT_SECRET_KEY": SECRET, **secrets,
        }  # fmt: skip
        words = [
            "--interval",
            f"2026-01-{day:02}/2026-01-{day + 1:02}",
            "--run-id",
            f"r{next(runs)}",
            "--force",
        ]
        command = [sys.executable, "-P", "-m", "adelt", "task", "p.alert", *words]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        said = done.stdout + done.stderr
        assert SECRET not in said
        return done.returncode, said

    return alert


def test_each_receiver_is_told_of_each_row_once(alert, hooks):
    one = {"webhook": f"{hooks.url}/{{{{ inputs.path }}}}"}
    two = {"webhook": f"{hooks.url}/b?k={{{{ secrets.KEY }}}}"}
    assert alert([("x", "x broke"), ("y", f"y broke with {SECRET}")], [one])[0] == 0
    ((path, body),) = hooks.got
    assert path == "/there"
    assert body["title"] == "p 2026-01-05/2026-01-06: 2 new alerts (local)"
    assert body["alerts"] == [
        {"key": "x", "message": "x broke"},
        {"key": "y", "message": "y broke with ***"},
    ]
    hooks.got.clear()

    assert alert([("x", "x broke again"), ("z", "z too")], [one, two], day=6)[0] == 0
    told = {path: [one["key"] for one in body["alerts"]] for path, body in hooks.got}
    assert told == {"/there": ["z"], f"/b?k={SECRET}": ["x", "z"]}
    hooks.got.clear()

    code, said = alert([("x", "x"), ("y", "y")], [one], day=6)
    assert (code, hooks.got) == (0, [])
    assert "2 found, 0 new" in said


def test_every_kind_of_receiver_gets_it_in_its_own_form(alert, hooks, mails, tmp_path):
    to = [{"slack": "#ads"}, {"teams": "ads"}, {"email": "ads@example.com"}]
    rows = [(f"k{number:02}", f"table {number} is empty") for number in range(24)] + [
        ("a", "a < b & <!here>")
    ]
    code, said = alert(
        rows, to,
        SLACK_WEBHOOK_URL=f"{hooks.url}/slack/{SECRET}", TEAMS_WEBHOOK_URL=f"{hooks.url}/teams",
        SMTP_URL=mails.url,
    )  # fmt: skip
    assert code == 0, said
    got = dict(hooks.got)
    text = got[f"/slack/{SECRET}"]["text"].splitlines()
    assert text[0] == "p 2026-01-05/2026-01-06: 25 new alerts (local)"
    assert text[1:3] == ["a &lt; b &amp; &lt;!here&gt;", "table 0 is empty"]  # nobody is called by a row
    assert (len(text), text[-1]) == (22, "and 5 more")
    text[1] = "a < b & <!here>"
    card = got["/teams"]["attachments"][0]["content"]["body"]
    assert [block["text"] for block in card] == text
    ((_, to, mail),) = mails.got
    assert (to, mail["Subject"]) == (["ads@example.com"], text[0])
    assert mail.get_payload().splitlines()[:-2] == text
    assert SECRET not in json.dumps(got["/teams"]) + str(text) + mail.as_string()
    with sqlite3.connect(tmp_path / "home" / "ledger.sqlite") as con:
        told = con.execute("SELECT asset, count(*) FROM operation WHERE kind = 'ALERT' GROUP BY 1 ORDER BY 1")
        assert told.fetchall() == [("email ads@example.com", 25), ("slack #ads", 25), ("teams ads", 25)]
        assert con.execute("SELECT id FROM asset WHERE id LIKE 'slack%'").fetchall() == []


def test_who_could_not_be_told_is_told_the_next_time_and_nobody_else(alert, hooks):
    to = [{"webhook": f"{hooks.url}/a"}, {"slack": "#ads"}]
    code, said = alert([("x", "x")], to, SLACK_WEBHOOK_URL="http://127.0.0.1:9/")
    assert code == 1
    assert "could not tell slack #ads: nobody answered" in said
    assert [path for path, _ in hooks.got] == ["/a"]
    code, said = alert([("x", "x")], to, SLACK_WEBHOOK_URL=f"{hooks.url}/slack")
    assert code == 0, said
    assert [path for path, _ in hooks.got] == ["/a", "/slack"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"rows": [(None, "x")]}, "a row has no `key`"),
        ({"key": "id"}, "the query does not work"),
        ({"sql": "select * from nowhere"}, "the query does not work"),
        ({"to": [{"slack": "#ads"}]}, "the secret `SLACK_WEBHOOK_URL` is not set"),
    ],
    ids=["no key", "no such column", "no such table", "no address"],
)
def test_what_cannot_work_is_told_and_not_retried(alert, hooks, given, why):
    code, said = alert(**{"rows": [("x", "x")], "to": [{"webhook": hooks.url}], **given})
    assert (code, hooks.got) == (2, [])
    assert why in said


def test_without_receivers_the_log_has_it_and_later_ones_are_told(alert, hooks):
    code, said = alert([("x", "x broke")], [])
    assert (code, "x broke" in said, "1 found; nobody is to be told" in said) == (0, True, True)
    alert([("x", "x broke")], [{"webhook": hooks.url}])
    assert len(hooks.got) == 1

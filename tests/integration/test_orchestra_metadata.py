"""The source of run histories: from our own server, and from one that is busy, refuses, or answers nonsense."""

import json
import socket
import threading
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import duckdb
import pytest
from history import RUNS, fill, listening

from adelt import settings
from adelt.serve.app import BASE
from adelt_sources.errors import InputError, SourceError
from adelt_sources.ingest import Ingest, ingest
from adelt_sources.run import Patience
from adelt_sources.warehouse import DuckDb

TOKEN = "0123456789abcdef-token"
DAYS = (date(2026, 1, 1), date(2026, 1, 11))  # more than the seven that one request may ask for
IMPATIENT = Patience(retry_min=0.01, retry_max=0.05, attempts=3)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    fill(folder)
    return folder


@pytest.fixture
def bring(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCHESTRA_API_KEY", TOKEN)

    class Bring:
        def __call__(self, table, url, days=DAYS, run_id="r", **params):
            warehouse = DuckDb(tmp_path / "w.duckdb")
            job = Ingest("orchestra_metadata", table, *days, run_id, warehouse, tmp_path / "work",
                         params={"base_url": url, **params}, patience=IMPATIENT, secret=settings.secret)  # fmt: skip
            return ingest(job)

        def rows(self, sql):
            with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as con:
                return con.execute(sql).fetchall()

    return Bring()


@contextmanager
def scripted(*answers):
    """A server that gives these answers, (status, headers, body), one after the other; and what it was asked."""
    asked, left = [], list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("Authorization")))
            status, headers, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_our_own_history_arrives_whole_and_typed(home, bring):
    with listening(home / "ledger.sqlite", home / "logs", TOKEN) as url:
        for table in ("pipeline_runs", "task_runs", "operations"):
            result = bring(table, url + BASE)
            assert (result.rows, result.warnings) == (RUNS, []), table
        assert bring("assets", url + BASE).rows == 2
        assert bring("pipeline_runs", url + BASE, days=(DAYS[0], date(2026, 1, 3)), run_id="again").rows == 48
    assert bring.rows("SELECT count(*), count(DISTINCT id) FROM raw_ops.pipeline_runs") == [(RUNS, RUNS)]
    assert bring.rows("SELECT count(*) FROM raw_ops.pipeline_runs WHERE _run_id = 'again'") == [(48,)]
    assert bring.rows(
        "SELECT run_status, message, completed_at - started_at = INTERVAL 30 MINUTE, interval_start,"
        " run_inputs ->> 'n', _snapshot_date FROM raw_ops.pipeline_runs WHERE id = 'run-0009'"
    ) == [("FAILED", "it broke", True, date(2026, 1, 1), "9", date(2026, 1, 1))]
    assert bring.rows("SELECT sum(rows_affected) FROM raw_ops.operations") == [(sum(range(RUNS)),)]


def test_the_day_after_the_window_is_replaced_like_any_other(home, bring):
    window = (date(2026, 1, 3), date(2026, 1, 5))
    with listening(home / "ledger.sqlite", home / "logs", TOKEN) as url:
        for run in ("one", "two"):
            assert bring("pipeline_runs", url + BASE, days=window, run_id=run, next_day="true").rows == 72
            assert bring("assets", url + BASE, days=window, run_id=run, next_day="true").rows == 2
    assert bring.rows(
        "SELECT _snapshot_date, count(*), any_value(_run_id) FROM raw_ops.pipeline_runs GROUP BY 1 ORDER BY 1"
    ) == [(date(2026, 1, day), 24, "two") for day in (3, 4, 5)]
    assert bring.rows("SELECT DISTINCT _snapshot_date FROM raw_ops.assets") == [(date(2026, 1, 5),)]


def test_where_nobody_serves_the_error_says_what_to_start(bring):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(InputError) as caught:
            bring("assets", f"http://127.0.0.1:{nobody.getsockname()[1]}")
    assert "no server answers on this machine" in str(caught.value)
    assert "`adelt serve`" in caught.value.fix
    assert "base_url" in caught.value.fix


def test_accounts_do_not_replace_each_other(bring):
    page = {"page": 1, "pageSize": 100, "total": 1, "results": [{"id": "x"}]}
    with scripted((200, {}, page)) as (url, _):
        bring("pipeline_runs", url, days=(DAYS[0], date(2026, 1, 2)), account_id="1")
        bring("pipeline_runs", url, days=(DAYS[0], date(2026, 1, 2)), account_id="2")
    assert bring.rows("SELECT _account_id FROM raw_ops.pipeline_runs ORDER BY 1") == [(1,), (2,)]


def test_it_waits_as_long_as_it_is_told_and_keeps_what_it_does_not_know(bring):
    page = {"page": 1, "pageSize": 100, "total": 1, "results": [{"assetId": "x", "colour": "red"}]}
    with scripted((429, {"Retry-After": "1"}, {}), (503, {}, {}), (200, {}, page)) as (url, asked):
        result = bring("assets", url)
    assert result.rows == 1
    assert len(asked) == 3
    assert {token for _, token in asked} == {f"Bearer {TOKEN}"}
    assert result.seconds["fetch"] >= 1
    assert bring.rows("SELECT _unknown_fields ->> 'colour' FROM raw_ops.assets") == [("red",)]


def test_a_row_that_shifts_to_the_next_page_comes_once(bring):
    first = {"total": 3, "results": [{"assetId": "c"}, {"assetId": "b"}]}
    second = {"total": 4, "results": [{"assetId": "b"}, {"assetId": "a"}]}
    with scripted((200, {}, first), (200, {}, second)) as (url, asked):
        assert bring("assets", url).rows == 3
    assert [path.partition("?")[2] for path, _ in asked] == ["page=1&page_size=100", "page=2&page_size=100"]


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        ((401, {}, {}), InputError, 2),
        ((422, {}, {"detail": []}), SourceError, 2),
        ((503, {}, {}), SourceError, 1),
        ((302, {"Location": "http://127.0.0.1:1/"}, {}), SourceError, 2),
        ((200, {}, b"<html>"), SourceError, 2),
        ((200, {}, {"total": 1, "results": [{"assetName": "no id"}]}), SourceError, 2),
    ],
)
def test_an_answer_that_is_none_is_told_and_nothing_is_loaded(bring, answer, kind, code):
    with scripted(answer) as (url, _), pytest.raises(kind) as caught:
        bring("assets", url)
    assert caught.value.exit_code == code
    assert TOKEN not in str(caught.value)


def test_a_token_is_not_sent_in_the_clear(bring):
    with pytest.raises(InputError, match="not a base URL"):
        bring("assets", "http://orchestra.example")

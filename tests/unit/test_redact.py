"""Secrets do not reach a log."""

import io
import os

from hypothesis import given
from hypothesis import strategies as st

from adelt.redact import CleanStream, Redactor
from adelt.settings import secret_values


def test_known_values_tokens_and_keys_are_hidden():
    clean = Redactor(["hunter2!"]).clean
    assert clean("the password is hunter2!") == "the password is ***"
    assert clean("Authorization: Bearer abcdefgh12345678") == "Authorization: Bearer ***"
    assert clean("ya29.a0AfH6SMBx1234") == "***"
    assert clean("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----") == "***"


def test_a_secret_inside_another_is_hidden_whole():
    assert Redactor(["abcd", "abcdefgh"]).clean("abcdefgh") == "***"


def test_a_secret_is_hidden_as_a_url_writes_it_too():
    clean = Redactor(["p@ss word/1"]).clean
    for written in (
        "p@ss word/1",
        "p%40ss%20word/1",
        "p%40ss%20word%2F1",
        "p%40ss+word%2F1",
        "p%40ss%20word%2f1",
    ):
        assert clean(f"https://api/?key={written}&a=b") == "https://api/?key=***&a=b"


def test_the_password_of_a_url_is_hidden_alone_as_it_is_written_and_as_it_is_sent():
    clean = Redactor(["smtp://me%40acme.com:p%40ss:w0rd@mail.acme.com:587"]).clean
    assert clean("smtp://me%40acme.com:p%40ss:w0rd@mail.acme.com:587") == "***"
    assert clean("535 rejected: p@ss:w0rd") == "535 rejected: ***"
    assert clean("login p%40ss:w0rd at mail.acme.com") == "login *** at mail.acme.com"


def test_a_number_is_hidden_as_a_whole():
    clean = Redactor(["73519824"]).clean
    assert clean("pin=73519824, row 1735198240") == "pin=***, row 1735198240"


def test_which_variables_are_secrets(monkeypatch):
    for name in list(os.environ):
        monkeypatch.delenv(name)
    variables = {
        "API_TOKEN": "73519824", "DB_PASSWORD": "hunter2!", "ADELT_SECRET_PIN": "4711",
        "SMTP_URL": "smtp://me:abcd@mail", "DATABASE_URL": "postgres://me:long-enough@db/x",
        "MAX_TOKENS": "4096", "TOKEN_SECONDS": "3600", "SHORT_PASSWORD": "abc",
        "PROXY": "http://me:pass@proxy:3128", "PLACE": "http://[::1", "HOME": "/home/me",
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert sorted(secret_values()) == ["4711", "73519824", "hunter2!", "long-enough", "smtp://me:abcd@mail"]


@given(st.lists(st.integers(1, 12)))
def test_a_secret_cut_between_writes_is_hidden(cuts):
    text, out = "one hunter2! two\nthree hunter2!", io.StringIO()
    stream = CleanStream(Redactor(["hunter2!"]), out)
    for cut in cuts:
        stream.write(text[:cut])
        text = text[cut:]
        stream.flush()
    stream.write(text)
    stream.finish()
    assert out.getvalue() == "one *** two\nthree ***"

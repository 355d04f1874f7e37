"""Secrets do not reach a log."""

import io

from hypothesis import given
from hypothesis import strategies as st

from adelt.redact import CleanStream, Redactor


def test_known_values_tokens_and_keys_are_hidden():
    clean = Redactor(["hunter2!"]).clean
    assert clean("the password is hunter2!") == "the password is ***"
    assert clean("Authorization: Bearer abcdefgh12345678") == "Authorization: Bearer ***"
    assert clean("ya29.a0AfH6SMBx1234") == "***"
    assert clean("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----") == "***"


def test_a_secret_inside_another_is_hidden_whole():
    assert Redactor(["abcd", "abcdefgh"]).clean("abcdefgh") == "***"


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

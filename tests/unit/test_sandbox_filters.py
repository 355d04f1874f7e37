"""The filter grammar of DV360 lists."""

import pytest

from adelt_sandbox.errors import GoogleError
from adelt_sandbox.filters import Field, at, compile_filter

ROWS = [
    {
        "id": "1",
        "name": "Alpha",
        "status": {"state": "ON"},
        "updateTime": "2026-01-01T00:00:00Z",
        "tags": ["a", "b"],
    },
    {"id": "2", "name": "Beta (x)", "status": {"state": "OFF"}, "updateTime": "2026-01-02T00:00:00Z"},
    {
        "id": "3",
        "name": "Gamma",
        "status": {"state": "ON"},
        "updateTime": "2026-01-03T00:00:00Z",
        "tags": ["b"],
    },
]
FIELDS = {
    "id": Field(at("id")),
    "name": Field(at("name"), ("=", ":")),
    "status.state": Field(at("status.state"), ("=",), "text", frozenset({"ON", "OFF"})),
    "updateTime": Field(at("updateTime"), (">=", "<="), "time"),
    "tags": Field(at("tags"), (":",)),
}


def matching(text: str) -> list[str]:
    test = compile_filter(text, FIELDS)
    return [str(row["id"]) for row in ROWS if test(row)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["1", "2", "3"]),
        ('id="2"', ["2"]),
        ("id=2", ["2"]),
        ('name = "Beta (x)"', ["2"]),
        ('status.state="ON"', ["1", "3"]),
        ('id="1" OR id="3"', ["1", "3"]),
        ('status.state="ON" AND id="3"', ["3"]),
        ('status.state="ON" id="3"', ["3"]),
        ('(id="1" OR id="2") AND status.state="OFF"', ["2"]),
        ('updateTime>="2026-01-02T00:00:00Z"', ["2", "3"]),
        ('updateTime>="2026-01-02T00:00:00Z" AND updateTime<="2026-01-02T12:00:00Z"', ["2"]),
        ('name:"AM"', ["3"]),
        ("tags:b", ["1", "3"]),
    ],
)
def test_a_filter_keeps_the_rows_it_describes(text, expected):
    assert matching(text) == expected


def test_or_binds_tighter_than_and():
    assert matching('status.state="ON" AND id="1" OR id="2"') == ["1"]
    assert matching('(status.state="ON" AND id="1") OR id="2"') == ["1", "2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("color=red", "not a supported field"),
        ("id>=2", "must use the operator"),
        ("updateTime=2026", "must use the operator"),
        ('updateTime>="yesterday"', "not a time"),
        ('status.state="SOMETIMES"', "is not a value"),
        ("id=", "expected a value"),
        ("id", "expected an operator"),
        ('(id="1"', "missing ')'"),
        ('id="1")', "unexpected"),
        ('id="1" AND', "expected a field"),
        ('id="unclosed', "unexpected input"),
        ("id=" + "1" * 500, "no more than 500"),
    ],
)
def test_a_wrong_filter_is_refused_with_a_reason(text, said):
    with pytest.raises(GoogleError, match=r"Invalid filter|Filter must") as caught:
        compile_filter(text, FIELDS)
    assert caught.value.code == 400
    assert said in caught.value.message
    assert caught.value.document()["error"]["status"] == "INVALID_ARGUMENT"

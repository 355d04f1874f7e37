"""Who gets a token, and what the front door does with requests and answers that are wrong."""

import json
import time
from urllib.parse import urlencode

import pytest
from google.auth import crypt, jwt

from adelt_sandbox.auth import ALL_SCOPES, JWT_GRANT, MAIN, Accounts
from adelt_sandbox.errors import GoogleError
from adelt_sandbox.faults import Effect
from adelt_sandbox.frontend import Frontend
from adelt_sandbox.http import Call
from adelt_sandbox.stats import Stats

URL = "http://127.0.0.1:1"
SCOPE = ALL_SCOPES[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def accounts(folder):
    return Accounts(folder, URL)


@pytest.fixture(scope="module")
def key(accounts, folder):
    return json.loads((folder / "credentials.json").read_text())


def assertion(key, **claims):
    now = int(time.time())
    payload = {
        "iss": key["client_email"],
        "aud": key["token_uri"],
        "iat": now,
        "exp": now + 3600,
        "scope": SCOPE,
    }
    signer = crypt.RSASigner.from_service_account_info(key)
    return jwt.encode(signer, {**payload, **claims}).decode()


def ask(accounts, text):
    body = urlencode({"grant_type": JWT_GRANT, "assertion": text}).encode()
    reply = accounts.token(Call("POST", "/token", body=body, base_url=URL))
    return reply.status, json.loads(reply.body)


def test_a_signed_assertion_becomes_a_token_with_its_scopes(accounts, key):
    status, answer = ask(accounts, assertion(key))
    assert status == 200
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)
    call = Call("GET", "/v4/partners", headers={"authorization": f"Bearer {answer['access_token']}"})
    assert accounts.require(call, [SCOPE], "displayvideo.googleapis.com") == MAIN
    with pytest.raises(GoogleError, match="insufficient authentication scopes"):
        accounts.require(call, [ALL_SCOPES[1]], "doubleclickbidmanager.googleapis.com")


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"exp": 1, "iat": 0}, "short-lived"),
        ({"iat": int(time.time()) + 9000, "exp": int(time.time()) + 9600}, "short-lived"),
        ({"exp": int(time.time()) + 90000}, "short-lived"),
        ({"iss": "nobody@example.com"}, "account not found"),
        ({"aud": "http://elsewhere/token"}, "audience"),
        ({"scope": ""}, "scope"),
        ({"iat": "now"}, "iat and exp"),
    ],
)
def test_an_assertion_that_is_wrong_gets_no_token(accounts, key, claims, said):
    status, answer = ask(accounts, assertion(key, **claims))
    assert status == 400
    assert said in answer["error_description"]


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "e30.e30.e30"])
def test_what_is_no_jwt_gets_no_token(accounts, text):
    assert ask(accounts, text)[0] == 400


def test_an_altered_assertion_gets_no_token(accounts, key):
    head, _, signature = assertion(key).split(".")
    other = assertion(key, scope=ALL_SCOPES[1]).split(".")[1]
    assert ask(accounts, f"{head}.{other}.{signature}")[1]["error_description"] == "Invalid JWT Signature."


def test_a_token_ends_with_its_life(folder):
    accounts = Accounts(folder, URL, token_seconds=0)
    call = Call("GET", "/", headers={"authorization": f"Bearer {accounts.issue(MAIN, [SCOPE])}"})
    with pytest.raises(GoogleError, match="invalid authentication credentials") as caught:
        accounts.require(call, [SCOPE], "displayvideo.googleapis.com")
    assert caught.value.details[0]["reason"] == "ACCESS_TOKEN_EXPIRED"


def test_a_self_signed_token_works_like_one_that_was_issued(accounts, key):
    call = Call("GET", "/", headers={"authorization": f"Bearer {assertion(key)}"})
    assert accounts.require(call, [SCOPE], "displayvideo.googleapis.com") == MAIN


def test_the_key_survives_a_restart(folder, key):
    Accounts(folder, "http://127.0.0.1:2")
    again = json.loads((folder / "credentials.json").read_text())
    assert again["private_key"] == key["private_key"]
    assert again["token_uri"] == "http://127.0.0.1:2/token"


def test_key_files_are_for_their_owner_only(accounts, folder):
    assert {path.stat().st_mode & 0o077 for path in folder.glob("credentials*.json")} == {0}


class _Careless:
    """A service that answers with a number where the schema wants an int64 string."""

    def call(self, request):
        return {"partners": [{"partnerId": 5}]}


def test_an_answer_against_its_schema_is_a_500_and_on_record(accounts):
    stats = Stats()
    frontend = Frontend(accounts, stats, {"displayvideo": _Careless()})
    token = accounts.issue(MAIN, [SCOPE])
    call = Call("GET", "/v4/partners", headers={"authorization": f"Bearer {token}"})
    with pytest.raises(GoogleError, match="against its schema") as caught:
        frontend.answer("displayvideo", call, Effect())
    assert caught.value.code == 500
    assert "partners[0].partnerId" in stats.state()["problems"][0]

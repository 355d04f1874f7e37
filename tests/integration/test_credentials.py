"""Credentials and acting as another account, against the sandbox's OAuth and IAM servers."""

import json
from datetime import date

import pytest

import adelt_sandbox
from adelt_sources.credentials import CLOUD, account, credentials, granted, refreshed
from adelt_sources.erf_files import ErfStore
from adelt_sources.errors import InputError, SourceError
from adelt_sources.google import Google
from adelt_sources.run import Patience, Run

DV = "https://www.googleapis.com/auth/display-video"
RUNNER = "runner@sandbox.iam.gserviceaccount.com"


@pytest.fixture(scope="module")
def sandbox():
    with adelt_sandbox.running() as running:
        yield running


@pytest.fixture
def env(sandbox, monkeypatch):
    """The main account's key; no faults are left over."""
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    yield monkeypatch
    sandbox.set_faults([])


def test_a_key_file_gives_a_token_with_the_scopes_that_were_asked(env):
    found = credentials([DV])
    refreshed(found)
    assert granted(found) == {DV}
    assert account(found).email == "adelt@sandbox.iam.gserviceaccount.com"
    assert account(found).kind == "key file of a service account"


def test_a_user_account_is_told_apart(env, sandbox):
    env.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(sandbox.state_dir / "credentials-user.json"))
    assert account(credentials([DV])).kind == "user account"  # google-auth asks only Google for its tokens


def test_credentials_may_act_as_another_account(env):
    found = credentials([DV, CLOUD], RUNNER)
    refreshed(found)
    assert granted(found) == {DV, CLOUD}
    assert (account(found).kind, account(found).email) == ("impersonated service account", RUNNER)


def test_who_may_not_act_as_another_account_is_told_the_role(env, sandbox):
    env.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(sandbox.other_credentials))
    with pytest.raises(InputError) as caught:
        refreshed(credentials([CLOUD], RUNNER))
    assert "iam.serviceAccounts.getAccessToken" in caught.value.what
    assert "roles/iam.serviceAccountTokenCreator" in caught.value.fix


def test_an_account_that_does_not_exist_cannot_be_acted_as(env):
    with pytest.raises(InputError, match="Gaia id not found for email nobody"):
        refreshed(credentials([CLOUD], "nobody@example.com"))


@pytest.mark.parametrize("impersonate", ["", RUNNER])
@pytest.mark.parametrize(
    "content", [None, "", "{}", "not json", '{"type": "service_account"}', '{"type": "martian"}']
)
def test_missing_and_malformed_key_files_name_the_variable(env, tmp_path, content, impersonate):
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
    env.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(InputError) as caught:
        credentials([CLOUD], impersonate)
    assert caught.value.where == "GOOGLE_APPLICATION_CREDENTIALS"
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.fix
    assert caught.value.exit_code == 2


def test_a_key_that_was_deleted_is_refused(env, sandbox, tmp_path):
    key = json.loads(sandbox.credentials.read_text())
    key["private_key"] = json.loads(sandbox.other_credentials.read_text())["private_key"]
    (tmp_path / "key.json").write_text(json.dumps(key))
    env.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(InputError, match="Invalid JWT Signature") as caught:
        refreshed(credentials([CLOUD]))
    assert "a key may have been deleted" in caught.value.fix


def test_a_revoked_token_is_not_known(env, sandbox):
    found = credentials([CLOUD])
    refreshed(found)
    sandbox.request("POST", "/sandbox/revoke")
    with pytest.raises(InputError, match="the token is not known"):
        granted(found)


def test_a_server_that_is_down_may_be_asked_again(env, sandbox):
    found = credentials([CLOUD])
    refreshed(found)
    sandbox.set_faults([{"match": {"path": "/token"}, "fault": "http", "status": 503}])
    with pytest.raises(SourceError) as caught:
        granted(found)
    assert caught.value.exit_code == 1
    assert found.token not in str(caught.value)


def test_the_marketing_apis_are_called_as_the_other_account(env, sandbox, tmp_path):
    def partners(key, impersonate):
        env.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
        google = Google(
            Run(
                "r", date(2026, 1, 1), date(2026, 1, 2), {}, tmp_path, Patience(attempts=1), sandbox.url,
                lambda _: None, impersonate=impersonate,
            )
        )  # fmt: skip
        answer = google.execute(google.service("displayvideo").partners().list())
        return [partner["partnerId"] for partner in answer["partners"]]

    assert partners(sandbox.credentials, RUNNER) == partners(sandbox.credentials, "")
    with pytest.raises(InputError, match="getAccessToken"):
        partners(sandbox.other_credentials, RUNNER)


def test_entity_read_files_are_read_as_the_other_account(env, sandbox, tmp_path):
    """The sandbox lets anonymous readers in, so what shows is who is asked for a token."""
    env.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(sandbox.other_credentials))
    run = Run(
        "r", date(2024, 10, 30), date(2024, 10, 31), {}, tmp_path, Patience(attempts=1), sandbox.url,
        lambda _: None, impersonate=RUNNER,
    )  # fmt: skip
    with pytest.raises(InputError, match="getAccessToken"):
        ErfStore(run)

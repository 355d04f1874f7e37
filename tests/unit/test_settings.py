"""Settings come from the environment, and from nowhere else."""

import pytest

from adelt import settings
from adelt.errors import InputError
from adelt_sources.warehouse import DuckDb


@pytest.fixture
def env(monkeypatch, tmp_path):
    """A clean environment in an empty folder."""
    for name in (
        "PROJECT",
        "HOME",
        "WAREHOUSE",
        "TARGET",
        "GOOGLE_ENDPOINT",
        "POLL_MIN",
        "ATTEMPTS",
        "LANDING",
        "LANDING_DAYS",
        "BUCKET",
        "BIGQUERY_PROJECT",
    ):
        monkeypatch.delenv(f"ADELT_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def test_everything_has_a_default(env, tmp_path):
    here = settings.load()
    assert here.home == tmp_path / ".adelt"
    assert here.warehouse == DuckDb(tmp_path / ".adelt" / "warehouse.duckdb")
    assert (here.target, here.google_endpoint, dict(here.patience)) == ("local", None, {})


def test_variables_decide(env, tmp_path):
    env.setenv("ADELT_HOME", "h")
    env.setenv("ADELT_WAREHOUSE", "w.duckdb")
    env.setenv("ADELT_GOOGLE_ENDPOINT", "http://localhost:1/")
    env.setenv("ADELT_POLL_MIN", "0.5")
    here = settings.load()
    assert (here.home, here.warehouse) == (tmp_path / "h", DuckDb(tmp_path / "w.duckdb"))
    assert (here.google_endpoint, here.patience["poll_min"]) == ("http://localhost:1", 0.5)


def test_an_unknown_target_is_an_error(env):
    env.setenv("ADELT_TARGET", "mars")
    with pytest.raises(InputError, match="there is no target `mars`"):
        settings.load()


@pytest.mark.parametrize("text", ["soon", "-1"])
def test_a_number_must_be_one(env, text):
    env.setenv("ADELT_POLL_MIN", text)
    with pytest.raises(InputError, match="not a number of seconds"):
        settings.load()


def test_what_a_runner_hands_over_is_not_seen_by_programs(env):
    env.setenv("ADELT_EVENTS_FD", "7")
    assert settings.take_handover().events == 7
    assert "ADELT_EVENTS_FD" not in settings.child_environment({})


def test_evidence_is_kept_in_the_targets_bucket_or_where_it_is_told(env, tmp_path):
    assert (settings.load().landing, settings.load().landing_days) == ("", 400)
    env.setenv("ADELT_LANDING", "kept")
    env.setenv("ADELT_LANDING_DAYS", "30")
    assert (settings.load().landing, settings.load().landing_days) == (str(tmp_path / "kept"), 30)
    env.setenv("ADELT_LANDING", "gs://b/kept/")
    assert settings.load().landing == "gs://b/kept"
    env.delenv("ADELT_LANDING")
    env.setenv("ADELT_BIGQUERY_PROJECT", "p")
    assert settings.load("bigquery").landing == ""
    env.setenv("ADELT_BUCKET", "b")
    assert settings.load("bigquery").landing == "gs://b/landing"
    env.setenv("ADELT_LANDING", "off")
    assert settings.load("bigquery").landing == ""
    env.setenv("ADELT_LANDING_DAYS", "long")
    with pytest.raises(InputError, match="not a number of days"):
        settings.load()

"""Checks of Google's side: the clock, credentials, scopes, and each API that the sources call."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from adelt.doctor.check import Check
from adelt.settings import Settings
from adelt_sources.credentials import CLOUD, Account, account, credentials, granted, refreshed
from adelt_sources.errors import InputError
from adelt_sources.google import Google, scopes_of
from adelt_sources.probe import clock_offset, may_list
from adelt_sources.run import Patience, Run

_WARN_SECONDS, _MOST_SECONDS = 60, 300  # Google refuses requests for tokens that are five minutes off
APIS = {
    "displayvideo": "Display & Video 360",
    "doubleclickbidmanager": "Bid Manager",
    "dfareporting": "Campaign Manager 360",
}
_LOGIN = "gcloud auth application-default login --scopes="
_SHOWN = 5


@dataclass
class Session:
    """What the checks of Google share.

    Attributes:
        here: Settings.
        clock: Says the time, in seconds since 1970.
        partners: Partners that the credentials see, once that was asked.
    """

    here: Settings
    clock: Callable[[], float]
    partners: list[str] = field(default_factory=list)
    _google: Google | None = None

    @property
    def google(self) -> Google:
        """The clients of the marketing APIs; impatient, because somebody waits for the answer."""
        if self._google is None:
            run = Run(
                id="doctor",
                start=date.min,
                end=date.min,
                params={},
                work_dir=Path(),
                patience=Patience(attempts=2, retry_min=0.5, retry_max=2),
                google_endpoint=self.here.google_endpoint,
                tell=lambda _: None,
                impersonate=self.here.impersonate,
            )
            self._google = Google(run)
        return self._google


def clock(session: Session) -> Check:
    """Whether this machine's clock agrees with Google's."""
    offset = clock_offset(session.here.google_endpoint, session.clock)
    seconds = max(0.0, abs(offset) - 1)  # Google says the time in whole seconds
    detail = f"{seconds:.0f} s {'ahead of' if offset > 0 else 'behind'} Google's"
    fix = "set the clock, or let it be set: timedatectl set-ntp true"
    if seconds > _MOST_SECONDS:
        return Check("clock", "fail", f"{detail}; Google refuses tokens from {_MOST_SECONDS} s on", fix)
    if seconds > _WARN_SECONDS:
        return Check("clock", "warn", detail, fix)
    return Check("clock", "ok", "agrees with Google's" if seconds < 2 else detail)


def identity(session: Session) -> Check:
    """Whether there are credentials that work, and whose they are."""
    found = credentials([CLOUD])
    who = _shown(account(found))
    refreshed(found)
    if not session.here.impersonate:
        return Check("credentials", "ok", who)
    refreshed(credentials([CLOUD], session.here.impersonate), session.here.impersonate)
    return Check("credentials", "ok", f"{who}, acting as {session.here.impersonate}")


def scopes(session: Session) -> Check:
    """Whether the credentials carry what the APIs want."""
    wanted = sorted({scope for api in APIS for scope in scopes_of(api)} | {CLOUD})
    found = credentials(wanted, session.here.impersonate)
    who = account(found)
    try:
        refreshed(found)
        missing = sorted(set(wanted) - granted(found))
    except InputError as error:
        if "scope" not in error.what:
            raise
        return Check("scopes", "fail", error.what, _more_scopes(who, wanted))
    if missing:
        return Check(
            "scopes", "fail", f"missing: {', '.join(map(_short, missing))}", _more_scopes(who, wanted)
        )
    return Check("scopes", "ok", ", ".join(map(_short, wanted)))


def display_video(session: Session) -> Check:
    """Whether the Display & Video 360 API answers, and partners are seen."""
    name, google = "Display & Video 360 API v4", session.google
    service = google.service("displayvideo")
    pages = _enabled(lambda: list(google.pages(service.partners(), "partners")), "displayvideo")
    session.partners = [str(partner["partnerId"]) for page in pages for partner in page]
    if not session.partners:
        return Check(
            name, "warn", "the account sees no partner", "add it as a user in DV360: Partner settings > Users"
        )
    return Check(name, "ok", f"{_counted(len(session.partners), 'partner')}: {_listed(session.partners)}")


def bid_manager(session: Session) -> Check:
    """Whether the Bid Manager API answers."""
    google = session.google
    service = google.service("doubleclickbidmanager")
    _enabled(lambda: google.execute(service.queries().list(pageSize=1)), "doubleclickbidmanager")
    return Check("Bid Manager API v2", "ok", "queries can be listed")


def campaign_manager(session: Session) -> Check:
    """Whether the Campaign Manager 360 API answers, and there is a user profile."""
    name, google = "Campaign Manager 360 API v5", session.google
    service = google.service("dfareporting")
    answer = _enabled(lambda: google.execute(service.userProfiles().list()), "dfareporting")
    profiles = [str(profile["profileId"]) for profile in answer.get("items", [])]
    if not profiles:
        return Check(
            name,
            "warn",
            "the account has no user profile",
            "add it as a user in CM360: Admin > User profiles",
        )
    return Check(name, "ok", f"{_counted(len(profiles), 'user profile')}: {_listed(profiles)}")


def entity_read_files(session: Session) -> Check:
    """Whether the account is in the Google Group of each partner's Entity Read Files; only `dv360_erf` needs it."""
    name = "Entity Read Files"
    if not session.partners:
        return Check(name, "skip", "no partner is known")
    found = {
        partner: may_list(f"gdbm-{partner}", "entity/", session.here.impersonate)
        for partner in session.partners
    }
    refused = [partner for partner, may in found.items() if may is False]
    gone = [partner for partner, may in found.items() if may is None]
    if refused:
        return Check(
            name,
            "warn",
            f"the bucket may not be read of {_counted(len(refused), 'partner')}: {_listed(refused)}",
            "ask for the Google Group in DV360: Partner settings > Basic details > Entity Read Files, and add the account "
            "to that group; only the source dv360_erf needs it",
        )
    if len(gone) == len(found):
        return Check(name, "skip", "there are no such buckets any more: Google ended the feed on 2024-10-31")
    return Check(name, "ok", f"the buckets of {_counted(len(found) - len(gone), 'partner')} can be read")


def _enabled(ask: Callable[[], Any], api: str) -> Any:
    """The answer; says how to enable an API that is not."""
    try:
        return ask()
    except InputError as error:
        if "has not been used in project" in error.what or "is disabled" in error.what:
            fix = f"gcloud services enable {api}.googleapis.com --project=PROJECT, in the project of the service account"
            raise InputError(error.what, where=error.where, fix=fix) from error
        raise


def _more_scopes(who: Account, wanted: list[str]) -> str:
    if who.kind == "user account":
        return _LOGIN + ",".join(wanted)
    if who.kind == "service account of this machine":
        return "the scopes of a machine are set when it is made; act as a service account instead: `impersonate` of the target"
    return "let the server that issues the tokens grant them"


def _shown(who: Account) -> str:
    return f"{who.kind} {who.email}".strip()


def _short(scope: str) -> str:
    return scope.rpartition("/")[2]


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"


def _listed(words: list[str]) -> str:
    return ", ".join(words[:_SHOWN]) + (", ..." if len(words) > _SHOWN else "")

"""Which CM360 accounts the credentials see, and the user profile to reach each through."""

from dataclasses import dataclass

from adelt_sources.errors import InputError
from adelt_sources.google import Google
from adelt_sources.run import Run


@dataclass(frozen=True)
class Profile:
    """A user profile: the key to one account.

    Attributes:
        id: Profile id, in every path of the API.
        account_id: Account it belongs to.
    """

    id: str
    account_id: int


def profiles(run: Run, google: Google, where: str) -> list[Profile]:
    """The profiles to use: those named by `profile_ids`, or the first of each account.

    Raises:
        InputError: There is no profile, or a named one is not among those of the credentials.
    """
    answer = google.execute(google.service("dfareporting").userProfiles().list())
    seen = [Profile(str(item["profileId"]), int(item["accountId"])) for item in answer.get("items", [])]
    wanted = [str(profile) for profile in run.ids("profile_ids")]
    if unknown := set(wanted) - {profile.id for profile in seen}:
        raise InputError(
            f"there is no user profile {sorted(unknown)[0]}",
            where=where,
            fix=f"profiles of these credentials: {', '.join(p.id for p in seen) or 'none'}",
        )
    first_of_account: dict[int, Profile] = {}
    for profile in sorted(seen, key=lambda p: int(p.id)):
        if not wanted or profile.id in wanted:
            first_of_account.setdefault(profile.account_id, profile)
    if not first_of_account:
        raise InputError(
            "the credentials have no CM360 user profile", where=where, fix="add the user to an account"
        )
    return list(first_of_account.values())

"""Campaign Manager 360 API v5: today's entities of every account, one table per invocation."""

from collections.abc import Sequence

from adelt_sources import cm360_accounts, entities
from adelt_sources.catalog import TableSpec
from adelt_sources.cm360_accounts import Profile
from adelt_sources.entities import Pages
from adelt_sources.google import Google
from adelt_sources.run import Evidence, Fetched, Run

PARAMETERS = ("profile_ids",)

_PAGE = 1000
_IDS_PER_REQUEST = 100  # ids travel in the URL


def fetch(run: Run, spec: TableSpec, google: Google) -> Fetched:
    """Read one entity table of each account.

    Parameters of the run: `profile_ids` (default: one user profile for each account the credentials see).

    Raises:
        SourceError: A request was refused or kept failing; nothing is loaded then.
    """
    profiles = cm360_accounts.profiles(run, google, spec.qualified)
    return entities.collect(run, spec, {p.account_id: _pages(spec, google, p) for p in profiles})


def parse(run: Run, spec: TableSpec, files: Sequence[Evidence]) -> Fetched:
    """Convert objects that were kept, without asking the API.

    Raises:
        SourceError: They do not fit the declaration.
    """
    return entities.parse_kept(run, spec, files)


def _pages(spec: TableSpec, google: Google, profile: Profile) -> Pages:
    name = spec.facts["list"]
    collection = getattr(google.service("dfareporting"), name)()
    match spec.facts.get("scope"):
        case "account":
            yield from google.pages(collection, name, profileId=profile.id, ids=[str(profile.account_id)])
        case "advertiser":
            # Without ids this list answers empty; the advertisers name their configurations.
            ids = _floodlight_configurations(google, profile)
            for start in range(0, len(ids), _IDS_PER_REQUEST):
                chunk = ids[start : start + _IDS_PER_REQUEST]
                yield from google.pages(collection, name, profileId=profile.id, ids=chunk)
        case "floodlight_configuration":
            for configuration in _floodlight_configurations(google, profile):
                yield from google.pages(
                    collection,
                    name,
                    profileId=profile.id,
                    floodlightConfigurationId=configuration,
                    maxResults=_PAGE,
                )
        case _:
            yield from google.pages(collection, name, profileId=profile.id, maxResults=_PAGE)


def _floodlight_configurations(google: Google, profile: Profile) -> list[str]:
    advertisers = google.service("dfareporting").advertisers()
    pages = google.pages(advertisers, "advertisers", profileId=profile.id, maxResults=_PAGE)
    ids = {
        row["floodlightConfigurationId"]
        for page in pages
        for row in page
        if "floodlightConfigurationId" in row
    }
    return sorted(ids, key=int)

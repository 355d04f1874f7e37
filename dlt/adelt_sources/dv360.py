"""Display & Video 360 API v4: today's entities of every partner, one table per invocation."""

from collections.abc import Iterator, Sequence
from typing import Any

from adelt_sources import dv360_accounts, entities
from adelt_sources.catalog import TableSpec
from adelt_sources.entities import Pages
from adelt_sources.errors import InputError
from adelt_sources.google import Google
from adelt_sources.run import Evidence, Fetched, Run

PARAMETERS = ("partner_ids",)

# Whether a list leaves archived entities out by default is not documented for every method, so all are asked for.
_STATUSES = " OR ".join(
    f'entityStatus="ENTITY_STATUS_{status}"'
    for status in ("ACTIVE", "ARCHIVED", "DRAFT", "PAUSED", "SCHEDULED_FOR_DELETION")
)
_LINE_ITEMS_PER_REQUEST = 50  # ids travel in the URL


def fetch(run: Run, spec: TableSpec, google: Google) -> Fetched:
    """Read one entity table of each partner.

    Parameters of the run: `partner_ids` (default: all partners the credentials see).

    Raises:
        SourceError: A request was refused or kept failing; nothing is loaded then.
    """
    partners = run.ids("partner_ids") or dv360_accounts.partner_ids(google)
    if not partners:
        raise InputError(
            "the credentials see no partner",
            where=spec.qualified,
            fix="give them access, or name -p partner_ids=...",
        )
    return entities.collect(run, spec, {partner: _pages(spec, google, partner) for partner in partners})


def parse(run: Run, spec: TableSpec, files: Sequence[Evidence]) -> Fetched:
    """Convert objects that were kept, without asking the API.

    Raises:
        SourceError: They do not fit the declaration.
    """
    return entities.parse_kept(run, spec, files)


def _pages(spec: TableSpec, google: Google, partner: int) -> Pages:
    match spec.facts["scope"]:
        case "none":
            service = google.service("displayvideo").partners()
            yield [google.execute(service.get(partnerId=str(partner)))]
        case "partner":
            yield from _list(spec, google, partnerId=str(partner))
        case "advertiser":
            for advertiser in dv360_accounts.advertisers(google, partner):
                yield from _list(spec, google, advertiserId=advertiser["advertiserId"])
        case "line_item":
            for advertiser in dv360_accounts.advertisers(google, partner):
                yield from _targeting(spec, google, advertiser["advertiserId"])
        case "floodlight_group":
            for group in _floodlight_groups(google, partner):
                if "get" in spec.facts:
                    service = google.service("displayvideo").floodlightGroups()
                    yield [google.execute(service.get(floodlightGroupId=group, partnerId=str(partner)))]
                else:
                    yield from _list(spec, google, floodlightGroupId=group, partnerId=str(partner))


def _list(spec: TableSpec, google: Google, **parameters: str) -> Pages:
    resource = google.service("displayvideo")
    for name in spec.facts["list"].split("."):
        resource = getattr(resource, name)()
    if spec.facts.get("all_statuses"):
        parameters["filter"] = _STATUSES
    items = spec.facts["list"].rpartition(".")[2]
    return google.pages(resource, items, pageSize=spec.facts["page_size"], **parameters)


def _targeting(spec: TableSpec, google: Google, advertiser: str) -> Pages:
    line_items = google.service("displayvideo").advertisers().lineItems()
    ids = [
        row["lineItemId"]
        for page in google.pages(
            line_items, "lineItems", advertiserId=advertiser, pageSize=200, filter=_STATUSES
        )
        for row in page
    ]
    for start in range(0, len(ids), _LINE_ITEMS_PER_REQUEST):
        pages = google.pages(
            line_items,
            spec.facts["items"],
            method=spec.facts["method"],
            advertiserId=advertiser,
            lineItemIds=ids[start : start + _LINE_ITEMS_PER_REQUEST],
            pageSize=spec.facts["page_size"],
        )
        for page in pages:
            yield [_flat(advertiser, item) for item in page]


def _flat(advertiser: str, item: dict[str, Any]) -> dict[str, Any]:
    """One assigned option; its single `...Details` message becomes `details`."""
    option = dict(item["assignedTargetingOption"])
    details = {name: option.pop(name) for name in list(option) if name.endswith("Details")}
    flat = {"advertiserId": advertiser, "lineItemId": item["lineItemId"], **option}
    return {**flat, "details": details} if details else flat


def _floodlight_groups(google: Google, partner: int) -> Iterator[str]:
    """Ids of the floodlight groups: there is no list method, the advertisers name them."""
    seen = set()
    for advertiser in dv360_accounts.advertisers(google, partner):
        config = advertiser.get("adServerConfig", {}).get("cmHybridConfig", {}).get("cmFloodlightConfigId")
        if config and config not in seen:
            seen.add(config)
            yield config

"""Which partners and advertisers the credentials see."""

from typing import Any

from adelt_sources.google import Google


def partner_ids(google: Google) -> list[int]:
    """Ids of all partners, in order."""
    partners = google.service("displayvideo").partners()
    return sorted(
        int(row["partnerId"]) for page in google.pages(partners, "partners", pageSize=200) for row in page
    )


def advertisers(google: Google, partner_id: int) -> list[dict[str, Any]]:
    """Advertisers of a partner as the API gives them."""
    service = google.service("displayvideo").advertisers()
    return [
        row
        for page in google.pages(service, "advertisers", partnerId=str(partner_id), pageSize=200)
        for row in page
    ]

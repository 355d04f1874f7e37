"""CM360 entity lists and gets: filters, search, sorting and paging for every list method there is."""

import fnmatch
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from adelt_sandbox.cm_fields import DATES, NOT_FILTERS, RESOURCES, reader
from adelt_sandbox.discovery import Method
from adelt_sandbox.errors import bad_field, not_found
from adelt_sandbox.filters import at
from adelt_sandbox.paging import Paging, listed
from adelt_sandbox.universe import Row, Universe

# Said in the descriptions of parameters without which Google answers with an empty list.
_NEEDED = re.compile(r"for a non-empty result|otherwise an empty list will be returned", re.IGNORECASE)


class Entities:
    """Answers the read methods of CM360's trafficking resources."""

    def __init__(self, universe: Universe, paging: Paging) -> None:
        self._universe = universe
        self._paging = paging

    def page(self, method: Method, values: Mapping[str, Any], account_id: str, as_of: datetime) -> Row:
        """One page of a list."""
        resource = method.short_id.split(".")[0]
        rows = self._filtered(method, resource, values, account_id, as_of)
        size = page_size(method, values)
        by_name = values.get("sortField", "ID") == "NAME"
        rows.sort(
            key=lambda row: (str(row.get("name", "")).lower() if by_name else "", int(row.get("id", 0))),
            reverse=values.get("sortOrder") == "DESCENDING",
        )
        if "maxResults" in method.parameters:
            found, token = self._paging.page(method.id, {**values, "account": account_id}, rows, size)
        else:
            found, token = rows, ""
        kind = method.response[0].lower() + method.response[1:]
        return {"kind": f"dfareporting#{kind}", **listed(method.items[0], found, token)}

    def one(self, method: Method, values: Mapping[str, Any], account_id: str, as_of: datetime) -> Row:
        """One entity by its id."""
        resource = method.short_id.split(".")[0]
        wanted = str(values.get("id", ""))
        for row in self._rows(resource, account_id, as_of):
            if wanted and row.get("id") == wanted:
                return row
        raise not_found(f"{method.response} with ID {wanted or 'given'} was not found.")

    def _rows(self, resource: str, account_id: str, as_of: datetime) -> list[Row]:
        if resource not in RESOURCES:
            return []
        key = "id" if resource == "accounts" else "accountId"
        rows = self._universe.cm360(resource, as_of)
        return [row for row in rows if row.get(key, account_id) == account_id]

    def _filtered(
        self, method: Method, resource: str, values: Mapping[str, Any], account_id: str, as_of: datetime
    ) -> list[Row]:
        needed = [
            name
            for name, spec in method.parameters.items()
            if _NEEDED.search(str(spec.get("description", "")))
        ]
        if needed and not any(values.get(name) for name in needed):
            return []
        rows = self._rows(resource, account_id, as_of)
        for name, value in values.items():
            if name in NOT_FILTERS or method.parameters.get(name, {}).get("location") == "path":
                continue
            rows = self._by(resource, name, value, rows, account_id, as_of)
        if values.get("searchString"):
            pattern = "*" + str(values["searchString"]).lower().strip("*") + "*"
            rows = [
                row
                for row in rows
                if fnmatch.fnmatchcase(str(row.get("name", "")).lower(), pattern)
                or row.get("id") == values["searchString"]
            ]
        return rows

    def _by(
        self, resource: str, name: str, value: Any, rows: list[Row], account_id: str, as_of: datetime
    ) -> list[Row]:
        if name in DATES:
            path, at_least = DATES[name]
            read = at(path)
            return [
                row
                for row in rows
                if any((day >= value) if at_least else (day <= value) for day in map(str, read(row)))
            ]
        if name == "campaignIds" and resource == "sites":
            used = self._used("placements", "campaignId", value, "siteId", account_id, as_of)
            return [row for row in rows if row["id"] in used]
        if name == "campaignId" and resource == "creatives":
            path = "creativeRotation.creativeAssignments.creativeId"
            used = self._used("ads", "campaignId", [value], path, account_id, as_of)
            return [row for row in rows if row["id"] in used]
        read = reader(resource, name)
        if isinstance(value, bool):
            return [row for row in rows if any(map(bool, read(row))) == value]
        wanted = {str(item) for item in (value if isinstance(value, list) else [value])}
        if name == "excludedIds":
            return [row for row in rows if not wanted & set(map(str, read(row)))]
        return [row for row in rows if wanted & set(map(str, read(row)))]

    def _used(
        self, resource: str, by: str, values: list[Any], path: str, account_id: str, as_of: datetime
    ) -> set[str]:
        wanted, read = {str(value) for value in values}, at(path)
        rows = self._rows(resource, account_id, as_of)
        return {str(item) for row in rows if row.get(by) in wanted for item in read(row)}


def page_size(method: Method, values: Mapping[str, Any]) -> int:
    """Items per page: at most the default of the method, as CM360 documents it."""
    limit = int(method.parameters.get("maxResults", {}).get("default", 1000))
    size = int(values.get("maxResults", limit))
    if not 1 <= size <= limit:
        raise bad_field(
            "maxResults", f"Invalid value '{size}'. Values must be within the range: [1, {limit}]"
        )
    return size

"""DV360 API v4: lists and gets over the entities of the world.

Archived entities are listed unless a filter leaves them out. Writing is not offered.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from adelt_sandbox.apicall import ApiCall
from adelt_sandbox.auth import Identity
from adelt_sandbox.clock import Clock
from adelt_sandbox.discovery import Method
from adelt_sandbox.dv_lists import GETS, LISTS, ListSpec
from adelt_sandbox.errors import GoogleError, bad_field, forbidden, not_found
from adelt_sandbox.filters import Field, at, compile_filter
from adelt_sandbox.paging import Paging, listed
from adelt_sandbox.universe import Row, Universe

_ORDER = re.compile(r"\* `([\w.]+)`( \(default\))?")
_EMPTY = ListSpec()


class DisplayVideo:
    """Answers the DV360 API from the world at the instant of the clock."""

    def __init__(self, universe: Universe, clock: Clock, paging: Paging) -> None:
        self._universe = universe
        self._clock = clock
        self._paging = paging

    def call(self, request: ApiCall) -> dict[str, Any]:
        """Answer one method of the API, `advertisers.list` and the like."""
        spec, values, identity = request.method, request.values, request.identity
        method, as_of = spec.short_id, self._clock.now
        if method in GETS:
            return self._get(method, values, identity, as_of)
        if spec.is_list:
            return self._list(request, LISTS.get(method, _EMPTY), as_of)
        if spec.verb == "GET":
            self._scope(values, identity, as_of)
            raise not_found()
        raise GoogleError(501, f"The sandbox only reads: {spec.id} is not offered.")

    def _get(
        self, method: str, values: Mapping[str, Any], identity: Identity, as_of: datetime
    ) -> dict[str, Any]:
        resource, parameter, path = GETS[method]
        scope = self._scope(values, identity, as_of)
        read = at(path)
        for row in self._universe.dv360(resource, as_of):
            if str(values[parameter]) not in map(str, read(row)):
                continue
            if "targetingType" in values and row.get("targetingType") != values["targetingType"]:
                continue
            if resource != "targetingOptions" and not self._visible(resource, row, identity, scope):
                if scope:
                    raise not_found()
                raise forbidden()
            return row
        raise not_found()

    def _list(self, request: ApiCall, spec: ListSpec, as_of: datetime) -> dict[str, Any]:
        method, values, identity = request.method, request.values, request.identity
        low, high, default = method.page_bounds()
        size = int(values.get("pageSize", default) or default)
        if not low <= size <= high:
            raise bad_field("pageSize", f"Page size must be between {low} and {high}, got {size}.")
        self._check_scope(method, spec, values)
        fields = {name: self._with_enum(method, name, item) for name, item in spec.filters.items()}
        test = compile_filter(values.get("filter", ""), fields)
        order, down = self._order(method, spec, values)
        scope = self._scope(values, identity, as_of)
        rows = self._rows(spec, values, identity, scope, as_of) if spec.resource else []
        rows = [row for row in rows if test(row)]
        if order:
            rows.sort(key=lambda row: _sort_key(at(order)(row)), reverse=down)
        page, token = self._paging.page(method.id, request.bound, rows, size)
        return listed(method.items[0], page, token)

    def _rows(
        self,
        spec: ListSpec,
        values: Mapping[str, Any],
        identity: Identity,
        scope: Mapping[str, int],
        as_of: datetime,
    ) -> list[Row]:
        wanted = {path: {str(values[name])} for name, path in spec.match.items()}
        for name, path in spec.many.items():
            wanted[path] = {str(item) for item in values[name]}
        rows = []
        for row in self._universe.dv360(spec.resource, as_of):
            if any(not allowed & set(map(str, at(path)(row))) for path, allowed in wanted.items()):
                continue
            if spec.resource == "targetingOptions" or self._visible(spec.resource, row, identity, scope):
                rows.append(row[spec.unwrap] if spec.unwrap else row)
        return rows

    def _check_scope(self, method: Method, spec: ListSpec, values: Mapping[str, Any]) -> None:
        given = [name for name in ("partnerId", "advertiserId") if values.get(name)]
        if spec.one_scope and len(given) != 1:
            raise bad_field("accessor", "Exactly one of partnerId and advertiserId must be set.")
        if (
            method.short_id in ("advertisers.list", "floodlightGroups.floodlightActivities.list")
            and not given
        ):
            raise bad_field("partnerId", "partnerId is required.")
        if method.short_id == "targetingTypes.targetingOptions.list" and not given:
            raise bad_field("advertiserId", "advertiserId is required.")
        for name in spec.many:
            if not values.get(name):
                raise bad_field(name, f"{name} is required: at least one id.")

    def _scope(self, values: Mapping[str, Any], identity: Identity, as_of: datetime) -> dict[str, int]:
        """Partner and advertiser a request is about, after checking that the caller may see them."""
        scope = {}
        for name in ("partnerId", "advertiserId"):
            if values.get(name):
                scope[name] = int(values[name])
        mine = self._universe.partners_of(identity)
        if "partnerId" in scope and scope["partnerId"] not in mine:
            if scope["partnerId"] not in self._universe.partner_ids:
                raise not_found()
            raise forbidden()
        if "advertiserId" in scope:
            text = str(scope["advertiserId"])
            for row in self._universe.dv360("advertisers", as_of):
                if row["advertiserId"] == text:
                    if int(row["partnerId"]) not in mine:
                        raise forbidden()
                    scope.setdefault("partnerId", int(row["partnerId"]))
                    break
            else:
                raise not_found()
        return scope

    def _visible(self, resource: str, row: Row, identity: Identity, scope: Mapping[str, int]) -> bool:
        """True if a row belongs to what was asked for and to what the caller may see."""
        owner = self._universe.scope(resource, row)
        partner, advertiser = owner.get("partnerId"), owner.get("advertiserId")
        if partner is not None and partner not in self._universe.partners_of(identity):
            return False
        if "advertiserId" in scope and advertiser is not None:
            return advertiser == scope["advertiserId"]
        return partner is None or "partnerId" not in scope or partner == scope["partnerId"]

    def _order(self, method: Method, spec: ListSpec, values: Mapping[str, Any]) -> tuple[str, bool]:
        described = method.parameters.get("orderBy", {}).get("description", "")
        known = {match[1]: bool(match[2]) for match in _ORDER.finditer(described)}
        known |= dict.fromkeys(spec.order, False)
        text = values.get("orderBy", "")
        if not text:
            default = next((name for name, first in known.items() if first), "")
            return default, False
        words = text.split()
        if len(words) > 2 or words[0] not in known or (len(words) == 2 and words[1] != "desc"):
            raise bad_field(
                "orderBy", f"Invalid orderBy {text!r}; use one of {', '.join(known)}, optionally with desc."
            )
        return words[0], len(words) == 2

    def _with_enum(self, method: Method, name: str, item: Field) -> Field:
        """The field with the values its schema allows, so that a wrong one is refused."""
        schema: Mapping[str, Any] = method.api.schema(method.items[1]) if method.items[1] else {}
        for part in name.split("."):
            schema = schema.get("properties", {}).get(part, {})
            if "$ref" in schema:
                schema = method.api.schema(schema["$ref"])
        allowed = frozenset(schema.get("enum", ()))
        return Field(item.read, item.operators, item.kind, allowed) if allowed else item


def _sort_key(values: list[Any]) -> tuple[int, str]:
    text = str(values[0]) if values else ""
    return (int(text), "") if text.isdigit() else (0, text)

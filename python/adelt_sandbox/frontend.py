"""The front door of the Google APIs: which API, who calls, is the request valid, is the answer."""

from collections.abc import Mapping
from typing import Any

from adelt_sandbox import fields
from adelt_sandbox.apicall import ApiCall, Service
from adelt_sandbox.auth import Accounts, Identity
from adelt_sandbox.discovery import APIS, Api, Method, rewritten
from adelt_sandbox.errors import GoogleError, bad_field, not_found
from adelt_sandbox.faults import Effect
from adelt_sandbox.http import Call, Reply, json_reply
from adelt_sandbox.stats import Stats

BARE_PREFIXES = {
    "displayvideo": ("/v4/",),
    "doubleclickbidmanager": ("/v2/queries", "/queries"),
    "dfareporting": ("/dfareporting/v5/", "/userprofiles", "/reports/", "/studio/"),
    "iamcredentials": ("/v1/projects/-/serviceAccounts/",),
    "secretmanager": ("/v1/projects/",),
}
# Taken by the service beside those of its discovery document: google-auth asks for tokens of others with it.
MORE_SCOPES = {"iamcredentials": ("https://www.googleapis.com/auth/iam",)}


class Frontend:
    """Checks requests against the discovery documents and hands them to the services."""

    def __init__(self, accounts: Accounts, stats: Stats, services: Mapping[str, Service]) -> None:
        self._accounts = accounts
        self._stats = stats
        self._services = services
        self._apis = {name: Api(name, version) for name, version in APIS}

    @staticmethod
    def api_of(path: str) -> str:
        """The API a path belongs to, empty if to none."""
        for name, prefixes in BARE_PREFIXES.items():
            if path.startswith(prefixes):
                return name
        return ""

    def discovery(self, call: Call) -> Reply:
        """The discovery documents, pointing at this sandbox."""
        parts = call.plain_path.strip("/").split("/")
        if len(parts) == 6 and parts[:3] == ["discovery", "v1", "apis"] and parts[5] == "rest":
            return json_reply(rewritten(parts[3], parts[4], call.base_url))
        if parts == ["$discovery", "rest"]:
            version = call.param("version")
            names = [name for name, known in APIS if known == version]
            if names:
                return json_reply(rewritten(names[0], version, call.base_url))
        raise not_found(f"The requested URL {call.plain_path} was not found on this server.")

    def answer(self, name: str, call: Call, effect: Effect) -> Reply:
        """Check a request, have it answered, check the answer."""
        api = self._apis[name]
        path = call.path
        path = path[len(api.prefix) :] if path.startswith(api.prefix) else path.lstrip("/")
        method, path_values = api.find(call.method, path)
        identity = self._accounts.require(call, (*method.scopes, *MORE_SCOPES.get(name, ())), api.service)
        values = api.check_parameters(method, path_values, call.query)
        body = call.json_body() if call.method in ("POST", "PUT", "PATCH") else {}
        body = {key: value for key, value in body.items() if value is not None}  # null is "not given"
        api.check_body(method, body)
        if values.get("alt", "json") == "proto":
            raise bad_field("alt", "The sandbox answers in JSON only.")
        if values.get("alt") == "media":
            return self._media(method, values, call, identity)
        mask = fields.parse(values["fields"]) if values.get("fields") else {}
        request = ApiCall(method, values, identity, body, call.base_url, effect)
        document = self._services[name].call(request)
        if effect.duplicate and document.get(method.items[0]):
            items = document[method.items[0]]
            document[method.items[0]] = [*items, items[-1]]
        wrong = api.check_response(method, document)
        if wrong:
            self._stats.problem(f"{method.id}: response does not fit its schema: {'; '.join(wrong[:5])}")
            raise GoogleError(500, f"Internal error encountered: {method.id} answered against its schema.")
        if not method.response and call.method == "DELETE" and name == "dfareporting":
            return Reply(204)
        return json_reply(fields.apply(mask, document))

    def _media(self, method: Method, values: Mapping[str, Any], call: Call, identity: Identity) -> Reply:
        service = self._services[method.api.name]
        media = getattr(service, "media", None)
        if not method.media or media is None:
            raise bad_field("alt", f"Method {method.id} has no media to download.")
        reply: Reply = media(values, identity, call)
        return reply

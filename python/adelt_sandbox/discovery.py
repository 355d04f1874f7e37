"""Google's own description of its APIs decides what the sandbox accepts and what it may answer.

The documents ship inside google-api-python-client; nothing is fetched.
"""

import importlib.util
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from adelt_sandbox.errors import GoogleError, bad_field, not_found

APIS = (
    ("displayvideo", "v4"),
    ("doubleclickbidmanager", "v2"),
    ("dfareporting", "v5"),
    ("iamcredentials", "v1"),
    ("secretmanager", "v1"),
)
INT64 = re.compile(r"-?\d{1,19}")
_RANGE = re.compile(r"between `?(\d+)`? and `?([\d,]+)`?")


@lru_cache(maxsize=16)
def document(name: str, version: str) -> dict[str, Any]:
    """The discovery document of one API, as it ships with the client."""
    spec = importlib.util.find_spec("googleapiclient")
    if spec is None or spec.origin is None:
        raise RuntimeError("google-api-python-client is not installed; the sandbox reads its discovery files")
    folder = Path(spec.origin).parent / "discovery_cache" / "documents"
    path = folder / f"{Path(name).name}.{Path(version).name}.json"
    if not path.is_file():
        raise not_found(f"Not found: API {name} {version}")
    data: dict[str, Any] = json.loads(path.read_text())
    return data


def rewritten(name: str, version: str, base_url: str) -> dict[str, Any]:
    """A discovery document that sends clients to this sandbox."""
    data = dict(document(name, version))
    data["rootUrl"] = f"{base_url}/"
    data["baseUrl"] = f"{base_url}/{data['servicePath']}"
    data.pop("mtlsRootUrl", None)
    return data


@dataclass(frozen=True)
class Method:
    """One method of an API, with everything needed to accept or refuse a request for it."""

    api: "Api"
    id: str
    verb: str
    pattern: re.Pattern[str]
    parameters: Mapping[str, Mapping[str, Any]]
    request: str
    response: str
    scopes: tuple[str, ...]
    media: bool

    @property
    def short_id(self) -> str:
        """The id without the name of the API."""
        return self.id.partition(".")[2]

    @cached_property
    def items(self) -> tuple[str, str]:
        """For list methods: the key of the items and the schema of one item."""
        properties = self.api.schema(self.response).get("properties", {}) if self.response else {}
        arrays = [
            (key, value["items"].get("$ref", ""))
            for key, value in properties.items()
            if value.get("type") == "array"
        ]
        return arrays[0] if arrays else ("", "")

    @property
    def is_list(self) -> bool:
        """True for methods that answer with a list of things."""
        named = self.id.endswith(".list") or "pageToken" in self.parameters
        return self.verb == "GET" and named and bool(self.items[0])

    def page_bounds(self) -> tuple[int, int, int]:
        """Smallest, largest and default page size, read from the description of `pageSize`."""
        text = str(self.parameters.get("pageSize", {}).get("description", ""))
        match = _RANGE.search(text)
        low, high = (int(match[1]), int(match[2].replace(",", ""))) if match else (1, 200)
        default = re.search(r"[Dd]efault\w*(?: is| to| value is)? [`']?(\d+)", text)
        return low, high, int(default[1]) if default else min(100, high)


class Api:
    """One Google API: finds the method of a request, checks requests and answers against its schemas."""

    def __init__(self, name: str, version: str) -> None:
        self.name = name
        self.version = version
        self.document = document(name, version)
        self.service = f"{name}.googleapis.com"
        self.prefix = "/" + self.document["servicePath"]
        self.methods = [self._method(raw) for raw in _walk(self.document)]

    def _method(self, raw: Mapping[str, Any]) -> Method:
        parameters = raw.get("parameters", {})

        def segment(match: re.Match[str]) -> str:
            allowed = str(parameters.get(match[1], {}).get("pattern", "^[^/]+$")).strip("^$")
            return f"(?P<{match[1]}>{allowed.replace('[^/]', '[^/:]')})"

        pattern = re.sub(r"\\\{(?:\\\+)?(\w+)\\\}", segment, re.escape(raw["path"]))
        return Method(
            self,
            raw["id"],
            raw["httpMethod"],
            re.compile(pattern),
            parameters,
            raw.get("request", {}).get("$ref", ""),
            raw.get("response", {}).get("$ref", ""),
            tuple(raw.get("scopes", ())),
            bool(raw.get("supportsMediaDownload")),
        )

    def schema(self, name: str) -> Mapping[str, Any]:
        """One schema by its name."""
        found: Mapping[str, Any] = self.document["schemas"][name]
        return found

    def find(self, verb: str, path: str) -> tuple[Method, dict[str, str]]:
        """The method for a verb and a path relative to the service; 404 or 405 if there is none."""
        allowed = []
        for method in self.methods:
            match = method.pattern.fullmatch(path)
            if match and method.verb == verb:
                values = {key: unquote(value) for key, value in match.groupdict().items()}
                return method, values
            if match:
                allowed.append(method.verb)
        if allowed:
            raise GoogleError(
                405,
                f"Method {verb} is not allowed here; allowed: {', '.join(sorted(set(allowed)))}.",
                headers={"Allow": ", ".join(sorted(set(allowed)))},
            )
        raise not_found(f"The requested URL /{path} was not found on this server.")

    def check_parameters(
        self, method: Method, path_values: Mapping[str, str], query: Sequence[tuple[str, str]]
    ) -> dict[str, Any]:
        """Typed parameters of a request, or a 400 that names the one that is wrong."""
        values: dict[str, Any] = {}
        for name, text in [*path_values.items(), *query]:
            spec = method.parameters.get(name) or self.document["parameters"].get(name)
            if spec is None:
                raise bad_field(
                    name,
                    f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
                    f"Field '{name}' could not be found in request message.",
                )
            value = _typed(name, text, spec)
            if spec.get("repeated"):
                values.setdefault(name, []).append(value)
            elif name in values:
                raise bad_field(name, f"Invalid value at '{name}': the parameter may be given once only.")
            else:
                values[name] = value
        for name, spec in method.parameters.items():
            if spec.get("required") and name not in values:
                raise bad_field(name, f"Required parameter: {name}", f"Required parameter: {name}")
        return values

    def check_body(self, method: Method, body: Mapping[str, Any]) -> None:
        """Refuse a body that does not fit the schema of the request."""
        if not method.request:
            if body:
                raise bad_field("body", "Request body is not allowed for this method.")
            return
        wrong = self.problems({"$ref": method.request}, body)
        if wrong:
            raise GoogleError(
                400,
                "Invalid JSON payload received. " + " ".join(text for _, text in wrong[:3]),
                details=[
                    {
                        "@type": "type.googleapis.com/google.rpc.BadRequest",
                        "fieldViolations": [
                            {"field": field, "description": f"Invalid JSON payload received. {text}"}
                            for field, text in wrong
                        ],
                    }
                ],
            )

    def check_response(self, method: Method, body: Any) -> list[str]:
        """What in an answer does not fit its schema; empty if all is well."""
        if not method.response:
            return []
        return [f"{field}: {text}" for field, text in self.problems({"$ref": method.response}, body)]

    def problems(self, schema: Mapping[str, Any], value: Any, path: str = "") -> list[tuple[str, str]]:
        """Every place where a value does not fit a schema."""
        if "$ref" in schema:
            schema = self.document["schemas"][schema["$ref"]]
        kind = schema.get("type")
        if kind == "object":
            return self._object_problems(schema, value, path)
        if kind == "array":
            if not isinstance(value, list):
                return [(path, f"Invalid value at '{path}' (array), {json.dumps(value)}")]
            found = []
            for index, item in enumerate(value):
                found += self.problems(schema["items"], item, f"{path}[{index}]")
            return found
        return _scalar_problems(schema, value, path)

    def _object_problems(self, schema: Mapping[str, Any], value: Any, path: str) -> list[tuple[str, str]]:
        if not isinstance(value, dict):
            return [(path, f"Invalid value at '{path}' (object), {json.dumps(value)}")]
        properties, extra = schema.get("properties", {}), schema.get("additionalProperties")
        found: list[tuple[str, str]] = []
        for key, item in value.items():
            where = f"{path}.{key}" if path else key
            if key in properties:
                found += self.problems(properties[key], item, where)
            elif extra:
                found += self.problems(extra, item, where)
            else:
                found.append((path, f"Unknown name \"{key}\" at '{path}': Cannot find field."))
        return found


def _walk(resource: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = list(resource.get("methods", {}).values())
    for child in resource.get("resources", {}).values():
        found += _walk(child)
    return found


def _scalar_problems(schema: Mapping[str, Any], value: Any, path: str) -> list[tuple[str, str]]:
    kind, form = schema.get("type"), schema.get("format", "")
    wrong = [(path, f"Invalid value at '{path}' ({form or kind}), {json.dumps(value)}")]
    if kind == "string":
        if not isinstance(value, str):
            return wrong
        if "enum" in schema and value not in schema["enum"]:
            return wrong
        if form in ("int64", "uint64") and not INT64.fullmatch(value):
            return wrong
    elif kind == "integer":
        if isinstance(value, bool) or not isinstance(value, int):
            return wrong
    elif kind == "number":
        if isinstance(value, bool) or not isinstance(value, int | float):
            return wrong
    elif kind == "boolean" and not isinstance(value, bool):
        return wrong
    return []


def _typed(name: str, text: str, spec: Mapping[str, Any]) -> Any:
    kind, form = spec.get("type"), spec.get("format", "")
    refusal = f"Invalid value at '{name}' ({form or kind}), \"{text}\""
    if kind == "integer":
        if not re.fullmatch(r"-?\d{1,10}", text):
            raise bad_field(name, refusal)
        number = int(text)
        if number < int(spec.get("minimum", number)) or number > int(spec.get("maximum", number)):
            raise bad_field(name, f"{refusal}: must be {spec.get('minimum')}..{spec.get('maximum')}")
        return number
    if kind == "boolean":
        if text.lower() not in ("true", "false"):
            raise bad_field(name, refusal)
        return text.lower() == "true"
    if form in ("int64", "uint64") and not INT64.fullmatch(text):
        raise bad_field(name, refusal)
    if "enum" in spec and text not in spec["enum"]:
        raise bad_field(name, refusal)
    return text

"""The JSON Schema of pipeline files, for editors."""

import json
from typing import Any

from adelt.definition.model import Pipeline

PATH = "docs/reference/pipeline.schema.json"


def schema() -> dict[str, Any]:
    """The schema as a JSON value."""
    body = Pipeline.model_json_schema(by_alias=True)
    # A single schedule and a bare SQL text are accepted too; validators that run before the model cannot tell the schema.
    listed = body["properties"]["schedule"]
    single = listed["items"]
    body["properties"]["schedule"] = {"anyOf": [single, listed], "title": "Schedule"}
    sql = body["$defs"]["Task"]["properties"]["sql"]
    sql["anyOf"] = [{"type": "string"}, *sql["anyOf"]]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "pipeline.schema.json",
        **body,
        "title": "adelt pipeline",
    }


def text() -> str:
    """The schema as the text of its file."""
    return json.dumps(schema(), indent=2) + "\n"

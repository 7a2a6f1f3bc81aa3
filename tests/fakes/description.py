"""GitHub's OpenAPI description at work: which operation a request is, and what is wrong with it."""

from __future__ import annotations

import json
import re
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

from tests.fakes.loopback import Request

FILE = Path(__file__).with_name("github-openapi.json")
SERVER = "https://api.github.com"
# The two path parameters that GitHub lets run over slashes.
WITH_SLASHES = frozenset({"path", "ref"})


class UndescribedError(Exception):
    """A reply that GitHub's description does not allow: a defect of the fake."""


@dataclass(frozen=True)
class Operation:
    """One method on one path; `parameters` are the values found in the path."""

    name: str
    template: str
    method: str
    parameters: Mapping[str, str]

    @property
    def path(self) -> str:
        """The path with each parameter as one segment, the way openapi-core reads it."""
        quoted = {name: quote(value, safe="") for name, value in self.parameters.items()}
        return self.template.format(**quoted)


class Description:
    """The trimmed description; building it takes a fifth of a second, so share it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._openapi = OpenAPI.from_dict(dict(document))
        self._patterns = [(_pattern(path), path) for path in sorted(document["paths"])]

    @property
    def operations(self) -> frozenset[str]:
        """The operation ids, such as `issues/create-comment`."""
        paths = self.document["paths"].values()
        return frozenset(item["operationId"] for path in paths for item in path.values())

    def find(self, method: str, path: str) -> Operation | None:
        """Find the operation of a request, None where the description has none."""
        for pattern, template in self._patterns:
            match = pattern.fullmatch(path)
            described = self.document["paths"][template].get(method.lower())
            if match and described:
                values = {name: unquote(value) for name, value in match.groupdict().items()}
                return Operation(described["operationId"], template, method.lower(), values)
        return None

    def request_error(self, operation: Operation, request: Request) -> str | None:
        """Say what GitHub would refuse in this request, None where it is well-formed."""
        try:
            self._openapi.validate_request(_as_openapi(operation, request))
        except OpenAPIError as error:
            return _reason(error)
        return None

    def check_reply(self, operation: Operation, request: Request, status: int, value: Any) -> None:
        """Raise where a reply is not one that the description allows."""
        if str(status) not in self._responses(operation):
            raise UndescribedError(f"{operation.name} never answers {status}")
        if value is None:
            return
        reply = MockResponse(json.dumps(value).encode(), status)
        try:
            self._openapi.validate_response(_as_openapi(operation, request), reply)
        except OpenAPIError as error:
            raise UndescribedError(f"{operation.name} {status}: {_reason(error)}") from error

    def describes(self, operation: Operation, status: int) -> bool:
        """Whether the description says what a reply of this status looks like."""
        return str(status) in self._responses(operation)

    def fill(self, operation: Operation, status: int, facts: Any) -> Any:
        """Our facts, with placeholders for whatever else the reply must hold."""
        response = self.resolve(self._responses(operation)[str(status)])
        return self.complete(response["content"]["application/json"]["schema"], facts)

    def complete(self, schema: Mapping[str, Any], facts: Any) -> Any:
        """Facts completed to a value of this schema; a name the schema lacks is an error."""
        schema = self.resolve(schema)
        if "anyOf" in schema:
            return self.complete(self._choose(schema["anyOf"], facts), facts)
        if isinstance(facts, dict) and "properties" in schema:
            return self._complete_object(schema, facts)
        if isinstance(facts, list) and "items" in schema:
            return [self.complete(schema["items"], item) for item in facts]
        return facts

    def _complete_object(self, schema: Mapping[str, Any], facts: dict[str, Any]) -> Any:
        properties = schema["properties"]
        unknown = set(facts) - set(properties)
        if unknown:
            raise UndescribedError(f"the description knows no field {sorted(unknown)}")
        missing = [name for name in schema.get("required", ()) if name not in facts]
        placeholders = {name: self.placeholder(properties[name]) for name in missing}
        given = {name: self.complete(properties[name], value) for name, value in facts.items()}
        return {**placeholders, **given}

    def placeholder(self, schema: Mapping[str, Any]) -> Any:
        """Make the plainest value of a schema."""
        schema = self.resolve(schema)
        if "anyOf" in schema:
            return self.placeholder(schema["anyOf"][0])
        if schema.get("nullable"):
            return None
        if "enum" in schema:
            return schema["enum"][0]
        if schema.get("type") == "object" or "properties" in schema:
            return self._complete_object({"properties": {}, **schema}, {})
        if schema.get("type") == "string":
            return _STRINGS.get(schema.get("format", ""), "placeholder")
        return {"array": [], "integer": 0, "number": 0, "boolean": False}[schema["type"]]

    def resolve(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follow `$ref`, and lay the parts of `allOf` over each other."""
        while "$ref" in node:
            kind, name = node["$ref"].removeprefix("#/components/").split("/")
            node = self.document["components"][kind][name]
        if "allOf" not in node:
            return node
        parts = [self.resolve(part) for part in node["allOf"]]
        return {
            "type": "object",
            "properties": dict(ChainMap(*(dict(part.get("properties", {})) for part in parts))),
            "required": [name for part in parts for name in part.get("required", ())],
        }

    def _responses(self, operation: Operation) -> Mapping[str, Any]:
        responses: Mapping[str, Any] = self.document["paths"][operation.template][operation.method][
            "responses"
        ]
        return responses

    def _choose(self, choices: list[Mapping[str, Any]], facts: Any) -> Mapping[str, Any]:
        """Find the choice that has the facts' type and knows all their fields."""
        for choice in map(self.resolve, choices):
            if isinstance(facts, dict) and set(facts) <= set(choice.get("properties", ())):
                return choice
            if isinstance(facts, list) == (choice.get("type") == "array") and not isinstance(
                facts, dict
            ):
                return choice
        raise UndescribedError(f"no choice of the description fits {facts!r}")


_STRINGS = {"date-time": "2026-01-01T00:00:00Z", "uri": f"{SERVER}/placeholder"}


def _pattern(template: str) -> re.Pattern[str]:
    """Turn a path template into an expression with named groups."""
    parts = re.split(r"\{(\w+)\}", template)
    for index, part in enumerate(parts):
        if index % 2:
            parts[index] = f"(?P<{part}>{'.+' if part in WITH_SLASHES else '[^/]+'})"
        else:
            parts[index] = re.escape(part)
    return re.compile("".join(parts))


def _as_openapi(operation: Operation, request: Request) -> MockRequest:
    """Turn a request into one that openapi-core takes."""
    return MockRequest(
        SERVER,
        operation.method,
        operation.path,
        args=dict(request.query),
        headers=dict(request.headers),
        data=request.body,
        content_type=request.headers.get("content-type", ""),
    )


def _reason(error: BaseException) -> str:
    """Find the finding; openapi-core wraps it in the whole value, which nobody can read."""
    found = getattr(error.__cause__, "schema_errors", None)
    if not found:
        return str(error)
    return "; ".join(f"{'/'.join(map(str, item.absolute_path))}: {item.message}" for item in found)


@cache
def github() -> Description:
    """Load the committed description of GitHub."""
    return Description(json.loads(FILE.read_text()))

"""The scripted model refuses what the real service refuses; test_codex_action shows the rest."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.fakes.model import FakeModel, says
from tests.fakes.strict_schema import strict_schema_fault


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"type": "object", "properties": {}, "additionalProperties": False}, None),
        ({"type": "array", "items": {}}, "root"),
        ({"type": "object", "properties": {}}, "additionalProperties"),
        (
            {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
            "required",
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "array", "items": {"oneOf": []}}},
                "required": ["a"],
                "additionalProperties": False,
            },
            "schema.a.items: 'oneOf'",
        ),
    ],
)
def test_strict_mode_takes_closed_objects_only(schema: dict[str, Any], fault: str | None) -> None:
    found = strict_schema_fault(schema)
    assert (found is None) if fault is None else (found is not None and fault in found)


def test_the_model_lets_in_its_own_key_only() -> None:
    with FakeModel(says("hello"), key="sk-right") as model:
        connection = http.client.HTTPConnection(urlsplit(model.url).netloc, timeout=10)
        body = json.dumps({"model": "m", "input": []})
        for key, status in (("sk-wrong", 401), ("sk-right", 200)):
            headers = {"Authorization": f"Bearer {key}"}
            connection.request("POST", "/v1/responses", body, headers)
            reply = connection.getresponse()
            assert reply.status == status
            text = reply.read().decode()
        assert "response.completed" in text
        connection.request("GET", "/v1/models")
        assert connection.getresponse().status == 404
        connection.close()
    assert [request.path for request in model.others] == ["/v1/models"]

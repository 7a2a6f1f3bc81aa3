"""The form of an answer: what every answer has, and what single words ask for besides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlactions.schema import load_json, resource


def answer_schema(words: Sequence[str]) -> dict[str, Any]:
    """Return the JSON Schema of an answer about these words; strict mode takes it as it is.

    `actions/<word>/answer.schema.json` holds properties that its answers have besides the common
    ones, all of them required.
    """
    form: dict[str, Any] = load_json(resource("actions/ask/answer.schema.json"))
    for word in dict.fromkeys(words):
        path = resource(f"actions/{word}/answer.schema.json")
        if word != "ask" and path.is_file():
            more = load_json(path)
            form["required"] += more["required"]
            form["properties"] |= more["properties"]
    return form

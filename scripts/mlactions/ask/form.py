"""The form of an answer: what every answer has, and what single words ask for besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlactions.errors import UserError
from mlactions.schema import load_json, resource

PROPOSAL = "proposal"
"""The property that holds what a word wants proposed, in a form and with checks of its own."""


def answer_schema(words: Sequence[str]) -> dict[str, Any]:
    """Return the JSON Schema of an answer about these words; strict mode takes it as it is.

    `actions/<word>/answer.schema.json` holds properties that its answers have besides the common
    ones, all of them required.
    """
    proposer(words)
    form: dict[str, Any] = load_json(resource("actions/ask/answer.schema.json"))
    for word in dict.fromkeys(words):
        more = _more(word)
        form["required"] += more["required"]
        form["properties"] |= more["properties"]
    return form


def proposer(words: Sequence[str]) -> str:
    """Return the word of these that wants a proposal, nothing if none does.

    Raises UserError for two: an answer has room for one.
    """
    found = [word for word in dict.fromkeys(words) if PROPOSAL in _more(word)["properties"]]
    if len(found) > 1:
        raise UserError(
            "two proposals",
            f"{' and '.join(found)} each want a proposal, and an answer holds one.",
            "Ask about each result on its own.",
        )
    return found[0] if found else ""


def _more(word: str) -> Mapping[str, Any]:
    """Return what a word adds to the form."""
    path = resource(f"actions/{word}/answer.schema.json")
    if word == "ask" or not path.is_file():
        return {"required": [], "properties": {}}
    more: Mapping[str, Any] = load_json(path)
    return more

"""What Codex says of its change: a title, a plan, claims. All of it is a claim until checked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlactions.ask.answer import NoAnswerError
from mlactions.errors import UserError
from mlactions.schema import load_json, parse_json, resource

MAX_TITLE, MAX_TEXT, MAX_ITEMS, MAX_MODELS, MAX_COUNT = 120, 4_000, 20, 10, 10**15

FACTORY = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
"""A place to import from, and the name there; ASCII only where it is matched."""


def parse_answer(text: str) -> dict[str, Any]:
    """Parse the answer; its form is checked here, because Codex does not check it.

    Raises NoAnswerError for anything but one JSON object of the agreed form and size.
    """
    try:
        document = parse_json(text, name="answer")
        json.dumps(document, ensure_ascii=False).encode()
    except UserError as error:
        raise NoAnswerError("not-json", f"{error.title}: {error.message}") from None
    except UnicodeEncodeError:
        raise NoAnswerError("not-json", "a text in it is not Unicode") from None
    _check_schema(document)
    for problem in _problems(document):
        raise NoAnswerError("schema-violated", problem)
    return {**document, "title": " ".join(document["title"].split())}


def _check_schema(document: Any) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    form = load_json(resource("actions/propose/change.schema.json"))
    error = best_match(Draft202012Validator(form).iter_errors(document))
    if error is not None:
        place = ".".join(str(part) for part in error.absolute_path) or "the answer"
        raise NoAnswerError("schema-violated", f"{place}: {error.message[:200]}")


def _problems(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what strict mode's schemas cannot say: lengths, and the form of a factory."""
    if not 0 < len(document["title"].split()) <= len(document["title"]) <= MAX_TITLE:
        yield f"the title has no words, or more than {MAX_TITLE} characters"
    if any(len(text) > MAX_TEXT for text in _texts(document)):
        yield f"a text has more than {MAX_TEXT:,} characters"
    for name, most in (("plan", MAX_ITEMS), ("unverified", MAX_ITEMS), ("models", MAX_MODELS)):
        if len(document[name]) > most:
            yield f"{name} has more than {most} entries"
    for name in ("classes", "forward"):
        if len(document[name]) > 5 * MAX_ITEMS:
            yield f"{name} has more than {5 * MAX_ITEMS} entries"
    for model in document["models"]:
        yield from _model_problems(model)


def _model_problems(model: Mapping[str, Any]) -> Iterator[str]:
    if not (model["factory"].isascii() and FACTORY.fullmatch(model["factory"])):
        yield f"models: {model['factory'][:100]!r} is no package.module:name"
    if not 0 <= model["parameters"] <= MAX_COUNT or not -1 <= model["trainable"] <= MAX_COUNT:
        yield f"models: {model['factory'][:100]} has an impossible number of parameters"
    try:
        arguments = parse_json(model["arguments"], name="arguments")
    except UserError:
        arguments = None
    if not isinstance(arguments, dict):
        yield f"models: the arguments of {model['factory'][:100]} are no JSON object"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)

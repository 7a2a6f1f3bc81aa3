"""The one GraphQL mutation this project sends: `minimizeComment`.

GitHub's GraphQL schema is no part of the OpenAPI description, so its rules are written out here.
"""

from __future__ import annotations

import json
import re
from typing import Any

from tests.fakes.github_rules import Call
from tests.fakes.loopback import Reply

CLASSIFIERS = frozenset({"ABUSE", "DUPLICATE", "OFF_TOPIC", "OUTDATED", "RESOLVED", "SPAM"})
INPUT = re.compile(r"\bminimizeComment\s*\(\s*input\s*:\s*(?:\{([^}]*)\}|\$(\w+))\s*\)")
FIELD = re.compile(r'(\w+)\s*:\s*("(?:[^"\\]|\\.)*"|\$?\w+)')


def answer(call: Call) -> Reply:
    """Fold a comment. As on GitHub, a refusal is a 200 with `errors`."""
    body = call.request.json
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        return Reply(400, {"message": "A query attribute must be specified and must be a string."})
    fields = _input(body["query"], body.get("variables") or {})
    if fields is None:
        return _error("undefinedField", "the only mutation known here is minimizeComment(input:)")
    if fields.get("classifier") not in CLASSIFIERS:
        return _error("argumentLiteralsIncompatible", f"no classifier {fields.get('classifier')!r}")
    if not {"issues", "pull_requests"} & call.identity.writes:
        return _error("FORBIDDEN", "Resource not accessible by integration")
    return _minimize(call, str(fields.get("subjectId")), fields["classifier"])


def _minimize(call: Call, subject: str, classifier: str) -> Reply:
    for comment in call.store.comments.values():
        if comment.node_id == subject:
            reason = classifier.lower().replace("_", "-")
            call.store.change_comment(comment.id, minimized=reason)
            folded = {"isMinimized": True, "minimizedReason": reason}
            return Reply(200, {"data": {"minimizeComment": {"minimizedComment": folded}}})
    return _error("NOT_FOUND", f"Could not resolve to a node with the global id of '{subject}'")


def _input(query: str, variables: dict[str, Any]) -> dict[str, Any] | None:
    """Read the mutation's input: literals, variables, or one variable for the whole."""
    match = INPUT.search(query)
    if match is None or not query.lstrip().startswith("mutation"):
        return None
    if match[2]:
        given = variables.get(match[2])
        return given if isinstance(given, dict) else {}
    return {name: _value(text, variables) for name, text in FIELD.findall(match[1])}


def _value(text: str, variables: dict[str, Any]) -> Any:
    if text.startswith("$"):
        return variables.get(text[1:])
    return json.loads(text) if text.startswith('"') else text


def _error(kind: str, message: str) -> Reply:
    return Reply(200, {"data": None, "errors": [{"type": kind, "message": message}]})

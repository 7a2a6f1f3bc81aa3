"""SARIF 2.1.0, as GitHub's code scanning reads it.

Format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html. Limits and fields:
https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from mlactions import __version__
from mlactions.escaping import printable

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
HOME = "https://github.com/codex-ml-actions/codex-ml-actions"
MAX_RESULTS = 5_000
"""GitHub takes 25,000 of a run and shows 5,000, the most severe first."""

MAX_TEXT = 1_000

Level = Literal["error", "warning", "note"]
_ORDER: Mapping[Level, int] = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Rule:
    """One kind of finding. `id` is stable; `help` says in Markdown what to do about it."""

    id: str
    name: str
    text: str
    help: str
    level: Level = "warning"


@dataclass(frozen=True)
class Result:
    """One finding at a line of a file of the repository.

    `subject` names what is wrong, apart from its line and numbers: it tells GitHub that tomorrow's
    finding is the same one.
    """

    rule: str
    level: Level
    text: str
    file: str
    line: int | None
    subject: str


def document(rules: Sequence[Rule], results: Sequence[Result], *, category: str) -> dict[str, Any]:
    """Return a SARIF log with one run. `category` tells several runs on one commit apart."""
    used = [rule for rule in rules if any(result.rule == rule.id for result in results)]
    index = {rule.id: position for position, rule in enumerate(used)}
    shown = sorted(results, key=lambda result: _ORDER[result.level])[:MAX_RESULTS]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "codex-ml-actions",
                        "informationUri": HOME,
                        "semanticVersion": __version__,
                        "rules": [_rule(rule) for rule in used],
                    }
                },
                "automationDetails": {"id": f"{category}/"},
                "columnKind": "utf16CodeUnits",
                "results": [_result(result, index[result.rule]) for result in shown],
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": rule.text},
        "fullDescription": {"text": rule.text},
        "help": {"text": rule.help, "markdown": rule.help},
        "helpUri": HOME,
        "defaultConfiguration": {"level": rule.level},
        "properties": {"tags": ["machine-learning"]},
    }


def _result(result: Result, index: int) -> dict[str, Any]:
    return {
        "ruleId": result.rule,
        "ruleIndex": index,
        "level": result.level,
        "message": {"text": _message(result.text)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": uri(result.file), "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": result.line or 1},
                }
            }
        ],
        "partialFingerprints": {"mlactionsSubject/v1": _fingerprint(result)},
    }


def uri(path: str) -> str:
    """Return a path below the repository's root as a relative reference (RFC 3986)."""
    text = path.replace("\\", "/").removeprefix("./")
    return quote(text, safe="/!$&'()*+,;=@~")


def _message(text: str) -> str:
    """Return text in which nothing is a placeholder or a link: SARIF reads `{0}` and `[a](1)`."""
    text = printable(" ".join(text.split()))
    text = text.replace("{", "{{").replace("}", "}}").replace("[", r"\[").replace("]", r"\]")
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _fingerprint(result: Result) -> str:
    parts = f"{result.rule}\0{result.file}\0{result.subject}"
    return hashlib.sha256(parts.encode(errors="replace")).hexdigest()[:32]

"""Codex's answer as it arrives: text that claims to be JSON of a given form."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.ask.form import answer_schema
from mlactions.errors import UserError
from mlactions.schema import parse_json

MAX_BYTES = 256 * 1024
MAX_TEXT = 4_000
MAX_FINDINGS = 20
MAX_FACTS = 50
MAX_STEPS = 10
MAX_PATCH = 64 * 1024


@dataclass(frozen=True)
class Finding:
    """One cause the answer names; `line` is 0 and the texts are empty where it names none."""

    model: str
    metric: str
    facts: tuple[str, ...]
    file: str
    line: int
    explanation: str
    confidence: str


@dataclass(frozen=True)
class Answer:
    """An answer of the right form; nothing of it is believed yet.

    `patch` is a diff it suggests, empty where it has none or where none was asked for; `proposal`
    is what a word wants proposed, in that word's own form.
    """

    summary: str
    findings: tuple[Finding, ...]
    next_steps: tuple[str, ...]
    patch: str = ""
    proposal: Any = None


class NoAnswerError(Exception):
    """There is no usable answer: a stable reason code, and what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def read_answer(path: Path, *, message: str | None) -> str:
    """Return the text of the answer file, which is never passed through the environment.

    `message` is what the session log says Codex ended with: the two must be one.
    """
    if not path.is_file() or path.is_symlink():
        raise NoAnswerError("empty", "there is no answer file")
    if path.stat().st_size > MAX_BYTES:
        raise NoAnswerError("too-large", f"more than {MAX_BYTES:,} bytes")
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise NoAnswerError("not-json", f"byte {error.start} is not UTF-8") from None
    if not text.strip():
        raise NoAnswerError("empty", "the last message was empty")
    if text.strip() != (message or "").strip():
        raise NoAnswerError("unproven", "the answer file is not what the session ended with")
    return text


def parse_answer(text: str, words: Sequence[str] = ()) -> Answer:
    """Parse an answer about these words; its form is checked here: Codex does not check it."""
    try:
        document = parse_json(text, name="answer")
    except UserError as error:
        raise NoAnswerError("not-json", f"{error.title}: {error.message}") from None
    _check_unicode(document)
    _check_schema(document, words)
    _check_limits(document)
    # JSON Schema takes 2.0 for an integer, a list does not.
    findings = [
        Finding(**{**entry, "facts": tuple(entry["facts"]), "line": int(entry["line"])})
        for entry in document["findings"]
    ]
    steps = tuple(document["next_steps"])
    more = {name: document[name] for name in ("patch", "proposal") if name in document}
    return Answer(document["summary"], tuple(findings), steps, **more)


def _check_unicode(document: Any) -> None:
    """Refuse half a surrogate pair: JSON can spell one, no file and no program name can hold it."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise NoAnswerError("not-json", "a text in it is not Unicode") from None


def _check_schema(document: Any, words: Sequence[str]) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(answer_schema(words)).iter_errors(document))
    if error is not None:
        place = ".".join(str(part) for part in error.absolute_path) or "the answer"
        raise NoAnswerError("schema-violated", f"{place}: {error.message[:200]}")


def _check_limits(document: Mapping[str, Any]) -> None:
    """Hold what strict mode's schemas cannot say: lengths."""
    findings, steps = document["findings"], document["next_steps"]
    texts = [document["summary"], *steps, *(entry["explanation"] for entry in findings)]
    names = [entry[key] for entry in findings for key in ("model", "metric", "file")]
    names += [fact for entry in findings for fact in entry["facts"]]
    found = {
        "findings": (len(findings), MAX_FINDINGS),
        "next_steps": (len(steps), MAX_STEPS),
        "facts of a finding": (max((len(e["facts"]) for e in findings), default=0), MAX_FACTS),
        "characters of a text": (max(map(len, texts)), MAX_TEXT),
        "characters of a name": (max(map(len, names), default=0), MAX_TEXT),
        "characters of a patch": (len(document.get("patch", "")), MAX_PATCH),
    }
    for name, (count, limit) in found.items():
        if count > limit:
            raise NoAnswerError("schema-violated", f"{count:,} {name}, at most {limit:,}")

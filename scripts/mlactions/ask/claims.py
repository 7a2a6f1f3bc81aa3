"""Claim by claim: what an answer says, against what was measured and what the repository holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from mlactions.ask.answer import MAX_PATCH, Answer, Finding
from mlactions.ask.evidence import Evidence
from mlactions.ask.numbers import (
    Measured,
    groups_of,
    numbers_in,
    sentence_of,
    texts_in,
    unverified,
)
from mlactions.ask.patch import CheckedPatch
from mlactions.ask.repository import NoSourceError, Source
from mlactions.markdown import printable

MAX_TOKENS = 50
MAX_SHOWN = 120


class Sources(Protocol):
    """Where the files are that claims point at."""

    def read(self, path: str) -> Source:
        """Return a file, or raise NoSourceError."""


@dataclass(frozen=True)
class CheckedFinding:
    """A finding and how its claims stood; `struck` says why it did not hold."""

    finding: Finding
    struck: tuple[str, ...]
    numbers_unverified: tuple[str, ...]
    checked: int
    held: int
    quote: str = ""

    @property
    def stands(self) -> bool:
        """True when no claim was struck."""
        return not self.struck


@dataclass(frozen=True)
class Checked:
    """A whole answer, checked; that its patch applies is one claim more."""

    answer: Answer
    findings: tuple[CheckedFinding, ...]
    summary_unverified: tuple[str, ...]
    steps_unverified: tuple[str, ...]
    checked: int
    held: int
    patch: CheckedPatch | None = None

    @property
    def claims(self) -> dict[str, int]:
        """How many claims were checked, and how many held."""
        applies = self.patch is not None and not self.patch.struck
        return {
            "checked": self.checked + (self.patch is not None),
            "held": self.held + applies,
        }


class Checker:
    """Holds what claims are checked against."""

    def __init__(self, evidence: Evidence, sources: Sources, quoted: tuple[str, ...] = ()) -> None:
        self._facts = {str(fact["id"]): fact for fact in evidence.facts}
        self._metrics = _known_metrics(evidence)
        self._sources = sources
        self._measured = Measured(_groups(evidence), evidence.seeds)
        self._quoted = numbers_in((*quoted, *texts_in(evidence.facts)))

    def check(self, answer: Answer) -> Checked:
        """Check every claim of an answer; its prose is held against all files that it cites."""
        texts: list[str] = []
        findings = tuple(self._finding(finding, texts) for finding in answer.findings)
        quoted = self._quoted | numbers_in(texts)
        summary = unverified(self._without_ids(answer.summary), self._measured, quoted)
        steps = unverified(self._without_ids("\n".join(answer.next_steps)), self._measured, quoted)
        # Numbers in next steps are proposals ("try 0.0005"): marked where unknown, never counted.
        checked = sum(finding.checked for finding in findings) + summary[0]
        held = sum(finding.held for finding in findings) + summary[0] - len(summary[1])
        return Checked(answer, findings, summary[1], steps[1], checked, held)

    def _finding(self, finding: Finding, texts: list[str]) -> CheckedFinding:
        struck: list[str] = []
        checked = max(1, len(finding.facts))
        struck += [
            f"no fact has the id {_shown(fact)}"
            for fact in finding.facts
            if fact not in self._facts
        ]
        struck += [] if finding.facts else ["it cites no fact"]
        for wrong in (self._model(finding), self._metric(finding)):
            checked += wrong is not None
            struck += [wrong] if wrong else []
        finding, wrong, text = self._place(finding)
        checked += wrong is not None
        struck += [wrong] if wrong else []
        texts.append(text)
        quoted = self._quoted | numbers_in([text])
        count, numbers = unverified(self._without_ids(finding.explanation), self._measured, quoted)
        held = checked - len(struck) + count - len(numbers)
        quote = "" if struck else _quote(text, finding.line)
        return CheckedFinding(finding, tuple(struck), numbers, checked + count, held, quote)

    def _model(self, finding: Finding) -> str | None:
        """Return None if no model is named, an empty text if it is known, else what is wrong."""
        if not finding.model:
            return None
        return (
            "" if finding.model in self._metrics else f"there is no model {_shown(finding.model)}"
        )

    def _metric(self, finding: Finding) -> str | None:
        if not finding.metric:
            return None
        # A model that crashed has no metrics of its own: any known name may be meant.
        known = self._metrics.get(finding.model) or frozenset().union(*self._metrics.values())
        whose = f" of {finding.model!r}" if finding.model in self._metrics else ""
        return (
            "" if finding.metric in known else f"there is no metric {_shown(finding.metric)}{whose}"
        )

    def _place(self, finding: Finding) -> tuple[Finding, str | None, str]:
        """Return the finding with its path from the root, what is wrong, and the file's text."""
        if not finding.file:
            wrong = f"line {finding.line} of no file" if finding.line else None
            return finding, wrong, ""
        try:
            source = self._sources.read(finding.file)
        except NoSourceError as error:
            return finding, f"{_shown(finding.file)} {error}", ""
        finding = replace(finding, file=source.path)
        if not 0 <= finding.line <= source.lines:
            wrong = f"{_shown(source.path)} has {source.lines} lines, not {finding.line}"
            return finding, wrong, ""
        return finding, "", source.text

    def _without_ids(self, text: str) -> str:
        """Take cited ids out of prose: the digits in them are names."""
        for identifier in sorted(self._facts, key=len, reverse=True):
            if identifier in text:
                text = text.replace(identifier, " ")
        return text


def _known_metrics(evidence: Evidence) -> Mapping[str, frozenset[str]]:
    """Return every model and the metrics that are known of it."""
    known: dict[str, set[str]] = {model: set() for model in evidence.models}
    for fact in evidence.facts:
        if model := fact.get("model"):
            known.setdefault(model, set()).update({fact["metric"]} if fact.get("metric") else ())
    for values in (evidence.head, evidence.base):
        for model, metrics in values.items():
            known.setdefault(model, set()).update(metrics)
    return {model: frozenset(metrics) for model, metrics in known.items()}


def _groups(evidence: Evidence) -> list[list[float]]:
    groups = groups_of(evidence.facts)
    for model in {*evidence.head, *evidence.base}:
        head, base = evidence.head.get(model, {}), evidence.base.get(model, {})
        for name in {*head, *base}:
            sides = [list(side.get(name, ())) for side in (head, base)]
            means = [sum(side) / len(side) for side in sides if side]
            groups.append([*means, *sides[0], *sides[1]])
    return groups


def _tokens(found: Sequence[str]) -> list[str]:
    """Return each number once, as many as a reader can use."""
    return [token[:MAX_SHOWN] for token in dict.fromkeys(found)][:MAX_TOKENS]


def _shown(name: str) -> str:
    """Return a name from the answer for a message."""
    return repr(name if len(name) <= MAX_SHOWN else name[:MAX_SHOWN] + "…")


def _quote(text: str, line: int) -> str:
    """Return the line a finding points at."""
    lines = text.splitlines()
    return printable(lines[line - 1]).strip()[:MAX_SHOWN] if 0 < line <= len(lines) else ""


def as_document(checked: Checked, evidence: Evidence) -> dict[str, Any]:
    """Return the part of checked-answer.json that the answer fills."""
    texts = {str(fact["id"]): sentence_of(fact) for fact in evidence.facts}
    cited = {fact for entry in checked.findings for fact in entry.finding.facts if fact in texts}
    return {
        "summary": checked.answer.summary,
        "findings": [_finding_document(entry) for entry in checked.findings],
        "next_steps": list(checked.answer.next_steps),
        "numbers_unverified": {
            "summary": _tokens(checked.summary_unverified),
            "next_steps": _tokens(checked.steps_unverified),
        },
        "claims": checked.claims,
        "facts": {identifier: texts[identifier] for identifier in sorted(cited)},
        "patch": None if checked.patch is None else _patch_document(checked.patch),
    }


def _patch_document(patch: CheckedPatch) -> dict[str, Any]:
    return {
        "held": not patch.struck,
        "struck": printable(patch.struck)[:400],
        "files": [asdict(file) for file in patch.files],
        "text": printable(patch.text)[:MAX_PATCH] if patch.struck else patch.text,
    }


def _finding_document(entry: CheckedFinding) -> dict[str, Any]:
    return {
        **asdict(entry.finding),
        "facts": list(entry.finding.facts),
        "held": entry.stands,
        "struck": list(entry.struck),
        "numbers_unverified": _tokens(entry.numbers_unverified),
        "quote": entry.quote,
    }

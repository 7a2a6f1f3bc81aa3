"""Claim by claim: what an answer says, against what was measured and what the repository holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from mlactions.ask.answer import MAX_PATCH, Answer, Finding
from mlactions.ask.evidence import Evidence
from mlactions.ask.form import proposer
from mlactions.ask.identifiers import identifiers_in
from mlactions.ask.measured import sentence_of
from mlactions.ask.names import known_metrics, metric_words, names
from mlactions.ask.numbers import places_in, shown
from mlactions.ask.patch import CheckedPatch
from mlactions.ask.proposal import CheckedProposal
from mlactions.ask.proposal import as_document as document_of
from mlactions.ask.repository import NoSourceError, Source
from mlactions.ask.scope import Quotable, Scope, scope_of, united
from mlactions.escaping import one_line, printable

MAX_TOKENS = 50
MAX_SHOWN = 120
MAX_PLACES = 20
"""How many places that a text names are looked up; more are unverified."""


class Sources(Protocol):
    """Where the files are that claims point at."""

    def read(self, path: str) -> Source:
        """Return a file, or raise NoSourceError."""


@dataclass(frozen=True)
class CheckedFinding:
    """A finding and how its claims stood; `struck` says why it did not hold.

    `scope` is what the summary may speak of because of it.
    """

    finding: Finding
    struck: tuple[str, ...]
    numbers_unverified: tuple[str, ...]
    checked: int
    held: int
    quote: str = ""
    scope: Scope = field(default_factory=Scope)

    @property
    def stands(self) -> bool:
        """True when no claim was struck."""
        return not self.struck


@dataclass(frozen=True)
class Checked:
    """A whole answer, checked; that its patch applies is one claim more.

    What a word has proposed counts as that word says.
    """

    answer: Answer
    findings: tuple[CheckedFinding, ...]
    summary_unverified: tuple[str, ...]
    steps_unverified: tuple[str, ...]
    checked: int
    held: int
    patch: CheckedPatch | None = None
    proposal: CheckedProposal | None = None

    @property
    def claims(self) -> dict[str, int]:
        """How many claims were checked, and how many held."""
        applies = self.patch is not None and not self.patch.struck
        proposal = self.proposal or CheckedProposal({})
        return {
            "checked": self.checked + (self.patch is not None) + proposal.checked,
            "held": self.held + applies + proposal.held,
        }


class Checker:
    """Holds what claims are checked against.

    `identifiers` says of those in prose whether they are known; others are not looked at.
    """

    def __init__(
        self,
        evidence: Evidence,
        sources: Sources,
        quotable: Quotable | None = None,
        identifiers: Mapping[str, bool] | None = None,
    ) -> None:
        self._evidence = evidence
        self._facts = {str(fact["id"]): fact for fact in evidence.facts}
        self._metrics = known_metrics(evidence)
        self._sources = sources
        self._quotable = quotable or Quotable()
        self._identifiers = identifiers or {}
        self._names = names(self._facts, self._metrics)
        self._words = metric_words(self._metrics)

    def check(self, answer: Answer) -> Checked:
        """Check every claim of an answer; a finding that was struck vouches for nothing."""
        findings = tuple(self._finding(finding) for finding in answer.findings)
        scope = united((f.scope for f in findings if f.stands), self._evidence.seeds)
        count, summary = self._prose(answer.summary, scope)
        steps = tuple(token for step in answer.next_steps for token in self._prose(step, scope)[1])
        # Numbers in next steps are proposals ("try 0.0005"): marked where unknown, never counted.
        named, unknown = self._known(" ; ".join(answer.next_steps))
        checked = sum(finding.checked for finding in findings) + count + named
        held = sum(finding.held for finding in findings) + count - len(summary)
        held += named - len(unknown)
        return Checked(answer, findings, summary, steps, checked, held)

    def _finding(self, finding: Finding) -> CheckedFinding:
        finding = replace(finding, facts=tuple(dict.fromkeys(finding.facts)))
        struck = [
            f"no fact has the id {_shown(fact)}"
            for fact in finding.facts
            if fact not in self._facts
        ]
        struck += [] if finding.facts else ["it cites no fact"]
        checked = max(1, len(finding.facts))
        for wrong in (self._model(finding), self._metric(finding)):
            checked += wrong is not None
            struck += [wrong] if wrong else []
        finding, wrong, source = self._place(finding)
        checked += wrong is not None
        struck += [wrong] if wrong else []
        scope = scope_of(finding, self._facts, self._evidence, self._quotable, source)
        count, numbers = self._prose(finding.explanation, scope)
        held = checked - len(struck) + count - len(numbers)
        quote = "" if struck or source is None else _quote(source.text, finding.line)
        return CheckedFinding(finding, tuple(struck), numbers, checked + count, held, quote, scope)

    def _prose(self, text: str, scope: Scope) -> tuple[int, tuple[str, ...]]:
        """Return how many numbers, places and identifiers a text states, and those unknown."""
        named, unknown = self._known(text)
        places = places_in(text)
        wrong = [
            f"{path}:{line}"
            for number, (path, line) in enumerate(places)
            if number >= MAX_PLACES or not self._is_there(path, line)
        ]
        count, numbers = scope.unverified(self._without_names(text), self._words)
        return count + len(places) + named, (*wrong, *unknown, *numbers)

    def _known(self, text: str) -> tuple[int, list[str]]:
        """Return how many identifiers a text has that were looked up, and the unknown ones."""
        found = [
            token
            for token in identifiers_in(self._without_names(text))
            if token.lower() in self._identifiers
        ]
        return len(found), [token for token in found if not self._identifiers[token.lower()]]

    def _is_there(self, path: str, line: int) -> bool:
        try:
            return 1 <= line <= self._sources.read(path).lines
        except NoSourceError:
            return False

    def _model(self, finding: Finding) -> str | None:
        """Return None if no model is named, an empty text if the claim holds, else what is wrong.

        Of the facts that are cited, one must be about it: others would prove nothing.
        """
        if not finding.model:
            return None
        if finding.model not in self._metrics:
            return f"there is no model {_shown(finding.model)}"
        cited = self._cited(finding)
        if cited and all(fact.get("model") != finding.model for fact in cited):
            return f"no fact it cites is about {_shown(finding.model)}"
        return ""

    def _metric(self, finding: Finding) -> str | None:
        if not finding.metric:
            return None
        # A model that crashed has no metrics of its own: any known name may be meant.
        known = self._metrics.get(finding.model) or frozenset().union(*self._metrics.values())
        whose = f" of {finding.model!r}" if finding.model in self._metrics else ""
        if finding.metric not in known:
            return f"there is no metric {_shown(finding.metric)}{whose}"
        # Only where something was measured of it there is a fact to cite.
        about = [fact for fact in self._facts.values() if _concerns(fact, finding)]
        cited = self._cited(finding)
        if about and cited and not any(fact in about for fact in cited):
            return f"no fact it cites is about {_shown(finding.metric)}{whose}"
        return ""

    def _cited(self, finding: Finding) -> list[Mapping[str, Any]]:
        return [self._facts[name] for name in finding.facts if name in self._facts]

    def _place(self, finding: Finding) -> tuple[Finding, str | None, Source | None]:
        """Return the finding with its path from the root, what is wrong, and the file."""
        if not finding.file:
            wrong = f"line {finding.line} of no file" if finding.line else None
            return finding, wrong, None
        try:
            source = self._sources.read(finding.file)
        except NoSourceError as error:
            return finding, f"{_shown(finding.file)} {error}", None
        finding = replace(finding, file=source.path)
        if not 0 <= finding.line <= source.lines:
            wrong = f"{_shown(source.path)} has {source.lines} lines, not {finding.line}"
            return finding, wrong, None
        return finding, "", source

    def _without_names(self, text: str) -> str:
        """Take names out of prose: the digits in them are no numbers."""
        line = shown(text)
        for name in self._names:
            if name in line:
                line = line.replace(name, " ")
        return line


def _concerns(fact: Mapping[str, Any], finding: Finding) -> bool:
    """Tell whether a fact is about the metric a finding names, of its model if it names one."""
    same = not finding.model or fact.get("model") == finding.model
    return same and fact.get("metric") == finding.metric


def _tokens(found: Sequence[str]) -> list[str]:
    """Return each number once, as many as a reader can use."""
    return [token[:MAX_SHOWN] for token in dict.fromkeys(found)][:MAX_TOKENS]


def _shown(name: str) -> str:
    """Return a name from the answer for a message."""
    return repr(name if len(name) <= MAX_SHOWN else name[:MAX_SHOWN] + "…")


def _quote(text: str, line: int) -> str:
    """Return the line a finding points at."""
    lines = text.split("\n")
    return one_line(lines[line - 1])[:MAX_SHOWN] if 0 < line <= len(lines) else ""


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
        "proposal": _proposal_document(checked.proposal, evidence),
    }


def _proposal_document(proposal: CheckedProposal | None, evidence: Evidence) -> Any:
    return None if proposal is None else document_of(proposer(evidence.words), proposal)


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

"""What a finding may speak of: the facts it cites, its model's metric, the lines it points at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from mlactions.ask.answer import Finding
from mlactions.ask.evidence import Evidence
from mlactions.ask.measured import Group, Measured, group_of, stated, words_of
from mlactions.ask.numbers import lines_in, numbers_in, printed, seeds_in
from mlactions.ask.repository import Source

REACH = 10
"""Lines to each side of the one a finding points at that it may quote numbers from."""

_HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)")

Fact = Mapping[str, Any]


@dataclass(frozen=True)
class Quotable:
    """Texts that Codex was given besides the facts: logs with their models, the diff, papers."""

    logs: tuple[tuple[str, str], ...] = ()
    patch: str = ""
    papers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scope:
    """What prose is held against; `lines` is the length of the longest file that is cited."""

    groups: tuple[Group, ...] = ()
    quoted: frozenset[float] = frozenset()
    seeds: frozenset[int] = frozenset()
    lines: int = 0

    def unverified(self, text: str, words: Iterable[str] = ()) -> tuple[int, tuple[str, ...]]:
        """Return how many numbers a text states, and those that match nothing, as often as it does.

        What stands in a log or a file is a number without a unit: only a measurement has one.
        """
        measured, seeds = Measured(self.groups), seeds_in(text)
        numbers = [number for number in printed(text, frozenset(words)) if not number.small]
        wrong = [f"seed {seed}" for seed in seeds if self.seeds and seed not in self.seeds]
        wrong += [
            number.token
            for number in numbers
            if (number.unit or number.size not in self.quoted) and not measured.has(number)
        ]
        lines = lines_in(text)
        wrong += [
            f"line {line}" for line in lines if line > self.lines and float(line) not in self.quoted
        ]
        return len(numbers) + len(seeds) + len(lines), tuple(wrong)


def united(scopes: Iterable[Scope], seeds: frozenset[int]) -> Scope:
    """Return what the prose about several findings may speak of."""

    def both(one: Scope, two: Scope) -> Scope:
        groups = (*one.groups, *(group for group in two.groups if group not in one.groups))
        return Scope(groups, one.quoted | two.quoted, seeds, max(one.lines, two.lines))

    return reduce(both, scopes, Scope(seeds=seeds))


def scope_of(
    finding: Finding,
    facts: Mapping[str, Fact],
    evidence: Evidence,
    quotable: Quotable,
    source: Source | None,
) -> Scope:
    """Return what a finding may speak of; `source` is the file it points at, if there is one."""
    cited = [facts[name] for name in finding.facts if name in facts]
    texts = [text for fact in cited for text in words_of(fact)]
    models = {finding.model, *(str(fact.get("model") or "") for fact in cited)} - {""}
    texts += [text for model, text in quotable.logs if model in models]
    if any(str(fact["id"]).startswith("export.") for fact in cited):
        texts += quotable.papers
    if source is not None and finding.line > 0:
        texts += [
            near(source.text, finding.line),
            near_in_patch(quotable.patch, source.path, finding.line),
        ]
    groups = tuple(_groups(finding, cited, facts, evidence))
    length = source.lines if source is not None else 0
    return Scope(groups, numbers_in(texts), evidence.seeds, length)


def _groups(
    finding: Finding, cited: Sequence[Fact], facts: Mapping[str, Fact], evidence: Evidence
) -> Iterator[Group]:
    """Yield the numbers of facts that are cited, and those of the metric that is named."""
    own = (finding.model, finding.metric) if finding.model and finding.metric else None
    by_metric: dict[tuple[str, str], list[Fact]] = {}
    for fact in cited:
        about = _about(fact)
        by_metric.setdefault(about if about[1] else ("", str(fact["id"])), []).append(fact)
    yield from (group_of(group) for group in by_metric.values())
    yield from (group for fact in cited for group in stated(fact))
    if own is not None:
        same = [fact for fact in facts.values() if _about(fact) == own]
        yield group_of(same, _values(*own, evidence))


def _about(fact: Fact) -> tuple[str, str]:
    return str(fact.get("model") or ""), str(fact.get("metric") or "")


def _values(model: str, metric: str, evidence: Evidence) -> Group:
    """Return what was measured of a metric: means are compared, seeds are only named."""
    head, base = (
        list(side.get(model, {}).get(metric, ())) for side in (evidence.head, evidence.base)
    )
    means = [sum(side) / len(side) for side in (head, base) if side]
    paired = [one - two for one, two in zip(head, base, strict=False)]
    return Group(tuple(means), (*head, *base, *(paired if len(head) == len(base) else ())))


def near(text: str, line: int) -> str:
    """Return the lines of a file around one of them."""
    return "\n".join(text.split("\n")[max(0, line - 1 - REACH) : line + REACH])


def near_in_patch(patch: str, path: str, line: int) -> str:
    """Return the lines of a diff around a line of the new file, those that went included."""
    found: list[str] = []
    inside, now = False, 0
    for row in patch.split("\n"):
        if row.startswith("+++ "):
            inside = row == f"+++ b/{path}"
        elif hunk := _HUNK.match(row):
            now = int(hunk[1])
        elif inside and row[:1] in {"+", "-", " "}:
            if abs(now - line) <= REACH:
                found.append(row[1:])
            now += row[0] != "-"
    return "\n".join(found)

"""The names that measurements go by: in prose, their digits are no numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from mlactions.ask.evidence import Evidence

_LEAST_WORD = 3


def names(facts: Iterable[str], metrics: Mapping[str, frozenset[str]]) -> list[str]:
    """Return what others named, the longest first: one may be a part of another."""
    known = {*facts, *metrics, *frozenset().union(*metrics.values())}
    named = (name for name in known if any(char.isdigit() for char in name))
    return sorted((n for n in named if any(c.isalpha() for c in n)), key=lambda n: (-len(n), n))


def metric_words(metrics: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return the words that names of metrics consist of: `accuracy_93` is a number, not a name."""
    found = (
        word
        for name in frozenset().union(*metrics.values())
        for word in re.findall(r"[a-z]+", name.lower())
    )
    return frozenset(word for word in found if len(word) >= _LEAST_WORD)


def known_metrics(evidence: Evidence) -> Mapping[str, frozenset[str]]:
    """Return every model and the metrics that are known of it."""
    known: dict[str, set[str]] = {model: set() for model in evidence.models}
    for fact in evidence.facts:
        if model := fact.get("model"):
            known.setdefault(model, set()).update({fact["metric"]} if fact.get("metric") else ())
    for values in (evidence.head, evidence.base):
        for model, metrics in values.items():
            known.setdefault(model, set()).update(metrics)
    return {model: frozenset(metrics) for model, metrics in known.items()}

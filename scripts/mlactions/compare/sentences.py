"""What a finding says about a comparison, in a sentence or two."""

from __future__ import annotations

import math

from mlactions.compare.model import Evidence, Rule
from mlactions.compare.statistics import SEEDS_SEARCHED
from mlactions.compare.words import decimals_for, moved, number, signed, with_unit
from mlactions.text import plural

_SHOWN = {
    "proven": "worse than allowed beyond the noise (proven)",
    "observed": "worse than before beyond the noise, and more than allowed (observed)",
    "inconclusive": "more than allowed, and within the noise (inconclusive)",
    "point": "no spread is known, so the numbers alone decide (point rule)",
    "not-proven": "within what is allowed, but the noise reaches beyond it (not proven)",
    "non-inferior": "non-inferior",
}


def regression(rule: Rule, evidence: Evidence) -> str:
    """Say what moved, by how much, what is allowed, and how sure that is."""
    return f"{moved_sentence(rule, evidence)} {why(evidence)}{_settle(evidence)}"


def moved_sentence(rule: Rule, evidence: Evidence) -> str:
    """Say what moved, by how much, and what is allowed."""
    digits = decimals_for(evidence)
    by = with_unit(number(abs(evidence.change), digits), rule.unit)
    now = with_unit(number(evidence.candidate, digits), rule.unit)
    allowed = with_unit(number(evidence.allowed, digits), rule.unit)
    how = moved(rule.direction, evidence.change, by)
    return f"`{rule.metric}` of `{rule.model}` {how} to {now}, allowed is {allowed}."


def why(evidence: Evidence) -> str:
    """Say what the label means, with the interval where there is one."""
    text = _SHOWN.get(evidence.label, evidence.label)
    return f"{text[0].upper()}{text[1:]}{interval(evidence)}."


def interval(evidence: Evidence) -> str:
    """Return the interval of the change as a clause, or nothing."""
    if evidence.low is None or evidence.high is None:
        return ""
    digits = decimals_for(evidence)
    low, high = signed(evidence.low, digits), signed(evidence.high, digits)
    p_value = "" if evidence.p_value is None else f", McNemar's p {evidence.p_value:.2g}"
    return f"; 95 % bounds of the change {low} and {high}{p_value}"


def _settle(evidence: Evidence) -> str:
    if evidence.limit_to_settle is None:
        return ""
    if evidence.limit_to_settle <= 0:
        more = "items" if evidence.items is not None else "seeds"
        return f" No number of {more} settles a tolerance of 0: allow what the noise does."
    if evidence.items is not None:
        ratio = (evidence.margin or 0.0) / evidence.limit_to_settle
        items = math.ceil(evidence.items * ratio**2)
        return f" About {plural(items, 'item')} would settle it." if items else ""
    if evidence.seeds_to_settle is None:
        return f" Not even {SEEDS_SEARCHED:,} seeds would settle it at this spread."
    return f" {plural(evidence.seeds_to_settle, 'seed')} on each side would settle it."


def below_noise(rule: Rule, evidence: Evidence) -> str:
    """Say that a tolerance is smaller than what the noise alone does."""
    digits = decimals_for(evidence)
    allowed = with_unit(number(evidence.allowed, digits), rule.unit)
    margin = with_unit(number(evidence.margin or 0.0, digits), rule.unit)
    remedy = (
        "Use more seeds, or `compare calibrate`."
        if evidence.items is None
        else "Use more items, or allow more."
    )
    return (
        f"`{rule.metric}` of `{rule.model}` allows {allowed}, and the noise alone reaches {margin}:"
        f" a run that changed nothing can fail. {remedy}"
    )

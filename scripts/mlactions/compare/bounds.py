"""`min` and `max`: absolute bounds that hold for every seed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlactions.compare.findings import finding, named
from mlactions.compare.model import Evidence, Finding, Measured, Rule
from mlactions.compare.words import (
    MOST_DECIMALS,
    decimals_for,
    decimals_of_means,
    number,
    plain,
    with_unit,
)
from mlactions.text import plural


def out_of_bounds(
    rule: Rule, head: Measured, evidence: Evidence | None, reference: Sequence[float]
) -> Iterator[Finding]:
    """Yield the broken bounds of a rule, in the digits that its row of the table has."""
    values = head.values[rule.metric]
    low = [n for n, value in enumerate(values) if rule.minimum is not None and value < rule.minimum]
    high = [
        n for n, value in enumerate(values) if rule.maximum is not None and value > rule.maximum
    ]
    if not (low or high):
        return
    digits = decimals_for(evidence) if evidence else decimals_of_means(reference, values)
    if low and rule.minimum is not None:
        text = _beyond(rule, head, low, ("below", "min", rule.minimum), digits)
        yield finding(rule, "below-min", text, level=rule.severity, at="min")
    if high and rule.maximum is not None:
        text = _beyond(rule, head, high, ("above", "max", rule.maximum), digits)
        yield finding(rule, "above-max", text, level=rule.severity, at="max")


def _beyond(
    rule: Rule, head: Measured, beyond: list[int], bound: tuple[str, str, float], digits: int
) -> str:
    side, field, limit = bound
    values = head.values[rule.metric]
    worst = (min if field == "min" else max)(beyond, key=values.__getitem__)
    digits = _telling(values[worst], limit, digits)
    seed = f" (seed {head.seeds[worst]})" if head.seeds else ""
    value = f"{with_unit(number(values[worst], digits), rule.unit)}{seed}"
    text = f"{side} its `{field}` of {with_unit(number(limit, digits), rule.unit)}"
    if len(values) == 1:
        return f"{named(rule)} is {value}, {text}."
    share = f"in {len(beyond)} of {plural(len(values), 'run')}"
    return f"{named(rule)} is {text} {share}; the worst is {value}."


def _telling(value: float, limit: float, digits: int) -> int:
    """Return the digits, or more: the limit as it was written, and a value that is not it."""
    digits = max(digits, len(plain(limit).partition(".")[2].partition("e")[0]))
    while digits < MOST_DECIMALS and number(value, digits) == number(limit, digits):
        digits += 1
    return digits

"""The ladder of labels: what one rule makes of two sets of values."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlactions.compare.decide import Policy, decide, difference
from mlactions.compare.model import Direction, Evidence, Rule
from mlactions.compare.words import decimals_for, number

RULE = Rule("cnn", "accuracy", "higher", absolute=0.005)
FIVE = (0.981, 0.983, 0.979, 0.984, 0.980)
MIRROR: dict[Direction, Direction] = {"higher": "lower", "lower": "higher", "equal": "equal"}

values = st.floats(-1e4, 1e4).map(lambda value: round(value, 4))
several = st.lists(values, min_size=1, max_size=6).map(tuple)
directions = st.sampled_from(["higher", "lower", "equal"])


def decided(rule: Rule, baseline: tuple[float, ...], candidate: tuple[float, ...]) -> Evidence:
    evidence = decide(rule, baseline, candidate, Policy())
    assert evidence is not None
    return evidence


@pytest.mark.parametrize(
    ("candidate", "label", "outcome"),
    [
        ((0.900, 0.902, 0.899, 0.901, 0.903), "proven", "fail"),
        ((0.974, 0.9755, 0.975, 0.9765, 0.976), "observed", "fail"),
        ((0.990, 0.960, 0.995, 0.955, 0.955), "inconclusive", "fail"),
        ((0.978, 0.979, 0.976, 0.979, 0.975), "not-proven", "pass"),
        ((0.982, 0.983, 0.981, 0.984, 0.982), "non-inferior", "pass"),
        ((0.900,), "proven", "fail"),
        ((0.973,), "observed", "fail"),
        ((0.980,), "not-proven", "pass"),
        ((0.990,), "non-inferior", "pass"),
        ((0.900, 0.901), "proven", "fail"),
    ],
)
def test_ladder(candidate: tuple[float, ...], label: str, outcome: str) -> None:
    evidence = decided(RULE, FIVE, candidate)

    assert (evidence.label, evidence.outcome) == (label, outcome)


@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [((0.98,), (0.97,)), ((0.98,), (0.97, 0.97, 0.97)), ((0.98, 0.98), (0.97,))],
)
def test_without_spread_the_point_rule(
    baseline: tuple[float, ...], candidate: tuple[float, ...]
) -> None:
    evidence = decided(RULE, baseline, candidate)

    assert (evidence.label, evidence.outcome, evidence.low) == ("point", "fail", None)


@pytest.mark.parametrize(
    ("rule", "baseline", "candidate", "exceeds"),
    [
        (RULE, 0.981, 0.976, False),
        (RULE, 0.981, 0.9759999, True),
        (replace(RULE, absolute=0.1), 0.3, 0.2, False),
        (replace(RULE, absolute=0.0, relative=0.1, direction="lower"), 3.0, 3.3, False),
        (replace(RULE, absolute=0.0, relative=0.1, direction="lower"), -3.0, -2.7, False),
        (replace(RULE, absolute=0.0, relative=0.1, direction="lower"), -3.0, -2.69, True),
        (replace(RULE, absolute=1e-9, relative=0.1), 1.1, 0.989999999, False),
        (replace(RULE, absolute=0.0, direction="equal"), 0.1, 0.1, False),
        (replace(RULE, absolute=0.0, direction="equal"), 0.1, 0.1000001, True),
        (replace(RULE, absolute=0.5, direction="equal"), 3, 2.5, False),
    ],
)
def test_decimals_decide(rule: Rule, baseline: float, candidate: float, *, exceeds: bool) -> None:
    assert difference(rule, [baseline], [candidate]).exceeds is exceeds


@given(several, several, st.floats(0, 10), st.floats(0, 1), directions)
def test_exceeding_is_exact(
    baseline: tuple[float, ...],
    candidate: tuple[float, ...],
    absolute: float,
    relative: float,
    direction: Direction,
) -> None:
    rule = replace(RULE, absolute=absolute, relative=relative, direction=direction)
    before, after = (
        sum((Fraction(repr(value)) for value in side), Fraction(0)) / len(side)
        for side in (baseline, candidate)
    )
    worse: dict[Direction, Fraction] = {
        "higher": before - after,
        "lower": after - before,
        "equal": abs(after - before),
    }
    allowed = Fraction(repr(absolute)) + Fraction(repr(relative)) * abs(before)

    found = difference(rule, baseline, candidate)

    assert found.exceeds == (worse[direction] > allowed)
    assert found.degradation == pytest.approx(float(worse[direction]), rel=1e-12, abs=1e-12)
    assert found.allowed == pytest.approx(float(allowed), rel=1e-12)


@given(several, several, st.floats(0, 10), directions)
def test_mirrored_numbers_decide_alike(
    baseline: tuple[float, ...],
    candidate: tuple[float, ...],
    absolute: float,
    direction: Direction,
) -> None:
    rule = replace(RULE, absolute=absolute, direction=direction)
    mirrored = replace(rule, direction=MIRROR[direction])
    one = decided(rule, baseline, candidate)

    other = decided(
        mirrored, tuple(-value for value in baseline), tuple(-value for value in candidate)
    )

    assert (one.label, one.outcome, one.degradation) == (
        other.label,
        other.outcome,
        other.degradation,
    )
    assert one.low is None or other.high is None or one.low == pytest.approx(-other.high, abs=1e-9)


@given(several, several, st.floats(0, 5), st.floats(0, 100), st.sampled_from(["higher", "lower"]))
def test_getting_worse_never_helps(
    baseline: tuple[float, ...],
    candidate: tuple[float, ...],
    absolute: float,
    step: float,
    direction: Direction,
) -> None:
    rule = replace(RULE, absolute=absolute, direction=direction)
    step = round(step, 3) * (-1 if direction == "higher" else 1)
    worse = tuple(float(Decimal(repr(value)) + Decimal(repr(step))) for value in candidate)

    before, after = decided(rule, baseline, candidate), decided(rule, baseline, worse)

    assert (before.outcome, after.outcome) != ("fail", "pass")


@given(several, several, st.floats(0, 5), st.floats(0, 5), directions)
def test_a_wider_tolerance_never_hurts(
    baseline: tuple[float, ...],
    candidate: tuple[float, ...],
    absolute: float,
    more: float,
    direction: Direction,
) -> None:
    tight = replace(RULE, absolute=absolute, direction=direction)
    wide = replace(tight, absolute=absolute + more)

    outcomes = [decided(rule, baseline, candidate).outcome for rule in (tight, wide)]

    assert outcomes != ["pass", "fail"]


@given(several, several, st.floats(0, 5), directions)
def test_labels_say_what_the_numbers_say(
    baseline: tuple[float, ...],
    candidate: tuple[float, ...],
    absolute: float,
    direction: Direction,
) -> None:
    evidence = decided(replace(RULE, absolute=absolute, direction=direction), baseline, candidate)
    assume(evidence.margin is not None)
    assert evidence.margin is not None
    low = evidence.degradation - evidence.margin

    match evidence.label:
        case "proven":
            assert low > evidence.allowed
        case "observed":
            assert 0 < low <= evidence.allowed < evidence.degradation
        case "inconclusive":
            assert low <= 0 < evidence.degradation
        case "not-proven":
            assert evidence.degradation + evidence.margin > evidence.allowed
        case "non-inferior":
            assert evidence.degradation + evidence.margin <= evidence.allowed
        case other:
            pytest.fail(f"{other} has no interval")


def test_inconclusive_can_be_a_warning() -> None:
    candidate = (0.990, 0.960, 0.995, 0.955, 0.955)

    evidence = decide(RULE, FIVE, candidate, Policy(inconclusive="warn"))

    assert evidence is not None
    assert evidence.outcome == "warn"
    assert evidence.seeds_to_settle is not None
    assert evidence.seeds_to_settle > len(candidate)


@pytest.mark.parametrize(
    ("baseline", "candidate", "outcome"),
    [
        (FIVE, (0.982, 0.983, 0.981, 0.984, 0.982), "pass"),
        (FIVE, (0.978, 0.979, 0.976, 0.979, 0.975), "fail"),
        ((0.98,), (0.99,), "fail"),
        (FIVE, (0.990, 0.960, 0.995, 0.955, 0.955), "fail"),
    ],
)
def test_non_inferiority_is_shown_or_it_fails(
    baseline: tuple[float, ...], candidate: tuple[float, ...], outcome: str
) -> None:
    policy = Policy(non_inferior=True, inconclusive="warn")

    evidence = decide(RULE, baseline, candidate, policy)

    assert evidence is not None
    assert evidence.outcome == outcome


def test_numbers_too_large_to_compare_are_no_evidence() -> None:
    assert decide(RULE, [-1.7e308], [1.7e308], Policy()) is None


def test_one_more_seed_settles_what_the_report_promises() -> None:
    candidate = (0.990, 0.960, 0.995, 0.955, 0.955)
    evidence = decided(RULE, FIVE, candidate)

    assert evidence.label == "inconclusive"
    assert evidence.limit_to_settle == evidence.allowed


def test_a_small_value_beside_a_large_one_is_not_shown_as_zero() -> None:
    evidence = Evidence("point", "fail", 15.0, 0.17, -14.83, 14.83, 12.0)
    assert number(evidence.candidate, decimals_for(evidence)) == "0.17"
    assert decimals_for(replace(evidence, candidate=1e-9)) == 3  # the large ones stay readable
    assert decimals_for(replace(evidence, candidate=0.0)) == 0

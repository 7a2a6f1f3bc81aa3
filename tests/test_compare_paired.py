"""Paired evidence: exact where it claims to be, and only from predictions that match."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from mlactions.compare.candidate import read_candidate
from mlactions.compare.decide import Policy
from mlactions.compare.model import (
    Baseline,
    Candidate,
    Evidence,
    Finding,
    Measured,
    ModelRules,
    Rule,
)
from mlactions.compare.paired import gather, mcnemar, tango_bounds, weigh_pairs, weigh_scores
from mlactions.compare.predictions import Pairs, below
from mlactions.errors import UserError

RULE = Rule("cnn", "accuracy", "higher", absolute=0.01, paired=True)


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_mcnemar_is_the_exact_binomial_tail(lost: int, won: int) -> None:
    expected = 1.0
    if lost + won:
        expected = stats.binomtest(lost, lost + won, 0.5, alternative="greater").pvalue

    assert mcnemar(lost, won) == pytest.approx(expected, rel=1e-8, abs=1e-280)


@pytest.mark.parametrize(
    ("lost", "won", "items"), [(12, 2, 50), (5, 3, 450), (40, 60, 1000), (1, 0, 30), (0, 0, 100)]
)
def test_tango_bounds_are_where_the_score_test_turns(lost: int, won: int, items: int) -> None:
    low, high = tango_bounds(lost, won, items, 0.95)

    z = stats.norm.ppf(0.95)
    assert score(lost, won, items, low) == pytest.approx(z, abs=1e-4)
    assert score(lost, won, items, high) == pytest.approx(-z, abs=1e-4)
    assert low <= (lost - won) / items <= high


def score(lost: int, won: int, items: int, difference: float) -> float:
    """Return the score statistic, its nuisance parameter found by maximising the likelihood."""

    def cost(chance: float) -> float:
        shares = (chance + difference, chance, 1 - 2 * chance - difference)
        counts = (lost, won, items - lost - won)
        pairs = zip(counts, shares, strict=True)
        return -sum(n * math.log(max(share, 1e-300)) for n, share in pairs if n)

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    options = {"xatol": 1e-12}
    best = optimize.minimize_scalar(cost, bounds=bounds, method="bounded", options=options)
    chance = float(best.x)
    variance = 2 * chance + difference * (1 - difference)
    return float((lost - won - items * difference) / np.sqrt(items * variance))


def test_no_change_in_few_items_proves_little() -> None:
    both = Pairs("correct", [1.0] * 100, [1.0] * 100, single=True)

    evidence = weigh_pairs(replace(RULE, absolute=0.005), both, Policy())

    assert (evidence.label, evidence.outcome) == ("not-proven", "pass")
    assert evidence.high == pytest.approx(0.026, abs=0.001)


@pytest.mark.parametrize(
    ("direction", "lost", "won", "label"),
    [
        ("higher", 60, 2, "proven"),
        ("higher", 22, 5, "observed"),
        ("higher", 28, 17, "inconclusive"),
        ("higher", 3, 5, "non-inferior"),
        ("higher", 12, 8, "not-proven"),
        ("lower", 2, 60, "proven"),
        ("equal", 2, 60, "proven"),
        ("equal", 60, 2, "proven"),
        ("equal", 1, 1, "non-inferior"),
    ],
)
def test_hits_climb_the_same_ladder(direction: Any, lost: int, won: int, label: str) -> None:
    same = 1000 - lost - won
    both = Pairs(
        "correct",
        [1.0] * lost + [0.0] * won + [1.0] * same,
        [0.0] * lost + [1.0] * won + [1.0] * same,
        single=True,
    )

    evidence = weigh_pairs(replace(RULE, direction=direction), both, Policy())

    assert evidence.label == label
    assert evidence.items == 1000
    assert evidence.change == pytest.approx((won - lost) / 1000)
    assert evidence.low is not None
    assert evidence.high is not None
    assert evidence.low <= evidence.change <= evidence.high


def hit_pairs(lost: int, won: int, items: int) -> Pairs:
    same = [1.0] * (items - lost - won)
    return Pairs(
        "correct",
        [1.0] * lost + [0.0] * won + same,
        [0.0] * lost + [1.0] * won + same,
        single=True,
    )


@pytest.mark.parametrize(
    ("lost", "items", "label"),
    [(4, 10, "inconclusive"), (5, 10, "proven"), (4, 40, "inconclusive")],
)
def test_few_items_prove_no_more_than_the_exact_test(lost: int, items: int, label: str) -> None:
    evidence = weigh_pairs(RULE, hit_pairs(lost, 0, items), Policy())

    assert evidence.label == label
    assert evidence.p_value == 0.5**lost
    assert evidence.high is not None
    assert (evidence.high < 0) == (label == "proven"), "the bounds say what the label says"


def probability(items: int, lost: int, won: int, chances: tuple[float, float]) -> float:
    """Return how likely so many lost and won items are; `chances` are those of one item."""
    counts = (lost, won, items - lost - won)
    return float(stats.multinomial.pmf(counts, items, (*chances, 1 - sum(chances))))


@pytest.mark.parametrize("items", [10, 25])
@pytest.mark.parametrize("won", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("allowed", [0.0, 0.01, 0.05])
def test_labels_of_hits_err_as_rarely_as_they_claim(items: int, won: float, allowed: float) -> None:
    """Sum over every outcome, where the true worsening is exactly what is allowed."""
    rule = replace(RULE, absolute=allowed)
    wrong = dict.fromkeys(("proven", "non-inferior"), 0.0)
    for lost in range(items + 1):
        for gained in range(items + 1 - lost):
            chance = probability(items, lost, gained, (won + allowed, won))
            if chance > 1e-9:
                label = weigh_pairs(rule, hit_pairs(lost, gained, items), Policy()).label
                wrong[label] = wrong.get(label, 0.0) + chance

    # The exact test holds its 5 % where nothing changed; score bounds hold theirs nearly.
    assert wrong["proven"] <= (0.05 if allowed == 0 else 0.07)
    assert wrong["non-inferior"] <= 0.07


@pytest.mark.parametrize("decimals", [1, 12])
def test_score_bounds_agree_with_scipys_bootstrap(decimals: int) -> None:
    worsened = np.random.default_rng(1).normal(0.2, 1, 300).round(decimals)
    expected = stats.bootstrap(
        (worsened,), np.mean, confidence_level=0.9, method="percentile", rng=2
    ).confidence_interval

    shown = weigh_scores(worsened.tolist(), 0.95)

    assert shown.low == pytest.approx(expected.low, abs=0.01)
    assert shown.high == pytest.approx(expected.high, abs=0.01)
    assert weigh_scores(worsened.tolist(), 0.95) == shown, "the same draws every time"


def test_equal_scores_are_compared_as_points() -> None:
    both = Pairs("psnr", [30.0, 31.0, 32.0], [29.0, 30.0, 31.0], single=True)

    evidence = weigh_pairs(replace(RULE, absolute=0.5), both, Policy())

    assert (evidence.label, evidence.outcome, evidence.items) == ("point", "fail", 3)


def write(folder: Path, rows: list[dict[str, Any]], *, form: str = "jsonl") -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    if form == "csv":
        head = ",".join(rows[0])
        text = "\n".join([head, *(",".join(str(v) for v in row.values()) for row in rows)])
    else:
        text = "\n".join(json.dumps(row) for row in rows)
    folder.with_suffix(f".{form}").write_text(text + "\n", encoding="utf-8")


def measured(tmp_path: Path) -> Candidate:
    file = tmp_path / "metrics" / "cnn.json"
    file.parent.mkdir()
    file.write_text('{"metrics": {"accuracy": 0.9, "psnr": 30}}')
    return read_candidate([file.parent])


def hits(*correct: object, start: int = 0) -> list[dict[str, Any]]:
    return [{"id": f"i{n}", "correct": c, "psnr": n} for n, c in enumerate(correct, start=start)]


def gathered(tmp_path: Path, rule: Rule = RULE) -> Evidence | Finding:
    candidate = below(tmp_path / "predictions", measured(tmp_path))
    rules = Baseline("b.yaml", "", {"cnn": ModelRules({rule.metric: rule})})
    return gather(rules, candidate, lambda _rule: Policy())["cnn", rule.metric]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_predictions_are_matched_by_id_in_any_order(tmp_path: Path, form: str) -> None:
    base = hits(1, 1, 0, 1)
    write(tmp_path / "predictions/base/cnn", base, form=form)
    write(tmp_path / "predictions/head/cnn", [*base[::-1]], form="jsonl")

    found = gathered(tmp_path)

    assert isinstance(found, Evidence)
    assert (found.change, found.items) == (0, 4)


def test_over_seeds_an_item_counts_with_its_mean(tmp_path: Path) -> None:
    for seed, after in ((0, (1, 1, 0, 0)), (1, (1, 0, 0, 0))):
        write(tmp_path / f"predictions/base/cnn/seed-{seed}", hits(1, 1, 1, 0))
        write(tmp_path / f"predictions/head/cnn/seed-{seed}", hits(*after))

    found = gathered(tmp_path)

    assert isinstance(found, Evidence)
    assert found.change == pytest.approx(-0.375)
    assert found.p_value is None, "means of seeds are no hits any more"


@pytest.mark.parametrize(
    ("base", "head", "reason"),
    [
        (hits(1, 1), hits(1, 1, start=1), "ids-differ"),
        (hits(1, 1, 1), hits(1, 1), "ids-differ"),
        (hits(1, 1), [{"id": "i0", "correct": 1}, {"id": "i0", "correct": 1}], "duplicate-id"),
        (hits(1, 1), [{"correct": 1}], "no-id"),
        (hits(1, 1), [{"id": "i0", "right": 1}], "predictions-broken"),
        ([{"id": "i0", "right": 1}], hits(1), "no-score"),
        (hits(1, 0.5), hits(1, 1), "predictions-broken"),
        (hits(1, float("nan")), hits(1, 1), "predictions-broken"),
        (hits(1, "yes"), hits(1, 1), "predictions-broken"),
        (hits(1, None), hits(1, 1), "predictions-broken"),
    ],
)
def test_predictions_that_do_not_match_fail(
    tmp_path: Path, base: list[dict[str, Any]], head: list[dict[str, Any]], reason: str
) -> None:
    write(tmp_path / "predictions/base/cnn", base)
    write(tmp_path / "predictions/head/cnn", head)

    found = gathered(tmp_path)

    assert isinstance(found, Finding)
    assert (found.reason, found.level) == (reason, "fail")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "predictions-empty"),
        ("id,correct\n", "predictions-empty"),
        ("id,correct\na,1,2\n", "predictions-broken"),
        ('{"id": "a", "correct": 1}\n{"id": ', "predictions-broken"),
        ('{"id": "a", "correct": 1}\n[1]', "predictions-broken"),
    ],
)
def test_files_that_are_no_predictions_fail(tmp_path: Path, text: str, reason: str) -> None:
    write(tmp_path / "predictions/base/cnn", hits(1))
    write(tmp_path / "predictions/head/cnn", hits(1))
    (tmp_path / "predictions/head/cnn.jsonl").write_text(text)

    found = gathered(tmp_path)

    assert isinstance(found, Finding)
    assert found.reason == reason


def test_one_side_alone_is_not_compared(tmp_path: Path) -> None:
    write(tmp_path / "predictions/head/cnn", hits(1))

    found = gathered(tmp_path)

    assert isinstance(found, Finding)
    assert found.reason == "no-predictions"


def test_other_seeds_are_not_compared(tmp_path: Path) -> None:
    for side, seeds in (("base", (0, 1)), ("head", (0, 2))):
        for seed in seeds:
            write(tmp_path / f"predictions/{side}/cnn/seed-{seed}", hits(1))

    found = gathered(tmp_path)

    assert isinstance(found, Finding)
    assert found.reason == "seeds-differ"


def test_a_score_is_named_by_the_rule_or_by_the_metric(tmp_path: Path) -> None:
    write(tmp_path / "predictions/base/cnn", hits(1, 1))
    write(tmp_path / "predictions/head/cnn", hits(1, 0))

    by_name = gathered(tmp_path, replace(RULE, metric="psnr"))

    assert isinstance(by_name, Evidence)
    assert by_name.change == 0


def test_a_folder_without_predictions_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no predictions"):
        below(tmp_path, measured(tmp_path))


def test_scores_without_numpy_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)  # what Python does for a module it lacks

    with pytest.raises(UserError) as caught:
        weigh_scores([0.1, 0.2], 0.95)

    assert caught.value.exit_code == 2
    assert "pip install 'numpy>=2'" in str(caught.value)


@pytest.mark.parametrize(
    ("metric", "columns", "paired"),
    [
        ("acc", ("correct",), True),
        ("val_acc", ("correct", "score"), True),
        ("auroc", ("correct",), True),
        ("auroc", ("correct", "score"), False),
        ("accuracy/class=8", ("correct",), False),
    ],
)
def test_the_column_correct_needs_no_name(
    tmp_path: Path, metric: str, columns: tuple[str, ...], paired: bool
) -> None:
    rows = [{"id": f"i{n}", **dict.fromkeys(columns, n % 2)} for n in range(4)]
    for side in ("base", "head"):
        write(tmp_path / f"predictions/{side}/cnn", rows)
    rule = replace(RULE, metric=metric)
    candidate = below(tmp_path / "predictions", Candidate({"cnn": Measured({metric: (0.5,)})}))
    baseline = Baseline("b.yaml", "", {"cnn": ModelRules({metric: rule})})

    [found] = gather(baseline, candidate, lambda _: Policy()).values()

    assert isinstance(found, Evidence) is paired


def test_predictions_of_the_base_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "predictions/head/cnn", hits(1))

    found = gathered(tmp_path)

    assert isinstance(found, Finding)
    assert found.message.endswith("of the base; `evaluate --also-base` makes them.")

"""All rules against all that was measured: nothing that should be there can be absent unseen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from mlactions.compare.baseline import parse_baseline
from mlactions.compare.candidate import merge
from mlactions.compare.cli import weigh
from mlactions.compare.gate import assess
from mlactions.compare.model import (
    Candidate,
    Failure,
    Finding,
    Measured,
    Removed,
    Settings,
    Verdict,
)
from mlactions.compare.suggest import direction, notices, paste, without_rule
from mlactions.metrics import parse_metrics
from mlactions.schema import parse_yaml
from mlactions.settings import Status

SETTINGS = Settings(today="2026-11-22")
ONE_RULE = (
    "accuracy: {values: [0.98, 0.981, 0.979], direction: higher, tolerance: {absolute: 0.01}}"
)


def rules(*metrics: str, model: str = "cnn", extra: str = "", provenance: str = "{}") -> str:
    """Return a baseline with one model's rules."""
    lines = [f"  {model}:", f"    provenance: {provenance}", "    metrics:"]
    return "\n".join(["version: 1", "models:", *lines, *(f"      {m}" for m in metrics), extra])


def side(metrics: Mapping[str, Any], **provenance: Any) -> Measured:
    """Return one model's measurements."""
    found = parse_metrics({"metrics": metrics}, file="cnn.json")
    return Measured(found.values, found.problems, provenance, file="cnn.json")


def verdict(
    text: str, candidate: Candidate | Mapping[str, Any], settings: Settings = SETTINGS
) -> Verdict:
    """Judge a candidate, or the metrics of one model, by a baseline's text."""
    if not isinstance(candidate, Candidate):
        candidate = Candidate({"cnn": side(candidate)})
    return assess(parse_baseline(text, name="b.yaml"), candidate, settings, {})


def reasons(found: Verdict) -> list[tuple[str, str]]:
    return [(finding.level, finding.reason) for finding in found.findings]


GOOD = {"accuracy": [0.98, 0.982, 0.981]}


def test_a_rule_that_holds() -> None:
    found = verdict(rules(ONE_RULE), GOOD)

    assert (found.status, reasons(found)) == (Status.PASS, [])


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (Candidate({}), [("fail", "missing-model"), ("fail", "nothing-measured")]),
        (Candidate({"vit": side(GOOD)}), [("fail", "missing-model")]),
        (
            Candidate({}, expected=frozenset({"cnn"}), skipped={"vit": ""}),
            [("fail", "missing-model")],
        ),
        (Candidate({}, expected=frozenset(), skipped={"cnn": "unchanged"}), []),
        (
            Candidate({}, expected=frozenset(), skipped={"vit": "unchanged"}),
            [("warn", "orphan-model")],
        ),
        (
            Candidate({}, failures=(Failure("cnn", "head", 1, "crashed", "exit code 1"),)),
            [("fail", "evaluation-crashed")],
        ),
        (
            Candidate({"cnn": side(GOOD)}, failures=(Failure("cnn", "head", 1, "timed-out", ""),)),
            [("fail", "evaluation-timed-out")],
        ),
        (
            Candidate({"cnn": side(GOOD)}, expected=frozenset({"cnn", "new"})),
            [("fail", "missing-model")],
        ),
    ],
)
def test_models_that_should_be_there(candidate: Candidate, expected: list[tuple[str, str]]) -> None:
    assert reasons(verdict(rules(ONE_RULE), candidate)) == expected


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (Candidate({"vit": side(GOOD)}), "missing-model"),
        (Candidate({"vit": side(GOOD)}, expected=frozenset({"vit"})), "orphan-model"),
        (
            Candidate({"vit": side(GOOD)}, {"cnn": side(GOOD)}, expected=frozenset({"vit"})),
            "missing-model",
        ),
    ],
)
def test_a_model_with_rules_is_an_orphan_only_where_it_exists_nowhere(
    candidate: Candidate, reason: str
) -> None:
    """Plain files do not say which models there are; a base that has one says that it was."""
    text = rules(ONE_RULE) + "\n  vit: {metrics: {accuracy: {value: 0.98, direction: higher}}}"
    listed = replace(SETTINGS, expected=frozenset({"vit"}))

    for settings in (SETTINGS, listed):
        found = verdict(text, candidate, settings)
        assert [(f.reason, f.model) for f in found.findings] == [(reason, "cnn")]


def test_a_lost_job_is_noticed_by_the_others() -> None:
    job = Candidate({"cnn": side(GOOD)}, expected=frozenset({"cnn"}), elsewhere=frozenset({"vit"}))
    plan = Candidate({}, expected=frozenset(), skipped={"vit": "unchanged"})

    alone, planned = (verdict(rules(ONE_RULE), one) for one in (job, merge([job, plan])))

    assert [(f.reason, f.model) for f in alone.findings] == [("missing-model", "vit")]
    assert "Name the bundles of all jobs" in alone.findings[0].message
    assert planned.findings == (), "the plan knows that it need not be measured"


BROKEN_VALUES = {"nan": math.nan, "infinite": math.inf, "null": None, "string": "0.98"}


@pytest.mark.parametrize("reason", [*BROKEN_VALUES, "missing-metric"])
def test_a_waiver_accepts_a_worse_number_and_not_none(reason: str) -> None:
    metrics = {"accuracy": BROKEN_VALUES[reason]} if reason in BROKEN_VALUES else {"loss": 1}

    found = verdict(rules(ONE_RULE, extra=waiver()), metrics)

    assert reasons(found)[0] == ("fail", reason)
    assert found.findings[0].message.endswith("A waiver accepts a worse number, and there is none.")


def test_a_waiver_accepts_a_change_of_the_data() -> None:
    text = rules(ONE_RULE, extra=waiver(), provenance="{data: d, protocol: p}")

    found = verdict(text, Candidate({"cnn": side(GOOD, data="e", protocol="p")}))

    assert reasons(found) == [("warn", "data-differs")]


def test_the_callers_list_of_models_adds_to_the_bundles() -> None:
    candidate = Candidate({"cnn": side(GOOD)}, expected=frozenset({"cnn"}))

    found = verdict(rules(ONE_RULE), candidate, replace(SETTINGS, expected=frozenset({"vit"})))

    assert [(f.reason, f.model) for f in found.findings] == [("missing-model", "vit")]


def test_a_change_that_touches_no_model_is_skipped_not_passed() -> None:
    candidate = Candidate({}, expected=frozenset(), skipped={"cnn": "unchanged"})

    assert verdict(rules(ONE_RULE), candidate).status is Status.SKIPPED


def test_an_orphan_is_a_metric_that_neither_side_reports() -> None:
    both = Candidate({"cnn": side({"loss": 1})}, {"cnn": side({"loss": 1})})
    dropped = Candidate({"cnn": side({"loss": 1})}, {"cnn": side(GOOD)})

    assert reasons(verdict(rules(ONE_RULE), both)) == [("warn", "orphan-rule")]
    assert reasons(verdict(rules(ONE_RULE), dropped)) == [("fail", "missing-metric")]


@pytest.mark.parametrize(
    ("extra", "metrics", "expected"),
    [
        ("severity: warn", {"accuracy": 0.5}, ("warn", "regression-proven")),
        ("severity: warn, min: 0.9", {"accuracy": 0.5}, ("warn", "below-min")),
        ("severity: warn", {"accuracy": None}, ("fail", "null")),
        ("severity: warn", {"loss": 1}, ("fail", "missing-metric")),
        ("severity: warn, comparable_on: [data]", GOOD, ("warn", "data-unknown")),
    ],
)
def test_severity_is_about_regressions_not_about_broken_numbers(
    extra: str, metrics: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert expected in reasons(
        verdict(rules(ONE_RULE.replace("direction", f"{extra}, direction")), metrics)
    )


@pytest.mark.parametrize(
    ("rule", "values", "expected"),
    [
        ("a: {direction: higher, min: 0.9}", [0.95, 0.9, 0.91], []),
        ("a: {direction: higher, min: 0.9}", [0.95, 0.8999, 0.91], ["below-min"]),
        ("a: {direction: lower, max: 3}", [3.0, 3.1], ["above-max"]),
        ("a: {direction: equal, min: 1, max: 2}", [0.5, 2.5], ["below-min", "above-max"]),
        ("a: {direction: higher}", 1, ["no-baseline-value"]),
        ("a: {direction: higher, min: 0, tolerance: {absolute: 1}}", 1, ["no-baseline-value"]),
    ],
)
def test_bounds_hold_for_every_seed(rule: str, values: Any, expected: list[str]) -> None:
    found = verdict(rules(rule), {"a": values})

    assert [finding.reason for finding in found.findings] == expected


def test_bounds_hold_beside_a_good_mean() -> None:
    rule = "a: {value: 0.8, direction: higher, min: 0.5, tolerance: {absolute: 0.05}}"

    found = verdict(rules(rule), {"a": [0.98, 0.98, 0.98, 0.98, 0.1]})

    assert [f.message for f in found.findings] == [
        "`a` of `cnn` is below its `min` of 0.500 in 1 of 5 runs; the worst is 0.100."
    ]


@pytest.mark.parametrize(
    ("file", "rule", "caller", "level"),
    [
        ("", "", None, "fail"),
        ("", "", "warn", "warn"),
        ("on-inconclusive: warn", "", "fail", "warn"),
        ("on-inconclusive: warn", "on-inconclusive: fail, ", "warn", "fail"),
        ("", "on-inconclusive: warn, ", "fail", "warn"),
    ],
)
def test_the_most_specific_word_on_inconclusive_counts(
    file: str, rule: str, caller: Any, level: str
) -> None:
    text = rules(ONE_RULE.replace("direction", f"{rule}direction"), extra=file)
    noisy = {"accuracy": [0.99, 0.92, 0.99]}

    found = verdict(text, noisy, replace(SETTINGS, on_inconclusive=caller))

    assert reasons(found) == [(level, "regression-inconclusive")]
    assert found.status == level


@pytest.mark.parametrize("where", ["rule", "file", "caller"])
def test_non_inferiority_can_be_required_anywhere(where: str) -> None:
    rule = ONE_RULE.replace("direction", "require: non-inferior, direction")
    text = rules(
        rule if where == "rule" else ONE_RULE,
        extra="require: non-inferior" if where == "file" else "",
    )

    found = verdict(
        text, {"accuracy": [0.975, 0.96, 0.98]}, replace(SETTINGS, non_inferior=where == "caller")
    )

    assert reasons(found) == [("fail", "non-inferiority-not-shown")]


def test_a_tolerance_below_the_noise_is_said() -> None:
    tight = ONE_RULE.replace("0.01}", "0.0001}")

    found = verdict(rules(tight), {"accuracy": [0.983, 0.979, 0.985]})

    assert reasons(found) == [("warn", "tolerance-below-noise")]


def test_what_was_measured_at_the_base_replaces_what_is_recorded() -> None:
    candidate = Candidate({"cnn": side({"accuracy": 0.5})}, {"cnn": side({"accuracy": 0.505})})

    found = verdict(rules(ONE_RULE), candidate)

    assert found.status is Status.PASS
    assert (found.rows[0].source, found.rows[0].reference) == ("base", (0.505,))


def test_after_a_failed_base_evaluation_the_recorded_values_count() -> None:
    candidate = Candidate(
        {"cnn": side({"accuracy": 0.5})},
        {"cnn": side({"accuracy": 0.505})},
        failures=(Failure("cnn", "base", 0, "crashed", ""),),
    )

    found = verdict(rules(ONE_RULE), candidate)

    assert reasons(found) == [("fail", "regression-proven"), ("warn", "base-evaluation-failed")]
    assert found.rows[0].source == "recorded"


@pytest.mark.parametrize(
    ("recorded", "reported", "rule", "expected"),
    [
        ("{data: d}", {"data": "d"}, "", []),
        ("{data: d}", {"data": "e"}, "", ["data-differs"]),
        ("{data: d}", {}, "", ["data-unknown"]),
        ("{}", {"data": "e"}, "", []),
        ("{data: null}", {"data": "e"}, "", []),
        ("{}", {"data": "e"}, "comparable_on: [data], ", ["data-unknown"]),
        ("{data: d}", {"data": "e"}, "comparable_on: [], ", []),
        ("{hardware: a}", {"hardware": "b"}, "", []),
        ("{hardware: a}", {"hardware": "b"}, "unit: s, ", ["hardware-differs"]),
        (
            "{data: d, protocol: p}",
            {"data": "e", "protocol": "q"},
            "",
            ["data-differs", "protocol-differs"],
        ),
    ],
)
def test_only_comparable_numbers_are_compared(
    recorded: str, reported: dict[str, str], rule: str, expected: list[str]
) -> None:
    text = rules(ONE_RULE.replace("direction", f"{rule}direction"), provenance=recorded)

    found = verdict(text, Candidate({"cnn": side(GOOD, **reported)}))

    assert [finding.reason for finding in found.findings] == expected
    assert (found.rows[0].label == "incomparable") == bool(expected)


def test_the_base_is_compared_with_its_own_provenance() -> None:
    candidate = Candidate({"cnn": side(GOOD, data="new")}, {"cnn": side(GOOD, data="new")})

    assert verdict(rules(ONE_RULE, provenance="{data: old}"), candidate).status is Status.PASS


def test_a_relative_tolerance_of_a_zero_measured_at_the_base() -> None:
    rule = "a: {value: 1, direction: lower, tolerance: {relative: 0.1}}"
    candidate = Candidate({"cnn": side({"a": 0.5})}, {"cnn": side({"a": 0})})

    assert reasons(verdict(rules(rule), candidate)) == [("fail", "zero-baseline")]


def test_numbers_too_large_to_compute_with() -> None:
    rule = "a: {value: -1.7e308, direction: lower}"

    assert reasons(verdict(rules(rule), {"a": 1.7e308})) == [("fail", "out-of-range")]


@pytest.mark.parametrize(
    ("file", "model", "caller", "measured", "expected"),
    [
        ("", "", None, "2020-01-01", []),
        ("", "", 30, "2026-11-01", []),
        ("", "", 20, "2026-11-01", ["stale-baseline"]),
        ("", "", 21, "2026-11-01", []),  # exactly as old as it may get
        ("max-age-days: 20", "", None, "2026-11-01", ["stale-baseline"]),
        ("max-age-days: 20", "", 90, "2026-11-01", ["stale-baseline"]),
        ("max-age-days: 20", "    max-age-days: 90", None, "2026-11-01", []),
        ("max-age-days: 20", "", None, "", ["baseline-age-unknown"]),
    ],
)
def test_old_baselines(
    file: str, model: str, caller: int | None, measured: str, expected: list[str]
) -> None:
    provenance = f"{{measured: {measured}}}" if measured else "{}"
    text = rules(ONE_RULE, extra=f"{model}\n{file}", provenance=provenance)

    found = verdict(text, GOOD, replace(SETTINGS, max_age_days=caller))

    assert [finding.reason for finding in found.findings] == expected


def test_values_measured_at_the_base_do_not_age() -> None:
    text = rules(ONE_RULE, extra="max-age-days: 1", provenance="{measured: 2020-01-01}")

    assert verdict(text, Candidate({"cnn": side(GOOD)}, {"cnn": side(GOOD)})).findings == ()


def waiver(**fields: str) -> str:
    body = {"metric": "accuracy", "reason": "known", "until": "2026-11-22", **fields}
    return f"waivers: [{{{', '.join(f'{key}: {value}' for key, value in body.items())}}}]"


@pytest.mark.parametrize(
    ("extra", "expected", "status"),
    [
        (waiver(), [("warn", "regression-proven")], Status.WARN),
        (waiver(model="cnn"), [("warn", "regression-proven")], Status.WARN),
        (
            waiver(until="2026-11-21"),
            [("fail", "regression-proven"), ("warn", "waiver-expired")],
            Status.FAIL,
        ),
        (
            waiver(model="vit"),
            [("fail", "regression-proven"), ("warn", "orphan-waiver")],
            Status.FAIL,
        ),
        (
            waiver(metric="f1"),
            [("fail", "regression-proven"), ("warn", "orphan-waiver")],
            Status.FAIL,
        ),
    ],
)
def test_a_waiver_turns_a_named_failure_into_a_warning(
    extra: str, expected: list[tuple[str, str]], status: Status
) -> None:
    found = verdict(rules(ONE_RULE, extra=extra), {"accuracy": 0.5})

    assert (reasons(found), found.status) == (expected, status)


def test_predictions_on_other_data_are_not_paired() -> None:
    paired = "accuracy: {paired: same-weights, direction: higher, tolerance: {absolute: 0.01}}"
    text = rules(paired, provenance="{data: d, protocol: p}")

    found = verdict(text, Candidate({"cnn": side(GOOD, data="e", protocol="p")}))

    assert reasons(found) == [("fail", "data-differs")]


def test_a_renewed_waiver_holds_beside_the_expired_one() -> None:
    old, new = waiver(until="2026-11-21"), waiver(until="2026-12-21")
    both = f"{old.removesuffix(']')}, {new.removeprefix('waivers: [')}"

    assert verdict(rules(ONE_RULE, extra=both), {"accuracy": 0.5}).status is Status.WARN


def test_a_waiver_never_covers_what_failed_to_run() -> None:
    candidate = Candidate({}, failures=(Failure("cnn", "head", None, "crashed", ""),))

    assert verdict(rules(ONE_RULE, extra=waiver()), candidate).status is Status.FAIL


def test_broken_values_without_a_rule_are_a_warning() -> None:
    found = verdict(rules(ONE_RULE), {**GOOD, "f1": float("nan")})

    assert reasons(found) == [("warn", "nan")]


def slices(**values: float) -> dict[str, list[float]]:
    spread = (-0.002, -0.001, 0.0, 0.001, 0.002)
    return {
        name.replace("_", "/class="): [value + step for step in spread]
        for name, value in values.items()
    }


def test_undeclared_slices_advise_and_nothing_more() -> None:
    base = slices(accuracy=0.98, accuracy_1=0.98, accuracy_2=0.98, other_1=0.98)
    head = slices(accuracy=0.98, accuracy_1=0.90, accuracy_2=0.98, other_1=0.5)

    found = verdict(rules(ONE_RULE), Candidate({"cnn": side(head)}, {"cnn": side(base)}))

    assert [(f.level, f.reason, f.metric) for f in found.findings] == [
        ("notice", "slice-worse", "accuracy/class=1")
    ]
    assert found.status is Status.PASS


@pytest.mark.parametrize(("drop", "advised"), [(0.0008, 0), (0.0014, 0), (0.0024, 1)])
def test_false_discoveries_over_slices_are_held_to_5_percent(drop: float, advised: int) -> None:
    """Welch's p of the three drops is 0.22, 0.10 and 0.02; of one slice that is the adjusted."""
    base, head = (
        slices(accuracy=0.98, accuracy_1=0.98),
        slices(accuracy=0.98, accuracy_1=0.98 - drop),
    )

    found = verdict(rules(ONE_RULE), Candidate({"cnn": side(head)}, {"cnn": side(base)}))

    assert len(found.findings) == advised


def test_many_slices_share_the_5_percent() -> None:
    one = {"accuracy": 0.98, "accuracy_1": 0.98}
    more = {f"accuracy_{n}": 0.98 for n in range(2, 9)}
    base, head = slices(**one, **more), slices(**one | {"accuracy_1": 0.9776}, **more)

    found = verdict(rules(ONE_RULE), Candidate({"cnn": side(head)}, {"cnn": side(base)}))

    assert found.findings == (), "0.02 among 8 slices is no discovery"


@pytest.mark.parametrize(("after", "advised"), [(0.971, []), (0.5, ["accuracy/class=1"])])
@pytest.mark.parametrize("count", [1, 3])
def test_slices_without_a_spread_are_held_to_their_metrics_tolerance(
    after: float, advised: list[str], count: int
) -> None:
    base = {"accuracy": [0.98] * count, "accuracy/class=1": [0.98] * count}
    head = {"accuracy": [0.98] * count, "accuracy/class=1": [after] * count}

    found = verdict(rules(ONE_RULE), Candidate({"cnn": side(head)}, {"cnn": side(base)}))

    assert [f.metric for f in found.findings if f.reason == "slice-worse"] == advised
    assert found.status is Status.PASS


@pytest.mark.parametrize(("direction", "advised"), [("higher", 0), ("lower", 1), ("equal", 1)])
def test_slices_take_the_direction_of_their_metric(direction: str, advised: int) -> None:
    rule = f"loss: {{value: 1, direction: {direction}, tolerance: {{absolute: 9}}}}"
    base, head = slices(loss=1, loss_1=1), slices(loss=1, loss_1=1.5)

    found = verdict(rules(rule), Candidate({"cnn": side(head)}, {"cnn": side(base)}))

    assert len(found.findings) == advised


def test_what_has_no_rule_comes_with_yaml_to_paste() -> None:
    baseline = parse_baseline(rules(ONE_RULE), name="b.yaml")
    new = {**GOOD, "accuracy/class=1": 0.9, "val_loss": [0.1, 0.2, 0.12], "on": 1, 'a "b": c': 2}
    candidate = Candidate({"cnn": side(new), "vit": side({"f1": 0.5})})

    missing = without_rule(baseline, candidate)
    text = paste(missing, candidate)

    assert missing == {"cnn": ("val_loss", "on", 'a "b": c'), "vit": ("f1",)}
    assert [f.reason for f in notices(missing, baseline)] == ["no-rule", "no-rules"]
    pasted = parse_baseline("version: 1\n" + text, name="pasted")
    assert pasted.models["cnn"].rules["val_loss"].direction == "lower"
    assert pasted.models["cnn"].rules["val_loss"].absolute > 0.05
    assert pasted.models["vit"].rules["f1"].values == (0.5,)
    assert parse_yaml(text, name="pasted")["models"]["cnn"]["metrics"].keys() == set(missing["cnn"])


def test_a_long_list_to_paste_is_cut() -> None:
    candidate = Candidate({"cnn": side({f"m{n}": n for n in range(100)})})
    baseline = parse_baseline("version: 1\nmodels: {}\n", name="b.yaml")

    text = paste(without_rule(baseline, candidate), candidate)

    assert text.count("direction:") == 40
    assert "# and 60 more" in text


def test_every_failing_finding_about_a_rule_has_its_place() -> None:
    found = verdict(rules(ONE_RULE), {"accuracy": 0.5})

    assert isinstance(found.findings[0], Finding)
    assert found.findings[0].keys == ("models", "cnn", "metrics", "accuracy")


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("accuracy", "higher"),
        ("loss", "lower"),
        ("epoch_s", "lower"),
        ("latency_ms", "lower"),
        ("samples_per_sec", "higher"),
        ("tokens_per_s/batch=8", "higher"),
        ("time_per_step", "lower"),
    ],
)
def test_directions_are_guessed_from_names(name: str, guess: str) -> None:
    assert direction(name) == guess


def changed(kind: str, new: str | None, accuracy: Sequence[float] = GOOD["accuracy"]) -> Candidate:
    """Return a change that took `configs/cnn.yaml` away and measured the models it left."""
    heads = {new or "vit": side({"accuracy": accuracy})}
    gone = Removed("cnn", "configs/cnn.yaml", kind, new)  # type: ignore[arg-type]
    return Candidate(heads, expected=frozenset(heads), removed=(gone,))


@pytest.mark.parametrize(
    ("candidate", "still_ruled", "level", "said"),
    [
        (changed("renamed", "cnn2"), None, "fail", "move them from `cnn` to `cnn2` in the same"),
        (changed("renamed", "cnn2"), {"cnn", "cnn2"}, "fail", "move them from `cnn` to `cnn2`"),
        (changed("renamed", "cnn2"), {"cnn2"}, "warn", "its rules in `b.yaml` moved with it"),
        (changed("renamed", "cnn2"), set(), "warn", "after this, nothing holds it"),
        (changed("deleted", None), None, "fail", "still has rules for `cnn`: remove them in the"),
        (changed("changed", None), None, "fail", "is no model config any more"),
        (changed("deleted", None), {"vit"}, "warn", "after this, nothing holds it"),
    ],
)
def test_a_config_takes_its_rules_along_or_fails(
    candidate: Candidate, still_ruled: set[str] | None, level: str, said: str
) -> None:
    settings = replace(
        SETTINGS, still_ruled=None if still_ruled is None else frozenset(still_ruled)
    )

    found = weigh(parse_baseline(rules(ONE_RULE), name="b.yaml"), candidate, settings)

    [removed] = [one for one in found.findings if one.reason == "removed-model"]
    assert (removed.level, str(found.status)) == (level, level)
    assert said in removed.message


def test_a_renamed_model_is_held_against_the_rules_of_its_old_name() -> None:
    """Also where the rules left with the config, and its waiver goes with it."""
    dropped = changed("renamed", "cnn2", [0.78, 0.79, 0.78])
    waived = rules(ONE_RULE, extra=waiver(model="cnn"))
    settings = replace(SETTINGS, still_ruled=frozenset())

    plain = weigh(parse_baseline(rules(ONE_RULE), name="b.yaml"), dropped, settings)
    excused = weigh(parse_baseline(waived, name="b.yaml"), dropped, settings)

    assert [(row.rule.model, row.status) for row in plain.rows] == [("cnn2", Status.FAIL)]
    assert [row.waived for row in excused.rows] == [True]
    assert excused.status is Status.WARN


def test_a_model_with_rules_of_its_own_keeps_them() -> None:
    own = "  cnn2: {metrics: {accuracy: {value: 0.5, direction: higher}}}"

    found = weigh(
        parse_baseline(rules(ONE_RULE, extra=own), name="b.yaml"),
        changed("renamed", "cnn2", [0.6]),
        SETTINGS,
    )

    assert [(row.rule.model, row.status) for row in found.rows] == [("cnn2", Status.PASS)]
    assert found.status is Status.FAIL


def test_rules_that_lead_nowhere_compare_nothing() -> None:
    """A mistyped name fails; a change that mends it is warned; a new model alone is no error."""
    typo = rules(ONE_RULE, model="smal")
    measured = Candidate({"small": side(GOOD)}, expected=frozenset({"small"}))
    mended = replace(SETTINGS, still_ruled=frozenset({"small"}))
    added = replace(measured, skipped={"smal": "unchanged"})

    assert ("fail", "nothing-compared") in reasons(verdict(typo, measured))
    assert verdict(typo, measured, mended).status is Status.WARN
    assert reasons(verdict(typo, added)) == [("warn", "nothing-compared")]

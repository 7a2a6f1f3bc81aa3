"""Reading a baseline: what is refused, where, and that editors are told the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mlactions.compare.baseline import parse_baseline, unit_of
from mlactions.compare.comparable import required
from mlactions.compare.model import Rule
from mlactions.errors import UserError
from mlactions.schema import parse_yaml, schema

FULL = """\
version: 1
max-age-days: 90
on-inconclusive: warn
require: non-inferior
models:
  cnn:
    owner: vision team
    max-age-days: 30
    provenance: {commit: 1a2b, data: sha256:1, seeds: [0, 1], measured: 2026-11-01}
    metrics:
      accuracy:
        values: [0.981, 0.983]
        direction: higher
        tolerance: {absolute: 5e-3, relative: 0.01}
        min: 0.95
        max: 1
        severity: warn
        comparable_on: [data, hardware]
        on-inconclusive: fail
        unit: "%"
        owner: me
        reason: the product needs it
      parameters: {value: 151000, direction: equal}
      hits: {direction: higher, paired: same-weights, score: correct}
      latency_ms: {direction: lower, max: 5}
waivers:
  - {model: cnn, metric: accuracy, reason: known, until: 2026-12-01}
"""


def test_every_field_arrives() -> None:
    baseline = parse_baseline(FULL, name="b.yaml")

    group = baseline.models["cnn"]
    assert (baseline.max_age_days, baseline.on_inconclusive, baseline.non_inferior) == (
        90,
        "warn",
        True,
    )
    assert (group.owner, group.max_age_days, group.provenance["measured"]) == (
        "vision team",
        30,
        "2026-11-01",
    )
    assert group.rules["accuracy"] == Rule(
        "cnn",
        "accuracy",
        "higher",
        values=(0.981, 0.983),
        absolute=0.005,
        relative=0.01,
        minimum=0.95,
        maximum=1,
        severity="warn",
        comparable_on=("data", "hardware"),
        on_inconclusive="fail",
        unit="%",
        owner="me",
        reason="the product needs it",
        has_tolerance=True,
    )
    assert group.rules["parameters"].values == (151000,)
    assert group.rules["parameters"].owner == "vision team"
    assert group.rules["hits"].paired
    assert group.rules["latency_ms"].bounds_only
    assert baseline.waivers[0].covers("cnn", "accuracy")
    assert not baseline.waivers[0].covers("vit", "accuracy")


def test_a_merge_key_shares_rules() -> None:
    text = """\
version: 1
models:
  a: &shared
    metrics:
      accuracy: &rule {value: 0.9, direction: higher, tolerance: {absolute: 0.01}}
  b:
    metrics:
      accuracy: {<<: *rule, value: 0.8}
"""
    baseline = parse_baseline(text, name="b.yaml")

    assert baseline.models["b"].rules["accuracy"].values == (0.8,)
    assert baseline.models["b"].rules["accuracy"].absolute == 0.01


KNOWN = (
    "`value`, `values`, `direction`, `tolerance`, `min`, `max`, `severity`, `comparable_on`, "
    "`paired`, `score`, `require`, `on-inconclusive`, `unit`, `owner`, `reason`"
)
MESSAGES = {
    "tolerence: {absolute: 1}": "unknown field: `RULE.tolerence`. Did you mean `tolerance`?",
    "direction: up": "bad direction: `RULE.direction` is `up` (text)."
    " Write `higher`, `lower` or `equal`.",
    "zzz: 1": f"unknown field: `RULE.zzz`. Known fields: {KNOWN}.",
    "values: [0.9, .nan]": "bad values: `RULE.values` is `[0.9, nan]`. `nan` is no finite number.",
    "tolerance: 0.06": "bad tolerance: `RULE.tolerance` is `0.06`."
    " Write {absolute: 0.06} or {relative: 0.06}.",
    "tolerance: 5%": "bad tolerance: `RULE.tolerance` is `5%` (text)."
    " Write {absolute: 0.005} or {relative: 0.005}.",
    "comparable_on: [data, gpu]": "bad comparable_on: `RULE.comparable_on` is `[data, gpu]`."
    " `gpu` (text) is no field of the provenance."
    " Known fields: protocol, config, data, hardware, python, torch.",
    "min: high": "bad min: `RULE.min` is `high` (text). Write a finite number.",
    "tolerance: {}, relative: 1": f"unknown field: `RULE.relative`. Known fields: {KNOWN}.",
    "score: correct": "score without paired: `RULE.score` names a column of predictions, which"
    " nothing reads. Add `paired: same-weights`, or remove `score`.",
}


@pytest.mark.parametrize(("wrong", "message"), MESSAGES.items())
def test_errors_say_where_what_and_what_to_write(wrong: str, message: str) -> None:
    text = f"version: 1\nmodels:\n  cnn:\n    metrics:\n      f1: {{direction: lower, {wrong}}}\n"
    text = text.replace("direction: lower, direction", "direction")

    with pytest.raises(UserError) as caught:
        parse_baseline(text, name="b.yaml")

    message = message.replace("RULE", "models.cnn.metrics.f1")
    assert str(caught.value) == f"b.yaml:5: {message}"


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("latency_ms", "ms"),
        ("peak_memory_mb", "mb"),
        ("latency_ms/batch=8", "ms"),
        ("accuracy", ""),
        ("loss_min", ""),
        ("model_b", ""),
        ("ms", ""),
        ("epoch_s", "s"),
        ("time_per_epoch_s/batch=8", "s"),
        ("gpu.train_s", "s"),
        ("accuracy_s", ""),
        ("timestep_s", ""),
    ],
)
def test_units_at_the_end_of_names(metric: str, unit: str) -> None:
    assert unit_of(metric) == unit


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        (Rule("m", "accuracy", "higher"), ("data", "protocol")),
        (Rule("m", "latency_ms", "lower", unit="ms"), ("data", "protocol", "hardware")),
        (Rule("m", "peak", "lower", unit="GiB"), ("data", "protocol", "hardware")),
        (Rule("m", "latency_ms", "lower", unit="ms", comparable_on=()), ()),
    ],
)
def test_time_and_memory_are_comparable_on_equal_hardware(
    rule: Rule, fields: tuple[str, ...]
) -> None:
    assert required(rule) == fields


name = st.sampled_from(["accuracy", "val/loss=1", "a b", "é"])
finite = st.floats(-1e9, 1e9) | st.integers(-10, 10)
JUNK: list[Any] = [None, True, "", "text", [], {}, ["a"], [1, None], -1, 0, 2, 1.5, "x" * 600]
junk = st.sampled_from(JUNK)
day = st.sampled_from(["2026-11-01", "2026-1-1", "soon", "2026-13-01", 20261101])
either = st.sampled_from(["fail", "warn", "error"])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "value": finite,
    "values": st.lists(finite, max_size=3),
    "direction": st.sampled_from(["higher", "lower", "equal", "up"]),
    "tolerance": st.dictionaries(st.sampled_from(["absolute", "relative", "abs"]), finite),
    "min": st.just(0.5),
    "max": st.just(0.9),
    "severity": either,
    "comparable_on": st.lists(st.sampled_from(["data", "protocol", "hardware", "commit", "gpu"])),
    "paired": st.sampled_from(["same-weights", "retrained", True]),
    "score": st.sampled_from(["correct", ""]),
    "require": st.sampled_from(["non-inferior", "superior"]),
    "on-inconclusive": either,
    "unit": st.sampled_from(["ms", "", "a very long name of a unit"]),
    "owner": st.sampled_from(["me", ""]),
    "tolerence": finite,
}


def mapping(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Build mappings with any of the fields, each mostly of the right kind."""
    optional = {key: value | junk if key == "value" else value for key, value in fields.items()}
    return st.fixed_dictionaries({}, optional=optional)


rule = mapping(FIELDS).map(lambda body: {"direction": "higher", **body}) | junk
provenance = mapping(
    {
        "commit": st.just("1a2b") | junk,
        "data": st.none() | st.just("sha256:1"),
        "seeds": st.lists(st.integers(0, 5), max_size=2) | junk,
        "measured": day,
        "gpu": st.just("none"),
    }
)
model = st.fixed_dictionaries(
    {"metrics": st.dictionaries(name, rule, max_size=2)},
    optional={"provenance": provenance, "owner": junk, "max-age-days": st.integers(-1, 9) | junk},
)
waiver = mapping({"metric": name | junk, "reason": st.just("r"), "until": day, "model": junk})
documents = st.fixed_dictionaries(
    {
        "version": st.sampled_from([1, 1, 1, 2, "1", 1.0, True]),
        "models": st.dictionaries(st.sampled_from(["cnn", "a b", "-x"]), model, max_size=1) | junk,
    },
    optional={
        "waivers": st.lists(waiver, max_size=2) | junk,
        "max-age-days": st.integers(-1, 40_000) | junk,
        "on-inconclusive": either,
        "require": st.just("non-inferior") | junk,
        "model": junk,
    },
)


@given(documents)
def test_editors_refuse_what_compare_refuses(document: dict[str, Any]) -> None:
    text = yaml.safe_dump(document, default_style=None, allow_unicode=True)
    text = text.replace("'2026-11-01'", "2026-11-01")
    valid = Draft202012Validator(schema("baseline")).is_valid(document)

    try:
        parse_baseline(text, name="b.yaml")
        refused = ""
    except UserError as error:
        refused = error.title

    # What only the whole rule shows, no schema can say.
    if refused not in {"zero baseline", "min above max"}:
        assert valid == (not refused), (refused, text)


def test_the_schema_is_one_and_describes_every_rule_field() -> None:
    document = schema("baseline")

    Draft202012Validator.check_schema(document)
    assert "description" in json.dumps(document["$defs"]["rule"])
    assert Draft202012Validator(document).is_valid(parse_yaml(FULL, name="b.yaml"))

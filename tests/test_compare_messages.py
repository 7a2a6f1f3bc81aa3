"""What a person reads when something is wrong: each message says what to do, and says it once."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlactions import markdown
from mlactions.__main__ import run
from mlactions.compare import render
from mlactions.compare.baseline import parse_baseline
from mlactions.compare.cli import weigh
from mlactions.compare.decide import Policy
from mlactions.compare.model import Candidate, Rule, Verdict
from mlactions.compare.paired import weigh_pairs
from mlactions.compare.predictions import Pairs
from mlactions.compare.result import sentence
from mlactions.compare.sentences import below_noise
from mlactions.errors import Exit, UserError
from mlactions.runner import Runner
from mlactions.schema import parse_yaml
from mlactions.settings import Status
from tests.test_compare_gate import GOOD, ONE_RULE, SETTINGS, rules, side, verdict

LATENCY = "latency_ms: {value: 3, direction: lower}"
LOSS = "loss: {value: 0.1, direction: lower}"
METRICS = {**GOOD, "latency_ms": 3, "loss": 0.1}

BASELINE = """\
version: 1
models:
  cnn:
    metrics:
      accuracy: {value: 0.98, direction: higher, tolerance: {absolute: 0.01}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a baseline at its usual place."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "baseline.yaml").write_text(BASELINE)
    return tmp_path


def call(*arguments: str, github: bool = False) -> tuple[int, str]:
    stream = io.StringIO()
    environ = {"GITHUB_ACTIONS": "true"} if github else {}
    return run(["compare", *arguments], Runner(environ, stream)), stream.getvalue()


def given(path: str, document: Any) -> str:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(document if isinstance(document, str) else json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("field", "parts"),
    [
        (
            "protocol",
            [
                (
                    "the evaluation command, or a file of `protocol-files`, differs from the one"
                    " the baseline was measured with"
                ),
                "Use the same command, or measure the baseline again with `compare update`.",
            ],
        ),
        ("data", ["Use the same data, or measure the baseline again with `compare update`."]),
        (
            "hardware",
            [
                "the machine differs",
                (
                    "Measure on the same machine type, set `severity: warn`, or leave `hardware`"
                    " out with `comparable_on: [data, protocol]`."
                ),
            ],
        ),
    ],
)
def test_what_cannot_be_compared_says_what_it_is_and_what_to_do(
    field: str, parts: list[str]
) -> None:
    text = rules(LATENCY, provenance=f"{{{field}: a}}")

    found = verdict(text, Candidate({"cnn": side({"latency_ms": 3}, **{field: "b"})}))

    assert found.findings[0].reason == f"{field}-differs"
    for part in [*parts, f"(`{field}` is `b`, was `a`)"]:
        assert part in found.findings[0].message


@pytest.mark.parametrize(
    ("recorded", "reported", "said"),
    [
        ("{}", {"data": "d"}, "the baseline records no `data`, which `comparable_on` asks for."),
        ("{}", {}, "neither does this run. Write `data` below `provenance` in the metrics file;"),
        ("{data: d}", {}, "this run reports no `data`, and the baseline records `d`. Write `data`"),
    ],
)
def test_what_is_unknown_can_be_recorded(
    recorded: str, reported: dict[str, str], said: str
) -> None:
    rule = ONE_RULE.replace("direction", "comparable_on: [data], direction")

    found = verdict(rules(rule, provenance=recorded), Candidate({"cnn": side(GOOD, **reported)}))

    assert said in found.findings[0].message
    assert "`compare update`" in found.findings[0].message


def test_one_cause_is_one_finding_and_every_row_fails() -> None:
    text = rules(ONE_RULE, LATENCY, LOSS, provenance="{protocol: p}")

    found = verdict(text, Candidate({"cnn": side(METRICS, protocol="q")}))

    assert [f.reason for f in found.findings] == ["protocol-differs"]
    start = "`accuracy`, `latency_ms` and `loss` of `cnn` cannot be compared: the evaluation"
    assert found.findings[0].message.startswith(start)
    assert [row.status for row in found.rows] == [Status.FAIL] * 3
    assert all(row.reasons == ("protocol-differs",) for row in found.rows)


def test_one_cause_fails_where_one_rule_does() -> None:
    text = rules(LATENCY.replace("direction", "severity: warn, direction"), LOSS)
    text = text.replace("provenance: {}", "provenance: {protocol: p}")

    found = verdict(text, Candidate({"cnn": side({"latency_ms": 3, "loss": 0.1}, protocol="q")}))

    assert [(f.level, f.reason) for f in found.findings] == [("fail", "protocol-differs")]
    assert found.findings[0].message.startswith("`latency_ms` and `loss` of `cnn` cannot")
    assert [row.status for row in found.rows] == [Status.WARN, Status.FAIL]


def test_a_waived_one_stays_apart() -> None:
    waiver = "waivers: [{metric: loss, reason: known, until: 2026-12-01}]"
    text = rules(ONE_RULE, LATENCY, LOSS, extra=waiver, provenance="{protocol: p}")

    found = verdict(text, Candidate({"cnn": side(METRICS, protocol="q")}))

    assert [(f.level, f.metric) for f in found.findings] == [("fail", ""), ("warn", "loss")]
    assert "Waived until 2026-12-01: known." in found.findings[1].message


def test_one_cause_is_one_annotation(here: Path) -> None:
    rule = "{value: 0.98, direction: higher}"
    lines = [f"      m{n}: {rule}" for n in range(9)]
    recorded = "    provenance: {data: old}"
    text = "\n".join(["version: 1", "models:", "  cnn:", recorded, "    metrics:", *lines])
    (here / "configs" / "baseline.yaml").write_text(text)
    metrics = {"metrics": {f"m{n}": 0.98 for n in range(9)}, "provenance": {"data": "new"}}
    given("metrics/cnn.json", metrics)

    code, said = call("--metrics", "metrics", "--out", "out", github=True)

    assert (code, said.count("::error ")) == (Exit.FAILED_CHECK, 1)
    assert "m0, m1, m2, m3, m4 and 4 more of cnn cannot be compared" in said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('"0.98"', 'is text, not a number: found `"0.98"` in cnn.json:3. Write a finite number, '),
        ("NaN", "is NaN: found `NaN` in cnn.json:3. Write a finite number."),
        ("[]", "is an empty list: found `[]` in cnn.json:3. Write one finite number per seed."),
    ],
)
def test_a_broken_value_names_its_line_and_what_to_write(here: Path, value: str, said: str) -> None:
    given("cnn.json", f'{{\n "loss": 1,\n "accuracy": {value}\n}}')

    code, _ = call("--metrics", "cnn.json", "--out", "out")

    found = json.loads((here / "out" / "result.json").read_text())["findings"]
    assert code == Exit.FAILED_CHECK
    assert said in found[0]["message"]


@pytest.mark.parametrize(
    ("document", "parts"),
    [
        (
            {"cnn": {"accuracy": 0.98}},
            ["read as one model, `metrics`", "holds `cnn` at its top", '{"models": {"cnn":'],
        ),
        (
            {"metrics": {"accuracy": 0.98}},
            ["read as one model, `metrics`", "the baseline has `cnn`", "Name the file `cnn.json`"],
        ),
        ([0.98], ["expected an object, found a list", '{"models": {"<model>":']),
        ("{}", ["the file holds no metric", '{"metrics": {"accuracy": 0.98}}']),
    ],
)
def test_a_file_of_another_shape_is_told_the_shapes(
    here: Path, document: Any, parts: list[str]
) -> None:
    given("metrics.json", document)

    for words in ((), ("update",)):
        code, said = call(*words, "--metrics", "metrics.json", "--out", "out")

        assert (code, said.count("\n")) == (Exit.BAD_INPUT, 1), said
        assert [part for part in parts if part not in said] == []
    assert (here / "configs" / "baseline.yaml").read_text() == BASELINE


def test_a_model_that_was_asked_for_needs_no_rules(here: Path) -> None:
    given("metrics/vit.json", {"accuracy": 0.98})
    given("metrics/cnn.json", {"accuracy": 0.98})

    code, said = call("--metrics", "metrics", "--expected", "vit", "--out", "out")

    assert code == Exit.PASS, said


def test_a_list_of_models_excuses_no_other(here: Path) -> None:
    """Who lists a model asks for it; that says nothing of those that have rules."""
    given("vit.json", {"accuracy": 0.98})

    code, said = call("--metrics", "vit.json", "--expected", "vit", "--out", "out")

    assert code == Exit.FAILED_CHECK
    assert "FAIL: cnn has rules and was not measured; vit was measured and has none" in said


@pytest.mark.parametrize("text", ["a:\n\tb: 1\n", "a:\n  b: 1\n\tc: 2\n", "é: ü\n\tc: 2\n"])
def test_a_tab_is_called_a_tab(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_yaml(text, name="f.yaml")

    line = text[: text.index("\t")].count("\n") + 1
    expected = f"f.yaml:{line}: not valid YAML: a tab character stands here. Indent with spaces."
    assert str(caught.value) == expected


def test_other_syntax_errors_stay_what_they_are() -> None:
    with pytest.raises(UserError, match="did not find expected"):
        parse_yaml("a: {b: 1\tx\n", name="f.yaml")


@pytest.mark.parametrize("out", ["taken", "taken/below"])
@pytest.mark.parametrize("words", [(), ("update",), ("calibrate",)])
def test_a_file_is_no_folder_to_write_to(here: Path, out: str, words: tuple[str, ...]) -> None:
    given("metrics/cnn.json", {"accuracy": 0.98})
    (here / "taken").write_text("mine")

    code, said = call(*words, "--metrics", "metrics", "--out", out)

    assert code == Exit.BAD_INPUT
    assert "taken is a file. Name a folder" in said
    assert (here / "taken").read_text() == "mine"


def test_the_baseline_has_a_usual_place(here: Path) -> None:
    given("metrics/cnn.json", {"accuracy": 0.98})

    assert call("--metrics", "metrics", "--out", "out")[0] == Exit.PASS
    (here / "configs" / "baseline.yaml").unlink()
    code, said = call("--metrics", "metrics", "--out", "out")

    assert code == Exit.BAD_INPUT
    assert "`compare update --baseline configs/baseline.yaml --metrics PATH` begins one." in said


@pytest.mark.parametrize(
    ("rule", "values", "said"),
    [
        ("a: {direction: higher, min: 0.97}", [0.958, 0.99], "of 0.9700 in 1 of 2 runs"),
        ("a: {direction: higher, min: 0.9}", 0.899999, "is 0.899999, below its `min` of 0.900000"),
        ("n_ms: {direction: lower, max: 3.25}", 12, "is 12.00 ms, above its `max` of 3.25 ms"),
        ("a: {direction: lower, max: 100000}", 151306, "is 151,306, above its `max` of 100,000"),
    ],
)
def test_bounds_show_the_digits_of_the_table(rule: str, values: Any, said: str) -> None:
    found = verdict(rules(rule), {rule.partition(":")[0]: values})

    assert said in found.findings[0].message


def judged(text: str, candidate: Candidate) -> Verdict:
    """Judge with the notices that the command adds."""
    return weigh(parse_baseline(text, name="b.yaml"), candidate, SETTINGS)


def test_a_rename_is_one_warning_and_leads_the_verdict() -> None:
    vit = "\n  vit: {metrics: {accuracy: {min: 0.5, direction: higher}}}"
    text = rules(ONE_RULE, model="digits_cnn") + vit
    heads = {"digits_cnn2": side(GOOD), "vit": side(GOOD)}
    candidate = Candidate(heads, expected=frozenset(heads))

    found = judged(text, candidate)

    assert [(f.level, f.reason) for f in found.findings] == [("warn", "renamed-model")]
    assert (found.status, sentence(found)) == (
        Status.WARN,
        (
            "digits_cnn has rules and was not measured; digits_cnn2 was measured and has none: if"
            " it was renamed, rename it in the baseline too."
        ),
    )


def test_of_several_models_those_with_close_names_are_a_rename() -> None:
    text = rules(ONE_RULE, model="digits_cnn") + "\n  old: {metrics: {a: {direction: lower}}}"
    heads = {"digits_cnn_v2": side(GOOD), "transformer": side(GOOD)}

    found = judged(text, Candidate(heads, expected=frozenset(heads)))

    assert [(f.reason, f.model) for f in found.findings] == [
        ("renamed-model", "digits_cnn"),
        ("orphan-model", "old"),
        ("nothing-compared", ""),
        ("no-rules", "transformer"),
    ]
    assert sentence(found).startswith("No rule was compared: no measured model has rules, and 2")


def test_where_every_model_must_be_measured_a_rename_still_fails() -> None:
    found = judged(rules(ONE_RULE), Candidate({"cnn2": side(GOOD)}))

    assert [(f.level, f.reason) for f in found.findings] == [("fail", "missing-model")]
    assert "`cnn2` was measured and has none" in found.findings[0].message


def test_a_name_that_is_close_is_asked_for() -> None:
    typo = rules(ONE_RULE, model="digits_cn")
    skipped = Candidate({}, expected=frozenset(), skipped={"digits_cnn": "unchanged"})
    settings = replace(SETTINGS, expected=frozenset({"digits_cn"}))

    orphan = verdict(typo, skipped).findings[0]
    missing = verdict(typo, Candidate({"digits_cnn": side(GOOD)}), settings).findings[0]

    assert orphan.message.endswith("`configs`. Did you mean `digits_cnn`?")
    assert (
        missing.message == "`digits_cn` was expected and not measured. Did you mean `digits_cnn`?"
    )


@pytest.mark.parametrize(
    ("accuracy", "status"), [([0.98, 0.982], Status.PASS), ([0.5, 0.5], Status.FAIL)]
)
def test_the_verdict_counts_models_without_rules(accuracy: list[float], status: Status) -> None:
    heads = {"cnn": side({"accuracy": accuracy}), "vit": side(GOOD), "gru": side(GOOD)}

    found = judged(rules(ONE_RULE), Candidate(heads))

    assert found.status is status
    assert sentence(found).endswith(" 2 models have no rules.")


def test_no_message_has_odd_spaces() -> None:
    root = Path(__file__).parent / "cases" / "compare"
    results = [json.loads(path.read_text()) for path in root.glob("*/expected/**/result.json")]
    messages = [item["message"] for result in results for item in result["findings"]]
    messages += [result["verdict"] for result in results]

    assert len(messages) > 20
    assert [m for m in messages if re.search(r"  | [.,;:]| $|\.\.(?!\.)", m)] == []


def test_no_number_of_seeds_is_promised_for_a_tolerance_of_zero() -> None:
    zero = "accuracy: {values: [0.98, 0.981, 0.979], direction: higher}"

    found = verdict(rules(zero), {"accuracy": [0.98, 0.981, 0.9789]})

    message = found.findings[0].message
    assert found.findings[0].reason == "regression-inconclusive"
    assert message.endswith(
        " No number of seeds settles a tolerance of 0: allow what the noise does."
    )


def test_paired_evidence_speaks_of_items() -> None:
    rule = Rule("cnn", "accuracy", "higher", absolute=0.001, paired=True)
    both = Pairs("correct", [1.0] * 50 + [0.0], [1.0] * 50 + [0.0], single=True)
    evidence = weigh_pairs(rule, both, Policy())

    assert below_noise(rule, evidence).endswith(" can fail. Use more items, or allow more.")


@pytest.mark.parametrize(
    ("pairs", "n", "noise"),
    [
        ([False], "n: values in the baseline, values measured.", "beyond the noise of the seeds"),
        ([True], "n: items on both sides.", "beyond the noise of the items"),
        (
            [True, False],
            "n: values in the baseline, values measured or, of paired rules, items on both sides.",
            "beyond the noise",
        ),
    ],
)
def test_the_legend_says_what_was_counted(pairs: list[bool], n: str, noise: str) -> None:
    path = Path(__file__).parent / "cases" / "compare" / "paired" / "expected" / "out"
    result = json.loads((path / "result.json").read_text())
    row = result["rows"][0]

    text = markdown.render(render({**result, "rows": [{**row, "pairs": pair} for pair in pairs]}))

    assert n in text
    assert f"- **proven**: worse than allowed, {noise}\n" in text

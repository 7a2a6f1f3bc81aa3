"""Calibration and update: numbers above the noise, and a file that keeps all its other words."""

from __future__ import annotations

import codecs
import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mlactions.__main__ import run
from mlactions.compare.baseline import parse_baseline
from mlactions.compare.edit import Changes, check, edit, spell
from mlactions.compare.reporting import render
from mlactions.errors import Exit, UserError
from mlactions.report import Table
from mlactions.runner import Runner
from mlactions.schema import parse_yaml, schema

BASELINE = """\
# é: what we promise
version: 1
models:
  cnn: # the small one
    provenance: {commit: 1a2b, data: old}   # by hand
    metrics:
      accuracy:   {value: 0.980, direction: higher, tolerance: {absolute: 5e-3}}  # main
      loss:
        # one per seed
        values:
          - 0.10  # seed 0
          - 0.20  # seed 1
        direction: lower
        tolerance: {relative: 0.1}
      bound: {direction: higher, min: 0}
  vit: {metrics: {accuracy: {value: 0.9, direction: higher}}}
"""


def call(folder: Path, *arguments: str) -> tuple[int, str]:
    stream = io.StringIO()
    return run(["compare", *arguments], Runner({}, stream)), stream.getvalue()


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Make a folder with a baseline and one model's metrics."""
    (tmp_path / "baseline.yaml").write_text(BASELINE, encoding="utf-8")
    (tmp_path / "metrics").mkdir()
    write(tmp_path, {"accuracy": 0.98, "loss": [0.1, 0.3], "bound": 1})
    return tmp_path


def write(folder: Path, metrics: dict[str, Any], **more: Any) -> None:
    document = {"metrics": metrics, "provenance": {"data": "new", "python": "3.11.7"}, **more}
    (folder / "metrics" / "cnn.json").write_text(json.dumps(document))


def update(folder: Path, *more: str) -> tuple[int, str]:
    paths = ["--baseline", f"{folder}/baseline.yaml", "--metrics", f"{folder}/metrics"]
    return call(folder, "update", *paths, "--today", "2026-11-22", *more)


def test_only_what_was_measured_changes(here: Path) -> None:
    (here / "baseline.yaml").chmod(0o640)

    code, said = update(here)

    assert code == Exit.PASS, said
    after = (here / "baseline.yaml").read_text(encoding="utf-8")
    recorded = '{commit: null, data: new, python: "3.11.7", measured: 2026-11-22}'
    expected = BASELINE.replace("{commit: 1a2b, data: old}", recorded).replace("0.20 ", "0.3 ")
    assert after == expected
    assert stat.S_IMODE((here / "baseline.yaml").stat().st_mode) == 0o640


def test_an_update_twice_changes_nothing_the_second_time(here: Path) -> None:
    update(here)

    code, said = update(here, "--check")

    assert code == Exit.PASS
    assert "already says what was measured" in said


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_line_ends_and_a_byte_order_mark_stay(here: Path, mark: bytes) -> None:
    path = here / "baseline.yaml"
    path.write_bytes(mark + BASELINE.replace("\n", "\r\n").encode())
    write(here, {"accuracy": 0.98, "loss": [0.1, 0.3, 0.4], "bound": 1, "new": 3})

    assert update(here, "--add")[0] == Exit.PASS

    after = path.read_bytes()
    assert after.startswith(mark + "# é".encode())
    assert after.count(b"\r\n") == after.count(b"\n") == after.count(b"\r")
    assert b"new: {value: 3," in after
    with_feeds = after.removeprefix(mark).replace(b"\r\n", b"\n")
    path.write_text(BASELINE, encoding="utf-8")
    update(here, "--add")
    assert path.read_bytes() == with_feeds


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ([0.1], ["          - 0.10  # seed 0"]),
        (
            [0.1, 0.3, 0.4, 0.5],
            [
                "          - 0.10  # seed 0",
                "          - 0.3  # seed 1",
                "          - 0.4",
                "          - 0.5",
            ],
        ),
    ],
)
def test_items_that_stay_keep_their_comments(
    here: Path, loss: list[float], expected: list[str]
) -> None:
    write(here, {"accuracy": 0.98, "loss": loss, "bound": 1})

    update(here, "--allow", "fewer-seeds")

    lines = (here / "baseline.yaml").read_text().splitlines()
    start = lines.index("        values:") + 1
    assert lines[start : start + len(expected) + 1] == [*expected, "        direction: lower"]


@pytest.mark.parametrize("given", ["values: [0.98]", "value: 0.98"])
@pytest.mark.parametrize("now", [[0.97], [0.97, 0.96]])
def test_one_value_may_be_written_either_way(here: Path, given: str, now: list[float]) -> None:
    path = here / "baseline.yaml"
    path.write_text(
        f"version: 1\nmodels: {{cnn: {{metrics: {{accuracy: {{{given}, direction: higher}}}}}}}}\n"
    )
    write(here, {"accuracy": now})

    assert update(here)[0] == Exit.PASS

    read = parse_baseline(path.read_text(), name="b").models["cnn"].rules["accuracy"]
    assert read.values == tuple(now)


def test_a_check_writes_nothing(here: Path) -> None:
    code, said = update(here, "--check")

    assert code == Exit.FAILED_CHECK
    assert (here / "baseline.yaml").read_text(encoding="utf-8") == BASELINE
    assert "would change" in said


def test_more_seeds_turn_a_value_into_values(here: Path) -> None:
    write(here, {"accuracy": [0.98, 0.99, 0.97], "loss": [0.1, 0.2, 0.3], "bound": 1})

    update(here)

    after = (here / "baseline.yaml").read_text(encoding="utf-8")
    assert "accuracy:   {values: [0.98, 0.99, 0.97], direction: higher" in after
    assert "          - 0.20  # seed 1\n          - 0.3\n        direction: lower\n" in after


def test_what_was_measured_passes_its_own_baseline(here: Path) -> None:
    only_cnn = BASELINE.rpartition("  vit:")[0]
    (here / "baseline.yaml").write_text(only_cnn, encoding="utf-8")
    update(here)

    code, said = call(
        here,
        *("--baseline", f"{here}/baseline.yaml", "--metrics", f"{here}/metrics"),
        *("--out", f"{here}/out", "--expected", "cnn", "--today", "2026-11-22"),
    )

    assert code == Exit.PASS, said


@pytest.mark.parametrize(
    ("metrics", "more", "reason"),
    [
        ({"accuracy": 0.98, "loss": [0.1, 0.3]}, (), "bound"),
        ({"accuracy": float("nan"), "loss": [0.1, 0.3], "bound": 1}, (), "nan"),
        ({"accuracy": 0.98, "loss": [0.1, 0.3], "bound": None}, (), "null"),
        ({"accuracy": 0.98, "loss": [0.1, 0.3], "bound": 1}, ("--expected", "gru"), "gru"),
    ],
)
def test_broken_measurements_never_become_a_baseline(
    here: Path, metrics: dict[str, Any], more: tuple[str, ...], reason: str
) -> None:
    write(here, metrics)

    code, said = update(here, "--out", str(here / "out"), *more)

    result = json.loads((here / "out" / "result.json").read_text())
    assert (code, result["status"]) == (Exit.FAILED_CHECK, "refused")
    assert reason in said
    assert (here / "baseline.yaml").read_text(encoding="utf-8") == BASELINE


def test_a_file_that_cannot_be_edited_stays_as_it_is(here: Path) -> None:
    text = """\
version: 1
models:
  cnn:
    metrics:
      accuracy: &rule {value: 0.9, direction: higher}
      loss: *rule
      bound: {direction: higher, min: 0}
"""
    (here / "baseline.yaml").write_text(text)

    code, said = update(here)

    assert code == Exit.BAD_INPUT
    assert "cannot edit" in said
    assert (here / "baseline.yaml").read_text() == text


def test_a_first_baseline_is_begun(tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    write(tmp_path, {"accuracy": [0.98, 0.97, 0.99], "val_loss": 0.1, "odd: name": 3})

    code, said = update(tmp_path)

    assert code == Exit.PASS, said
    text = (tmp_path / "baseline.yaml").read_text()
    found = parse_baseline(text, name="b")
    assert Draft202012Validator(schema("baseline")).is_valid(parse_yaml(text, name="b"))
    assert found.models["cnn"].rules["accuracy"].direction == "higher"
    assert found.models["cnn"].rules["val_loss"].direction == "lower"
    assert found.models["cnn"].rules["odd: name"].values == (3,)
    assert found.models["cnn"].provenance["measured"] == "2026-11-22"


def test_calibration_proposes_what_can_be_pasted(here: Path) -> None:
    write(here, {"accuracy": [0.98, 0.97, 0.99, 0.96], "loss": [0.1, 0.1, 0.1, 0.1], "new": [1, 2]})

    code, said = call(
        here,
        *("calibrate", "--baseline", f"{here}/baseline.yaml", "--metrics", f"{here}/metrics"),
        *("--out", f"{here}/out", "--false-alarms", "0.05"),
    )

    assert code == Exit.PASS, said
    result = json.loads((here / "out" / "result.json").read_text())
    rows = {row["metric"]: row for row in result["rows"]}
    assert (rows["accuracy"]["too_tight"], rows["loss"]["too_tight"]) == (True, False)
    assert rows["loss"]["tolerance"] is None
    text = "version: 1\n" + (here / "out" / "calibration.yaml").read_text()
    pasted = parse_baseline(text, name="pasted").models["cnn"].rules
    assert pasted["accuracy"].absolute == rows["accuracy"]["tolerance"]
    assert pasted["accuracy"].values == (0.98, 0.97, 0.99, 0.96)


def test_runs_in_several_folders_are_calibrated_together(tmp_path: Path) -> None:
    paths: list[str] = []
    for n, value in enumerate([0.98, 0.97, 0.99]):
        (tmp_path / f"run{n}").mkdir()
        (tmp_path / f"run{n}" / "cnn.json").write_text(json.dumps({"accuracy": value}))
        paths += ["--metrics", str(tmp_path / f"run{n}")]

    code, said = call(tmp_path, "calibrate", *paths, "--out", str(tmp_path / "out"))

    assert code == Exit.PASS, said
    assert json.loads((tmp_path / "out" / "result.json").read_text())["rows"][0]["n"] == 3


def test_one_run_shows_no_noise(here: Path) -> None:
    write(here, {"accuracy": 0.98})

    code, said = call(here, "calibrate", "--metrics", f"{here}/metrics", "--out", f"{here}/out")

    assert (code, "no metric has two values or more" in said) == (Exit.BAD_INPUT, True)
    assert not (here / "out" / "calibration.yaml").exists()


def test_calibration_takes_the_usual_baseline_and_keeps_what_its_rules_say(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here)
    (here / "configs").mkdir()
    rule = "{value: 0.9, direction: lower, severity: warn, min: 0.1, reason: 'a: b'}"
    text = f"version: 1\nmodels: {{cnn: {{metrics: {{accuracy: {rule}}}}}}}\n"
    (here / "configs" / "baseline.yaml").write_text(text)
    write(here, {"accuracy": [0.98, 0.97, 0.99]})

    code, said = call(here, "calibrate", "--metrics", "metrics", "--out", "out")

    assert (code, f"rules to paste: {here}/out/calibration.yaml" in said) == (Exit.PASS, True)
    pasted = "version: 1\n" + (here / "out" / "calibration.yaml").read_text()
    found = parse_baseline(pasted, name="pasted").models["cnn"].rules["accuracy"]
    assert (found.direction, found.severity, found.minimum) == ("lower", "warn", 0.1)
    assert (found.reason, found.values) == ("a: b", (0.98, 0.97, 0.99))


def test_calibration_refuses_broken_numbers(here: Path) -> None:
    write(here, {"accuracy": [0.98, None]})

    code, said = call(here, "calibrate", "--metrics", f"{here}/metrics", "--out", f"{here}/out")

    assert (code, "Nothing was written" in said) == (Exit.FAILED_CHECK, True)


numbers = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers() | st.text() | numbers


@given(scalars | st.lists(scalars, max_size=4))
def test_spelled_values_read_back(value: Any) -> None:
    found = parse_yaml(f"{{a: {spell(value)}, b: 1}}", name="f")

    assert found == {"a": value, "b": 1}
    assert type(found["a"]) is type(value)


LAYOUTS = [
    "m: {values: [1, 2], b: x}\n",
    "m: {b: x, values: [1,\n   2]} # end\n",
    "m:\n  values: [1, 2] # here\n  b: x\n",
    "m:\n  b: x\n  values:\n  - 1\n  - 2\n\n# after\n",
    "m:\n    b: x # last",
    "m: {b: x}",
    "m: {}\n",
    "m:\n  b: x\n  values:\n  # none yet\nn: 1\n",
    "'m': {\"values\": [ 1 , 2 ], b: x}\n",
    "m: {b: é, values: [1, 2]}\n",
]


@given(
    st.sampled_from(LAYOUTS),
    st.lists(st.floats(0, 1), min_size=1, max_size=3),
    st.dictionaries(st.sampled_from("bcd"), st.text("ab #:", max_size=4), max_size=3),
)
def test_edits_say_what_was_asked_and_keep_the_comments(
    layout: str, values: list[float], more: dict[str, str]
) -> None:
    changes: Changes = {("m",): {"values": values, **more}}

    text = edit(layout, changes, name="f")

    check(layout, text, changes, name="f")
    comments = [line.split("#")[1] for line in layout.splitlines() if "#" in line]
    assert all(f"#{comment}" in text for comment in comments if "none yet" not in comment)


def test_an_edit_that_would_say_something_else_is_refused() -> None:
    with pytest.raises(UserError, match="cannot edit"):
        check("a: {b: 1}\n", "a: {b: 3}\n", {("a",): {"b": 2}}, name="f")
    with pytest.raises(UserError, match="cannot edit"):
        edit("a: 1\n", {("a",): {"b": 2}}, name="f")


def test_times_and_memory_begin_as_warnings_and_order_stays(tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    write(tmp_path, {"val_loss": 0.1, "latency_ms": 3.1, "accuracy": 0.98, "peak_mib": [1, 2]})

    update(tmp_path)

    text = (tmp_path / "baseline.yaml").read_text()
    found = parse_baseline(text, name="b").models["cnn"].rules
    assert list(found) == ["val_loss", "latency_ms", "accuracy", "peak_mib"]
    assert [rule.severity for rule in found.values()] == ["fail", "warn", "fail", "warn"]
    assert text.count("# warns only, for it depends on the machine; check direction") == 2


def test_a_first_baseline_is_announced_plainly(tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    write(tmp_path, {"accuracy": 0.98})

    checked, asked = update(tmp_path, "--check")
    _, said = update(tmp_path)

    assert checked == Exit.FAILED_CHECK
    assert "does not exist yet and would be written: 1 rule of 1 model." in asked
    assert "is new: 1 rule of 1 model. Check the guessed directions and tolerances." in said


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"cnn": {"a": 1}, "vit": {"a": 1}}, 'If `cnn` and `vit` are models: write {"models": {"'),
        ({"metrics": {"a": 1}}, "Name the file after the model, or write"),
    ],
)
def test_a_file_that_may_hold_models_is_doubted(
    tmp_path: Path, document: dict[str, Any], said: str
) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(document))

    code, printed = call(
        tmp_path,
        *("update", "--baseline", f"{tmp_path}/b.yaml", "--metrics", f"{tmp_path}/metrics.json"),
        *("--out", f"{tmp_path}/out"),
    )

    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (code, result["status"]) == (Exit.PASS, "warn"), printed
    assert said in result["findings"][0]["message"]


MORE = {"accuracy": 0.98, "loss": [0.1, 0.3], "bound": 1, "f1": 0.5, "step_ms": 2}


def test_what_has_no_rule_is_named_and_can_be_pasted(here: Path) -> None:
    write(here, MORE)
    (here / "metrics" / "gru.json").write_text('{"accuracy": 0.9}')

    code, said = update(here, "--out", str(here / "out"))

    result = json.loads((here / "out" / "result.json").read_text())
    assert code == Exit.PASS
    assert "3 metrics of 2 models have no rules: --add writes them." in said
    assert [item["reason"] for item in result["findings"]] == ["no-rule", "no-rules"]
    pasted = parse_yaml(result["paste"], name="pasted")["models"]
    found = {model: list(body["metrics"]) for model, body in pasted.items()}
    assert found == {"cnn": ["f1", "step_ms"], "gru": ["accuracy"]}


def test_rules_for_what_has_none_can_be_added(here: Path) -> None:
    write(here, MORE)
    (here / "metrics" / "gru.json").write_text('{"accuracy": 0.9, "odd: name": 1}')

    code, said = update(here, "--add")

    assert code == Exit.PASS, said
    assert "4 rules of 2 models added." in said
    text = (here / "baseline.yaml").read_text(encoding="utf-8")
    models = parse_baseline(text, name="b").models
    assert list(models["cnn"].rules) == ["accuracy", "loss", "bound", "f1", "step_ms"]
    assert list(models["gru"].rules) == ["accuracy", "odd: name"]
    assert models["gru"].provenance["measured"] == "2026-11-22"
    assert "      f1: {value: 0.5, direction: higher, tolerance: {absolute: 0}}  # check" in text
    kept = [line for line in BASELINE.splitlines() if not {"0.20", "{commit:"} & set(line.split())]
    assert [line for line in kept if line not in text] == []
    assert update(here, "--add", "--check")[0] == Exit.PASS


@pytest.mark.parametrize("text", ["version: 1\nmodels: {}\n", "models: {}\nversion: 1"])
def test_rules_are_added_to_an_empty_baseline(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics").mkdir()
    (tmp_path / "baseline.yaml").write_text(text)
    write(tmp_path, {"accuracy": 0.98})

    code, said = update(tmp_path, "--add")

    assert code == Exit.PASS, said
    found = parse_baseline((tmp_path / "baseline.yaml").read_text(), name="b")
    assert found.models["cnn"].rules["accuracy"].values == (0.98,)


def test_rules_are_not_added_between_braces(here: Path) -> None:
    (here / "metrics" / "vit.json").write_text('{"accuracy": 0.9, "f1": 1}')
    (here / "metrics" / "cnn.json").unlink()

    code, said = update(here, "--add")

    assert (code, "`models.vit.metrics` stands in braces." in said) == (Exit.BAD_INPUT, True)
    assert (here / "baseline.yaml").read_text(encoding="utf-8") == BASELINE


def test_an_update_that_finds_no_rules_says_so(here: Path) -> None:
    (here / "metrics" / "cnn.json").rename(here / "metrics" / "gru.json")

    code, said = update(here, "--out", str(here / "out"))

    result = json.loads((here / "out" / "result.json").read_text())
    assert (code, result["status"]) == (Exit.PASS, "warn"), said
    assert result["verdict"].startswith("No measured model has rules in ")
    assert (here / "baseline.yaml").read_text(encoding="utf-8") == BASELINE


@pytest.mark.parametrize(
    ("metrics", "dirty", "allow", "said"),
    [
        (
            {"accuracy": 0.98, "loss": 0.1, "bound": 1},
            False,
            "fewer-seeds",
            "loss of cnn was measured with 1 value, and the baseline has 2",
        ),
        (
            {"accuracy": 0.98, "loss": [0.1, 0.3], "bound": 1},
            True,
            "dirty",
            "cnn was measured with uncommitted changes, so nobody can measure it again",
        ),
    ],
)
def test_good_values_are_replaced_by_poor_ones_only_when_told(
    here: Path, metrics: dict[str, Any], dirty: bool, allow: str, said: str
) -> None:
    write(here, metrics, provenance={"dirty": dirty})

    code, told = update(here)

    assert (code, (here / "baseline.yaml").read_text(encoding="utf-8")) == (1, BASELINE)
    assert said in " ".join(told.replace("`", "").split())
    assert f"--allow {allow}" in told
    assert update(here, "--allow", "dirty", "--allow", "fewer-seeds")[0] == Exit.PASS


def test_fewer_values_than_before_are_a_warning(here: Path) -> None:
    write(here, {"accuracy": 0.98, "loss": 0.1, "bound": 1})

    code, said = update(here, "--out", str(here / "out"), "--allow", "fewer-seeds")

    result = json.loads((here / "out" / "result.json").read_text())
    assert (code, result["status"]) == (Exit.PASS, "warn"), said
    assert "loss of cnn: 1 value where the baseline had 2, so less is known" in result["verdict"]


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ([0.98], [0.9799968], "unchanged"),
        ([0.98], [0.97], "-0.0100"),
        ([0.5, 0.7], [0.7, 0.5], "unchanged"),
        ([3.1], [12.341], "+9.24"),
        ([151306], [151307], "+1"),
        ([0.00012344], [0.00012351], "+0.0000001"),
        ([], [1], "new"),
        ([0], [0.25], "+0.2500"),
    ],
)
def test_changes_have_four_digits(before: list[float], after: list[float], change: str) -> None:
    row = {"model": "cnn", "metric": "a", "before": before, "after": after}
    result = {"mode": "update", "status": "pass", "verdict": "v", "rows": [row]}

    table = render({**result, "diff": "", "paste": "", "findings": []}).blocks[0]

    assert isinstance(table, Table)
    assert table.rows[0][4] == change

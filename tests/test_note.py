"""note: the strict reading of notes, the check of a pull request, the closing byte for byte."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions.__main__ import run
from mlactions.bundle import seal
from mlactions.errors import UserError
from mlactions.note.model import SECTIONS
from mlactions.note.parse import parse_note
from mlactions.note.write import BEGIN, END, file_name, next_id, scaffold
from mlactions.runner import Runner
from mlactions.schema import validate
from tests.ask_cases import git, write

NOTE = """---
version: 1
id: 7
title: Wider
status: open
configs: [configs/wider.yaml]
---

# 7: Wider

## Hypothesis

Twice the width learns more.

## Expected outcomes

```yaml
models:
  wider:
    metrics:
      test_accuracy: {direction: higher, min: 0.99}
```

## Rollback criteria

It gets slower.

## Result

My own words, kept.
"""
FILE = "experiments/0007-wider.md"


def call(folder: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run a note command in a folder; return its exit code, its result and what it said."""
    stream = io.StringIO()
    out = folder.parent / "out"
    if arguments[0] != "new":
        arguments = (*arguments, "--out", str(out))
    command = ["note", *arguments, "--working-directory", str(folder)]
    code = run(command, Runner({}, stream))
    path = out / "result.json"
    result = json.loads(path.read_text()) if path.is_file() and arguments[0] != "new" else {}
    if result:
        validate(result, "note-result", file="result.json")
        validate(json.loads((out / "facts.json").read_text()), "facts", file="facts.json")
    return code, result, stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a repository whose main branch has one config and no note."""
    root = tmp_path / "repository"
    write(root / "configs/old.yaml", "a: 1\n")
    write(root / "configs/model/cnn.yaml", "width: 8\n")
    git(tmp_path, "init", "-q", "-b", "main", str(root))
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "base")
    return root


def reasons(result: dict[str, Any]) -> dict[str, str]:
    return {finding["reason"]: finding["level"] for finding in result["findings"]}


def measured(folder: Path, **values: Any) -> str:
    return str(write(folder.parent / "m.json", json.dumps({"models": {"wider": values}})))


def test_a_note_is_read() -> None:
    note = parse_note(NOTE, file=FILE)
    assert (note.id, note.title, note.state, note.configs) == (
        7, "Wider", "open", ("configs/wider.yaml",),
    )  # fmt: skip
    assert note.expected.models["wider"].rules["test_accuracy"].minimum == 0.99
    assert note.rollback is None
    assert list(note.sections) == list(SECTIONS)


WRONG = {
    "no front matter": (("---\nversion", "version"), "no front matter", 1),
    "unknown field": (("title: Wider", "titel: Wider"), "unknown field", 4),
    "no id": (("id: 7\n", ""), "missing field", 1),
    "other id": (("id: 7", "id: 8"), "bad id", 3),
    "id is text": (("id: 7", "id: seven"), "bad id", 3),
    "state": (("status: open", "status: done"), "bad status", 5),
    "configs": (("[configs/wider.yaml]", "[]"), "bad configs", 6),
    "leads out": (("[configs/wider.yaml]", "[../secret]"), "bad configs", 6),
    "no section": (("## Hypothesis", "## Hunch"), "missing section", 1),
    "empty section": (("It gets slower.", "<!-- soon -->"), "empty section", 24),
    "a word in its place": (("It gets slower.", "*TBD* …"), "empty section", 24),
    "twice": (("## Result", "## Hypothesis\n\nx\n\n## Result"), "section twice", 28),
    "no rules": (("```yaml", "```text"), "no expected outcomes", 15),
    "bad rule": (("direction: higher", "direction: up"), "bad direction", 21),
    "misspelt rule": (("min: 0.99", "minimum: 0.99"), "unknown field", 21),
    "nan": (("min: 0.99", "min: .nan"), "bad min", 21),
    "two blocks": (("It gets", "```yaml\na: 1\n```\n```yaml\nb: 1\n```\nIt"), "rules twice", 29),
    "duplicate key": (("version: 1", "version: 1\nversion: 1"), "duplicate key", 3),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_with_its_line(case: str) -> None:
    (old, new), title, line = WRONG[case]
    assert old in NOTE
    with pytest.raises(UserError) as caught:
        parse_note(NOTE.replace(old, new, 1), file=FILE)
    assert (caught.value.title, caught.value.line) == (title, line)


def test_a_changed_group_file_is_part_of_the_experiments_that_compose_it(folder: Path) -> None:
    write(folder / "configs/wide.yaml", "defaults: [model: cnn]\n")
    write(folder / "configs/deep.yaml", "defaults:\n  - model: cnn\n  - _self_\n")
    write(folder / "configs/model/vit.yaml", "width: 8\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "groups")
    write(folder / "configs/model/cnn.yaml", "width: 16\n")
    write(folder / "configs/model/vit.yaml", "width: 16\n")
    code, result, said = call(folder, "check", "--base-ref", "HEAD")
    assert (code, reasons(result)) == (1, {"no-note": "fail"})
    parts = ["configs/deep.yaml", "configs/wide.yaml"]
    assert result["configs"] == [
        {"config": "configs/model/cnn.yaml", "composed_by": parts, "notes": []}
    ], "nothing composes vit.yaml"
    assert "`configs/deep.yaml` and 1 more, which compose it" in result["verdict"] + json.dumps(
        result["findings"]
    )
    assert "mlactions note new TITLE --config configs/deep.yaml" in " ".join(said.split())
    write(folder / FILE, NOTE.replace("configs/wider.yaml", "configs/wide.yaml"))
    code, result, _ = call(folder, "check", "--base-ref", "HEAD")
    assert (code, result["configs"][0]["notes"]) == (0, [FILE])
    own = NOTE.replace("configs/wider.yaml", "configs/model/cnn.yaml").replace("wider:", "deep:")
    write(folder / FILE, own)
    code, result, _ = call(folder, "check", "--base-ref", "HEAD")
    assert (code, reasons(result)) == (0, {}), "it expects something of an experiment it is part of"
    call_given = ("check", "--base-ref", "HEAD", "--configs", "configs/*.yaml")
    code, result, _ = call(folder, *call_given, "--configs", "!configs/model/")
    assert result["configs"] == []


@pytest.mark.parametrize("bound", ["", ", max: 0.99", ", tolerance: {absolute: 0.1}"])
def test_a_rule_without_a_bound_expects_nothing(folder: Path, bound: str) -> None:
    write(folder / FILE, NOTE.replace(", min: 0.99", bound))
    code, result, _ = call(folder, "check")
    assert (code, reasons(result)["expects-nothing"]) == (1, "fail")


def test_a_note_that_is_closed_is_said_to_be(folder: Path) -> None:
    write(folder / FILE, NOTE)
    arguments = ("close", "--note", FILE, "--metrics", measured(folder, test_accuracy=[0.995]))
    _, result, said = call(folder, *arguments)
    assert "closed already" not in said
    assert reasons(result) == {"rollback-in-words": "notice"}
    code, _, said = call(folder, *arguments)
    assert code == 0
    assert "is closed already, as held" in said


HOSTILE = (
    "```\n## Result\n```",
    "~~~~\n## Hypothesis\n~~~\n~~~~",
    "<!--\n## Expected outcomes\n-->",
    "<script>alert(1)</script> [x](javascript:1) ![](http://x) @everyone ::error::x",
    "\u2028## Result\u2028",
    "    ## Result",
    "### Result",
    "> ## Result",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_markdown_is_data(folder: Path, text: str) -> None:
    hostile = NOTE.replace("Twice the width learns more.", f"Before.\n\n{text}\n\nBehind.")
    note = parse_note(hostile, file=FILE)
    section = note.sections["Hypothesis"]
    assert "Behind." in hostile[section.start : section.end]
    write(folder / FILE, hostile)
    code, _, _ = call(
        folder, "close", "--note", FILE, "--metrics", measured(folder, test_accuracy=1)
    )
    assert code == 0
    assert text in (folder / FILE).read_text()


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    for hostile in (text, f"---\n{text}", NOTE.replace("It gets slower.", text)):
        try:
            parse_note(hostile, file=FILE)
        except UserError:
            continue


@given(
    st.text(min_size=1, max_size=200).filter(
        lambda text: any(c.isascii() and c.isalnum() for c in text)
    )
)
def test_any_title_makes_a_note_that_can_be_read(title: str) -> None:
    title = " ".join(title.split())
    rules = "models:\n  m:\n    metrics:\n      a: {direction: higher, min: 1}"
    text = scaffold(3, title, ["c.yaml"], rules, hypothesis="x", rollback="y")
    try:
        note = parse_note(text, file=file_name(3, title))
    except UserError as error:
        # Control characters are no title; nothing else may be refused.
        assert not title.isprintable() or error.title == "bad title"  # noqa: PT017
        return
    assert note.title == title


def test_numbers_go_on_behind_the_last_note() -> None:
    assert next_id([]) == 1
    assert next_id(["0007-wider.md", "README.md", "12-x.md", "junk"]) == 13
    assert file_name(13, "  Über: <b>50 %</b> wider!  ") == "0013-ber-b-50-b-wider.md"


def test_a_changed_config_needs_a_note_that_names_it(folder: Path) -> None:
    base = git(folder, "rev-parse", "HEAD")
    assert call(folder, "check", "--base-ref", base)[1]["status"] == "skipped"
    write(folder / "configs/wider.yaml", "width: 64\n")
    write(folder / "configs/baseline.yaml", "version: 1\nmodels: {}\n")
    write(folder / "configs/model/cnn.yaml", "width: 9\n")
    code, result, said = call(folder, "check", "--base-ref", base)
    assert (code, reasons(result)) == (1, {"no-note": "fail"}), said
    assert [item["config"] for item in result["configs"]] == ["configs/wider.yaml"]
    write(folder / FILE, NOTE.replace("configs/wider", "configs/other"))
    code, result, _ = call(folder, "check", "--base-ref", base)
    assert (code, reasons(result)["no-note"]) == (1, "fail")
    write(folder / FILE, NOTE)
    code, result, said = call(folder, "check", "--base-ref", base)
    assert (code, result["status"], result["configs"][0]["notes"]) == (0, "pass", [FILE]), said
    write(folder / FILE, NOTE.replace("## Rollback criteria", "## Roll back"))
    code, result, said = call(folder, "check", "--base-ref", base)
    assert (code, reasons(result)) == (1, {"missing-section": "fail"}), said


def test_a_search_space_and_rules_need_no_note(folder: Path) -> None:
    base = git(folder, "rev-parse", "HEAD").strip()
    for name in ("sweep", "drift", "baseline", "sweeps/first"):
        write(folder / f"configs/{name}.yaml", "version: 1\nmodels: {}\n")
    everything = ("check", "--base-ref", base, "--configs", "configs/**/*.yaml")
    assert call(folder, "check", "--base-ref", base)[1]["status"] == "skipped"
    assert call(folder, *everything)[1]["status"] == "skipped"
    code, result, _ = call(folder, *everything, "--configs", "configs/sweep.yaml")
    assert (code, [item["config"] for item in result["configs"]]) == (1, ["configs/sweep.yaml"])


def test_a_closed_note_of_an_earlier_experiment_does_not_count(folder: Path) -> None:
    closed = NOTE.replace("status: open", "status: closed\noutcome: held")
    write(folder / "configs/wider.yaml", "width: 32\n")
    write(folder / FILE, closed)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first experiment")
    base = git(folder, "rev-parse", "HEAD")
    write(folder / "configs/wider.yaml", "width: 64\n")
    code, result, _ = call(folder, "check", "--base-ref", base)
    assert (code, reasons(result)) == (1, {"no-note": "fail"})
    assert "is closed" in result["verdict"]
    write(folder / FILE, closed.replace("0.99", "0.9").replace("My own words", "Other words"))
    code, result, _ = call(folder, "check", "--base-ref", base)
    assert (code, reasons(result)) == (0, {"expected-afterwards": "warn"})


def test_an_old_broken_note_warns_and_a_new_one_fails(folder: Path) -> None:
    write(folder / FILE, "nothing")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "broken")
    base = git(folder, "rev-parse", "HEAD")
    code, result, _ = call(folder, "check", "--base-ref", base)
    assert (code, reasons(result)) == (0, {"no-front-matter": "warn"})
    write(folder / "experiments/0008-x.md", "nothing")
    code, result, _ = call(folder, "check", "--base-ref", base)
    assert (code, reasons(result)) == (1, {"no-front-matter": "fail"})


def test_two_notes_of_one_number_and_a_wrong_name_are_refused(folder: Path) -> None:
    write(folder / FILE, NOTE)
    write(folder / "experiments/0007-again.md", NOTE)
    write(folder / "experiments/Seven.md", NOTE)
    code, result, _ = call(folder, "check")
    assert (code, set(reasons(result))) == (1, {"same-id", "bad-name"})


@pytest.mark.parametrize(
    ("rule", "seeds", "same", "worse"),
    [
        ("direction: higher, tolerance: {absolute: 0.01}", "0.98, 0.99", 0.97, 0.9699),
        ("direction: higher, tolerance: {relative: 0.1}", "1000", 900, 899),
        ("direction: lower, tolerance: {absolute: 2}", "100, 120", 122, 122.1),
        ("direction: higher", "0.98765478, 0.987654321", 0.987654321, 0.98),
    ],
)
def test_noise_within_the_baselines_tolerance_does_not_refute(
    folder: Path, rule: str, seeds: str, same: float, worse: float
) -> None:
    text = f"version: 1\nmodels: {{wider: {{metrics: {{score: {{values: [{seeds}], {rule}}}}}}}}}\n"
    write(folder / "configs/baseline.yaml", text)
    write(folder / "configs/wider.yaml", "width: 64\n")
    assert call(folder, "new", "Wider", "--config", "configs/wider.yaml")[0] == 0
    path = folder / "experiments/0001-wider.md"
    path.write_text(path.read_text().replace("<!-- W", "It is so. <!-- W"))
    for value, outcome in ((same, "held"), (worse, "refuted")):
        place = ("--note", "experiments/0001-wider.md", "--metrics", measured(folder, score=value))
        _, result, said = call(folder, "close", *place, "--no-write")
        assert result["closing"]["outcome"] == outcome, said


def test_new_scaffolds_from_the_baseline_and_closing_follows(folder: Path) -> None:
    baseline = (
        "version: 1\nmodels:\n  wider:\n    metrics:\n"
        "      test_accuracy: {values: [0.98, 0.99], direction: higher}\n"
    )
    write(folder / "configs/baseline.yaml", baseline)
    write(folder / "configs/wider.yaml", "width: 64\n")
    assert call(folder, "new", "Wider layers", "--config", "configs/wider.yaml")[0] == 0
    path = folder / "experiments/0001-wider-layers.md"
    text = path.read_text()
    assert "test_accuracy: {direction: higher, min: 0.98}" in text
    code, result, _ = call(folder, "check")
    assert (code, reasons(result)) == (1, {"empty-section": "fail"})  # a comment says nothing
    both = "the sections Hypothesis and Rollback criteria are empty."
    assert result["verdict"] == f"{path.relative_to(folder)}: {both}"
    text = text.replace("<!-- What do", "More. <!-- What do").replace(
        "<!-- When", "Slow. <!-- When"
    )
    path.write_text(text)
    assert call(folder, "check")[0] == 0
    assert call(folder, "new", "x", "--config", "configs/nowhere.yaml")[0] == 2


OUTCOMES: dict[str, tuple[dict[str, Any], str, str]] = {
    "held": ({"test_accuracy": [0.992, 0.994]}, "held", "pass"),
    "refuted": ({"test_accuracy": [0.95, 0.96]}, "refuted", "warn"),
    "nan": ({"test_accuracy": float("nan")}, "undecided", "warn"),
    "absent": ({"val_accuracy": 1.0}, "undecided", "warn"),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_closing_says_whether_the_hypothesis_held(folder: Path, case: str) -> None:
    values, outcome, status = OUTCOMES[case]
    write(folder / FILE, NOTE)
    arguments = ("close", "--note", FILE, "--metrics", measured(folder, **values))
    code, result, said = call(folder, *arguments)
    assert (code, result["closing"]["outcome"], result["status"]) == (0, outcome, status), said
    text = (folder / FILE).read_text()
    note = parse_note(text, file=FILE)
    assert (note.state, note.outcome) == ("closed", outcome)
    assert "My own words, kept." in text
    # Without what closing writes, the note is what it was, byte for byte.
    block = text[text.index(BEGIN) : text.index(END) + len(END)]
    bare = text.replace(block, "").replace(
        f"status: closed\noutcome: {outcome}\n", "status: open\n"
    )
    assert bare == NOTE + "\n\n"
    call(folder, *arguments)
    assert (folder / FILE).read_text() == text


def test_another_model_was_measured(folder: Path) -> None:
    write(folder / FILE, NOTE)
    metrics = write(folder.parent / "m.json", json.dumps({"models": {"other": {"a": 1}}}))
    _, result, _ = call(folder, "close", "--note", FILE, "--metrics", str(metrics))
    assert result["closing"]["outcome"] == "undecided"
    assert result["closing"]["missing"] == ["wider"]
    assert "wider was not measured" in result["verdict"]


def test_noise_leaves_a_hypothesis_undecided(folder: Path) -> None:
    rule = "{direction: higher, values: [0.98, 0.99, 0.985], tolerance: {absolute: 0.001}}"
    text = NOTE.replace("{direction: higher, min: 0.99}", rule)
    write(folder / FILE, text)
    noisy = measured(folder, test_accuracy=[0.97, 0.999, 0.975])
    _, result, said = call(folder, "close", "--note", FILE, "--metrics", noisy, "--no-write")
    assert result["closing"]["outcome"] == "undecided", said
    assert (folder / FILE).read_text() == text
    worse = measured(folder, test_accuracy=[0.90, 0.91, 0.905])
    _, result, said = call(folder, "close", "--note", FILE, "--metrics", worse, "--no-write")
    assert result["closing"]["outcome"] == "refuted", said


def test_rollback_rules_are_judged(folder: Path) -> None:
    rules = "```yaml\nmodels:\n  wider:\n    metrics:\n      ms: {direction: lower, max: 5}\n```"
    write(folder / FILE, NOTE.replace("It gets slower.", rules))
    slow = measured(folder, test_accuracy=0.995, ms=9)
    code, result, _ = call(folder, "close", "--note", FILE, "--metrics", slow)
    assert (code, result["status"], reasons(result)) == (1, "fail", {"roll-back": "fail"})
    assert result["closing"]["outcome"] == "held"
    unknown = measured(folder, test_accuracy=0.995)
    code, result, _ = call(folder, "close", "--note", FILE, "--metrics", unknown)
    assert (code, result["status"], reasons(result)) == (0, "warn", {"rollback-unknown": "warn"})


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_a_byte_order_mark_stay(folder: Path, newline: str, mark: str) -> None:
    data = (mark + NOTE.replace("\n", newline)).encode()
    path = write(folder / FILE, "")
    path.write_bytes(data)
    code, _, said = call(
        folder, "close", "--note", FILE, "--metrics", measured(folder, test_accuracy=1)
    )
    assert code == 0, said
    text = path.read_bytes()
    assert text.startswith(mark.encode() + b"---")
    assert (b"\r\n" in text) == (newline == "\r\n")
    assert (text.count(b"\n") == text.count(b"\r\n")) == (newline == "\r\n")


def test_links_and_paths_that_lead_out_are_refused(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "secret.md", NOTE)
    (folder / "experiments").mkdir()
    (folder / "experiments/0007-wider.md").symlink_to(tmp_path / "secret.md")
    code, _, said = call(folder, "check")
    assert (code, "link" in said) == (2, True)
    code, _, said = call(folder, "close", "--note", "../secret.md", "--metrics", "m.json")
    assert (code, "leads out" in said) == (2, True)
    assert (tmp_path / "secret.md").read_text() == NOTE


def test_an_unknown_base_is_bad_input(folder: Path) -> None:
    code, _, said = call(folder, "check", "--base-ref", "a" * 40)
    assert (code, "no such commit" in said) == (2, True)


def test_a_bundle_of_evaluate_closes_a_note(folder: Path) -> None:
    write(folder / FILE, NOTE)
    bundle = folder.parent / "bundle"
    document = {"version": 1, "commit": "a" * 40, "expected": ["wider"], "skipped": []}
    source = Path(__file__).parent / "cases/compare"
    example = next(iter(sorted(source.glob("*/files/**/evaluation.json"))))
    document = {**json.loads(example.read_text()), "expected": ["wider"], "evaluations": []}
    document["skipped"] = []
    write(bundle / "evaluation.json", json.dumps(document))
    write(bundle / "metrics/wider.json", json.dumps({"metrics": {"test_accuracy": [0.995]}}))
    seal(bundle, "evaluate")
    code, result, said = call(folder, "close", "--note", FILE, "--metrics", str(bundle))
    assert (code, result["closing"]["outcome"]) == (0, "held"), said


def test_what_a_new_note_says_to_type_next_can_be_typed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this folder or from another, with the folder of notes that was given."""
    write(folder / "configs/wider.yaml", "a: 1\n")
    for place, more in ((folder, []), (folder.parent, ["--working-directory", folder.name])):
        monkeypatch.chdir(place)
        stream = io.StringIO()
        given = ["--config", "configs/wider.yaml", "--notes", "some notes", *more]
        assert run(["note", "new", "Wider", *given], Runner({}, stream)) == 0
        (line,) = [line for line in stream.getvalue().splitlines() if "note check" in line]
        command = shlex.split(line.strip())
        assert command[0] == "mlactions"
        stream = io.StringIO()
        assert run(command[1:], Runner({}, stream)) == 1, stream.getvalue()
        assert "are empty" in stream.getvalue()
        assert (place / "build/note/result.json").is_file()


def test_all_empty_sections_are_named_at_once() -> None:
    text = NOTE.replace("Twice the width learns more.", "").replace("It gets slower.", "TBD")
    with pytest.raises(UserError) as caught:
        parse_note(text, file=FILE)
    assert caught.value.message == "the sections Hypothesis and Rollback criteria are empty."
    assert caught.value.line == NOTE.splitlines().index("## Hypothesis") + 1
    for word in ("expect to happen", "taken back"):
        assert word in caught.value.hint


def test_a_folder_for_the_results_is_named_as_it_can_be_typed(folder: Path) -> None:
    stream = io.StringIO()
    command = ["note", "check", "--working-directory", str(folder)]
    assert run(command, Runner({}, stream)) == 2
    assert "--out build/note" in stream.getvalue()

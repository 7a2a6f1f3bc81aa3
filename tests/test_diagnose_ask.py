"""What Codex proposes about a run or a note, with the real Codex CLI and a scripted model."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from mlactions.__main__ import run
from mlactions.bundle import open_bundle
from mlactions.diagnose.command import PROBE_WORD
from mlactions.diagnose.probe import asked_for
from mlactions.note.parse import parse_note
from mlactions.runner import Runner
from tests.ask_cases import Project, Ran, call_codex, git, make_project, prepare, verify, write
from tests.fakes.model import FakeModel, runs, says
from tests.test_ask_render import ANSWERED
from tests.test_diagnose import PYTHON, ROOT, SETUP

CASE = ROOT / "tests/cases/diagnose/probed/files"
SUMMARY = {"summary": "It never moved.", "findings": [], "next_steps": []}
SIGN = "diagnose.sign.never-moved"
GOOD: dict[str, Any] = {
    "cause": "The rate of the optimiser never reaches the weights",
    "evidence": [SIGN],
    "file": "src/train.py",
    "line": 1,
    "explanation": "A gradient that is cut keeps the loss where it was.",
    "probe": "gradients",
    "check": "Every layer has a gradient above 0; one without refutes nothing.",
}


TRAIN = "src/train.py"
PATCH = """\
--- a/src/train.py
+++ b/src/train.py
@@ -1,2 +1,2 @@
-learning_rate = 0.5
+learning_rate = 0.01
 epochs = 30
"""


def asked(project: Project, answer: dict[str, Any], command: str) -> tuple[Ran, dict[str, Any]]:
    """Let a scripted model answer, and verify that."""
    ran = prepare(project)
    assert ran.code == 0, ran.said
    with FakeModel(runs(command), says({**SUMMARY, **answer})) as model:
        outcome = call_codex(project, model)
    return verify(project, outcome)


@pytest.fixture
def ill(tmp_path: Path) -> Project:
    """Make a repository, and the diagnosis of a run that never moved."""
    made = make_project(tmp_path)
    out = made.out.parent / "diagnosis"
    log, config = CASE / "train.log", CASE / "params.json"
    command = ["diagnose", "--log", str(log), "--config", str(config), "--out", str(out)]
    assert run(command, Runner({}, io.StringIO())) == 1
    return Project(made.repository, out, made.base, made.head, made.out)


def test_hypotheses_are_held_against_facts_files_and_lines(ill: Project, tmp_path: Path) -> None:
    wrong = [
        {**GOOD, "evidence": ["diagnose.sign.magic"], "probe": "labels"},
        {**GOOD, "evidence": [], "probe": "labels"},
        {**GOOD, "file": "src/nowhere.py", "probe": "labels"},
        {**GOOD, "line": 999, "probe": "labels"},
    ]
    answer = {"patch": "", "proposal": {"hypotheses": [GOOD, *wrong]}}
    ran, checked = asked(ill, answer, "cat facts.json")
    assert checked["status"] == "answered", ran.said
    proposal = checked["proposal"]
    assert proposal["claims"] == {"checked": 5, "held": 1}
    held, *struck = proposal["document"]["hypotheses"]
    assert held["held"]
    assert [item["held"] for item in struck] == [False] * 4
    assert [item["struck"][0].split(" ")[0] for item in struck] == [
        "nobody", "it", "src/nowhere.py:", "src/train.py",
    ]  # fmt: skip
    report = (ill.workspace.bundle / "report.md").read_text()
    assert "Hypotheses" in report
    assert "The probe `gradients`" in report
    # What was struck asks for nothing: only the one that held is confirmed, without any key.
    assert asked_for(ill.workspace.bundle) == ("gradients",)
    stream, out = io.StringIO(), tmp_path / "confirm"
    command = ["diagnose", "probe", "--setup", SETUP, "--python", str(PYTHON), "--out", str(out)]
    command += ["--setup-arguments", '{"variant": "dead-relu"}', "--working-directory", str(ROOT)]
    answer_file = ill.workspace.bundle / "checked-answer.json"
    assert run([*command, "--answer", str(answer_file)], Runner({}, stream)) == 0
    probes = open_bundle(out, word=PROBE_WORD).json("probes.json", schema="diagnose-probe")
    assert list(probes["probes"]) == ["gradients"]


def test_a_probe_that_ran_already_is_not_asked_for_again(tmp_path: Path) -> None:
    held = {"held": True, "ran": False}
    items = [
        {**held, "probe": "gradients"},
        {**held, "probe": "labels", "ran": True},
        {**held, "probe": "constant", "held": False},
        {**held, "probe": ""},
    ]
    proposal = {"word": "diagnose", "claims": {"checked": 4, "held": 3}, "files": []}
    answer = {"proposal": {**proposal, "document": {"hypotheses": items}}}
    assert asked_for(write(tmp_path / "a.json", json.dumps({**ANSWERED, **answer}))) == (
        "gradients",
    )


def test_an_answer_that_asks_for_no_probe_runs_none(ill: Project, tmp_path: Path) -> None:
    answer = {"patch": "", "proposal": {"hypotheses": [{**GOOD, "probe": ""}]}}
    _, checked = asked(ill, answer, "cat facts.json")
    assert checked["proposal"]["claims"] == {"checked": 1, "held": 1}
    stream, out = io.StringIO(), tmp_path / "confirm"
    command = ["diagnose", "probe", "--setup", "no.such:thing", "--python", str(PYTHON)]
    command += ["--out", str(out), "--answer", str(ill.workspace.bundle)]
    assert run(command, Runner({}, stream)) == 0
    document = open_bundle(out, word=PROBE_WORD).json("probes.json", schema="diagnose-probe")
    assert (document["asked"], document["probes"], document["failure"]) == ([], {}, None)


def test_a_patch_that_mends_the_cause_is_tried_and_shown(ill: Project) -> None:
    answer = {"patch": PATCH, "proposal": {"hypotheses": [GOOD]}}
    ran, checked = asked(ill, answer, "cat facts.json")
    assert checked["status"] == "answered", ran.said
    assert (checked["patch"]["held"], checked["patch"]["struck"]) == (True, "")
    assert checked["patch"]["files"] == [{"path": TRAIN, "added": 1, "removed": 1}]
    assert "```diff\ndiff --git a/src/train.py b/src/train.py" in ran.summary
    assert "-learning_rate = 0.5\n+learning_rate = 0.01\n" in ran.summary
    assert git(ill.repository, "status", "--porcelain") == ""
    tree = ill.repository.parent / "tree"
    git(ill.repository, "worktree", "add", "-q", "--detach", str(tree))
    git(tree, "apply", ran.outputs["patch"])
    assert (tree / TRAIN).read_text() == "learning_rate = 0.01\nepochs = 30\n"


WORKFLOW = """\
--- /dev/null
+++ b/.github/workflows/train.yml
@@ -0,0 +1 @@
+on: push
"""


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        (PATCH.replace("0.5", "0.7"), "it does not apply: patch failed: src/train.py:1"),
        (PATCH + WORKFLOW, ".github/workflows/train.yml is read by git or GitHub"),
    ],
    ids=["stale", "workflow"],
)
def test_a_patch_that_does_not_hold_is_struck(ill: Project, patch: str, reason: str) -> None:
    answer = {"patch": patch, "proposal": {"hypotheses": [GOOD]}}
    ran, checked = asked(ill, answer, "cat facts.json")
    assert (checked["patch"]["held"], checked["patch"]["struck"]) == (False, reason)
    assert checked["proposal"]["claims"] == {"checked": 1, "held": 1}, "the hypothesis stands"
    assert checked["claims"] == {"checked": 2, "held": 1}
    assert f"The suggested change was struck: {reason.partition(':')[0]}" in ran.summary
    assert ran.outputs["patch"] == ""
    assert not (ill.workspace.bundle / "suggested.patch").exists()


@pytest.fixture
def unnoted(tmp_path: Path) -> Project:
    """Make a repository whose change adds a config without a note, and the check's result."""
    made = make_project(tmp_path)
    root = made.repository
    write(root / "configs/wider.yaml", "width: 64\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "wider")
    out = made.out.parent / "note"
    command = ["note", "check", "--base-ref", made.base, "--working-directory", str(root)]
    assert run([*command, "--out", str(out)], Runner({}, io.StringIO())) == 1
    return Project(root, out, made.base, git(root, "rev-parse", "HEAD"), made.out)


def test_a_drafted_note_is_read_by_the_parser_of_check(unnoted: Project) -> None:
    rule = {"model": "wider", "metric": "test_accuracy", "direction": "higher", "bound": 0.99}
    good = {
        "config": "configs/wider.yaml",
        "title": "Wider <b>layers</b>",
        "hypothesis": "More width learns more.\n## Result\n```yaml\nmodels: {}\n```",
        "expected": [rule],
        "rollback": "It is slower.\n---\n# Heading",
        "facts": ["note.config.configs/wider.yaml"],
    }
    wrong = [
        {**good, "config": "configs/other.yaml"},
        {**good, "expected": []},
        {**good, "facts": ["note.magic"]},
        {**good, "hypothesis": "  "},
    ]
    ran, checked = asked(unnoted, {"proposal": {"notes": [good, *wrong]}}, "cat facts.json")
    assert checked["status"] == "answered", ran.said
    assert checked["proposal"]["claims"] == {"checked": 5, "held": 1}
    assert checked["proposal"]["files"] == ["suggested-note.md"]
    text = (unnoted.workspace.bundle / "suggested-note.md").read_text()
    note = parse_note(text, file="experiments/0001-wider-b-layers-b.md")
    assert note.configs == ("configs/wider.yaml",)
    assert note.expected.models["wider"].rules["test_accuracy"].minimum == 0.99
    assert "\\## Result" in text
    struck = [item["struck"][0] for item in checked["proposal"]["document"]["notes"][1:]]
    assert [text.split(" ")[0] for text in struck] == [
        "configs/other.yaml", "bad", "nobody", "empty",
    ]  # fmt: skip
    assert json.loads(json.dumps(checked))
    assert "Drafted notes" in (unnoted.workspace.bundle / "report.md").read_text()

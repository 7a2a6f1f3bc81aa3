"""A question about a failed export, and an answer that suggests a diff, from end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlactions.ask.answer import NoAnswerError, parse_answer
from mlactions.ask.form import answer_schema
from mlactions.bundle import open_bundle
from mlactions.schema import load_json, resource
from tests.ask_cases import ANSWER, Project, Ran, call_codex, git, prepare, verify
from tests.export_answers import GOOD, MODEL, answer, make_failed_export
from tests.fakes.model import FakeModel, runs, says
from tests.fakes.strict_schema import strict_schema_fault

READ = runs("cat facts.json failure.json modules.json exporter.md")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make a failed export with the question about it."""
    made = make_failed_export(tmp_path)
    ran = prepare(made)
    assert ran.code == 0, ran.said
    return made


def asked(project: Project, patch: str) -> tuple[Ran, dict[str, Any]]:
    """Let a scripted model suggest a diff, and verify its answer."""
    with FakeModel(READ, says(answer(patch))) as model:
        outcome = call_codex(project, model)
        shown = model.requests[-1].tool_outputs[0]
    for text in ("data-dependent-control-flow", "CANARY-TAIL", "CANARY-REPORT", '"Block"'):
        assert text in shown
    return verify(project, outcome)


def test_codex_gets_the_failure_the_tree_and_the_report(project: Project) -> None:
    facts = project.workspace.facts
    assert json.loads((facts / "failure.json").read_text())["source"] == [
        {"line": 5, "text": "    if x.sum() > 0:"}
    ]
    assert json.loads((facts / "modules.json").read_text())[0]["file"] == "src/model.py"
    prompt = project.workspace.prompt.read_text()
    for text in ("`failure.json`", "`modules.json`", "`exporter.md`", "Why did this export fail?"):
        assert text in prompt
    assert "{{" not in prompt


def test_a_diff_that_applies_becomes_a_file_and_changes_nothing(project: Project) -> None:
    ran, checked = asked(project, GOOD)
    assert ran.code == 0
    assert checked["claims"] == {"checked": 3, "held": 3}
    patch = checked["patch"]
    assert (patch["held"], patch["struck"]) == (True, "")
    assert patch["files"] == [{"path": "src/model.py", "added": 1, "removed": 3}]
    file = project.workspace.bundle / "suggested.patch"
    assert ran.outputs["patch"] == str(file)
    assert file.read_text() == patch["text"]
    assert open_bundle(project.workspace.bundle, word="ask").path("suggested.patch") == file
    assert "```diff\ndiff --git a/src/model.py b/src/model.py" in ran.summary
    assert (project.repository / "src/model.py").read_text() == MODEL
    assert git(project.repository, "status", "--porcelain") == ""
    git(project.repository, "apply", str(file))


def test_a_diff_that_does_not_apply_is_struck_and_the_finding_stands(project: Project) -> None:
    ran, checked = asked(project, GOOD.replace("x * 2\n", "x * 3\n"))
    assert ran.code == 0
    assert checked["findings"][0]["held"]
    assert checked["claims"] == {"checked": 3, "held": 2}
    assert not checked["patch"]["held"]
    reason = "it does not apply: patch failed: src/model.py:4"
    assert checked["patch"]["struck"] == reason
    assert ran.outputs["patch"] == ""
    assert not (project.workspace.bundle / "suggested.patch").exists()
    assert "The suggested change was struck: it does not apply" in ran.summary
    assert "2 of 3 claims held" in ran.said


def test_a_diff_cannot_leave_its_listing(project: Project) -> None:
    hostile = GOOD.replace(
        "+    return torch",
        "+# ```\n+# <img src=x> <!-- mlactions:gate --> @team\n+    return torch",
    )
    ran, checked = asked(project, hostile)
    assert checked["patch"]["held"]
    assert "\n````diff\n" in ran.summary
    assert "<!-- mlactions" not in ran.summary


def test_no_diff_is_an_answer_too(project: Project) -> None:
    ran, checked = asked(project, "")
    assert checked["patch"] is None
    assert checked["claims"] == {"checked": 2, "held": 2}
    assert "Suggested change" not in ran.summary


def test_only_an_answer_about_an_export_has_a_patch() -> None:
    with pytest.raises(NoAnswerError, match="patch"):
        parse_answer(json.dumps(ANSWER), ["export"])
    with pytest.raises(NoAnswerError, match="patch"):
        parse_answer(json.dumps(answer("")), ["compare"])
    assert parse_answer(json.dumps(answer(GOOD)), ["compare", "export"]).patch == GOOD
    with pytest.raises(NoAnswerError, match="characters of a patch"):
        parse_answer(json.dumps(answer("x" * 70_000)), ["export"])


def test_every_form_is_one_that_strict_mode_takes() -> None:
    common = load_json(resource("actions/ask/answer.schema.json"))
    assert answer_schema(["evaluate", "compare"]) == common
    form = answer_schema(["export", "export"])
    assert strict_schema_fault(form) is None
    assert form["required"] == [*common["required"], "patch"]
    assert list(form["properties"]) == [*common["properties"], "patch"]

"""`diagnose --ask`, `note check --ask`, `audit --ask`: typed at a prompt, with the real Codex."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ask_cases import Project, git, make_project, write
from tests.fakes.model import FakeModel, runs, says
from tests.laptop import Typed, typed
from tests.test_diagnose_ask import CASE, GOOD, PATCH, SUMMARY

READ = runs("cat facts.json")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Make a repository; the commands are typed beside it, and name it."""
    made = make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return made


def ask(project: Project, command: list[str], answer: dict[str, Any]) -> tuple[Typed, Any]:
    """Type a command with `--ask`; return also the checked answer."""
    out, folder = project.out.parent / "out", project.out.parent
    where = ["--working-directory", str(project.repository), "--out", str(out), "--ask"]
    with FakeModel(READ, says({**SUMMARY, **answer})) as model:
        done = typed(folder, [*command, *where], model)
    path = out / "answer/checked-answer.json"
    checked = json.loads(path.read_text()) if path.is_file() else {}
    assert checked.get("status") == "answered", done.said
    return done, checked


def test_diagnose(project: Project) -> None:
    command = ["diagnose", "--log", str(CASE / "train.log"), "--config", str(CASE / "params.json")]
    answer = {"patch": PATCH, "proposal": {"hypotheses": [GOOD]}}
    done, checked = ask(project, command, answer)
    assert done.code == 1
    assert checked["proposal"]["claims"] == {"checked": 1, "held": 1}
    assert checked["patch"]["held"]
    for text in ("Hypotheses", "Suggested change", "+learning_rate = 0.01"):
        assert text in done.said
    assert (project.out.parent / "out/answer/suggested.patch").read_text() == checked["patch"][
        "text"
    ]


def test_note(project: Project) -> None:
    write(project.repository / "configs/wider.yaml", "width: 64\n")
    git(project.repository, "add", "-A")
    git(project.repository, "commit", "-q", "-m", "wider")
    rule = {"model": "wider", "metric": "test_accuracy", "direction": "higher", "bound": 0.99}
    note: dict[str, Any] = {
        "config": "configs/wider.yaml",
        "title": "Wider",
        "hypothesis": "Width learns more.",
    }
    note |= {"rollback": "It is slower.", "facts": ["note.config.configs/wider.yaml"]}
    answer = {"proposal": {"notes": [{**note, "expected": [rule]}]}}
    done, checked = ask(project, ["note", "check", "--base-ref", project.base], answer)
    assert done.code == 1
    assert checked["proposal"]["claims"] == {"checked": 1, "held": 1}
    assert "Drafted notes" in done.said
    text = (project.out.parent / "out/answer/suggested-note.md").read_text()
    assert "configs/wider.yaml" in text


def test_audit(project: Project) -> None:
    finding = {
        "kind": "other",
        "level": "warning",
        "file": "src/train.py",
        "line": 1,
        "quote": "learning_rate = 0.5",
        "explanation": "It is set beside the config.",
        "fix": "Read it from the config.",
        "facts": [],
        "evidence": [],
    }
    wrong = {**finding, "quote": "learning_rate = 0.7"}
    answer = {"proposal": {"findings": [finding, wrong]}}
    done, checked = ask(project, ["audit", "check"], answer)
    assert done.code == 0, "what an agent finds is never more than a warning"
    assert checked["proposal"]["claims"] == {"checked": 2, "held": 1}
    assert "Read it from the config." in done.said

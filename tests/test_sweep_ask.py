"""`sweep --ask`: a search space that the real Codex CLI hands over, read as a user's is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ask_cases import git
from tests.fakes.model import FakeModel, runs, says
from tests.laptop import Typed, typed
from tests.mlflow_support import Mlflow
from tests.sweep_support import Project
from tests.test_sweep_run import log

SPACE = """\
description: The best score with the learning rate and either model.
program: train.py
metric: {name: score, goal: maximize}
parameters:
  training.max_lr: {values: [0.1, 0.2, 0.3]}
budget: {trials: 12}
"""
BETTER = """\
method: grid
parameters:
  training.max_lr: {values: [0.15, 0.2, 0.25]}
  model: {values: [cnn, vit]}
seeds: 2
"""
READ = runs("cat facts.json")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make a repository with a config tree and a space."""
    made = Project.make(tmp_path / "project", SPACE)
    (made.root / ".gitignore").write_text("out/\ncalls.jsonl\nflags/\n")
    git(made.root, "init", "-q", "-b", "main")
    git(made.root, "add", "-A")
    git(made.root, "commit", "-q", "-m", "first")
    return made


def ask(project: Project, word: str, sweep: str, *reasons: dict[str, Any]) -> tuple[Typed, Any]:
    """Type `sweep … --ask` beside the project; return also the checked answer."""
    answer: dict[str, Any] = {
        "summary": "Look around 0.2, with both models.",
        "findings": [],
        "next_steps": [],
    }
    answer["proposal"] = {"sweep": sweep, "reasons": list(reasons)}
    out = project.root.parent / "out"
    command = ["sweep", *([word] if word else []), "--working-directory", str(project.root)]
    if not word:
        command += ["--config-name", "train", "--python", sys.executable, "--replace"]
    with FakeModel(READ, says(answer)) as model:
        done = typed(project.root.parent, [*command, "--out", str(out), "--ask"], model)
    path = out / "answer" / "checked-answer.json"
    checked = json.loads(path.read_text()) if path.is_file() else {}
    assert checked.get("status") == "answered", done.said
    return done, checked["proposal"]


def reason(parameter: str, **changes: Any) -> dict[str, Any]:
    known = {"reason": "It was never tried.", "fact": "", "file": "", "line": 0}
    return {"parameter": parameter, **known, **changes}


def test_a_space_that_holds_is_offered_and_generates(project: Project) -> None:
    reasons = [
        reason("training.max_lr", fact="sweep.trials"),
        reason("model", file="configs/model/vit.yaml", line=1),
    ]
    done, proposal = ask(project, "", BETTER, *reasons)
    assert done.code == 0
    assert proposal["claims"] == {"checked": 3, "held": 3}
    assert "It was never tried" in done.said
    offered = project.root.parent / "out" / "answer" / "suggested-sweep.yaml"
    (project.root / "configs" / "sweep.yaml").write_text(offered.read_text())
    assert project.sweep("--name", "offered").result["counts"]["trials"] == 12


@pytest.mark.parametrize(
    ("before", "after", "struck"),
    [
        ("training.max_lr:", "training.learning_rate:", "has no such key"),
        ("{values: [0.15, 0.2, 0.25]}", "{min: 0.3, max: 0.1}", "min"),
        ("seeds: 2", "seeds: 9", "the budget is 12"),
    ],
)
def test_a_space_that_does_not_hold_is_shown_and_not_offered(
    project: Project, before: str, after: str, struck: str
) -> None:
    text = BETTER.replace(before, after)
    if "min:" in after:
        text = text.replace("grid", "random\nrun_cap: 6")
    done, proposal = ask(project, "", text, reason("model"))
    assert proposal["files"] == []
    assert struck in " ".join(proposal["document"]["struck"])
    assert "Not offered" in done.said
    assert not (project.root.parent / "out" / "answer" / "suggested-sweep.yaml").exists()


def test_a_finished_sweep_is_narrowed(project: Project, mlflow_server: Mlflow) -> None:
    experiment = mlflow_server.experiment("sweep-ask")
    given = ["--tracking-uri", mlflow_server.uri, "--experiment", "sweep-ask"]
    assert project.sweep(*given).code == 0
    commit = git(project.root, "rev-parse", "HEAD").strip()
    for number, row in enumerate(project.manifest()["trials"]):
        log(mlflow_server, experiment, row, score=(0.5, 0.9, 0.6)[number], commit=commit)
    done, proposal = ask(project, "status", BETTER, reason("training.max_lr", fact="sweep.best.1"))
    assert "3 of 3 trials finished" in done.said
    assert proposal["claims"] == {"checked": 2, "held": 2}
    assert "+  training.max_lr: {values: [0.15, 0.2, 0.25]}" in proposal["document"]["diff"]

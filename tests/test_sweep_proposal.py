"""A search space that Codex proposes is read as a user's, and held to the configs and budget."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlactions.ask import proposal as hook
from mlactions.ask.repository import Repository, open_repository
from mlactions.markdown import render
from mlactions.report import Report
from mlactions.settings import Status
from tests.sweep_support import Project

ROOT = Path(__file__).resolve().parents[1]
CURRENT = """\
program: train.py
description: which learning rate
parameters:
  training.max_lr: {values: [0.1, 0.2]}
budget: {trials: 10, gpu_hours: 5, hours_per_trial: 1}
"""
BETTER = """\
parameters:
  training.max_lr: {values: [0.05, 0.1]}
  model: {values: [cnn, vit]}
  model.depth: {value: 4, when: {model: vit}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    found = Project.make(tmp_path, CURRENT)
    person = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    (tmp_path / ".gitignore").write_text("out/\n")
    for words in (["init", "-q"], ["add", "-A"], [*person, "commit", "-qm", "one"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    assert found.sweep().code == 0
    return found


def reason(**changes: Any) -> dict[str, Any]:
    known = {
        "parameter": "model",
        "reason": "It was never tried.",
        "fact": "",
        "file": "",
        "line": 0,
    }
    return known | changes


def checked(project: Project, sweep: str, *reasons: dict[str, Any]) -> hook.CheckedProposal:
    repository: Repository = open_repository(project.root)
    return hook.check(
        "sweep",
        {"sweep": sweep, "reasons": list(reasons)},
        facts={"sweep.trials": {}},
        repository=repository,
        bundle=project.root / "out",
    )


def shown(found: hook.CheckedProposal) -> str:
    blocks = hook.render(hook.as_document("sweep", found))
    return render(Report("Answer", Status.PASS, "It answered.", blocks))


def test_a_space_that_holds_is_offered_with_its_difference(project: Project) -> None:
    held = reason(fact="sweep.trials", file="configs/model/vit.yaml", line=3)
    found = checked(project, BETTER, held, reason(parameter="training.max_lr"))
    assert found.files == {"suggested-sweep.yaml": BETTER}
    assert (found.checked, found.held) == (3, 3)
    assert "+  training.max_lr: {values: [0.05, 0.1]}" in found.document["diff"]
    text = shown(found)
    assert "It was never tried" in text
    assert "sweep.trials" in text


BAD = {
    "no space": ("", "no search space was proposed"),
    "no yaml": ("parameters: [", "not valid YAML"),
    "an unknown method": (BETTER + "method: magic\n", "line 5: not a valid sweep"),
    "an unknown parameter": (
        "parameters: {training.max_rl: {values: [1]}}\n",
        "the configs have no `training.max_rl`",
    ),
    "a command": (BETTER + "program: evil.py\n", "it names a command"),
    "too many trials": (
        "parameters:\n  training.epochs: range(1, 40)\n",
        "up to 39 trials, and the budget is 10",
    ),
    "a higher budget": (BETTER + "budget: {trials: 99}\n", "raises the budget from 10 to 99"),
    "too many hours": ("parameters:\n  training.epochs: range(1, 8)\n", "up to 7.0 GPU hours"),
    "hidden text": (BETTER + "description: a\u202eb\n", "hide or reorder text"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_space_that_does_not_hold_is_shown_and_not_offered(project: Project, name: str) -> None:
    text, message = BAD[name]
    found = checked(project, text)
    assert found.files == {}
    assert found.held == 0
    assert any(message in told for told in found.document["struck"]), found.document["struck"]
    assert "Not offered" in shown(found)


@pytest.mark.parametrize(
    "changes",
    [
        {"parameter": "optimizer"},
        {"fact": "sweep.invented"},
        {"file": "../secret"},
        {"file": "configs/model/vit.yaml", "line": 99},
        {"file": "none.py", "line": 1},
    ],
)
def test_a_reason_that_rests_on_nothing_is_struck(
    project: Project, changes: dict[str, Any]
) -> None:
    found = checked(project, BETTER, reason(**changes))
    assert (found.checked, found.held) == (2, 1)
    assert found.document["reasons"][0]["struck"]
    assert "~~It was never tried.~~" in shown(found)


def test_new_keys_and_packages_are_known(project: Project) -> None:
    text = "parameters:\n  '+training.extra': {value: 1}\n  training.names: {value: [c]}\n"
    assert checked(project, text).document["struck"] == []


LIGHT = """
import sys
sys.path.insert(0, sys.argv[1])
sys.modules.update(dict.fromkeys(("numpy", "optuna", "scipy")))  # importing one is an error
import mlactions.sweep.proposal
from mlactions.sweep.space import parse_space
from mlactions.sweep.trials import size
for method in ("grid", "random", "sobol", "tpe"):
    text = f"method: {method}\\nmetric: {{name: loss, goal: minimize}}\\nrun_cap: 3\\n"
    text += "parameters:\\n  a: choice(1,2)\\n  b: {values: [1, 2], when: {a: 1}}\\n"
    if method != "grid":
        text += "  c: tag(log, interval(0.001, 1))\\n  d: {min: 1, max: 9}\\n"
    print(method, size(parse_space(text, file="sweep.yaml")))
"""


def test_hydra_alone_is_enough_to_read_a_space() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, str(ROOT / "scripts")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["grid", "3", "random", "3", "sobol", "3", "tpe", "3"]

"""The template, as it stands: a run nobody understands, a probe Codex asks for, one issue."""

from __future__ import annotations

import json
from typing import Any

from mlactions.bundle import open_bundle
from tests.e2e.conftest import MakeModel, MakeScratch
from tests.e2e.export_repository import EXAMPLE_PYTHON
from tests.e2e.gate_repository import template
from tests.e2e.harness import Act, Run
from tests.fakes.github import FakeGitHub
from tests.fakes.model import runs, says
from tests.mlflow_support import Gatekeeper, Mlflow

KEY = "sk-canary-0123456789"
ADA = "Basic YWRhOnMzY3JldA=="  # ada:s3cret
SECRETS = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "s3cret"}
PROBING = """\
import os

import torch
from torch import nn


def setup():
    assert not any("KEY" in name or "TOKEN" in name for name in os.environ if "PYTHON" not in name)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    model[2].requires_grad_(False)
    inputs = torch.randn(60, 4)
    return {"model": model, "train": [(inputs, inputs.argmax(1) % 3)]}
"""
HYPOTHESIS = {
    "cause": "The head is frozen",
    "evidence": ["diagnose.sign.never-moved"],
    "file": "probing.py",
    "line": 10,
    "explanation": "A layer that is not trained keeps the loss where it was.",
    "probe": "gradients",
    "check": "Its gradient is there.",
}
PATCH = """\
--- a/probing.py
+++ b/probing.py
@@ -10,3 +10,2 @@
     model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
-    model[2].requires_grad_(False)
     inputs = torch.randn(60, 4)
"""
NO_KEY = "! env | grep -q 'sk-[c]anary'"


def result(run: Run, artifact: str) -> Any:
    return json.loads((run.artifacts / artifact / "result.json").read_text())


def test_the_probe_that_codex_asks_for_finds_the_cause(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, mlflow_server: Mlflow, model: MakeModel
) -> None:
    run_id = mlflow_server.run(
        mlflow_server.experiment(), {"optim.lr": "0.001"}, metrics={"train_loss": [1.1] * 20}
    )
    answer = {"summary": "It never moved.", "findings": [], "next_steps": [], "patch": PATCH}
    with Gatekeeper(mlflow_server, ADA) as gate:
        server = model(
            runs("cat facts.json"),
            says({**answer, "proposal": {"hypotheses": [HYPOTHESIS]}}),
            key=KEY,
        )
        workflow = template("diagnose").replace("https://mlflow.example.org", gate.url)
        more = (
            "      setup: probing:setup\n      probes: constant\n"
            f'      install: "{NO_KEY}"\n'
            f"      python: {EXAMPLE_PYTHON}\n      codex-model: scripted-model\n"
            f"      responses-api-endpoint: {server.endpoint}\n"
        )
        workflow = workflow.replace("      against: last-good\n", more)
        workflow = workflow.replace("${{ inputs.run }}", run_id)
        project = scratch({".github/workflows/diagnose.yml": workflow, "probing.py": PROBING})
        project.publish("main")
        secrets = {**SECRETS, "OPENAI_API_KEY": KEY}

        run = act.run(project, "workflow_dispatch", api=hub.url, secrets=secrets)

    assert run.exit_code == 1, run.log
    assert result(run, "diagnose-diagnose")["diagnosis"] == "unknown"
    checked = json.loads((run.artifacts / "ask-diagnose/checked-answer.json").read_text())
    assert checked["proposal"]["claims"] == {"checked": 1, "held": 1}, checked["detail"]
    concluded = result(run, "diagnose-conclude-diagnose")
    assert concluded["diagnosis"] == "frozen-parameters"
    assert set(concluded["probes"]) == {"constant", "gradients"}
    for job in ("probe", "confirm"):
        assert run.job(job).ok, run.log
    (issue,) = hub.store.issues.values()
    assert issue.title == "A training run is ill"
    assert "The last layer is not trained" in issue.body
    assert "The head is frozen" in issue.body
    assert "-    model[2].requires_grad_(False)" in issue.body
    held = open_bundle(run.artifacts / "ask-diagnose", word="ask").path("suggested.patch")
    assert held.read_text() == checked["patch"]["text"]
    assert "s3cret" not in run.log + issue.body
    assert KEY not in run.log + issue.body

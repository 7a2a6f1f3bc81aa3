"""The analysis template, as it stands, in a user's repository: one issue, kept up to date."""

from __future__ import annotations

import json
from typing import Any

from tests.analyze_support import known_truth, write
from tests.e2e.conftest import MakeScratch
from tests.e2e.gate_repository import template
from tests.e2e.harness import Act, Run
from tests.fakes.github import FakeGitHub
from tests.mlflow_support import Gatekeeper, Mlflow

ADA = "Basic YWRhOnMzY3JldA=="  # ada:s3cret
SECRETS = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "s3cret"}


def result(run: Run) -> Any:
    return json.loads((run.artifacts / "analyze-analyze/result.json").read_text())


def test_the_template_keeps_one_issue(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, mlflow_server: Mlflow
) -> None:
    name = "e2e-analyze"
    experiment = mlflow_server.experiment(name)
    write(mlflow_server.database, experiment, known_truth(6, 60))
    with Gatekeeper(mlflow_server, ADA) as gate:
        workflow = template("analyze").replace("https://mlflow.example.org", gate.url)
        workflow = workflow.replace("experiment: digits", f"experiment: {name}")
        project = scratch({".github/workflows/analyze.yml": workflow})
        project.publish("main")

        run = act.run(project, "workflow_dispatch", api=hub.url, secrets=SECRETS)
        assert run.exit_code == 0, run.log
        assert result(run)["counts"]["used"] == 60
        assert (run.artifacts / "analyze-analyze/experiment_analysis.md").exists()
        (issue,) = hub.store.issues.values()
        assert issue.title == "Experiment analysis"
        assert "60 finished runs" in issue.body
        assert "cannot be told apart" in issue.body
        assert "s3cret" not in run.log + issue.body

        write(mlflow_server.database, experiment, known_truth(7, 60))
        run = act.run(project, "workflow_dispatch", api=hub.url, secrets=SECRETS, run_id=2)
        assert run.exit_code == 0, run.log
        (issue,) = hub.store.issues.values()
        assert "120 finished runs" in issue.body

"""The drift template, as it stands, in a user's repository: one issue, closed when it is over."""

from __future__ import annotations

import json
from typing import Any

from dev.docs import OWN
from tests.e2e.conftest import MakeScratch
from tests.e2e.gate_repository import PIN, template
from tests.e2e.harness import Act, Run
from tests.fakes.github import FakeGitHub
from tests.mlflow_support import Gatekeeper, Mlflow

ADA = "Basic YWRhOnMzY3JldA=="  # ada:s3cret
SECRETS = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "s3cret"}
CONFIG = "model:\n  width: 32\noptimizer:\n  lr: {lr}\n"


def result(run: Run) -> Any:
    return json.loads((run.artifacts / "drift-drift/result.json").read_text())


def jobs(run: Run) -> dict[str, str | None]:
    return {job.id: job.result for job in run.jobs if job.result is not None}


def test_the_template_keeps_one_issue_and_closes_it(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, mlflow_server: Mlflow
) -> None:
    run_id = mlflow_server.run(
        mlflow_server.experiment(), {"model.width": "32", "optimizer.lr": "0.001"}
    )
    mlflow_server.version("e2e-digits", run_id, alias="champion")
    with Gatekeeper(mlflow_server, ADA) as gate:
        workflow = template("drift")
        workflow = workflow.replace("https://mlflow.example.org", gate.url)
        workflow = workflow.replace("digits-cnn@champion", "e2e-digits@champion")
        files = {"configs/production.yaml": CONFIG.format(lr=0.01)}
        project = scratch({**files, ".github/workflows/drift.yml": workflow})
        project.publish("main")

        run = act.run(project, "workflow_dispatch", api=hub.url, secrets=SECRETS)
        assert run.exit_code == 1, run.log
        assert result(run)["status"] == "fail"
        assert jobs(run)["drift"] == "failure"
        assert jobs(run)["comment"] == "success"
        assert "drift" in (run.artifacts / "drift-drift/drift.sarif").read_text()
        (issue,) = hub.store.issues.values()
        assert issue.title == "Production config drifted from the deployed model"
        assert "optimizer.lr" in issue.body
        assert issue.state == "open"
        (note,) = [note for note in run.annotations if "optimizer.lr" in note.message]
        assert note.fields["file"] == "configs/production.yaml"
        assert note.fields["line"] == "4"
        assert "s3cret" not in run.log + issue.body

        project.commit({"configs/production.yaml": CONFIG.format(lr="1e-3")})
        project.publish("main")
        run = act.run(project, "workflow_dispatch", api=hub.url, secrets=SECRETS, run_id=2)
        assert run.exit_code == 0, run.log
        assert [issue.state for issue in hub.store.issues.values()] == ["closed"]


ONE_STEP = f"""
on: push
jobs:
  drift:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v7
      - id: drift
        uses: {OWN}/actions/drift@{PIN}
        with:
          config: configs/production.yaml
          tracking-uri: URI
          deployed: run:RUN
      - if: always()
        env:
          STATUS: ${{{{ steps.drift.outputs.status }}}}
          SARIF: ${{{{ steps.drift.outputs.sarif }}}}
        run: echo "status=$STATUS sarif=$SARIF"
"""


def test_a_server_that_is_gone_fails_the_step_and_still_reports(
    act: Act, scratch: MakeScratch
) -> None:
    workflow = ONE_STEP.replace("URI", "http://127.0.0.1:9").replace("RUN", "a" * 32)
    files = {"configs/production.yaml": CONFIG.format(lr=1)}
    project = scratch({**files, ".github/workflows/drift.yml": workflow})
    project.publish("main")

    run = act.run(project)

    assert run.exit_code == 1
    assert "status=fail sarif=/" in run.log
    assert "Drift is unknown: MLflow cannot be reached" in run.summary

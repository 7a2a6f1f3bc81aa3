"""The analysis template, as it stands, in a user's repository: one issue, kept up to date."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.analyze_support import known_truth, write
from tests.e2e.conftest import MakeModel, MakeScratch
from tests.e2e.gate_repository import template
from tests.e2e.harness import Act, Run, tool_path
from tests.e2e.harness_repository import repository_payload
from tests.fakes.github import FakeGitHub
from tests.fakes.model import runs, says, uses
from tests.mlflow_support import Gatekeeper, Mlflow

KEY = "sk-canary-0123456789"
ADA = "Basic YWRhOnMzY3JldA=="  # ada:s3cret
SECRETS = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "s3cret"}

# Two artifacts of the name: the newer one is of another branch, and must not be taken.
GH = """\
#!/usr/bin/env bash
set -euo pipefail
[[ -n "$GH_TOKEN" ]]
run() {
  echo '{"expired": false, "workflow_run":'
  echo '{"id": '"$1"', "head_branch": "'"$2"'", "head_repository_id": "'"$REPOSITORY_ID"'"}}'
}
if [[ "$1 $3" == "api --jq" ]]; then
  [[ "$2" == "repos/octo/digits/actions/artifacts?name=analyze-analyze&per_page=50" ]]
  echo "{\\"artifacts\\": [$(run 7 x), $(run 5 main)]}" | jq --raw-output "$4"
else
  [[ "$*" == "run download 5 --repo octo/digits --name analyze-analyze --dir"* ]]
  cp -R -- KEPT "$RUNNER_TEMP/previous"
fi
"""


def result(run: Run) -> Any:
    return json.loads((run.artifacts / "analyze-analyze/result.json").read_text())


def test_the_template_keeps_one_issue(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, mlflow_server: Mlflow, tmp_path: Path
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

        tools = tmp_path / "tools"
        tools.mkdir()
        kept = shutil.copytree(run.artifacts / "analyze-analyze", tmp_path / "kept")
        (tools / "gh").write_text(GH.replace("KEPT", str(kept)))
        (tools / "gh").chmod(0o755)
        with_gh = Act(act.folder, act.library, path=f"{tools}:{tool_path()}")
        run = with_gh.run(
            project,
            "workflow_dispatch",
            payload={"repository": repository_payload("octo/digits")},
            api=hub.url,
            secrets=SECRETS,
            run_id=2,
        )
        assert run.exit_code == 0, run.log
        assert result(run)["changes"] == [], run.log
        (issue,) = hub.store.issues.values()
        assert "No change since the last analysis" in issue.body


SWEEP = """\
method: random
run_cap: 12
metric: {name: val_accuracy, goal: maximize}
parameters:
  optim.lr: {distribution: log_uniform_values, min: 0.0001, max: 0.01}
  optim.weight_decay: {value: 0.0001}
"""


def test_what_codex_says_of_runs_is_looked_up_in_mlflow(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, mlflow_server: Mlflow, model: MakeModel
) -> None:
    name = "e2e-narrative"
    experiment = mlflow_server.experiment(name)
    found = list(known_truth(12, 40))
    write(mlflow_server.database, experiment, found)
    best, other = sorted(found, key=lambda run: -run.metrics["val_accuracy"][-1])[:2]
    top = best.metrics["val_accuracy"][-1]
    claims = [
        _claim(best.id, "val_accuracy", f"{top:.4f}", "It is the best run."),
        _claim(best.id, "model.dropout", best.params["model.dropout"], "With this.", "parameter"),
        _claim(other.id, "val_accuracy", "0.9999", "A value nobody logged."),
        _claim("0" * 32, "val_accuracy", "0.95", "A run nobody made."),
    ]
    answer = {"summary": "Dropout matters.", "findings": [], "next_steps": []}
    with Gatekeeper(mlflow_server, ADA) as gate:
        server = model(
            runs("cat facts.json"),
            uses("mlflow", "list_runs", experiment_id=experiment),
            uses("mlflow", "describe_run", run_id=best.id),
            says({**answer, "proposal": {"claims": claims, "sweep": SWEEP}}),
            key=KEY,
        )
        workflow = template("analyze").replace("https://mlflow.example.org", gate.url)
        more = (
            f"      codex-model: scripted-model\n      responses-api-endpoint: {server.endpoint}\n"
        )
        workflow = workflow.replace("experiment: digits\n", f"experiment: {name}\n{more}")
        project = scratch({".github/workflows/analyze.yml": workflow, "train.py": "lr = 0.1\n"})
        project.publish("main")
        secrets = {**SECRETS, "OPENAI_API_KEY": KEY}

        run = act.run(project, "workflow_dispatch", api=hub.url, secrets=secrets)

    assert run.exit_code == 0, run.log
    shown = server.requests[-1].tool_outputs
    assert best.id in shown[1], "the MCP server listed the runs"
    assert best.params["optim.lr"] in shown[2], "and described one"
    checked = json.loads((run.artifacts / "ask-analyze/checked-answer.json").read_text())
    assert checked["status"] == "answered", checked["detail"]
    assert (checked["usage"]["mcp_calls"], checked["usage"]["mcp_failures"]) == (2, 0)
    assert checked["proposal"]["claims"] == {"checked": 5, "held": 3}
    entries = checked["proposal"]["document"]["claims"]
    assert [item["held"] for item in entries] == [True, True, False, False]
    assert entries[3]["struck"] == f"MLflow has no run '{'0' * 32}'"
    assert (run.artifacts / "ask-analyze/suggested-sweep.yaml").read_text() == SWEEP
    (issue,) = hub.store.issues.values()
    assert "Looked up in MLflow: 4 claims, 2 held." in issue.body
    assert f"| `{best.id[:8]}` | `val_accuracy` | `{top:.6g}` | It is the best run. |" in issue.body
    assert "~~val_accuracy = 0.9999~~" in issue.body
    assert "Claims checked: 5, held: 3." in issue.body
    assert "#### Suggested sweep" in issue.body
    assert "s3cret" not in run.log + issue.body


def _claim(run: str, name: str, value: str, says: str, kind: str = "metric") -> dict[str, Any]:
    return {"run": run, "kind": kind, "name": name, "value": value, "step": None, "says": says}

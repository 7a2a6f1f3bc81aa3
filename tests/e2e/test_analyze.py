"""The analysis template, as it stands, in a user's repository: one issue, kept up to date."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.analyze_support import known_truth, write
from tests.e2e.conftest import MakeScratch
from tests.e2e.gate_repository import template
from tests.e2e.harness import Act, Run, tool_path
from tests.e2e.harness_repository import repository_payload
from tests.fakes.github import FakeGitHub
from tests.mlflow_support import Gatekeeper, Mlflow

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

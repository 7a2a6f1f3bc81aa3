"""The sweep template on the digits example: trials as a matrix, a report, and nothing run twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlactions import mlflow_tags
from mlactions.mlflow_store import Run as TrackedRun
from mlactions.mlflow_store import open_store
from tests.e2e.bridge import ROOT
from tests.e2e.conftest import MakeScratch
from tests.e2e.gate_repository import python_folder, template
from tests.e2e.harness import Act, Run, tool_path
from tests.fakes.github import FakeGitHub
from tests.mlflow_support import Mlflow

EXAMPLE = ROOT / "examples" / "digits"
PYTHON = ROOT / ".tools" / "example" / "bin" / "python"
SPACE = """\
name: lr
program: scripts/train.py
metric: {name: val_accuracy, goal: maximize}
parameters:
  training.max_lr: {values: [0.001, 1e-3, 0.004]}
  training.epochs: {value: 1}
  tracking.uri: {value: "URI"}
  tracking.experiment: {value: e2e-sweep}
seeds: [3]
"""


def files(server: Mlflow) -> dict[str, str]:
    """Return the example with a sweep in it, and the template with what a user edits."""
    workflow = template("sweep").replace("https://mlflow.example.org", server.uri)
    for before, after in (
        ("config-name: train", "config-name: smoke_test"),
        ("experiment: digits", "experiment: e2e-sweep"),
    ):
        assert workflow.count(before) == 1, before
        workflow = workflow.replace(before, after)
    found = {
        path.relative_to(EXAMPLE).as_posix(): path.read_text()
        for folder in ("configs", "scripts", "src")
        for path in sorted((EXAMPLE / folder).rglob("*"))
        if path.suffix in {".py", ".yaml"}
    }
    found["requirements.txt"] = (EXAMPLE / "requirements.txt").read_text()
    found["configs/sweep.yaml"] = SPACE.replace("URI", server.uri)
    return found | {".github/workflows/sweep.yml": workflow}


def dispatched(act: Act) -> dict[str, str]:
    """Return the inputs of the run that the loop started; it starts it once at most."""
    path = act.folder / "artifacts" / "dispatched"
    if not path.exists():
        return {}
    told = path.read_text().splitlines()
    path.unlink()
    assert told[:6] == ["workflow", "run", "sweep.yml", "--repo", "octo/digits", "--ref"]
    return dict(field.split("=", 1) for field in told if "=" in field)


def result(run: Run, name: str) -> Any:
    return json.loads((run.artifacts / name / "result.json").read_text())


def recorded(server: Mlflow) -> list[TrackedRun]:
    with open_store(server.uri, {}) as store:
        identity = store.experiment("e2e-sweep").id
        return [run for run in store.runs([identity]) if mlflow_tags.TRIAL in run.tags]


def test_the_template_runs_what_is_missing_and_reports(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, mlflow_server: Mlflow
) -> None:
    folder = python_folder(act.folder / "python", PYTHON)
    environ = {"MLACTIONS_TEST_PYTHON": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true"}
    mlflow_server.experiment("e2e-sweep")
    project = scratch(files(mlflow_server))
    project.publish("main")

    run = act.run(project, "workflow_dispatch", api=hub.url, env=environ)
    assert run.exit_code == 0, run.log
    planned = result(run, "sweep")
    assert planned["counts"]["trials"] == 2  # 0.001 and 1e-3 are one
    trials = recorded(mlflow_server)
    assert sorted(item.tags[mlflow_tags.TRIAL] for item in trials) == ["0001", "0002"]
    assert {item.status for item in trials} == {"FINISHED"}
    assert {item.params["seed"] for item in trials} == {"3"}
    assert len({item.tags[mlflow_tags.PARENT] for item in trials}) >= 1
    report = result(run, "sweep-report")
    assert report["counts"]["states"] == {"finished": 2}
    assert len(report["best"]) == 2

    again = act.run(project, "workflow_dispatch", api=hub.url, env=environ, run_id=2)
    assert again.exit_code == 0, again.log
    assert result(again, "sweep")["counts"]["left"] == 0
    assert len(recorded(mlflow_server)) == 2
    assert result(again, "sweep-report")["left"] == ""


# Stands for GitHub's own client: it notes what it was asked to start.
GH = """\
#!/usr/bin/env bash
set -euo pipefail
[[ -n "$GH_TOKEN" ]]
printf '%s\\n' "$@" >"$MLACTIONS_TEST_ARTIFACTS/dispatched"
"""
TPE = SPACE.replace("values: [0.001, 1e-3, 0.004]", "min: 0.001, max: 0.01").replace(
    "name: lr", "name: search\nmethod: bayes\nrun_cap: 11"
)


@pytest.mark.timeout(1800)
def test_a_search_goes_on_in_rounds_until_its_cap(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, mlflow_server: Mlflow, tmp_path: Path
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "gh").write_text(GH)
    (tools / "gh").chmod(0o755)
    act = Act(act.folder, act.library, path=f"{tools}:{tool_path()}")
    folder = python_folder(act.folder / "python", PYTHON)
    environ = {"MLACTIONS_TEST_PYTHON": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true"}
    mlflow_server.experiment("e2e-search")
    given = files(mlflow_server)
    given["configs/sweep.yaml"] = TPE.replace("URI", mlflow_server.uri).replace(
        "e2e-sweep", "e2e-search"
    )
    name = ".github/workflows/sweep.yml"
    given[name] = given[name].replace(
        "experiment: e2e-sweep", 'experiment: e2e-search\n          max-jobs: "1"'
    )
    project = scratch(given)
    project.publish("main")

    counts, inputs = [], {"count": "1"}
    for number in range(1, 6):
        payload = {"inputs": inputs}
        run = act.run(
            project,
            "workflow_dispatch",
            api=hub.url,
            env=environ,
            run_id=number,
            payload=payload,
            timeout=900.0,
        )
        assert run.exit_code == 0, run.log
        counts.append(result(run, "sweep")["counts"]["trials"])
        inputs = dispatched(act)
        if not inputs:
            break
        assert (inputs["run"], inputs["sweep"]) == (str(number), "search")
    assert counts == [10, 11, 11]
    assert "All 11 runs of `run_cap` are there" in result(run, "sweep")["verdict"]
    assert result(run, "sweep-report")["counts"]["states"] == {"finished": 11}

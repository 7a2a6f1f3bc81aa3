"""The training template on self-hosted labels: stopped in time, continued, evaluated, compared."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from mlactions.sweep.jobs import one_line, train_matrix
from tests.e2e.bridge import ROOT
from tests.e2e.conftest import MakeScratch
from tests.e2e.gate_repository import python_folder, template
from tests.e2e.harness import Act, Run, tool_path
from tests.fakes.github import FakeGitHub

TRAIN = """
import json, os, pathlib, sys, time
sys.path.insert(0, "src")
from mlactions_train import Checkpoints, progress, should_stop
assert sys.argv[1:4] == ["--config-name", "model", "+sweeps/lr=0001-5f2a9c11"], sys.argv
tags = json.loads(os.environ["MLFLOW_RUN_CONTEXT"])
assert tags["mlactions.trial"] == "0001" and len(tags["mlactions.commit"]) == 40, tags
checkpoints = Checkpoints({"lr": 0.1})
found = checkpoints.latest()
for step in range(found.step + 1 if found else 1, 61):
    time.sleep(0.2)
    progress(step=step, loss=1 / step)
    print("step", step)
    checkpoints.save(lambda path: path.write_text(str(step)), step=step, metric=("loss", 1 / step))
    if should_stop():
        sys.exit(0)
pathlib.Path("outputs").mkdir()
pathlib.Path("outputs/model.pt").write_text(json.dumps({"val_accuracy": 0.98}))
"""
EVALUATE = """
import pathlib, sys
*given, overrides = sys.argv[1:]
assert overrides == "+sweeps/lr=0001-5f2a9c11", sys.argv
given = dict(zip(given[::2], given[1::2]))
pathlib.Path(given["--output"]).write_text(pathlib.Path(given["--checkpoint"]).read_text())
"""
BASELINE = """
version: 1
models:
  model:
    metrics:
      val_accuracy: {value: 0.97, direction: higher, tolerance: {absolute: 0.005}}
"""
GH = """\
#!/usr/bin/env bash
set -euo pipefail
[[ -n "$GH_TOKEN" ]]
printf '%s\\n' "$@" >"$MLACTIONS_TEST_ARTIFACTS/dispatched"
"""
# What `sweep` hands over: the first of the trials that are left.
SWEEP = {"sweep": "lr", "config_name": "model", "data": ""}
TRIAL = {"name": "0001-5f2a9c11", "hash": "5f2a9c11" * 8, "seed": 3}
MATRIX = one_line(train_matrix(SWEEP, [TRIAL]))
# What a user edits, and what a quick test on a machine without a GPU has to.
EDITS = {
    "vars.CHECKPOINTS || '/var/tmp/checkpoints'": "vars.CHECKPOINTS || '{checkpoints}'",
    'require-gpus: "1"': 'skip-checks: torch,driver\n          stalled-after-minutes: "2"',
    'soft-limit-minutes: "330"': 'soft-limit-minutes: "0.1"',
}


def workflow(checkpoints: Path) -> str:
    text = template("train")
    for before, after in EDITS.items():
        assert text.count(before) == 1, before
        text = text.replace(before, after.replace("{checkpoints}", str(checkpoints)))
    return text


def result(run: Run) -> Any:
    return json.loads((run.artifacts / "train-lr-0001-5f2a9c11/result.json").read_text())


def dispatched(act: Act) -> dict[str, str]:
    """Return the inputs of the run that the loop started; it starts it once at most."""
    path = act.folder / "artifacts" / "dispatched"
    if not path.exists():
        return {}
    told = path.read_text().splitlines()
    path.unlink()
    assert told[:6] == ["workflow", "run", "train.yml", "--repo", "octo/digits", "--ref"]
    return dict(field.split("=", 1) for field in told if "=" in field)


def test_the_template_stops_in_time_and_continues_until_the_gate(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, tmp_path: Path
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "gh").write_text(GH)
    (tools / "gh").chmod(0o755)
    act = Act(act.folder, act.library, path=f"{tools}:{tool_path()}")
    environ = {
        "MLACTIONS_TEST_PYTHON": str(python_folder(tmp_path / "python", Path(sys.executable)))
    }
    helper = ROOT / "scripts/mlactions/train/user/mlactions_train.py"
    project = scratch(
        {
            "scripts/train.py": TRAIN,
            "scripts/evaluate.py": EVALUATE,
            "src/mlactions_train.py": helper.read_text(),
            "configs/model.yaml": "lr: 0.1\n",
            "configs/baseline.yaml": BASELINE,
            "requirements.txt": "",
            ".github/workflows/train.yml": workflow(tmp_path / "checkpoints"),
        }
    )
    project.publish("main")

    payload = {"inputs": {"matrix": MATRIX}}
    run = act.run(project, "workflow_dispatch", api=hub.url, run_id=7, payload=payload, env=environ)
    assert run.exit_code == 0, run.log
    first = result(run)
    assert first["state"] == "stopped"
    reached = first["checkpoint"]["latest"]["step"]
    assert 0 < reached < 60
    inputs = dispatched(act)
    assert inputs["attempt"] == "2"
    assert inputs["run"] == "7"
    assert inputs["matrix"] == MATRIX
    assert not (run.artifacts / "model-lr-0001-5f2a9c11").exists()
    assert "Evaluate and compare" not in run.job("evaluate").log

    steps = [reached]
    for number in range(8, 20):
        run = act.run(
            project,
            "workflow_dispatch",
            api=hub.url,
            run_id=number,
            payload={"inputs": inputs},
            env=environ,
        )
        assert run.exit_code == 0, run.log
        steps.append(result(run)["checkpoint"]["latest"]["step"])
        assert result(run)["checkpoint"]["resumed"]["step"] == steps[-2]
        inputs = dispatched(act)
        if not inputs:
            break
    assert result(run)["state"] == "finished"
    assert steps == sorted(set(steps))
    assert steps[-1] == 60
    assert {job.id: job.result for job in run.jobs} == dict.fromkeys(
        ("train", "requeue", "evaluate"), "success"
    )
    assert "val_accuracy" in run.summary

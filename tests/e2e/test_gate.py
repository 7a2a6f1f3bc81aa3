"""The gate end to end: real workflows, real actions, real processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeScratch
from tests.e2e.gate_repository import caller, python_folder, repository
from tests.e2e.harness import Act, Run
from tests.fakes.github import FakeGitHub


@pytest.fixture
def python(tmp_path: Path) -> dict[str, str]:
    """What lets the stand-in for setup-python offer this machine's Python."""
    folder = python_folder(tmp_path / "python", Path(sys.executable))
    return {"MLACTIONS_TEST_PYTHON": str(folder)}


def result_of(run: Run, word: str, key: str = "gate") -> Any:
    return json.loads((run.artifacts / f"{word}-{key}" / "result.json").read_text())


def test_a_pull_request_that_keeps_the_metrics_passes(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, python: dict[str, str]
) -> None:
    project = scratch(repository())
    pull = project.pull_request({"configs/small.yaml": "accuracy: 0.981\n"})
    hub.add_pull(pull.number, pull.head_sha)

    run = act.run(project, "pull_request", payload=pull.payload, api=hub.url, env=python)

    assert run.exit_code == 0, run.log
    assert [job.id for job in run.jobs] == ["evaluate", "compare", "comment"], run.log
    result = result_of(run, "compare")
    assert result["status"] == "pass"

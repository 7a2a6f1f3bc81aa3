"""Runs that the example really trained, read by Codex through MLflow's MCP server, over each store.

Nothing here is ours but the question and the checks: torch trains, MLflow's client logs into
`mlflow server` over SQLite or Postgres, the real Codex CLI starts the real MCP server.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mlactions.__main__ import run as main
from mlactions.mlflow_store import Run, open_store
from mlactions.runner import Runner
from tests.ask_cases import KEY, ask, codex_path
from tests.evaluate_support import Repository
from tests.fakes.model import FakeModel, runs, says, uses
from tests.mlflow_support import Mlflow, running
from tests.postgres_support import missing, postgres
from tests.test_analyze_narrative import ANSWER, claim
from tests.test_drift import EXAMPLE, WITH_HYDRA

WITHOUT_POSTGRES = pytest.mark.skipif(bool(missing()), reason=missing() or "it is installed")
METRIC = "val_accuracy"


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=WITHOUT_POSTGRES)])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mlflow]:
    with ExitStack() as stack:
        uri = stack.enter_context(postgres()) if request.param == "postgres" else ""
        yield stack.enter_context(running(tmp_path_factory.mktemp("mlflow-digits"), uri))


def train(server: Mlflow, root: Path) -> Run:
    """Train the example for an epoch; return the run that it logged."""
    arguments = ["--config-name", "smoke_test", f"tracking.uri={server.uri}", "training.epochs=1"]
    environ = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    command = [str(WITH_HYDRA), "scripts/train.py", *arguments]
    subprocess.run(command, cwd=root, check=True, capture_output=True, env=environ)
    with open_store(server.uri, {}) as store:
        (run,) = store.runs([store.experiment("digits").id])
    return run


def example(folder: Path) -> Path:
    """Return a repository with the files of the example."""
    command = ["git", "-C", str(EXAMPLE), "ls-files", "-z"]
    names = subprocess.check_output(command, text=True).split("\0")
    return Repository.make(
        folder, {name: (EXAMPLE / name).read_text() for name in names if name}
    ).root


def test_codex_reads_a_trained_run_and_only_what_it_logged_is_believed(
    server: Mlflow, tmp_path: Path
) -> None:
    root = example(tmp_path / "digits")
    run = train(server, root)
    variables = {"PATH": codex_path(), "HOME": str(tmp_path), "CODEX_API_KEY": KEY}
    analysis = tmp_path / "analysis"
    given = ["--experiment", "digits", "--metric", METRIC, "--tracking-uri", server.uri]
    stream = io.StringIO()
    assert main(["analyze", *given, "--out", str(analysis)], Runner({}, stream)) == 0, (
        stream.getvalue()
    )

    value = f"{run.metrics[METRIC]:.4f}"
    told = ((run.id, value), ("deadbeef" * 4, value), (run.id, "0.1234"))
    claims = [claim(name, METRIC, said) for name, said in told]
    turns = (
        runs("cat facts.json"),
        uses("mlflow", "list_runs", experiment_id=run.experiment_id),
        uses("mlflow", "describe_run", run_id=run.id),
        says({**ANSWER, "proposal": {"claims": claims, "sweep": ""}}),
    )
    with FakeModel(*turns, key=KEY) as model:
        names = ["--bundle", str(analysis), "--repository", str(root), "--out", str(tmp_path / "a")]
        names += ["--responses-api-endpoint", model.endpoint, "--model", "scripted-model"]
        names += ["--when", "always", "--mcp", "mlflow", "--tracking-uri", server.uri]
        ran = ask(tmp_path / "step", "run", *names, **variables, GITHUB_ACTIONS="")
        seen = model.requests[-1].tool_outputs
    checked = json.loads((tmp_path / "a/checked-answer.json").read_text())
    assert checked["status"] == "answered", ran.said
    assert run.id in seen[1]
    assert f'"{METRIC}": {run.metrics[METRIC]!r}' in seen[2]
    assert (checked["usage"]["mcp_calls"], checked["usage"]["mcp_failures"]) == (2, 0)
    document = checked["proposal"]["document"]
    assert [item["held"] for item in document["claims"]] == [True, False, False]
    report = (tmp_path / "a/report.md").read_text()
    assert "3 claims, 1 held" in report
    assert run.id[:8] in report

"""`analyze --ask` with the real Codex CLI and MLflow's MCP server: also when MLflow dies."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from mlactions.__main__ import run as main
from mlactions.runner import Runner
from tests.analyze_support import Logged, known_truth, write
from tests.ask_cases import KEY, ask, codex_path
from tests.evaluate_support import Repository
from tests.fakes.loopback import Handler, Request
from tests.fakes.model import FakeModel, Turn, runs, says, uses
from tests.mlflow_support import Gatekeeper, Mlflow

READ = runs("cat facts.json")
ANSWER: dict[str, Any] = {"summary": "It is so.", "findings": [], "next_steps": []}


class Mortal(Gatekeeper):
    """A server that hangs up on everybody once `left` requests were answered."""

    left: int | None = None

    def respond(self, request: Request, handler: Handler) -> None:
        """Answer while it lives."""
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                handler.drop()
                return
        super().respond(request, handler)


@pytest.fixture(scope="module")
def found(mlflow_server: Mlflow) -> list[Logged]:
    """Log a search; return its runs, the best first."""
    logged = list(known_truth(21, 30))
    write(mlflow_server.database, mlflow_server.experiment("narrative"), logged)
    return sorted(logged, key=lambda item: -item.metrics["val_accuracy"][-1])


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = Repository.make(tmp_path / "repository", {"train.py": "lr = 0.1\n"})
    monkeypatch.chdir(made.root)
    return made.root


def claim(run: str, name: str, value: str, *, step: int | None = None) -> dict[str, Any]:
    says_ = "It shows that."
    return {"run": run, "kind": "metric", "name": name, "value": value, "step": step, "says": says_}


def analyse(uri: str, out: Path) -> tuple[int, str]:
    stream = io.StringIO()
    given = ["--experiment", "narrative", "--metric", "val_accuracy", "--today", "2026-09-22"]
    code = main(
        ["analyze", "--tracking-uri", uri, *given, "--out", str(out), "--top", "2"],
        Runner({}, stream),
    )
    return code, stream.getvalue()


def asked(uri: str, analysis: Path, repository: Path, *turns: Turn) -> Any:
    """Ask about an analysis at a shell prompt, and return the checked answer."""
    folder = analysis.parent / "asked"
    variables = {"PATH": codex_path(), "HOME": str(analysis.parent), "CODEX_API_KEY": KEY}
    with FakeModel(*turns, key=KEY) as model:
        names = ["--bundle", str(analysis), "--repository", str(repository), "--out", str(folder)]
        names += ["--responses-api-endpoint", model.endpoint, "--model", "scripted-model"]
        names += ["--when", "always", "--mcp", "mlflow", "--tracking-uri", uri]
        ask(analysis.parent / "step", "run", *names, **variables, GITHUB_ACTIONS="")
    return json.loads((folder / "checked-answer.json").read_text())


def of_value(run: Logged) -> str:
    return f"{run.metrics['val_accuracy'][-1]:.4f}"


def test_mlflow_dies_while_codex_reads_and_what_it_alone_knew_is_not_believed(
    mlflow_server: Mlflow, found: list[Logged], repository: Path, tmp_path: Path
) -> None:
    early = f"{found[-1].metrics['val_accuracy'][7]:.4f}"
    claims = [
        claim(found[0].id, "val_accuracy", of_value(found[0])),
        claim(found[-1].id, "val_accuracy", of_value(found[-1])),
        claim(found[-1].id, "val_accuracy", early, step=7),
        claim("0" * 32, "val_accuracy", "0.95"),
    ]
    says_ = says({**ANSWER, "proposal": {"claims": claims, "sweep": ""}})
    describe = uses("mlflow", "describe_run", run_id=found[0].id)
    with Mortal(mlflow_server) as server:
        out = tmp_path / "analysis"
        assert analyse(server.url, out)[0] == 0
        alive = asked(server.url, out, repository, READ, describe, says_)
        server.left = 1
        dead = asked(server.url, out, repository, READ, describe, describe, says_)
    entries = alive["proposal"]["document"]["claims"]
    assert [item["held"] for item in entries] == [True, True, True, False]
    assert alive["tool_failures"] == []
    assert dead["status"] == "answered", dead["detail"]
    assert [item["tool"] for item in dead["tool_failures"]] == ["describe_run"]
    entries = dead["proposal"]["document"]["claims"]
    assert [item["held"] for item in entries] == [True, True, False, False]
    for item in entries[2:]:
        assert item["struck"].startswith("it could not be looked up: ")
        assert server.url in item["struck"]


@pytest.mark.parametrize("left", [0, 1, 2])
def test_mlflow_dies_while_it_is_analysed_and_nothing_is_told(
    left: int,
    mlflow_server: Mlflow,
    found: list[Logged],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert found
    monkeypatch.setattr("mlactions.mlflow_store.connection.time.sleep", lambda _: None)
    with Mortal(mlflow_server) as server:
        server.left = left
        code, said = analyse(server.url, tmp_path / "out")
    assert code == 2
    assert "MLflow cannot be reached" in said
    assert server.url in said
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())

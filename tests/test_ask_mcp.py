"""The real Codex CLI and the real MLflow MCP server: asked, cited, failing, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlactions.codex_home.servers import HUB_PACKAGE, HUB_VERSION, MLFLOW_READING
from tests.ask_cases import (
    ANSWER,
    KEY,
    Project,
    Ran,
    ask,
    codex_path,
    make_project,
    prepare,
    write,
)
from tests.fakes.model import FakeModel, ModelRequest, Turn, runs, says, uses
from tests.mlflow_support import Gatekeeper, Mlflow, running

READ = runs("cat facts.json")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make a failed comparison, with a checkout that holds its cause."""
    return make_project(tmp_path)


def ask_run(
    project: Project,
    model: FakeModel,
    uri: str = "",
    *,
    server: str = "mlflow",
    name: str = "scripted-model",
    **environ: str,
) -> tuple[Ran, Any]:
    """Ask at a shell prompt about the branch as it is, with an MCP server."""
    variables = {"PATH": codex_path(), "HOME": str(project.out.parent), "CODEX_API_KEY": KEY}
    variables |= {"GITHUB_ACTIONS": "", "COLUMNS": "100", **environ}
    names = ["--bundle", str(project.bundle), "--repository", str(project.repository)]
    names += ["--out", str(project.out), "--responses-api-endpoint", model.endpoint]
    names += ["--model", name, "--mcp", server, "--tracking-uri", uri]
    ran = ask(project.out.parent / "step", "run", *names, **variables)
    answer = project.out / "checked-answer.json"
    return ran, json.loads(answer.read_text()) if answer.exists() else None


@pytest.fixture(scope="module")
def runs_of(mlflow_server: Mlflow) -> tuple[str, str]:
    """Log a run; return its experiment and its id."""
    experiment = mlflow_server.experiment()
    run_id = mlflow_server.run(experiment, {"lr": "0.5"}, metrics={"accuracy": [0.95]})
    return experiment, run_id


def test_codex_reads_runs_and_the_report_says_how_often(
    project: Project, mlflow_server: Mlflow, runs_of: tuple[str, str]
) -> None:
    experiment, run_id = runs_of
    turns = (
        READ,
        uses("mlflow", "list_runs", experiment_id=experiment),
        uses("mlflow", "describe_run", run_id=run_id),
        says(ANSWER),
    )
    with FakeModel(*turns, key=KEY) as model:
        ran, checked = ask_run(project, model, mlflow_server.uri)
        seen = model.requests[-1].tool_outputs
        offered = model.requests[0].body["tools"]
    assert checked["status"] == "answered", ran.said
    assert run_id in seen[1]
    assert '"lr": "0.5"' in seen[2]
    (namespace,) = [tool for tool in offered if tool.get("name") == "mcp__mlflow"]
    assert sorted(tool["name"] for tool in namespace["tools"]) == sorted(MLFLOW_READING)
    assert (checked["usage"]["mcp_calls"], checked["usage"]["mcp_failures"]) == (2, 0)
    assert checked["tool_failures"] == []
    assert "2 MCP calls" in " ".join(ran.said.split())


def test_a_model_that_writes_scripts_reads_them_too(
    project: Project, mlflow_server: Mlflow, runs_of: tuple[str, str]
) -> None:
    """Models differ in how they call tools: directly, or from a script, as the default one does."""
    turns = (
        READ,
        uses("mlflow", "describe_run", run_id=runs_of[1]),
        uses("mlflow", "describe_run", run_id="invented"),
        says(ANSWER),
    )
    with FakeModel(*turns, key=KEY) as model:
        _, checked = ask_run(project, model, mlflow_server.uri, name="gpt-6.1-sol")
        seen = model.requests[-1].tool_outputs
    assert checked["status"] == "answered"
    assert runs_of[1] in seen[1]
    assert (checked["usage"]["mcp_calls"], checked["usage"]["mcp_failures"]) == (2, 1)
    assert "Run with id=invented not found" in checked["tool_failures"][0]["said"]


def test_a_database_is_read_where_the_caller_means_it(
    project: Project, mlflow_server: Mlflow, runs_of: tuple[str, str]
) -> None:
    """The server starts in another folder, and the address is relative to the caller's."""
    link = project.out.parent / "runs.db"
    link.symlink_to(mlflow_server.folder / "mlflow.db")
    turns = (READ, uses("mlflow", "describe_run", run_id=runs_of[1]), says(ANSWER))
    with FakeModel(*turns, key=KEY) as model, pytest.MonkeyPatch.context() as patch:
        patch.chdir(link.parent)
        _, checked = ask_run(project, model, "sqlite:///runs.db")
    assert checked["usage"]["mcp_failures"] == 0


def test_credentials_reach_the_server_and_no_command(
    project: Project, mlflow_server: Mlflow, runs_of: tuple[str, str]
) -> None:
    look = runs("cat facts.json", "cat /proc/*/environ | tr '\\0' '\\n'; env; cat ../home/*.toml")
    turns = (look, uses("mlflow", "describe_run", run_id=runs_of[1]), says(ANSWER))
    with (
        Gatekeeper(mlflow_server, "Bearer CANARY-TOKEN") as gate,
        FakeModel(*turns, key=KEY) as model,
    ):
        _, checked = ask_run(project, model, gate.url, MLFLOW_TRACKING_TOKEN="CANARY-TOKEN")
        told = " ".join(request.everything for request in model.requests)
    assert checked["usage"]["mcp_failures"] == 0
    assert "enabled_tools" in told
    assert "CANARY" not in told


def test_a_call_that_fails_is_shown_beside_the_answer(
    project: Project, mlflow_server: Mlflow, runs_of: tuple[str, str]
) -> None:
    turns = (
        READ,
        uses("mlflow", "describe_run", run_id="invented"),
        uses("mlflow", "list_runs", experiment_id=runs_of[0]),
        says(ANSWER),
    )
    with FakeModel(*turns, key=KEY) as model:
        _, checked = ask_run(project, model, mlflow_server.uri)
    assert checked["status"] == "answered"
    (failure,) = checked["tool_failures"]
    assert (failure["server"], failure["tool"]) == ("mlflow", "describe_run")
    assert "Run with id=invented not found" in failure["said"]
    assert "1 of 2 MCP calls failed" in (project.out / "report.md").read_text()


def then(turn: Turn, act: Callable[[], None]) -> Turn:
    """Do something while Codex waits for what the model says in this turn."""

    def answer(_request: ModelRequest) -> str:
        act()
        return "Now for the details."

    return replace(turn, answer=answer)


def test_a_server_that_never_answers_is_a_clear_failure(
    project: Project, mlflow_server: Mlflow, runs_of: tuple[str, str]
) -> None:
    describe = uses("mlflow", "describe_run", run_id=runs_of[1])
    with Gatekeeper(mlflow_server) as gate:
        gate.replies = [None] * 50  # it hangs up
        with FakeModel(READ, describe, says(ANSWER), key=KEY) as model:
            ran, checked = ask_run(project, model, gate.url)
    assert gate.requests
    assert (checked["status"], checked["reason"]) == ("infrastructure-failed", "mcp-failed")
    assert "mlflow, describe_run: Error calling tool" in checked["detail"]
    assert "127.0.0.1" in checked["detail"]
    assert checked["summary"] == ""
    assert "every call of an MCP server failed" in " ".join(ran.said.split())
    assert ran.code == 0


def test_a_server_that_is_killed_in_the_middle_is_named_beside_the_answer(
    project: Project, tmp_path: Path
) -> None:
    folder = tmp_path / "mlflow"
    folder.mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(running(folder))
        experiment = server.experiment()
        listing = uses("mlflow", "list_runs", experiment_id=experiment)
        describe = uses("mlflow", "describe_run", run_id=server.run(experiment))
        turns = (READ, listing, then(describe, stack.close), says(ANSWER))
        with FakeModel(*turns, key=KEY) as model:
            _, checked = ask_run(project, model, server.uri)
    assert checked["status"] == "answered"
    (failure,) = checked["tool_failures"]
    assert failure["tool"] == "describe_run"
    assert "Connection refused" in failure["said"]
    report = (project.out / "report.md").read_text()
    assert "1 of 2 MCP calls failed" in report
    assert "mlflow: describe_run" in report


def test_a_server_that_does_not_start_is_named(project: Project, tmp_path: Path) -> None:
    """Codex prints nothing on its standard output then, and leaves no session."""
    program = write(tmp_path / "hub/dist/server/stdio.js", "#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    about = {"name": HUB_PACKAGE, "version": HUB_VERSION}
    write(tmp_path / "hub/package.json", json.dumps(about))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/hf-mcp-server").symlink_to(program)
    path = f"{tmp_path / 'bin'}:{codex_path()}"
    with FakeModel(READ, says(ANSWER), key=KEY) as model:
        ran, checked = ask_run(project, model, server="huggingface-stdio", PATH=path)
        assert model.requests == []
    assert (checked["status"], checked["reason"]) == ("infrastructure-failed", "mcp-not-started")
    assert "huggingface" in checked["detail"]
    assert "an MCP server that Codex needs did not start" in " ".join(ran.said.split())


def test_never_with_code_of_a_pull_request(project: Project) -> None:
    given = ("--mcp", "mlflow", "--tracking-uri", "http://127.0.0.1:9")
    ran = prepare(project, *given, GITHUB_EVENT_NAME="schedule")
    assert ran.code == 2
    assert "refused on a pull request" in ran.said
    assert "this question is about changes since a base commit" in ran.said
    project = Project(project.repository, project.bundle, "", project.head, project.out)
    for event, code in (("schedule", 0), ("pull_request", 2), ("workflow_run", 2)):
        assert prepare(project, *given, GITHUB_EVENT_NAME=event).code == code, event


def test_the_question_holds_no_credentials(project: Project) -> None:
    project = Project(project.repository, project.bundle, "", project.head, project.out)
    uri = "postgresql://user:CANARY-3@db/x"
    ran = prepare(project, "--mcp", "mlflow", GITHUB_EVENT_NAME="schedule", MLFLOW_TRACKING_URI=uri)
    assert ran.code == 0, ran.said
    assert ran.outputs["tracking-uri"] == ""
    assert "`mlflow`: the tracking server" in project.workspace.prompt.read_text()
    files = [path for path in project.out.rglob("*") if path.is_file()]
    assert not [path for path in files if "CANARY-3" in path.read_text(errors="replace")]

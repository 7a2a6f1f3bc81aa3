"""Tracking URIs of Databricks, as far as MLflow's client knows them: read, or refused by name.

The workspace is a server on the loopback that wants a token and hands what it is asked to MLflow.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlactions.__main__ import run
from mlactions.runner import Runner
from tests.analyze_support import known_truth, write
from tests.fakes.loopback import Reply
from tests.mlflow_support import Gatekeeper, Mlflow, free_port

NAME = "databricks-search"


@pytest.fixture(scope="module")
def experiment(mlflow_server: Mlflow) -> str:
    write(mlflow_server.database, mlflow_server.experiment(NAME), known_truth(2, 40))
    return NAME


@pytest.fixture
def workspace(mlflow_server: Mlflow, experiment: str) -> Iterator[Gatekeeper]:
    assert experiment == NAME
    with Gatekeeper(mlflow_server, "Bearer t0ken") as found:
        yield found


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep what the client finds in the environment to a test: it reads the process's own."""
    for name in [*os.environ]:
        if name.startswith(("DATABRICKS_", "MLFLOW_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setenv("HOME", str(tmp_path))


def call(uri: str, out: Path, **environ: str) -> tuple[int, dict[str, Any], str]:
    stream = io.StringIO()
    given = ["--experiment", NAME, "--metric", "val_accuracy", "--out", str(out)]
    code = run(["analyze", "--tracking-uri", uri, *given], Runner(environ, stream))
    result = out / "result.json"
    return code, json.loads(result.read_text()) if result.exists() else {}, stream.getvalue()


@pytest.mark.parametrize("uri", ["databricks", "databricks://staging"])
def test_runs_are_read_with_a_token_or_a_profile(
    uri: str, workspace: Gatekeeper, tmp_path: Path
) -> None:
    environ = {"DATABRICKS_HOST": workspace.url, "DATABRICKS_TOKEN": "t0ken"}
    if "://" in uri:
        text = f"[staging]\nhost = {workspace.url}\ntoken = t0ken\n"
        (tmp_path / ".databrickscfg").write_text(text)
        environ = {}
    code, result, said = call(uri, tmp_path / "out", **environ)
    assert code == 0, said
    assert result["counts"]["used"] == 40
    assert result["source"]["tracking"] == uri
    assert "t0ken" not in said + json.dumps(result)


def test_a_refused_token_is_no_access(workspace: Gatekeeper, tmp_path: Path) -> None:
    refused = {"error_code": "PERMISSION_DENIED", "message": "Invalid access token."}
    workspace.replies = [Reply(403, refused) for _ in range(20)]
    environ = {"DATABRICKS_HOST": workspace.url, "DATABRICKS_TOKEN": "wr0ng"}
    code, result, said = call("databricks", tmp_path / "out", **environ)
    assert (code, result) == (2, {})
    assert "no access to MLflow" in said
    assert "wr0ng" not in said


def test_no_credentials_says_which_are_missing(tmp_path: Path) -> None:
    code, _, said = call("databricks", tmp_path / "out", HOME=str(tmp_path))
    assert code == 2
    assert "no Databricks workspace, or no credentials for it, are configured" in said
    assert "Set DATABRICKS_HOST and DATABRICKS_TOKEN" in said


@pytest.mark.parametrize(
    ("uri", "place"),
    [("databricks", "variable"), ("databricks", "profile"), ("databricks://staging", "profile")],
)
def test_a_workspace_that_is_not_there_is_unreachable(uri: str, place: str, tmp_path: Path) -> None:
    host = f"http://127.0.0.1:{free_port()}"
    environ = {"DATABRICKS_HOST": host, "DATABRICKS_TOKEN": "t0ken"}
    if place == "profile":
        environ = {}
        name = uri.partition("://")[2] or "DEFAULT"
        text = f"[{name}]\nhost = {host}\ntoken = t0ken\n"
        (tmp_path / ".databrickscfg").write_text(text)
    code, _, said = call(uri, tmp_path / "out", **environ)
    assert code == 2
    assert "t0ken" not in said
    assert f"{uri}: {host}: " in said
    assert "MLflow cannot be reached" in said
    assert "Timed out" not in said, "the SDK itself tries for five minutes"


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("databricks-uc", "holds models and no runs"),
        ("uc://x", "holds models and no runs"),
        ("ftp://mlflow.example.org", "no store at ftp://"),
        ("s3://bucket/mlruns", "no store at s3://"),
    ],
)
def test_what_holds_no_runs_is_refused_before_anything_is_asked(
    uri: str, words: str, tmp_path: Path
) -> None:
    code, _, said = call(uri, tmp_path / "out")
    assert code == 2
    assert words in said

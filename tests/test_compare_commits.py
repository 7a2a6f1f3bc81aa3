"""Old results: a bundle of another commit, or of a work tree that is gone, never passes unseen."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import pytest

from mlactions.__main__ import run
from mlactions.bundle import seal
from mlactions.errors import Exit
from mlactions.runner import Runner

BASELINE = """\
version: 1
models:
  cnn: {metrics: {accuracy: {value: 0.98, direction: higher}}}
"""


def git(folder: Path, *arguments: str) -> str:
    person = ["-c", "user.name=someone", "-c", "user.email=someone@example.org"]
    command = ["git", *person, *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a repository of two commits."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "baseline.yaml").write_text(BASELINE)
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", "baseline.yaml")
    git(tmp_path, "commit", "-q", "-m", "first")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "second")
    return tmp_path


def measured(folder: Path, commit: str, *, dirty: bool = False) -> None:
    """Write a bundle as `evaluate` does."""
    (folder / "bundle" / "metrics").mkdir(parents=True)
    document = {
        "version": 1,
        "word": "evaluate",
        "commit": commit,
        "dirty": dirty,
        "base": None,
        "expected": ["cnn"],
        "skipped": [],
        "notes": [],
        "evaluations": [],
    }
    (folder / "bundle" / "evaluation.json").write_text(json.dumps(document))
    metrics = {"metrics": {"accuracy": 0.98}, "provenance": {"commit": commit, "dirty": dirty}}
    (folder / "bundle" / "metrics" / "cnn.json").write_text(json.dumps(metrics))
    seal(folder / "bundle", "evaluate")


def compare(folder: Path, environ: dict[str, str] | None = None) -> tuple[int, dict[str, str]]:
    """Return the exit code, and the level and message of what is said of the commit."""
    given = ["--baseline", "baseline.yaml", "--metrics", "bundle", "--out", "out"]
    code = run(["compare", *given], Runner(environ or {}, io.StringIO()))
    findings = json.loads((folder / "out" / "result.json").read_text())["findings"]
    return code, {f["level"]: f["message"] for f in findings if f["reason"] == "other-commit"}


def test_old_results_are_a_warning_on_a_laptop(here: Path) -> None:
    measured(here, git(here, "rev-parse", "HEAD~1"))

    code, told = compare(here)

    assert (code, list(told)) == (Exit.PASS, ["warn"])
    assert told["warn"].endswith(
        f"HEAD is `{git(here, 'rev-parse', 'HEAD')[:12]}`: run `evaluate` again."
    )


def test_results_of_head_say_nothing(here: Path) -> None:
    measured(here, git(here, "rev-parse", "HEAD"))

    assert compare(here) == (Exit.PASS, {})


@pytest.mark.parametrize("name", ["GITHUB_SHA", "pull_request", "workflow_run"])
def test_on_github_the_events_commits_count_and_others_fail(here: Path, name: str) -> None:
    old = git(here, "rev-parse", "HEAD~1")
    events = {
        "pull_request": {"pull_request": {"head": {"sha": old}}},
        "workflow_run": {"workflow_run": {"head_sha": old}},
    }
    (here / "event.json").write_text(json.dumps(events.get(name, {})))
    environ = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_PATH": str(here / "event.json"),
        "GITHUB_SHA": old if name == "GITHUB_SHA" else "f" * 40,
    }
    measured(here, old)

    assert compare(here, environ) == (Exit.PASS, {})

    (here / "event.json").write_text("{}")
    code, told = compare(here, {**environ, "GITHUB_SHA": "f" * 40})

    assert (code, list(told)) == (Exit.FAILED_CHECK, ["fail"])
    assert "name the bundle of this run" in told["fail"]


def test_changes_that_are_gone_were_measured(here: Path) -> None:
    measured(here, git(here, "rev-parse", "HEAD"), dirty=True)

    assert "not there any more" in compare(here)[1]["warn"]

    (here / "baseline.yaml").write_text(BASELINE + "# edited\n")
    assert compare(here)[1] == {}


def test_outside_of_a_repository_there_is_nothing_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "baseline.yaml").write_text(BASELINE)
    measured(tmp_path, "a" * 40)

    assert compare(tmp_path) == (Exit.PASS, {})

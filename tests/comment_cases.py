"""A comment job as a runner starts it: real results, a real event file, GitHub on loopback."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlactions.__main__ import run
from mlactions.runner import Runner
from tests.fakes.github import WRITE_TOKEN, FakeGitHub

HEAD, NEXT, MERGE = "a" * 40, "c" * 40, "e" * 40
REPOSITORY = "octo/digits"
MARK = "<!-- mlactions:gate:v1 -->"
BOT = "github-actions[bot]"

EVALUATED = Path(__file__).parent / "cases/evaluate/failures"

BASELINE = """\
version: 1
models:
  digits_cnn:
    metrics:
      test_accuracy:
        values: [0.981, 0.983, 0.979]
        direction: higher
        tolerance: {absolute: 0.005}
"""


def compare_bundle(folder: Path) -> Path:
    """Let `compare` decide on a change that made the model worse; its bundle."""
    metrics = {"models": {"digits_cnn": {"metrics": {"test_accuracy": [0.95] * 3}}}}
    (folder / "baseline.yaml").write_text(BASELINE)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    options = ["--baseline", str(folder / "baseline.yaml"), "--out", str(folder / "compare")]
    run(
        ["compare", *options, "--metrics", str(folder / "metrics.json")],
        Runner(environ={}, stream=io.StringIO()),
    )
    return folder / "compare"


def compare_result(folder: Path, *, commit: str = HEAD, **more: Any) -> Path:
    """Write a `result.json` of `compare` that names a commit."""
    return write_json(folder / "result.json", {**compare_document(), "commit": commit, **more})


@cache
def compare_document() -> dict[str, Any]:
    """Return what `compare` writes into `result.json`."""
    with TemporaryDirectory() as folder:
        document: dict[str, Any] = json.loads(
            (compare_bundle(Path(folder)) / "result.json").read_text()
        )
    return document


def evaluate_result(folder: Path, *, commit: str = HEAD, **more: Any) -> Path:
    """Write a `result.json` of `evaluate` that failed; a job that runs user code wrote it."""
    document = json.loads((EVALUATED / "result.json").read_text())
    return write_json(folder / "evaluated.json", {**document, "commit": commit, **more})


def checked_answer(
    summary: str = "The optimiser lost its momentum.", **more: Any
) -> dict[str, Any]:
    """Return an answer as `ask verify` writes it."""
    return {
        "version": 1,
        "status": "answered",
        "reason": "",
        "detail": "",
        "commit": HEAD,
        "summary": summary,
        "findings": [],
        "next_steps": ["Restore it."],
        "numbers_unverified": {"summary": [], "next_steps": []},
        "claims": {"checked": 1, "held": 1},
        "facts": {},
        "usage": None,
        **more,
    }


def write_json(path: Path, document: Any) -> Path:
    """Write a document and return its path."""
    path.write_text(json.dumps(document))
    return path


def pull_event(number: int = 7, sha: str = HEAD, repository: str = REPOSITORY) -> dict[str, Any]:
    """Return the payload of `pull_request`."""
    owner = repository.partition("/")[0]
    head = {
        "sha": sha,
        "ref": "change",
        "user": {"login": owner},
        "repo": {"full_name": repository},
    }
    return {"action": "synchronize", "pull_request": {"number": number, "head": head}}


def run_event(sha: str = HEAD, repository: str = "mallory/digits", **more: Any) -> dict[str, Any]:
    """Return the payload of `workflow_run` for a fork's run."""
    owner = repository.partition("/")[0]
    head = {"full_name": repository, "owner": {"login": owner}}
    run = {"id": 55, "event": "pull_request", "head_sha": sha, "head_branch": "change"}
    return {"workflow_run": {**run, "head_repository": head, "pull_requests": [], **more}}


@dataclass(frozen=True)
class Ran:
    """What a job left behind."""

    code: int
    outputs: dict[str, str]
    log: str
    summary: str
    result: dict[str, Any]


@dataclass(frozen=True)
class Job:
    """A job of the pull request; `replace` makes another one."""

    folder: Path
    hub: FakeGitHub
    results: Sequence[Path]
    event_name: str = "pull_request"
    event: dict[str, Any] = field(default_factory=pull_event)
    token: str = WRITE_TOKEN
    url: str = ""

    def run(self, *options: str) -> Ran:
        """Run the command as on GitHub."""
        for name in ("output", "summary"):
            (self.folder / name).write_text("")
        given = [f"--token={self.token}", *(f"--result={path}" for path in self.results)]
        stream = io.StringIO()
        code = run(["comment", *given, *options], Runner(self.environ(), stream))
        result = self.folder / "mlactions/comment/result.json"
        return Ran(
            code,
            read_outputs((self.folder / "output").read_text()),
            stream.getvalue(),
            (self.folder / "summary").read_text(),
            json.loads(result.read_text()) if result.exists() else {},
        )

    def but(self, **changes: Any) -> Job:
        """Return the same job with some things different."""
        return replace(self, **changes)

    def environ(self) -> dict[str, str]:
        """Return the variables a runner sets."""
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.url or self.hub.url,
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_RUN_ID": "99",
            "GITHUB_SHA": MERGE,
            "GITHUB_EVENT_NAME": self.event_name,
            "GITHUB_EVENT_PATH": str(write_json(self.folder / "event.json", self.event)),
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "RUNNER_TEMP": str(self.folder),
        }


def read_outputs(text: str) -> dict[str, str]:
    """Read step outputs with their delimiters."""
    outputs, lines = {}, iter(text.splitlines())
    for line in lines:
        name, _, delimiter = line.partition("<<")
        value = list(iter(lambda: next(lines), delimiter))
        outputs[name] = "\n".join(value)
    return outputs

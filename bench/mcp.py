"""Seconds from the start of Codex to its first call of an MLflow tool, by how it is started."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.measure import environment, table
from mlactions.codex import parse_endpoint
from mlactions.codex_home import Server, home_config
from mlactions.codex_home.servers import mlflow_server
from tests.fakes.loopback import Handler, Request
from tests.fakes.model import FakeModel, says, uses
from tests.mlflow_support import Gatekeeper, Mlflow, running

ROUNDS = 7
RECIPE = ["run", "--no-project", "--with", "mlflow[mcp]==3.17.2", "mlflow", "mcp", "run"]
"""What MLflow's documentation says to write, at the version that we lock."""

OURS, THEIRS = "the locked environment", '`uv run --with "mlflow[mcp]"`'


INTRODUCTION = f"""\
Seconds after `codex exec` starts. A scripted model answers at once and asks for one run of a real
`mlflow server`. Median of {ROUNDS} in turns, after one that warms up all caches. The locked
environment holds MLflow's light client, and nothing is resolved when Codex starts: it needs no
package index then.
"""


@dataclass(frozen=True)
class Found:
    """Seconds after Codex was started: the model was asked first, MLflow was asked first, the end.

    The model is asked once the server has told its tools.
    """

    ready: float
    call: float
    end: float


class TimedModel(FakeModel):
    """Notes when it was asked first."""

    first = 0.0

    def respond(self, request: Request, handler: Handler) -> None:
        """Answer by the script."""
        self.first = self.first or time.perf_counter()
        super().respond(request, handler)


class TimedTracker(Gatekeeper):
    """Notes when MLflow was asked first."""

    first = 0.0

    def respond(self, request: Request, handler: Handler) -> None:
        """Let it pass to the server."""
        self.first = self.first or time.perf_counter()
        super().respond(request, handler)


def recipe(folder: Path) -> Server:
    """Return the server as the documentation starts it, with the variables uv itself needs."""
    uv = shutil.which("uv")
    assert uv, "bench/run.sh brings uv"
    known = mlflow_server(Path(sys.executable), folder)
    names = [*known.variables, *(name for name in os.environ if name.startswith(("UV_", "PIP_")))]
    changed = {"command": uv, "args": RECIPE, "env_vars": names, "startup_timeout_sec": 600.0}
    return Server(known.name, {**known.table, **changed}, tuple(names))


def call(server: Server, mlflow: Mlflow, run_id: str, folder: Path) -> Found:
    """Let Codex ask MLflow about one run; the model thinks for no time at all."""
    home = Path(tempfile.mkdtemp(dir=folder))
    turns = (uses("mlflow", "describe_run", run_id=run_id), says("done"))
    with TimedTracker(mlflow) as tracker, TimedModel(*turns) as model:
        endpoint = parse_endpoint(model.endpoint, field="endpoint")
        (home / "config.toml").write_text(home_config(endpoint, [server]))
        command = ["codex", "exec", "--strict-config", "--skip-git-repo-check", "--json"]
        given = {"CODEX_HOME": str(home), "CODEX_API_KEY": "k", "MLFLOW_TRACKING_URI": tracker.url}
        started = time.perf_counter()
        done = subprocess.run(
            [*command, "--model", "scripted-model", "-C", str(folder), "Which run was it?"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={**environment(), **given},
        )
        end = time.perf_counter()
    assert done.returncode == 0, done.stderr
    said = json.dumps(model.requests[-1].tool_outputs)
    assert run_id in said, said
    return Found(model.first - started, tracker.first - started, end - started)


def measure(ways: Mapping[str, Callable[[], Found]]) -> dict[str, list[Found]]:
    """Take turns, after one round that is not counted: it fills caches."""
    found: dict[str, list[Found]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, way in ways.items():
            result = way()
            if number:
                found[name].append(result)
    return found


def section(found: Mapping[str, Sequence[Found]]) -> str:
    """Return the section of docs/benchmarks.md."""
    rows = []
    for name, runs in found.items():
        parts = [[run.ready for run in runs], [run.call for run in runs], [run.end for run in runs]]
        rows.append([name, *(f"{statistics.median(part):.1f} s" for part in parts)])
    head = ["MLflow's MCP server from", "tools known", "first call at MLflow", "Codex has ended"]
    return f"## Codex and MLflow's MCP server\n\n{INTRODUCTION}\n{table(head, rows)}"


def main() -> None:
    """Measure and print the section."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "mlflow").mkdir()
        with running(folder / "mlflow") as mlflow:
            run_id = mlflow.run(mlflow.experiment(), {"lr": "0.1"})
            servers = {OURS: mlflow_server(Path(sys.executable), folder), THEIRS: recipe(folder)}
            ways = {
                name: partial(call, server, mlflow, run_id, folder)
                for name, server in servers.items()
            }
            print(section(measure(ways)), end="")


if __name__ == "__main__":
    main()

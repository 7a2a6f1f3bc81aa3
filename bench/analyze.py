"""Seconds, requests and memory of `analyze` against mlflow.search_runs on 20,000 runs over HTTP."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.measure import PEERS, ROOT, Timing, race, run_once, table, version
from tests.analyze_support import START, Logged, identifier, write
from tests.mlflow_support import Gatekeeper, Mlflow, running

LAUNCHER = str(ROOT / "scripts" / "run")
RUNS, PARAMETERS, METRICS = 20_000, 20, 10
ROUNDS = 1
NAME = "search"
SEARCH = f"""\
import mlflow
frame = mlflow.search_runs(experiment_names=["{NAME}"], max_results=50_000)
assert frame.shape[0] == {RUNS}, frame.shape
"""
IMPORT = "import mlflow"


def search(seed: int = 1) -> Iterator[Logged]:
    """Yield a random search: half of the parameters are numbers of their own, half are choices."""
    rng = random.Random(seed)
    for number in range(RUNS):
        drawn = [rng.random() for _ in range(PARAMETERS // 2)]
        chosen = [rng.choice([1, 2, 4, 8]) for _ in range(PARAMETERS - len(drawn))]
        params = {f"optim.p{at}": repr(value) for at, value in enumerate(drawn)}
        params |= {f"model.c{at}": str(value) for at, value in enumerate(chosen)}
        quality = 0.9 - (drawn[0] - 0.4) ** 2 - 0.02 * chosen[0] + rng.gauss(0, 0.02)
        metrics = {f"m{at}": [rng.random()] for at in range(METRICS - 1)}
        metrics["val_accuracy"] = [quality]
        yield Logged(identifier(seed, number), params, metrics, start=START + number)


def seed(server: Mlflow) -> None:
    """Write the search in a process of its own: a child's peak memory counts its parent's, too."""
    command = [sys.executable, "-m", "bench.analyze", server.database, server.experiment(NAME)]
    subprocess.run(command, cwd=ROOT, check=True)


def measure(server: Mlflow, folder: Path) -> tuple[dict[str, Timing], int]:
    """Time both in turns; return the timings and how many requests ours takes."""
    (folder / "search.py").write_text(SEARCH)
    given = ["--experiment", NAME, "--metric", "val_accuracy", "--out", str(folder / "out")]
    ours = [LAUNCHER, "analyze", *given, "--tracking-uri"]
    theirs = ["env", f"MLFLOW_TRACKING_URI={server.uri}", str(PEERS / "python"), "search.py"]
    contestants = {"analyze": [*ours, server.uri], "mlflow.search_runs": theirs}
    found = race(contestants, folder, runs=ROUNDS)
    with Gatekeeper(server) as counting:
        run_once([*ours, counting.url], folder)
        requests = len(counting.requests)
    result = json.loads((folder / "out" / "result.json").read_text())
    assert result["counts"]["used"] == RUNS
    assert {p["name"] for p in result["parameters"] if p["verdict"] == "matters"} >= {
        "optim.p0",
        "model.c0",
    }
    return found, requests


def start_up(folder: Path) -> dict[str, Timing]:
    """Time how long both take before they can ask anything."""
    contestants = {
        "analyze": [LAUNCHER, "analyze", "--help"],
        "mlflow.search_runs": [str(PEERS / "python"), "-c", IMPORT],
    }
    return race(contestants, folder, runs=3)


INTRODUCTION = f"""\
{RUNS:,} runs with {PARAMETERS} parameters and {METRICS} metrics in a local `mlflow server` over
SQLite, asked over HTTP; whole processes in turns, after a round that warms up.
`mlflow.search_runs` only fetches the runs into pandas; `analyze` also sorts, tests and ranks them,
reads histories and writes its reports. Most of both is the server's own time.
"""


def rows(found: Mapping[str, Timing], began: Mapping[str, Timing]) -> list[list[str]]:
    """Return a row per contestant."""
    return [
        [
            f"`{name}`",
            f"{timing.median:.1f} s",
            f"{timing.median_cpu:.1f} s",
            f"{timing.peak_bytes / 2**20:,.0f} MiB",
            f"{began[name].median:.2f} s",
        ]
        for name, timing in found.items()
    ]


def headline(found: Mapping[str, Timing], requests: int) -> str:
    """Return the section in one line."""
    ours, theirs = found["analyze"], found["mlflow.search_runs"]
    return (
        f"**{ours.median:.0f} s against {theirs.median:.0f} s, with"
        f" {ours.peak_bytes / theirs.peak_bytes:.0%} of the memory, in {requests} requests.**"
    ).replace("%", " %")


def main() -> None:
    """Print the section; with a database and an experiment, fill that."""
    if len(sys.argv) > 1:
        write(sys.argv[1], sys.argv[2], search())
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "mlflow").mkdir()
        with running(folder / "mlflow") as server:
            seed(server)
            found, requests = measure(server, folder)
        began = start_up(folder)
    print(f"## Reading an experiment of {RUNS:,} runs, against MLflow {version('mlflow')}\n")
    print(headline(found, requests) + "\n")
    print(INTRODUCTION)
    header = ["", "seconds", "processor", "peak memory", "start-up"]
    print(table(header, rows(found, began)))


if __name__ == "__main__":
    main()

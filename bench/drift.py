"""Seconds of a whole drift check over HTTP against the same question through MLflow's client."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from bench.measure import PEERS, ROOT, Timing, race, run_once, table, version
from tests.mlflow_support import Gatekeeper, Mlflow, running

LAUNCHER = str(ROOT / "scripts" / "run")
SETTINGS = 200
ROUNDS = 7
NAME = "production"
BY_HAND = f"""\
import sys
import mlflow
import yaml

runs = mlflow.search_runs(
    experiment_names=["{NAME}"], filter_string="tags.deployed = 'true'", output_format="list"
)
params = runs[0].data.params
config = yaml.safe_load(open("production.yaml"))
drifted = {{
    f"{{group}}.{{key}}"
    for group, values in config.items()
    for key, value in values.items()
    if params.get(f"{{group}}.{{key}}") != str(value)
}}
assert drifted == {{"optimizer.p0"}}, drifted
"""


def prepare(server: Mlflow, folder: Path) -> None:
    """Log a deployed run, and write a config that differs from it in one setting."""
    groups = ("model", "optimizer", "data", "trainer")
    config = {group: {f"p{at}": at for at in range(SETTINGS // len(groups))} for group in groups}
    params = {
        f"{group}.{key}": str(value)
        for group, values in config.items()
        for key, value in values.items()
    }
    server.run(server.experiment(NAME), params, tags={"deployed": "true"})
    config["optimizer"]["p0"] = 7
    (folder / "production.yaml").write_text(json.dumps(config))
    (folder / "by_hand.py").write_text(BY_HAND)


def measure(server: Mlflow, folder: Path) -> tuple[dict[str, Timing], int]:
    """Time both in turns; return the timings and how many requests ours takes."""
    given = ["--config", "production.yaml", "--experiment", NAME, "--out", "out"]
    ours = [LAUNCHER, "drift", *given, "--tracking-uri"]
    theirs = ["env", f"MLFLOW_TRACKING_URI={server.uri}", str(PEERS / "python"), "by_hand.py"]
    contestants = {"drift": [*ours, server.uri], "MLflow's client by hand": theirs}
    found = race(contestants, folder, runs=ROUNDS, accept=(0, 1))  # drift is found
    with Gatekeeper(server) as counting:
        run_once([*ours, counting.url], folder, accept=(1,))
        requests = len(counting.requests)
    rows = json.loads((folder / "out" / "result.json").read_text())["rows"]
    assert [row["name"] for row in rows if row["level"] == "fail"] == ["optimizer.p0"]
    return found, requests


INTRODUCTION = f"""\
A config of {SETTINGS} settings against the run tagged as deployed, on a local `mlflow server`;
whole processes in turns, median of {ROUNDS} after one that warms up. The script by hand compares
texts for equality; `drift` also compares code and packages, finds lines and writes its reports.
The difference is the import of MLflow.
"""


def main() -> None:
    """Print the section."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "mlflow").mkdir()
        with running(folder / "mlflow") as server:
            prepare(server, folder)
            found, requests = measure(server, folder)
    ours, theirs = found["drift"], found["MLflow's client by hand"]
    print(f"## A drift check, against MLflow {version('mlflow')}'s client\n")
    print(
        f"**{ours.median:.2f} s against {theirs.median:.2f} s, with"
        f" {ours.peak_bytes / 2**20:.0f} MiB against {theirs.peak_bytes / 2**20:.0f} MiB,"
        f" in {requests} requests.**\n"
    )
    print(INTRODUCTION)
    rows = [
        [
            f"`{name}`" if name == "drift" else name,
            f"{timing.median:.2f} s",
            f"{timing.median_cpu:.2f} s",
            f"{timing.peak_bytes / 2**20:,.0f} MiB",
        ]
        for name, timing in found.items()
    ]
    print(table(["", "seconds", "processor", "peak memory"], rows))


if __name__ == "__main__":
    main()

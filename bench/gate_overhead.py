"""The whole gate under act: what a run costs beyond the user's own command.

Beside it, in turns, act with the bare command: checkout, Python, three seeds.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import folded, table
from tests.e2e.bridge import Library, copy_library
from tests.e2e.gate_repository import BASELINE, BASELINE_FILE, caller, python_folder
from tests.e2e.harness import Act, Run
from tests.e2e.harness_repository import Scratch
from tests.fakes.github import FakeGitHub

SECONDS = 1.0
SEEDS = (0, 1, 2)
RUNS = 3
EVALUATE = f"""
import argparse, json, pathlib, time

parser = argparse.ArgumentParser()
parser.add_argument("--config", type=pathlib.Path)
parser.add_argument("--seed", type=int)
parser.add_argument("--output", type=pathlib.Path)
arguments = parser.parse_args()
accuracy = float(arguments.config.read_text().partition("accuracy:")[2])
time.sleep({SECONDS})
metrics = {{"val_accuracy": accuracy + arguments.seed / 10_000}}
arguments.output.write_text(json.dumps({{"metrics": metrics}}))
"""
BARE = f"""
name: Bare
on: pull_request
jobs:
  evaluate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v7
      - uses: actions/setup-python@v7
        with: {{python-version: "3.12"}}
      - id: evaluate
        run: |
          for seed in {" ".join(map(str, SEEDS))}; do
            python scripts/evaluate.py --config configs/small.yaml --seed $seed --output $seed.json
          done
"""
GATE_FILE, BARE_FILE = ".github/workflows/gate.yml", ".github/workflows/bare.yml"
FILES = {
    "scripts/evaluate.py": EVALUATE,
    "configs/small.yaml": "accuracy: 0.98\n",
    "configs/other.yaml": "accuracy: 0.95\n",
    "requirements.txt": "",
    BASELINE_FILE: BASELINE,
    GATE_FILE: caller(),
    BARE_FILE: BARE,
}


@dataclass(frozen=True)
class Measured:
    """Wall seconds of a run, of the user's command in it, and of each job's steps."""

    wall: float
    command: float
    jobs: Mapping[str, float]

    @property
    def beyond(self) -> float:
        """What was spent on anything but the user's command."""
        return self.wall - self.command


def gate_run(run: Run, wall: float) -> Measured:
    """Read a run of the gate; the bundle says what the user's command took."""
    assert run.exit_code == 0, run.log
    (bundle,) = run.artifacts.glob("*/evaluation.json")
    evaluation = json.loads(bundle.read_text())
    command = sum(entry["seconds"] for entry in evaluation["evaluations"])
    return Measured(wall, command, job_seconds(run))


def bare_run(run: Run, wall: float) -> Measured:
    """Read a run of the bare command; its step is the user's command."""
    assert run.exit_code == 0, run.log
    return Measured(wall, run.job("evaluate").step("evaluate").seconds or 0.0, job_seconds(run))


def job_seconds(run: Run) -> dict[str, float]:
    """Return the seconds of each job's own steps; those inside composites are part of them."""
    return {
        job.id: sum(step.seconds or 0.0 for step in job.steps if len(step.path) == 1)
        for job in run.jobs
        if job.steps
    }


def measure(library: Library, folder: Path, number: int) -> tuple[Measured, Measured]:
    """Open a new pull request; run the gate on it, and the bare command."""
    with FakeGitHub() as hub:
        scratch = Scratch(folder / "repositories")
        scratch.commit(FILES, "First commit")
        pull = scratch.pull_request({"configs/small.yaml": "accuracy: 0.981\n"})
        hub.add_pull(pull.number, pull.head_sha)
        python = python_folder(folder / "python", Path(sys.executable))
        act = Act(folder / "act", library)

        def timed(workflow: str) -> tuple[Run, float]:
            started = time.perf_counter()
            run = act.run(
                scratch,
                "pull_request",
                workflow=workflow,
                payload=pull.payload,
                api=hub.url,
                env={"MLACTIONS_TEST_PYTHON": str(python)},
                run_id=number,
            )
            return run, time.perf_counter() - started

        return gate_run(*timed(GATE_FILE)), bare_run(*timed(BARE_FILE))


def median(found: Sequence[float]) -> str:
    """Return the median as text."""
    return f"{statistics.median(found):.1f} s"


def rows(gate: Sequence[Measured], bare: Sequence[Measured]) -> list[list[str]]:
    """Return the table: one row a contestant."""
    return [
        [
            label,
            median([item.wall for item in found]),
            median([item.command for item in found]),
            median([item.beyond for item in found]),
        ]
        for label, found in (("the bare command", bare), ("the gate", gate))
    ]


def difference(gate: Sequence[Measured], bare: Sequence[Measured]) -> str:
    """Return what the gate spends more than the bare command, as text."""
    return median([ours.beyond - other.beyond for ours, other in zip(gate, bare, strict=True)])


def job_rows(gate: Sequence[Measured]) -> list[list[str]]:
    """Return where the gate's seconds went, per job."""
    return [
        [f"`{name}`", median([item.jobs[name] for item in gate if name in item.jobs])]
        for name in gate[0].jobs
    ]


INTRODUCTION = f"""\
A pull request on a tiny repository whose evaluation sleeps {SECONDS:g} s for each of {len(SEEDS)}
seeds. In turns, median of {RUNS} runs: the whole gate (evaluate, compare and comment, each a job
with an environment of its own), and a workflow of checkout, Python and the bare command. act runs
the jobs one after the other on this machine, without containers, packages from uv's cache: these
seconds hold no queue, start-up or download of a hosted runner.
"""


def main() -> None:
    """Print the section."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library = copy_library(folder / "library")
        # The first round warms every cache.
        found = [measure(library, folder / str(n), n) for n in range(1, RUNS + 2)][1:]
    gate, bare = [pair[0] for pair in found], [pair[1] for pair in found]
    print("## The whole gate, beyond the user's command\n")
    print(f"**The gate takes {difference(gate, bare)} more than act with the bare command.**\n")
    print(INTRODUCTION)
    print(table(["act runs", "wall", "the user's command", "beyond it"], rows(gate, bare)))
    print(folded("The gate's jobs", table(["job", "all its steps"], job_rows(gate))))


if __name__ == "__main__":
    main()

"""What watching a training costs, and, where there is an NVIDIA GPU, what telemetry adds there."""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.measure import ROOT, Measurement, run_once, share, table

LAUNCHER = str(ROOT / "scripts" / "run")
PYTHON = str(ROOT / ".tools" / "example" / "bin" / "python")
EXAMPLE = ROOT / "examples" / "digits"
ROUNDS = 3
EPOCHS = 150
ON_GPU = ("training.device=cuda", "training.autocast=true")
INTRODUCTION = f"""\
The digits example, {EPOCHS} epochs of its smallest model with a checkpoint after each; whole
processes in turns, median of {ROUNDS}. Alone: `python scripts/train.py`. Watched: the same below
`mlactions train`, which streams its log, looks for signs of life and samples once a second; its own
start and its preflight are not counted. Sampling is the processor time it takes, by the run's time.
"""


def command(folder: Path, overrides: Sequence[str]) -> list[str]:
    """Return the training as its user starts it."""
    given = ["--config-name", "smoke_test", "tracking.enabled=false", f"training.epochs={EPOCHS}"]
    return [PYTHON, "scripts/train.py", *given, f"hydra.run.dir={folder / 'hydra'}", *overrides]


def alone(folder: Path, overrides: Sequence[str]) -> Measurement:
    """Train without us, with the same checkpoints."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    variables = {"MLACTIONS_CHECKPOINTS": str(folder / "checkpoints")}
    return run_once(command(folder, overrides), EXAMPLE, variables=variables)


def watched(folder: Path, overrides: Sequence[str]) -> Any:
    """Train below `mlactions train`; return its result."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    given = ["--command", " ".join(command(folder, overrides)), "--skip-checks", "torch,driver"]
    given += ["--checkpoints", str(folder / "checkpoints"), "--out", str(folder / "out")]
    run_once([LAUNCHER, "train", *given], EXAMPLE)
    return json.loads((folder / "out" / "result.json").read_text())


def preflight(folder: Path) -> Any:
    """Return what the preflight says of this machine and the example's torch."""
    given = ["preflight", "--command", f"{PYTHON} scripts/train.py", "--out", str(folder / "look")]
    run_once([LAUNCHER, "train", *given, "--checkpoints", str(folder / "none")], EXAMPLE)
    return json.loads((folder / "look" / "result.json").read_text())


def why_no_gpu(look: Any) -> str:
    """Return why there is nothing to measure on a GPU; empty where there is."""
    if not look["machine"]["gpus"]:
        found = next(check for check in look["preflight"] if check["name"] == "gpu")
        return str(found["found"])
    torch = look["machine"]["torch"]
    return "" if torch and torch["available"] else "the example's torch is for the CPU"


def measure(folder: Path, overrides: Sequence[str]) -> list[str]:
    """Return the cells of one row: alone, watched, the difference, the share of sampling."""
    bare: list[float] = []
    ours: list[float] = []
    shares: list[float] = []
    for number in range(ROUNDS + 1):
        seconds = alone(folder, overrides).seconds
        result = watched(folder, overrides)
        if number:  # the first round warms every cache
            bare.append(seconds)
            ours.append(result["run"]["seconds"])
            shares.append(result["telemetry"]["cost_share"])
    first, second = statistics.median(bare), statistics.median(ours)
    spread = max(bare) - min(bare)
    difference = f"{100 * (second - first) / first:+.1f} %"
    sampling = share(statistics.median(shares))
    return [f"{first:.2f} s (±{spread / 2:.2f})", f"{second:.2f} s", difference, sampling]


def main() -> None:
    """Print the section."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        look = preflight(folder)
        rows = [["processor", *measure(folder, ())]]
        missing = why_no_gpu(look)
        if missing:
            rows.append(["NVIDIA GPU, bf16 autocast", f"not measured: {missing}", "–", "–", "–"])
        else:
            gpus = ", ".join(gpu["name"] for gpu in look["machine"]["gpus"])
            rows.append([f"{gpus}, bf16 autocast", *measure(folder, ON_GPU)])
    print("## Watching a training\n")
    print(f"**Sampling takes {rows[0][-1]} of one processor core.**\n")
    print(INTRODUCTION)
    print(table(["", "alone", "watched", "difference", "sampling"], rows))


if __name__ == "__main__":
    main()

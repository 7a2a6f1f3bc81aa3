"""`export measure` of the digits CNN against bare `torch.onnx.export` of it in the same Python."""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
from pathlib import Path

from bench.measure import ROOT, Measurement, run_once, table

RUNS = 7
EXAMPLE = ROOT / "examples" / "digits"
PYTHON = ROOT / ".tools" / "example" / "bin" / "python"
ARGUMENTS = '{"width": 24, "hidden": 64, "dropout": 0.1}'

BARE = """
import sys, torch
from src.models.cnn import DigitsCNN
torch.manual_seed(0)
model = DigitsCNN(width=24, hidden=64, dropout=0.1).eval()
torch.onnx.export(
    model, (torch.zeros(2, 1, 8, 8),), sys.argv[1], dynamo=True, opset_version=20,
    input_names=["pixels"], output_names=["logits"], external_data=False, verbose=False,
    dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=64)},),
)
"""

INTRODUCTION = f"""\
Whole processes, warm, median of {RUNS} alternating runs, imports included on both sides. Bare
`torch.onnx.export` writes a file and stops. Ours also strips the paths from it, writes down where
it comes from, draws the inputs of the parity matrix and computes in PyTorch what the model makes
of them: the last part is taken off for the ratio. `verify` comes on top.
"""


def ours(out: Path) -> list[str | Path]:
    """Return our command."""
    given = ["--model", "src.models.cnn:DigitsCNN", "--model-arguments", ARGUMENTS]
    inputs = ["--example-inputs", "pixels: float32[batch,1,8,8]", "--outputs", "logits"]
    return [ROOT / "scripts" / "run", "export", "measure", *given, *inputs, "--python", PYTHON,
            "--out", out]  # fmt: skip


def race(
    folder: Path, runs: int = RUNS
) -> tuple[list[Measurement], list[Measurement], list[float]]:
    """Take turns; return bare runs, our runs, and the seconds that our references took."""
    bare: list[Measurement] = []
    mine: list[Measurement] = []
    references: list[float] = []
    for number in range(runs + 1):
        shutil.rmtree(folder / "out", ignore_errors=True)
        found = (
            run_once([PYTHON, "-c", BARE, folder / "bare.onnx"], EXAMPLE),
            run_once(ours(folder / "out"), EXAMPLE),
        )
        document = json.loads((folder / "out" / "export.json").read_text(encoding="utf-8"))
        if number:  # the first round warms the caches
            bare.append(found[0])
            mine.append(found[1])
            references.append(document["timing"]["reference_s"])
    return bare, mine, references


def ratio(bare: list[Measurement], mine: list[Measurement], references: list[float]) -> float:
    """Return the median of ours without its references over bare, round by round."""
    return statistics.median(
        (m.seconds - reference) / b.seconds
        for b, m, reference in zip(bare, mine, references, strict=True)
    )


def rows(
    bare: list[Measurement], mine: list[Measurement], references: list[float]
) -> list[list[str]]:
    """Return the table's rows: seconds and processor seconds."""
    spent = statistics.median(references)

    def row(name: str, runs: list[Measurement]) -> list[str]:
        wall = statistics.median(run.seconds for run in runs)
        cpu = statistics.median(run.cpu_seconds for run in runs)
        peak = max(run.peak_bytes for run in runs)
        return [name, f"{wall:.2f} s", f"{cpu:.2f} s", f"{peak / 2**20:.0f} MiB"]

    return [
        row("`torch.onnx.export`", bare),
        row("`export measure`", mine),
        ["of it references and their noise", f"{spent:.2f} s", "", ""],
    ]


def main() -> None:
    """Print the section."""
    with tempfile.TemporaryDirectory() as name:
        found = race(Path(name))
    print("## `export measure` against bare `torch.onnx.export`\n")
    print(f"**{ratio(*found):.2f}× the time of the bare export**, the references taken off.\n")
    print(INTRODUCTION)
    print(table(["", "wall", "processor", "peak memory"], rows(*found)))


if __name__ == "__main__":
    main()

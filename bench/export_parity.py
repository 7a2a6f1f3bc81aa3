"""The parity matrix of a full-size ViT: seconds, and memory against the size of the weights."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from bench.measure import ROOT, run_once, table

PYTHON = ROOT / ".tools" / "example" / "bin" / "python"
MODEL = "models.zoo:Transformer"
INPUTS = "images: float32[batch,3,32,32]"
MOST_MEMORY = 3.0


def main() -> None:
    """Print the section."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scripts = str(ROOT / "scripts" / "run")
        measure = [scripts, "export", "measure", "--model", MODEL, "--example-inputs", INPUTS]
        options = [
            "--outputs",
            "logits",
            "--python",
            str(PYTHON),
            "--out",
            str(folder / "measured"),
        ]
        run_once([*measure, *options], ROOT / "tests")
        verify = [
            scripts,
            "export",
            "verify",
            str(folder / "measured"),
            "--out",
            str(folder / "out"),
        ]
        whole = run_once(verify, ROOT)
        result = json.loads((folder / "out" / "result.json").read_text())
        weights = result["model"]["parameter_bytes"]
    assert result["status"] == "pass", result["verdict"]
    peak = max(one["peak_memory_bytes"] for one in result["providers"])
    assert peak <= MOST_MEMORY * weights, f"{peak / weights:.2f} times the weights"
    batches = sorted({case["batch"] for case in result["cases"]})
    rows = [row for case in result["cases"] for row in case["rows"] if case["kind"] == "gated"]
    print("## Parity of a full-size ViT\n")
    print(f"**{whole.seconds:.0f} s, and {peak / weights:.1f} times the weights in memory.**\n")
    print(
        f"`export verify` of a ViT of 768 dimensions, 12 heads and 12 layers on CIFAR-100's shapes:"
        f" {len(result['cases'])} cases at batch {', '.join(map(str, batches))}, the checks of the"
        " file and the timing of the runtime; the bundle was measured before. Memory is the largest"
        " resident set of the process that runs the model.\n"
    )
    print(
        table(
            ["weights", "peak memory", "ratio", "whole command", "largest scaled error"],
            [
                [
                    f"{weights / 2**20:,.0f} MiB",
                    f"{peak / 2**20:,.0f} MiB",
                    f"{peak / weights:.2f}",
                    f"{whole.seconds:.1f} s",
                    f"{max(row['scaled'] for row in rows):.1e}",
                ]
            ],
        )
    )


if __name__ == "__main__":
    main()

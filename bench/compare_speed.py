"""`compare` as a whole process against `dvc metrics diff` on the same numbers; and 10,000 rules."""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from bench.measure import PEERS, ROOT, Timing, race, table

OURS = str(ROOT / "scripts" / "run")
COMPARE = ["compare", "--baseline", "baseline.yaml", "--metrics", "metrics", "--out", "out"]
Values = dict[str, dict[str, list[float]]]


def values(models: int, metrics: int, seeds: int, shift: float, source: random.Random) -> Values:
    """Return accuracies around 0.9, the same shape for both sides."""
    return {
        f"model_{m}": {
            f"metric_{k}": [round(0.9 + shift + source.gauss(0, 0.002), 5) for _ in range(seeds)]
            for k in range(metrics)
        }
        for m in range(models)
    }


def write_ours(folder: Path, base: Values, head: Values) -> None:
    """Write a baseline in our format and a metrics file per model."""
    rule = {"direction": "higher", "tolerance": {"absolute": 0.02}}
    baseline = {
        model: {"metrics": {name: {"values": numbers} | rule for name, numbers in metrics.items()}}
        for model, metrics in base.items()
    }
    # JSON is YAML: no second writer is needed, and the file looks like what `update` writes.
    lines = ["version: 1", "models:"]
    for model, content in baseline.items():
        lines += [f"  {model}:", "    metrics:"]
        lines += [
            f"      {name}: {json.dumps(entry)}" for name, entry in content["metrics"].items()
        ]
    (folder / "baseline.yaml").write_text("\n".join(lines) + "\n")
    (folder / "metrics").mkdir()
    for model, metrics in head.items():
        (folder / "metrics" / f"{model}.json").write_text(json.dumps({"metrics": metrics}))


def write_dvc(folder: Path, base: Values, head: Values) -> list[str]:
    """Write a DVC repository whose commit holds the baseline and whose work tree the candidate."""
    (folder / "dvc").mkdir()
    for command in (["git", "init", "-q"], [str(PEERS / "dvc"), "init", "-q"]):
        subprocess.run(command, cwd=folder / "dvc", check=True)
    names = _write_dvc_metrics(folder / "dvc", base)
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    subprocess.run(["git", "add", "-A"], cwd=folder / "dvc", check=True)
    subprocess.run(["git", *identity, "commit", "-qm", "base"], cwd=folder / "dvc", check=True)
    _write_dvc_metrics(folder / "dvc", head)
    return names


def _write_dvc_metrics(folder: Path, side: Values) -> list[str]:
    for model, metrics in side.items():
        spread: dict[str, Any] = {
            name: numbers[0]
            if len(numbers) == 1
            else {f"seed_{n}": v for n, v in enumerate(numbers)}
            for name, numbers in metrics.items()
        }
        (folder / f"{model}.json").write_text(json.dumps(spread))
    return [f"{model}.json" for model in side]


def compare_with_dvc(seeds: int) -> tuple[Timing, Timing]:
    """Return our timing and DVC's on 10 models x 20 metrics."""
    source = random.Random(20)
    base, head = (values(10, 20, seeds, shift, source) for shift in (0.0, -0.001))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_ours(folder, base, head)
        targets = write_dvc(folder, base, head)
        ours = [OURS, *COMPARE]
        peer = [str(PEERS / "dvc"), "--cd", "dvc", "metrics", "diff", "--targets", *targets]
        found = race({"ours": ours, "dvc": peer}, folder)
    return found["ours"], found["dvc"]


def many_rules() -> Timing:
    """Return the timing of 10,000 rules: 100 models x 100 metrics, five seeds a side."""
    source = random.Random(21)
    base, head = (values(100, 100, 5, shift, source) for shift in (0.0, -0.001))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_ours(folder, base, head)
        ours = [OURS, *COMPARE]
        return race({"ours": ours}, folder, runs=3)["ours"]


def main() -> None:
    """Print the section."""
    rows = []
    for seeds in (1, 5):
        ours, peer = compare_with_dvc(seeds)
        ratio = f"{peer.median / ours.median:.1f}×"
        label = f"10 models × 20 metrics, {seeds} seed{'s' if seeds > 1 else ''} a side"
        rows.append([label, f"{ours.median:.2f} s", f"{peer.median:.2f} s", ratio])
    big = many_rules()
    rows.append(["10,000 rules, 5 seeds a side (limit 2 s)", f"{big.median:.2f} s", "–", "–"])
    memory = f"{big.peak_bytes / 1e6:.0f} MB"
    rows.append(["the same, peak memory (limit 200 MB)", memory, "–", "–"])
    print("## `compare` against `dvc metrics diff`\n")
    print("Whole process, warm, median of 7 alternating runs. DVC decides nothing.\n")
    print(table(["case", "compare", "dvc", "DVC ÷ ours"], rows))


if __name__ == "__main__":
    main()

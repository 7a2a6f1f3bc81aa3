"""`compare` as a whole process against `dvc metrics diff` on the same numbers; and 10,000 rules."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.measure import PEERS, ROOT, Timing, commit_all, race, start_dvc, table, version

OURS = str(ROOT / "scripts" / "run")
COMPARE = ["compare", "--baseline", "baseline.yaml", "--metrics", "metrics", "--out", "out"]
LABELS = ("10 models × 20 metrics, 1 seed a side", "10 models × 20 metrics, 5 seeds a side")
INTRODUCTION = f"""\
Whole processes, warm, median of 7 alternating runs, DVC {version("dvc")}. DVC prints the
differences; ours also judges them, and writes the result, the facts and the reports.
"""
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
    start_dvc(folder / "dvc")
    names = _write_dvc_metrics(folder / "dvc", base)
    commit_all(folder / "dvc")
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
        return race({"ours": ours}, folder)["ours"]


def ratio(ours: Timing, peer: Timing) -> float:
    """Return how many times longer the peer took."""
    return peer.median / ours.median


def headline(pairs: Sequence[tuple[Timing, Timing]], big: Timing) -> str:
    """Return the section in one line."""
    one, five = (f"{ratio(ours, peer):.1f}×" for ours, peer in pairs)
    return (
        f"**{one} faster than DVC with one seed a side, {five} with five; 10,000 rules in"
        f" {big.median:.1f} s and {big.peak_bytes / 1e6:.0f} MB.**"
    )


def main() -> None:
    """Print the section."""
    pairs = [compare_with_dvc(seeds) for seeds in (1, 5)]
    big = many_rules()
    rows = [
        [label, f"{ours.median:.2f} s", f"{peer.median:.2f} s", f"{ratio(ours, peer):.1f}×", "≥ 3×"]
        for label, (ours, peer) in zip(LABELS, pairs, strict=True)
    ]
    memory = f"{big.peak_bytes / 1e6:.0f} MB"
    rows.append(["10,000 rules, 5 seeds a side", f"{big.median:.2f} s", "–", "–", "< 2 s"])
    rows.append(["the same, processor alone", f"{big.median_cpu:.2f} s", "–", "–", "–"])
    rows.append(["the same, peak memory", memory, "–", "–", "< 200 MB"])
    print("## `compare` against `dvc metrics diff`\n")
    print(headline(pairs, big) + "\n")
    print(INTRODUCTION)
    print(table(["case", "ours", "DVC", "DVC ÷ ours", "limit"], rows))


if __name__ == "__main__":
    main()

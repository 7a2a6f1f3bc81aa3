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
MIXTURE = ((0.0, 0.002), (-0.04, 0.002), (-0.022, 0.004), (-0.025, 0.03))
"""Changes and their noises, the tolerance being 0.02: holds, proven, observed, inconclusive."""

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
    """Return the timing of 10,000 rules that hold: 100 models x 100 metrics, five seeds a side."""
    source = random.Random(21)
    return alone(*(values(100, 100, 5, shift, source) for shift in (0.0, -0.001)), ends_with=0)


def mixed_rules() -> Timing:
    """Return the timing of as many rules of every label, most with noise near the tolerance."""
    source = random.Random(21)
    base, head = values(100, 100, 5, 0.0, source), values(100, 100, 5, 0.0, source)
    for metrics in head.values():
        for number, name in enumerate(metrics):
            shift, noise = MIXTURE[number % len(MIXTURE)]
            metrics[name] = [round(0.9 + shift + source.gauss(0, noise), 5) for _ in range(5)]
    return alone(base, head, ends_with=1)


def alone(base: Values, head: Values, *, ends_with: int) -> Timing:
    """Return the timing of ours without a peer."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_ours(folder, base, head)
        return race({"ours": [OURS, *COMPARE]}, folder, accept=(ends_with,))["ours"]


def ratio(ours: Timing, peer: Timing) -> float:
    """Return how many times longer the peer took."""
    return peer.median / ours.median


def headline(pairs: Sequence[tuple[Timing, Timing]], big: Sequence[Timing]) -> str:
    """Return the section in one line."""
    one, five = (f"{ratio(ours, peer):.1f}×" for ours, peer in pairs)
    seconds = " to ".join(f"{timing.median:.1f}" for timing in big)
    memory = max(timing.peak_bytes for timing in big) / 1e6
    return (
        f"**{one} faster than DVC with one seed a side, {five} with five; 10,000 rules in"
        f" {seconds} s and {memory:.0f} MB.**"
    )


def big_rows(label: str, big: Timing) -> list[list[str]]:
    """Return the lines of the table about one case without a peer."""
    return [
        [label, f"{big.median:.2f} s", "–", "–", "< 2 s"],
        ["the same, processor alone", f"{big.median_cpu:.2f} s", "–", "–", "–"],
        ["the same, peak memory", f"{big.peak_bytes / 1e6:.0f} MB", "–", "–", "< 200 MB"],
    ]


def main() -> None:
    """Print the section."""
    pairs = [compare_with_dvc(seeds) for seeds in (1, 5)]
    big = {
        "10,000 rules that hold, 5 seeds a side": many_rules(),
        "10,000 rules of every verdict, 5 seeds a side": mixed_rules(),
    }
    rows = [
        [label, f"{ours.median:.2f} s", f"{peer.median:.2f} s", f"{ratio(ours, peer):.1f}×", "≥ 3×"]
        for label, (ours, peer) in zip(LABELS, pairs, strict=True)
    ]
    rows += [row for label, timing in big.items() for row in big_rows(label, timing)]
    print("## `compare` against `dvc metrics diff`\n")
    print(headline(pairs, list(big.values())) + "\n")
    print(INTRODUCTION)
    print(table(["case", "ours", "DVC", "DVC ÷ ours", "limit"], rows))


if __name__ == "__main__":
    main()

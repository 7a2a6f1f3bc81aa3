"""The files an evaluation writes."""

import json
from collections.abc import Mapping
from pathlib import Path

from src.data.digits import Split
from src.evaluation.metrics import Predictions
from src.files import atomic_path


def write_metrics(path: Path, metrics: Mapping[str, float], data_sha256: str) -> None:
    """Write `{"metrics": {...}, "provenance": {"data": ...}}`; NaN and infinity are refused.

    Six significant digits: far finer than one test image, and still readable in the baseline.
    """
    rounded = {name: float(f"{value:.6g}") for name, value in metrics.items()}
    document = {"metrics": rounded, "provenance": {"data": data_sha256}}
    text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_predictions(path: Path, split: Split, predictions: Predictions) -> None:
    """Write one JSON line per image: its id, whether it was classified correctly, its loss."""
    rows = zip(split.index, predictions.correct, predictions.losses, strict=True)
    lines = (
        json.dumps({"id": f"digits-{index:04d}", "correct": int(correct), "loss": loss.item()})
        for index, correct, loss in rows
    )
    with atomic_path(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

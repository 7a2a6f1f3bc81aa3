"""Which file a `checkpoint` means: a path, the best one in a folder, or something MLflow keeps.

`best:METRIC` looks into `checkpoint-dir`:

1. `best.json` decides where it is: `{"val_accuracy": "epoch-7.pt"}`, or with the value beside it,
   `{"val_accuracy": {"checkpoint": "epoch-7.pt", "value": 0.98}}`.
2. Otherwise every checkpoint counts whose metric is known: from the JSON file beside it with the
   same stem (`{"val_accuracy": 0.98}`, or under `metrics`), or from its own name
   (`epoch=7-val_accuracy=0.98.ckpt`).

Whether the largest or the smallest value is best is known for the names in LARGER and SMALLER, with
or without `val_`, `test_`, `train_` and the like before them. Every other metric needs
`best:METRIC:min` or `best:METRIC:max`: a wrong guess would take the worst checkpoint.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.errors import UserError
from mlactions.schema import load_json
from mlactions.settings import path_below

SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
BEST_FILE = "best.json"

LARGER = frozenset({
    "acc", "accuracy", "balanced_accuracy", "top1", "top5", "top1_accuracy", "top5_accuracy",
    "f1", "f1_score", "macro_f1", "micro_f1", "precision", "recall", "sensitivity", "specificity",
    "auc", "auroc", "roc_auc", "pr_auc", "auprc", "ap", "map", "miou", "iou", "dice", "bleu",
    "rouge", "rouge1", "rouge2", "rougel", "meteor", "chrf", "r2", "mcc", "kappa", "ndcg", "mrr",
    "psnr", "ssim",
})  # fmt: skip
"""Metrics whose largest value is best."""

SMALLER = frozenset({
    "loss", "error", "err", "error_rate", "mse", "rmse", "mae", "mape", "smape", "msle", "rmsle",
    "nll", "bce", "cross_entropy", "ce", "perplexity", "ppl", "brier", "brier_score", "ece",
    "hamming_loss", "log_loss", "logloss", "wer", "cer", "ter", "fid", "lpips", "latency",
})  # fmt: skip
"""Metrics whose smallest value is best."""

_PART = re.compile(r"^(?:train|training|val|valid|validation|dev|eval|test)[_/.-]")
_BEST = re.compile(r"best:(?P<metric>[^:]+)(?::(?P<way>min|max))?")
_MLFLOW = re.compile(r"mlflow:(?:runs:/[^/]+/.+|models:/[^/@]+[@/].+)")


@dataclass(frozen=True)
class Choice:
    """A checkpoint: its file, None where MLflow has it; what to call it; why it was chosen."""

    path: Path | None
    source: str
    note: str = ""


def choose(text: str, *, folder: Path, directory: str) -> Choice:
    """Return the checkpoint that `text` means; relative paths start at `folder`."""
    if text.startswith("mlflow:"):
        if not _MLFLOW.fullmatch(text):
            raise UserError(
                "bad input",
                f"`checkpoint` is {text!r}, which names nothing in MLflow.",
                "Write mlflow:runs:/RUN/PATH or mlflow:models:/NAME@ALIAS.",
            )
        return Choice(None, text)
    match = _BEST.fullmatch(text)
    if match is None:
        if text.startswith("best:"):
            raise UserError("bad input", f"`checkpoint` is {text!r}.", "Write best:val_accuracy.")
        return Choice((folder / text).resolve(), _called(folder, folder / text))
    if not directory:
        raise UserError(
            "bad input", f"`checkpoint` is {text!r}, and `checkpoint-dir` is missing.", "Name it."
        )
    root = (folder / directory).resolve()
    if not root.is_dir():
        raise UserError("bad input", f"`checkpoint-dir` is {directory!r}: no such folder.")
    found, note = _best(root, match["metric"], match["way"])
    return Choice(found, _called(folder, found), note)


def _called(folder: Path, path: Path) -> str:
    """Return a path without this machine's folders: from the caller's, or only the name."""
    inside = path.resolve()
    root = folder.resolve()
    return inside.relative_to(root).as_posix() if inside.is_relative_to(root) else inside.name


def _best(root: Path, metric: str, way: str | None) -> tuple[Path, str]:
    if (root / BEST_FILE).is_file():
        return _listed(root, metric)
    way = way or _direction(metric)
    candidates = sorted(p for p in root.rglob("*") if p.suffix in SUFFIXES and p.is_file())
    values = [(path, value) for path in candidates for value in _values(path, metric)]
    finite = [(path, value) for path, value in values if math.isfinite(value)]
    if not finite:
        some = ", ".join(p.name for p in candidates[:5]) or "none"
        raise UserError(
            "no checkpoint",
            f"no checkpoint says its `{metric}`"
            f" ({'not a number in all of them' if values else f'files: {some}'}).",
            f"Write `{BEST_FILE}` there, a JSON file beside each, or the metric into the names:"
            f" epoch=7-{metric}=0.98.ckpt.",
            file=str(root),
        )
    path, value = min(finite, key=lambda item: item[1] if way == "min" else -item[1])
    word = "smallest" if way == "min" else "largest"
    note = f"`{path.name}` has the {word} `{metric}` of {len(finite)}: {value:g}."
    return path, note


def _direction(metric: str) -> str:
    """Return `min` or `max` for a metric whose direction is known for certain."""
    name = _PART.sub("", metric.lower(), count=1)
    if name in LARGER:
        return "max"
    if name in SMALLER:
        return "min"
    raise UserError(
        "bad input",
        f"`checkpoint` is 'best:{metric}', and whether a large or a small `{metric}` is best is not"
        " known.",
        f"Write best:{metric}:max or best:{metric}:min.",
    )


def _listed(root: Path, metric: str) -> tuple[Path, str]:
    file = root / BEST_FILE
    document = load_json(file)
    if not isinstance(document, dict) or metric not in document:
        known = ", ".join(document) if isinstance(document, dict) else ""
        raise UserError(
            "no checkpoint", f"it has no `{metric}`.", f"It has: {known}.", file=str(file)
        )
    entry: Any = document[metric]
    name = entry.get("checkpoint") if isinstance(entry, dict) else entry
    if not isinstance(name, str):
        raise UserError(
            "no checkpoint",
            f"`{metric}` names no file.",
            f'Write {{"{metric}": "epoch-7.pt"}}.',
            file=str(file),
        )
    path = path_below(root, name, field=f"{metric} in {BEST_FILE}")
    return path, f"`{name}` is the best by `{metric}`, says {BEST_FILE}."


def _values(path: Path, metric: str) -> Iterator[float]:
    """Yield the metric of a checkpoint: from the JSON file beside it, else from its name."""
    side = path.with_suffix(".json")
    if side.is_file():
        document = load_json(side)
        nested = document.get("metrics") if isinstance(document, dict) else None
        for mapping in (document, nested):
            value = mapping.get(metric) if isinstance(mapping, dict) else None
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield float(value)
                return
    name = re.escape(metric)
    pattern = rf"(?:^|[-_.,+ ]){name}[=_-]([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?![0-9])"
    if match := re.search(pattern, path.stem, re.IGNORECASE):
        yield float(match[1])

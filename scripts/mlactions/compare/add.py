"""Rules for what has none, written into a baseline that exists. Pure but for `edit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlactions.compare.edit import append, check
from mlactions.compare.model import Baseline, Candidate
from mlactions.compare.suggest import rule_lines
from mlactions.compare.update import model_lines
from mlactions.schema import parse_yaml


def add_rules(
    text: str,
    baseline: Baseline,
    missing: Mapping[str, Sequence[str]],
    candidate: Candidate,
    today: str,
) -> str:
    """Return the baseline's text with suggested rules for the `missing` metrics of each model.

    Raises UserError where the file cannot be edited.
    """
    new = [model for model in missing if model not in baseline.models]
    blocks: dict[tuple[str, ...], list[str]] = {}
    if new:
        # Before the metrics: the last model's end is the end of `models` too.
        blocks["models",] = [line for m in new for line in model_lines(m, candidate, today)]
    for model, names in missing.items():
        if model in baseline.models:
            lines = rule_lines(names, candidate.head[model].values)
            blocks["models", model, "metrics"] = lines
    after = append(text, blocks, name=baseline.name)
    check(text, after, _read(blocks), name=baseline.name)
    return after


def _read(blocks: Mapping[tuple[str, ...], Sequence[str]]) -> dict[tuple[str, ...], Any]:
    """Return what the lines mean, to hold the edited file against."""
    return {path: parse_yaml("\n".join(lines), name="rules") for path, lines in blocks.items()}

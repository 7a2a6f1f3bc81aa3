"""Predictions of two sides, item by item: found, read, and matched by id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlactions.compare.model import Candidate, PredictionFile, Rule, Side
from mlactions.errors import UserError
from mlactions.metrics import as_json
from mlactions.predictions import CORRECT, PredictionsError, read_predictions

__all__ = ["CORRECT", "Pairs", "PredictionsError", "below", "pairs"]

NAMED_IDS = 3


@dataclass(frozen=True)
class Pairs:
    """One score on both sides, per item: the same positions are the same item.

    Over several seeds, an item's value is its mean. `single` is true where there was one pair of
    files, so that values are what was predicted and not means.
    """

    column: str
    baseline: Sequence[float]
    candidate: Sequence[float]
    single: bool


def below(folder: Path, candidate: Candidate) -> Candidate:
    """Return the candidate with predictions from `<folder>/<base|head>/<model>…`."""
    found: dict[tuple[Side, str], tuple[PredictionFile, ...]] = {}
    sides: tuple[Side, ...] = ("base", "head")
    for side in sides:
        for model in candidate.head:
            files = tuple(_files(folder / side, model))
            if files:
                found[side, model] = files
    if not found:
        hint = "Write base/<model>.jsonl and head/<model>.jsonl, or <model>/seed-0.jsonl there."
        raise UserError("no predictions", "none below this folder.", hint, str(folder))
    return replace(candidate, predictions={**candidate.predictions, **found})


def _files(folder: Path, model: str) -> Iterator[PredictionFile]:
    for suffix in (".jsonl", ".csv"):
        single = folder / f"{model}{suffix}"
        if single.is_file():
            yield PredictionFile(None, single)
        for path in sorted((folder / model).glob(f"seed-*{suffix}")):
            number = path.stem.removeprefix("seed-")
            yield PredictionFile(int(number) if number.lstrip("-").isdigit() else None, path)


def pairs(rule: Rule, candidate: Candidate) -> Pairs:
    """Return a rule's score on both sides; raises PredictionsError where that is not possible."""
    base = candidate.predictions.get(("base", rule.model), ())
    head = candidate.predictions.get(("head", rule.model), ())
    for side, files in (("base", base), ("head", head)):
        if not files:
            made = "; `evaluate --also-base` makes them" if side == "base" else ""
            what = f"there are no predictions of the {side}{made}"
            raise PredictionsError("no-predictions", what)
    matched = list(_matched(base, head))
    column = ""
    before: list[Mapping[str, float]] = []
    after: list[Mapping[str, float]] = []
    for first, second in matched:
        column = column or _column(rule, first.path)
        before.append(_scores(first.path, column))
        after.append(_scores(second.path, column))
    return Pairs(column, *_aligned(before, after), single=len(matched) == 1)


def _matched(
    base: Sequence[PredictionFile], head: Sequence[PredictionFile]
) -> Iterable[tuple[PredictionFile, PredictionFile]]:
    if len(base) == len(head) == 1:
        return [(base[0], head[0])]
    first, second = ({file.seed: file for file in files} for files in (base, head))
    if first.keys() != second.keys() or len(first) != len(base) or len(second) != len(head):
        raise PredictionsError(
            "seeds-differ",
            f"the base has predictions of {_seeds(base)}, the head of {_seeds(head)}",
        )
    return [(first[seed], second[seed]) for seed in first]


def _seeds(files: Sequence[PredictionFile]) -> str:
    return "seeds " + ", ".join(str(file.seed) for file in files)


def _column(rule: Rule, path: Path) -> str:
    """Return the column a rule is about: its `score`, its own name, or `correct`.

    The last one is for accuracies, and for what else is better when higher where there is no other.
    """
    columns = list(next(read_predictions(path)).scores)
    choices = [rule.score] if rule.score else [rule.metric]
    likely = "acc" in rule.metric.lower() or columns == [CORRECT]
    hits = rule.metric.endswith("accuracy") or (likely and rule.direction == "higher")
    if not rule.score and hits and "/" not in rule.metric:
        choices.append(CORRECT)
    for choice in choices:
        if choice in columns:
            return choice
    listed = ", ".join(f"`{column}`" for column in columns) or "none"
    raise PredictionsError(
        "no-score",
        f"{path.name} has no column `{choices[0]}`; it has {listed}: name one with `score`",
    )


def _scores(path: Path, column: str) -> dict[str, float]:
    """Return one column by id; the whole file is checked on the way."""
    scores: dict[str, float] = {}
    for item in read_predictions(path):
        if column not in item.scores:
            raise PredictionsError("predictions-broken", f"{path.name} has no column `{column}`")
        scores[item.id] = item.scores[column]
    return scores


def _aligned(
    before: Sequence[Mapping[str, float]], after: Sequence[Mapping[str, float]]
) -> tuple[list[float], list[float]]:
    ids = list(before[0])
    for side in (*before[1:], *after):
        if side.keys() != before[0].keys():
            raise PredictionsError("ids-differ", _difference(before[0].keys(), side.keys()))
    count = len(before)
    return (
        [sum(side[item] for side in before) / count for item in ids],
        [sum(side[item] for side in after) / count for item in ids],
    )


def _difference(first: Iterable[str], second: Iterable[str]) -> str:
    one, other = set(first), set(second)
    parts = []
    for only, where in ((one - other, "one side"), (other - one, "the other side")):
        if only:
            shown = ", ".join(f"`{as_json(item[:40])[1:-1]}`" for item in sorted(only)[:NAMED_IDS])
            parts.append(f"{len(only):,} ids are on {where} only ({shown})")
    return "; ".join(parts)

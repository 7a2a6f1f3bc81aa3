"""Predictions of two sides, item by item: found, read, and matched by id."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlactions.bundle import MAX_FILE_BYTES
from mlactions.compare.model import Candidate, PredictionFile, Rule, Side
from mlactions.errors import UserError
from mlactions.metrics import problem_of
from mlactions.schema import read_text

CORRECT = "correct"
MAX_ITEMS = 1_000_000
NAMED_IDS = 3

_BOOLEANS = {"true": 1.0, "false": 0.0}


class PredictionsError(Exception):
    """Predictions that cannot be paired: a reason code and a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


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
            raise PredictionsError("no-predictions", f"there are no predictions of the {side}")
    matched = list(_matched(base, head))
    column = ""
    before: list[Mapping[str, float]] = []
    after: list[Mapping[str, float]] = []
    for first, second in matched:
        one, other = _rows(first.path), _rows(second.path)
        column = column or _column(rule, one, first.path)
        before.append(_scores(one, column, first.path))
        after.append(_scores(other, column, second.path))
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


def _rows(path: Path) -> list[Mapping[str, Any]]:
    text = read_text(path, max_bytes=MAX_FILE_BYTES)
    rows = list(_jsonl(text, path) if text.lstrip().startswith("{") else _csv(text, path))
    if not rows:
        raise PredictionsError("predictions-empty", f"{path.name} holds no item")
    if len(rows) > MAX_ITEMS:
        raise PredictionsError("predictions-too-many", f"{path.name} has over {MAX_ITEMS:,} items")
    return rows


def _csv(text: str, path: Path) -> Iterator[Mapping[str, Any]]:
    reader = csv.DictReader(io.StringIO(text))
    for row in reader:
        if None in row or None in row.values():
            raise _broken(path, reader.line_num, "has another number of columns than the header")
        yield row


def _jsonl(text: str, path: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError):
            raise _broken(path, number, "is no JSON") from None
        if not isinstance(row, dict):
            raise _broken(path, number, "is no object")
        yield row


def _broken(path: Path, line: int, why: str) -> PredictionsError:
    return PredictionsError("predictions-broken", f"line {line} of {path.name} {why}")


def _column(rule: Rule, rows: Sequence[Mapping[str, Any]], path: Path) -> str:
    """Return the column a rule is about: its `score`, its own name, or `correct` for accuracy."""
    columns = [name for name in rows[0] if name != "id"]
    name = rule.metric.partition("/")[0]
    choices = [rule.score] if rule.score else [rule.metric]
    if not rule.score and name.endswith("accuracy") and name == rule.metric:
        choices.append(CORRECT)
    for choice in choices:
        if choice in columns:
            return choice
    listed = ", ".join(f"`{column}`" for column in columns) or "none"
    raise PredictionsError(
        "no-score",
        f"{path.name} has no column `{choices[0]}`; it has {listed}: name one with `score`",
    )


def _scores(rows: Iterable[Mapping[str, Any]], column: str, path: Path) -> dict[str, float]:
    scores: dict[str, float] = {}
    for number, row in enumerate(rows, start=1):
        item = row.get("id")
        if item is None or isinstance(item, dict | list | float | bool) or item == "":
            raise PredictionsError("no-id", f"item {number} of {path.name} has no `id`")
        name = str(item)
        if name in scores:
            raise PredictionsError("duplicate-id", f"id `{name[:80]}` is twice in {path.name}")
        scores[name] = _score(row.get(column), column, name, path)
    return scores


def _score(value: Any, column: str, item: str, path: Path) -> float:
    number = value
    if isinstance(value, str):
        try:
            number = _BOOLEANS.get(value.strip().lower()) if value else None
            number = float(value) if number is None else number
        except ValueError:
            number = None
    elif isinstance(value, bool):
        number = float(value)
    wrong = problem_of(number) or (
        "not-binary" if column == CORRECT and number not in {0, 1} else ""
    )
    if wrong:
        message = f"`{column}` of id `{item[:80]}` in {path.name} is `{value!r:.80}`"
        raise PredictionsError("predictions-broken", message)
    return float(number)


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
            shown = ", ".join(f"`{item[:40]}`" for item in sorted(only)[:NAMED_IDS])
            parts.append(f"{len(only):,} ids are on {where} only ({shown})")
    return "; ".join(parts)

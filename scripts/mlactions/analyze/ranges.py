"""Between which values a metric can lie: bounds of a mean must not leave them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mlactions.errors import UserError

_SHARES = re.compile(
    r"(?<![a-z])(acc|accuracy|auc|auroc|auprc|roc|f1|fbeta|precision|recall|sensitivity"
    r"|specificity|m?iou|jaccard|dice|m?ap|top1|top5|hit|ndcg|mrr)(?![a-z0-9])"
)
_POSITIVE = re.compile(
    r"(?<![a-z])(mse|rmse|mae|mape|wer|cer|fid|latency|seconds|perplexity)(?![a-z0-9])"
)
_RANGE = re.compile(r"\s*(\S*?)\s*\.\.\s*(\S*)\s*")


@dataclass(frozen=True)
class Range:
    """The ends of a metric's values, infinite where there is none; and how they are known."""

    low: float
    high: float
    known_by: Literal["declared", "name"]

    def clip(self, value: float) -> float:
        """Return the nearest value that the metric can have."""
        return max(self.low, min(self.high, value))

    def holds(self, value: float) -> bool:
        """Tell whether the metric can have a value."""
        return self.low <= value <= self.high

    def document(self) -> dict[str, float | str | None]:
        """Return the range as JSON, which knows no infinity."""
        ends = {"low": self.low, "high": self.high}
        finite = {name: end if math.isfinite(end) else None for name, end in ends.items()}
        return {**finite, "known_by": self.known_by}


def parse_range(text: str) -> Range | None:
    """Read what the user declared, such as `0..1` or `0..`; None where nothing was."""
    if not text.strip():
        return None
    found = _RANGE.fullmatch(text)
    try:
        low, high = (float(found[1] or "-inf"), float(found[2] or "inf")) if found else (0.0, 0.0)
    except ValueError:
        low = high = math.nan
    if not low < high:
        hint = "Write the lowest and the highest value, such as `0..1`, `0..100` or `0..`."
        raise UserError("bad input", f"`range` is {text!r}.", hint)
    return Range(low, high, "declared")


def range_of(metric: str, values: Iterable[float], declared: Range | None) -> Range | None:
    """Return a metric's range: as declared, or as its name says and all of its values agree."""
    if declared is not None:
        return declared
    name = metric.lower()
    found = list(values)
    low, high = min(found, default=0.0), max(found, default=0.0)
    if low < 0:
        return None
    if _SHARES.search(name) and "loss" not in name:
        return Range(0.0, 1.0, "name") if high <= 1 else _percent(high)
    return Range(0.0, math.inf, "name") if _POSITIVE.search(name) else None


def _percent(high: float) -> Range | None:
    return Range(0.0, 100.0, "name") if 1 < high <= 100 else None  # noqa: PLR2004  # percents

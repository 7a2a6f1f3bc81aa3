"""The table of learning curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlactions.analyze.words import SHORT_ID, number
from mlactions.report import Chip, Code, Column, Inline, Table
from mlactions.settings import Status

MAX_FAILED = 5

Document = Mapping[str, Any]

_SHAPES = {
    "diverged": Chip(Status.FAIL, "diverged"),
    "over-fitting": Chip(Status.WARN, "over-fitting"),
    "improving": Chip(Status.WARN, "still improving"),
    "plateau": Chip(Status.PASS, "plateau"),
    "too-short": Chip(Status.SKIPPED, "too short"),
    "empty": Chip(Status.SKIPPED, "no values"),
}


def curves(result: Document) -> Table:
    """Return the shape of each learning curve."""
    columns = (
        Column("Shape"),
        Column("Run"),
        Column("Metric"),
        Column("Best", "right"),
        Column("at step", "right"),
        Column("Last", "right"),
        Column("at step", "right"),
        Column("Gap to training", "right", optional=True),
    )
    return Table(columns, tuple(_curve(item) for item in worth_showing(result)))


def worth_showing(result: Document) -> list[Document]:
    """Return the metric of the best runs, what else went wrong, the worst of failed ones."""
    metric = result["settings"]["metric"]
    shown = [
        item
        for item in result["curves"]
        if item["why"] == "best"
        and (item["metric"] == metric or item["curve"]["shape"] in {"diverged", "over-fitting"})
    ]
    failed: dict[str, Document] = {}
    for item in result["curves"]:
        if item["why"] == "failed":
            known = failed.setdefault(item["run"], item)
            if _gravity(item) < _gravity(known):
                failed[item["run"]] = item
    return shown + list(failed.values())[:MAX_FAILED]


def _gravity(item: Document) -> int:
    return list(_SHAPES).index(item["curve"]["shape"])


def _curve(item: Document) -> tuple[Inline, ...]:
    curve = item["curve"]
    failed = " failed" if item["why"] == "failed" else ""
    broken = f" at step {curve['broken_at']}" if curve["broken_at"] is not None else ""
    return (
        (_SHAPES[curve["shape"]], broken),
        (Code(item["run"][:SHORT_ID]), failed),
        Code(item["metric"]),
        _number(curve["best"]),
        _whole(curve["best_step"]),
        _number(curve["last"]),
        _whole(curve["last_step"]),
        _number(curve["gap"]),
    )


def _number(value: float | None) -> str:
    return "–" if value is None else number(value)


def _whole(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"

"""The tables of a sweep's report that name trials: the best, the failed, the proposed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlactions.analyze.words import number
from mlactions.compare.messages import spans_of
from mlactions.report import (
    Block,
    Chart,
    Code,
    Column,
    Heading,
    Inline,
    Paragraph,
    Series,
    Span,
    Strong,
    Table,
)
from mlactions.sweep.best import MAX_NAMED, named, whole

MAX_BEST = 10
SHOWN_VALUES = 4

Document = Mapping[str, Any]

_LOST = {"failed": "failed", "invalid": "without a finite metric"}


def best_trials(result: Document) -> Iterator[Block]:
    """Show the best configurations, with the bounds of their means and what they set."""
    found = result["best"][:MAX_BEST]
    if not found:
        return
    names = sorted({name for item in found for name in item["overrides"]})[:SHOWN_VALUES]
    metric = result["space"]["metric"]
    yield Heading(2, "The best trials")
    seeds = any(item["planned"] > 1 for item in found)
    columns = [Column("", "right"), Column(metric["name"], "right")]
    if seeds:
        columns += [Column("95 % bounds", "right"), Column("Seeds", "right")]
    columns += [*(Column(name) for name in names), Column("Trial")]
    yield Table(tuple(columns), tuple(_best_row(item, names, seeds=seeds) for item in found))
    drawn = [item for item in found if whole(item)]  # no bar for a mean of the seeds that went well
    if len(drawn) > 1:
        labels = tuple(item["trial"] for item in drawn)
        means = tuple(item["mean"] for item in drawn)
        better = "longer" if metric["goal"] == "maximize" else "shorter"
        title = f"{metric['name']} of the best: {better} is better"
        yield Chart(title, labels, (Series("mean", means),), metric["name"])


def _best_row(item: Document, names: Sequence[str], *, seeds: bool) -> tuple[Inline, ...]:
    bounds = "–" if item["low"] is None else f"{number(item['low'])} … {number(item['high'])}"
    values = tuple(
        Code(_value(item["overrides"][name])) if name in item["overrides"] else "–"
        for name in names
    )
    return (
        str(item["rank"]),
        Strong(number(item["mean"])),
        *((bounds, _seeds(item)) if seeds else ()),
        *values,
        (*spans_of(named(item)), *_runs(item)),
    )


def _runs(item: Document) -> Iterator[Span]:
    """Yield the beginnings of the runs' ids, by which an analysis names them."""
    found = [name[:8] for name in item.get("runs", [])[:MAX_NAMED] if name]
    if found:
        word = "run" if len(found) == 1 else "runs"
        yield from spans_of(f" ({word} `{'`, `'.join(found)}`)")


def _seeds(item: Document) -> str:
    """Return how many seeds a mean is of, and what became of the others."""
    count, planned = len(item["values"]), item["planned"]
    if count == planned:
        return str(count)
    lost = [f"{item[name]} {word}" for name, word in _LOST.items() if item[name]]
    return f"{count} of {planned}" + (f" ({', '.join(lost)})" if lost else "")


def _value(value: Any) -> str:
    from mlactions.values import show

    text = " ".join((f"{value:.5g}" if isinstance(value, float) else show(value)).split())
    return text[:40] or "''"


def proposed_trials(result: Document) -> Iterator[Block]:
    """Show what `sweep next` has added."""
    if not result["proposed"]:
        return
    names = sorted({name for item in result["proposed"] for name in item["overrides"]})
    names = names[:SHOWN_VALUES]
    columns = (Column("Trial"), Column("Seed", "right"), *(Column(name) for name in names))
    rows = tuple(
        (
            Code(item["trial"]),
            "–" if item["seed"] is None else str(item["seed"]),
            *(
                Code(_value(item["overrides"][name])) if name in item["overrides"] else "–"
                for name in names
            ),
        )
        for item in result["proposed"][:50]
    )
    yield Heading(2, "Proposed")
    yield Table(columns, rows)


def failed_trials(result: Document) -> Iterator[Block]:
    """Name the trials that have failed for good, and how their last runs ended."""
    found = result.get("failed", [])
    if not found:
        return
    rows = tuple(
        (
            Code(item["trial"]),
            str(item["attempts"]),
            item["ended"] or "–",
            Code(item["run"][:8]) if item["run"] else "–",
        )
        for item in found
    )
    more = result["counts"]["states"]["failed"] - len(found)
    columns = (Column("Failed"), Column("Runs", "right"), Column("Ended as"), Column("Last run"))
    yield Table(columns, rows)
    if more > 0:
        yield Paragraph(f"{more:,} more have failed.")

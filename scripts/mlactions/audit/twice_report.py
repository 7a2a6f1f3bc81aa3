"""The double run's part of the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlactions.report import (
    Block,
    Chip,
    Code,
    Column,
    Details,
    Heading,
    Inline,
    Items,
    Listing,
    Paragraph,
    Span,
    Table,
)
from mlactions.settings import Status

_SAID = {
    (True, "again"): (Status.PASS, "equal"),
    (True, "workers"): (Status.PASS, "equal"),
    (False, "again"): (Status.FAIL, "differs"),
    (False, "workers"): (Status.WARN, "differs"),
}


def blocks_of(measured: Mapping[str, Any]) -> Iterator[Block]:
    """Yield what two runs of the command showed."""
    yield Heading(2, "The same command, run again")
    yield Paragraph((measured["verdict"], " The command: ", Code(measured["command"])))
    if measured["comparisons"]:
        yield _table(measured)
    items = tuple(_parts(measured))
    if items:
        yield Details("What differs", (Items(items),))
    for run in measured["runs"]:
        if run["log"]:
            yield Details("The end of its log", (Listing("\n".join(run["log"])),))
    unread = [
        (Code(name), f": {why}")
        for run in measured["runs"][:1]
        for name, why in run["unread"].items()
    ]
    if unread:
        yield Details("Files of parameters that could not be read", (Items(tuple(unread)),))


def _table(measured: Mapping[str, Any]) -> Block:
    columns = (
        Column("Against the first run"),
        Column("Result"),
        Column("Steps", "right"),
        Column("Tensors", "right"),
        Column("Metrics", "right"),
        Column("First difference"),
    )
    rows = []
    for item in measured["comparisons"]:
        status, word = _SAID[(item["equal"], item["other"])]
        if not item["compared"]:
            status, word = Status.FAIL, "nothing compared"
        name = "again" if item["other"] == "again" else f"with {item['workers']} workers"
        numbers = (
            str(item["steps"] or "–"),
            _share(item["differing_tensor_count"], item["tensors"]),
            _share(item["differing_metric_count"], item["metrics"]),
        )
        rows.append((name, Chip(status, word), *numbers, _first(item)))
    return Table(columns, tuple(rows))


def _share(differing: int, compared: int) -> str:
    if not compared:
        return "–"
    return f"{differing:,} of {compared:,} differ" if differing else f"{compared:,} equal"


def _first(item: Mapping[str, Any]) -> Inline:
    first = item["first"]
    if first is not None:
        said: list[Span] = [f"step {first['step']}"]
        for kind in ("metric", "tensor"):
            said += [f", {kind} ", Code(first[kind])] if first[kind] else []
        return tuple(said)
    names = item["differing_tensors"] or [row[0] for row in item["differing_metrics"]]
    return Code(names[0]) if names else "–"


def _parts(measured: Mapping[str, Any]) -> Iterator[Inline]:
    for item in measured["comparisons"]:
        who = "again" if item["other"] == "again" else f"{item['workers']} workers"
        for name, one, other in item["differing_metrics"]:
            yield (f"{who}: ", Code(name), f" is {one} and {other}")
        for name in item["differing_tensors"]:
            yield (f"{who}: tensor ", Code(name))
        for name in item["only_one"]:
            yield (f"{who}: only one run has ", Code(name))

"""The report of an analysis, from its result.json alone: the answer first, then the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlactions.analyze import tables
from mlactions.analyze.below import below_best
from mlactions.analyze.curve_table import curves
from mlactions.analyze.model import FEWEST_CONFIGURATIONS
from mlactions.between import by_step
from mlactions.compare.messages import spans_of
from mlactions.curves import FEWEST
from mlactions.report import (
    Block,
    Chart,
    Code,
    Coordinate,
    Coordinates,
    Details,
    Heading,
    Items,
    Paragraph,
    Report,
    Series,
)
from mlactions.settings import Status
from mlactions.text import plural

MAX_ITEMS = 50
BARS = 15
CURVES = 6

Document = Mapping[str, Any]


def render(result: Document, *, best: bool = True) -> Report:
    """Return the report. Where nothing changed since the last one, the rest is folded.

    Whoever has shown the best configurations already asks for it without them: `best=False`.
    """
    blocks = tuple(_blocks(result, best=best))
    if result["changes"] == []:
        blocks = (Details("The analysis, as it was", blocks),)
    title = "Sweep analysis" if result["source"]["sweep"] else "Experiment analysis"
    return Report(title, Status(result["status"]), spans_of(result["verdict"]), blocks)


def _blocks(result: Document, *, best: bool) -> Iterator[Block]:
    yield Paragraph(tuple(tables.about(result)))
    yield from _changes(result)
    yield from _warnings(result)
    if best:
        yield from _best(result)
    yield from _parameters(result)
    yield from _coordinates(result)
    yield from _curves(result)
    yield from _runs(result)
    yield from _folds(result)


def _changes(result: Document) -> Iterator[Block]:
    if result["changes"]:
        yield Heading(2, "Since the last analysis")
        yield Items(tuple(spans_of(item["message"]) for item in result["changes"][:MAX_ITEMS]))


def _warnings(result: Document) -> Iterator[Block]:
    found = [item for item in result["findings"] if item["level"] in {"fail", "warn"}]
    # What the verdict says already is not said twice.
    found = [item for item in found if item["message"][:-1] not in result["verdict"]]
    if found:
        yield Heading(2, "Before you rely on it")
        yield Items(tuple(spans_of(item["message"]) for item in found[:MAX_ITEMS]))


def _best(result: Document) -> Iterator[Block]:
    if result["configurations"]:
        top = result["settings"]["top"]
        many = result["configuration_count"]
        title = f"The best {min(top, many)} of {plural(many, 'configuration')}"
        yield Heading(2, title if many > 1 else "The one configuration")
        yield tables.best(result)
        if notes := tuple(below_best(result)):
            yield Paragraph(notes)


def _parameters(result: Document) -> Iterator[Block]:
    found = result["parameters"]
    if not found:
        return
    if all(item["verdict"] == "untested" for item in found):
        yield Heading(2, "What varies")
        yield tables.tried(result)
        return
    yield Heading(2, "What matters")
    yield tables.parameters(result)
    tested = [item for item in found if item["share"] is not None][:BARS]
    if tested:
        yield Paragraph(tuple(tables.agreement(result)))
        yield _importance("Variance of the ranks that each explains", "share", tested)
        if tested[0]["pedanova"] is not None:
            yield _importance("Importance by PED-ANOVA", "pedanova", tested)


def _importance(title: str, measure: str, items: Sequence[Document]) -> Chart:
    """Return one measure as bars: Mermaid would draw those of two over each other."""
    names = tuple(item["name"] for item in items)
    values = tuple(round(100 * item[measure], 1) for item in items)
    return Chart(title, names, (Series(title, values),), "%")


def _coordinates(result: Document) -> Iterator[Block]:
    found = result["coordinates"]
    few = result["configuration_count"] < FEWEST_CONFIGURATIONS
    if few or len(found["axes"]) < 2:  # noqa: PLR2004  # the metric alone
        return
    best = {item["name"]: item["best"] for item in result["parameters"]}
    axes = tuple(
        Coordinate(
            name=axis["name"],
            low=axis["low"],
            high=axis["high"],
            levels=tuple(axis["levels"]),
            note="log" if axis["log"] else "",
            best=best.get(axis["name"], ""),
        )
        for axis in found["axes"]
    )
    lines = tuple(tuple(line["places"]) for line in found["lines"])
    marked = tuple(line["best"] for line in found["lines"])
    yield Coordinates("Where the best tenth lies", axes, lines, marked)


def _curves(result: Document) -> Iterator[Block]:
    if not result["curves"]:
        return
    if max(item["curve"]["points"] for item in result["curves"]) <= 1:
        yield Paragraph(("No learning curves: these runs logged one value each.",))
        return
    yield Heading(2, "Learning curves")
    if any(item["curve"]["shape"] != "too-short" for item in result["curves"]):
        yield curves(result)
    else:
        yield Paragraph((f"Too short to tell their shape: that takes {FEWEST} values.",))
    metric = result["settings"]["metric"]
    mine = [item for item in result["curves"] if item["metric"] == metric]
    drawn = [item for item in mine if len(item["steps"]) > 1]
    if drawn:
        yield _curve_chart(metric, drawn[:CURVES])


def _curve_chart(metric: str, drawn: list[Document]) -> Chart:
    """Draw curves over the steps of all; where one was not measured, its line goes on."""
    series = [
        (
            f"{item['run'][:8]}{'' if item['why'] == 'best' else ', failed'}",
            dict(zip(item["steps"], item["values"], strict=True)),
        )
        for item in drawn
    ]
    return by_step(f"{metric} by step", series)


def _runs(result: Document) -> Iterator[Block]:
    yield Heading(2, "Runs")
    yield tables.counts(result)
    yield Paragraph(tuple(tables.cost(result)))
    if result["failed"]:
        summary = f"{plural(result['counts']['failed'], 'run')} failed"
        yield Details(summary, (tables.runs(result, result["failed"]),))
    if result["running"]:
        summary = f"{plural(result['counts']['running'], 'run')} still marked as running"
        yield Details(summary, (tables.runs(result, result["running"]),))


def _folds(result: Document) -> Iterator[Block]:
    notes = [item for item in result["findings"] if item["level"] == "notice"]
    if notes:
        items = tuple(spans_of(item["message"]) for item in notes[:MAX_ITEMS])
        yield Details(plural(len(notes), "note"), (Items(items),))
    constants = result["constants"]
    if constants:
        summary = (
            f"{plural(result['counts']['constants'], 'parameter')} with the same value in all runs"
        )
        lines = tuple((Code(name), ": ", Code(value)) for name, value in constants.items())
        yield Details(summary, (Items(lines),))
    if any(item["share"] is not None for item in result["parameters"]):
        yield Details("How this was measured", (Items(tables.METHODS),))

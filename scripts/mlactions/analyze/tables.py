"""The tables of the report, and the sentences around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlactions.analyze.columns import Telling, telling
from mlactions.analyze.words import SHORT_ID, number, together
from mlactions.report import Chip, Code, Column, Inline, Span, Strong, Table, Untrusted
from mlactions.settings import Status
from mlactions.text import plural

SHOWN_PARAMETERS = 4
MAX_PARAMETERS = 40
SHOWN_RUNS = 3
_LONG = 24

Document = Mapping[str, Any]

_ARROWS = {"higher": "↑", "lower": "↓"}
_VERDICTS = {
    "matters": Chip(Status.PASS, "matters"),
    "confounded": Chip(Status.WARN, "not told apart"),
    "follows": Chip(Status.SKIPPED, "adds nothing"),
    "not-shown": Chip(Status.SKIPPED, "no effect shown"),
    "untested": Chip(Status.SKIPPED, "not tested"),
}
_METHODS = {
    "Configurations": "runs that differ in nothing but their seeds count once, with their mean."
    " Bounds are Student's 95 % over the seeds; runs of one seed count once.",
    "Share": "how much of the variance of the metric's ranks a parameter explains alone (epsilon"
    " squared, so that noise has none); numbers in bins of equal size. A parameter matters if that"
    " is not chance at 1 %, corrected for how many were tried (Benjamini and Hochberg), by itself"
    " or beside the strongest others.",
    "PED-ANOVA": "how differently a parameter is distributed among the best tenth and among all"
    " (Watanabe, Bansal and Hutter 2023), as a share of the sum.",
    "Spearman": "rank correlation with 95 % bounds (Fisher's z, Bonett and Wright 2000). Near 0"
    " also where the best value lies in the middle.",
    "adds nothing, not told apart": "what parameters that change together explain beyond each"
    " other, by least squares on ranks up to the third power.",
    "Curves": "diverged (not finite, or more than half of the gain lost), over-fitting (worse"
    " since its best step while training improved), still improving (the last quarter gained 2 %"
    " or more).",
}
METHODS: tuple[Inline, ...] = tuple((Strong(name), f": {text}") for name, text in _METHODS.items())


def about(result: Document) -> Iterator[Span]:
    """Say what was analysed."""
    settings, source = result["settings"], result["source"]
    yield from ("Experiment ", Code(source["name"] or source["experiment_id"]), " at ")
    yield from (Code(source["tracking"]), ", metric ", Code(settings["metric"]))
    yield f" ({settings['direction']} is better)"
    if source["sweep"]:
        yield from (", sweep ", Code(source["sweep"]))
    if settings["filter"]:
        yield from (", filter ", Code(settings["filter"]))
    yield "."


def best(result: Document) -> Table:
    """Return the best configurations with the parameters that matter most."""
    settings = result["settings"]
    shown = result["configurations"][: settings["top"]]
    names = [item.name for item in columns_of(result)]
    seeds = any(len(item["runs"]) > 1 for item in shown)
    known = all(item["seeds"] is not None for item in shown if len(item["runs"]) > 1)
    word = f"{shown[0]['unit']}s".capitalize() if known and shown else "Repeats"
    columns = [
        Column("", "right"),
        Column(f"{settings['metric']} {_ARROWS[settings['direction']]}", "right"),
        *([Column("95 % bounds", "right"), Column(word, "right")] if seeds else []),
        *(Column(name) for name in names),
        Column("Time", "right", optional=True),
        Column("Runs"),
    ]
    rows = tuple(_best_row(item, names, seeds=seeds) for item in shown)
    return Table(tuple(columns), rows)


def columns_of(result: Document) -> tuple[Telling, ...]:
    """Return the parameters that tell the best apart, those that matter most first."""
    shown = result["configurations"][: result["settings"]["top"]]
    return _columns(result, [item["params"] for item in shown])


def _columns(result: Document, params: Sequence[Mapping[str, Any]]) -> tuple[Telling, ...]:
    pairs = [(item["first"], item["second"]) for item in result["pairs"] if item["strength"] == 1]
    names = [item["name"] for item in result["parameters"]]
    return telling(names, params, together(pairs), SHOWN_PARAMETERS)


def _best_row(item: Document, names: Sequence[str], *, seeds: bool) -> tuple[Inline, ...]:
    bounds = "–" if item["low"] is None else f"{number(item['low'])} … {number(item['high'])}"
    return (
        str(item["rank"]),
        Strong(number(item["mean"])),
        *((bounds, str(len(item["values"]))) if seeds else ()),
        *(_value(item["params"].get(name)) for name in names),
        duration(item["seconds"]),
        _ids(item["runs"]),
    )


def _ids(runs: Sequence[str]) -> Inline:
    found: list[Span] = []
    for run in runs[:SHOWN_RUNS]:
        found += [", ", Code(run[:SHORT_ID])] if found else [Code(run[:SHORT_ID])]
    if len(runs) > SHOWN_RUNS:
        found.append(f" and {len(runs) - SHOWN_RUNS} more")
    return tuple(found)


def _value(value: float | str | None) -> Inline:
    if value is None:
        return "–"
    text = " ".join(value.split()) if isinstance(value, str) else f"{value:.4g}"
    return Code(text if len(text) <= _LONG else f"{text[: _LONG - 1]}…")


def parameters(result: Document) -> Table:
    """Return every parameter that varies, the most important first."""
    columns = (
        Column("Verdict"),
        Column("Parameter"),
        Column("Share", "right"),
        Column("PED-ANOVA", "right"),
        Column("Spearman", "right"),
        Column("Tried", optional=True),
        Column("Best tenth", optional=True),
    )
    found = result["parameters"][:MAX_PARAMETERS]
    rows = tuple(_parameter(item) for item in found)
    rest = len(result["parameters"]) - len(found)
    if rest:
        rows += (("", f"{rest:,} more in result.json", "", "", "", "", ""),)
    return Table(columns, rows)


def tried(result: Document) -> Table:
    """Return every parameter that varies with its values, where nothing more can be told."""
    found = result["parameters"][:MAX_PARAMETERS]
    rows = tuple((Code(item["name"]), _tried(item)) for item in found)
    return Table((Column("Parameter"), Column("Tried")), rows)


def _tried(item: Document) -> str:
    if item["low"] == item["high"]:
        return f"{item['distinct']} values"
    return f"{item['low']} … {item['high']}"


def _parameter(item: Document) -> tuple[Inline, ...]:
    partners: tuple[Span, ...] = ()
    if item["partners"]:
        word = " beyond " if item["verdict"] == "follows" else " from "
        partners = (word, Code(item["partners"][0]))
    elif item["verdict"] == "matters" and item["beside"] is not None:
        partners = (" beside the others",)
    rho = "–"
    if item["rho"] is not None:
        rho = f"{item['rho']:+.2f}"
        if item["rho_low"] is not None:
            rho += f" [{item['rho_low']:+.2f}, {item['rho_high']:+.2f}]"
    return (
        (_VERDICTS[item["verdict"]], *partners),
        Code(item["name"]),
        _share(item["share"]),
        _share(item["pedanova"]),
        rho,
        _tried(item),
        (item["best"] or "–") if item["kind"] == "number" else Code(item["best"] or "–"),
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def agreement(result: Document) -> Iterator[Span]:
    """Say whether the two importances tell the same, and how many observations are behind them."""
    configurations = plural(result["configuration_count"], "configuration")
    found = result["agreement"]
    if found is None:
        yield f"From {configurations}. PED-ANOVA needs more: five in the best tenth."
        return
    first = "name the same parameter first" if found["same_first"] else "differ in the first place"
    tau = "" if found["tau"] is None else f" (Kendall's tau {found['tau']:.2f})"
    yield f"From {configurations}. The two importances {first}{tau}."


def _number(value: float | None) -> str:
    return "–" if value is None else number(value)


def counts(result: Document) -> Table:
    """Return how the runs ended."""
    found = result["counts"]
    told = (
        ("analysed", found["used"], Status.PASS),
        ("failed or killed", found["failed"], Status.FAIL),
        ("running", found["running"] - found["stale"], Status.SKIPPED),
        ("running, probably died", found["stale"], Status.WARN),
        ("finished without the metric", found["without_metric"], Status.WARN),
        ("finished without a usable number", found["not_finite"], Status.WARN),
        ("parents of nested runs", found["parents"], Status.SKIPPED),
        ("nested in a run that counts", found["parts"], Status.SKIPPED),
    )
    rows = tuple((Chip(status, name), f"{count:,}") for name, count, status in told if count)
    total: tuple[Inline, ...] = (Strong("all"), Strong(f"{found['all']:,}"))
    return Table((Column("Runs"), Column("Number", "right")), (*rows, total))


def cost(result: Document) -> Iterator[Span]:
    """Say what the runs took."""
    found = result["cost"]
    if not found["timed"]:
        yield "No run says how long it took."
        return
    yield f"{plural(found['timed'], 'run')} took {hours(found['hours'])} in all"
    if found["median_seconds"] is not None:
        yield f", a finished one {duration(found['median_seconds'])} (median)"
    if found["failed_hours"]:
        yield f"; {hours(found['failed_hours'])} went into failed runs"
    yield "."
    if found["total"] is not None:
        yield f" At {found['price_per_hour']:g} an hour: {found['total']:,.2f}."
    if found["untimed"] > 0:
        yield f" {plural(found['untimed'], 'run')} without a usable start and end."


def hours(value: float) -> str:
    """Return hours, or minutes where there are few."""
    return f"{value:,.1f} h" if value >= 1 else duration(3600 * value)


def duration(seconds: float | None) -> str:
    """Return a duration as people say it."""
    if seconds is None:
        return "–"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def runs(result: Document, rows: Sequence[Document]) -> Table:
    """Return runs with how they ended and what they were."""
    names = [item.name for item in _columns(result, [item["params"] for item in rows])]
    columns = (
        Column("Ended"),
        Column("Run"),
        Column("Name"),
        Column(result["settings"]["metric"], "right"),
        *(Column(name, optional=True) for name in names),
        Column("Time", "right", optional=True),
    )
    return Table(columns, tuple(_run(item, names) for item in rows))


def _run(item: Document, names: Sequence[str]) -> tuple[Inline, ...]:
    status = Status.WARN if item["note"] else Status.SKIPPED
    if item["status"] in {"FAILED", "KILLED"}:
        status = Status.FAIL
    return (
        Chip(status, item["note"] or item["status"].lower() or "unknown"),
        Code(item["id"][:SHORT_ID]),
        Untrusted(" ".join(item["name"].split())[:60]),
        _number(item["value"]),
        *(_value(item["params"].get(name)) for name in names),
        duration(item["seconds"]),
    )

"""The parity tables and their chart, from result.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlactions.export.words import brief
from mlactions.report import (
    Block,
    Chart,
    Chip,
    Code,
    Column,
    Details,
    Heading,
    Inline,
    Items,
    Series,
    Strong,
    Table,
)
from mlactions.settings import Status
from mlactions.text import plural

OPEN_ROWS = 14
MAX_ROWS = 200
MOST_SHARE = 3.0
MAX_SERIES = 4

Document = Mapping[str, Any]
Row = tuple[Document, Document]

_RELATIVE = (
    "the error's length over the output's: it shows a tiny output that is wrong, and is held to the"
    " square root of the tolerance unless the error is as small as torch's own noise"
)
_NOISE = (
    "scaled error of torch in float32 against itself in float64, or on another number of threads;"
    " a tolerance below it decides by chance"
)
_LEGEND = (
    ("max abs", "the largest difference of one element, in the output's unit"),
    ("scaled", "max abs over max(1, the largest magnitude in torch's output); no relative term"),
    ("relative L2", _RELATIVE),
    ("cosine", "1 where both outputs point the same way"),
    ("top-1", "rows whose largest value is at the same place"),
    ("torch's noise", _NOISE),
)


def parity(result: Document) -> Iterator[Block]:
    """Yield the matrix: the worst seed of each batch and output; every case is folded behind."""
    gated = [case for case in result["cases"] if case["kind"] == "gated"]
    if not gated:
        return
    yield Heading(2, "Parity with torch")
    groups = _groups(gated)
    several = len({case["provider"] for case in gated}) > 1
    rows = [_worst(group) for group in groups]
    bad = [row for row in rows if row[0]["status"] != "pass" and _row_status(row) != "pass"]
    good = [row for row in rows if row not in bad]
    columns = _columns(rows, several=several)
    if len(rows) <= OPEN_ROWS:
        yield _table(columns, [*bad, *good], several=several)
    else:
        if bad:
            yield _table(columns, bad[:MAX_ROWS], several=several)
        if good:
            summary = f"{plural(len(good), 'combination')} of output, batch and length match torch"
            inner = _table(columns, good[:MAX_ROWS], several=several)
            yield Details(summary, (inner,), open=not bad)
    yield from _chart(groups)
    every = [pair for case in gated for pair in _pairs(case)][:MAX_ROWS]
    if len(every) > len(groups):
        table = _table(_columns(every, several=several), every, several=several)
        yield Details(f"Every case ({plural(len(gated), 'case')})", (table,))


def edges(result: Document) -> Iterator[Block]:
    """Yield the edge inputs: reported, not gated."""
    cases = [case for case in result["cases"] if case["kind"] == "edge"]
    if cases:
        rows = [pair for case in cases for pair in _pairs(case)][:MAX_ROWS]
        several = len({case["provider"] for case in cases}) > 1
        off = sum(case["status"] != "pass" for case in cases)
        summary = f"Edge inputs, not gated: {len(cases) - off} of {len(cases)} within the tolerance"
        table = _table(_columns(rows, several=several), rows, several=several)
        yield Details(summary, (table,))


def legend(result: Document) -> Iterator[Block]:
    """Yield what the columns mean."""
    if result["cases"]:
        items = tuple((Strong(name), f": {text}.") for name, text in _LEGEND)
        yield Details("How to read this", (Items(items),))


_NOTHING: Document = {}


def _pairs(case: Document) -> list[Row]:
    return [(case, row) for row in case["rows"]] or [(case, _NOTHING)]


def _groups(cases: Sequence[Document]) -> list[list[Row]]:
    """Group cases that differ in their seed only, output by output."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for case in cases:
        axes = tuple(sorted(case["axes"].items()))
        for pair in _pairs(case):
            key = (case["provider"], case["batch"], axes, pair[1].get("output", ""))
            groups.setdefault(key, []).append(pair)
    return list(groups.values())


def _worst(group: Sequence[Row]) -> Row:
    """Return the worst seed, with the noise of whichever seed it was measured for."""
    case, row = max(group, key=lambda pair: (_row_status(pair) != "pass", _error(pair[1]) or 0.0))
    noise = {
        name: max((r[name] for _, r in group if r and r[name] is not None), default=None)
        for name in ("noise_float64", "noise_threads")
    }
    return case, {**row, **noise} if row else row


def _row_status(pair: Row) -> str:
    case, row = pair
    if row:
        shown = str(row["status"])
        return "warn" if shown == "fail" and case["kind"] == "edge" else shown
    return str(case["status"])


def _error(row: Document) -> float | None:
    if not row:
        return None
    error: float | None = row["scaled"] if row["mode"] == "scaled" else row["max_absolute"]
    return error


def _columns(rows: Sequence[Row], *, several: bool) -> tuple[Column, ...]:
    axes = sorted({name for case, _ in rows for name in case["axes"]} - {"batch"})
    return (
        Column("Verdict"),
        *((Column("Provider"),) if several else ()),
        Column("Output"),
        Column("Batch", "right"),
        *(Column(name, "right") for name in axes),
        *((Column("Input"),) if _has_edges(rows) else (Column("Seed", "right", optional=True),)),
        Column("Max abs", "right"),
        Column("Scaled", "right"),
        Column("Allowed", "right"),
        Column("Relative L2", "right", optional=True),
        Column("Cosine", "right", optional=True),
        Column("Top-1", "right", optional=True),
        Column("torch's noise", "right", optional=True),
    )


def _has_edges(rows: Sequence[Row]) -> bool:
    return any(case["kind"] == "edge" for case, _ in rows)


def _table(columns: tuple[Column, ...], rows: Sequence[Row], *, several: bool) -> Table:
    fixed = {"Verdict", "Provider", "Output", "Batch", "Input", "Seed"}
    axes = [c.name for c in columns[: _place(columns, "Max abs")] if c.name not in fixed]
    return Table(columns, tuple(_cells(pair, axes, several=several) for pair in rows))


def _place(columns: Sequence[Column], name: str) -> int:
    return next(place for place, column in enumerate(columns) if column.name == name)


def _cells(pair: Row, axes: Sequence[str], *, several: bool) -> tuple[Inline, ...]:
    case, row = pair
    status = Status(_row_status(pair))
    label = (row["reason"] if row else case["outcome"]) or "matches"
    return (
        Chip(status, label.replace("-", " ")),
        *((Code(case["provider"]),) if several else ()),
        Code(row["output"]) if row else "–",
        f"{case['batch']:,}",
        *(f"{case['axes'].get(axis, 0):,}" for axis in axes),
        case["values"] if case["kind"] == "edge" else str(case["seed"]),
        *_numbers(row, failed=status is not Status.PASS),
    )


def _numbers(row: Document, *, failed: bool) -> tuple[Inline, ...]:
    if not row:
        return ("–",) * 7
    gated, other = (
        ("scaled", "max_absolute") if row["mode"] == "scaled" else ("max_absolute", "scaled")
    )
    shown: dict[str, Inline] = {gated: brief(row[gated]), other: brief(row[other])}
    if failed and row["reason"] == "parity":
        shown[gated] = Strong(brief(row[gated]))
    noise = [row[name] for name in ("noise_float64", "noise_threads") if row[name] is not None]
    return (
        shown["max_absolute"],
        shown["scaled"],
        brief(row["allowed"]),
        brief(row["relative_l2"]),
        _share(row["cosine"], 6),
        "–" if row["top1"] is None else f"{100 * row['top1']:.4g} %",
        brief(max(noise)) if noise else "–",
    )


def _share(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _chart(groups: Sequence[Sequence[Row]]) -> Iterator[Block]:
    """Draw each error as a share of what is allowed, unless one goes far beyond it."""
    points: dict[str, dict[str, float]] = {}
    for group in groups:
        case, row = _worst(group)
        error = _error(row)
        if error is None or not row["allowed"]:
            continue
        lengths = [str(case["axes"][name]) for name in sorted(case["axes"]) if name != "batch"]
        label = "×".join([str(case["batch"]), *lengths])
        share = 100 * error / row["allowed"]
        points.setdefault(row["output"], {})[label] = float(f"{share:.3g}")
    labels = tuple(dict.fromkeys(label for series in points.values() for label in series))
    most = max((value for series in points.values() for value in series.values()), default=0.0)
    if len(labels) < 2 or most > 100 * MOST_SHARE or len(points) > MAX_SERIES or not most:  # noqa: PLR2004  # one bar is no chart
        return
    series = tuple(Series(n, tuple(v.get(label) for label in labels)) for n, v in points.items())
    yield Chart("Error in % of what is allowed, by batch size", labels, series, "%")

"""The report, built from `result.json` alone: the verdict, what failed, then the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlactions.compare.messages import spans_of
from mlactions.compare.origins import origins
from mlactions.compare.result import SHOWN_LABELS
from mlactions.compare.words import allowance, number, signed
from mlactions.report import (
    Block,
    Chip,
    Code,
    Column,
    Details,
    Heading,
    Inline,
    Interval,
    Intervals,
    Items,
    Listing,
    Paragraph,
    Report,
    Span,
    Strong,
    Table,
)
from mlactions.settings import Status
from mlactions.text import plural

MAX_ROWS = 300
MAX_ITEMS = 100
MAX_INTERVALS = 40
OPEN_PASSES = 12

Row = Mapping[str, Any]

_ARROWS = {"higher": "↑", "lower": "↓", "equal": "="}
_LEGEND = (
    "↑ higher is better, ↓ lower is better, = must stay. "
    "Interval: 95 % bounds of the change. n: {n}. "
    "MDE: minimum detectable effect, the smallest worsening such an interval shows in 80 % of runs."
)
_SIZES = {
    False: "values in the baseline, values measured",
    True: "items on both sides",
}
_NOISES = {frozenset({False}): " of the seeds", frozenset({True}): " of the items"}
"""By whether rules are `paired`: those have items where the others have seeds."""
_BASE = "measured at the base too, which then counts instead of the recorded value"
_MEANINGS = {
    "proven": "worse than allowed, beyond the noise{of}",
    "observed": "more than allowed, and worse than before beyond the noise",
    "inconclusive": "more than allowed, but the noise could explain it",
    "not proven": "within what is allowed; the noise reaches beyond it",
    "non-inferior": "within what is allowed, beyond the noise",
    "point rule": "too few values to know the noise: the numbers alone decide",
    "in bounds": "held against min and max only",
    "incomparable": "measured in another way than the baseline",
    "not compared": "no number to compare",
}


def render(result: Mapping[str, Any]) -> Report:
    """Build the report of a comparison, a calibration or an update."""
    if result["mode"] != "compare":
        from mlactions.compare.maintenance_report import render as render_maintenance

        return render_maintenance(result)
    return Report(
        title="Model metrics against the baseline",
        status=Status(result["status"]),
        verdict=spans_of(result["verdict"]),
        blocks=tuple(_blocks(result)),
    )


def _blocks(result: Mapping[str, Any]) -> Iterator[Block]:
    rows = result["rows"]
    bad = [row for row in rows if row["status"] != "pass"]
    good = [row for row in rows if row["status"] == "pass"]
    by_status = sorted(bad, key=lambda row: row["status"])
    if len(good) <= OPEN_PASSES:
        yield from _table([*by_status, *good])
    else:
        yield from _table(by_status)
        summary = f"{plural(len(good), 'rule')} passed"
        yield Details(summary, tuple(_table(good)))
    yield from _intervals([*by_status, *good])
    yield from _findings(result["findings"], rows)
    yield from _head_rules(result["head_rules"])
    yield from _paste(result["paste"])
    yield from _skipped(result["skipped"])
    yield from _meanings(rows)
    yield origins(result)


def _table(rows: Sequence[Row]) -> Iterator[Block]:
    if not rows:
        return
    one_model = len({row["model"] for row in rows}) == 1
    columns = _COLUMNS if not one_model else (_COLUMNS[0], *_COLUMNS[2:])
    shown = [_cells(row) for row in rows[:MAX_ROWS]]
    cells = tuple(row if not one_model else (row[0], *row[2:]) for row in shown)
    if one_model:
        yield Paragraph(("Model ", Code(rows[0]["model"])))
    yield Table(columns, cells)
    if len(rows) > MAX_ROWS:
        yield Paragraph(f"{len(rows) - MAX_ROWS:,} more rules are in result.json.")


_COLUMNS = (
    Column("Verdict"),
    Column("Model"),
    Column("Metric"),
    Column("Baseline", "right"),
    Column("Measured", "right"),
    Column("Change", "right"),
    Column("Allowed", "right"),
    Column("Interval", "right", optional=True),
    Column("n", "right", optional=True),
    Column("MDE", "right", optional=True),
)


def _cells(row: Row) -> tuple[Inline, ...]:
    digits = row["decimals"]
    unit = f" {row['unit']}" if row["unit"] else ""
    metric = (Code(row["metric"]), f" {_ARROWS[row['direction']]}{unit}")
    changed = row["change"] is not None
    change = signed(row["change"], digits) if changed else "–"
    return (
        Chip(Status(row["status"]), SHOWN_LABELS[row["label"]] + _waived(row)),
        Code(row["model"]),
        metric,
        _optional(row["baseline"], digits) + _mark(row),
        _optional(row["candidate"], digits),
        Strong(change) if row["status"] == "fail" and changed else change,
        allowance(row["direction"], row["allowed"], digits) if changed else _bounds(row),
        _range(row["low"], row["high"], digits),
        f"{row['n'][0]}/{row['n'][1]}",
        _optional(row["detectable"], digits),
    )


def _waived(row: Row) -> str:
    return ", waived" if row["waived"] else ""


def _mark(row: Row) -> str:
    return " (base)" if row["source"] == "base" else ""


def _optional(value: float | None, digits: int) -> str:
    return "–" if value is None else number(value, digits)


def _bounds(row: Row) -> str:
    low = f"≥ {row['min']:g}" if row["min"] is not None else ""
    high = f"≤ {row['max']:g}" if row["max"] is not None else ""
    return ", ".join(part for part in (low, high) if part) or "–"


def _range(low: float | None, high: float | None, digits: int) -> str:
    if low is None or high is None:
        return "–"
    return f"{signed(low, digits)} … {signed(high, digits)}"


def _findings(findings: Sequence[Row], rows: Sequence[Row]) -> Iterator[Block]:
    about = {
        (row["model"], row["metric"]): _about(row) for row in rows if row["owner"] or row["note"]
    }
    for level, title in (("fail", "What failed"), ("warn", "Warnings"), ("notice", "Notices")):
        items = [item for item in findings if item["level"] == level]
        if not items:
            continue
        block = Items(
            tuple(
                _item(item, about.get((item["model"], item["metric"]), ()))
                for item in items[:MAX_ITEMS]
            )
        )
        blocks: tuple[Block, ...] = (block,)
        if len(items) > MAX_ITEMS:
            more = Paragraph(f"{len(items) - MAX_ITEMS:,} more are in result.json.")
            blocks = (block, more)
        if level == "fail":
            yield Heading(2, title)
            yield from blocks
        else:
            yield Details(f"{title} ({len(items):,})", blocks, open=level == "warn")


def _about(row: Row) -> tuple[Span, ...]:
    """Return why a rule is as it is and whom to ask, as its writer put it."""
    note = f" Why the rule: {row['note'].rstrip('.')}." if row["note"] else ""
    owner = f" Owner: {row['owner'].rstrip('.')}." if row["owner"] else ""
    return (note + owner,)


def _item(item: Row, about: tuple[Span, ...]) -> Inline:
    where = f"{item['file']}:{item['line']}" if item["line"] else item["file"]
    place: tuple[Span, ...] = (" (", Code(where), ")") if where else ()
    return (Strong(item["reason"]), ": ", *spans_of(item["message"]), *about, *place)


def _intervals(rows: Sequence[Row]) -> Iterator[Block]:
    """Draw degradations in multiples of what each rule allows."""
    drawn = [row for row in rows if row["allowed"]][:MAX_INTERVALS]
    if drawn:
        yield Intervals("Worsening, in multiples of what is allowed", tuple(map(_interval, drawn)))


def _interval(row: Row) -> Interval:
    allowed = row["allowed"]
    low, high = row["low"], row["high"]
    mirrored = row["direction"] == "higher" or (row["direction"] == "equal" and row["change"] < 0)
    if low is not None and mirrored:
        low, high = -high, -low
    return Interval(
        label=f"{row['model']} {row['metric']}",
        estimate=row["degradation"] / allowed,
        low=None if low is None else low / allowed,
        high=None if high is None else high / allowed,
        limit=1.0,
        status=Status(row["status"]),
    )


def _head_rules(head: Mapping[str, Any] | None) -> Iterator[Block]:
    if head is None:
        return
    blocks: list[Block] = [
        Paragraph(
            "This change edits the baseline. The verdict above uses the rules of the base commit;"
            " the edited ones count once they are merged."
        )
    ]
    if head["status"] is None:
        blocks.append(Paragraph(("The edited file cannot be used: ", *spans_of(head["verdict"]))))
    else:
        chip = Chip(Status(head["status"]), head["status"])
        blocks.append(Paragraph(("With the edited rules: ", chip, " ", *spans_of(head["verdict"]))))
    blocks += _table(head["rows"])
    blocks.append(Listing(head["diff"], "diff"))
    shown = head["status"] or "unusable"
    yield Details(f"Edited rules in this change: they would give {shown}", tuple(blocks))


def _paste(text: str) -> Iterator[Block]:
    if text:
        explain = Paragraph(
            "Paste into the baseline. Directions are guessed from names; tolerances are above the"
            " noise where several seeds show it."
        )
        yield Details("Rules to paste for what has none", (explain, Listing(text, "yaml")))


def _skipped(skipped: Sequence[Row]) -> Iterator[Block]:
    if skipped:
        items = tuple((Code(item["model"]), f": {item['reason']}") for item in skipped[:MAX_ITEMS])
        yield Details(f"{plural(len(skipped), 'model')} not evaluated", (Items(items),))


def _meanings(rows: Sequence[Row]) -> Iterator[Block]:
    used = {SHOWN_LABELS[row["label"]] for row in rows}
    pairs = frozenset(bool(row["pairs"]) for row in rows)
    noise = _NOISES.get(pairs, "")
    meanings = {name: text.format(of=noise) for name, text in _MEANINGS.items() if name in used}
    items = tuple((Strong(name), f": {text}") for name, text in meanings.items())
    if any(row["source"] == "base" for row in rows):
        items = (*items, (Strong("(base)"), f": {_BASE}"))
    if items:
        sizes = " or, of paired rules, ".join(text for key, text in _SIZES.items() if key in pairs)
        yield Details("How to read this", (Paragraph(_LEGEND.format(n=sizes)), Items(items)))

"""The reports of `compare calibrate` and `compare update`, from their `result.json` alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlactions.compare.calibrate import FORMULA
from mlactions.compare.messages import spans_of
from mlactions.compare.words import decimals_of, number, signed, significant
from mlactions.report import (
    Block,
    Chip,
    Code,
    Column,
    Details,
    Inline,
    Items,
    Listing,
    Paragraph,
    Report,
    Strong,
    Table,
)
from mlactions.settings import Status

MAX_ROWS = 300

_ARROWS = {"higher": "↑", "lower": "↓", "equal": "="}
_TITLES = {"calibrate": "Tolerances above the noise", "update": "Baseline update"}


def render(result: Mapping[str, Any]) -> Report:
    """Build the report of a calibration or an update."""
    blocks = _calibration if result["mode"] == "calibrate" else _update
    refused = result["status"] == Status.REFUSED
    return Report(
        title=_TITLES[result["mode"]],
        status=Status(result["status"]),
        verdict=result["verdict"],
        blocks=tuple(_reasons(result) if refused else blocks(result)),
    )


def _reasons(result: Mapping[str, Any]) -> Iterator[Block]:
    items = tuple(
        (Strong(item["reason"]), ": ", *spans_of(item["message"])) for item in result["findings"]
    )
    yield Items(items[:MAX_ROWS])


def _calibration(result: Mapping[str, Any]) -> Iterator[Block]:
    rows = sorted(result["rows"], key=lambda row: not row["too_tight"])
    if not rows:
        return
    yield Table(_CALIBRATION, tuple(map(_proposal, rows[:MAX_ROWS])))
    share = result["false_alarms"]
    yield Paragraph(
        f"An unchanged candidate exceeds one of these tolerances in {100 * share:g} % of runs, and"
        f" at least one of all in up to {100 * result['any_false_alarm']:.2g} %."
    )
    yield Details("How tolerances are computed", (Paragraph(FORMULA),))
    yield Details("Rules to paste", (Listing(result["paste"], "yaml"),), open=True)


_CALIBRATION = (
    Column("Model"),
    Column("Metric"),
    Column("n", "right"),
    Column("Mean", "right"),
    Column("Deviation", "right"),
    Column("Proposed", "right"),
    Column("In use", "right"),
    Column("Verdict"),
)


def _proposal(row: Mapping[str, Any]) -> tuple[Inline, ...]:
    digits = decimals_of(row["tolerance"] or abs(row["mean"]) / 1000)
    state: Inline = ""
    if row["too_tight"]:
        state = Chip(Status.WARN, "below the noise")
    elif row["tolerance"] is None:
        state = "no noise seen"
    elif row["current"] is not None:
        state = Chip(Status.PASS, "above the noise")
    return (
        Code(row["model"]),
        (Code(row["metric"]), f" {_ARROWS[row['direction']]}{'?' if row['guessed'] else ''}"),
        str(row["n"]),
        number(row["mean"], digits),
        number(row["deviation"], digits + 1),
        "–" if row["tolerance"] is None else number(row["tolerance"], digits),
        "–" if row["current"] is None else number(row["current"], digits),
        state,
    )


def _update(result: Mapping[str, Any]) -> Iterator[Block]:
    if result["findings"]:
        yield from _reasons(result)
    rows = [row for row in result["rows"] if row["before"] != row["after"]]
    if rows:
        yield Table(_UPDATE, tuple(map(_movement, rows[:MAX_ROWS])))
    if result["diff"]:
        yield Listing(result["diff"], "diff")
    if result.get("paste"):
        yield Details(
            "Rules to paste for what has none; --add writes them",
            (Listing(result["paste"], "yaml"),),
            open=True,
        )


_UPDATE = (
    Column("Model"),
    Column("Metric"),
    Column("Recorded", "right"),
    Column("Measured", "right"),
    Column("Change", "right"),
    Column("n", "right"),
)


def _movement(row: Mapping[str, Any]) -> tuple[Inline, ...]:
    after = sum(row["after"]) / len(row["after"])
    before = sum(row["before"]) / len(row["before"]) if row["before"] else None
    digits = significant(max(abs(after), abs(before or 0.0)))
    return (
        Code(row["model"]),
        Code(row["metric"]),
        "–" if before is None else number(before, digits),
        number(after, digits),
        _change(before, after, digits),
        f"{len(row['before'])}/{len(row['after'])}",
    )


def _change(before: float | None, after: float, digits: int) -> str:
    """Return the change between two numbers as they are shown."""
    if before is None:
        return "new"
    if number(before, digits) == number(after, digits):
        return "unchanged"
    return signed(round(after, digits) - round(before, digits), digits)

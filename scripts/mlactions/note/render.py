"""The report of notes, from `result.json` alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlactions.compare.messages import spans_of
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
    Report,
    Strong,
    Table,
)
from mlactions.settings import Status
from mlactions.text import plural

MAX_ROWS = 100

Document = Mapping[str, Any]

_STATUS = {"fail": Status.FAIL, "warn": Status.WARN, "notice": Status.SKIPPED}
_WORDS = {"fail": "wrong", "warn": "doubtful", "notice": "noted"}
_HELD = {
    "yes": Status.PASS,
    "yes, with a warning": Status.WARN,
    "no": Status.FAIL,
    "undecided": Status.SKIPPED,
}
_OUTCOMES = {"held": Status.PASS, "refuted": Status.FAIL, "undecided": Status.SKIPPED}
_SCAFFOLD = "mlactions note new TITLE --config "


def render(result: Document) -> Report:
    """Build the report."""
    title = "Experiment note closed" if result["mode"] == "close" else "Experiment notes"
    status = Status(result["status"])
    return Report(title, status, result["verdict"], tuple(_blocks(result)))


def _blocks(result: Document) -> Iterator[Block]:
    yield from _findings(result)
    yield from _closing(result)
    yield from _configs(result)
    yield from _notes(result)


def _findings(result: Document) -> Iterator[Block]:
    found = result["findings"]
    if not found:
        return
    columns = (Column("Weight"), Column("Place"), Column("What"), Column("What to do"))
    rows = tuple(
        (
            Chip(_STATUS[item["level"]], _WORDS[item["level"]]),
            _place(item),
            spans_of(item["message"]),
            spans_of(item["hint"]) if item["hint"] else "–",
        )
        for item in found[:MAX_ROWS]
    )
    yield Table(columns, rows)
    lacking = {item["file"] for item in found if item["reason"] == "no-note"}
    missing = [_named(item) for item in result["configs"] if item["config"] in lacking]
    if missing:
        lines = "\n".join(f"{_SCAFFOLD}{config}" for config in dict.fromkeys(missing))
        yield Paragraph("This writes a note to fill in, with what the baseline asks as a start:")
        yield Listing(lines, "sh")


def _named(item: Document) -> str:
    """Return the config that a note about it names: the experiment, not one of its parts."""
    return str((*item["composed_by"], item["config"])[0])


def _place(item: Document) -> Inline:
    if not item["file"]:
        return "–"
    return Code(f"{item['file']}:{item['line']}" if item["line"] else item["file"])


def _closing(result: Document) -> Iterator[Block]:
    closing = result["closing"]
    if closing is None:
        return
    outcome = closing["outcome"]
    yield Paragraph(("The hypothesis: ", Chip(_OUTCOMES[outcome], outcome)))
    columns = (
        Column("Held"),
        Column("Metric"),
        Column("Expected"),
        Column("Measured", "right"),
        Column("Note", optional=True),
    )
    rows = tuple(
        (
            Chip(_HELD[row["held"]], row["held"]),
            (Code(row["metric"]), " of ", Code(row["model"])),
            row["expected"],
            row["measured"],
            spans_of(row["why"]),
        )
        for row in closing["rows"]
    )
    if rows:
        yield Table(columns, rows)
    if closing["missing"]:
        items = tuple((Code(name), ": not measured") for name in closing["missing"])
        yield Items(items)


def _configs(result: Document) -> Iterator[Block]:
    configs = result["configs"]
    if not configs:
        return
    yield Heading(2, "Changed configs")
    parts = any(item["composed_by"] for item in configs)
    rows = tuple(
        (
            Chip(Status.PASS, "named") if item["notes"] else Chip(Status.FAIL, "no note"),
            Code(item["config"]),
            *((_joined(item["composed_by"]),) if parts else ()),
            _joined(item["notes"]),
        )
        for item in configs[:MAX_ROWS]
    )
    part = (Column("Part of", optional=True),) if parts else ()
    yield Table((Column("Note"), Column("Config"), *part, Column("Named by")), rows)


def _joined(names: list[str]) -> Inline:
    parts: list[Any] = []
    for name in names:
        parts += [", ", Code(name)] if parts else [Code(name)]
    return tuple(parts) or "–"


def _notes(result: Document) -> Iterator[Block]:
    notes = result["notes"]
    if not notes or result["mode"] == "close":
        return
    columns = (Column("Note"), Column("Title"), Column("State"), Column("Expects"))
    rows = tuple(
        (
            Code(note["file"]),
            Strong(note["title"]),
            note["outcome"] or note["state"],
            "; ".join(f"{rule['metric']} {rule['rule']}" for rule in note["expected"][:5]),
        )
        for note in notes[:MAX_ROWS]
    )
    yield Details(plural(len(notes), "note"), (Table(columns, rows),))

"""The report, built from `result.json` alone: the verdict, families, findings, then the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlactions.audit.twice_report import blocks_of as measured_blocks
from mlactions.compare.messages import spans_of
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
    Link,
    Paragraph,
    Report,
    Series,
    Table,
)
from mlactions.settings import Status
from mlactions.text import plural

MAX_ROWS = 200
MAX_OPEN = 15

Row = Mapping[str, Any]
_CHIPS = {"error": Status.FAIL, "warning": Status.WARN, "note": Status.SKIPPED}
_TITLES = {"data-loading": "data loading", "audit": "the audit itself"}


def render(result: Mapping[str, Any]) -> Report:
    """Build the report of an audit."""
    return Report(
        title="Reproducibility audit",
        status=Status(result["status"]),
        verdict=result["verdict"],
        blocks=tuple(_blocks(result)),
    )


def _blocks(result: Mapping[str, Any]) -> Iterator[Block]:
    rules = {rule["id"]: rule for rule in result["rules"]}
    rows = result["findings"]
    serious = [row for row in rows if row["level"] != "note"]
    notes = [row for row in rows if row["level"] == "note"]
    yield Paragraph(_summary(result))
    if result["families"]:
        yield _families(result["families"])
    if serious:
        yield Heading(2, "What to mend")
        yield _findings(serious[:MAX_OPEN])
        yield from _folded(serious[MAX_OPEN:], "more warnings", result["more"])
    yield from _folded(notes, "notes", 0)
    yield from _why(rows, rules)
    if result["measured"]:
        yield from measured_blocks(result["measured"])
    yield from _programs(result["programs"])
    yield from _trend(result)
    yield from _known(result)
    yield from _skipped(result)


def _summary(result: Mapping[str, Any]) -> Inline:
    parts: list[Inline] = [f"Score {result['score']:g} of 100"]
    read = f"{plural(result['files'], 'file')}, {plural(result['lines'], 'line')} of Python"
    tests = f"; {plural(result['tests'], 'test file')} left out" if result["tests"] else ""
    skipped = result["skipped"]
    unread = f"; {plural(len(skipped), 'file or cell')} could not be read" if skipped else ""
    if len(skipped) > 1:
        unread = f"; {len(skipped):,} files or cells could not be read"
    return f"{parts[0]}. Audited: {read}{tests}{unread}."


def _families(rows: Sequence[Row]) -> Block:
    old = any(row["old"] for row in rows)
    columns = [
        Column("Family"),
        Column("Errors", "right"),
        Column("Warnings", "right"),
        Column("Notes", "right"),
    ]
    if old:
        columns.append(Column("Old", "right"))
    cells: list[tuple[Inline, ...]] = []
    for row in rows:
        numbers = [str(row[name] or "–") for name in ("error", "warning", "note")]
        if old:
            numbers.append(str(row["old"] or "–"))
        cells.append((str(_TITLES.get(row["family"], row["family"])), *numbers))
    return Table(tuple(columns), tuple(cells))


def _findings(rows: Sequence[Row]) -> Block:
    columns = (
        Column("Level"),
        Column("Place"),
        Column("Finding"),
        Column("Rule"),
    )
    return Table(columns, tuple(_cells(row) for row in rows[:MAX_ROWS]))


def _cells(row: Row) -> tuple[Inline, ...]:
    return (
        Chip(_CHIPS[row["level"]], row["level"]),
        _place(row),
        spans_of(row["message"]),
        Code(row["rule"]),
    )


def _place(row: Row) -> Inline:
    where = Code(f"{row['file']}:{row['line']}")
    return (where, f", cell {row['cell']}") if row["cell"] else where


def _folded(rows: Sequence[Row], noun: str, beyond: int) -> Iterator[Block]:
    if not rows:
        return
    more = len(rows) - MAX_ROWS + beyond if len(rows) > MAX_ROWS else beyond
    said = (Paragraph(f"{more:,} more are not listed here."),) if more > 0 else ()
    noun = noun.removesuffix("s") if len(rows) == 1 else noun
    yield Details(f"{len(rows):,} {noun}", (_findings(rows), *said))


def _why(rows: Sequence[Row], rules: Mapping[str, Row]) -> Iterator[Block]:
    used = list(dict.fromkeys(row["rule"] for row in rows))
    items: list[Inline] = []
    for name in used:
        rule = rules[name]
        about = (Code(name), ": ", *spans_of(f"{rule['why']} {rule['fix']}"), " ")
        items.append((*about, Link("Documentation", rule["link"])))
    if items:
        silence = Paragraph(
            ("A finding that is meant to be: ", Code("# audit: ignore[rule-id] reason"))
        )
        yield Details("Why, and what to do", (Items(tuple(items)), silence))


def _determinism(row: Row) -> str:
    if row["deterministic"]:
        return "asked for"
    return f"not judged ({', '.join(row['libraries'])})" if row["libraries"] else "–"


def _programs(rows: Sequence[Row]) -> Iterator[Block]:
    rows = [row for row in rows if row["trains"] or row["libraries"]]
    if not rows:
        return
    columns = (
        Column("Program"),
        Column("Seeds"),
        Column("Deterministic algorithms"),
        Column("GPU"),
        Column("Files reached", "right"),
    )
    cells = tuple(
        (
            Code(f"{row['file']}:{row['line']}"),
            row["seeds"],
            _determinism(row),
            "named" if row["gpu"] else "–",
            str(row["files"]),
        )
        for row in rows[:MAX_ROWS]
    )
    yield Details(
        f"{plural(len(rows), 'training program')}, followed through helpers and imports",
        (Table(columns, cells),),
    )


def _trend(result: Mapping[str, Any]) -> Iterator[Block]:
    points = result["trend"]
    if len(points) < 2:  # noqa: PLR2004  # one point is no line
        return
    names = tuple(point["commit"][:7] for point in points)
    values = tuple(point["score"] for point in points)
    columns = (
        Column("Commit"),
        Column("Day"),
        Column("Score", "right"),
        Column("Errors", "right"),
        Column("Warnings", "right"),
        Column("Notes", "right"),
    )
    rows = tuple(
        (
            Code(point["commit"][:7]),
            point["day"],
            f"{point['score']:g}",
            *(str(point[name]) for name in ("error", "warning", "note")),
        )
        for point in reversed(points)
    )
    yield Heading(2, "Score over time")
    yield Chart("Score by commit", names, (Series("score", values),), "of 100", "line")
    yield Details(f"{plural(len(points), 'commit')}, the newest first", (Table(columns, rows),))


def _known(result: Mapping[str, Any]) -> Iterator[Block]:
    if result["suppressed"]:
        columns = (Column("Place"), Column("Rule"), Column("Reason"))
        rows = tuple(
            (_place(row), Code(row["rule"]), row["reason"]) for row in result["suppressed"]
        )
        yield Details(
            f"{plural(result['suppressions'], 'finding')} silenced by a comment",
            (Table(columns, rows),),
        )
    about = result["baseline"]
    if about["known"]:
        where = f" of the base commit {about['ref'][:12]}" if about["from"] == "base" else ""
        told = Paragraph(("Known from ", Code(about["file"]), f"{where}; they do not count."))
        noun = plural(about["known"], "old finding")
        yield Details(noun, (told, _findings(result["old"])))
    if about["gone"]:
        items = tuple((Code(item["rule"]), " in ", Code(item["file"])) for item in about["gone"])
        told = Paragraph("Write the baseline anew, so that they cannot come back unseen.")
        title = f"{plural(len(items), 'old finding')} of the baseline mended"
        yield Details(title, (told, Items(items)))


def _skipped(result: Mapping[str, Any]) -> Iterator[Block]:
    if result["skipped"]:
        items = tuple(_unread(row) for row in result["skipped"])
        yield Details("Not audited", (Items(items),))


def _unread(row: Row) -> Inline:
    cell = f", cell {row['cell']}" if row["cell"] else ""
    return (Code(f"{row['file']}:{row['line']}"), f"{cell}: {row['why']}")

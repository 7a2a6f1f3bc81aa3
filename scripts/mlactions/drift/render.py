"""The report, built from `result.json` alone: the verdict, what differs, then the rest folded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlactions.compare.messages import spans_of
from mlactions.drift.history import CHANGED
from mlactions.drift.places import is_place
from mlactions.drift.result import KINDS, counted
from mlactions.report import (
    Block,
    Chip,
    Code,
    Column,
    Details,
    Heading,
    Inline,
    Items,
    Link,
    Listing,
    Paragraph,
    Report,
    Span,
    Strong,
    Table,
)
from mlactions.settings import Status

MAX_ROWS = 300
MAX_VALUE = 80
MAX_PASTED = 50

Row = Mapping[str, Any]

_STATUS = {
    "fail": Status.FAIL,
    "warn": Status.WARN,
    "notice": Status.SKIPPED,
    "none": Status.PASS,
}
_WORDS = {
    "drift": "drift",
    "order": "reordered",
    "location": "moved",
    "beyond": "cut",
    "unknown": "unknown",
    "only-logged": "only in the run",
    "same": "same",
    "ignored": "ignored",
}
_MEANINGS = {
    "drift": "the configuration and the deployed run have different values",
    "order": "the same items in another order",
    "location": "the same path below another folder",
    "beyond": "MLflow cut the run's value, which is equal as far as it goes",
    "unknown": "it could not be compared, for the reason beside it; that is not drift",
    "only-logged": "the run has a parameter that the configuration does not set",
}
_FOLDED = (
    ("drift", "different, by the rules no drift"),
    ("order", "in another order, by the rules no drift"),
    ("location", "below another folder, by the rules no drift"),
    ("unknown", "not compared"),
    ("only-logged", "only in the run"),
    ("same", "as in the run"),
    ("ignored", "ignored by the rules"),
)


def render(result: Mapping[str, Any]) -> Report:
    """Build the report of a drift check."""
    return Report(
        title="Production config against the deployed run",
        status=Status(result["status"]),
        verdict=spans_of(result["verdict"]),
        blocks=tuple(_blocks(result)),
    )


def _blocks(result: Mapping[str, Any]) -> Iterator[Block]:
    rows = result["rows"]
    open_rows = [row for row in rows if row["level"] in {"fail", "warn"}]
    minor = [
        row
        for row in rows
        if row["level"] == "notice" and row["state"] in {"drift", "order", "location", "beyond"}
    ]
    yield from _findings(result)
    yield from _candidates(result["candidates"])
    if open_rows or minor:
        yield from _differing([*open_rows, *minor])
    yield from _more([*open_rows, *minor])
    yield from _code(rows)
    shown = {id(row) for row in (*open_rows, *minor)}
    for state, title in _FOLDED:
        rest = [row for row in rows if row["state"] == state and id(row) not in shown]
        if rest:
            yield Details(
                f"{counted(row['kind'] for row in rest)} {title}", (_table(rest), *_more(rest))
            )
    yield from _first_rules(result["rules"], open_rows)
    yield from _edited(result["rules"])
    yield from _meanings(rows)
    yield _origin(result)


def _findings(result: Mapping[str, Any]) -> Iterator[Block]:
    said = result["verdict"]
    items = [item for item in result["findings"] if item["message"].replace("`", "") not in said]
    if items:
        yield Items(
            tuple((Strong(item["reason"]), ": ", *spans_of(item["message"])) for item in items)
        )


def _candidates(candidates: Sequence[Row]) -> Iterator[Block]:
    if not candidates:
        return
    yield Heading(2, "Which one is it?")
    columns = (Column("Run"), Column("Name"), Column("Status"), Column("Started"))
    rows = tuple(
        (Code(row["run_id"]), row["name"] or row["version"], row["status"], row["started"] or "–")
        for row in candidates
    )
    yield Table(columns, rows)
    yield Paragraph(
        "Take the tag away from the runs that are not deployed, or name the run: "
        "an alias of a registered model can point to one version only."
    )


def _differing(rows: Sequence[Row]) -> Iterator[Block]:
    """Show what differs; a commit that wrote all of the lines is named once, below."""
    notes = [row["note"] for row in rows if row["note"].startswith(CHANGED)]
    shared = notes[0] if len(notes) > 1 and len(set(notes)) == 1 else None
    yield _table([{**row, "note": ""} if row["note"] == shared else row for row in rows])
    if shared:
        few = "Both" if len(notes) == 2 else "All"  # noqa: PLR2004  # a pair
        yield Paragraph(f"{few} of these lines were {shared}.")


def _table(rows: Sequence[Row]) -> Block:
    kinds = {row["kind"] for row in rows}
    columns = [
        Column("Verdict"),
        Column("What"),
        Column("Here"),
        Column("Deployed run"),
        Column("Place", optional=True),
        Column("Note"),
    ]
    noted = any(row["note"] or row["logged_as"] for row in rows)
    placed = any(row["file"] for row in rows)
    kept = [True, True, True, True, placed, noted]
    cells = [_cells(row, mixed=len(kinds) > 1) for row in rows[:MAX_ROWS]]
    return Table(
        tuple(column for column, keep in zip(columns, kept, strict=True) if keep),
        tuple(tuple(cell for cell, keep in zip(row, kept, strict=True) if keep) for row in cells),
    )


def _cells(row: Row, *, mixed: bool) -> tuple[Inline, ...]:
    known = row["kind"] == "parameter" or row["name"].startswith(KINDS[row["kind"]])
    kind = f" ({KINDS[row['kind']]})" if mixed and not known else ""
    renamed: tuple[Span, ...] = (
        ("logged as ", Code(row["logged_as"]), ". " if row["note"] else "")
        if row["logged_as"]
        else ()
    )
    where = f"{row['file']}:{row['line']}" if row["line"] else row["file"]
    return (
        Chip(_STATUS[row["level"]], _WORDS[row["state"]]),
        (Code(row["name"]), kind),
        _value(row["current"], row),
        _value(row["logged"], row),
        Code(where) if where else "–",
        (*renamed, row["note"]),
    )


def _value(text: str, row: Row) -> Inline:
    if not text:
        return "–"
    if row["kind"] == "code":
        return Code(text[:12])
    if row["kind"] == "model-file":
        return Code(text[:16] + "…")
    text = " ".join(text.split()) or repr(text)
    return Code(text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…")


def _more(rows: Sequence[Row]) -> Iterator[Block]:
    if len(rows) > MAX_ROWS:
        yield Paragraph(f"{len(rows) - MAX_ROWS:,} more are in result.json.")


def _code(rows: Sequence[Row]) -> Iterator[Block]:
    for row in rows:
        if row["kind"] == "code" and row["details"]:
            files = tuple(Code(name) for name in row["details"])
            yield Details(f"Code that changed since {row['logged'][:12]}", (Items(files),))


def _first_rules(rules: Mapping[str, Any], rows: Sequence[Row]) -> Iterator[Block]:
    """Offer a rules file where there is none: where a model runs often means nothing."""
    found = [row for row in rows if row["kind"] == "parameter"]
    names = [row["name"] for row in found if is_place(row["name"], row["current"], row["logged"])]
    names = names[:MAX_PASTED]
    if rules["from"] == "none" and names:
        told = Paragraph(
            ("Where a difference means nothing, say so in ", Code("configs/drift.yaml"), ":")
        )
        lines = ["version: 1", "ignore:", *(f"  - {json.dumps(name)}" for name in names)]
        yield Details("Rules to begin with", (told, Listing("\n".join(lines), "yaml")))


def _edited(rules: Mapping[str, Any]) -> Iterator[Block]:
    if rules["diff"]:
        told = Paragraph(
            "This change edits the rules. The verdict above uses those of the base commit; the"
            " edited ones count once they are merged."
        )
        yield Details("Edited rules in this change", (told, Listing(rules["diff"], "diff")))


def _meanings(rows: Sequence[Row]) -> Iterator[Block]:
    used = {row["state"] for row in rows}
    items = tuple(
        (Strong(_WORDS[state]), f": {text}") for state, text in _MEANINGS.items() if state in used
    )
    if items:
        yield Details("How to read this", (Items(items),))


def _origin(result: Mapping[str, Any]) -> Block:
    config, rules, run = result["config"], result["rules"], result["deployed"]
    composed = f", composed of {len(config['files'])} files" if config["composed"] else ""
    where = {
        "none": "none, so every setting that drifts fails, and code and packages warn",
        "file": "as they lie on disk",
        "base": f"as of the base commit {rules['ref'][:12]}",
    }[rules["from"]]
    items: list[Inline] = [
        ("Configuration: ", Code(config["file"]), composed),
        ("Rules: ", *((Code(rules["file"]), ", ") if rules["file"] else ()), where),
        ("Tracking server: ", Code(result["tracking"])),
        ("Deployed run: found by ", Code(result["selector"])),
    ]
    if run is not None:
        items[-1] = (*_run(run), ", found by ", Code(result["selector"]))
    return Details("Where this comes from", (Items(tuple(items)),))


def _run(run: Mapping[str, Any]) -> tuple[Span, ...]:
    shown: Span = Link(run["run_id"], run["url"]) if run["url"] else Code(run["run_id"])
    name: tuple[Span, ...] = (" ", Code(run["name"])) if run["name"] else ()
    version: tuple[Span, ...] = (
        (" of ", Code(f"{run['model']}/{run['version']}")) if run["model"] else ()
    )
    started = f", started {run['started']}" if run["started"] else ""
    return ("Deployed run: ", shown, *name, *version, started)

"""The notes that Codex drafts: written by our own scaffold, and read by the parser of `check`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mlactions.ask.proposal import CheckedProposal
from mlactions.ask.repository import Repository
from mlactions.bundle import open_bundle
from mlactions.errors import UserError
from mlactions.escaping import one_line
from mlactions.note.parse import parse_note
from mlactions.note.write import file_name, next_id, scaffold, yaml_text
from mlactions.report import Block, Chip, Code, Column, Heading, Inline, Paragraph, Table, Untrusted
from mlactions.settings import Status

MAX_NOTES = 5
MAX_RULES = 20
MAX_TEXT = 4000


def check_proposal(
    value: Any, *, facts: Mapping[str, Mapping[str, Any]], repository: Repository, bundle: Path
) -> CheckedProposal:
    """Draft a note per config that lacks one; strike what no rule or fact carries."""
    del repository  # a draft names configs, which the result lists
    result = open_bundle(bundle, word="note").json("result.json", schema="note-result")
    lacking = {item["config"] for item in result["configs"] if not item["notes"]}
    number = next_id(PurePosixPath(note["file"]).name for note in result["notes"])
    drafts: list[dict[str, Any]] = []
    files: dict[str, str] = {}
    for position, item in enumerate(value["notes"][:MAX_NOTES]):
        draft, text = _draft(item, lacking, facts, number + position)
        drafts.append(draft)
        if draft["held"]:
            held = len(files) + 1
            files[f"suggested-note{'' if held == 1 else f'-{held}'}.md"] = text
            draft["file"] = list(files)[-1]
    held = sum(draft["held"] for draft in drafts)
    return CheckedProposal({"notes": drafts}, len(drafts), held, files)


def _draft(
    item: Mapping[str, Any],
    lacking: set[str],
    facts: Mapping[str, Mapping[str, Any]],
    number: int,
) -> tuple[dict[str, Any], str]:
    struck = []
    if item["config"] not in lacking:
        struck.append(f"{_short(item['config'])} is no config that lacks a note")
    unknown = [name for name in item["facts"] if name not in facts]
    if unknown:
        struck.append(f"nobody measured {', '.join(map(_short, unknown[:3]))}")
    text, name = "", ""
    try:
        name = file_name(number, one_line(item["title"]))
        text = _text(item, number)
        parse_note(text, file=name)
    except UserError as error:
        struck.append(f"{error.title}: {error.message}")
    draft = {
        "config": _short(item["config"]),
        "title": _short(item["title"]),
        "hypothesis": _short(item["hypothesis"]),
        "expected": [_sentence(rule) for rule in item["expected"][:MAX_RULES]],
        "name": name,
        "file": "",
        "held": not struck,
        "struck": struck,
    }
    return draft, text


def _text(item: Mapping[str, Any], number: int) -> str:
    return scaffold(
        number,
        one_line(item["title"])[:200],
        [item["config"]],
        _rules(item["expected"][:MAX_RULES]),
        hypothesis=_prose(item["hypothesis"]),
        rollback=_prose(item["rollback"]),
    )


def _rules(rules: Sequence[Mapping[str, Any]]) -> str:
    """Return expected outcomes as YAML; a bound that is no number is refused by the parser."""
    models: dict[str, list[str]] = {}
    for rule in rules:
        bound = "min" if rule["direction"] == "higher" else "max"
        number = float(rule["bound"])
        shown = f"{number:.6g}" if math.isfinite(number) else "not-a-number"
        line = f"{yaml_text(rule['metric'])}: {{direction: {rule['direction']}, {bound}: {shown}}}"
        models.setdefault(rule["model"], []).append(f"      {line}")
    lines = ["models:"]
    for model, own in models.items():
        lines += [f"  {yaml_text(model)}:", "    metrics:", *own]
    return "\n".join(lines)


def _prose(text: str) -> str:
    """Return prose that can be no heading, fence or comment of the note."""
    lines = (" ".join(line.split()) for line in text[:MAX_TEXT].splitlines())
    kept = [one_line(line).replace("<!--", "<! --").replace("-->", "-- >") for line in lines]
    return "\n".join(
        f"\\{line}" if line[:1] in {"#", "`", "~", "-"} else line for line in kept
    ).strip()


def _sentence(rule: Mapping[str, Any]) -> str:
    words = "at least" if rule["direction"] == "higher" else "at most"
    return f"{_short(rule['metric'])} of {_short(rule['model'])} {words} {float(rule['bound']):g}"


def _short(text: str) -> str:
    return one_line(text)[:MAX_TEXT]


def render_proposal(document: Mapping[str, Any]) -> tuple[Block, ...]:
    """Show the drafts; the file itself lies beside the answer."""
    if not document["notes"]:
        return (Paragraph("It drafted no note."),)
    columns = (Column("Held"), Column("Draft"), Column("Hypothesis"), Column("Expects"))
    return (
        Heading(3, "Drafted notes"),
        Table(columns, tuple(_row(item) for item in document["notes"])),
    )


def _row(item: Mapping[str, Any]) -> tuple[Inline, ...]:
    chip = Chip(Status.PASS, "held") if item["held"] else Chip(Status.FAIL, "struck")
    why = (" ", Untrusted("; ".join(item["struck"]))) if item["struck"] else ()
    kept = (" in ", Code(item["file"])) if item["file"] else ()
    return (
        (chip, *why),
        (Code(item["config"]), *kept, ": ", Untrusted(item["title"])),
        Untrusted(item["hypothesis"]),
        Untrusted("; ".join(item["expected"])),
    )

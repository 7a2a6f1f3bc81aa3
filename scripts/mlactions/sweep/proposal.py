"""The search space that Codex proposes: read as a user's file is, and held to what is there."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlactions.ask.proposal import CheckedProposal
from mlactions.ask.repository import NoSourceError, Repository
from mlactions.bundle import Bundle, open_bundle
from mlactions.compare.messages import spans_of
from mlactions.escaping import printable
from mlactions.report import (
    Block,
    Code,
    Column,
    Details,
    Heading,
    Inline,
    Listing,
    Paragraph,
    Struck,
    Table,
    Untrusted,
)
from mlactions.sweep.proposal_space import Held, hold

NAME = "suggested-sweep.yaml"
SPACE = "space.yaml"
MAX_CHARACTERS = 64_000
MAX_REASONS = 60


def check_proposal(
    value: Mapping[str, Any],
    *,
    facts: Mapping[str, Mapping[str, Any]],
    repository: Repository,
    bundle: Path,
) -> CheckedProposal:
    """Check a proposed space: it parses, composes with the config tree, keeps to the budget.

    No user code is run. What only Hydra in the user's Python can tell is told when the file is
    generated from.
    """
    opened = open_bundle(bundle, word="sweep")
    result = opened.json("result.json", schema="sweep-result")
    current = _current(opened)
    space = _space(value["sweep"], current, result, repository)
    reasons = [
        _reason(item, facts, repository, space.parameters)
        for item in value["reasons"][:MAX_REASONS]
    ]
    offered = "" if space.struck else space.text
    document = {
        "sweep": printable(space.text)[:MAX_CHARACTERS],
        "struck": list(space.struck),
        "diff": _diff(current, offered) if offered else "",
        "parameters": list(space.parameters),
        "note": space.note,
        "takes": space.takes,
        "reasons": reasons,
    }
    held = sum(not item["struck"] for item in reasons) + bool(offered)
    checked = len(reasons) + bool(value["sweep"].strip())
    return CheckedProposal(document, checked, held, {NAME: offered} if offered else {})


def _current(opened: Bundle) -> str:
    if all(entry.path != SPACE for entry in opened.entries):
        return ""
    return opened.path(SPACE).read_text(encoding="utf-8", errors="replace")


def _space(text: str, current: str, result: Mapping[str, Any], repository: Repository) -> Held:
    """Return the space that is offered, or why none is."""
    if not text.strip():
        return Held("", struck=("no search space was proposed",))
    if len(text) > MAX_CHARACTERS or printable(text) != text:
        told = "it is too long, or holds characters that hide or reorder text"
        return Held(text, struck=(told,))
    return hold(text, current, result, repository, NAME)


def _reason(
    item: Mapping[str, Any],
    facts: Mapping[str, Any],
    repository: Repository,
    known: Sequence[str],
) -> dict[str, Any]:
    struck = []
    if item["parameter"].lstrip("+") not in known:
        struck.append("the proposed file has no such parameter")
    if item["fact"] and item["fact"] not in facts:
        struck.append("there is no such fact")
    if item["file"]:
        try:
            source = repository.read(item["file"])
            if not 0 <= item["line"] <= source.lines:
                struck.append(f"the file has {source.lines:,} lines")
        except NoSourceError as error:
            struck.append(f"the file {error}")
    names = ("parameter", "reason", "fact", "file")
    texts = {key: printable(str(item[key]))[:1000] for key in names}
    return {**texts, "line": item["line"], "struck": struck}


def _diff(current: str, text: str) -> str:
    lines = difflib.unified_diff(
        current.splitlines(), text.splitlines(), "current", "proposed", lineterm=""
    )
    return "\n".join(lines)


def render_proposal(document: Mapping[str, Any]) -> tuple[Block, ...]:
    """Show a proposed space: the file, the difference to the current one, and the reasons."""
    return tuple(_blocks(document))


def _blocks(document: Mapping[str, Any]) -> Iterator[Block]:
    yield Heading(2, "The proposed search space")
    if document["struck"]:
        told = "; ".join(document["struck"])
        yield Paragraph(("Not offered: ", Untrusted(told), "."))
        if document["sweep"].strip():
            yield Details("What was proposed", (Listing(document["sweep"], "yaml"),))
    else:
        how = "read and composed as a file of yours is"
        if document["note"]:
            how = "read as a file of yours is; names were held to the config files"
        yield Paragraph(("It is ", Code(NAME), f", {how}."))
        if document["note"]:
            yield Paragraph(Untrusted(f"It was {document['note']}."))
        yield Paragraph(spans_of(document["takes"]))
        yield Listing(document["sweep"].rstrip(), "yaml")
        if document["diff"]:
            yield Details("The difference to the current one", (Listing(document["diff"], "diff"),))
    if document["reasons"]:
        columns = (Column("Parameter"), Column("Why"), Column("Rests on"))
        yield Table(columns, tuple(_row(item) for item in document["reasons"]))


def _row(item: Mapping[str, Any]) -> tuple[Inline, ...]:
    place = f"{item['file']}:{item['line']}" if item["line"] else item["file"]
    rests = item["fact"] or place
    if item["struck"]:
        why: Inline = (Struck(item["reason"]), " (", "; ".join(item["struck"]), ")")
        return Code(item["parameter"]), why, "–"
    return Code(item["parameter"]), Untrusted(item["reason"]), Code(rests) if rests else "–"

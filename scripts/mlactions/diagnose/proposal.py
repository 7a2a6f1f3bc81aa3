"""What Codex proposes about a run: hypotheses, each held against facts, files and probes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlactions.ask.proposal import CheckedProposal
from mlactions.ask.repository import NoSourceError, Repository
from mlactions.bundle import open_bundle
from mlactions.diagnose.probes import PROBES
from mlactions.escaping import one_line
from mlactions.report import Block, Chip, Code, Column, Heading, Inline, Paragraph, Table, Untrusted
from mlactions.settings import Status

MAX_HYPOTHESES = 5
MAX_TEXT = 2000
FAMILY = "diagnose."


def check_proposal(
    value: Any, *, facts: Mapping[str, Mapping[str, Any]], repository: Repository, bundle: Path
) -> CheckedProposal:
    """Strike hypotheses that cite nothing we measured, or a place that is not there."""
    result = open_bundle(bundle, word="diagnose").json("result.json", schema="diagnose-result")
    done = {name for name, answer in result["probes"].items() if answer["outcome"] == "measured"}
    hypotheses = [
        _checked(item, facts, repository, done) for item in value["hypotheses"][:MAX_HYPOTHESES]
    ]
    held = sum(item["held"] for item in hypotheses)
    return CheckedProposal({"hypotheses": hypotheses}, len(hypotheses), held)


def _checked(
    item: Mapping[str, Any],
    facts: Mapping[str, Mapping[str, Any]],
    repository: Repository,
    done: set[str],
) -> dict[str, Any]:
    struck = []
    unknown = [name for name in item["evidence"] if name not in facts]
    if not item["evidence"]:
        struck.append("it cites no fact")
    elif unknown:
        struck.append(f"nobody measured {', '.join(map(_short, unknown[:3]))}")
    elif not any(name.startswith(FAMILY) for name in item["evidence"]):
        struck.append("none of its facts is about the run")
    if item["file"]:
        struck += _place(item["file"], item["line"], repository)
    known = item["probe"] in PROBES
    return {
        "cause": _short(item["cause"]),
        "explanation": _short(item["explanation"]),
        "check": _short(item["check"]),
        "file": _short(item["file"]),
        "line": item["line"],
        "evidence": [
            {"id": name, "text": str(facts[name].get("text", ""))[:MAX_TEXT]}
            for name in item["evidence"]
            if name in facts
        ],
        "probe": item["probe"] if known else "",
        "ran": item["probe"] in done,
        "held": not struck,
        "struck": struck,
    }


def _place(file: str, line: int, repository: Repository) -> list[str]:
    try:
        source = repository.read(file)
    except NoSourceError as error:
        return [f"{_short(file)}: {error}"]
    if not 1 <= line <= source.lines:
        return [f"{_short(file)} has {source.lines:,} lines, not a line {line:,}"]
    return []


def _short(text: str) -> str:
    return one_line(text)[:MAX_TEXT]


def render_proposal(document: Mapping[str, Any]) -> tuple[Block, ...]:
    """Show the hypotheses, those that were struck with the reason."""
    items = document["hypotheses"]
    if not items:
        return (Paragraph("It proposed no hypothesis."),)
    columns = (Column("Held"), Column("Hypothesis"), Column("It cites"), Column("To be sure"))
    return (Heading(3, "Hypotheses"), Table(columns, tuple(_row(item) for item in items)))


def _row(item: Mapping[str, Any]) -> tuple[Inline, ...]:
    chip = Chip(Status.PASS, "held") if item["held"] else Chip(Status.FAIL, "struck")
    why = ("; ".join(item["struck"]),) if item["struck"] else ()
    place = (" (", Code(f"{item['file']}:{item['line']}"), ")") if item["file"] else ()
    probe: tuple[Any, ...] = ()
    if item["probe"]:
        ran = ", which ran already. " if item["ran"] else ". "
        probe = ("The probe ", Code(item["probe"]), ran)
    cited = [part for fact in item["evidence"] for part in (Code(fact["id"]), f": {fact['text']} ")]
    return (
        (chip, " ", *map(Untrusted, why)),
        (Untrusted(item["cause"]), *place, ": ", Untrusted(item["explanation"])),
        tuple(cited) or "–",
        (*probe, Untrusted(item["check"])),
    )

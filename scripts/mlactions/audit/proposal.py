"""What Codex found and rules cannot: each finding is held against the line it names.

A finding holds if its file is in the repository at the commit, and the lines it names say, word for
word, what it quotes. Whatever it claims beyond that is an opinion, shown as a warning or a note.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlactions.ask.proposal import CheckedProposal
from mlactions.ask.repository import NoSourceError, Repository, Source
from mlactions.escaping import printable
from mlactions.report import (
    Block,
    Chip,
    Code,
    Column,
    Details,
    Heading,
    Inline,
    Items,
    Paragraph,
    Struck,
    Table,
    Untrusted,
)
from mlactions.settings import Status
from mlactions.text import plural

MAX_FINDINGS = 30
MAX_TEXT = 600
MIN_QUOTE = 4
_LEVELS = {"warning": "warning", "note": "note"}
_CHIPS = {"warning": Status.WARN, "note": Status.SKIPPED}


def check_proposal(
    value: Any, *, facts: Mapping[str, Mapping[str, Any]], repository: Repository, bundle: Path
) -> CheckedProposal:
    """Hold every finding of an answer against the repository; nothing is run."""
    del bundle
    given = value["findings"]
    seen: set[tuple[str, int, str]] = set()
    entries = [_entry(item, facts, repository, seen) for item in given[:MAX_FINDINGS]]
    entries += [_struck(item, ["only the first 30 are checked"]) for item in given[MAX_FINDINGS:]]
    held = sum(entry["held"] for entry in entries)
    return CheckedProposal({"findings": entries}, len(entries), held)


def _entry(
    item: Mapping[str, Any],
    facts: Mapping[str, Mapping[str, Any]],
    repository: Repository,
    seen: set[tuple[str, int, str]],
) -> dict[str, Any]:
    struck = [f"there is no fact {name!r:.80}" for name in item["facts"] if name not in facts]
    try:
        source = repository.read(item["file"])
    except NoSourceError as error:
        return _struck(item, [*struck, f"the file: {error}"])
    struck += _wrong_place(item, source)
    for place in item["evidence"]:
        struck += _wrong_evidence(place, repository)
    key = (source.path, item["line"], item["kind"])
    if key in seen:
        struck.append("it is said twice")
    if struck:
        return _struck(item, struck)
    seen.add(key)
    return {**_words(item), "file": source.path, "held": True, "struck": []}


def _wrong_place(item: Mapping[str, Any], source: Source) -> Iterator[str]:
    yield from _mismatch(item["line"], item["quote"], source)


def _wrong_evidence(place: Mapping[str, Any], repository: Repository) -> Iterator[str]:
    try:
        source = repository.read(place["file"])
    except NoSourceError as error:
        yield f"its evidence in {_short(place['file'], 100)}: {error}"
        return
    for why in _mismatch(place["line"], place["quote"], source):
        yield f"its evidence: {why}"


def _mismatch(line: int, quote: str, source: Source) -> Iterator[str]:
    """Yield why the lines from `line` on do not say what is quoted; blanks do not count."""
    wanted = _plain(quote)
    if not 0 < line <= source.lines:
        yield f"{source.path} has no line {line}"
    elif len(wanted) < MIN_QUOTE:
        yield f"line {line} of {source.path} is not quoted"
    else:
        rows = source.text.split("\n")[line - 1 : line - 1 + quote.count("\n") + 1]
        if wanted not in _plain("\n".join(rows)):
            yield f"line {line} of {source.path} does not say what is quoted"


def _plain(text: str) -> str:
    return " ".join(text.split())


def _struck(item: Mapping[str, Any], why: list[str]) -> dict[str, Any]:
    reasons = [_short(reason, 300) for reason in why]
    return {**_words(item), "held": False, "struck": reasons}


def _words(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a finding's own words, cut and printable; its level is never an error."""
    return {
        "kind": item["kind"],
        "level": _LEVELS.get(item["level"], "warning"),
        "file": _short(item["file"], 300),
        "line": item["line"],
        "quote": _short(item["quote"], MAX_TEXT),
        "explanation": _short(item["explanation"], MAX_TEXT),
        "fix": _short(item["fix"], MAX_TEXT),
        "evidence": [
            {"file": _short(at["file"], 300), "line": at["line"], "quote": _short(at["quote"], 300)}
            for at in item["evidence"][:10]
        ],
    }


def _short(text: str, limit: int) -> str:
    return " ".join(printable(text).split())[:limit]


def render_proposal(document: Mapping[str, Any]) -> tuple[Block, ...]:
    """Show what held as a table, and what was struck behind it."""
    held = [item for item in document["findings"] if item["held"]]
    struck = [item for item in document["findings"] if not item["held"]]
    return tuple(_blocks(held, struck))


def _blocks(held: list[Any], struck: list[Any]) -> Iterator[Block]:
    if not held and not struck:
        return
    yield Heading(3, "Found by reading")
    if held:
        columns = (Column("Level"), Column("Place"), Column("What"), Column("What to do"))
        yield Table(columns, tuple(_row(item) for item in held))
        yield Paragraph(
            "An agent found these: their lines were checked, their judgement was not. They never"
            " change the verdict."
        )
    else:
        yield Paragraph("None of the agent's findings held.")
    if struck:
        items = tuple(_said(item) for item in struck)
        noun = plural(len(struck), "finding")
        yield Details(f"{noun} struck", (Items(items),))


def _row(item: Mapping[str, Any]) -> tuple[Inline, ...]:
    return (
        Chip(_CHIPS[item["level"]], item["level"]),
        Code(f"{item['file']}:{item['line']}"),
        (Code(item["quote"]), " ", Untrusted(item["explanation"])),
        Untrusted(item["fix"]),
    )


def _said(item: Mapping[str, Any]) -> Inline:
    return (
        Struck(f"{item['file']}:{item['line']}"),
        " ",
        Untrusted(item["explanation"]),
        f" ({'; '.join(item['struck'])})",
    )

"""What Codex ranks: every repository it names is looked up here and held to the constraints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlactions.ask.numbers import printed
from mlactions.ask.proposal import CheckedProposal
from mlactions.ask.repository import Repository
from mlactions.bundle import open_bundle
from mlactions.compare.messages import spans_of
from mlactions.discover.conventions import read_conventions
from mlactions.discover.hub import open_hub
from mlactions.discover.model import (
    Dropped,
    Hub,
    HubError,
    Kind,
    Reason,
    is_repository,
)
from mlactions.discover.render import comparison, uses
from mlactions.discover.result import bibliography, candidate_document, read_constraints
from mlactions.discover.search import Look, examine
from mlactions.escaping import printable
from mlactions.report import Block, Heading, Items, Paragraph, Span, Strong, Struck, Untrusted
from mlactions.text import plural

MAX_RANKED = 20
MAX_REASON = 1_000
CITATIONS = "citations.bib"
CANDIDATES = "candidates.json"
_SCALES = (1.0, 1e-3, 1e-6, 1e-9, 100.0)
"""How a number is written of another one: as it is, in thousands to billions, in percent."""


def check_proposal(
    value: Any, *, facts: Mapping[str, Mapping[str, Any]], repository: Repository, bundle: Path
) -> CheckedProposal:
    """Look up whom an answer names, on the Hub itself; nothing it says of them is believed."""
    del facts  # what holds is read anew, and not from what Codex was told
    result = open_bundle(bundle, word="discover").json("result.json", schema="discover-result")
    wanted = read_constraints(result["constraints"])
    ranked = value["candidates"]
    try:
        hub = open_hub()
        _same_hub(hub, result["hub"])
    except HubError as error:
        return _proposal(result["kind"], [_struck(item, _fault(error)) for item in ranked], error)
    look = Look(result["kind"], wanted, hub, read_conventions(repository.root))
    return check_ranking(ranked, look)


def check_ranking(ranked: Sequence[Mapping[str, Any]], look: Look) -> CheckedProposal:
    """Hold a ranking to the constraints. A Hub that fails proves nothing: the rest is struck."""
    entries: list[dict[str, Any]] = []
    seen: set[str] = set()
    failed: HubError | None = None
    for item in ranked[:MAX_RANKED]:
        try:
            if failed is not None:
                raise failed
            entries.append(_entry(item, look, seen))
        except HubError as error:
            failed = error
            entries.append(_struck(item, _fault(error)))
    more = Reason("too-many", f"only {MAX_RANKED} are looked up")
    entries += [_struck(item, more) for item in ranked[MAX_RANKED:]]
    return _proposal(look.kind, entries, failed)


def _entry(item: Mapping[str, Any], look: Look, seen: set[str]) -> dict[str, Any]:
    name = item["id"].strip()
    found = examine(name, look)
    if isinstance(found, Dropped):
        return _struck(item, *found.reasons)
    if found.entry.id in seen:
        return _struck(item, Reason("named-twice", "it has a better rank already"))
    seen.add(found.entry.id)
    document = candidate_document(found, look.hub.endpoint)
    return {
        "rank": len(seen),
        "id": found.entry.id,
        "reason": _words(item["reason"], MAX_REASON),
        "held": True,
        "struck": [],
        "unverified": list(_unverified(item["reason"], document)),
        "candidate": document,
    }


def _struck(item: Mapping[str, Any], *reasons: Reason) -> dict[str, Any]:
    name = item["id"].strip()
    return {
        "rank": 0,
        "id": name if is_repository(name) else _words(name, 100),
        "reason": _words(item["reason"], MAX_REASON),
        "held": False,
        "struck": [{"code": reason.code, "text": reason.text} for reason in reasons],
        "unverified": [],
        "candidate": None,
    }


def _words(text: str, limit: int) -> str:
    return " ".join(printable(text).split())[:limit]


def _same_hub(hub: Hub, searched: str) -> None:
    if hub.endpoint != searched:
        message = f"the search was made at {searched}, this step looks at {hub.endpoint}."
        hint = "Set HF_ENDPOINT for both, or for neither."
        raise HubError("another Hub", message, hint, state="hub-failed")


def _fault(error: HubError) -> Reason:
    return Reason(error.state, f"it could not be looked up: {error.title}")


def _unverified(reason: str, document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the numbers of a reason that nothing on the Hub says of the repository."""
    known = list(_known(document))
    for number in printed(reason):
        close = (abs(size * scale - number.size) for size in known for scale in _SCALES)
        if not number.small and not any(gap <= number.half * 1.001 for gap in close):
            yield number.token


def _known(document: Mapping[str, Any]) -> Iterator[float]:
    names = ("parameters", "downloads", "likes", "size", "samples", "samples_least", "files")
    yield from (float(document[name]) for name in names if document[name] is not None)
    for item in (*document["weights"], *document["splits"]):
        size = item.get("size", item.get("samples"))
        if size is not None:
            yield float(size)
    for metric in document["metrics"]:
        for number in printed(metric["value"]):
            yield number.size


def _proposal(
    kind: Kind, entries: Sequence[Mapping[str, Any]], error: HubError | None
) -> CheckedProposal:
    held = [entry for entry in entries if entry["held"]]
    candidates = [entry["candidate"] for entry in held]
    document = {
        "kind": kind,
        "state": error.state if error else "checked",
        "error": "" if error is None else f"{error.title}: {error.message} {error.hint}".strip(),
        "candidates": list(entries),
    }
    files = {
        CITATIONS: bibliography(candidates),
        CANDIDATES: json.dumps(candidates, indent=2, sort_keys=True, ensure_ascii=False) + "\n",
    }
    return CheckedProposal(document, len(entries), len(held), files if held else {})


def render_proposal(document: Mapping[str, Any]) -> tuple[Block, ...]:
    """Show the ranking: who holds with the reason and what was measured, then who was struck."""
    return tuple(_blocks(document))


def _blocks(document: Mapping[str, Any]) -> Iterator[Block]:
    entries = document["candidates"]
    held = [entry for entry in entries if entry["held"]]
    struck = [entry for entry in entries if not entry["held"]]
    if document["error"]:
        yield Paragraph((Strong("Not looked up:"), " ", document["error"]))
    if held:
        yield Heading(2, "Ranked by Codex, looked up on the Hub")
        items = [entry["candidate"] for entry in held]
        yield comparison(document["kind"], items, [entry["rank"] for entry in held])
        yield Items(tuple(_reason(entry) for entry in held))
        yield from uses(items)
    if struck:
        yield Heading(2, f"{plural(len(struck), 'proposal')} struck")
        yield Items(tuple(_why(entry) for entry in struck))


def _reason(entry: Mapping[str, Any]) -> tuple[Span, ...]:
    spans: list[Span] = [
        Strong(f"{entry['rank']}. {entry['id']}"),
        ": ",
        Untrusted(entry["reason"]),
    ]
    if entry["unverified"]:
        numbers = ", ".join(entry["unverified"])
        spans += [" (the Hub does not say: ", Untrusted(numbers), ")"]
    return tuple(spans)


def _why(entry: Mapping[str, Any]) -> tuple[Span, ...]:
    spans: list[Span] = [Struck(entry["id"]), ": "]
    for position, reason in enumerate(entry["struck"]):
        spans += [*(["; "] if position else []), *spans_of(reason["text"])]
    return tuple(spans)

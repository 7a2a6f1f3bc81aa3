"""The result as JSON: everything that the report shows, and that `ask` checks an answer against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mlactions.discover.citation import address
from mlactions.discover.constraints import needs_care
from mlactions.discover.model import (
    Candidate,
    Constraints,
    Dropped,
    Entry,
    Outcome,
    Query,
    Settings,
    Verdict,
)

MAX_SENTENCE = 1_000


def document(
    verdict: Verdict, outcome: Outcome, settings: Settings, *, endpoint: str, commit: str
) -> dict[str, Any]:
    """Return `result.json`."""
    error = outcome.error
    return {
        "version": 1,
        "word": "discover",
        "status": str(verdict.status),
        "verdict": _cut(verdict.sentence),
        "commit": commit,
        "key": settings.key,
        "state": verdict.state,
        "kind": settings.kind,
        "task": settings.task,
        "hub": endpoint,
        "constraints": asdict(settings.constraints),
        "limit": settings.limit,
        "plan": {"tag": outcome.plan.tag, "words": list(outcome.plan.words)},
        "searched": [
            {"query": _query(item.query), "found": item.found} for item in outcome.searched
        ],
        "candidates": [candidate_document(item, endpoint) for item in outcome.candidates],
        "dropped": [dropped_document(item, endpoint) for item in outcome.dropped],
        "error": None if error is None else {"title": error.title, "hint": error.hint},
    }


def candidate_document(candidate: Candidate, endpoint: str) -> dict[str, Any]:
    """Return one candidate that holds, with what is needed to use it."""
    return {
        **entry_document(candidate.entry, endpoint),
        "care": needs_care(candidate.entry),
        "warnings": list(candidate.warnings),
        "citation": asdict(candidate.citation),
        "snippets": [asdict(snippet) for snippet in candidate.snippets],
    }


def dropped_document(dropped: Dropped, endpoint: str) -> dict[str, Any]:
    """Return one that does not hold, and why."""
    entry = dropped.entry
    return {
        "id": dropped.id,
        "reasons": [asdict(reason) for reason in dropped.reasons],
        "entry": None if entry is None else entry_document(entry, endpoint),
    }


def entry_document(entry: Entry, endpoint: str) -> dict[str, Any]:
    """Return what the Hub says of a repository."""
    return {
        "id": entry.id,
        "asked": entry.asked,
        "url": address(entry, endpoint),
        "revision": entry.revision,
        "licence": entry.licence,
        "licence_card": list(entry.licence_card),
        "licence_tags": list(entry.licence_tags),
        "gated": entry.gated,
        "task": entry.task,
        "library": entry.library,
        "parameters": entry.parameters,
        "parameters_from": entry.parameters_from,
        "files": entry.files,
        "size": entry.size,
        "weights": [asdict(file) for file in entry.weights],
        "pickles": [asdict(file) for file in entry.pickles],
        "remote_code": entry.remote_code,
        "downloads": entry.downloads,
        "likes": entry.likes,
        "modified": entry.modified,
        "samples": entry.samples,
        "samples_least": entry.samples_least,
        "config": entry.config,
        "splits": [asdict(split) for split in entry.splits],
        "metrics": [asdict(metric) for metric in entry.metrics],
    }


def read_constraints(given: Mapping[str, Any]) -> Constraints:
    """Return the constraints of a result, which its schema has checked."""
    lists = {name: tuple(given[name]) for name in ("licences", "splits")}
    return Constraints(**{**given, **lists})


def bibliography(candidates: list[Mapping[str, Any]]) -> str:
    """Return the citations of candidates as one BibTeX file, each with where it is from."""
    parts = []
    for item in candidates:
        citation = item["citation"]
        origin = "as its card gives it" if citation["source"] == "card" else "generated"
        head = f"% {item['id']} at {item['revision']}, {origin}"
        parts.append(f"{head}\n{citation['text']}\n")
    return "\n".join(parts)


def _query(query: Query) -> dict[str, Any]:
    return {**asdict(query), "filters": list(query.filters)}


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_SENTENCE else f"{text[: MAX_SENTENCE - 1]}…"

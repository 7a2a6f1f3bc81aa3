"""What Codex says of runs, held to MLflow claim by claim, and the sweep it would try next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlactions.analyze.claims import Checked, Claim, check
from mlactions.analyze.records import FILE, Records
from mlactions.analyze.suggestion import NAME, Suggestion, check_sweep, render_sweep
from mlactions.analyze.tracker import Tracker
from mlactions.analyze.words import SHORT_ID
from mlactions.ask.proposal import CheckedProposal
from mlactions.ask.repository import Repository
from mlactions.bundle import MAX_FILE_BYTES, open_bundle
from mlactions.mlflow_store import Store, open_store
from mlactions.report import (
    Block,
    Code,
    Column,
    Details,
    Heading,
    Inline,
    Items,
    Paragraph,
    Span,
    Struck,
    Table,
    Untrusted,
)
from mlactions.schema import load_json
from mlactions.text import plural
from mlactions.values import canonical_key

MAX_CLAIMS = 60
"""As many are looked up: a person reads no more."""

SHOWN = 20
_NONE = (
    "⚠️ It makes no claim about a run that could be looked up: what the text says of runs was"
    " compared with the facts only."
)
_TOO_MANY = f"more than {MAX_CLAIMS} claims: not looked up"


def check_proposal(
    value: Mapping[str, Any],
    *,
    facts: Mapping[str, Mapping[str, Any]],  # noqa: ARG001  # claims are held to runs
    repository: Repository,  # noqa: ARG001  # nothing of it is needed
    bundle: Path,
    environ: Mapping[str, str] | None = None,
) -> CheckedProposal:
    """Look every claim up, in the analysis first, then in MLflow; read the sweep as a user's.

    `environ` names the tracking server and holds what it asks for. Where there is none, claims
    about runs that the analysis did not keep are struck.
    """
    records, result = _kept(bundle)
    claims = list(dict.fromkeys(Claim.of(entry) for entry in value["claims"]))
    store = _store(environ or {})
    with store or nullcontext():
        tracker = Tracker(records, result, store)
        found = [check(claim, tracker) for claim in claims[:MAX_CLAIMS]]
    found += [Checked(claim, struck=_TOO_MANY) for claim in claims[MAX_CLAIMS:]]
    sweep = check_sweep(value["sweep"], result)
    return _checked(_once(found), sweep, asked=store is not None)


def find_identifiers(
    identifiers: Sequence[str], *, bundle: Path, environ: Mapping[str, str]
) -> frozenset[str]:
    """Return those that are runs of the analysis, or of its experiment in MLflow."""
    records, result = _kept(bundle)
    store = _store(environ) if identifiers else None
    with store or nullcontext():
        tracker = Tracker(records, result, store)
        found = [name for name in identifiers if not isinstance(tracker.run(name), str)]
    return frozenset(found)


def _kept(bundle: Path) -> tuple[Records, Mapping[str, Any]]:
    """Return the runs that the analysis kept, and its result."""
    opened = open_bundle(bundle, word="analyze")
    result = load_json(opened.path("result.json"), max_bytes=MAX_FILE_BYTES)
    listed = {entry.path for entry in opened.entries}
    return (Records.of(opened.path(FILE)) if FILE in listed else Records()), result


def _once(found: Sequence[Checked]) -> list[Checked]:
    """Leave out what was said before of the same run, with the same value."""
    kept: dict[tuple[object, ...], Checked] = {}
    for item in found:
        kept.setdefault((*_about(item), item.claim.value, item.struck), item)
    return list(kept.values())


def _about(item: Checked) -> tuple[str, str, str, int | None]:
    """Return what a claim is about, however its run and its parameter were written."""
    claim = item.claim
    name = canonical_key(claim.name) if claim.kind == "parameter" else claim.name
    return item.run or claim.run, claim.kind, name, claim.step


def _store(environ: Mapping[str, str]) -> Store | None:
    uri = environ.get("MLFLOW_TRACKING_URI", "").strip()
    return open_store(uri, environ) if uri else None


def _checked(found: Sequence[Checked], sweep: Suggestion | None, *, asked: bool) -> CheckedProposal:
    """Count what holds once, however often and with how many digits it was said."""
    held = len({_about(item) for item in found if not item.struck})
    checked = held + sum(bool(item.struck) for item in found)
    document = {
        "claims": [_document(item) for item in found[: 2 * MAX_CLAIMS]],
        "mlflow": asked,
        "checked": checked,
        "held": held,
        "sweep": None if sweep is None else sweep.document(),
    }
    accepted = sweep is not None and not sweep.struck
    return CheckedProposal(
        document,
        checked + (sweep is not None),
        held + accepted,
        {NAME: sweep.text} if sweep is not None and accepted else {},
    )


def _document(item: Checked) -> dict[str, Any]:
    return {
        **asdict(item.claim),
        "run": item.run or item.claim.run,
        "held": not item.struck,
        "measured": item.measured,
        "struck": item.struck,
        "numbers_unverified": list(item.unverified),
    }


def render_proposal(document: Mapping[str, Any]) -> tuple[Block, ...]:
    """Show the claims that hold with the values MLflow has, the others struck, then the sweep."""
    return (*_claims(document), *render_sweep(document["sweep"]))


def _claims(document: Mapping[str, Any]) -> Iterator[Block]:
    if not document["checked"]:
        yield Paragraph(_NONE)
        return
    held = [item for item in document["claims"] if item["held"]]
    yield Heading(3, "What it says of runs")
    where = "MLflow" if document["mlflow"] else "the analysis"
    many = plural(document["checked"], "claim")
    yield Paragraph(f"Looked up in {where}: {many}, {document['held']:,} held.")
    if held:
        columns = (Column("Run"), Column("Logged"), Column("Value", "right"), Column("It says"))
        yield Table(columns, tuple(map(_row, held[:SHOWN])))
    if len(held) > SHOWN:
        yield Paragraph(f"{plural(len(held) - SHOWN, 'more claim')} in checked-answer.json.")
    yield from _struck([item for item in document["claims"] if not item["held"]])


def _row(item: Mapping[str, Any]) -> tuple[Inline, ...]:
    return Code(item["run"][:SHORT_ID]), _logged(item), Code(item["measured"][:80]), _said(item)


def _logged(item: Mapping[str, Any]) -> Inline:
    step = f" at step {item['step']}" if item["step"] is not None else ""
    return (Code(item["name"][:80]), step) if step else Code(item["name"][:80])


def _said(item: Mapping[str, Any]) -> Inline:
    said = Untrusted(item["says"])
    if not item["numbers_unverified"]:
        return said
    return (said, " ⚠️ Unverified: ", Code(", ".join(item["numbers_unverified"])))


def _struck(items: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    if not items:
        return
    rows = []
    for item in items[:SHOWN]:
        claim: list[Span] = [Struck(f"{item['name']} = {item['value'][:80]}"), " of run "]
        rows.append((*claim, Code(item["run"][:32]), ": ", Untrusted(item["struck"])))
    if len(items) > SHOWN:
        rows.append((f"… and {len(items) - SHOWN} more",))
    many = "1 claim was" if len(items) == 1 else f"{len(items)} claims were"
    yield Details(f"{many} struck: not what was logged", (Items(tuple(rows)),))

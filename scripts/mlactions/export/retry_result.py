"""Whether a patch helped: two results of an export held against each other, and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mlactions.ask.patch import CheckedPatch
from mlactions.errors import UserError
from mlactions.publish import Fact
from mlactions.report import (
    Block,
    Chip,
    Code,
    Column,
    Details,
    Inline,
    Items,
    Listing,
    Report,
    Table,
    Untrusted,
)
from mlactions.settings import Status

WORD = "export-retry"
MAX_REASONS = 100
MAX_VERDICT = 1000

Outcome = Literal["mended", "other-failure", "same-failure", "not-exported"]

_VERDICTS: Mapping[Outcome, str] = {
    "mended": "The suggested change mends the export.",
    "other-failure": "With the suggested change the export fails for another reason.",
    "not-exported": "With the suggested change the model cannot even be built.",
    "same-failure": "The suggested change does not help: the export fails as before.",
}


def side(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts of an export's result: its status, and the reasons of its failures."""
    failed = [finding for finding in result["findings"] if finding["level"] == "fail"]
    reasons = dict.fromkeys(finding["reason"] for finding in failed)
    if failure := result.get("failure"):
        reasons[str(failure["kind"])] = None
    listed = list(reasons)[:MAX_REASONS]
    return {"status": result["status"], "verdict": result["verdict"], "reasons": listed}


def refused(error: UserError) -> dict[str, Any]:
    """Return the side of an export that did not begin: the patched code does not build a model."""
    verdict = " ".join(f"{error.title}: {error.message}".split())[:MAX_VERDICT]
    return {"status": str(Status.REFUSED), "verdict": verdict, "reasons": ["not-exported"]}


def outcome_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> Outcome:
    """Say whether a patch helped. Another failure may be progress, but it is a failure."""
    if after["status"] in {Status.PASS, Status.WARN}:
        return "mended"
    if after["status"] == Status.REFUSED:
        return "not-exported"
    return "same-failure" if after["reasons"] == before["reasons"] else "other-failure"


def retry_result(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    patch: CheckedPatch,
    *,
    commit: str,
    key: str,
    notes: Sequence[str],
) -> dict[str, Any]:
    """Return `result.json`: both sides, and the patch that stands between them."""
    outcome = outcome_of(before, after)
    return {
        "version": 1,
        "word": WORD,
        "status": str(Status.PASS if outcome == "mended" else Status.FAIL),
        "verdict": _VERDICTS[outcome],
        "commit": commit,
        "key": key,
        "outcome": outcome,
        "before": dict(before),
        "after": dict(after),
        "files": [vars(file) for file in patch.files],
        "patch": patch.text,
        "notes": list(notes),
    }


def facts(result: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Return what may be cited of it."""
    sides = (("before", result["before"]), ("after", result["after"]))
    found = tuple(
        Fact(f"export.retry.{name}", f"{name} the patch the export ended {one['status']}")
        for name, one in sides
    )
    return (*found, Fact("export.retry.outcome", result["verdict"], result["outcome"]))


def render(result: Mapping[str, Any]) -> Report:
    """Return the report: what the export said without the patch, and with it."""
    rows = tuple(_row(name, result[name]) for name in ("before", "after"))
    columns = (Column("patch"), Column("export"), Column("reasons"), Column("verdict"))
    files = ", ".join(file["path"] for file in result["files"])
    blocks: list[Block] = [Table(columns, rows)]
    if result["notes"]:
        blocks.append(Items(tuple(Untrusted(note) for note in result["notes"])))
    diff = Listing(result["patch"], "diff")
    blocks.append(Details(("The patch that was tried, on ", Code(files)), (diff,)))
    status = Status(result["status"])
    return Report("Export with the suggested change", status, result["verdict"], tuple(blocks))


def _row(name: str, one: Mapping[str, Any]) -> tuple[Inline, ...]:
    reasons: list[Any] = []
    for reason in one["reasons"]:
        reasons += [", ", Code(reason)] if reasons else [Code(reason)]
    status = Status(one["status"])
    return (name, Chip(status, str(status)), tuple(reasons), Untrusted(one["verdict"]))

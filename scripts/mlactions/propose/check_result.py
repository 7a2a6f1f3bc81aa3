"""Whether a change holds when it is run, and the report of that. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlactions.propose.model import CHECK, Finding
from mlactions.propose.proposal import Proposal
from mlactions.propose.testing import is_test_file
from mlactions.propose.trial import Ran
from mlactions.publish import Fact
from mlactions.report import (
    Block,
    Chip,
    Code,
    Column,
    Details,
    Heading,
    Inline,
    Items,
    Listing,
    Report,
    Table,
    Untrusted,
)
from mlactions.settings import Status

OLD_TESTS = "tests as they were"
"""The repository's own tests, before the change edited them, run on the change."""

Runs = Mapping[str, tuple[str, Ran | None]]
_CHIPS = {"passed": Status.PASS, "failed": Status.FAIL, "timed-out": Status.FAIL}


def document(
    proposal: Proposal,
    commit: str,
    findings: Sequence[Finding],
    *,
    runs: Runs,
    models: Sequence[Mapping[str, Any]],
    tests: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return result.json: what was run, what came of it, and every reason against the change."""
    found = [*findings, *_of_runs(runs), *_of_models(models)]
    found += _of_tests(tests, proposal.result["tests_required"])
    return {
        "version": 1,
        "word": CHECK,
        "status": str(Status.FAIL if found else Status.PASS),
        "verdict": _verdict(found),
        "commit": commit,
        "key": proposal.result["key"],
        "proposal": proposal.sha256,
        "branch": proposal.result["branch"],
        "findings": [finding.document() for finding in found],
        "runs": [_run(name, line, ran) for name, (line, ran) in runs.items()],
        "models": list(models),
        "tests": list(tests),
        "unverified": list(_unverified(proposal, runs, tests)),
    }


def _verdict(found: Sequence[Finding]) -> str:
    if not found:
        return "The change applies, and everything that was run on it holds."
    return f"The change does not hold: {', '.join(dict.fromkeys(f.reason for f in found))}."


def _of_runs(runs: Runs) -> Iterator[Finding]:
    for name, (_, ran) in runs.items():
        if ran is not None and ran.outcome != "passed":
            how = f"exit code {ran.code}" if ran.outcome == "failed" else "it did not end in time"
            yield Finding(_FAILS[name], f"{how}.")


_FAILS = {"lint": "lint-fails", "tests": "tests-fail", OLD_TESTS: "old-tests-fail"}


def edited_tests(files: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the files of tests that were there and that a change edits."""
    return tuple(
        file["path"] for file in files if file["kind"] != "added" and is_test_file(file["path"])
    )


def _of_models(models: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    for model in models:
        named = f"{model['factory']} {model['arguments']}"
        if model["parameters"] is None:
            yield Finding("claim-not-built", f"{named}: {model['why']}"[:4000])
            continue
        for what, claim in (("parameters", "claimed"), ("trainable", "claimed_trainable")):
            if model[claim] not in {-1, model[what]}:
                text = f"{named}: {model[claim]:,} {what} claimed, {model[what]:,} counted."
                yield Finding("claim-wrong", text)


def _of_tests(tests: Sequence[Mapping[str, Any]], required: bool) -> Iterator[Finding]:
    for test in tests:
        if test["with"] != "passed":
            text = f"{test['name']} ended {test['with']} with the change."
            yield Finding("added-test-fails", text, test["path"])
        elif required and test["without"] != "failed":
            text = f"{test['name']} ended {test['without']} without the change: it proves nothing."
            yield Finding("test-proves-nothing", text, test["path"])


def _unverified(
    proposal: Proposal, runs: Runs, tests: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """Say what nobody has looked at; a reader must not take silence for a check."""
    for name, (line, _) in runs.items():
        if not line:
            yield f"No {name} command is configured, so none was run."
    if runs and not proposal.result["models"]:
        yield "No number of parameters is claimed, so no model was built."
    if runs and not tests:
        yield "The change adds no tests."
    if (edited := edited_tests(proposal.result["files"])) and OLD_TESTS not in runs:
        named = ", ".join(edited[:10])
        yield f"It edits tests that were there, and as they were none was run: {named}."[:2000]
    if proposal.result["classes"]:
        yield "The sizes in the table of classes are Codex's own; only claimed models are built."
    yield "Nothing was trained: what the change does to metrics is not known."


def _run(name: str, line: str, ran: Ran | None) -> dict[str, Any]:
    shown = [] if ran is None or ran.outcome == "passed" else list(ran.log)
    return {
        "name": name,
        "command": line,
        "outcome": ran.outcome if ran else "not-run",
        "exit_code": ran.code if ran else None,
        "seconds": ran.seconds if ran else 0,
        "log": shown,
    }


def facts(result: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Return what may be cited of it."""
    found = [Fact("propose.check.verdict", result["verdict"], result["status"])]
    for number, finding in enumerate(result["findings"], start=1):
        text = f"{finding['reason']}: {finding['text']}"
        found.append(Fact(f"propose.check.finding.{number}", text, finding["reason"]))
    return tuple(found)


def render(result: Mapping[str, Any]) -> Report:
    """Return the report of `check`, from its result alone."""
    blocks = tuple(evidence(result))
    return Report("Proposed change, run", Status(result["status"]), result["verdict"], blocks)


def evidence(result: Mapping[str, Any]) -> Iterator[Block]:
    """Yield what was run and counted, then what was not verified."""
    if result["findings"]:
        columns = (Column("against it"), Column("where"), Column("what was found"))
        rows = tuple(
            (Code(f["reason"]), Code(f["path"]) if f["path"] else "", Untrusted(f["text"]))
            for f in result["findings"]
        )
        yield Table(columns, rows)
    if result["runs"]:
        yield Heading(3, "Run")
        what = (Column("what"), Column("outcome"), Column("time", "right"), Column("command"))
        yield Table(what, tuple(_row(run) for run in result["runs"]))
    yield from _models(result["models"])
    yield from _tests(result["tests"])
    yield Heading(3, "Not verified")
    yield Items(tuple(result["unverified"]))
    for run in result["runs"]:
        if run["log"]:
            yield Details((f"The end of {run['name']}",), (Listing("\n".join(run["log"])),))


def _row(run: Mapping[str, Any]) -> tuple[Any, ...]:
    outcome = run["outcome"]
    chip = Chip(_CHIPS.get(outcome, Status.SKIPPED), outcome)
    return (
        run["name"],
        chip,
        f"{run['seconds']:.1f} s",
        Code(run["command"]) if run["command"] else "",
    )


def _models(models: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    if models:
        yield Heading(3, "Parameters, claimed and counted")
        columns = (Column("model"), Column("claimed", "right"), Column("counted", "right"))
        more = (Column("trainable claimed", "right"), Column("trainable counted", "right"))
        rows = tuple(_model(model) for model in models)
        yield Table((*columns, *more), rows)


def _model(model: Mapping[str, Any]) -> tuple[Inline, ...]:
    named = Code(f"{model['factory']} {model['arguments']}")
    return (named, *(_count(model[name]) for name in _COUNTS))


_COUNTS = ("claimed", "parameters", "claimed_trainable", "trainable")


def _count(value: int | None) -> str:
    if value is None:
        return "not built"
    return f"{value:,}" if value >= 0 else "no claim"


def _tests(tests: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    if tests:
        yield Heading(3, "Added tests")
        columns = (Column("test"), Column("file"), Column("without the change"), Column("with it"))
        rows = tuple((Code(t["name"]), Code(t["path"]), t["without"], t["with"]) for t in tests)
        yield Table(columns, rows)

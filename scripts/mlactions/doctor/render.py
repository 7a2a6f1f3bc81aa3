"""The check-up as a report and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlactions.doctor.check import Checkup
from mlactions.doctor.model import Problem
from mlactions.init.show import words
from mlactions.report import (
    Block,
    Chip,
    Code,
    Column,
    Heading,
    Inline,
    Items,
    Paragraph,
    Report,
    Strong,
    Table,
)
from mlactions.settings import Status
from mlactions.text import plural


def status_of(checkup: Checkup) -> Status:
    """Return the verdict."""
    if checkup.count("fail"):
        return Status.FAIL
    return Status.WARN if checkup.problems else Status.PASS


def render(checkup: Checkup, tools: Mapping[str, bool]) -> Report:
    """Return the report; `tools` are programs, and whether this machine has them."""
    return Report(
        title="mlactions doctor",
        status=status_of(checkup),
        verdict=_verdict(checkup),
        blocks=tuple(_blocks(checkup, tools)),
    )


def _verdict(checkup: Checkup) -> str:
    looked = f"{plural(len(checkup.workflows), 'workflow')} of this library looked at"
    if not checkup.problems:
        return f"{looked}: everything is right."
    fails, warnings = checkup.count("fail"), checkup.count("warn")
    parts = [f"{fails} to mend"] if fails else []
    parts += [f"{plural(warnings, 'warning')}"] if warnings else []
    return f"{looked}: {', '.join(parts)}."


def _blocks(checkup: Checkup, tools: Mapping[str, bool]) -> Iterator[Block]:
    for file in dict.fromkeys(problem.file for problem in checkup.problems):
        yield Heading(2, Code(file))
        of_file = [problem for problem in checkup.problems if problem.file == file]
        yield Table(
            (Column("Line", "right"), Column(""), Column("What, and what to do")), _rows(of_file)
        )
    yield Heading(2, "What was looked at")
    yield Table((Column("What"), Column("Found")), tuple(_seen(checkup, tools)))
    if checkup.secrets:
        yield Paragraph("Secrets that workflows name; whether GitHub has them, it does not tell:")
        named = sorted(checkup.secrets.items())
        yield Items(tuple((Code(path), f": {', '.join(names)}") for path, names in named))


def _rows(problems: list[Problem]) -> tuple[tuple[Inline, ...], ...]:
    chips = {"fail": Chip(Status.FAIL, "fail"), "warn": Chip(Status.WARN, "warn")}
    return tuple(
        (
            str(problem.line),
            chips[problem.severity],
            (*words(problem.message), " ", Strong("→"), " ", *words(problem.fix)),
        )
        for problem in problems
    )


def _seen(checkup: Checkup, tools: Mapping[str, bool]) -> Iterator[tuple[Inline, ...]]:
    yield "workflows", ", ".join(checkup.workflows) or "none"
    used = (f"{name} ×{count}" if count > 1 else name for name, count in checkup.actions.items())
    yield "uses", ", ".join(used) or "nothing of this library"
    have = [name for name, there in tools.items() if there]
    lack = [name for name, there in tools.items() if not there]
    missing = f"; not {', '.join(lack)}" if lack else ""
    yield "on this machine", f"{', '.join(have) or 'none'}{missing}"


def document(checkup: Checkup) -> dict[str, Any]:
    """Return the check-up as JSON: `version` 1, problems in the order of files and lines."""
    return {
        "version": 1,
        "status": status_of(checkup).value,
        "workflows": list(checkup.workflows),
        "uses": dict(checkup.actions),
        "secrets": {path: list(names) for path, names in sorted(checkup.secrets.items())},
        "problems": [
            {
                "file": problem.file,
                "line": problem.line,
                "rule": problem.rule,
                "severity": problem.severity,
                "message": problem.message,
                "fix": problem.fix,
            }
            for problem in checkup.problems
        ],
    }

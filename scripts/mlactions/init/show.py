"""The plan as a report: what was seen, what would be written and why, what is left to do. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mlactions.init.agents import ADVICE
from mlactions.init.model import Findings, Plan
from mlactions.report import (
    Block,
    Code,
    Column,
    Details,
    Heading,
    Inline,
    Items,
    Listing,
    Paragraph,
    Report,
    Span,
    Table,
)
from mlactions.settings import Status
from mlactions.text import plural

MAX_NOTES = 20
_COMPLETE = "everything that fits is there already"


def render(found: Findings, plan: Plan, *, pin: str, listings: bool = True) -> Report:
    """Return the report of a plan, with the files' texts where `listings`."""
    return Report(
        title="mlactions init",
        status=Status.PASS if plan.files else Status.SKIPPED,
        verdict=_verdict(plan),
        blocks=tuple(_blocks(found, plan, pin, listings)),
    )


def _verdict(plan: Plan) -> str:
    missing = "".join(f" No workflow uses {word}: its file name is taken." for word in plan.blocked)
    if not plan.files:
        return f"Nothing to write.{missing}" if missing else f"Nothing to write: {_COMPLETE}."
    kept = f" {len(plan.kept)} left alone." if plan.kept else ""
    return f"{plural(len(plan.files), 'file')} to write; nothing is overwritten.{kept}{missing}"


def _blocks(found: Findings, plan: Plan, pin: str, listings: bool) -> Iterator[Block]:
    yield Heading(2, "What this repository is")
    yield Table((Column("What"), Column("Found"), Column("Where")), tuple(_rows(found, plan)))
    if found.notes:
        more = [f"… and {len(found.notes) - MAX_NOTES} more."] if found.notes[MAX_NOTES:] else []
        yield Items(tuple(words(note) for note in (*found.notes[:MAX_NOTES], *more)))
    if plan.files:
        yield Heading(2, "What will be written")
        rows = tuple((Code(file.path), words(file.reason)) for file in plan.files)
        yield Table((Column("File"), Column("Why")), rows)
        for file in plan.files if listings else ():
            added = "".join(f"+{line}\n" for line in file.text.splitlines())
            count = plural(len(file.text.splitlines()), "line")
            yield Details((Code(file.path), f", {count}"), (Listing(added, "diff"),))
    if plan.kept or plan.left_out:
        yield Heading(2, "What stays as it is")
        kept = [(Code(path), f"{why}: left alone") for path, why in plan.kept]
        left = [(Code(word), words(why)) for word, why in plan.left_out]
        yield Table((Column("What"), Column("Why")), (*kept, *left))
    if plan.files:
        yield from _ending(plan, pin)


def _ending(plan: Plan, pin: str) -> Iterator[Block]:
    if plan.command:
        yield Heading(2, "The evaluation")
        yield Listing(plan.command)
    yield Heading(2, "Then")
    yield Items(tuple(words(step) for step in plan.steps))
    yield Details("Advice for .codex/", (Listing(ADVICE, "toml"),))
    if not pin:
        text = (
            "The commit of this library is not known here: give `--pin SHA`, the 40 digits of the"
            " release you want."
        )
        yield Paragraph(words(text))


def _rows(found: Findings, plan: Plan) -> Iterator[tuple[Inline, ...]]:
    packages = found.packages
    yield "packages", packages.manager, Code(packages.source) if packages.source else ""
    source = Code(packages.python_source) if packages.python_source else "our default"
    yield "Python", packages.python, source
    for name, evidence in sorted(found.frameworks.items()):
        yield "uses", name, Code(str(evidence))
    for script in found.scripts[:8]:
        yield script.role, Code(script.arguments), Code(f"{script.path}:{script.line}")
    globs = " ".join(plan.configs)
    count = plural(len(found.config_files), "file")
    yield "configs", Code(globs) if globs else "none", count if globs else ""
    for path, uses in sorted(found.workflows.items()):
        yield "workflow", Code(path), ", ".join(sorted(uses)) or "none of ours"


def words(text: str) -> tuple[Span, ...]:
    """Return a sentence whose names stand between backticks as spans."""
    parts = text.split("`")
    return tuple(
        Code(part) if position % 2 else part for position, part in enumerate(parts) if part
    )

"""The report of a proposed change: plan, claims, gates, and what nobody has verified. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlactions.compare.messages import spans_of
from mlactions.publish import Fact
from mlactions.report import (
    Block,
    Code,
    Column,
    Details,
    Heading,
    Inline,
    Items,
    Paragraph,
    Report,
    Table,
    Untrusted,
)
from mlactions.settings import Status

WHY: Mapping[str, str] = {
    "no-key": "No API key was given.",
    "no-login": "Codex has no key: run `codex login`, or set OPENAI_API_KEY.",
    "no-codex": "There is no `codex` on the PATH: npm install -g @openai/codex.",
    "sandbox-dead": "Codex's sandbox did not start, so no command of it ran.",
    "actor": "codex-action does not answer this bot.",
    "not-set-up": "codex-action stopped before it set Codex up: its log says why.",
    "timed-out": "Codex did not finish in time.",
    "auth": "The API refused the key.",
    "quota": "The API account has no quota left.",
    "unproven": "Codex ran no command that worked, so it saw nothing of the repository.",
    "empty": "Codex's last message was empty.",
    "not-json": "Codex's last message was no JSON.",
    "schema-violated": "Codex's last message does not have the agreed form.",
}


def facts(result: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Return what may be cited of a proposed change."""
    found = [Fact("propose.verdict", result["verdict"], result["status"])]
    for number, finding in enumerate(result["findings"], start=1):
        path = finding["path"] or None
        text = f"{finding['reason']}: {finding['text']}"
        found.append(Fact(f"propose.finding.{number}", text, finding["reason"], file=path))
    return tuple(found)


def render(result: Mapping[str, Any]) -> Report:
    """Return the report of `take`, from its result alone."""
    blocks: list[Block] = []
    if result["reason"]:
        detail = Untrusted(result["detail"])
        blocks.append(Paragraph(("Reason: ", Code(result["reason"]), " ", detail)))
    if result["title"]:
        blocks.append(Paragraph(("Codex calls it: ", Untrusted(result["title"]))))
    blocks += [*_findings(result["findings"]), *change(result)]
    title = f"Proposed change: {result['task']}"
    return Report(title, Status(result["status"]), spans_of(result["verdict"]), tuple(blocks))


def change(result: Mapping[str, Any]) -> Iterator[Block]:
    """Yield what is proposed: Codex's words, marked as such, and what git counted."""
    if result["summary"]:
        yield Paragraph(("Codex writes: ", Untrusted(result["summary"])))
    if result["plan"]:
        yield Heading(3, "Plan")
        yield Items(_untrusted(result["plan"]))
    yield from _design(result)
    yield from _claims(result)
    if result["files"]:
        yield Heading(3, "Files")
        columns = (Column("file"), Column("what"), Column("+", "right"), Column("−", "right"))
        yield Table(columns, tuple(_file(file) for file in result["files"]))
    if result["unverified"]:
        yield Heading(3, "Not verified, says Codex")
        yield Items(_untrusted(result["unverified"]))
    if usage := result["usage"]:
        told = f"{usage['input_tokens'] + usage['output_tokens']:,} tokens"
        told += f", {usage['seconds']:,.0f} s, {usage['commands']} commands, {usage['model']}"
        yield Details("What it cost", (Paragraph(Untrusted(told)),))


def _findings(findings: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    if findings:
        columns = (Column("refused because"), Column("where"), Column("what was found"))
        rows = tuple(
            (Code(f["reason"]), Code(f["path"]) if f["path"] else "", Untrusted(f["text"]))
            for f in findings
        )
        yield Table(columns, rows)


def _design(result: Mapping[str, Any]) -> Iterator[Block]:
    if result["classes"]:
        yield Heading(3, "Classes")
        columns = (Column("class"), Column("derives from"), Column("parameters", "right"))
        yield Table((*columns, Column("role")), tuple(_class(item) for item in result["classes"]))
    if result["forward"]:
        yield Heading(3, "Forward pass")
        yield Items(_untrusted(result["forward"]))


def _class(item: Mapping[str, Any]) -> tuple[Inline, ...]:
    count = f"{item['parameters']:,}" if item["parameters"] >= 0 else "unknown"
    return (Code(item["name"]), Code(item["base"]), count, Untrusted(item["role"]))


def _claims(result: Mapping[str, Any]) -> Iterator[Block]:
    if result["models"]:
        yield Heading(3, "Claimed sizes")
        columns = (Column("model"), Column("parameters", "right"), Column("trainable", "right"))
        rows = tuple(
            (Code(f"{m['factory']} {m['arguments']}"), f"{m['parameters']:,}", _trainable(m))
            for m in result["models"]
        )
        yield Table(columns, rows)


def _trainable(model: Mapping[str, Any]) -> str:
    return f"{model['trainable']:,}" if model["trainable"] >= 0 else "not claimed"


def _file(file: Mapping[str, Any]) -> tuple[Inline, ...]:
    return (Code(file["path"]), file["kind"], f"{file['added']:,}", f"{file['removed']:,}")


def _untrusted(texts: Sequence[str]) -> tuple[Inline, ...]:
    return tuple(Untrusted(text) for text in texts)

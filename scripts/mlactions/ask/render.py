"""A checked answer as a report: Python prints the facts, the agent's words are only words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlactions import markdown
from mlactions.ask import proposal
from mlactions.ask.measured import sentence_of
from mlactions.codex import TESTED_VERSION
from mlactions.report import (
    Block,
    Code,
    Details,
    Heading,
    Inline,
    Items,
    Listing,
    Paragraph,
    Report,
    Span,
    Strong,
    Struck,
    Untrusted,
)
from mlactions.settings import Status

# One sentence for each way a question can end without an answer.
_SENTENCES: Mapping[str, str] = {
    "nothing-to-explain": "Nothing failed, so Codex was not asked.",
    "no-key": "No explanation: no API key was given.",
    "no-codex": "No explanation: there is no `codex` on the PATH. Install it: `npm install -g "
    f"@openai/codex@{TESTED_VERSION}`, then `codex login` or set `OPENAI_API_KEY`.",
    "no-login": "No explanation: Codex has neither a login nor a key. Run `codex login`, or set "
    "`OPENAI_API_KEY`.",
    "codex-failed": "No explanation: Codex ended with an error.",
    "skipped": "No explanation: the step that calls Codex was skipped.",
    "not-prepared": "No explanation: the question could not be prepared; the step's log says why.",
    "actor": "No explanation: codex-action does not answer this bot. Name it in `allow-bot-users`.",
    "not-set-up": "No explanation: codex-action stopped before it set Codex up. Either Codex could "
    "not be installed, or whoever started the run has no write access; the step's log says which.",
    "auth": "No explanation: the API key or the login was not accepted.",
    "quota": "No explanation: the API account has no quota left.",
    "rate-limit": "No explanation: the API's rate limit was reached.",
    "server-error": "No explanation: the API had an error of its own.",
    "stream-broken": "No explanation: the connection to the API broke off.",
    "context-window": "No explanation: what Codex read did not fit into the model's context.",
    "request-failed": "No explanation: the API did not accept the request.",
    "mcp-not-started": "No explanation: an MCP server that Codex needs did not start.",
    "mcp-failed": "No explanation: every call of an MCP server failed, so it taught nothing.",
    "timed-out": "No explanation: Codex did not finish in time.",
    "sandbox-dead": "No explanation: Codex's sandbox cannot start on this machine, which needs "
    "unprivileged user namespaces.",
    "several-sessions": "No explanation: more than one Codex session ran, so none can be trusted.",
    "not-started": "No explanation: Codex did not start; the step's log says why.",
    "empty": "No explanation: Codex gave no answer.",
    "too-large": "No explanation: Codex's answer was too large.",
    "not-json": "No explanation: Codex's answer was not JSON.",
    "schema-violated": "No explanation: Codex's answer did not have the agreed form.",
    "check-failed": "No explanation: Codex's answer could not be checked.",
    "unproven": "No explanation: nothing proves that Codex looked at the facts, so its answer is "
    "not shown.",
}
QUIET = {"nothing-to-explain", "no-key", "no-codex", "no-login", "skipped"}
"""Reasons that are somebody's choice: no warning is due."""

_TITLE = "Codex's explanation"
_SHOWN_FACTS = 5
ROOM = 20_000
"""Characters an answer may take in another word's report: beside it stands the verdict."""

_UNCHANGED = "The verdict does not depend on it."


def render_answer(
    checked: Mapping[str, Any], facts: Sequence[Mapping[str, Any]] = ()
) -> tuple[Block, ...]:
    """Return the blocks a word's report appends.

    `facts` are those of the bundle at hand; texts of facts it lacks come from the checked answer.
    What does not fit into `ROOM` is left out, and said; the report of the answer alone has it all.
    """
    if checked["status"] != "answered":
        return _unanswered(checked)
    pieces = _within(ROOM, checked, _pieces(checked, facts))
    return (Heading(2, "Why: Codex's explanation"), *pieces, Paragraph(_footer(checked)))


def _pieces(
    checked: Mapping[str, Any], facts: Sequence[Mapping[str, Any]] = ()
) -> list[tuple[Block, ...]]:
    """Return the parts of an answer, each of which is shown as a whole or not at all."""
    texts = {**checked["facts"], **{str(fact["id"]): sentence_of(fact) for fact in facts}}
    held = [finding for finding in checked["findings"] if finding["held"]]
    struck = [finding for finding in checked["findings"] if not finding["held"]]
    return [
        _summary(checked, checked["summary"]),
        *(tuple(_finding(finding, texts)) for finding in held),
        tuple(_struck(struck)),
        tuple(_patch(checked.get("patch"))),
        _proposal(checked),
        tuple(_tool_failures(checked)),
        tuple(_next_steps(checked)),
    ]


def _summary(checked: Mapping[str, Any], text: str) -> tuple[Block, ...]:
    return (Paragraph(Untrusted(text)), *_unmeasured(checked["numbers_unverified"]["summary"]))


def _within(
    room: int, checked: Mapping[str, Any], pieces: Sequence[tuple[Block, ...]]
) -> Iterable[Block]:
    """Yield the parts that fit beside a verdict, and say how many do not."""
    first, *rest = pieces
    text = checked["summary"]
    while _length(first) > room // 2 and text:
        text = text[: len(text) // 2]
        first = _summary(checked, f"{text}…")
    left_out, used = 0, 0
    for piece in (first, *rest):
        used += _length(piece)
        if used <= room:
            yield from piece
        else:
            left_out, used = left_out + 1, used - _length(piece)
    if left_out or text != checked["summary"]:
        parts = f"{_many(left_out, 'part')} of it " if left_out else "The end of its summary "
        verb = "are" if left_out > 1 else "is"
        yield Paragraph(
            f"{parts}{verb} left out here: the answer is too long. The artifact has it."
        )


def _length(blocks: Iterable[Block]) -> int:
    return sum(map(markdown.length, blocks))


def render_report(checked: Mapping[str, Any]) -> Report:
    """Return the report of the ask step alone."""
    if checked["status"] == "answered":
        held, all_claims = checked["claims"]["held"], checked["claims"]["checked"]
        whole = held == all_claims and not checked.get("tool_failures")
        status = Status.PASS if whole else Status.WARN
        return Report(_TITLE, status, sentence(checked), _whole(checked))
    status = Status.SKIPPED if checked["reason"] in QUIET else Status.WARN
    return Report(_TITLE, status, _said(checked), _reason(checked, unfold=True))


def _whole(checked: Mapping[str, Any]) -> tuple[Block, ...]:
    blocks = [block for piece in _pieces(checked) for block in piece]
    return (*blocks, Paragraph(_footer(checked)))


def sentence(checked: Mapping[str, Any]) -> str:
    """Return how a question ended, in one sentence."""
    if checked["status"] == "answered":
        claims = checked["claims"]
        return f"Codex answered; {claims['held']} of {claims['checked']} claims held."
    if checked["status"] == "refused":
        return "No explanation: the model refused the question."
    return _SENTENCES.get(checked["reason"], "No explanation: Codex could not be asked.")


def _said(checked: Mapping[str, Any]) -> tuple[Span, ...]:
    """Return that sentence with its commands as code: as text they could not be copied whole."""
    parts = sentence(checked).split("`")
    return tuple(Code(part) if odd % 2 else part for odd, part in enumerate(parts) if part)


def _unanswered(checked: Mapping[str, Any]) -> tuple[Block, ...]:
    if checked["reason"] == "nothing-to-explain":
        return ()
    return (Paragraph((*_said(checked), f" {_UNCHANGED}")), *_reason(checked))


def _reason(checked: Mapping[str, Any], *, unfold: bool = False) -> tuple[Block, ...]:
    parts: tuple[Span, ...] = (Code(f"{checked['status']}: {checked['reason']}"),)
    if checked["detail"]:
        parts += (" ", Untrusted(checked["detail"]))
    blocks: list[Block] = [Paragraph(parts), *_tool_failures(checked)]
    if checked["usage"]:
        blocks.append(Paragraph(_usage(checked["usage"])))
    return (Details("What happened", tuple(blocks), open=unfold and bool(checked["detail"])),)


def _finding(finding: Mapping[str, Any], texts: Mapping[str, str]) -> Iterable[Block]:
    yield Paragraph(_title(finding))
    yield Paragraph(Untrusted(finding["explanation"]))
    items: list[Inline] = [("There: ", Code(finding["quote"]))] if finding["quote"] else []
    known = [texts[fact] for fact in finding["facts"] if fact in texts]
    items += [("Measured: ", Untrusted(text)) for text in known[:_SHOWN_FACTS]]
    items += [f"… and {len(known) - _SHOWN_FACTS} more"] if len(known) > _SHOWN_FACTS else []
    yield Items(tuple(items))
    yield from _unmeasured(finding["numbers_unverified"])


def _title(finding: Mapping[str, Any]) -> Inline:
    about = " · ".join(part for part in (finding["model"], finding["metric"]) if part)
    parts: list[Span] = [Strong(about or ("Cause" if finding["file"] else "Several models"))]
    if finding["file"]:
        line = f":{finding['line']}" if finding["line"] else ""
        parts += [" in ", Code(f"{finding['file']}{line}")]
    return (*parts, f", confidence {finding['confidence']}")


def _struck(findings: Sequence[Mapping[str, Any]]) -> Iterable[Block]:
    if not findings:
        return
    items = [
        (Struck(finding["explanation"]), " — ", Untrusted("; ".join(finding["struck"])))
        for finding in findings
    ]
    many = "1 explanation was" if len(items) == 1 else f"{len(items)} explanations were"
    yield Details(f"{many} struck: a claim did not hold", (Items(tuple(items)),))


def _patch(patch: Mapping[str, Any] | None) -> Iterable[Block]:
    """Show a diff as lines: it is in nobody's tree, and a person decides."""
    if patch is None:
        return
    diff = Listing(patch["text"], "diff")
    if not patch["held"]:
        why: Inline = ("The suggested change was struck: ", Untrusted(patch["struck"]))
        yield Details(why, (diff,))
        return
    yield Heading(3, "Suggested change")
    where = (
        f"It applies, to {_many(len(patch['files']), 'file')}, and was not applied. Read it, then"
    )
    take = Code("git apply suggested.patch")
    yield Paragraph(
        (f"{where} run ", take, ". The file lies with the answer, on GitHub in its artifact.")
    )
    yield diff


def _proposal(checked: Mapping[str, Any]) -> tuple[Block, ...]:
    """Show what a word has proposed, as that word shows it, and the files that came of it."""
    entry = checked.get("proposal")
    blocks = proposal.render(entry)
    if entry is None or not entry["files"]:
        return blocks
    names: list[Span] = []
    for name in entry["files"]:
        names += [", " if names else "", Code(name)]
    where = Paragraph(("Beside this answer, on GitHub in its artifact: ", *names, "."))
    return (*blocks, where)


def _many(count: int, name: str) -> str:
    return f"{count} {name}{'s' * (count != 1)}"


def _tool_failures(checked: Mapping[str, Any]) -> Iterable[Block]:
    """Name the calls of MCP servers that failed: the answer was written without what they hold."""
    failures = checked.get("tool_failures", ())
    if not failures:
        return
    usage = checked["usage"]
    items = [(Code(f"{c['server']}: {c['tool']}"), " ", Untrusted(c["said"])) for c in failures]
    many = f"{usage['mcp_failures']} of {_many(usage['mcp_calls'], 'MCP call')} failed"
    yield Details(f"⚠️ {many}", (Items(tuple(items)),), open=True)


def _unmeasured(tokens: Sequence[str]) -> Iterable[Block]:
    if tokens:
        yield Paragraph(("⚠️ Unverified, nothing measured matches: ", Code(", ".join(tokens))))


def _next_steps(checked: Mapping[str, Any]) -> Iterable[Block]:
    if checked["next_steps"]:
        yield Heading(3, "Next steps it proposes")
        yield Items(tuple(Untrusted(step) for step in checked["next_steps"]))
    if tokens := checked["numbers_unverified"]["next_steps"]:
        yield Paragraph(("Proposed, not measured: ", Code(", ".join(tokens))))


def _footer(checked: Mapping[str, Any]) -> Inline:
    claims = checked["claims"]
    return (
        f"Claims checked: {claims['checked']}, held: {claims['held']}. {_UNCHANGED} ",
        *_usage(checked["usage"]),
    )


def _usage(usage: Mapping[str, Any] | None) -> tuple[Span, ...]:
    if usage is None:
        return ()
    cached = f", {usage['cached_input_tokens']:,} of them cached" * bool(
        usage["cached_input_tokens"]
    )
    calls = f", {_many(usage['mcp_calls'], 'MCP call')}" * bool(usage["mcp_calls"])
    words = (
        f": {usage['input_tokens']:,} tokens in{cached}, {usage['output_tokens']:,} out, "
        f"{_many(usage['commands'], 'command')}{calls}, {usage['seconds']:.1f} s."
    )
    return (f"Codex {usage['codex_version']}, ", Code(usage["model"] or "default model"), words)

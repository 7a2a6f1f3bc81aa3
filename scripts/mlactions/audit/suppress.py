"""Comments that silence a finding: `# audit: ignore[rule-id] reason`."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Collection, Iterator, Sequence

from mlactions.audit.model import Finding, Place, Suppression
from mlactions.audit.rules import RULES, own
from mlactions.audit.source import MAX_QUOTE, Source

_COMMENT = re.compile(r"#\s*audit:\s*ignore(?:\[([^]]*)\])?[:\s]*(.*)")
_MARK = "audit:"


def read_suppressions(source: Source) -> list[Suppression]:
    """Return the comments of a Python source that silence rules."""
    if _MARK not in source.text:
        return []
    found = []
    for line, text, alone in _comments(source):
        if match := _COMMENT.match(text):
            covers = (line, _next_code(source.lines, line)) if alone else (line,)
            place, quote = source.place(line), source.quote(line)
            found.append(_suppression(source.path, match, place, covers, quote))
    return found


def read_plain(path: str, text: str) -> list[Suppression]:
    """Return the comments of a file whose lines are one item each, such as requirements.txt."""
    found = []
    lines = text.splitlines() if _MARK in text else []
    for number, line in enumerate(lines, start=1):
        if match := _COMMENT.search(line):
            alone = line.lstrip().startswith("#")
            covers = (number, number + 1) if alone else (number,)
            quote = line.strip()[:MAX_QUOTE]
            found.append(_suppression(path, match, Place(number), covers, quote))
    return found


def _suppression(
    path: str, match: re.Match[str], place: Place, covers: tuple[int, ...], quote: str
) -> Suppression:
    rules = tuple(item.strip() for item in (match[1] or "").split(",") if item.strip())
    reason = " ".join(match[2].split("# audit:")[0].split())
    return Suppression(path, rules, reason, place, covers, quote)


def _comments(source: Source) -> Iterator[tuple[int, str, bool]]:
    """Yield line, text and whether nothing else stands on the line, for every comment."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
            if token.type == tokenize.COMMENT and _MARK in token.string:
                alone = not token.line[: token.start[1]].strip()
                yield token.start[0], token.string, alone
    except (tokenize.TokenError, SyntaxError):
        return  # the parser took it, so this is the end of the file


def _next_code(lines: Sequence[str], line: int) -> int:
    for number in range(line + 1, min(line + 20, len(lines)) + 1):
        text = lines[number - 1].strip()
        if text and not text.startswith("#"):
            return number
    return line


def apply(
    findings: Sequence[Finding], suppressions: Sequence[Suppression]
) -> tuple[list[Finding], list[tuple[Finding, str]], list[Finding]]:
    """Return what stays, what is silenced with its reason, and findings about the comments."""
    used: set[Suppression] = set()
    kept: list[Finding] = []
    silenced: list[tuple[Finding, str]] = []
    by_file: dict[str, list[Suppression]] = {}
    for item in suppressions:
        by_file.setdefault(item.file, []).append(item)
    for finding in findings:
        answers = [item for item in by_file.get(finding.file, ()) if _covers(item, finding)]
        used.update(answers)
        reason = next((item.reason for item in answers if item.reason), "")
        if reason:
            silenced.append((finding, reason))
        else:
            kept.append(finding)
    return kept, silenced, list(_about(suppressions, used))


def _covers(item: Suppression, finding: Finding) -> bool:
    lines = range(finding.source_line, finding.last_line + 1)
    return finding.rule in item.rules and any(line in lines for line in item.covers)


def _about(suppressions: Sequence[Suppression], used: Collection[Suppression]) -> Iterator[Finding]:
    for item in suppressions:
        unknown = [rule for rule in item.rules if rule not in RULES]
        if unknown or not item.rules:
            named = ", ".join(f"`{rule:.60}`" for rule in unknown) or "no rule"
            yield _finding(item, own.UNKNOWN.id, f"The comment names {named}.")
        elif not item.reason:
            text = "The comment gives no reason, so it silences nothing."
            yield _finding(item, own.NO_REASON.id, text)
        elif item not in used:
            named = ", ".join(f"`{rule}`" for rule in item.rules)
            yield _finding(item, own.UNUSED.id, f"Nothing here breaks {named}.")


def _finding(item: Suppression, rule: str, message: str) -> Finding:
    line = item.covers[0]
    level = RULES[rule].level
    return Finding(rule, level, item.file, item.place, message, item.quote, line, line)

"""Write notes: a scaffold, and the result into one that is there. All else stays byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from mlactions.compare.model import Baseline, Rule
from mlactions.errors import UserError
from mlactions.note.model import RESULT, Note, Outcome
from mlactions.note.parse import NAME, parse_note

BEGIN = "<!-- mlactions:result -->"
END = "<!-- /mlactions:result -->"
MAX_SLUG = 48
MAX_RULES = 5
_WORD = re.compile(r"[a-z0-9]+")
_STATUS = re.compile(r"^(status[ \t]*:[ \t]*)([^\s#]+)([^\r\n]*)(\r?\n)", re.MULTILINE)
_OUTCOME = re.compile(r"^outcome[ \t]*:[^\r\n]*\r?\n", re.MULTILINE)


def slug_of(title: str) -> str:
    """Return a title as the end of a file's name."""
    words = "-".join(_WORD.findall(title.lower()))
    short = words[:MAX_SLUG].rstrip("-")
    if not short:
        hint = "Use some letters or digits."
        raise UserError("bad title", f"{title[:80]!r} makes no file name.", hint)
    return short


def next_id(names: Iterable[str]) -> int:
    """Return the first number behind those of the notes that are there."""
    numbers = [int(match["id"]) for name in names if (match := NAME.fullmatch(name))]
    return max(numbers, default=0) + 1


def file_name(number: int, title: str) -> str:
    """Return the name of a note's file."""
    return f"{number:04d}-{slug_of(title)}.md"


def drafted_rules(baseline: Baseline | None, models: Sequence[str]) -> str:
    """Return expected outcomes to begin with: what the baseline asks of these models, as bounds."""
    lines = ["models:"]
    for model in models:
        lines += [f"  {yaml_text(model)}:", "    metrics:"]
        group = baseline.models.get(model) if baseline else None
        rules = list(group.rules.values())[:MAX_RULES] if group else []
        drafted = [line for rule in rules if (line := _rule(rule))]
        lines += drafted or ["      test_accuracy: {direction: higher, min: 0.9}"]
    return "\n".join(lines)


def _rule(rule: Rule) -> str:
    """Return a rule as a bound: the worst recorded value, and worse by the baseline's tolerance.

    A bound is held against every seed: noise alone must not refute a model that did not change.
    """
    if not rule.values or rule.direction == "equal":
        return ""
    mean = sum(rule.values) / len(rule.values)
    allowed = rule.absolute + rule.relative * abs(mean)
    if rule.direction == "higher":
        bound = f"min: {_rounded(min(rule.values) - allowed, ROUND_FLOOR)}"
    else:
        bound = f"max: {_rounded(max(rule.values) + allowed, ROUND_CEILING)}"
    return f"      {yaml_text(rule.metric)}: {{direction: {rule.direction}, {bound}}}"


def _rounded(value: float, rounding: str) -> str:
    """Return six digits that count, away from what has to pass."""
    # The 15 digits that a float holds for certain: 0.98 - 0.01 is 0.97, and not a little less.
    exact = Decimal(f"{value:.15g}")
    return f"{float(Context(prec=6, rounding=rounding).plus(exact)):g}"


def yaml_text(text: str) -> str:
    """Return a text as YAML writes it, in quotes where it needs them."""
    return text if re.fullmatch(r"[A-Za-z_][\w.-]*", text) else json.dumps(text)


def scaffold(
    number: int,
    title: str,
    configs: Sequence[str],
    rules: str,
    *,
    hypothesis: str = "",
    rollback: str = "",
) -> str:
    """Return a note to fill in. What is left as a comment counts as not said."""
    about = {"version": 1, "id": number, "title": title, "status": "open", "configs": list(configs)}
    front = "\n".join(
        f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in about.items()
    )
    front = front.replace('status: "open"', "status: open")
    return f"""---
{front}
---

# {number}: {_inert(title)}

## Hypothesis

{hypothesis or "<!-- What do you expect to happen, and why? -->"}

## Expected outcomes

```yaml
{rules}
```

## Rollback criteria

{rollback or "<!-- When is the change taken back? A block of rules, as above, is judged too. -->"}

## Result

{BEGIN}
{END}
"""


def _inert(title: str) -> str:
    """Return a title that is no markup: it may come from anybody."""
    return re.sub(r"([\\`*_\[\]<>!#|~])", r"\\\1", title)


def closed(note: Note, outcome: Outcome, lines: Sequence[str]) -> str:
    """Return the note's text with the result in it; nothing else of it changes."""
    newline = "\r\n" if "\r\n" in note.text else "\n"
    block = newline.join([BEGIN, *lines, END])
    section = note.sections[RESULT]
    body = note.text[section.start : section.end]
    begin, end = body.find(BEGIN), body.rfind(END)
    if 0 <= begin < end:
        body = body[:begin] + block + body[end + len(END) :]
    else:
        kept = body.rstrip("\r\n")
        body = f"{kept}{newline if kept else ''}{newline}{block}{newline}"
    text = note.text[: section.start] + body + note.text[section.end :]
    text = _with_state(text, outcome, newline)
    # What we wrote must read as what we meant.
    written = parse_note(text, file=note.file)
    if (written.state, written.outcome, written.id) != ("closed", outcome, note.id):
        hint = "Write `status: open` on a line of its own."
        raise UserError("cannot close", "`status` is not where we expect it.", hint, note.file, 1)
    return text


def _with_state(text: str, outcome: Outcome, newline: str) -> str:
    """Set `status` and `outcome` in the front matter."""
    end = text.index("\n---", 3)
    front, rest = text[: end + 1], text[end + 1 :]
    front = _OUTCOME.sub("", front)
    front = _STATUS.sub(
        lambda m: f"{m[1]}closed{m[3]}{m[4]}outcome: {outcome}{newline}", front, count=1
    )
    return front + rest


def table(rows: Sequence[Mapping[str, str]], said: str) -> list[str]:
    """Return the result as Markdown lines: a sentence, then a row per rule."""
    lines = ["", _cell(said), ""]
    if rows:
        lines += ["| rule | expected | measured | held |", "|---|---|---:|---|"]
        lines += [
            "| "
            + " | ".join(_cell(row[name]) for name in ("rule", "expected", "measured", "held"))
            + " |"
            for row in rows
        ]
        lines.append("")
    return lines


def _cell(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|~])", r"\\\1", " ".join(text.split()))

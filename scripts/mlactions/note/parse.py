"""Read a note strictly: front matter, sections, expected outcomes. Markdown in it is only data.

A section begins at a line `## Name` outside of code; the expected outcomes are one fenced block of
YAML in the form that baselines have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Any

from mlactions.compare.baseline import parse_baseline
from mlactions.compare.model import Baseline
from mlactions.errors import UserError
from mlactions.note.model import (
    EXPECTED,
    OUTCOMES,
    RESULT,
    ROLLBACK,
    SECTIONS,
    STATES,
    Note,
    Section,
)
from mlactions.yaml_lines import line_of, parse_marked

MAX_CHARACTERS = 200_000
MAX_TITLE = 200
MAX_CONFIGS = 50
NAME = re.compile(r"(?P<id>[0-9]{1,6})-(?P<slug>[a-z0-9]+(?:-[a-z0-9]+)*)\.md")
FIELDS = ("version", "id", "title", "status", "outcome", "configs")
_FRONT = re.compile(
    r"\A\ufeff?---[ \t]*\r?\n(?P<yaml>.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE
)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_HEADING = re.compile(r"##[ \t]+(?P<name>.*?)[ \t]*#*[ \t]*\r?\n?\Z")
_FENCE = re.compile(r" {0,3}(?P<mark>`{3,}|~{3,})[ \t]*(?P<info>[^\r\n]*)")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)


def parse_note(text: str, *, file: str) -> Note:
    """Return a note; raise UserError with the line of the first thing that is wrong."""
    if len(text) > MAX_CHARACTERS:
        raise UserError("note too long", f"more than {MAX_CHARACTERS:,} characters.", file=file)
    front = _FRONT.match(text)
    if front is None:
        hint = "Begin with `---`, then id, title, status and configs, then `---`."
        raise UserError("no front matter", "a note begins with it.", hint, file, 1)
    about = _front_matter(front["yaml"], file)
    sections = _sections(text, front.end(), file)
    expected = rules_in(text, sections[EXPECTED], file)
    if expected is None:
        hint = "Add a block ```yaml with `models:`, as in a baseline."
        message = "no fenced block of YAML says what is expected."
        raise UserError("no expected outcomes", message, hint, file, sections[EXPECTED].line)
    return Note(
        file=file,
        text=text,
        id=about["id"],
        title=about["title"],
        state=about["status"],
        outcome=about.get("outcome", ""),
        configs=tuple(about["configs"]),
        sections=sections,
        expected=expected,
        rollback=rules_in(text, sections[ROLLBACK], file),
    )


def _front_matter(yaml: str, file: str) -> Mapping[str, Any]:
    # One line before it is the `---`, so that lines are those of the file.
    text = f"\n{yaml}"
    about = parse_marked(text, name=file).value
    if not isinstance(about, dict):
        raise UserError("bad front matter", "it holds no mapping.", file=file, line=1)
    for key in about:
        if key not in FIELDS:
            close = get_close_matches(str(key), FIELDS, n=1)
            hint = f"Did you mean `{close[0]}`?" if close else f"Known: {', '.join(FIELDS)}."
            raise UserError("unknown field", f"`{key}`.", hint, file, line_of(text, (key,)))
    for key, told in _CHECKS.items():
        if key not in about and key != "outcome":
            raise UserError("missing field", f"there is no `{key}`.", told, file, 1)
        if key in about and not _fits(key, about[key]):
            where = line_of(text, (key,))
            message = f"`{key}` is {str(about[key])[:80]!r}."
            raise UserError(f"bad {key}", message, told, file, where)
    name = NAME.fullmatch(PurePosixPath(file).name)
    if name is not None and int(name["id"]) != about["id"]:
        message = f"`id` is {about['id']} in a file called {PurePosixPath(file).name}."
        raise UserError("bad id", message, "Let both say the same.", file, line_of(text, ("id",)))
    return about


_CHECKS: Mapping[str, str] = {
    "version": "Write `version: 1`.",
    "id": "Write the number that the file's name begins with.",
    "title": f"Write one line of at most {MAX_TITLE} characters.",
    "status": "Write `open` or `closed`.",
    "outcome": "Leave it to `note close`: held, refuted or undecided.",
    "configs": "Write a list of config files, such as [configs/wider.yaml].",
}


def _fits(key: str, value: Any) -> bool:
    if key in {"version", "id"}:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return is_whole and (value == 1 if key == "version" else 0 <= value < 10**6)
    if key == "title":
        return isinstance(value, str) and 0 < len(value) <= MAX_TITLE and "\n" not in value
    if key == "configs":
        listed = isinstance(value, list) and 0 < len(value) <= MAX_CONFIGS
        return listed and all(isinstance(item, str) and _is_path(item) for item in value)
    return value in (STATES if key == "status" else OUTCOMES)


def _is_path(text: str) -> bool:
    path = PurePosixPath(text)
    return bool(text) and text.isprintable() and not path.is_absolute() and ".." not in path.parts


def _sections(text: str, start: int, file: str) -> dict[str, Section]:
    """Return the sections by name; each has to be there once and to say something."""
    found: dict[str, Section] = {}
    headings = list(_headings(text, start))
    for number, (name, line, begin, _) in enumerate(headings):
        end = headings[number + 1][3] if number + 1 < len(headings) else len(text)
        known = {item.lower(): item for item in SECTIONS}.get(name.lower())
        if known is None:
            continue
        if known in found:
            raise UserError("section twice", f"`## {known}`.", "Keep one.", file, line)
        found[known] = Section(known, line, begin, end)
    for name in SECTIONS:
        if name not in found:
            hint = f"A note has: {', '.join(f'`## {item}`' for item in SECTIONS)}."
            raise UserError("missing section", f"there is no `## {name}`.", hint, file, 1)
    told = {name: text[found[name].start : found[name].end] for name in SECTIONS[:-1]}
    empty = [name for name, part in told.items() if not _said(_COMMENT.sub("", part))]
    if empty:
        named = f"sections {' and '.join(empty)} are" if empty[1:] else f"section {empty[0]} is"
        hint = " ".join(_EMPTY[name] for name in empty)
        message = f"the {named} empty."
        raise UserError("empty section", message, hint, file, found[empty[0]].line)
    return found


def _said(text: str) -> bool:
    """Tell words from what stands in for words that are to come."""
    plain = text.replace("&nbsp;", " ").strip().strip("[](){}<>*_`.…-–—:?! ").casefold()
    return bool(plain) and plain not in {"tbd", "todo", "tba", "fixme", "n/a", "none yet", "later"}


_EMPTY: Mapping[str, str] = {
    SECTIONS[0]: "Write what you expect to happen, and why.",
    SECTIONS[1]: "Write rules as a baseline has them, in a block ```yaml.",
    SECTIONS[2]: "Write when the change is taken back.",
}


def _headings(text: str, start: int) -> Iterator[tuple[str, int, int, int]]:
    """Yield name, line, where its text starts and where it starts itself, outside of code."""
    line, at, fence, comment = text.count("\n", 0, start) + 1, start, "", False
    for raw in _LINE.findall(text[start:]):
        mark = _FENCE.match(raw)
        if fence:
            closes = mark and mark["mark"].startswith(fence) and not mark["info"].strip()
            fence = "" if closes else fence
        elif comment:
            comment = "-->" not in raw
        elif mark:
            fence = mark["mark"]
        elif (heading := _HEADING.match(raw)) is not None:
            yield heading["name"], line, at + len(raw), at
        else:
            comment = "<!--" in raw and "-->" not in raw[raw.index("<!--") :]
        line, at = line + raw.count("\n"), at + len(raw)


def rules_in(text: str, section: Section, file: str) -> Baseline | None:
    """Return the rules of a section's only block of YAML; None where it has none."""
    blocks = list(_blocks(text, section))
    if not blocks:
        return None
    if len(blocks) > 1:
        message = f"`## {section.name}` has {len(blocks)} blocks of YAML."
        raise UserError("rules twice", message, "Keep one.", file, blocks[1][0])
    line, yaml = blocks[0]
    # Empty lines before it, so that messages name the lines of the note.
    version = "" if re.search(r"^version[ \t]*:", yaml, re.MULTILINE) else "\nversion: 1\n"
    found = parse_baseline("\n" * line + yaml + version, name=file)
    if not found.models:
        raise UserError("no rules", "`models` is empty.", "Name a model and a metric.", file, line)
    return replace(found, text=yaml)


def _blocks(text: str, section: Section) -> Iterator[tuple[int, str]]:
    """Yield the line of each fence of YAML, and what is in it."""
    line, fence, wanted, held = section.line + 1, "", False, [""]
    begun = line
    for raw in _LINE.findall(text[section.start : section.end]):
        mark = _FENCE.match(raw)
        if fence:
            if mark and mark["mark"].startswith(fence) and not mark["info"].strip():
                if wanted:
                    yield begun, "".join(held)
                fence = ""
            else:
                held.append(raw)
        elif mark:
            fence, begun, held = mark["mark"], line, []
            wanted = mark["info"].strip().lower().split(" ")[0] in {"yaml", "yml"}
        line += raw.count("\n")
    if fence and wanted:
        yield begun, "".join(held)


def result_of(note: Note) -> str:
    """Return what the section on the result says."""
    section = note.sections[RESULT]
    return note.text[section.start : section.end]

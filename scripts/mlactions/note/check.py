"""What a pull request's notes have to be: there, whole, and naming the configs it changes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from mlactions.errors import UserError
from mlactions.note.model import EXPECTED, RESULT, Finding, Level, Note
from mlactions.note.parse import NAME, parse_note
from mlactions.text import plural


@dataclass(frozen=True)
class Change:
    """What a change touches: configs that need a note, and notes. Paths are POSIX.

    `before` are the texts that changed notes had at the base. `composed` names, for a config that
    is a part of others, such as an option of a Hydra group, those experiments.
    """

    configs: tuple[str, ...]
    notes: frozenset[str]
    before: Mapping[str, str]
    composed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def names(self, config: str) -> tuple[str, ...]:
        """Return the configs by which a note may name a changed one."""
        return (config, *self.composed.get(config, ()))


@dataclass(frozen=True)
class Checked:
    """All notes that could be read, which of them covers which config, and what is wrong."""

    notes: tuple[Note, ...]
    covered: Mapping[str, tuple[str, ...]]
    findings: tuple[Finding, ...]


def check(texts: Mapping[str, str], change: Change | None) -> Checked:
    """Check notes by path; without a change, only the notes themselves."""
    notes: list[Note] = []
    findings: list[Finding] = []
    unread: set[str] = set()
    touched = change.notes if change else frozenset(texts)
    for path, text in sorted(texts.items()):
        try:
            note = parse_note(text, file=path)
        except UserError as error:
            # A note of old that is broken warns: this change did not break it.
            level: Level = "fail" if path in touched else "warn"
            if path in touched:
                unread.add(path)
            findings.append(
                Finding(_reason(error.title), level, error.message, path, error.line, error.hint)
            )
            continue
        notes.append(note)
        findings += _name(note, change)
        findings += _open_rules(note)
    findings += _same_ids(notes)
    covered = _covered(notes, change) if change else {}
    if change is not None:
        broken = [text for path, text in texts.items() if path in unread]
        findings += _uncovered(change, notes, covered, broken)
        findings += _rewritten(notes, change)
    return Checked(tuple(notes), covered, tuple(findings))


def _reason(title: str) -> str:
    return "-".join(title.lower().split())


def _name(note: Note, change: Change | None) -> Iterator[Finding]:
    name = PurePosixPath(note.file).name
    if not NAME.fullmatch(name):
        hint = "Write its id, a dash and a few words: 0007-wider.md."
        yield Finding("bad-name", "fail", f"A note is not called `{name}`.", note.file, 1, hint)
    named = [name for own in note.configs for name in (change.names(own) if change else (own,))]
    models = {PurePosixPath(config).stem for config in named}
    if not models & set(note.expected.models):
        expected = ", ".join(sorted(note.expected.models))
        message = f"It expects something of `{expected}`, and names `{', '.join(note.configs)}`."
        line = note.sections[EXPECTED].line
        yield Finding("other-model", "warn", message, note.file, line, "Name the config's model.")
    if note.state == "closed" and not note.outcome:
        message = "It is closed and has no outcome."
        yield Finding("no-outcome", "fail", message, note.file, 1, "Run `note close`.")
    if note.state == "open" and note.outcome:
        message = f"It is open and its outcome is `{note.outcome}`."
        yield Finding("open-outcome", "fail", message, note.file, 1, "Run `note close`.")


def _open_rules(note: Note) -> Iterator[Finding]:
    """Name rules that any value meets, or none can: they refute nothing."""
    for group in note.expected.models.values():
        for rule in group.rules.values():
            bound = rule.minimum if rule.direction == "higher" else rule.maximum
            if bound is None and not rule.values and note.state == "open":
                limit = "min" if rule.direction == "higher" else "max"
                message = f"It expects nothing of `{rule.metric}` of `{rule.model}`."
                hint = f"Write `{limit}:`, the value that the hypothesis stands or falls with."
                line = note.sections[EXPECTED].line
                yield Finding("expects-nothing", "fail", message, note.file, line, hint)


def _same_ids(notes: Sequence[Note]) -> Iterator[Finding]:
    seen: dict[int, Note] = {}
    for note in notes:
        first = seen.setdefault(note.id, note)
        if first is not note:
            message = f"Its id {note.id} is that of `{first.file}` too."
            yield Finding("same-id", "fail", message, note.file, 1, "Take the next free number.")


def _covered(notes: Sequence[Note], change: Change) -> dict[str, tuple[str, ...]]:
    """Return by config the notes that speak for it: open ones, and those of this very change."""
    return {
        config: tuple(
            note.file
            for note in notes
            if set(change.names(config)) & set(note.configs)
            and (note.state == "open" or note.file in change.notes)
        )
        for config in change.configs
    }


def _uncovered(
    change: Change,
    notes: Sequence[Note],
    covered: Mapping[str, tuple[str, ...]],
    broken: Sequence[str],
) -> Iterator[Finding]:
    """Say which configs no note names; one of this change that cannot be read is said already."""
    for config in change.configs:
        names = change.names(config)
        if covered[config] or any(name in text for name in names for text in broken):
            continue
        closed = [note.file for note in notes if set(names) & set(note.configs)]
        about = f"; {plural(len(closed), 'note')} about it is closed" if closed else ""
        named = names[1] if names[1:] else config
        hint = f"Run `mlactions note new TITLE --config {named}` and fill it in."
        message = f"No open note names `{config}`{_composed(names[1:])}{about}."
        yield Finding("no-note", "fail", message, config, 1, hint)


def _composed(experiments: Sequence[str]) -> str:
    """Say which experiments a changed file is a part of: a note may name any of them."""
    if not experiments:
        return ""
    more = f" and {len(experiments) - 1} more" if len(experiments) > 1 else ""
    return f" or `{experiments[0]}`{more}, which {'composes' if not more else 'compose'} it"


def _rewritten(notes: Sequence[Note], change: Change) -> Iterator[Finding]:
    """Warn where what was expected is changed along with the result."""
    for note in notes:
        before = change.before.get(note.file)
        if before is None:
            continue
        try:
            old = parse_note(before, file=note.file)
        except UserError:
            continue
        moved = old.expected.text != note.expected.text
        told = old.text[old.sections[RESULT].start :] != note.text[note.sections[RESULT].start :]
        if moved and told:
            line = note.sections[EXPECTED].line
            message = "What it expects was changed together with its result."
            hint = "Expect first, measure then; write another note for another hypothesis."
            yield Finding("expected-afterwards", "warn", message, note.file, line, hint)

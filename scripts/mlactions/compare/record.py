"""What `compare update` does to a baseline: the new text, what to say of it, its result."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.bundle import write_atomic
from mlactions.compare.add import add_rules
from mlactions.compare.baseline import parse_baseline
from mlactions.compare.findings import united
from mlactions.compare.model import Baseline, Candidate, Finding
from mlactions.compare.places import places_of
from mlactions.compare.result import finding_document
from mlactions.compare.rules import diff
from mlactions.compare.suggest import notices, paste, without_rule
from mlactions.compare.update import Moved, Update, fewer_values, new_baseline, update
from mlactions.text import plural

Missing = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Renewal:
    """A baseline's text before and after an update; `added` and `missing` had no rules."""

    name: str
    before: str
    after: str
    moved: tuple[Moved, ...] = ()
    models: tuple[str, ...] = ()
    added: Missing | None = None
    missing: Missing | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def changed(self) -> bool:
        """True where the file would not stay as it is."""
        return self.before != self.after

    @property
    def warns(self) -> bool:
        """True where a person should look before committing the file."""
        return any(finding.level == "warn" for finding in self.findings)


def begun(name: str, candidate: Candidate, today: str, doubts: Sequence[Finding]) -> Renewal:
    """Return a first baseline: every metric measured."""
    text = new_baseline(candidate, today)
    models = parse_baseline(text, name=name).models
    added = {model: tuple(group.rules) for model, group in models.items()}
    return Renewal(name, "", text, added=added, findings=tuple(doubts))


def renewed(known: Baseline, candidate: Candidate, today: str, *, add: bool) -> Renewal:
    """Return a baseline brought up to date; with `add`, also with rules for what has none."""
    new: Update = update(known, candidate, today)
    missing = without_rule(known, candidate)
    text = add_rules(new.text, known, missing, candidate, today) if add and missing else new.text
    parse_baseline(text, name=known.name)
    found = united(fewer_values(new.moved))
    if not new.models and not add:
        message = f"No measured model has rules in `{known.name}`."
        found.append(Finding("nothing-updated", "warn", message))
    left = {} if add else missing
    return Renewal(
        known.name,
        known.text,
        text,
        moved=new.moved,
        models=new.models,
        added=missing if add else {},
        missing=left,
        findings=(*found, *notices(left, known)),
    )


def write(path: Path, renewal: Renewal) -> None:
    """Write the file where it changes; mode and byte order mark stay, and so do links to it."""
    target = path.resolve()
    if not renewal.changed:
        return
    mode, mark = 0o644, b""
    if target.exists():
        mode = target.stat().st_mode & 0o777
        mark = BOM_UTF8 if target.read_bytes().startswith(BOM_UTF8) else b""
    write_atomic(target, mark + renewal.after.encode(), mode=mode)


def document(renewal: Renewal, known: Baseline | None, candidate: Candidate) -> dict[str, Any]:
    """Return what `result.json` says of an update, but for the verdict."""
    places = places_of(renewal.findings, known or Baseline(renewal.name, ""))
    pairs = zip(renewal.findings, places, strict=True)
    return {
        "mode": "update",
        "file": renewal.name,
        "diff": diff(renewal.before, renewal.after, (renewal.name, renewal.name)),
        "rows": [
            {
                "model": moved.model,
                "metric": moved.metric,
                "before": list(moved.before),
                "after": list(moved.after),
            }
            for moved in renewal.moved
        ],
        "paste": paste(renewal.missing or {}, candidate),
        "findings": [finding_document(finding, place) for finding, place in pairs],
    }


def sentence(renewal: Renewal, *, check: bool) -> str:
    """Return the outcome in a sentence or two."""
    warned = [finding.message for finding in renewal.findings if finding.level == "warn"]
    said = [_done(renewal, check=check), *warned[:1], _left(renewal)]
    return " ".join(part for part in said if part).replace("`", "")


def _done(renewal: Renewal, *, check: bool) -> str:
    name = renewal.name
    if not renewal.before:
        verb = "does not exist yet and would be written" if check else "is new"
        rules = _rules(renewal.added or {})
        return f"{name} {verb}: {rules}. Check the guessed directions and tolerances."
    if not renewal.changed:
        return "" if not renewal.models else f"{name} already says what was measured."
    verb = "would change" if check else "changed"
    added = [f"{_rules(renewal.added)} added"] if renewal.added else []
    return f"{name} {verb}: {', '.join([*_values(renewal), *added])}."


def _values(renewal: Renewal) -> list[str]:
    moved = sum(1 for item in renewal.moved if item.before != item.after)
    models = plural(len(renewal.models), "model")
    if moved:
        return [f"{plural(moved, 'metric')} of {models}"]
    return [f"the provenance of {models}"] if renewal.models else []


def _rules(names: Missing) -> str:
    count = sum(map(len, names.values()))
    return f"{plural(count, 'rule')} of {plural(len(names), 'model')}"


def _left(renewal: Renewal) -> str:
    """Say what was measured and is not written, because nothing asks for it."""
    if not renewal.missing:
        return ""
    count = sum(map(len, renewal.missing.values()))
    models = plural(len(renewal.missing), "model")
    has = "has no rule" if count == 1 else "have no rules"
    return f"{plural(count, 'metric')} of {models} {has}: --add writes them."

"""Old findings: known by what they say about which source line, so that lines may move."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.audit.model import Finding
from mlactions.compare.rules import Git, commit_of, text_at
from mlactions.errors import UserError
from mlactions.schema import parse_json, read_text, validate

MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Baseline:
    """How often each finding is known: fingerprint -> count; where the file came from."""

    name: str = ""
    origin: str = "none"
    ref: str = ""
    known: Mapping[str, int] | None = None
    rules: Mapping[str, tuple[str, str]] | None = None


@dataclass(frozen=True)
class Split:
    """Findings that count, those that are known, and known ones that are gone."""

    new: tuple[Finding, ...]
    old: tuple[Finding, ...]
    gone: tuple[tuple[str, str], ...]


def fingerprint(finding: Finding) -> str:
    """Return what stays the same when lines move, indents change or the message is reworded."""
    text = "\0".join((finding.rule, finding.file, " ".join(finding.quote.split())))
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:24]


def write_document(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return a baseline file that knows these findings."""
    counted = Counter((fingerprint(item), item.rule, item.file) for item in findings)
    entries = [
        {"rule": rule, "file": file, "fingerprint": key, "count": count}
        for (key, rule, file), count in sorted(
            counted.items(), key=lambda pair: (pair[0][2], pair[0][1], pair[0][0])
        )
    ]
    return {"version": 1, "findings": entries}


def parse_baseline(text: str, *, name: str, origin: str = "file", ref: str = "") -> Baseline:
    """Read a baseline file. Raises UserError for whatever its schema does not allow."""
    document = parse_json(text, name=name)
    validate(document, "audit-baseline", file=name)
    known: Counter[str] = Counter()
    for entry in document["findings"]:
        known[entry["fingerprint"]] += entry["count"]
    rules = {e["fingerprint"]: (e["rule"], e["file"]) for e in document["findings"]}
    return Baseline(name, origin, ref, known, rules)


def read_baseline(given: str, *, folder: Path, base_ref: str, git: Git) -> Baseline:
    """Return the baseline that counts: on a pull request the one of the base commit.

    A file that the base does not have yet counts as empty: only what is merged is old.
    Raises UserError for one that is nowhere.
    """
    if not given:
        return Baseline()
    path = folder / given
    if not base_ref:
        return parse_baseline(read_text(path, max_bytes=MAX_BYTES), name=given)
    commit = commit_of(base_ref, git)
    place = f"{commit}:./{Path(os.path.relpath(path, folder)).as_posix()}"
    text = text_at(place, given, git, what="baseline")
    if text is None:
        if not path.exists():
            hint = "Write one with `--write-baseline`."
            raise UserError("file not found", "there is no such baseline.", hint, given)
        return Baseline(given, "base", commit, {}, {})
    return parse_baseline(text, name=given, origin="base", ref=commit)


def split(findings: Sequence[Finding], baseline: Baseline) -> Split:
    """Tell new findings from known ones; each known one answers as often as it was counted."""
    left = Counter(baseline.known or {})
    new, old = [], []
    for finding in findings:
        key = fingerprint(finding)
        if left[key] > 0:
            left[key] -= 1
            old.append(finding)
        else:
            new.append(finding)
    gone = [(baseline.rules or {})[key] for key, count in left.items() if count > 0]
    return Split(tuple(new), tuple(old), tuple(sorted(gone)))

"""The rules file: read from disk, or on a pull request from the base commit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.compare.rules import Git, commit_of, diff, text_at
from mlactions.drift.model import CODE, DataRule, Level, Rules
from mlactions.errors import UserError
from mlactions.own_files import RULES
from mlactions.schema import read_text, validate
from mlactions.values import canonical_key
from mlactions.yaml_lines import parse_marked

DEFAULT = RULES


@dataclass(frozen=True)
class Read:
    """The rules that count, where they came from, and what the head would change in them."""

    rules: Rules
    origin: str
    ref: str = ""
    diff: str = ""


def parse_rules(text: str, *, name: str) -> Rules:
    """Read a rules file. Raises UserError for whatever the schema does not allow."""
    marked = parse_marked(text, name=name)
    document = marked.value
    validate(document, "drift", file=name)
    code, model_file = document.get("code", {}), document.get("model-file", {})
    packages: Mapping[str, Level] = document.get("packages", {"*": "warn"})
    return Rules(
        name=name,
        ignore=tuple(document.get("ignore", ())),
        severity=tuple(document.get("severity", {}).items()),
        renames={canonical_key(ours): run for ours, run in document.get("renames", {}).items()},
        unordered=tuple(document.get("unordered", ())),
        unknown=document.get("unknown", "notice"),
        only_logged=document.get("only-logged", "notice"),
        code=code.get("severity", "warn"),
        code_paths=tuple(code.get("paths", CODE)),
        packages=tuple(packages.items()),
        data=tuple(_data(key, rule) for key, rule in document.get("data", {}).items()),
        model_file=model_file.get("severity", "fail"),
        marked=marked,
    )


def _data(name: str, rule: Mapping[str, Any]) -> DataRule:
    fields = {key: str(rule[key]) for key in ("dataset", "logged", "key", "file") if key in rule}
    return DataRule(name=name, level=rule.get("severity", "fail"), **fields)


def read_rules(given: str, *, folder: Path, base_ref: str, git: Git) -> Read:
    """Return the rules that count. Without a file, or where the base has none, all drift fails.

    Raises UserError for a file that was named and is not there.
    """
    path = folder / (given or DEFAULT)
    name = path.as_posix()
    here = read_text(path) if path.exists() else None
    if not base_ref:
        if here is None and given:
            raise UserError("file not found", "there are no such rules.", file=name)
        return Read(Rules(), "none") if here is None else Read(parse_rules(here, name=name), "file")
    commit = commit_of(base_ref, git)
    place = f"{commit}:./{Path(os.path.relpath(path, folder)).as_posix()}"
    text = text_at(place, name, git, what="rules")
    changed = (
        ""
        if here is None or here == text
        else diff(text or "", here, (f"base/{name}", f"head/{name}"))
    )
    if text is None:
        return Read(Rules(), "none", commit, changed)
    return Read(parse_rules(text, name=name), "base", commit, changed)

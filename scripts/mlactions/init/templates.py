"""The templates of this library, filled in: line by line, so that their comments stay. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

from mlactions.compare.edit import quoted

OWN = "codex-ml-actions/codex-ml-actions"
ZEROS = "0" * 40
_PIN = re.compile(rf"({re.escape(OWN)}(?:/[\w./-]+)?)@0{{40}} # v\d+\.\d+\.\d+")
_PLAIN = re.compile(r"(?:[A-Za-z/]|\./|\d,)[ !\"$-~]*(?<![\s:])")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def pinned(text: str, sha: str, version: str) -> str:
    """Return a template with every use of this library at one commit."""
    return _PIN.sub(rf"\g<1>@{sha}" + (f" # {version}" if version else ""), text)


def introduced(text: str) -> str:
    """Say in the first lines what a workflow does, no more what is to be done with a template."""
    lines = text.splitlines(keepends=True)
    count = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    about = " ".join(line.strip("# \n") for line in lines[:count]).partition(" Copy it to ")[0]
    about = f"{about} Written by `mlactions init`."
    head = textwrap.fill(about, 120, initial_indent="# ", subsequent_indent="# ")
    return f"{head}\n{''.join(lines[count:])}"


def spelled(value: str) -> str:
    """Return a scalar as YAML: plain where every reader takes that for the same text."""
    plain = _PLAIN.fullmatch(value) and value.isascii() and ": " not in value
    return value if plain and value.lower() not in _WORDS else quoted(value)


def with_value(text: str, key: str, value: str | Sequence[str]) -> str:
    """Replace the value of every `key:`, a block of several lines included."""

    def replaced(match: re.Match[str]) -> str:
        return _entry(match["indent"], key, value)

    return _entry_of(key).sub(replaced, text)


def without(text: str, *keys: str) -> str:
    """Leave keys out, also where they are commented out."""
    for key in keys:
        text = re.sub(rf"^ *#? ?{re.escape(key)}: .*\n(?: +\|.*\n)?", "", text, flags=re.MULTILINE)
    return text


def after(text: str, key: str, entries: Iterable[tuple[str, str]]) -> str:
    """Write more keys behind the first `key:`, at its depth."""

    def extended(match: re.Match[str]) -> str:
        return match[0] + "".join(_entry(match["indent"], name, value) for name, value in entries)

    return _entry_of(key).sub(extended, text, count=1)


def without_step(text: str, name: str) -> str:
    """Leave a step out by its name."""
    step = rf"^( *)- name: {re.escape(name)}\n(?:\1  .*\n)+"
    return re.sub(step, "", text, flags=re.MULTILINE)


def on_branch(text: str, branch: str) -> str:
    """Let pushes count on the repository's own default branch."""
    return text.replace("branches: [main]", f"branches: [{spelled(branch)}]")


def _entry_of(key: str) -> re.Pattern[str]:
    return re.compile(
        rf"^(?P<indent> *){re.escape(key)}: (?:\|\n(?:(?P=indent)  .*\n)+|.*\n)", re.MULTILINE
    )


def _entry(indent: str, key: str, value: str | Sequence[str]) -> str:
    if isinstance(value, str):
        return f"{indent}{key}: {spelled(value)}\n"
    if len(value) == 1:
        return f"{indent}{key}: {spelled(value[0])}\n"
    return f"{indent}{key}: |\n" + "".join(f"{indent}  {line}\n" for line in value)

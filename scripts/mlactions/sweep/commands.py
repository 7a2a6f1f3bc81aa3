"""The training command of a trial, from W&B's `command` or a plain one, with its macros.

Reference: https://docs.wandb.ai/models/sweeps/sweep-config-keys#command
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlactions.errors import UserError
from mlactions.sweep.model import Space
from mlactions.sweep.places import Source, closest

DEFAULT = ("${env}", "${interpreter}", "${program}", "${args}")
_MACRO = re.compile(r"\$\{([^{}]*)\}")
_VARIABLE = re.compile(r"envvar:([A-Za-z_][A-Za-z0-9_]*)")
_PARSER = re.compile(r"^\s*(?:import|from)\s+(argparse|click|typer|fire|absl|tyro)\b", re.MULTILINE)
_KNOWN = ("env", "interpreter", "program", "args", "args_no_hyphens")
_REFUSED = {
    "args_json": "a Hydra program takes overrides, not JSON",
    "args_json_file": "a Hydra program takes overrides, not a file of JSON",
    "args_no_boolean_flags": "a Hydra program takes overrides, not flags",
}
_ARGUMENTS = frozenset({"${args}", "${args_no_hyphens}"})


def check_command(command: Sequence[str], program: str, source: Source) -> None:
    """Refuse macros that mean nothing here; a command has to take the trial's arguments."""
    for place, word in enumerate(command):
        here = ("command", place)
        if "\x00" in word or "\n" in word:
            raise source.wrong(here, "an argument holds a line break or a zero byte.")
        for name in _MACRO.findall(word):
            if name in _REFUSED:
                raise source.wrong(here, f"`${{{name}}}` is refused: {_REFUSED[name]}.")
            if name not in _KNOWN and not _VARIABLE.fullmatch(name):
                message = f"there is no macro `${{{name}}}`."
                raise source.wrong(here, message, closest(name, _KNOWN))
            if name.startswith("args") and word not in _ARGUMENTS:
                raise source.wrong(here, f"`${{{name}}}` has to be an argument of its own.")
            if name == "program" and not program:
                raise source.wrong(here, "`${program}` is used, and `program` is missing.")
    if command and not _ARGUMENTS & set(command):
        message = "nothing takes the trial's settings."
        raise source.wrong(("command",), message, "Add `${args}` as an item.")


@dataclass(frozen=True)
class Command:
    """A command in parts: what stands before the trial's arguments, and what after.

    Each word is quoted for bash; `${envvar:NAME}` is left to it.
    """

    before: tuple[str, ...]
    after: tuple[str, ...] = ()

    def line(self, arguments: Sequence[str]) -> str:
        """Return one line of bash."""
        return " ".join((*self.before, *arguments, *self.after))


def build(command: Sequence[str], program: str, interpreter: str = "python") -> Command:
    """Return the command of a sweep file."""
    words = tuple(command) or DEFAULT
    at = next((place for place, word in enumerate(words) if word in _ARGUMENTS), len(words))
    known = {"env": "/usr/bin/env", "interpreter": interpreter, "program": program}
    before = tuple(_quoted(word, known) for word in words[:at])
    return Command(before, tuple(_quoted(word, known) for word in words[at + 1 :]))


def from_line(line: str) -> Command:
    """Return a command that was given as one line of words, with or without `${args}`."""
    words = shlex.split(line)
    if not _ARGUMENTS & set(words):
        words.append("${args}")
    return build(words, "")


def _quoted(word: str, known: dict[str, str]) -> str:
    parts, end = [], 0
    for found in _MACRO.finditer(word):
        parts.append(_plain(word[end : found.start()]))
        variable = _VARIABLE.fullmatch(found[1])
        if variable:
            parts.append(f'"${{{variable[1]}?}}"')
        else:
            parts.append(_plain(known.get(found[1], found[0])))
        end = found.end()
    parts.append(_plain(word[end:]))
    return "".join(parts) or "''"


def _plain(text: str) -> str:
    return shlex.quote(text) if text else ""


def without_hydra(line: str, space: Space, folder: Path) -> list[str]:
    """Return a sentence where the program reads its arguments itself, and not by Hydra."""
    words = shlex.split(line) if line else [space.program, *space.command]
    for word in words:
        path = folder / word
        if word.endswith(".py") and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            parser = _PARSER.search(text)
            if parser is None or "hydra" in text:
                return []
            told = f"`{word}` reads its arguments with {parser[1]} and does not import Hydra"
            given = "`--config-name=… +sweeps/…=…`"
            return [f"{told}: it will refuse a trial, which is handed over as {given}."]
    return []


def command_of(line: str, python: str, space: Space) -> Command:
    """Return the training command: as given, or the file's."""
    if line:
        return from_line(line)
    if not space.command and not space.program:
        hint = "Write `--command 'python train.py'`, or `program:` in the file."
        raise UserError("no training command", "nothing says what a trial runs.", hint, space.file)
    return build(space.command, space.program, python)

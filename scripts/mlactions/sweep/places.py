"""Errors about a search space that name its file, line and field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from mlactions.errors import UserError
from mlactions.yaml_lines import Marked

Place = tuple[str | int, ...]
"""Keys and positions from the root of the file."""


@dataclass(frozen=True)
class Source:
    """The file that is read."""

    file: str
    marked: Marked

    def line(self, place: Place) -> int | None:
        """Return the line of a place, or of the nearest above."""
        return self.marked.line(place)

    def wrong(
        self, place: Place, message: str, hint: str = "", title: str = "not a valid sweep"
    ) -> UserError:
        """Return an error; `message` goes on after the field's name."""
        field = ".".join(map(str, place))
        text = f"`{field}`: {message}" if field else message
        return UserError(title, text, hint, self.file, self.line(place))


def closest(name: str, known: Iterable[str]) -> str:
    """Return "Did you mean …?" for a misspelt name, or nothing."""
    found = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"Did you mean `{found[0]}`?" if found else ""

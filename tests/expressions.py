"""GitHub's expressions, as far as conditions of jobs use them: whether a job would run.

Rules: https://docs.github.com/en/actions/reference/workflows-and-actions/expressions
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>\d+)|(?P<name>[A-Za-z_][\w.-]*)"
    r"|(?P<sign>&&|\|\||[=!<>]=|[!<>(),]))"
)
_STATUS = re.compile(r"\b(always|cancelled|failure|success)\(\)")


@dataclass(frozen=True)
class Situation:
    """What a condition can see: contexts by dotted name, and how things stand."""

    values: Mapping[str, Any] = field(default_factory=dict)
    cancelled: bool = False

    def runs(self, condition: str) -> bool:
        """Tell whether GitHub would start a job; without a status function all needs must be ok."""
        text = condition.strip().removeprefix("${{").removesuffix("}}")
        if not _STATUS.search(text):
            text = f"success() && ({text or 'true'})"
        return bool(_Parser(text, self).whole())

    def succeeded(self) -> bool:
        """Tell whether nothing was cancelled and every job that was needed succeeded."""
        results = [value for name, value in self.values.items() if name.endswith(".result")]
        return not self.cancelled and all(result == "success" for result in results)

    def look_up(self, name: str) -> Any:
        """Return a value; what nobody set is null, and an object is true."""
        if name in ("true", "false"):
            return name == "true"
        below = any(known.startswith(f"{name}.") for known in self.values)
        return self.values.get(name, below or None)

    def call(self, name: str, arguments: list[Any]) -> Any:
        """Call one of GitHub's functions."""
        functions: dict[str, Callable[..., Any]] = {
            "always": lambda: True,
            "cancelled": lambda: self.cancelled,
            "success": self.succeeded,
            "failure": lambda: not self.succeeded(),
            "contains": lambda found, item: item in found,
            "fromJSON": json.loads,
        }
        return functions[name](*arguments)


class _Parser:
    """Recursive descent, one method per level of precedence; both sides are always computed."""

    def __init__(self, text: str, situation: Situation) -> None:
        self._tokens = chain(_tokens(text), [("end", "")])
        self._situation = situation
        self._kind, self._token = next(self._tokens)

    def whole(self) -> Any:
        value = self._or()
        if self._kind != "end":
            raise ValueError(f"unexpected {self._token!r}")
        return value

    def _take(self) -> str:
        token = self._token
        self._kind, self._token = next(self._tokens)
        return token

    def _or(self) -> Any:
        value = self._and()
        while self._token == "||":
            self._take()
            other = self._and()
            value = value or other
        return value

    def _and(self) -> Any:
        value = self._comparison()
        while self._token == "&&":
            self._take()
            other = self._comparison()
            value = value and other
        return value

    def _comparison(self) -> Any:
        value = self._unary()
        while self._token in ("==", "!=", ">"):
            sign, other = self._take(), None
            other = self._unary()
            value = value > other if sign == ">" else _equal(value, other) == (sign == "==")
        return value

    def _unary(self) -> Any:
        if self._token == "!":
            self._take()
            return not self._unary()
        return self._primary()

    def _primary(self) -> Any:
        kind, token = self._kind, self._take()
        if token == "(":
            value = self._or()
            self._expect(")")
            return value
        if kind == "text":
            return token[1:-1].replace("''", "'")
        if kind == "number":
            return int(token)
        if self._token != "(":
            return self._situation.look_up(token)
        return self._situation.call(token, list(self._arguments()))

    def _arguments(self) -> Iterator[Any]:
        self._expect("(")
        while self._token != ")":
            yield self._or()
            if self._token == ",":
                self._take()
        self._expect(")")

    def _expect(self, token: str) -> None:
        found = self._take()
        if found != token:
            raise ValueError(f"{found!r} where {token!r} was expected")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    end, place = len(text.rstrip()), 0
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValueError(f"no expression: {text[place:]!r}")
        place = match.end()
        kind = match.lastgroup or ""
        yield kind, match[kind]


def _equal(first: Any, second: Any) -> bool:
    """Compare as GitHub does: text without regard to case, and null like an empty text."""
    return str(first or "").lower() == str(second or "").lower()

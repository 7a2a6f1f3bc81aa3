"""Identifiers in prose, such as the ids of runs: digits in hexadecimal that no reader can judge."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from mlactions.ask.answer import Answer
from mlactions.ask.numbers import shown

MAX_IDENTIFIERS = 50
"""As many of an answer are looked up; more are unverified."""

# Git's short form has seven digits; so has `defaced`, which has no number in it.
_IDENTIFIER = re.compile(
    r"(?<![A-Za-z0-9])(?=[0-9a-f]*[a-f])(?!\d+e\d+(?![a-f0-9]))"
    r"(?:[0-9a-f]{8,64}|(?=[a-f]*[0-9])[0-9a-f]{7})(?![A-Za-z0-9])",
    re.IGNORECASE,
)

Find = Callable[[Sequence[str]], Collection[str]]
"""Returns those of some identifiers that a word knows."""


class Commits(Protocol):
    """Where commits are looked up."""

    def has(self, commit: str) -> bool:
        """Tell whether a commit is in this clone."""


def identifiers_in(text: str) -> tuple[str, ...]:
    """Return the identifiers of a text as they stand there; digits alone are a number."""
    return tuple(_IDENTIFIER.findall(shown(text)))


def identifiers_of(answer: Answer) -> tuple[str, ...]:
    """Return the identifiers in an answer's prose in small letters, each once, sorted."""
    prose = (answer.summary, *answer.next_steps, *(f.explanation for f in answer.findings))
    return tuple(sorted({token.lower() for text in prose for token in identifiers_in(text)}))


def look_up(
    answer: Answer, facts: Iterable[Mapping[str, Any]], commits: Commits, find: Find
) -> dict[str, bool]:
    """Return the identifiers of an answer, and of each whether anything bears it out.

    That is a fact, a commit of the repository, or what `find` knows, which is asked for the rest.
    """
    told = {token.lower() for fact in facts for token in identifiers_in(json.dumps(fact))}
    found = dict.fromkeys(identifiers_of(answer), False)
    asked = list(found)[:MAX_IDENTIFIERS]
    for token in asked:
        found[token] = any(name.startswith(token) for name in told) or commits.has(token)
    known = find([token for token in asked if not found[token]])
    return found | {token: True for token in asked if token in known}

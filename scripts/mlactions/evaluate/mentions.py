"""Strings that may name a file: by its path, by the end of its path, or by a folder above it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from mlactions.evaluate.tree import parents

Mentions = Mapping[str, str]
"""What is written, by its plain spelling: `${root}/../data/` is written for `data`."""

_WILDCARD = re.compile(r"([*?])")
_TOKEN = re.compile(r"[^\s'\",;=:(){}\[\]<>]+")


def tokens(text: str) -> list[str]:
    """Return the words of a text in which a file may be named."""
    return _TOKEN.findall(text)


def strings(document: Any) -> set[str]:
    """Return the strings of a parsed document, and the parts of those that are made of several."""
    words = set(_scalars(document))
    return words.union(*(tokens(word) for word in words))


def _scalars(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _scalars(item)
    elif isinstance(value, list):
        for item in value:
            yield from _scalars(item)
    elif isinstance(value, str):
        yield value


def mentions(words: Iterable[str]) -> dict[str, str]:
    """Index strings; of those that mean the same, the first in order stands for all."""
    found: dict[str, str] = {}
    for word in words:
        name = _plain(word)
        if name and (name not in found or word < found[name]):
            found[name] = word
    return found


def merge(first: Mentions, second: Mentions) -> dict[str, str]:
    """Unite two indexes as if they had been one."""
    found = dict(first)
    for name, word in second.items():
        if name not in found or word < found[name]:
            found[name] = word
    return found


def names(path: str, *, folder: str, folders: bool) -> Iterator[str]:
    """Yield every plain spelling that may mean a path, the longest first.

    A single word is a file's name only if it has a suffix. `folders`: a folder above it counts,
    seen from the repository or from the working directory `folder`.
    """
    parts = path.split("/")
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    yield from (end for end in ends if "." in end or "/" in end)
    if folders:
        inside = path.removeprefix(f"{folder}/")
        yield from (above for above in dict.fromkeys((*parents(inside), *parents(path))) if above)


def without_wildcards(word: str) -> str:
    """Return the folder that a glob looks into: `data` of `data/*.csv`; other words as they are."""
    start, wildcard, _ = _WILDCARD.split(word, 1) if _WILDCARD.search(word) else (word, "", "")
    return start.rpartition("/")[0] if wildcard else word


@lru_cache(maxsize=1 << 17)
def _plain(word: str) -> str:
    """`${hydra:runtime.cwd}/data`: what stands before is somewhere above."""
    word = without_wildcards(word.rpartition("}/")[2]).removeprefix("./").strip("/")
    while word.startswith("../"):
        word = word[3:]
    word = posixpath.normpath(word) if word else ""
    return "" if word in {".", ".."} else word

"""Which tests a Python file holds, and which a patch adds, takes away or skips. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from mlactions.propose.model import Entry

_FOLDERS = frozenset({"tests", "test"})
_NAMED = re.compile(r"(?:test_.*|.*_test|conftest)\.py")
_DEFINED = re.compile(r"^\s*(?:async\s+)?def\s+(test\w*)", re.MULTILINE)
_SKIPPED = re.compile(
    r"\bmark\.(?:skip|skipif|xfail)\b|\bunittest\.(?:skip\w*|expectedFailure)\b"
    r"|\bpytest\.(?:skip|xfail|importorskip)\b|\bcollect_ignore|__test__\s*=\s*False"
)


def is_test_file(path: str) -> bool:
    """Say whether a path is a test or lies among tests, also as their data."""
    pure = PurePosixPath(path)
    return bool(_NAMED.fullmatch(pure.name)) or not _FOLDERS.isdisjoint(pure.parts[:-1])


def tests_of(text: str) -> frozenset[str]:
    """Return the test functions of a file; by their looks where it is no Python."""
    try:
        return frozenset(_tests(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError):
        return frozenset(_DEFINED.findall(text))


def _tests(tree: ast.Module | ast.ClassDef) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from _tests(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:4] == "test":
            yield node.name


def added_tests(entries: Sequence[Entry]) -> dict[str, tuple[str, ...]]:
    """Return the new tests of each test file, by path; one that only moved is not new."""
    known = frozenset[str]().union(*(tests_of(entry.before or "") for entry in _files(entries)))
    found = {
        entry.path: tuple(sorted(tests_of(entry.after) - known))
        for entry in _files(entries)
        if entry.after is not None
    }
    return {path: names for path, names in found.items() if names}


def lost_tests(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the tests that are in no changed file any more."""
    before = [tests_of(entry.before or "") for entry in _files(entries)]
    after = [tests_of(entry.after or "") for entry in _files(entries)]
    gone: frozenset[str] = frozenset[str]().union(*before) - frozenset[str]().union(*after)
    return tuple(sorted(gone))


def skips_more(entry: Entry) -> bool:
    """Say whether a test file skips, or expects to fail, more than before."""
    before, after = (len(_SKIPPED.findall(text or "")) for text in (entry.before, entry.after))
    return is_test_file(entry.path) and after > before


def _files(entries: Sequence[Entry]) -> list[Entry]:
    return [e for e in entries if e.path.endswith(".py") and is_test_file(e.path)]

"""Which tests a Python file holds, and which a patch adds, takes away or skips. Pure."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from mlactions.propose.model import Entry

_FOLDERS = re.compile(r"(?:.*[_-])?(?:unit)?tests?(?:[_-].*)?|testing")
_NAMED = re.compile(r"(?:(?:tests?|test_.*|.*_tests?|conftest)|Test[A-Z].*)\.py")
_COLLECTED = re.compile(r"(?:tests?|test_.*|.*_tests?|Test[A-Z].*)\.py")
_DEFINED = re.compile(r"^\s*(?:async\s+)?def\s+(test\w*)", re.MULTILINE)

_SKIPS = frozenset(
    {
        *("skipif", "skipIf", "skipUnless", "skipTest", "SkipTest", "xfail", "importorskip"),
        *("expectedFailure", "collect_ignore", "collect_ignore_glob", "__test__"),
    }
)
"""Names that mean one thing in a test; `skip` alone is also a word of models."""


def is_test_file(path: str) -> bool:
    """Say whether a path is a test or lies among tests, also as their data."""
    pure = PurePosixPath(path)
    folders = (part.casefold() for part in pure.parts[:-1])
    return bool(_NAMED.fullmatch(pure.name)) or any(map(_FOLDERS.fullmatch, folders))


def tests_of(text: str) -> frozenset[str]:
    """Return the tests of a file, as `test_a` and `TestB.test_a`; by looks where it is no Python.

    A class whose name says nothing and that derives from nothing is collected by nobody.
    """
    try:
        return frozenset(_tests(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError):
        return frozenset(_DEFINED.findall(text))


def _tests(tree: ast.Module | ast.ClassDef, inside: str = "") -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            if node.name.startswith("Test") or node.bases:
                yield from _tests(node, f"{inside}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:4] == "test":
            yield f"{inside}{node.name}"


def added_tests(entries: Sequence[Entry]) -> dict[str, tuple[str, ...]]:
    """Return the new tests of each test file, by path; one that only moved is not new."""
    known = frozenset[str]().union(*(_before(entry) for entry in _files(entries)))
    found = {
        entry.path: tuple(sorted(_after(entry) - known))
        for entry in _files(entries)
        if entry.after is not None
    }
    return {path: names for path, names in found.items() if names}


def lost_tests(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the tests that fewer changed files hold than before; a move loses none."""
    before = Counter(name for entry in _files(entries) for name in _before(entry))
    after = Counter(name for entry in _files(entries) for name in _after(entry))
    return tuple(sorted(before - after))


def _before(entry: Entry) -> frozenset[str]:
    return tests_of(entry.before or "")


def _after(entry: Entry) -> frozenset[str]:
    """Return what a test runner finds in a file by its name: elsewhere nobody collects it."""
    collected = _COLLECTED.fullmatch(PurePosixPath(entry.path).name)
    return tests_of(entry.after or "") if collected else frozenset()


def skips_more(entry: Entry) -> bool:
    """Say whether a test file skips, or expects to fail, more than before."""
    before, after = (_skips(text or "") for text in (entry.before, entry.after))
    return is_test_file(entry.path) and after > before


def _skips(text: str) -> int:
    """Count what skips tests, by whatever name it was imported."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return len(re.findall(rf"\b(?:skip|{'|'.join(sorted(_SKIPS))})\b", text))
    own = _imported(tree)
    return sum(_is_skip(node, own) for node in ast.walk(tree))


def _imported(tree: ast.Module) -> frozenset[str]:
    """Return the names that pytest, unittest and what they hold have in a file."""
    found = {"pytest", "unittest"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = (name for name in node.names if _root(name.name) in {"pytest", "unittest"})
            found |= {name.asname or _root(name.name) for name in names}
        elif isinstance(node, ast.ImportFrom) and _root(node.module or "") in found:
            found |= {name.asname or name.name for name in node.names}
    return frozenset(found)


def _root(name: str) -> str:
    return name.partition(".")[0]


def _is_skip(node: ast.AST, own: frozenset[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in _SKIPS or (node.id == "skip" and "skip" in own)
    if isinstance(node, ast.ImportFrom):
        # The name may be any other; where it is used need not be looked for.
        return any(name.name in {*_SKIPS, "skip"} and name.asname for name in node.names)
    if not isinstance(node, ast.Attribute):
        return False
    return node.attr in _SKIPS or (node.attr == "skip" and _first(node) in own)


def _first(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _files(entries: Sequence[Entry]) -> list[Entry]:
    return [e for e in entries if e.path.endswith(".py") and is_test_file(e.path)]

"""Jupyter notebooks: the Python of their code cells, and where each line stands in the JSON."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mlactions.audit.model import Place

NOTEBOOK_FLAGS = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
# These run the rest of their cell as Python of the same session; every other one is a program.
_PYTHON_MAGICS = frozenset({"time", "timeit", "capture", "prun", "python", "python3"})
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+')
_MAGIC = re.compile(r"(\s*)(?:[%!?]|.*\?\s*$)")
_ASSIGNED_MAGIC = re.compile(r"(\s*[\w.,\s]+=\s*)[%!].*")
_INSTALL = re.compile(r"\s*[%!]\s*(?:python3? -m )?(?:uv )?(?:pip3?|conda|mamba) install\s+(.*)")


class NotebookError(ValueError):
    """The file is no notebook that can be read."""


@dataclass(frozen=True)
class Notebook:
    """Python source of all cells one after the other, with a place for each of its lines.

    `installs` are the arguments of `pip install` magics; `unread` the cells left out, with why.
    """

    source: str
    places: tuple[Place, ...]
    installs: tuple[tuple[Place, str], ...]
    unread: tuple[tuple[Place, str], ...]


def read_notebook(text: str) -> Notebook:
    """Return a notebook's Python. Raises NotebookError where it is no notebook of Python."""
    cells = _cells(text)
    starts = _line_starts(text)
    lines: list[str] = []
    places: list[Place] = []
    installs: list[tuple[Place, str]] = []
    unread: list[tuple[Place, str]] = []
    for number, source in cells:
        own = [Place(starts.get((number, row), 1), number + 1) for row in range(len(source))]
        for row, line in enumerate(source):
            if found := _INSTALL.match(line):
                installs.append((own[row], found[1]))
        python = _python(source)
        if python is None:
            continue
        if (why := _broken(python)) is not None:
            unread.append((own[0] if own else Place(1, number + 1), why))
            continue
        lines += python
        places += own
    return Notebook("\n".join(lines) + "\n", tuple(places), tuple(installs), tuple(unread))


def _cells(text: str) -> list[tuple[int, list[str]]]:
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise NotebookError("it is no valid JSON") from None
    cells = document.get("cells") if isinstance(document, dict) else None
    if not isinstance(cells, list):
        raise NotebookError("it has no list of cells (format 4)")
    about = document.get("metadata")
    kernel = about.get("kernelspec", {}) if isinstance(about, dict) else {}
    language = kernel.get("language", "python") if isinstance(kernel, dict) else "python"
    if str(language).lower() not in {"python", ""}:
        raise NotebookError(f"its language is {language!s:.40}")
    found = []
    for number, cell in enumerate(cells):
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            source = cell.get("source", "")
            whole = "".join(map(str, source)) if isinstance(source, list) else str(source)
            found.append((number, whole.split("\n")))
    return found


def _python(source: Sequence[str]) -> list[str] | None:
    """Replace magics by `pass`; None where the whole cell is another language's."""
    first = next((line for line in source if line.strip()), "")
    if first.startswith("%%") and first[2:].split()[:1] not in [[m] for m in _PYTHON_MAGICS]:
        return None
    return [_without_magic(line) for line in source]


def _without_magic(line: str) -> str:
    if found := _ASSIGNED_MAGIC.fullmatch(line):
        return f"{found[1]}None"
    found = _MAGIC.match(line)
    if found and not line.lstrip().startswith(("#", '"', "'")):
        return f"{found[1]}pass"
    return line


def _broken(lines: Sequence[str]) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile("\n".join(lines) + "\n", "cell", "exec", flags=NOTEBOOK_FLAGS)
    except SyntaxError as error:
        return f"its Python cannot be parsed ({error.msg})"
    except (ValueError, RecursionError, MemoryError):
        return "its Python cannot be parsed"
    return None


def _line_starts(text: str) -> dict[tuple[int, int], int]:
    """Return the line of the file on which each line of each cell stands: (cell, row) -> line."""
    found: dict[tuple[int, int], int] = {}
    rows: dict[int, int] = {}
    for cell, value, line in _sources(text):
        row = rows.get(cell, 0)
        for part in range(value.count("\n") + 1):
            found[cell, row + part] = line  # a line's end belongs to it, what follows to the next
        rows[cell] = row + value.count("\n")
    return found


def _sources(text: str) -> Iterator[tuple[int, str, int]]:
    """Yield the strings of `cells[i].source`, with i and the line of the file."""
    path: list[int | str] = []
    line, at, in_key = 1, 0, False
    for token in _TOKEN.finditer(text):
        line += text.count("\n", at, token.start())
        at = token.start()
        word = token[0]
        match word[0]:
            case "[" | "{":
                path.append(0 if word == "[" else "")
                in_key = word == "{"
            case "]" | "}":
                path.pop()
                in_key = False
            case ",":
                in_key = isinstance(path[-1], str)
                path[-1] = path[-1] if isinstance(path[-1], str) else path[-1] + 1
            case '"' if in_key:
                path[-1] = json.loads(word)
                in_key = False
            case '"' if path[:1] == ["cells"] and path[2:3] == ["source"]:
                yield int(path[1]), json.loads(word), line

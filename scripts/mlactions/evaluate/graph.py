"""Which Python files a script reaches: every file that a module name could mean counts."""

from __future__ import annotations

import posixpath
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlactions.evaluate.imports import HydraEntry, Imports, read_imports
from mlactions.evaluate.mentions import Mentions, mentions, merge
from mlactions.evaluate.tree import Tree, join

_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?::\w[\w.]*)?")


@dataclass(frozen=True)
class Reach:
    """Files that are imported, each with the file that imports it ("" for where it starts).

    `words` are the string constants in them; `doubts` say which files could import anything.
    """

    files: Mapping[str, str]
    words: Mentions
    doubts: tuple[str, ...]
    hydra: frozenset[tuple[str, HydraEntry]]

    def path_to(self, file: str) -> list[str]:
        """Return the chain of imports that ends at `file`."""
        chain = [file]
        while (parent := self.files[chain[-1]]) and parent not in chain:
            chain.append(parent)
        return chain[::-1]


NOTHING = Reach({}, {}, (), frozenset())


class Graph:
    """The static import graph of a tree; `roots` are the folders Python may import from."""

    def __init__(self, tree: Tree, roots: Sequence[str]) -> None:
        self._tree = tree
        self._roots = tuple(dict.fromkeys(roots))
        self._imports: dict[str, Imports] = {}
        self._targets: dict[str, tuple[str, ...]] = {}
        self._found: dict[tuple[str, bool], list[str]] = {}
        self._endings: dict[str, list[str]] = {}
        for path in sorted(tree.files):
            if path.endswith(".py"):
                self._endings.setdefault(_module_end(path), []).append(path)

    def reach(self, starts: Iterable[str], beyond: Reach = NOTHING) -> Reach:
        """Return everything that the start files import, directly or not, beside what is known.

        `beyond` was reached before: it is not walked again, so that many configs can share it.
        """
        files = {path: "" for path in starts if path not in beyond.files}
        queue = deque(files)
        while queue:
            path = queue.popleft()
            for target in self._edges(path):
                if target not in files and target not in beyond.files:
                    files[target] = path
                    queue.append(target)
        if not files:
            return beyond
        read = {path: self._read(path) for path in files}
        doubts = (f"`{path}` {found.doubt}" for path, found in read.items() if found.doubt)
        entries = {(path, entry) for path, found in read.items() for entry in found.hydra}
        words = {word for found in read.values() for word in found.words}
        return Reach(
            files={**beyond.files, **files},
            words=merge(beyond.words, mentions(words)),
            doubts=(*beyond.doubts, *doubts),
            hydra=beyond.hydra | entries,
        )

    def find(self, name: str, *, anywhere: bool = True) -> list[str]:
        """Return the files of the longest prefix of a dotted name that is a module here.

        The `__init__.py` of every package on the way belongs to them. Where no root has the
        module, `anywhere` accepts any file whose path ends like it: editable installs, path hacks.
        """
        key = name, anywhere
        if key not in self._found:
            self._found[key] = self._find(name, anywhere=anywhere)
        return self._found[key]

    def _find(self, name: str, *, anywhere: bool) -> list[str]:
        parts = name.split(".")
        for length in range(len(parts), 0, -1):
            ending = "/".join(parts[:length])
            found = [file for root in self._roots for file in self._at(root, ending)]
            # Where no root has it: editable installs, path hacks.
            if not found and anywhere and parts[0] not in sys.stdlib_module_names:
                found = [
                    file for root in self._others(parts[:length]) for file in self._at(root, ending)
                ]
            if found:
                return found
        return []

    def _edges(self, path: str) -> tuple[str, ...]:
        if path not in self._targets:
            imports = self._read(path)
            found = [file for name in sorted(imports.modules) for file in self._meant(path, name)]
            for package in sorted(imports.below):
                found += self._below(path, package)
            found += [file for word in sorted(imports.words) for file in self._named(path, word)]
            self._targets[path] = tuple(dict.fromkeys(found))
        return self._targets[path]

    def _read(self, path: str) -> Imports:
        if path not in self._imports:
            gone = not self._tree.exists(path) and path not in self._tree.aliases
            self._imports[path] = Imports() if gone else read_imports(self._tree.text(path))
        return self._imports[path]

    def _meant(self, path: str, name: str) -> list[str]:
        if not name.startswith("."):
            return self.find(name)
        folder, rest = _relative(path, name)
        parts = [part for part in rest.split(".") if part]
        for length in range(len(parts), -1, -1):
            if found := list(self._at(folder, "/".join(parts[:length]))):
                return found
        return []

    def _below(self, path: str, package: str) -> list[str]:
        """Return every module in a package: which of them is imported shows at run time only."""
        if package.startswith("."):
            folder, rest = _relative(path, package)
            folders = [join(folder, rest.replace(".", "/"))]
        else:
            ending = package.replace(".", "/")
            folders = [join(root, ending) for root in self._roots]
            folders += [
                posixpath.dirname(f) for f in self.find(package) if f.endswith("__init__.py")
            ]
        return [file for folder in folders if folder for file in self._tree.below(folder, ".py")]

    def _named(self, path: str, word: str) -> list[str]:
        """Return what a string constant names: a script to start, a module to load."""
        if word.endswith(".py"):
            places = (*self._roots, posixpath.dirname(path))
            found = [join(place, word) for place in places]
            return [file for file in found if file in self._tree.files]
        if _DOTTED.fullmatch(word):
            return self.find(word.replace(":", "."), anywhere=False)
        return []

    def _at(self, root: str, ending: str) -> Iterator[str]:
        """Yield the module `ending` below `root`, after the packages that hold it."""
        module = join(root, f"{ending}.py") if ending else ""
        package = join(root, ending, "__init__.py")
        hits = [file for file in (module, package) if file in self._tree.files]
        if hits or (ending and join(root, ending) in self._tree.folders):
            folder = root
            for part in ending.split("/")[:-1]:
                folder = join(folder, part)
                if (init := join(folder, "__init__.py")) in self._tree.files:
                    yield init
        yield from hits

    def _others(self, parts: Sequence[str]) -> list[str]:
        """Return the folders anywhere in the tree below which a module of this name stands."""
        ending = "/".join(parts)
        tails = (f"{ending}.py", f"{ending}/__init__.py")
        return [
            path[: -len(tail)].rstrip("/")
            for path in self._endings.get(parts[-1], ())
            for tail in tails
            if path == tail or path.endswith(f"/{tail}")
        ]


def _module_end(path: str) -> str:
    """Return the last part of the dotted name that a file answers to."""
    folder, name = posixpath.split(path)
    return posixpath.basename(folder) if name == "__init__.py" else name[:-3]


def _relative(path: str, name: str) -> tuple[str, str]:
    """Split a relative name into the folder it starts from and the rest."""
    rest = name.lstrip(".")
    folder = posixpath.dirname(path)
    for _ in range(len(name) - len(rest) - 1):
        folder = posixpath.dirname(folder)
    return folder, rest

"""The project: what names of one file mean in the others, and what running something reaches."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain

from mlactions.audit.conditions import Node
from mlactions.audit.model import Function, Summary
from mlactions.audit.source import last_part

_MAX_HOPS = 6


class Project:
    """The summaries of all files, and what their names mean in each other."""

    def __init__(self, summaries: Sequence[Summary]) -> None:
        self.files: Mapping[str, Summary] = {item.path: item for item in summaries}
        self._modules: dict[str, list[str]] = defaultdict(list)
        for path in sorted(self.files):
            if path.endswith(".py"):
                parts = path[:-3].removesuffix("/__init__").split("/")
                for start in range(len(parts)):
                    self._modules[".".join(parts[start:])].append(path)
        self._edges: dict[Node, tuple[Node, ...]] = {}
        self._calls: dict[Node, tuple[Node, ...]] = {}
        self._inside: dict[Node, dict[Node, Function]] = {}
        self._classes = {
            path: {key.partition(".")[0] for key in item.functions if "." in key}
            for path, item in self.files.items()
        }

    def reach(self, path: str) -> dict[Node, Function]:
        """Return every function that running a file reaches."""
        summary = self.files[path]
        starts = ["", *summary.starts, *(["__main__"] if "__main__" in summary.functions else [])]
        return self._closure([(path, key) for key in starts], self._next)

    def inside(self, path: str, name: str) -> dict[Node, Function]:
        """Return the functions that calling a name runs: of a class its constructor alone."""
        if (path, name) not in self._inside:
            self._inside[path, name] = self._closure(list(self._run(path, name)), self._runs)
        return self._inside[path, name]

    def _runs(self, node: Node, function: Function) -> tuple[Node, ...]:
        if node not in self._calls:
            called = (self._run(node[0], name) for name in sorted(function.refs))
            self._calls[node] = tuple(dict.fromkeys(chain.from_iterable(called)))
        return self._calls[node]

    def _run(self, path: str, name: str) -> Iterator[Node]:
        for node in self._meant(path, name):
            method = last_part(node[1])
            if method and ("." not in node[1] or method in {"__init__", last_part(name)}):
                yield node

    def runs(self, path: str, name: str, method: str = "") -> dict[Node, Function]:
        """Return the functions that calling a name runs, or a method of what the name makes.

        Of a class that is named on the way, those methods run whose names are asked for there.
        """
        wanted = {last_part(name.removeprefix("@")), "__init__", method}
        methods = frozenset({method})
        while True:
            named = self._named(path, name, methods)
            # Of `main.options()` the function `main` itself does not run.
            starts = [node for node in named if last_part(node[1]) in wanted]
            found = self._closure(starts, partial(self._onward, methods))
            more = methods.union(*(function.methods for function in found.values()))
            if more == methods:
                return found
            methods = more

    def _onward(self, methods: frozenset[str], node: Node, function: Function) -> Iterator[Node]:
        for name in sorted(function.refs):
            yield from self._named(node[0], name, methods)

    def _named(self, path: str, name: str, methods: frozenset[str]) -> Iterator[Node]:
        for node in self._meant(path, name):
            method = last_part(node[1])
            known = method in {"__init__", "__call__", last_part(name)} or method in methods
            if method and ("." not in node[1] or known):
                yield node

    def _closure(
        self, stack: list[Node], onward: Callable[[Node, Function], Iterable[Node]]
    ) -> dict[Node, Function]:
        found: dict[Node, Function] = {}
        while stack:
            node = stack.pop()
            function = self.files[node[0]].functions.get(node[1])
            if node in found or function is None:
                continue
            found[node] = function
            stack.extend(onward(node, function))
        return found

    def _next(self, node: Node, function: Function) -> tuple[Node, ...]:
        if node not in self._edges:
            targets: dict[Node, None] = {}
            for name in sorted(function.refs):
                targets.update(dict.fromkeys(self._meant(node[0], name)))
            if node[1] == "":
                for dotted in (*self.files[node[0]].exports.values(), *self.files[node[0]].stars):
                    if file := self._module(node[0], dotted)[0]:
                        targets[(file, "")] = None
            self._edges[node] = tuple(targets)
        return self._edges[node]

    def _meant(self, path: str, name: str, hops: int = 0) -> Iterator[Node]:
        """Yield the functions that a dotted name of a file may be."""
        if name.startswith("@"):
            yield from self._local(path, name[1:], hops)
            return
        file, rest = self._module(path, name)
        if file is None:
            return
        yield file, ""
        if rest:
            yield from self._local(file, rest, hops + 1)

    def _local(self, path: str, name: str, hops: int) -> Iterator[Node]:
        summary = self.files[path]
        head = name.partition(".")[0]
        if name in summary.functions:
            yield path, name
        if head in summary.functions:
            yield path, head
        if head in self._classes[path]:
            yield from ((path, key) for key in summary.functions if key.startswith(f"{head}."))
        elif head in summary.exports and hops < _MAX_HOPS:
            tail = name[len(head) :]
            yield from self._meant(path, summary.exports[head] + tail, hops + 1)
        elif head not in summary.functions and hops < _MAX_HOPS:
            for star in summary.stars:
                file, _ = self._module(path, star)
                if file is not None and file != path:
                    yield from self._local(file, name, hops + 1)

    def _module(self, path: str, dotted: str) -> tuple[str | None, str]:
        """Return the file of a dotted name's longest prefix that is a module, and the rest."""
        if dotted.startswith("."):
            return self._relative(path, dotted)
        parts = dotted.split(".")
        for length in range(len(parts), 0, -1):
            found = self._modules.get(".".join(parts[:length]))
            if found:
                return _nearest(path, found), ".".join(parts[length:])
        return None, ""

    def _relative(self, path: str, dotted: str) -> tuple[str | None, str]:
        rest = dotted.lstrip(".")
        folder = posixpath.dirname(path)
        for _ in range(len(dotted) - len(rest) - 1):
            folder = posixpath.dirname(folder)
        parts = [part for part in rest.split(".") if part]
        for length in range(len(parts), -1, -1):
            base = posixpath.join(folder, *parts[:length])
            for candidate in (f"{base}.py", posixpath.join(base, "__init__.py")):
                if candidate in self.files:
                    return candidate, ".".join(parts[length:])
        return None, ""

    def resolves(self, path: str, name: str) -> bool:
        """Say whether a dotted name leads to a file of the project."""
        return name.startswith("@") or self._module(path, name)[0] is not None


def _nearest(path: str, found: Sequence[str]) -> str:
    """Return the file that shares the longest folder with `path`."""
    return max(found, key=lambda item: (len(posixpath.commonprefix([path, item])), item))

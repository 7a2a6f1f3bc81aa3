"""Findings that hang on the program: what it does elsewhere can call for them, or answer them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from mlactions.audit.model import Conditional, Finding, Summary

Node = tuple[str, str]


class Conditions:
    """Every conditional finding of the files, and what the programs say to it."""

    def __init__(self, files: Mapping[str, Summary]) -> None:
        self._files = files
        self._reached: set[int] = set()
        self._counts: dict[int, Conditional] = {}
        self._programs: list[frozenset[str]] = []

    def ask(
        self, effects: frozenset[str], paths: Collection[str], reached: Collection[Node]
    ) -> None:
        """Hold the findings of a program's files against what it does."""
        self._programs.append(effects)
        for path in paths:
            for item in self._files[path].conditional:
                if item.function is None or (path, item.function) in reached:
                    self._reached.add(id(item))
                    own = self._own(path) if item.alone else frozenset()
                    if _counts(item, effects | own):
                        self._counts[id(item)] = item

    def findings(self) -> Iterator[Finding]:
        """Yield what counts. A file that no program reaches may belong to any of them."""
        for path, summary in sorted(self._files.items()):
            for item in summary.conditional:
                if id(item) in self._counts:
                    yield item.finding
                elif item.alone and id(item) not in self._reached:
                    own = self._own(path)
                    if any(_counts(item, effects | own) for effects in self._programs or [own]):
                        yield item.finding

    def _own(self, path: str) -> frozenset[str]:
        functions = self._files[path].functions.values()
        return frozenset(effect for function in functions for effect in function.effects)


def _counts(item: Conditional, effects: frozenset[str]) -> bool:
    return item.when <= effects and not item.unless & effects

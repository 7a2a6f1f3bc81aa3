"""Programs without `if __name__ == "__main__"`: modules whose top level calls what trains."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from mlactions.audit.conditions import Node
from mlactions.audit.model import Function, Launch, Summary
from mlactions.audit.names import Scope
from mlactions.audit.origins import origin
from mlactions.audit.source import Source
from mlactions.audit.training import OTHER

# Functions of libraries that run the function they are given.
_RUNNERS = frozenset(
    {"fire.Fire", "typer.run", "tyro.cli", "absl.app.run", "jsonargparse.CLI"}
    | {"jsonargparse.auto_cli", "torch.multiprocessing.spawn", "accelerate.notebook_launcher"}
)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Runs(Protocol):
    """What is asked of the project: its files, and the functions that calling a name runs."""

    @property
    def files(self) -> Mapping[str, Summary]:
        """The files, by path."""

    def runs(self, path: str, name: str, method: str) -> Mapping[Node, Function]:
        """Return the functions that a call in a file runs."""


def launches(source: Source) -> Iterator[Launch]:
    """Yield what a module calls when it is run, each with the line where that stands."""
    for call, scope, name in source.calls:
        if scope.key or isinstance(scope.node, ast.Lambda) or _decorates(source, call):
            continue
        for called, method in _called(source, call, scope, name):
            yield Launch(called, method, call.lineno, source.quote(call.lineno))


def _called(source: Source, call: ast.Call, scope: Scope, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(call.func, ast.Attribute) and (made := origin(source, call.func.value, scope)):
        yield made, call.func.attr
    elif name in _RUNNERS:
        for given in (*call.args, *(item.value for item in call.keywords)):
            named = (source.names.name(node, scope) for node in ast.walk(given))
            yield from ((item, "") for item in named if item)
    elif name and not name.startswith("builtins."):
        yield name, ""


def _decorates(source: Source, call: ast.Call) -> bool:
    parent = source.names.parents.get(call)
    return isinstance(parent, _DEFINITIONS) and call in parent.decorator_list


def launched(project: Runs, path: str) -> Summary:
    """Return a file's summary, with an entry where its top level calls what trains."""
    summary = project.files[path]
    if summary.entry is not None:
        return summary
    for launch in summary.launches:
        functions = project.runs(path, launch.name, launch.method).values()
        if _trains({effect for function in functions for effect in function.effects}):
            place = replace(summary.entry_place, line=launch.line)
            return replace(summary, entry=launch.line, entry_place=place, entry_quote=launch.quote)
    return summary


def _trains(effects: Collection[str]) -> bool:
    """Say whether functions train; the program asks whether PyTorch is what goes backward."""
    # Libraries fit scikit-learn's scalers in constructors too, and its rules need no program.
    fits = {effect for effect in effects if effect.partition(".")[0] == "train"}
    return bool(fits - {f"{OTHER}scikit-learn"}) or {"backward", "step"} <= set(effects)

"""Programs: what is reached from each entry point, across files, and whether it is seeded."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from mlactions.audit.conditions import Conditions, Node
from mlactions.audit.lateness import Lateness
from mlactions.audit.model import Finding, Function, Level, Program, Rule, Summary
from mlactions.audit.rules import configuration, determinism, own, seeds
from mlactions.audit.source import joined, last_part
from mlactions.audit.training import OTHER

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

        def run(node: Node, function: Function) -> Iterator[Node]:
            for reference in sorted(function.refs):
                yield from self._run(node[0], reference)

        return self._closure(list(self._run(path, name)), run)

    def _run(self, path: str, name: str) -> Iterator[Node]:
        for node in self._meant(path, name):
            method = last_part(node[1])
            if method and ("." not in node[1] or method in {"__init__", last_part(name)}):
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


def programs(project: Project, settings: frozenset[str]) -> tuple[list[Program], list[Finding]]:
    """Return each entry point that trains, or logs to MLflow, and what the programs lack.

    `settings` are effects that files other than Python have: a variable set in a Dockerfile.
    """
    found: list[Program] = []
    findings: list[Finding] = []
    conditions = Conditions(project.files)
    for path, summary in sorted(project.files.items()):
        if summary.entry is None:
            continue
        reached = project.reach(path)
        effects = _effects(project, reached) | settings
        if "log.metrics" not in effects and not trains(effects):
            continue
        files = tuple(sorted({node[0] for node in reached}))
        found.append(Program(path, summary.entry_place, effects, files))
        findings += _judge(project, found[-1], reached)
        conditions.ask(effects, files, reached)
    return found, [*findings, *conditions.findings()]


def trains(effects: Collection[str]) -> bool:
    """Say whether a program trains a model, with PyTorch or another library."""
    return any(effect.partition(".")[0] == "train" for effect in effects)


def _effects(project: Project, reached: Mapping[Node, Function]) -> frozenset[str]:
    found: set[str] = set()
    for (path, _), function in reached.items():
        for effect in function.effects:
            if not effect.startswith("seed.call."):
                found.add(effect)
            elif not project.resolves(path, effect.removeprefix("seed.call.")):
                found.add("seed.all")  # a helper of a library
    if {"backward", "step", "torch"} <= found:
        found.add("train")
    return frozenset(found)


def _judge(
    project: Project, program: Program, reached: Mapping[Node, Function]
) -> Iterator[Finding]:
    effects = program.effects
    yield from _others(project, program)
    if "train" in effects:
        yield from _seeds(project, program)
        yield from _deterministic(project, program, reached)
        yield from Lateness(project, reached).findings()
    if "log.metrics" in effects and "log.params" not in effects:
        text = "This program logs metrics to MLflow and no parameters."
        yield _finding(project, program, configuration.NOT_LOGGED, text)


def _others(project: Project, program: Program) -> Iterator[Finding]:
    """Name the libraries whose training is not judged; Keras draws from generators known here."""
    names = others(program)
    if not names:
        return
    if "train" not in program.effects and _SEEDED_ALL & set(names):
        yield from _seeds(project, program, torch=False)
    text = (
        f"{joined(names)} {'trains' if len(names) == 1 else 'train'} here; only PyTorch is known."
    )
    yield _finding(project, program, own.NOT_JUDGED, text)


def others(program: Program) -> list[str]:
    """Return the libraries other than PyTorch that a program trains with and no rule knows."""
    names = (effect.removeprefix(OTHER) for effect in program.effects if effect.startswith(OTHER))
    return sorted(set(names) - _RULED)


_SEEDED_ALL = frozenset({"Keras", "TensorFlow"})
_RULED = frozenset({"scikit-learn"})


def _seeds(project: Project, program: Program, *, torch: bool = True) -> Iterator[Finding]:
    effects = program.effects
    seeded = {effect.removeprefix("seed.") for effect in effects if effect.startswith("seed.")}
    if "all" in seeded:
        return
    if not seeded:
        text = "This program trains a model and seeds no generator."
        yield _finding(project, program, seeds.MISSING, text)
        return
    missing = [
        f"`{_CALLS[name]}`"
        for name in ("numpy", "random")
        if f"use.{name}" in effects and name not in seeded
    ]
    if torch and "torch" not in seeded:
        only = " (`torch.cuda.manual_seed` leaves the CPU's)" if "cuda" in seeded else ""
        missing.insert(0, f"`torch.manual_seed`{only}")
    if missing:
        level: Level = "error" if torch and "torch" not in seeded else "warning"
        text = f"This program never calls {joined(missing, 'or')}."
        yield _finding(project, program, seeds.PARTIAL, text, level)


_CALLS = {"numpy": "numpy.random.seed", "random": "random.seed"}


def _deterministic(
    project: Project, program: Program, reached: Mapping[Node, Function]
) -> Iterator[Finding]:
    effects = program.effects
    if "deterministic.call" in effects and "cuda" in effects and "cublas" not in effects:
        place = next(
            (path, function.effects["deterministic.call"])
            for (path, _), function in sorted(reached.items())
            if "deterministic.call" in function.effects
        )
        text = "CUBLAS_WORKSPACE_CONFIG is set nowhere in the repository."
        yield Finding(
            determinism.CUBLAS.id,
            determinism.CUBLAS.level,
            place[0],
            program.place.__class__(place[1]),
            text,
            "torch.use_deterministic_algorithms",
            place[1],
            place[1],
        )
    if "cuda" not in effects or "deterministic" in effects:
        return
    if any(effect.startswith("seed.") for effect in effects):
        text = "This program trains on a GPU with a seed, and without deterministic algorithms."
        yield _finding(project, program, determinism.OFF, text)


def _finding(
    project: Project, program: Program, rule: Rule, message: str, level: Level | None = None
) -> Finding:
    summary = project.files[program.path]
    line = summary.entry or 1
    return Finding(
        rule=rule.id,
        level=level or rule.level,
        file=program.path,
        place=summary.entry_place,
        message=message,
        quote=summary.entry_quote,
        source_line=line,
        last_line=line,
    )


def seeded_by(program: Program) -> str:
    """Return in words what a program seeds."""
    found = {last_part(effect) for effect in program.effects if effect.startswith("seed.")}
    if "all" in found:
        return "everything"
    order = ("torch", "cuda", "numpy", "random")
    return joined([name for name in order if name in found]) or "nothing"

"""Programs: what an entry point reaches has to seed and to ask for; what is missing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from mlactions.audit.conditions import Conditions, Node
from mlactions.audit.lateness import Lateness
from mlactions.audit.launches import launched
from mlactions.audit.model import Finding, Function, Level, Program, Rule, Summary
from mlactions.audit.project import Project
from mlactions.audit.rules import configuration, determinism, own, seeds
from mlactions.audit.source import joined, last_part
from mlactions.audit.training import OTHER


def programs(project: Project, settings: frozenset[str]) -> tuple[list[Program], list[Finding]]:
    """Return each entry point that trains, or logs to MLflow, and what the programs lack.

    `settings` are effects that files other than Python have: a variable set in a Dockerfile.
    """
    found: list[Program] = []
    findings: list[Finding] = []
    conditions = Conditions(project.files)
    for path in sorted(project.files):
        summary = launched(project, path)
        if summary.entry is None:
            continue
        reached = project.reach(path)
        effects = _effects(project, reached) | settings
        if "log.metrics" not in effects and not trains(effects):
            continue
        files = tuple(sorted({node[0] for node in reached}))
        found.append(Program(path, summary.entry_place, effects, files))
        findings += _judge(project, found[-1], summary, reached)
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
    project: Project, program: Program, summary: Summary, reached: Mapping[Node, Function]
) -> Iterator[Finding]:
    effects = program.effects
    yield from _others(summary, program)
    if "train" in effects:
        yield from _seeds(summary, program)
        yield from _deterministic(summary, program, reached)
        yield from Lateness(project, reached).findings()
    if "log.metrics" in effects and "log.params" not in effects:
        text = "This program logs metrics to MLflow and no parameters."
        yield _finding(summary, configuration.NOT_LOGGED, text)


def _others(summary: Summary, program: Program) -> Iterator[Finding]:
    """Name the libraries whose training is not judged; Keras draws from generators known here."""
    names = others(program)
    if not names:
        return
    if "train" not in program.effects and _SEEDED_ALL & set(names):
        yield from _seeds(summary, program, torch=False)
    verb = "trains" if len(names) == 1 else "train"
    text = f"{joined(names)} {verb} here, and no rule judges that: they know PyTorch."
    yield _finding(summary, own.NOT_JUDGED, text)


def others(program: Program) -> list[str]:
    """Return the libraries other than PyTorch that a program trains with and no rule knows."""
    names = (effect.removeprefix(OTHER) for effect in program.effects if effect.startswith(OTHER))
    return sorted(set(names) - _RULED)


_SEEDED_ALL = frozenset({"Ignite", "Keras", "TensorFlow"})
_RULED = frozenset({"scikit-learn"})


def _seeds(summary: Summary, program: Program, *, torch: bool = True) -> Iterator[Finding]:
    effects = program.effects
    seeded = {effect.removeprefix("seed.") for effect in effects if effect.startswith("seed.")}
    if "all" in seeded:
        return
    if not seeded:
        text = "This program trains a model and seeds no generator."
        yield _finding(summary, seeds.MISSING, text)
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
        yield _finding(summary, seeds.PARTIAL, text, level)


_CALLS = {"numpy": "numpy.random.seed", "random": "random.seed"}


def _deterministic(
    summary: Summary, program: Program, reached: Mapping[Node, Function]
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
        yield _finding(summary, determinism.OFF, text)


def _finding(summary: Summary, rule: Rule, message: str, level: Level | None = None) -> Finding:
    line = summary.entry or 1
    return Finding(
        rule=rule.id,
        level=level or rule.level,
        file=summary.path,
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
    known = "train" in program.effects or set(others(program)) <= _SEEDED_ALL
    nothing = "nothing" if known else "not judged"
    return joined([name for name in order if name in found]) or nothing

"""What is drawn before the seed is set: the order of calls in the functions that seed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from mlactions.audit.conditions import Node
from mlactions.audit.model import Finding, Function, Step
from mlactions.audit.names import Scope
from mlactions.audit.rules import seeds
from mlactions.audit.source import Source, keyword, last_part

DRAW = "draw.torch"
CALL = "call."
_ALL = frozenset({"torch", "numpy", "random"})
_LAYERS = re.compile(
    r"Linear|Bilinear|(?:Lazy)?Conv(?:Transpose)?[123]d|Embedding(?:Bag)?|(?:LSTM|GRU|RNN)(?:Cell)?"
    r"|MultiheadAttention|Transformer\w*"
)
_FUNCTIONS = frozenset(
    {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial"}
    | {"rand_like", "randn_like", "randint_like"}
)
_FIXED = frozenset({"constant_", "zeros_", "ones_", "eye_", "dirac_", "calculate_gain"})
# Transformers' classes with a new layer on top, which no checkpoint holds.
_HEADS = re.compile(r"Auto(?:TF)?ModelFor\w*(?:Classification|QuestionAnswering|MultipleChoice)")


def draws(call: ast.Call, name: str) -> Iterator[str]:
    """Yield what a call draws from PyTorch's global generator: weights, numbers, an order."""
    owner, _, last = name.rpartition(".")
    given = keyword(call, "generator", 2) if last == "random_split" else keyword(call, "generator")
    if given is None and (
        (owner == "torch.nn" and _LAYERS.fullmatch(last))
        or (owner == "torch" and last in _FUNCTIONS)
        or (owner == "torch.nn.init" and last not in _FIXED)
        or (owner.startswith("torchvision.models") and last.islower())
        or (owner == "torch.utils.data" and last == "random_split")
        or (last == "from_pretrained" and _HEADS.fullmatch(last_part(owner)))
        or (last == "from_config" and last_part(owner).startswith("AutoModel"))
    ):
        yield DRAW


def steps(source: Source, calls: list[tuple[ast.Call, str, str]]) -> tuple[Step, ...]:
    """Return what a function calls, in order, with the effects of each call; `if`s around it."""
    found = []
    for call, name, effect in calls:
        text = "Random numbers are drawn here, before the seed is set."
        finding = source.finding(seeds.LATE, call, text)
        found.append(Step(effect or CALL + name, _branches(source, call), finding))
    return tuple(found)


def is_direct(scope: Scope) -> bool:
    """Say whether code runs when its function is called, not later, in a function inside it."""
    if isinstance(scope.node, ast.Lambda):
        return False
    parent = scope.parent
    outer = parent.node if parent is not None else None
    return not isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def _branches(source: Source, call: ast.Call) -> frozenset[tuple[int, str]]:
    """Return the branches around a call: an `if`'s line, and which of its sides."""
    found = set()
    before: ast.AST = call
    for above in source.names.above(call):
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
            break
        if isinstance(above, ast.If) and before is not above.test:
            found.add((above.lineno, "if" if before in above.body else "else"))
        elif isinstance(above, ast.ExceptHandler):
            found.add((above.lineno, "except"))
        before = above
    return frozenset(found)


class Follows(Protocol):
    """What is asked of a project: where its names lead."""

    def inside(self, path: str, name: str) -> Mapping[Node, Function]:
        """Return the functions that calling a name runs."""

    def resolves(self, path: str, name: str) -> bool:
        """Say whether a name is one of the project."""


class Lateness:
    """Finds draws before the seed in the functions of one program."""

    def __init__(self, project: Follows, reached: Mapping[Node, Function]) -> None:
        self._project = project
        self._reached = reached

    def findings(self) -> Iterator[Finding]:
        """Yield the first draw of each generator that is seeded later, and nowhere else."""
        for node, function in sorted(self._reached.items()):
            if function.steps:
                yield from self._function(node, function)

    def _function(self, node: Node, function: Function) -> Iterator[Finding]:
        drawn: dict[str, Step] = {}
        seeded: set[str] = set()
        own = {node}
        for step in function.steps:
            inside = self._inside(node, step)
            own |= inside.keys()
            sets, takes = self._kinds(node, step, inside)
            for kind in sorted(sets - seeded):
                first = drawn.get(kind)
                if first and first.branches <= step.branches and not self._elsewhere(kind, own):
                    yield first.finding
                    drawn = {key: item for key, item in drawn.items() if item is not first}
            seeded |= sets
            for kind in takes - sets - seeded:
                drawn.setdefault(kind, step)

    def _inside(self, node: Node, step: Step) -> Mapping[Node, Function]:
        called = step.what.removeprefix("seed.")  # a helper's name says that it seeds
        if not called.startswith(CALL):
            return {}
        return self._project.inside(node[0], called.removeprefix(CALL))

    def _kinds(
        self, node: Node, step: Step, inside: Mapping[Node, Function]
    ) -> tuple[frozenset[str], frozenset[str]]:
        """Return which generators a step seeds, and which it draws from."""
        effects = {effect for function in inside.values() for effect in function.effects}
        effects.add(step.what)
        return _seeds(effects, self._project, node[0]), _draws(effects)

    def _elsewhere(self, kind: str, own: set[Node]) -> bool:
        return any(
            kind in _seeds(function.effects, self._project, node[0])
            for node, function in self._reached.items()
            if node not in own
        )


def _seeds(effects: Iterable[str], project: Follows, path: str) -> frozenset[str]:
    found: set[str] = set()
    for effect in effects:
        if effect.startswith("seed.call."):
            if not project.resolves(path, effect.removeprefix("seed.call.")):
                found |= _ALL
        elif effect == "seed.all":
            found |= _ALL
        elif effect.startswith("seed."):
            found.add(effect.removeprefix("seed."))
    return frozenset(found & _ALL)


def _draws(effects: Iterable[str]) -> frozenset[str]:
    return frozenset(
        effect.partition(".")[2] for effect in effects if effect.startswith(("draw.", "use."))
    )

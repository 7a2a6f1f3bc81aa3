"""torch.onnx.export, and what it does not say: which line froze an axis, and where it failed."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .calling import Call
from .problems import BadInput, Failed, Place, Sources, chain, first_line, stack

_SHAPES = "torch.fx.experimental.symbolic_shapes"
_SYMBOL = re.compile(r"create_symbol (\w+) = (\d+) for .+?\.size\(\)\[(\d+)\]")
_GUARD = re.compile(r"(?:eval|runtime_assert) (.+?) \[guard added\]")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_MULTIPLE = re.compile(r"Mod\(\w+, (\d+)\)|\b\w+ = (\d+)\*_\w+")
_OPERATOR = re.compile(r"op='([\w.:]+)'|target=torch\.ops\.([\w.]+)")


class Guard:
    """A condition on shapes that tracing relied on, and the line of the user's that made it."""

    def __init__(self, condition: str, place: Place | None) -> None:
        self.condition, self.place = condition, place


class Watch(logging.Handler):
    """Listens to torch's shape environment. The handler runs inside the traced code's stack."""

    def __init__(self, sources: Sources) -> None:
        super().__init__(logging.INFO)
        self._sources = sources
        self.guards: list[Guard] = []
        self.symbols: list[tuple[str, int, int]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a condition that was added, with where the model was; and each symbol's length."""
        text = record.getMessage()
        if made := _SYMBOL.search(text):
            self.symbols.append((made[1], int(made[2]), int(made[3])))
        found = _GUARD.search(text)
        if found and "guard suppressed" not in found[1]:
            self.guards.append(Guard(found[1], self._sources.place_of(stack())))

    def cause(self, symbols: Sequence[str]) -> Guard | None:
        """Return the first condition on one of these symbols; one that the user's code made first.

        Conditions that hold for every length above one are not meant.
        """
        about = [
            guard
            for guard in self.guards
            if any(re.search(rf"\b{symbol}\b", guard.condition) for symbol in symbols)
            and not guard.condition.startswith("Ne(")
        ]
        placed = [guard for guard in about if guard.place is not None]
        return next(iter(placed or about), None)


@contextmanager
def watching(sources: Sources) -> Iterator[Watch]:
    """Collect conditions on shapes while torch traces."""
    logger = logging.getLogger(_SHAPES)
    watch, level, spread = Watch(sources), logger.level, logger.propagate
    handlers, logger.handlers = logger.handlers, [watch]  # torch's own would print it all
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield watch
    finally:
        logger.handlers = handlers
        logger.setLevel(level)
        logger.propagate = spread


def export(
    model: nn.Module,
    call: Call,
    inputs: Mapping[str, Any],
    *,
    request: Mapping[str, Any],
    tensors: Sequence[Mapping[str, Any]],
    outputs: Sequence[str],
    sources: Sources,
) -> Any:
    """Return torch's ONNX program of a model whose declared axes all stayed dynamic.

    Raises Failed, with the class and the place of what stood in the way.
    """
    args, kwargs = call.arguments(inputs)
    shapes = _shapes(tensors, request["axes"])
    with watching(sources) as watch:
        try:
            program = torch.onnx.export(
                model,
                args,
                kwargs=kwargs or None,
                dynamic_shapes=call.dynamic_shapes(shapes),
                input_names=list(call.names),
                output_names=list(outputs),
                opset_version=request["opset"],
                dynamo=True,
                verbose=False,
            )
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        except MemoryError:
            raise
        except Exception as error:
            raise classify(error, sources, watch) from error
    frozen(program, tensors, request["axes"], watch, sources)
    return program


def _shapes(
    tensors: Sequence[Mapping[str, Any]], axes: Mapping[str, Sequence[int]]
) -> dict[str, dict[int, Any]]:
    """Return the dynamic axes of every input, by position; one name is one dimension."""
    dims = {name: torch.export.Dim(name, min=low, max=high) for name, (low, high) in axes.items()}
    return {
        tensor["name"]: {
            position: dims[axis]
            for position, axis in enumerate(tensor["shape"])
            if isinstance(axis, str)
        }
        for tensor in tensors
    }


def _missing(error: ModuleNotFoundError) -> BadInput:
    return BadInput(
        f"torch.onnx.export needs `{error.name}`, which is not installed.",
        "Install onnx and onnxscript beside torch.",
        title="missing package",
    )


def classify(error: BaseException, sources: Sources, watch: Watch) -> Failed:
    """Return the class, the place and the exporter's report of an export that raised."""
    report = report_of(error, sources)
    place = _node_place(error, sources) or sources.place_of_error(error)
    kinds = {type(one).__name__ for one in chain(error)}
    first = next(chain(error))
    texts = " ".join(str(one) for one in chain(error))
    if "GuardOnDataDependentSymNode" in kinds or "data-dependent" in texts:
        message = (
            "The model decides by the values of a tensor which way to compute; a graph has one way"
            " only. Use torch.where or torch.cond, or move the decision out of the model."
        )
        return Failed("data-dependent-control-flow", message, place, report=report)
    if "DispatchError" in kinds or "No ONNX function found" in texts:
        found = _OPERATOR.search(texts)
        name = next(filter(None, found.groups()), "an operator") if found else "an operator"
        message = f"ONNX has no translation of `{name}`. Compute it with other operators."
        return Failed("unsupported-operator", message, place, report=report)
    if "Constraints violated" in texts or "specialized" in texts or "static shape" in texts:
        guard = next((g for g in watch.guards if g.place is not None), None)
        place = place or (guard.place if guard else None)
        said = f"An axis that is declared dynamic cannot vary. {_sentence(first, sources)}."
        message = said + _about_multiples(texts)
        return Failed("static-shape", message, place, report=report)
    return Failed("export-failed", f"{_sentence(first, sources)}.", place, report=report)


def _sentence(error: BaseException, sources: Sources) -> str:
    return _COLOUR.sub("", sources.scrub(first_line(error)))


def _node_place(error: BaseException, sources: Sources) -> Place | None:
    """Return where the graph's node came from that was being translated when it failed."""
    for one in chain(error):
        current = one.__traceback__
        while current is not None:
            node = current.tb_frame.f_locals.get("node")
            if isinstance(node, torch.fx.Node) and (place := sources.place_of_node(node)):
                return place
            current = current.tb_next
    return None


def report_of(error: BaseException, sources: Sources) -> str:
    """Return the exporter's own words, in Markdown, without this machine's paths."""
    parts = ["# What the exporter said\n"]
    for one in chain(error):
        text = "".join(traceback.format_exception_only(type(one), one)).strip()
        parts.append(f"## {type(one).__name__}\n\n{_fenced(text)}")
    frames = "".join(traceback.format_tb(next(chain(error)).__traceback__))
    parts.append(f"## Where it was raised\n\n{_fenced(frames)}")
    return _COLOUR.sub("", sources.scrub("\n".join(parts)))[:200_000]


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text.rstrip()}\n{fence}\n"


def frozen(
    program: Any,
    tensors: Sequence[Mapping[str, Any]],
    axes: Mapping[str, Sequence[int]],
    watch: Watch,
    sources: Sources,
) -> None:
    """Raise Failed where an axis is fixed, narrowed, or tied to another one in the traced graph.

    torch.onnx.export takes torch.export's "suggested fixes" without a word: a batch that the model
    holds to two is then exported as two.
    """
    symbols: dict[str, str] = {}
    ranges = program.exported_program.range_constraints
    for tensor, value in zip(tensors, _inputs(program.exported_program), strict=True):
        for position, axis in enumerate(tensor["shape"]):
            if not isinstance(axis, str):
                continue
            length = value.shape[position]
            where = f"axis {position} of `{tensor['name']}`"
            if isinstance(length, int):
                why = f"`{axis}` ({where}) is fixed at {length} in the exported graph"
                fixed = [s for s, n, at in watch.symbols if (n, at) == (length, position)]
                raise _static(why, watch, axis, fixed, sources)
            symbol = str(length.node.expr)
            low, high = axes[axis]
            allowed = ranges.get(length.node.expr)
            if allowed is not None and (allowed.lower > max(low, 2) or allowed.upper < high):
                why = (
                    f"`{axis}` ({where}) is declared for {low} to {high}, but the exported graph"
                    f" holds for {max(allowed.lower, 1)} to {allowed.upper} only"
                )
                raise _static(why, watch, axis, [symbol], sources)
            if symbols.setdefault(axis, symbol) != symbol or not symbol.isidentifier():
                why = f"`{axis}` ({where}) is tied to {symbol}"
                raise _static(why, watch, axis, re.findall(r"\w+", symbol), sources)
    twins = [a for a in symbols for b in symbols if a < b and symbols[a] == symbols[b]]
    if twins:
        why = f"`{twins[0]}` is tied to another axis: both must be equal in the exported graph"
        raise _static(why, watch, twins[0], [symbols[twins[0]]], sources)


def _inputs(program: Any) -> list[Any]:
    names = set(program.graph_signature.user_inputs)
    nodes = program.graph_module.graph.nodes
    return [node.meta["val"] for node in nodes if node.op == "placeholder" and node.name in names]


def _static(why: str, watch: Watch, axis: str, symbols: Sequence[str], sources: Sources) -> Failed:
    guard = watch.cause(symbols)
    place = guard.place if guard else None
    because = ""
    if guard is not None:
        named = re.sub(r"\bs\d+\b", axis, guard.condition)
        where = f" at {place.file}:{place.line}" if place else ""
        because = f", because the model{where} relies on {named}"
    wanted = _about_multiples(guard.condition if guard else "")
    message = f"{why}{because}. Write the code so that it holds for every `{axis}`.{wanted}"
    report = f"# What the exporter said\n\nIt said nothing: {sources.scrub(message)}\n"
    return Failed("static-shape", message, place, report=report)


def _about_multiples(text: str) -> str:
    """Return a sentence where torch holds an axis to the multiples of a number."""
    found = _MULTIPLE.search(text)
    if found is None:
        return ""
    return (
        f" It takes only multiples of {next(filter(None, found.groups()))}: such axes are not"
        " supported. Pad inside the model, or declare the axis with a fixed length."
    )


def random_place(program: Any, sources: Sources) -> tuple[str, Place | None]:
    """Return the first random operator of a traced graph, and where it came from."""
    for node in program.graph_module.graph.nodes:
        tags = getattr(node.target, "tags", ())
        if torch.Tag.nondeterministic_seeded in tags and not _is_off(node):
            return str(node.target), sources.place_of_node(node)
    return "", None


def _is_off(node: Any) -> bool:
    """Say whether a node is dropout in eval mode."""
    return "dropout" in str(node.target) and False in node.args

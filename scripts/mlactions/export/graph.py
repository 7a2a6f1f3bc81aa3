"""Read what is in an ONNX file: facts only, judged by `structure`. Needs onnx; runs in a worker.

Weights outside of the file are not read, only where they should lie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlactions.export.result import Graph, Operator, Value

RANDOM = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)
_LENGTH_ONLY = frozenset({"Shape", "Size"})
"""Their result follows from the lengths of the axes alone, not from the values."""


@dataclass(frozen=True)
class External:
    """A tensor kept outside of the model file; `expected` is what type and shape need, in bytes."""

    tensor: str
    location: str
    offset: int
    length: int
    expected: int


@dataclass(frozen=True)
class Inspection:
    """The facts of a file. `unreadable` and `refused` are what onnx said, empty if nothing.

    `reaches` names the graph inputs whose values each output depends on. `training` and `random`
    name nodes, `paths` counts nodes that carry source paths.
    """

    unreadable: str = ""
    refused: str = ""
    graph: Graph | None = None
    externals: tuple[External, ...] = ()
    random: tuple[str, ...] = ()
    training: tuple[str, ...] = ()
    reaches: Mapping[str, tuple[str, ...]] | None = None
    paths: int = 0


def inspect(path: Path) -> dict[str, Any]:
    """Return the facts of a model file as JSON; an Inspection once it is read back."""
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # noqa: BLE001  # protobuf and onnx raise many kinds
        return asdict(Inspection(unreadable=_first_line(error)))
    return asdict(_facts(model))


def check(path: Path) -> dict[str, Any]:
    """Run onnx's own check with shape inference, by path: a model may be larger than 2 GB."""
    import onnx

    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:  # noqa: BLE001  # protobuf and onnx raise many kinds
        return {"refused": _first_line(error)}
    return {"refused": ""}


def read_back(document: Mapping[str, Any]) -> Inspection:
    """Return the facts that a worker sent."""
    graph = document["graph"]
    return Inspection(
        **{
            **document,
            "graph": None if graph is None else _graph(graph),
            "externals": tuple(External(**external) for external in document["externals"]),
            "random": tuple(document["random"]),
            "training": tuple(document["training"]),
        }
    )


def _graph(document: Mapping[str, Any]) -> Graph:
    def values(name: str) -> tuple[Value, ...]:
        return tuple(Value(v["name"], v["dtype"], tuple(v["shape"])) for v in document[name])

    operators = tuple(Operator(**operator) for operator in document["operators"])
    changed = {"inputs": values("inputs"), "outputs": values("outputs"), "operators": operators}
    return Graph(**{**document, **changed})


def _facts(model: Any) -> Inspection:
    nodes = [*_nodes(model.graph), *(node for f in model.functions for node in _all(f.node))]
    tensors = [*_tensors(model.graph, nodes)]
    return Inspection(
        graph=_summary(model, nodes, tensors),
        externals=tuple(_externals(tensors)),
        random=tuple(_named(node) for node in nodes if node.op_type in RANDOM),
        training=tuple(_training(nodes, tensors)),
        reaches=_reaches(model.graph),
        paths=sum(any("stack_trace" in p.key for p in node.metadata_props) for node in nodes),
    )


def _summary(model: Any, nodes: list[Any], tensors: list[Any]) -> Graph:
    opsets = {opset.domain or "ai.onnx": opset.version for opset in model.opset_import}
    counts = Counter((node.op_type, node.domain) for node in nodes)
    stored = {tensor.name for tensor in model.graph.initializer}
    return Graph(
        opset=opsets.get("ai.onnx", 0),
        ir=model.ir_version,
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        nodes=len(nodes),
        initializers=len(tensors),
        initializer_bytes=sum(map(_bytes, tensors)),
        operators=tuple(
            Operator(name, domain, count)
            for (name, domain), count in sorted(counts.items(), key=lambda i: (-i[1], i[0]))
        ),
        inputs=tuple(_value(value) for value in model.graph.input if value.name not in stored),
        outputs=tuple(map(_value, model.graph.output)),
        metadata={prop.key: prop.value for prop in model.metadata_props},
    )


def _value(value: Any) -> Value:
    tensor = value.type.tensor_type
    shape = [_length(dim) for dim in tensor.shape.dim]
    return Value(value.name, _dtype(tensor.elem_type), tuple(shape))


def _length(dim: Any) -> int | str | None:
    if dim.HasField("dim_value"):
        return int(dim.dim_value)
    return str(dim.dim_param) or None


def _dtype(number: int) -> str:
    import onnx

    try:
        return str(onnx.helper.tensor_dtype_to_np_dtype(number))
    except (KeyError, ValueError):
        return onnx.TensorProto.DataType.Name(number).lower() if number else "unknown"


def _nodes(graph: Any) -> Iterator[Any]:
    yield from _all(graph.node)


def _all(nodes: Iterable[Any]) -> Iterator[Any]:
    """Yield nodes and those of their subgraphs."""
    for node in nodes:
        yield node
        for graph in _subgraphs(node):
            yield from _all(graph.node)


def _subgraphs(node: Any) -> list[Any]:
    found = []
    for attribute in node.attribute:
        if attribute.HasField("g"):
            found.append(attribute.g)
        found += attribute.graphs
    return found


def _tensors(graph: Any, nodes: Iterable[Any]) -> Iterator[Any]:
    """Yield initializers, also those of subgraphs, and the tensors in attributes."""
    yield from graph.initializer
    for node in nodes:
        for subgraph in _subgraphs(node):
            yield from subgraph.initializer
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _bytes(tensor: Any) -> int:
    """Return how much room a tensor's type and shape need; types below a byte are packed."""
    import onnx

    count = 1
    for length in tensor.dims:
        count *= length
    name = onnx.TensorProto.DataType.Name(tensor.data_type)
    if name in {"INT4", "UINT4", "FLOAT4E2M1"}:
        return (count + 1) // 2
    try:
        return count * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except (KeyError, ValueError, AttributeError):
        return 0


def _externals(tensors: Iterable[Any]) -> Iterator[External]:
    import onnx

    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            said = {entry.key: entry.value for entry in tensor.external_data}
            offset, length = (_number(said.get(key, "")) for key in ("offset", "length"))
            expected = _bytes(tensor)
            yield External(
                tensor.name,
                said.get("location", ""),
                max(offset, 0),
                expected if length < 0 else length,
                expected,
            )


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else -1


def _training(nodes: Iterable[Any], tensors: Iterable[Any]) -> Iterator[str]:
    """Yield nodes that behave as in training; an input that is not constant may be true.

    https://onnx.ai/onnx/operators/: Dropout from opset 12, BatchNormalization from 14.
    """
    nodes = list(nodes)
    flags = _flags(nodes, tensors)
    for node in nodes:
        if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:  # noqa: PLR2004
            if flags.get(node.input[2], True):
                yield _named(node)
        elif node.op_type == "BatchNormalization" and any(
            attribute.name == "training_mode" and attribute.i for attribute in node.attribute
        ):
            yield _named(node)


def _flags(nodes: Iterable[Any], tensors: Iterable[Any]) -> dict[str, bool]:
    """Return the constants of one boolean element, by name."""
    import onnx

    named = [(tensor.name, tensor) for tensor in tensors if tensor.name]
    named += [
        (node.output[0], node.attribute[0].t)
        for node in nodes
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t")
    ]
    boolean = onnx.TensorProto.BOOL
    return {
        name: bool(onnx.numpy_helper.to_array(tensor).any())
        for name, tensor in named
        if tensor.data_type == boolean and tensor.data_location != onnx.TensorProto.EXTERNAL
    }


def _reaches(graph: Any) -> dict[str, tuple[str, ...]]:
    """Return, by output, the inputs whose values it depends on, in their order."""
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in stored]
    reach: dict[str, frozenset[str]] = {name: frozenset({name}) for name in inputs}
    for node in graph.node:
        read = {*node.input, *(n for inner in _all_inner(node) for n in inner.input)}
        found: frozenset[str] = frozenset().union(*(reach.get(name, frozenset()) for name in read))
        if node.op_type in _LENGTH_ONLY:
            found = frozenset()
        reach.update(dict.fromkeys(node.output, found))
    return {
        value.name: tuple(name for name in inputs if name in reach.get(value.name, ()))
        for value in graph.output
    }


def _all_inner(node: Any) -> Iterator[Any]:
    for graph in _subgraphs(node):
        yield from _all(graph.node)


def _named(node: Any) -> str:
    return f"{node.op_type} {node.name or node.output[0]}"


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:500]

"""The exporter's file made into ours: no source paths, our metadata, one layout, the same bytes.

torch writes the absolute path of the user's source behind every node, so equal models differ from
checkout to checkout. Weights are streamed: a model of many gigabytes takes no more memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mlactions.export.exported import TensorSpec

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

PREFIX = "mlactions."
DATA_KEY = f"{PREFIX}data.sha256"

LARGE_BYTES = 2**30
"""Weights from here on lie beside the model; protobuf itself ends at 2 GiB."""

SMALL_BYTES = 1024
"""A tensor below this stays in the model file, unless all weights are wanted outside of it."""

_ALIGNMENT = 4096
"""Bytes; what starts at a page can be mapped into memory."""

_BLOCK = 1 << 20

_DTYPES = {
    "FLOAT16": "float16",
    "FLOAT": "float32",
    "DOUBLE": "float64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "BOOL": "bool",
}


class UnsupportedTypeError(Exception):
    """An output has a type that no array of ours can hold."""


def rewrite(
    source: Path, target: Path, metadata: Mapping[str, str], *, always_external: bool = False
) -> tuple[TensorSpec, ...]:
    """Write `source` to `target`, its weights inside or in `target`.data; return its outputs.

    With `always_external` every matrix lies outside, however small. What is smaller and has one
    axis or none stays inside: shape inference reads such tensors, and only there.
    """
    import onnx

    model = onnx.load_model(source, load_external_data=False)
    strip(model)
    tensors = list(_tensors(model.graph))
    outside = _outside(tensors, always=always_external)
    apart = {id(tensor) for tensor in outside}
    target.parent.mkdir(parents=True, exist_ok=True)
    written = dict(metadata)
    for tensor in tensors:
        if id(tensor) not in apart:
            _embed(tensor, source.parent)
    if outside:
        data = target.with_name(f"{target.name}.data")
        written[DATA_KEY] = _write_data(outside, source.parent, data)
    for key, value in sorted(written.items()):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    # The one for whom the file has to be the same tomorrow: maps are written in order.
    target.write_bytes(model.SerializeToString(deterministic=True))
    return tuple(_output(value) for value in model.graph.output)


def strip(model: ModelProto) -> None:
    """Remove what the exporter noted about its sources, everywhere in a model."""
    model.ClearField("doc_string")
    del model.metadata_props[:]
    _strip_graph(model.graph)
    for function in model.functions:
        function.ClearField("doc_string")
        del function.metadata_props[:]
        _strip_nodes(function.node)
        for value in function.value_info:
            _strip(value)


def _strip_graph(graph: GraphProto) -> None:
    _strip(graph)
    for part in (graph.input, graph.output, graph.value_info, graph.initializer):
        for item in part:
            _strip(item)
    _strip_nodes(graph.node)


def _strip_nodes(nodes: Iterable[NodeProto]) -> None:
    for node in nodes:
        _strip(node)
        for attribute in node.attribute:
            attribute.ClearField("doc_string")
            for graph in _graphs(attribute):
                _strip_graph(graph)


def _graphs(attribute: AttributeProto) -> Iterator[GraphProto]:
    """Yield the graphs that an attribute holds; touching one that it lacks would make it."""
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def _strip(item: Any) -> None:
    item.ClearField("doc_string")
    if hasattr(item, "metadata_props"):
        del item.metadata_props[:]


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Yield the weights of a graph and of the graphs inside it, in their order."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            for inner in _graphs(attribute):
                yield from _tensors(inner)


def _outside(tensors: Sequence[TensorProto], *, always: bool) -> list[TensorProto]:
    """Return the weights that go into a file of their own."""
    if not always and sum(_size(tensor) for tensor in tensors) < LARGE_BYTES:
        return []
    return [
        tensor
        for tensor in tensors
        if _size(tensor) >= SMALL_BYTES or (always and _size(tensor) and len(tensor.dims) > 1)
    ]


def _size(tensor: TensorProto) -> int:
    if _is_external(tensor):
        return int(_entries(tensor).get("length", 0))
    return len(tensor.raw_data)


def _is_external(tensor: TensorProto) -> bool:
    return bool(tensor.data_location == 1)  # TensorProto.EXTERNAL


def _entries(tensor: TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _blocks(tensor: TensorProto, folder: Path) -> Iterator[bytes]:
    """Yield a tensor's bytes, from the model file or from where the exporter put them."""
    if not _is_external(tensor):
        yield tensor.raw_data
        return
    entries = _entries(tensor)
    left = int(entries["length"])
    with (folder / entries["location"]).open("rb") as stream:
        stream.seek(int(entries.get("offset", 0)))
        while left > 0:
            block = stream.read(min(_BLOCK, left))
            if not block:
                raise OSError(f"{entries['location']} ends early")
            left -= len(block)
            yield block


def _embed(tensor: TensorProto, folder: Path) -> None:
    if _is_external(tensor):
        tensor.raw_data = b"".join(_blocks(tensor, folder))
        del tensor.external_data[:]
        tensor.data_location = 0  # type: ignore[assignment]  # TensorProto.DEFAULT


def _write_data(tensors: Iterable[TensorProto], folder: Path, data: Path) -> str:
    """Write tensors into one file, each at a page's start; return its SHA-256."""
    digest = hashlib.sha256()
    with data.open("wb") as stream:
        for tensor in tensors:
            _pad(stream, digest)
            offset, length = stream.tell(), _size(tensor)
            for block in _blocks(tensor, folder):
                stream.write(block)
                digest.update(block)
            _point(tensor, data.name, offset, length)
    return digest.hexdigest()


def _pad(stream: BinaryIO, digest: Any) -> None:
    zeros = bytes(-stream.tell() % _ALIGNMENT)
    stream.write(zeros)
    digest.update(zeros)


def _point(tensor: TensorProto, location: str, offset: int, length: int) -> None:
    tensor.ClearField("raw_data")
    del tensor.external_data[:]
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    tensor.data_location = 1  # type: ignore[assignment]  # TensorProto.EXTERNAL


def _output(value: ValueInfoProto) -> TensorSpec:
    import onnx

    kind = value.type.tensor_type
    name = onnx.TensorProto.DataType.Name(kind.elem_type)
    if name not in _DTYPES:
        raise UnsupportedTypeError(f"the output `{value.name}` is {name}, which no array holds")
    shape = tuple(
        dim.dim_param or (dim.dim_value if dim.HasField("dim_value") else "?")
        for dim in kind.shape.dim
    )
    return TensorSpec(value.name, _DTYPES[name], shape)

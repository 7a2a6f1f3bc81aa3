"""The description against the model file itself: a server that trusts a wrong one fails late."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.errors import UserError
from mlactions.export.serving.description import DATATYPES, Description, Tensor


@dataclass(frozen=True)
class Declared:
    """An input or output as the file declares it; None is an axis of no fixed length."""

    name: str
    datatype: str
    shape: tuple[int | None, ...]


def check_file(model: Description, path: Path) -> None:
    """Raise UserError unless the file takes and gives what the description says."""
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    # Files of old exporters list their weights among the inputs.
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [_declared(value) for value in graph.input if value.name not in weights]
    outputs = [_declared(value) for value in graph.output]
    found = [*disagreements("input", model.inputs, inputs)]
    found += disagreements("output", model.outputs, outputs)
    if found:
        raise UserError(
            "cannot serve",
            f"the model file is not what was measured: {found[0]}.",
            "Measure and verify the model again.",
            file=path.name,
        )


def _declared(value: Any) -> Declared:
    import onnx

    kind = value.type.tensor_type
    dtype = str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)
    return Declared(value.name, DATATYPES.get(dtype, dtype), shape)


def disagreements(kind: str, said: Sequence[Tensor], found: Sequence[Declared]) -> Iterator[str]:
    """Say in which names, types and axes the two differ."""
    names, others = [tensor.name for tensor in said], [value.name for value in found]
    if names != others:
        yield f"its {kind}s are {others}, not {names}"
        return
    for tensor, value in zip(said, found, strict=True):
        shape = tuple(size if isinstance(size, int) else None for size in tensor.shape)
        if (tensor.datatype, shape) != (value.datatype, value.shape):
            yield (
                f"{kind} `{tensor.name}` is {value.datatype} {_shown(value.shape)}, "
                f"not {tensor.datatype} {_shown(shape)}"
            )


def _shown(shape: tuple[int | None, ...]) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"

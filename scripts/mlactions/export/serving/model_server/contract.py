"""What the model takes and gives: model.json, written when the model was proven equal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NUMPY = {
    "BOOL": "bool",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
"""The protocol's names of data types, and NumPy's."""


@dataclass(frozen=True)
class Tensor:
    """An input or output; a string in `shape` names a dynamic axis."""

    name: str
    datatype: str
    shape: tuple[int | str, ...]

    def metadata(self) -> dict[str, Any]:
        """Return the protocol's description: a dynamic axis is -1."""
        shape = [size if isinstance(size, int) else -1 for size in self.shape]
        return {"name": self.name, "datatype": self.datatype, "shape": shape}


@dataclass(frozen=True)
class Axis:
    """The lengths that a dynamic axis may have, both ends included."""

    low: int
    high: int


@dataclass(frozen=True)
class Contract:
    """The whole of model.json. `files` maps the model's files to their SHA-256, its own first."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    axes: Mapping[str, Axis]
    files: Mapping[str, str]
    body_bytes: int

    def metadata(self) -> dict[str, Any]:
        """Return the protocol's model metadata."""
        return {
            "name": self.name,
            "versions": ["1"],
            "platform": "onnxruntime_onnx",
            "inputs": [tensor.metadata() for tensor in self.inputs],
            "outputs": [tensor.metadata() for tensor in self.outputs],
        }


def read_contract(path: Path) -> Contract:
    """Read model.json."""
    given = json.loads(path.read_text(encoding="utf-8"))
    return Contract(
        name=given["name"],
        inputs=tuple(map(_tensor, given["inputs"])),
        outputs=tuple(map(_tensor, given["outputs"])),
        axes={axis["name"]: Axis(axis["low"], axis["high"]) for axis in given["axes"]},
        files={file["path"]: file["sha256"] for file in given["files"]},
        body_bytes=given["body_bytes"],
    )


def _tensor(given: Mapping[str, Any]) -> Tensor:
    return Tensor(given["name"], given["datatype"], tuple(given["shape"]))

"""What a server has to know of a proven model: the contract that every target is written from."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from mlactions.errors import UserError
from mlactions.export.exported import Axis, Exported, TensorSpec

DATATYPES = {
    "bool": "BOOL",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}
"""NumPy's data types as the Open Inference Protocol calls them."""

BATCH = "batch"
NUMBER_BYTES = 26
"""A number of double precision as JSON: sign, 17 digits, point, exponent, comma, a space."""

_LEAST_BODY = 1 << 20
_MOST_BODY = 64 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class NotServableError(Exception):
    """Why no server can be asked for what the model gives; a sentence without its full stop."""


@dataclass(frozen=True)
class Tensor:
    """An input or output; `datatype` as in the protocol, a string in `shape` is a dynamic axis."""

    name: str
    datatype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class ModelFile:
    """A file of the model: its name in the model's folder, and its checksum."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Description:
    """A model as its servers see it. `files` starts with the model file itself."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    axes: tuple[Axis, ...]
    files: tuple[ModelFile, ...]

    @property
    def largest_batch(self) -> int | None:
        """The declared maximum, if the first axis of every input and output is the batch."""
        tensors = (*self.inputs, *self.outputs)
        if any(tensor.shape[:1] != (BATCH,) for tensor in tensors):
            return None
        return next((axis.high for axis in self.axes if axis.name == BATCH), None)

    @property
    def body_bytes(self) -> int:
        """The largest request worth reading: what the model takes at most, as JSON.

        64 MiB at most: whoever sends more at a time says so to the server.
        """
        longest = {axis.name: axis.high for axis in self.axes}
        numbers = sum(
            math.prod(size if isinstance(size, int) else longest.get(size, 1) for size in t.shape)
            for t in self.inputs
        )
        return min(max(numbers * NUMBER_BYTES, _LEAST_BODY), _MOST_BODY)

    def document(self, folder: str = "model") -> dict[str, Any]:
        """Return model.json; `folder` is where its files lie, empty for beside it."""
        place = PurePosixPath(folder)
        return {
            "version": 1,
            "name": self.name,
            "inputs": [asdict(tensor) for tensor in self.inputs],
            "outputs": [asdict(tensor) for tensor in self.outputs],
            "axes": [asdict(axis) for axis in self.axes],
            "files": [{"path": str(place / f.name), "sha256": f.sha256} for f in self.files],
            "body_bytes": self.body_bytes,
        }

    def text(self, folder: str = "model") -> str:
        """Return model.json as text, one tensor a line or so, for people too."""
        return json.dumps(self.document(folder), indent=2, ensure_ascii=False) + "\n"


def describe(exported: Exported, checksums: Mapping[str, str], name: str = "") -> Description:
    """Describe a measured model. `checksums` are the SHA-256 of its files by path."""
    files = tuple(ModelFile(PurePosixPath(p).name, checksums[p]) for p in exported.files)
    return Description(
        name=model_name(name, exported),
        inputs=tuple(map(_tensor, exported.inputs)),
        outputs=tuple(map(_tensor, exported.outputs)),
        axes=exported.axes,
        files=files,
    )


def model_name(given: str, exported: Exported) -> str:
    """Return the name a server knows the model by: as given, else the class's name."""
    if given:
        if not _NAME.fullmatch(given):
            raise UserError(
                "bad input",
                f"`name` is {given!r}.",
                "Use letters, digits, dots, dashes and underscores: at most 64, no mark first.",
            )
        return given
    found = exported.model.class_name if exported.model is not None else ""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", found.rpartition(".")[2])[:64].lstrip("._-") or "model"


def _tensor(spec: TensorSpec) -> Tensor:
    if spec.dtype not in DATATYPES:
        raise NotServableError(
            f"`{spec.name}` is {spec.dtype}, which the protocol of servers lacks"
        )
    return Tensor(spec.name, DATATYPES[spec.dtype], spec.shape)

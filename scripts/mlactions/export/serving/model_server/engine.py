"""The model in ONNX Runtime: loaded only if it is the one that was proven, then run."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .contract import NUMPY, Contract, Tensor
from .refusal import RefusedError
from .tensors import Array

# Official builds of ONNX Runtime report usage unless they are told not to before their import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

_LOG = logging.getLogger("uvicorn.error")


class ModelError(Exception):
    """A model that must not be served: another file, other inputs, or one that does not run."""


class Engine:
    """One model; `load` comes before `run`."""

    def __init__(self, contract: Contract, folder: Path, threads: int) -> None:
        self.contract = contract
        self._folder = folder
        self._threads = threads
        self._session: Any = None

    def check(self) -> None:
        """Raise ModelError for a file that is not the one that was proven."""
        for name, sha256 in self.contract.files.items():
            _check_file(self._folder / name, name, sha256)

    def load(self) -> None:
        """Open the session, compare it with the contract, run it once."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        # Threads that spin between two requests take the processor from those who read the next.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = self._folder / next(iter(self.contract.files))
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        found = [(kind, node.name) for kind, node in _nodes(session)]
        expected = [("input", tensor.name) for tensor in self.contract.inputs]
        expected += [("output", tensor.name) for tensor in self.contract.outputs]
        if found != expected:
            raise ModelError(f"the model has {found}, model.json says {expected}")
        session.run(None, {tensor.name: self._smallest(tensor) for tensor in self.contract.inputs})
        self._session = session

    def options(self) -> Any:
        """Return what one run is ended with: set its `terminate`."""
        import onnxruntime

        return onnxruntime.RunOptions()

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str], options: Any) -> list[Array]:
        """Return the outputs; values that the model itself cannot take are refused."""
        from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

        try:
            arrays: list[Array] = self._session.run(list(outputs), dict(inputs), options)
        except InvalidArgument as error:
            _LOG.warning("refused by the model: %s", error)
            # The sentence ends the text; before it come places inside ONNX Runtime.
            reason = str(error).rpartition("Status Message: ")[2].strip()
            raise RefusedError(
                400, f"the model cannot take these values: {reason[-300:]}"
            ) from None
        return arrays

    def _smallest(self, tensor: Tensor) -> Array:
        axes = self.contract.axes
        sizes = [
            size if isinstance(size, int) else axes[size].low if size in axes else 1
            for size in tensor.shape
        ]
        return np.zeros(sizes, NUMPY[tensor.datatype])


def _nodes(session: Any) -> list[tuple[str, Any]]:
    nodes = [("input", node) for node in session.get_inputs()]
    return nodes + [("output", node) for node in session.get_outputs()]


def _check_file(path: Path, name: str, sha256: str) -> None:
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{name}: {error.strerror}") from None
    if found != sha256:
        raise ModelError(f"{name} is not the file that was proven: its SHA-256 is {found}")

"""An answer of a server, read as strictly as a request, and held against PyTorch's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from mlactions.export.arrays import Array
from mlactions.export.gates import Gate, Own, hold
from mlactions.export.parity import measure
from mlactions.export.result import Mode, Parity
from mlactions.export.serving.golden import Golden
from mlactions.export.serving.model_server.contract import NUMPY


class AnswerError(Exception):
    """An answer that is none of the protocol: a sentence."""


def read_outputs(body: bytes) -> dict[str, Array]:
    """Return the outputs by name, in order."""
    try:
        outputs = json.loads(body)["outputs"]
        return {str(item["name"]): _array(item) for item in outputs}
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        start = body[:120].decode(errors="replace")
        raise AnswerError(f"no answer of the protocol ({type(error).__name__}): {start}") from None


def _array(item: Mapping[str, Any]) -> Array:
    dtype = np.dtype(NUMPY[item["datatype"]])
    shape = tuple(int(size) for size in item["shape"])
    return np.array(item["data"], dtype).reshape(shape)


def compare(
    golden: Golden, expected: Mapping[str, Array], found: Mapping[str, Array]
) -> tuple[Parity, ...]:
    """Hold every output against the gate that the model itself was held against."""
    if list(found) != list(expected):
        raise AnswerError(f"the outputs are {list(found)}, expected {list(expected)}")
    rows = []
    for name, reference in expected.items():
        answer = golden.outputs[name]
        mode: Mode = "absolute" if answer.mode == "absolute" else "scaled"
        gate = Gate(answer.tolerance, mode, answer.named)
        own = Own(answer.float64, answer.threads)
        # Half precision is what an fp16 model gives; its reference is in single.
        types = {"float32": "float16", "float64": "float32"}
        rows.append(hold(measure(name, reference, found[name]), gate, own, types))
    return tuple(rows)

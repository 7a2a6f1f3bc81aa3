"""Golden requests: the same for every server, with PyTorch's own answers beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlactions.bundle import Bundle, write_atomic, write_json
from mlactions.errors import UserError
from mlactions.export.arrays import Array, Arrays, ArraysError
from mlactions.export.exported import Case, Exported
from mlactions.export.gates import Gate
from mlactions.export.serving.description import (
    DATATYPES,
    NUMBER_BYTES,
    Description,
    NotServableError,
)
from mlactions.export.serving.model_server.contract import NUMPY
from mlactions.schema import load_json

FOLDER = "golden"
INDEX = "golden/requests.json"
BATCHES = (1, 3, 7)
REQUEST_BYTES = 8 << 20
"""Requests whose JSON would be larger are left out, but for the first."""


@dataclass(frozen=True)
class Answer:
    """What an output may be off: its gate, and how far PyTorch is from itself."""

    tolerance: float
    mode: str
    named: bool
    float64: float | None
    threads: float | None


@dataclass(frozen=True)
class Golden:
    """One request: a file to send as it is, and the file with the answer that PyTorch gave."""

    id: str
    batch: int
    axes: Mapping[str, int]
    request: str
    expected: str
    outputs: Mapping[str, Answer]


def choose(cases: Iterable[Case], model: Description) -> list[Case]:
    """Return a gated case of each batch size that is there, else the smallest one."""
    gated = sorted((case for case in cases if case.kind == "gated"), key=lambda c: c.batch)
    first = {case.batch: case for case in reversed(gated)}
    chosen = [first[batch] for batch in BATCHES if batch in first] or gated[:1]
    return [case for n, case in enumerate(chosen) if not n or _size(case, model) <= REQUEST_BYTES]


def _size(case: Case, model: Description) -> int:
    lengths = {**case.axes, "batch": case.batch}
    count = 0
    for tensor in model.inputs:
        size = 1
        for axis in tensor.shape:
            size *= axis if isinstance(axis, int) else lengths.get(axis, 1)
        count += size
    return count * NUMBER_BYTES


def write_golden(
    out: Path, bundle: Bundle, exported: Exported, model: Description, gates: Mapping[str, Gate]
) -> tuple[Golden, ...]:
    """Write the requests, the expected answers and their index below `out`."""
    written = []
    for case in choose(exported.cases, model):
        name = f"{FOLDER}/batch-{case.batch}"
        inputs, outputs = _tensors(bundle, case, model)
        # Not write_json: one line per tensor would be one line of a million numbers, sorted.
        write_atomic(out / f"{name}.json", _text({"inputs": inputs}))
        answer = {"model_name": model.name, "outputs": outputs}
        write_atomic(out / f"{name}.expected.json", _text(answer))
        written.append(
            Golden(
                id=case.id,
                batch=case.batch,
                axes=dict(case.axes),
                request=f"{name}.json",
                expected=f"{name}.expected.json",
                outputs={name: _answer(case, name, gate) for name, gate in gates.items()},
            )
        )
    if not written:
        raise NotServableError("the bundle has no gated case to ask a server for")
    index = {"version": 1, "model": model.name, "requests": [asdict(item) for item in written]}
    write_json(out / INDEX, index)
    return tuple(written)


def _answer(case: Case, output: str, gate: Gate) -> Answer:
    def own(found: Mapping[str, float | None] | None) -> float | None:
        return None if found is None else found.get(output)

    noise = case.noise
    return Answer(gate.tolerance, gate.mode, gate.named, own(noise.float64), own(noise.threads))


def _tensors(
    bundle: Bundle, case: Case, model: Description
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a case's inputs and torch's answer."""
    try:
        inputs = _inputs(model, Arrays(bundle.path(case.inputs)))
        reference = Arrays(bundle.path(case.reference))
        return inputs, [_tensor(output.name, reference[output.name]) for output in model.outputs]
    except (ArraysError, KeyError) as error:
        message = f"case `{case.id}`: {error}."
        hint = "Run the measuring step again."
        raise UserError("broken bundle", message, hint, case.reference) from None


def _inputs(model: Description, arrays: Mapping[str, Array]) -> list[dict[str, Any]]:
    """Return the inputs as the model takes them: those of an fp16 model in half precision."""
    cast = {tensor.name: np.dtype(NUMPY[tensor.datatype]) for tensor in model.inputs}
    return [_tensor(name, arrays[name].astype(dtype)) for name, dtype in cast.items()]


def _tensor(name: str, array: Array) -> dict[str, Any]:
    """Return a tensor of the protocol, in the array's own type."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise NotServableError(f"`{name}` holds NaN or infinity, which JSON cannot say")
    datatype = DATATYPES[str(array.dtype)]
    values = array.reshape(-1).tolist()
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": values}


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, allow_nan=False, separators=(",", ":")) + "\n"


def read_golden(folder: Path) -> tuple[str, tuple[Golden, ...]]:
    """Return the model's name and the requests of a folder that `write_golden` wrote."""
    index = load_json(folder / INDEX)
    if not isinstance(index, dict) or index.get("version") != 1 or not index.get("requests"):
        raise UserError("broken bundle", "there are no golden requests.", file=str(folder / INDEX))
    requests = tuple(
        Golden(**item | {"outputs": {n: Answer(**a) for n, a in item["outputs"].items()}})
        for item in index["requests"]
    )
    return str(index["model"]), requests

"""Open Inference Protocol V2: bytes of a request to arrays, arrays to bytes of a response.

JSON, and the binary data extension that Triton's clients use by default:
https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from .contract import Contract, Tensor
from .refusal import RefusedError
from .tensors import Array, check_shape, from_binary, from_json

_TOP = {"id", "parameters", "inputs", "outputs"}
_INPUT = {"name", "shape", "datatype", "parameters", "data"}


@dataclass(frozen=True)
class Request:
    """Checked arrays by input name, and the outputs wanted; `binary` ones not as JSON."""

    id: str | None
    inputs: Mapping[str, Array]
    outputs: tuple[str, ...]
    binary: frozenset[str]


def read_request(body: bytes, contract: Contract, json_bytes: int | None = None) -> Request:
    """Check a request against the contract. `json_bytes` of the body are JSON, the rest tensors."""
    head, tail = (body, b"") if json_bytes is None else (body[:json_bytes], body[json_bytes:])
    if json_bytes is not None and not 0 < json_bytes <= len(body):
        raise RefusedError(400, "Inference-Header-Content-Length does not fit the body")
    document = _mapping(_load(head), "the request", _TOP)
    return read_document(document, contract, tail)


def read_document(given: object, contract: Contract, tail: bytes = b"") -> Request:
    """Check a request that is parsed already."""
    document = _mapping(given, "the request", _TOP)
    identity = document.get("id")
    if identity is not None and not isinstance(identity, str):
        raise RefusedError(400, "`id` has to be a string")
    outputs, binary = _wanted(document, contract)
    return Request(identity, _inputs(document, contract, tail), outputs, binary)


def _load(head: bytes) -> object:
    def refuse(constant: str) -> NoReturn:
        raise RefusedError(400, f"{constant} is no JSON and no number a model can use")

    try:
        return json.loads(head, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RefusedError(400, f"the body is not JSON: {why}") from None


def _mapping(given: object, what: str, allowed: set[str]) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise RefusedError(400, f"{what} has to be a JSON object")
    if unknown := sorted(set(given) - allowed):
        raise RefusedError(
            400, f"{what} has no `{unknown[0][:100]}`; it may have {_names(allowed)}"
        )
    return given


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    given = document.get(name, [])
    if not isinstance(given, list):
        raise RefusedError(400, f"`{name}` has to be a list")
    return given


def _inputs(document: Mapping[str, Any], contract: Contract, tail: bytes) -> dict[str, Array]:
    expected = {tensor.name: tensor for tensor in contract.inputs}
    arrays: dict[str, Array] = {}
    axes: dict[str, int] = {}
    for item in _list(document, "inputs"):
        given = _mapping(item, "an input", _INPUT)
        name = given.get("name")
        if not isinstance(name, str) or name not in expected:
            raise RefusedError(400, f"no input {str(name)[:100]!r}; there is {_names(expected)}")
        if name in arrays:
            raise RefusedError(400, f"input `{name}` is given twice")
        arrays[name], tail = _array(given, expected[name], contract, axes, tail)
    if missing := [name for name in expected if name not in arrays]:
        raise RefusedError(400, f"input `{missing[0]}` is missing")
    if tail:
        raise RefusedError(400, f"{len(tail)} bytes follow the last tensor")
    return arrays


def _array(
    given: Mapping[str, Any],
    tensor: Tensor,
    contract: Contract,
    axes: dict[str, int],
    tail: bytes,
) -> tuple[Array, bytes]:
    """Return an input's array, and what of the binary tail is left for the next ones."""
    if given.get("datatype") != tensor.datatype:
        found = str(given.get("datatype"))[:100]
        raise RefusedError(400, f"input `{tensor.name}` is {tensor.datatype}, not {found}")
    shape = check_shape(given.get("shape"), tensor, contract.axes, axes)
    size = _parameters(given).get("binary_data_size")
    if (size is None) == ("data" not in given):
        raise RefusedError(400, f"input `{tensor.name}` needs either `data` or `binary_data_size`")
    if size is None:
        return from_json(given["data"], tensor, shape), tail
    if type(size) is not int or not 0 <= size <= len(tail):
        raise RefusedError(
            400, f"`binary_data_size` of input `{tensor.name}` does not fit the body"
        )
    return from_binary(tail[:size], tensor, shape), tail[size:]


def _wanted(
    document: Mapping[str, Any], contract: Contract
) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the outputs asked for, by default all, and which of them as bytes."""
    known = [tensor.name for tensor in contract.outputs]
    by_default = _parameters(document).get("binary_data_output") is True
    wanted: dict[str, bool] = {}
    for item in _list(document, "outputs"):
        given = _mapping(item, "an output", {"name", "parameters"})
        name = given.get("name")
        if not isinstance(name, str) or name not in known or name in wanted:
            raise RefusedError(
                400, f"no (second) output {str(name)[:100]!r}; there is {_names(known)}"
            )
        wanted[name] = _parameters(given).get("binary_data", by_default) is True
    wanted = wanted or dict.fromkeys(known, by_default)
    return tuple(wanted), frozenset(name for name, binary in wanted.items() if binary)


def _parameters(given: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = given.get("parameters", {})
    if not isinstance(parameters, dict):
        raise RefusedError(400, "`parameters` has to be a JSON object")
    return parameters


def _names(names: Sequence[str] | Mapping[str, object] | set[str]) -> str:
    return ", ".join(f"`{name}`" for name in (sorted(names) if isinstance(names, set) else names))


def write_response(
    request: Request, contract: Contract, arrays: Sequence[npt.NDArray[Any]]
) -> tuple[bytes, int | None]:
    """Return the body, and how much of it is JSON where tensors follow as bytes."""
    datatypes = {tensor.name: tensor.datatype for tensor in contract.outputs}
    outputs: list[Mapping[str, Any]] = []
    tail: list[bytes] = []
    for name, array in zip(request.outputs, arrays, strict=True):
        item = {"name": name, "datatype": datatypes[name], "shape": list(array.shape)}
        if name in request.binary:
            data = np.ascontiguousarray(array).tobytes()
            tail.append(data)
            outputs.append(item | {"parameters": {"binary_data_size": len(data)}})
        else:
            outputs.append(item | {"data": array.ravel().tolist()})
    answer = {"model_name": contract.name, "model_version": "1", "outputs": outputs}
    if request.id is not None:
        answer["id"] = request.id
    try:
        head = json.dumps(answer, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        raise RefusedError(
            500, "an output of the model is not finite, which JSON cannot say"
        ) from None
    return b"".join((head, *tail)), len(head) if tail else None

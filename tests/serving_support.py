"""Small models with a bundle of the kind that `export measure` leaves, made without PyTorch.

The reference is NumPy's, so that a server is held against something other than its own runtime.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from mlactions.bundle import Bundle, seal, write_json
from mlactions.export import exported as parts
from mlactions.export.gates import Gate
from mlactions.export.reading import open_export
from mlactions.export.serving.client import FAILURES, Address, Client
from mlactions.export.serving.description import Description, describe
from mlactions.export.serving.golden import Golden, write_golden
from mlactions.export.serving.process import running
from mlactions.export.serving.start import Launch, start_onnxruntime
from mlactions.export.serving.write import FOLDER, write_serving

Array = npt.NDArray[Any]

TOKENS, HIDDEN, CLASSES = 50, 8, 4
ROOT = Path(__file__).resolve().parent.parent
SERVING_PYTHON = ROOT / ".tools/serving/bin/python"


@dataclass(frozen=True)
class Served:
    """A model that was described and written: the out folder of a verified export."""

    out: Path
    bundle: Bundle
    exported: parts.Exported
    model: Description
    golden: tuple[Golden, ...]


def embed(tokens: Array, scale: Array) -> dict[str, Array]:
    """Compute what the model computes: two inputs, a free axis, two outputs."""
    table, head = _weights()
    mean = table[tokens].mean(axis=1, dtype=np.float32) * scale
    return {"logits": mean @ head, "length": np.full(len(tokens), tokens.shape[1], np.int64)}


def _weights() -> tuple[Array, Array]:
    generator = np.random.default_rng(0)
    table = generator.standard_normal((TOKENS, HIDDEN), np.float32)
    return table, generator.standard_normal((HIDDEN, CLASSES), np.float32)


def write_model(path: Path) -> None:
    """Write the ONNX file of `embed`."""
    table, head = _weights()
    constants = {
        "table": table,
        "head": head,
        "one": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["rows"]),
        helper.make_node("ReduceMean", ["rows", "one"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "head"], ["logits"]),
        helper.make_node("Shape", ["tokens"], ["lengths"], start=1, end=2),
        helper.make_node("Shape", ["tokens"], ["count"], start=0, end=1),
        helper.make_node("Expand", ["lengths", "count"], ["length"]),
    ]
    graph = helper.make_graph(
        nodes,
        "embed",
        [
            helper.make_tensor_value_info("tokens", TensorProto.INT64, ["batch", "sequence"]),
            helper.make_tensor_value_info("scale", TensorProto.FLOAT, ["batch", 1]),
        ],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES]),
            helper.make_tensor_value_info("length", TensorProto.INT64, ["batch"]),
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def draw(batch: int, length: int, seed: int = 0) -> dict[str, Array]:
    """Return inputs of the model."""
    generator = np.random.default_rng(seed)
    return {
        "tokens": generator.integers(0, TOKENS, (batch, length), np.int64),
        "scale": generator.standard_normal((batch, 1), np.float32),
    }


def write_bundle(folder: Path, batches: Sequence[int] = (1, 2, 3, 7)) -> Bundle:
    """Write a measured bundle: the model, its cases, export.json."""
    write_model(folder / parts.MODEL)
    cases = [*(_case(folder, batch) for batch in batches), _case(folder, 16, 32)]
    write_json(folder / parts.EXPORTED, _exported(cases).document())
    return seal(folder, parts.WORD)


def _case(folder: Path, batch: int, length: int = 5) -> parts.Case:
    name = f"batch-{batch}-seed-0"
    inputs = draw(batch, length)
    (folder / "cases").mkdir(exist_ok=True)
    np.savez(folder / f"cases/{name}.inputs.npz", **inputs)  # type: ignore[arg-type]
    np.savez(folder / f"cases/{name}.reference.npz", **embed(**inputs))  # type: ignore[arg-type]
    return parts.Case(
        id=name,
        kind="gated",
        batch=batch,
        axes={"batch": batch, "sequence": length},
        seed=0,
        values="random",
        inputs=f"cases/{name}.inputs.npz",
        reference=f"cases/{name}.reference.npz",
    )


def _exported(cases: Sequence[parts.Case]) -> parts.Exported:
    return parts.Exported(
        status="ok",
        failure=None,
        model=parts.Model("models:embed", "Embed", 432, 1728),
        checkpoint=None,
        inputs=(
            parts.TensorSpec("tokens", "int64", ("batch", "sequence"), 0, TOKENS - 1),
            parts.TensorSpec("scale", "float32", ("batch", 1)),
        ),
        outputs=(
            parts.TensorSpec("logits", "float32", ("batch", CLASSES)),
            parts.TensorSpec("length", "int64", ("batch",)),
        ),
        axes=(parts.Axis("batch", 1, 16), parts.Axis("sequence", 1, 32)),
        opset=20,
        precision="fp32",
        optimize="none",
        quantize="none",
        files=(parts.MODEL,),
        cases=tuple(cases),
        timing=parts.Timing(),
        task=None,
        metadata=parts.Metadata(),
        provenance=parts.Provenance(),
    )


def write_all(
    folder: Path,
    targets: Sequence[str] = ("onnxruntime",),
    images: Mapping[str, str] | None = None,
) -> Served:
    """Write a bundle, and from it what verify writes of golden requests and servers."""
    bundle, exported = open_export(write_bundle(folder / "bundle").folder)
    checksums = {entry.path: entry.sha256 for entry in bundle.entries}
    model = describe(exported, checksums)
    out = folder / "out"
    gates = {output.name: Gate(1e-5, "scaled") for output in exported.outputs}
    golden = write_golden(out, bundle, exported, model, gates)
    write_serving(
        out,
        model,
        bundle.folder / "model",
        targets,
        images=images or {},
        golden=Path(golden[0].request).name,
    )
    return Served(out, bundle, exported, model, golden)


def digest(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@contextlib.contextmanager
def serve(
    served: Served, scratch: Path, variables: Mapping[str, str] | None = None
) -> Iterator[Launch]:
    """Run our server on a loopback port until the block ends; it is ready when the block begins."""
    scratch.mkdir(parents=True, exist_ok=True)
    place = served.out / FOLDER / "onnxruntime"
    launch = start_onnxruntime(place, served.model.name, scratch)
    launch = replace(launch, environ={**launch.environ, **(variables or {})})
    with running(launch, scratch / "log", 120.0) as server:
        address = launch.address()
        assert address is not None
        wait_ready(address, server.runs)
        yield launch


def wait_ready(address: Address, runs: Callable[[], bool]) -> None:
    """Wait until the server says that it is ready."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and runs():
        with contextlib.suppress(*FAILURES), Client(address, 5.0) as client:
            if client.send(address.ready).status == 200:
                return
        time.sleep(0.05)
    raise AssertionError("the server was not ready")


def request(inputs: Mapping[str, Array], **more: Any) -> dict[str, Any]:
    """Return a request of the protocol."""
    datatypes = {"int64": "INT64", "float32": "FP32"}
    tensors = [
        {
            "name": name,
            "datatype": datatypes[str(array.dtype)],
            "shape": list(array.shape),
            "data": array.ravel().tolist(),
        }
        for name, array in inputs.items()
    ]
    return {"inputs": tensors, **more}

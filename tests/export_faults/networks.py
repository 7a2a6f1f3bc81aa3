"""Small sound networks: the ONNX file as a right export gives it, and torch's part in numpy.

The reference is computed in float64 and rounded, so it is right to the last bit or so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

OPSET = 20


@dataclass(frozen=True)
class Spec:
    """An input or output: `shape` names dynamic axes, `high` bounds whole numbers."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    high: int = 0


@dataclass(frozen=True)
class Network:
    """A graph with its weights, and the function it must equal."""

    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    nodes: tuple[onnx.NodeProto, ...]
    weights: Arrays
    reference: Callable[[Arrays, Arrays], Arrays]
    lengths: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    opset: int = OPSET

    def expected(self, inputs: Arrays) -> Arrays:
        """Return what torch gives: in double precision, then rounded to the declared types."""
        weights = {name: _double(array) for name, array in self.weights.items()}
        found = self.reference({name: _double(a) for name, a in inputs.items()}, weights)
        return {o.name: np.asarray(found[o.name]).astype(o.dtype) for o in self.outputs}

    def model(self) -> onnx.ModelProto:
        """Return the file of a right export."""
        graph = helper.make_graph(
            list(self.nodes),
            "main",
            [_value(spec) for spec in self.inputs],
            [_value(spec) for spec in self.outputs],
            [numpy_helper.from_array(array, name) for name, array in self.weights.items()],
        )
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="test")


def _double(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _value(spec: Spec) -> onnx.ValueInfoProto:
    number = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    return helper.make_tensor_value_info(spec.name, number, list(spec.shape))


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """Return a node; names are separated by spaces."""
    given = outputs.split()
    name = f"{kind.lower()}_{given[0]}"
    return helper.make_node(kind, inputs.split(), given, name=name, **attributes)


def weights(shapes: Mapping[str, tuple[int, ...]], seed: int = 7) -> Arrays:
    """Return random weights of about unit gain."""
    random = np.random.default_rng(seed)
    return {
        name: (random.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)
        for name, shape in shapes.items()
    }


_X = Spec("x", "float32", ("batch", 6))
_MLP_WEIGHTS = {"w1": (6, 3), "b1": (3,), "w2": (3, 3), "b2": (3,)}


def _mlp(inputs: Arrays, w: Arrays) -> Arrays:
    features = np.tanh(inputs["x"] @ w["w1"] + w["b1"])
    return {"logits": features @ w["w2"] + w["b2"], "features": features}


def mlp() -> Network:
    """Two outputs of the same shape, which are easily taken for each other."""
    return Network(
        inputs=(_X,),
        outputs=(
            Spec("logits", "float32", ("batch", 3)),
            Spec("features", "float32", ("batch", 3)),
        ),
        nodes=(
            node("Gemm", "x w1 b1", "hidden"),
            node("Tanh", "hidden", "features"),
            node("Gemm", "features w2 b2", "logits"),
        ),
        weights=weights(_MLP_WEIGHTS),
        reference=_mlp,
    )


def dropout() -> Network:
    """Return a classifier with dropout, which does nothing when it is used."""
    off = {"ratio": np.array(0.5, np.float32), "training": np.array(False)}  # noqa: FBT003  # a tensor
    return Network(
        inputs=(_X,),
        outputs=(Spec("logits", "float32", ("batch", 3)),),
        nodes=(
            node("Gemm", "x w1 b1", "hidden"),
            node("Dropout", "hidden ratio training", "kept"),
            node("Gemm", "kept w2 b2", "logits"),
        ),
        weights={**weights(_MLP_WEIGHTS), **off},
        reference=lambda i, w: {"logits": (i["x"] @ w["w1"] + w["b1"]) @ w["w2"] + w["b2"]},
    )


def norm() -> Network:
    """Batch normalisation with the statistics that training left."""
    random = np.random.default_rng(3)
    statistics = {
        "scale": random.uniform(0.5, 1.5, 6).astype(np.float32),
        "shift": random.standard_normal(6).astype(np.float32),
        "mean": random.standard_normal(6).astype(np.float32),
        "variance": random.uniform(0.5, 2.0, 6).astype(np.float32),
    }

    def reference(inputs: Arrays, w: Arrays) -> Arrays:
        normal = (inputs["x"] - w["mean"]) / np.sqrt(w["variance"] + 1e-5)
        return {"logits": (normal * w["scale"] + w["shift"]) @ w["w1"] + w["b1"]}

    return Network(
        inputs=(_X,),
        outputs=(Spec("logits", "float32", ("batch", 3)),),
        nodes=(
            node("BatchNormalization", "x scale shift mean variance", "normal"),
            node("Gemm", "normal w1 b1", "logits"),
        ),
        weights={**statistics, **weights({"w1": (6, 3), "b1": (3,)})},
        reference=reference,
    )


def square() -> Network:
    """Every sample gives a square: its transpose has the right shape."""
    return Network(
        inputs=(Spec("x", "float32", ("batch", 4, 4)),),
        outputs=(Spec("similarity", "float32", ("batch", 4, 4)),),
        nodes=(node("MatMul", "x w1", "similarity"),),
        weights=weights({"w1": (4, 4)}),
        reference=lambda i, w: {"similarity": i["x"] @ w["w1"]},
    )


def tokens() -> Network:
    """Embeddings of token ids, summed over the sequence with a mask."""

    def reference(inputs: Arrays, w: Arrays) -> Arrays:
        found = w["embedding"][inputs["tokens"]] * inputs["mask"][..., None]
        return {"hidden": found, "best": np.argmax(found.sum(axis=-1), axis=1)}

    return Network(
        inputs=(
            Spec("tokens", "int64", ("batch", "sequence"), high=19),
            Spec("mask", "float32", ("batch", "sequence")),
        ),
        outputs=(
            Spec("hidden", "float32", ("batch", "sequence", 4)),
            Spec("best", "int64", ("batch",)),
        ),
        nodes=(
            node("Gather", "embedding tokens", "found"),
            node("Unsqueeze", "mask last", "column"),
            node("Mul", "found column", "hidden"),
            node("ReduceSum", "hidden last", "sums", keepdims=0),
            node("ArgMax", "sums", "best", axis=1, keepdims=0),
        ),
        weights={**weights({"embedding": (21, 4)}), "last": np.array([-1], np.int64)},
        reference=reference,
        lengths={"sequence": (4, 9)},
    )


def tiny() -> Network:
    """Return one with an output of about 1e-7, as a probability or a variance may be."""
    return Network(
        inputs=(_X,),
        outputs=(Spec("variance", "float32", ("batch", 3)),),
        nodes=(
            node("MatMul", "x w1", "hidden"),
            node("Mul", "hidden hidden", "squared"),
            node("Mul", "squared factor", "variance"),
        ),
        weights={**weights({"w1": (6, 3)}), "factor": np.array(1e-7, np.float32)},
        reference=lambda i, w: {"variance": (i["x"] @ w["w1"]) ** 2 * w["factor"]},
    )


def branch() -> Network:
    """Return one that takes another way where the sum of its input is negative."""

    def reference(inputs: Arrays, w: Arrays) -> Arrays:
        sign = 1.0 if inputs["x"].sum() > 0 else -1.0
        return {"logits": sign * (inputs["x"] @ w["w1"])}

    return Network(
        inputs=(_X,),
        outputs=(Spec("logits", "float32", ("batch", 3)),),
        nodes=(
            node("MatMul", "x w1", "plain"),
            node("ReduceSum", "x", "sum", keepdims=0),
            node("Greater", "sum zero", "positive"),
            node("Neg", "plain", "negated"),
            node("Where", "positive plain negated", "logits"),
        ),
        weights={**weights({"w1": (6, 3)}), "zero": np.array(0, np.float32)},
        reference=reference,
    )


def centred() -> Network:
    """Return one that takes off the mean of the batch, which must not be the example's."""
    return Network(
        inputs=(_X,),
        outputs=(Spec("logits", "float32", ("batch", 3)),),
        nodes=(
            node("ReduceMean", "x", "middle", keepdims=0),
            node("Sub", "x middle", "centred"),
            node("MatMul", "centred w1", "logits"),
        ),
        weights=weights({"w1": (6, 3)}),
        reference=lambda i, w: {"logits": (i["x"] - i["x"].mean()) @ w["w1"]},
    )


NETWORKS: Mapping[str, Callable[[], Network]] = {
    "mlp": mlp,
    "dropout": dropout,
    "norm": norm,
    "square": square,
    "tokens": tokens,
    "tiny": tiny,
    "branch": branch,
    "centred": centred,
}
"""Sound ones: each must pass as it is."""

"""Wrongly exported models: what each does wrong, and the reason it must be refused for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from mlactions.export.exported import MODEL
from tests.export_faults import networks
from tests.export_faults.bundles import Written, save
from tests.export_faults.networks import Network, node

EXAMPLE = {"batch": 2}
"""The sizes the wrong exports were made with, and the seed 0."""


@dataclass(frozen=True)
class Fault:
    """A way to export wrongly. `make` gives the wrong bundle; the network is the right one."""

    name: str
    reason: str
    says: str
    make: Callable[[], Written]


def _changed(network: Network, **changes: Any) -> Written:
    """Write another graph than the network's own."""
    return Written(network, replace(network, **changes).model())


def _nodes(network: Network, **replaced: tuple[onnx.NodeProto, ...]) -> Written:
    """Put other nodes in the place of those that give an output, by its name."""
    nodes = [n for old in network.nodes for n in replaced.get(old.output[0], (old,))]
    return _changed(network, nodes=tuple(nodes))


def _weights(network: Network, **arrays: Any) -> Written:
    return _changed(network, weights=network.weights | arrays)


def _example(network: Network) -> Mapping[str, Any]:
    from tests.export_faults.bundles import draw

    return draw(network, EXAMPLE, 0, 1.0)


def _specialised_reshape() -> Written:
    network = networks.mlp()
    with_shape = replace(network, weights=network.weights | {"shape": np.array([2, 6])})
    flat = (node("Reshape", "x shape", "flat"), node("Gemm", "flat w1 b1", "hidden"))
    return replace(_nodes(with_shape, hidden=flat), network=network)


def _frozen(side: str, place: int, length: int, network: Network) -> Written:
    model = network.model()
    values = model.graph.input if side == "input" else model.graph.output
    values[0].type.tensor_type.shape.dim[place].dim_value = length
    return Written(network, model)


def _positions() -> Written:
    network = networks.tokens()
    frozen = np.ones((4, 4), np.float32)
    weights = network.weights | {"positions": frozen}
    nodes = (node("Mul", "found column", "placed"), node("Mul", "placed positions", "hidden"))
    return replace(_nodes(replace(network, weights=weights), hidden=nodes), network=network)


def _norm_in_training() -> Written:
    network = networks.norm()
    normal = node(
        "BatchNormalization",
        "x scale shift mean variance",
        "normal running_mean running_variance",
        training_mode=1,
    )
    return _nodes(network, normal=(normal,))


def _norm_by_batch() -> Written:
    """Normalise by the batch at hand, as a decomposing exporter writes training mode."""
    network = networks.norm()
    nodes = (
        node("ReduceMean", "x first", "batch_mean"),
        node("Sub", "x batch_mean", "away"),
        node("Mul", "away away", "squares"),
        node("ReduceMean", "squares first", "batch_variance"),
        node("Add", "batch_variance small", "safe"),
        node("Sqrt", "safe", "deviation"),
        node("Div", "away deviation", "unit"),
        node("Mul", "unit scale", "scaled"),
        node("Add", "scaled shift", "normal"),
    )
    more = {"first": np.array([0]), "small": np.array(1e-5, np.float32)}
    return replace(
        _nodes(replace(network, weights=network.weights | more), normal=nodes), network=network
    )


def _outputs(order: tuple[int, ...]) -> Written:
    network = networks.mlp()
    return _changed(network, outputs=tuple(network.outputs[place] for place in order))


def _names_swapped() -> Written:
    network = networks.mlp()
    nodes = (
        node("Gemm", "x w1 b1", "hidden"),
        node("Tanh", "hidden", "logits"),
        node("Gemm", "logits w2 b2", "features"),
    )
    return _changed(network, nodes=nodes)


def _double() -> Written:
    network = networks.square()
    nodes = (
        node("MatMul", "x w1", "single"),
        node("Cast", "single", "similarity", to=onnx.TensorProto.DOUBLE),
    )
    outputs = (replace(network.outputs[0], dtype="float64"),)
    return _changed(network, nodes=nodes, outputs=outputs)


def _external(damage: Callable[[Path], None]) -> Written:
    network = networks.mlp()
    return Written(network, network.model(), external=True, damage=damage)


def _remove(folder: Path) -> None:
    (folder / "model.onnx.data").unlink()


def _truncate(folder: Path) -> None:
    data = folder / "model.onnx.data"
    data.write_bytes(data.read_bytes()[:-12])


def _stale(folder: Path) -> None:
    """Leave the data of an earlier training: the same size, other weights."""
    old = replace(networks.mlp(), weights=networks.weights(networks._MLP_WEIGHTS, seed=8))
    save(folder / "old.onnx", old.model(), external=True)
    (folder / "old.onnx.data").replace(folder / "model.onnx.data")
    (folder / "old.onnx").unlink()


def _stale_recorded(folder: Path) -> None:
    import hashlib

    path = folder / "model.onnx"
    data = (folder / "model.onnx.data").read_bytes()
    model = onnx.load(path, load_external_data=False)
    digest = hashlib.sha256(data).hexdigest()
    model.metadata_props.add(key="mlactions.data.sha256", value=digest)
    onnx.save(model, path)
    _stale(folder)


def _shifted(folder: Path) -> None:
    """Point the first weight at the bytes of its neighbour."""
    path = folder / "model.onnx"
    model = onnx.load(path, load_external_data=False)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    offsets = {entry.key: entry for entry in weights["b1"].external_data}
    other = {entry.key: entry.value for entry in weights["b2"].external_data}
    offsets["offset"].value = other["offset"]
    onnx.save(model, path)


def _after_logits(*nodes: onnx.NodeProto, **more: Any) -> Written:
    network = networks.mlp()
    last = node("Gemm", "features w2 b2", "right")
    changed = replace(network, weights=network.weights | more)
    return replace(_nodes(changed, logits=(last, *nodes)), network=network)


def _not_finite(value: float) -> Written:
    weights = networks.mlp().weights
    broken = weights["b2"].copy()
    broken[1] = value
    return _weights(networks.mlp(), b2=broken)


def _half_overflow() -> Written:
    """Half precision ends at 65,504: larger logits are lost."""
    network = networks.mlp()
    large: networks.Arrays = {"w2": network.weights["w2"] * 3e4, "b2": np.full(3, 5e4, np.float32)}
    wide = replace(network, weights=network.weights | large)
    return Written(wide, _half(wide).model(), precision="fp16", task=True)


def _half(network: Network) -> Network:
    """Return a network in half precision, inputs and outputs too."""
    return replace(
        network,
        inputs=tuple(replace(spec, dtype="float16") for spec in network.inputs),
        outputs=tuple(replace(spec, dtype="float16") for spec in network.outputs),
        weights={name: array.astype(np.float16) for name, array in network.weights.items()},
    )


def _half_without_task() -> Written:
    network = networks.mlp()
    return Written(network, _half(network).model(), precision="fp16")


def _task_lost() -> Written:
    """Two classes are close: every number is within the tolerance, and many answers are others."""
    network = networks.mlp()
    w2 = network.weights["w2"].copy()
    w2[:, 1] = w2[:, 0] + np.array([1e-3, -1e-3, 5e-4], np.float32)
    close = {"w2": w2, "b2": np.array([3, 3, -5], np.float32)}
    right = replace(network, weights=network.weights | close)
    wrong = {"b2": np.array([3, 3.004, -5], np.float32)}
    model = _half(replace(right, weights=right.weights | wrong)).model()
    return Written(right, model, precision="fp16", task=True)


def _folded_mask() -> Written:
    network = networks.tokens()
    frozen = np.ones((1, 1), np.float32)
    column = (node("Unsqueeze", "folded last", "column"),)
    weights = network.weights | {"folded": frozen}
    return replace(_nodes(replace(network, weights=weights), column=column), network=network)


def _folded_mean() -> Written:
    network = networks.centred()
    mean = {"middle": np.asarray(_example(network)["x"].mean())}
    return replace(
        _nodes(replace(network, weights=network.weights | mean), middle=()), network=network
    )


def _constant() -> Written:
    network = networks.mlp()
    frozen = network.expected(dict(_example(network)))["features"][:1]
    nodes = (
        node("Gemm", "x w1 b1", "hidden"),
        node("Shape", "x", "lengths", start=0, end=1),
        node("Concat", "lengths width", "wide", axis=0),
        node("Expand", "frozen wide", "features"),
        node("Gemm", "features w2 b2", "logits"),
    )
    weights = network.weights | {"frozen": frozen, "width": np.array([3])}
    return replace(_changed(replace(network, weights=weights), nodes=nodes), network=network)


def _alike(*nodes: onnx.NodeProto, varied: bool = True, **more: Any) -> Written:
    """Export wrongly what every sample of an example that is all ones hides."""
    network = networks.mlp()
    one = network.expected({"x": np.ones((1, 6), np.float32)})["logits"]
    changed = replace(network, weights=network.weights | {"frozen": one} | more)
    last = node("Gemm", "features w2 b2", "right")
    written = _nodes(changed, logits=(last, *nodes))
    return replace(written, network=network, alike=True, varied=varied)


def _constant_by_zero(*, varied: bool = True) -> Written:
    """Give the example's result whatever comes in: a sum with nought times the right one."""
    none = {"none": np.array(0, np.float32)}
    return _alike(
        node("Mul", "right none", "nothing"),
        node("Add", "frozen nothing", "logits"),
        varied=varied,
        **none,
    )


def _mean_of_the_batch() -> Written:
    return _alike(
        node("ReduceMean", "right first", "mean"),
        node("Shape", "right", "lengths"),
        node("Expand", "mean lengths", "logits"),
        first=np.array([0]),
    )


def _mean_of_texts(*, varied: bool = True) -> Written:
    """Give every text the mean of the batch; the example is one text, cut to several lengths."""
    nodes = (
        node("Mul", "found column", "right"),
        node("ReduceMean", "right first", "mean"),
        node("Shape", "right", "lengths"),
        node("Expand", "mean lengths", "hidden"),
    )
    network = networks.tokens()
    with_first = replace(network, weights=network.weights | {"first": np.array([0])})
    written = _nodes(with_first, hidden=nodes)
    return replace(written, network=network, alike=True, varied=varied)


def _folded_example() -> Written:
    """Compute from ones, the example, in the place of what comes in."""
    return _alike(
        node("Mul", "x none", "nothing"),
        node("Add", "nothing example", "fixed"),
        node("Gemm", "fixed w1 b1", "fixed_hidden"),
        node("Tanh", "fixed_hidden", "fixed_features"),
        node("Gemm", "fixed_features w2 b2", "logits"),
        none=np.array(0, np.float32),
        example=np.array(1, np.float32),
    )


def _shuffled_tokens() -> Written:
    network = networks.tokens()
    return _weights(network, embedding=np.roll(network.weights["embedding"], 1, axis=0))


def _off_by_a_little() -> Written:
    w2 = networks.mlp().weights["w2"].copy()
    w2[1, 2] += 1e-3
    return _weights(networks.mlp(), w2=w2)


def _old_checkpoint() -> Written:
    return _weights(networks.mlp(), **networks.weights(networks._MLP_WEIGHTS, seed=8))


def _renamed() -> Written:
    network = networks.square()
    inputs = (replace(network.inputs[0], name="pixels"),)
    return _changed(network, inputs=inputs, nodes=(node("MatMul", "pixels w1", "similarity"),))


def _transposed() -> Written:
    nodes = (
        node("MatMul", "x w1", "rows"),
        node("Transpose", "rows", "similarity", perm=[0, 2, 1]),
    )
    return _changed(networks.square(), nodes=nodes)


FAULTS: tuple[Fault, ...] = (
    Fault("batch in a reshape", "batch-specialised", "batch size 2 only", _specialised_reshape),
    Fault(
        "batch axis frozen",
        "axis-frozen",
        "fixed to 2",
        lambda: _frozen("input", 0, 2, networks.mlp()),
    ),
    Fault(
        "sequence axis frozen",
        "axis-frozen",
        "fixed to 9",
        lambda: _frozen("input", 1, 9, networks.tokens()),
    ),
    Fault(
        "output axis frozen",
        "axis-frozen",
        "fixed to 2",
        lambda: _frozen("output", 0, 2, networks.mlp()),
    ),
    Fault("positions of one length", "axis-specialised", "length of `sequence` 4 only", _positions),
    Fault(
        "dropout in training mode",
        "training-mode",
        "Dropout",
        lambda: _weights(networks.dropout(), training=np.bool_(1)),
    ),  # a tensor
    Fault("batch norm in training mode", "training-mode", "BatchNormalization", _norm_in_training),
    Fault("batch norm decomposed in training mode", "parity", "logits", _norm_by_batch),
    Fault("outputs in another order", "output-order", "features", lambda: _outputs((1, 0))),
    Fault("names of outputs exchanged", "output-order", "equals torch's", _names_swapped),
    Fault("an output missing", "output-missing", "features", lambda: _outputs((0,))),
    Fault("an output of another type", "output-type", "float64", _double),
    Fault(
        "external data missing",
        "external-data-missing",
        "model.onnx.data",
        lambda: _external(_remove),
    ),
    Fault(
        "external data truncated", "external-data-changed", "needs", lambda: _external(_truncate)
    ),
    Fault(
        "external data of an earlier export",
        "external-data-changed",
        "other bytes",
        lambda: _external(_stale_recorded),
    ),
    Fault("external data stale, not recorded", "parity", "logits", lambda: _external(_stale)),
    Fault("external data at a wrong offset", "parity", "element", lambda: _external(_shifted)),
    Fault("NaN in an output", "not-finite", "nan", lambda: _not_finite(np.nan)),
    Fault("infinity in an output", "not-finite", "inf", lambda: _not_finite(np.inf)),
    Fault("fp16 overflow", "not-finite", "inf", _half_overflow),
    Fault("fp16 without task data", "task-metric", "task-data", _half_without_task),
    Fault("classes exchanged within the tolerance", "task-metric", "accuracy", _task_lost),
    Fault("an input folded away", "specialised-constant", "mask", _folded_mask),
    Fault("a mean of the example folded in", "specialised-constant", "example", _folded_mean),
    Fault("an output folded to a constant", "constant-output", "does not depend", _constant),
    Fault(
        "a constant, and an example of one row",
        "specialised-constant",
        "far off where they vary",
        _constant_by_zero,
    ),
    Fault(
        "the example computed, and it is all ones",
        "specialised-constant",
        "far off where they vary",
        _folded_example,
    ),
    Fault(
        "a mean of the batch, and an example of one row",
        "parity",
        "samples of a batch are mixed",
        _mean_of_the_batch,
    ),
    Fault(
        "a mean of the batch, and one text at several lengths",
        "parity",
        "samples of a batch are mixed",
        _mean_of_texts,
    ),
    Fault(
        "a mean of the batch, and no text that differs",
        "inputs-alike",
        "are the same",
        lambda: _mean_of_texts(varied=False),
    ),
    Fault(
        "a constant, and no sample that differs",
        "inputs-alike",
        "are the same",
        lambda: _constant_by_zero(varied=False),
    ),
    Fault(
        "random noise",
        "random-operator",
        "RandomNormalLike",
        lambda: _after_logits(
            node("RandomNormalLike", "right", "noise", scale=1e-9),
            node("Add", "right noise", "logits"),
        ),
    ),
    Fault(
        "one branch of two",
        "specialised-constant",
        "branch",
        lambda: _nodes(networks.branch(), logits=(node("Identity", "plain", "logits"),)),
    ),
    Fault("a weight off by 0.001", "parity", "logits", _off_by_a_little),
    Fault("weights of another checkpoint", "parity", "logits", _old_checkpoint),
    Fault(
        "zeros for a tiny output",
        "parity",
        "All of it is zero",
        lambda: _weights(networks.tiny(), factor=np.array(0, np.float32)),
    ),
    Fault("a square transposed", "parity", "last two axes swapped", _transposed),
    Fault("token ids off by one", "parity", "hidden", _shuffled_tokens),
    Fault(
        "samples shifted by one",
        "parity",
        "shifted by one",
        lambda: _after_logits(
            node("Shape", "x", "count", start=0, end=1),
            node("Squeeze", "count", "length"),
            node("Range", "null length one", "places"),
            node("Add", "places one", "next"),
            node("Mod", "next length", "around"),
            node("Gather", "right around", "logits", axis=0),
            null=np.array(0),
            one=np.array(1),
        ),
    ),
    Fault(
        "softmax over the batch",
        "parity",
        "logits",
        lambda: _after_logits(node("Softmax", "right", "logits", axis=0)),
    ),
    Fault(
        "an axis lost",
        "output-shape",
        "[",
        lambda: _after_logits(
            node("ReduceSum", "right second", "logits", keepdims=1), second=np.array([1])
        ),
    ),
    Fault("an input renamed", "input-changed", "pixels", _renamed),
    Fault("another opset", "opset", "17", lambda: _changed(networks.square(), opset=17)),
    Fault(
        "an operator that does not exist",
        "checker",
        "Swirl",
        lambda: _changed(networks.square(), nodes=(node("Swirl", "x w1", "similarity"),)),
    ),
    Fault(
        "cut off in the middle",
        "checker",
        "cannot be read",
        lambda: Written(networks.square(), networks.square().model(), damage=_cut),
    ),
)


def _cut(folder: Path) -> None:
    path = folder / Path(MODEL).name
    path.write_bytes(path.read_bytes()[:-40])


def sound() -> dict[str, Written]:
    """Return bundles that must pass, by name: who refuses these catches faults by chance."""
    made = {name: Written(make(), make().model()) for name, make in networks.NETWORKS.items()}
    mlp = networks.mlp()
    made["external data"] = Written(mlp, mlp.model(), external=True)
    made["an example of one row"] = Written(mlp, mlp.model(), alike=True, varied=True)
    made["fp16 with task data"] = replace(_half_without_task(), task=True)
    return made

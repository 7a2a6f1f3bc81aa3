"""Write what `export measure` writes, for a network of the fault set: a sealed bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from mlactions.bundle import seal, write_json
from mlactions.export.exported import (
    DATA,
    MODEL,
    Axis,
    Case,
    Exported,
    Metadata,
    Model,
    Noise,
    Provenance,
    TaskData,
    TensorSpec,
    Timing,
)
from mlactions.export.user.variation import vary
from tests.export_faults.networks import Array, Arrays, Network, Spec

BATCHES = (1, 2, 3, 7)
SEEDS = (0, 1)
HIGHEST = 7
COMMIT = "0123456789abcdef0123456789abcdef01234567"
EPSILON = 1.2e-7

AfterSave = Callable[[Path], None]


@dataclass(frozen=True)
class Written:
    """What goes into a bundle. `damage` is done to the model folder after it was written.

    `alike` takes one sample over and over, as an example of one row gives; `varied` adds the cases
    that measure adds there. `samples` and one `label` for all are of the task data.
    """

    network: Network
    model: onnx.ModelProto
    precision: str = "fp32"
    external: bool = False
    damage: AfterSave = lambda _: None
    scale: float = 1.0
    task: bool = False
    samples: int = 600
    label: int | None = None
    alike: bool = False
    varied: bool = False
    batches: tuple[int, ...] = BATCHES
    seeds: tuple[int, ...] = SEEDS
    change: Mapping[str, Any] = field(default_factory=dict)


def write(folder: Path, given: Written) -> None:
    """Write and seal a bundle."""
    (folder / "model").mkdir(parents=True)
    (folder / "cases").mkdir()
    helper.set_model_props(given.model, {"mlactions.commit": COMMIT})
    save(folder / MODEL, given.model, external=given.external)
    given.damage(folder / "model")
    files = [name for name in (MODEL, DATA) if (folder / name).exists()]
    cases = tuple(_cases(folder, given))
    exported = _exported(given, cases, tuple(files), _task(folder, given))
    write_json(folder / "export.json", replace(exported, **given.change).document())
    seal(folder, "export")


def save(path: Path, model: onnx.ModelProto, *, external: bool) -> None:
    """Write the model file, its weights beside it if `external`."""
    if external:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        onnx.save(
            copy,
            path,
            save_as_external_data=True,
            location=f"{path.name}.data",
            size_threshold=0,
        )
    else:
        onnx.save(model, path)


def _exported(
    given: Written, cases: tuple[Case, ...], files: tuple[str, ...], task: TaskData | None
) -> Exported:
    network = given.network
    half = given.precision == "fp16"
    count = sum(array.size for array in network.weights.values())
    return Exported(
        status="ok",
        failure=None,
        model=Model("zoo:network", "Network", count, 4 * count),
        checkpoint=None,
        inputs=tuple(_spec(spec, half=half) for spec in network.inputs),
        outputs=tuple(_spec(spec, half=half) for spec in network.outputs),
        axes=tuple(_axes(network)),
        opset=20,
        precision=given.precision,  # type: ignore[arg-type]  # fp32 or fp16
        optimize="none",
        quantize="none",
        files=files,
        cases=cases,
        timing=Timing(),
        task=task,
        metadata=Metadata(commit=COMMIT, torch="2.13.0", mlactions="0.1.0"),
        provenance=Provenance("cpu:a test;gpu:none", "Linux", 2),
    )


def _spec(spec: Spec, *, half: bool) -> TensorSpec:
    dtype = "float16" if half and spec.dtype == "float32" else spec.dtype
    high = float(spec.high) if spec.high else None
    return TensorSpec(spec.name, dtype, spec.shape, None if high is None else 0.0, high)


def _axes(network: Network) -> Iterator[Axis]:
    yield Axis("batch", 1, HIGHEST)
    for name, lengths in network.lengths.items():
        yield Axis(name, min(lengths), max(lengths))


def _cases(folder: Path, given: Written) -> Iterator[Case]:
    names = list(given.network.lengths)
    for batch in given.batches:
        for lengths in product(*given.network.lengths.values()):
            for seed in given.seeds:
                axes = {"batch": batch, **dict(zip(names, lengths, strict=True))}
                yield _case(folder, given, axes, seed, "random")
            if given.varied:
                yield _case(folder, given, axes, given.seeds[0], "varied")
    for values in ("zeros", "large"):
        first = {name: lengths[0] for name, lengths in given.network.lengths.items()}
        yield _case(folder, given, {"batch": 2, **first}, 0, values)


def _case(folder: Path, given: Written, axes: Mapping[str, int], seed: int, values: str) -> Case:
    network, edge = given.network, values in {"zeros", "large"}
    name = "-".join(f"{axis}-{length}" for axis, length in axes.items())
    name = f"{name}-seed-{seed}" if values == "random" else f"{name}-{values}"
    inputs = draw(network, axes, seed, given.scale * {"zeros": 0, "large": 1e4}.get(values, 1))
    if given.alike and not edge:
        inputs = _alike(network, inputs, varied=values == "varied")
    if given.precision == "fp16":
        inputs = {k: a.astype(np.float16) if a.dtype.kind == "f" else a for k, a in inputs.items()}
    np.savez(folder / f"cases/{name}.inputs.npz", **inputs)  # type: ignore[arg-type]  # arrays by name
    np.savez(folder / f"cases/{name}.reference.npz", **network.expected(inputs))  # type: ignore[arg-type]  # arrays by name
    errors = _noise(network.expected(inputs))
    return Case(
        id=name,
        kind="edge" if edge else "gated",
        batch=axes["batch"],
        axes=axes,
        seed=seed,
        values=values,  # type: ignore[arg-type]  # one of the literals
        inputs=f"cases/{name}.inputs.npz",
        reference=f"cases/{name}.reference.npz",
        noise=Noise(errors, errors) if seed == 0 else Noise(note="measured for seed 0"),
    )


def _alike(network: Network, inputs: Arrays, *, varied: bool) -> Arrays:
    """Repeat one sample, ones or token ids; varied, as measure varies such an example."""
    whole = {spec.name for spec in network.inputs if spec.high}
    same = {
        name: np.broadcast_to(1 + np.arange(array.shape[-1]), array.shape).copy()
        if name in whole
        else np.ones_like(array)
        for name, array in inputs.items()
    }
    tensors = [{**vars(spec), "low": 0} for spec in network.inputs]
    return vary(same, same, tensors, 0) if varied else same


def _noise(expected: Arrays) -> dict[str, float]:
    """Return rounding of the last digit, scaled: what torch against itself looks like."""
    largest = {
        name: float(np.abs(array[np.isfinite(array)]).max(initial=0))
        for name, array in expected.items()
        if array.dtype.kind == "f"
    }
    return {name: EPSILON * most / max(1.0, most) for name, most in largest.items()}


def draw(network: Network, axes: Mapping[str, int], seed: int, scale: float) -> Arrays:
    """Draw inputs of so many samples and such lengths."""
    random = np.random.default_rng([seed, *axes.values()])
    found: Arrays = {}
    for spec in network.inputs:
        shape = [axes[length] if isinstance(length, str) else length for length in spec.shape]
        if spec.high:
            array: Array = random.integers(0, spec.high + 1, shape)
            found[spec.name] = array if scale else np.zeros_like(array)
        else:
            found[spec.name] = (scale * random.standard_normal(shape)).astype(spec.dtype)
    return found


def _task(folder: Path, given: Written) -> TaskData | None:
    """Label samples as the reference sees them, one in ten wrongly."""
    if not given.task:
        return None
    (folder / "task").mkdir()
    samples = given.samples
    inputs = draw(given.network, {"batch": samples}, 5, given.scale)
    expected = given.network.expected(inputs)
    labels = np.argmax(expected[given.network.outputs[0].name], axis=-1)
    labels[::10] = (labels[::10] + 1) % 3
    labels = labels if given.label is None else np.full_like(labels, given.label)
    np.savez(folder / "task/inputs.npz", label=labels, **inputs)  # type: ignore[arg-type]  # arrays by name
    np.savez(folder / "task/reference.npz", **expected)  # type: ignore[arg-type]  # arrays by name
    return TaskData(samples, "task/inputs.npz", "task/reference.npz")

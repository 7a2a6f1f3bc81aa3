"""Judge a model file before it is run: pure, from the facts that `graph` read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from mlactions.bundle import Entry
from mlactions.export.exported import Exported, TensorSpec
from mlactions.export.graph import External, Inspection
from mlactions.export.result import Check, Graph, Value
from mlactions.settings import Status

NAMED = 3
DATA_HASH = "mlactions.data.sha256"


@dataclass(frozen=True)
class Given:
    """What a file is held against: what was exported, and the files the bundle lists."""

    exported: Exported
    inspection: Inspection
    graph: Graph
    entries: Mapping[str, Entry]


Look = Callable[[Given], Iterator[Check]]


def checks(
    exported: Exported, inspection: Inspection, entries: Iterable[Entry]
) -> tuple[Check, ...]:
    """Return every check with what it found; one that finds nothing passes."""
    graph = inspection.graph
    if graph is None:
        why = f"the file cannot be read: {inspection.unreadable}"
        return (Check("checker", Status.FAIL, why, "checker"),)
    given = Given(exported, inspection, graph, {entry.path: entry for entry in entries})
    made: list[Check] = []
    for name, passed, look in _LOOKS:
        found = list(look(given))
        made += found or [Check(name, Status.PASS, passed)]
    return tuple(made)


def _external(given: Given) -> Iterator[Check]:
    """Hold every tensor outside of the file against the files that are there."""
    by_location: dict[str, list[External]] = {}
    for external in given.inspection.externals:
        by_location.setdefault(external.location, []).append(external)
    for location, group in by_location.items():
        entry = given.entries.get(f"model/{location}")
        if entry is None or entry.path not in given.exported.files:
            why = f"{len(group):,} tensors lie in `{location}`, which is not beside the model"
            yield Check("external data", Status.FAIL, why, "external-data-missing")
        else:
            yield from _held(group, entry, given.graph.metadata)
    for name in given.exported.files[1:]:
        if PurePosixPath(name).name not in by_location:
            why = f"`{name}` is beside the model, and no tensor lies in it"
            yield Check("external data", Status.WARN, why, "external-data-changed")


def _held(group: Sequence[External], entry: Entry, metadata: Mapping[str, str]) -> Iterator[Check]:
    file = PurePosixPath(entry.path).name
    recorded = metadata.get(DATA_HASH, entry.sha256)
    beyond = [one for one in group if one.offset + one.length > entry.bytes]
    uneven = [one for one in group if one.expected and one.length != one.expected]
    why = ""
    if beyond:
        need = max(one.offset + one.length for one in beyond)
        why = f"`{file}` has {entry.bytes:,} bytes, and `{beyond[0].tensor}` needs {need:,}"
    elif uneven:
        one = uneven[0]
        why = f"`{one.tensor}` has {one.length:,} bytes in `{file}`, its shape {one.expected:,}"
    elif recorded != entry.sha256:
        why = f"`{file}` is not the one that was exported with this model: other bytes"
    if why:
        yield Check("external data", Status.FAIL, why, "external-data-changed")


def _checker(given: Given) -> Iterator[Check]:
    if given.inspection.refused:
        yield Check("checker", Status.FAIL, f"onnx says: {given.inspection.refused}", "checker")


def _opset(given: Given) -> Iterator[Check]:
    if given.graph.opset != given.exported.opset:
        why = f"opset {given.graph.opset}, and {given.exported.opset} was asked for"
        yield Check("opset", Status.FAIL, why, "opset")


def _inputs(given: Given) -> Iterator[Check]:
    declared, found = given.exported.inputs, given.graph.inputs
    names = [value.name for value in found]
    if names != [spec.name for spec in declared]:
        why = f"inputs are {_listed(names)}, exported were {_listed([s.name for s in declared])}"
        yield Check("inputs", Status.FAIL, why, "input-changed")
    values = {value.name: value for value in found}
    half = given.exported.precision == "fp16"
    for spec in declared:
        value = values.get(spec.name)
        if value is not None and value.dtype not in _types(spec.dtype, half=half):
            why = f"input `{spec.name}` is {value.dtype}, exported was {spec.dtype}"
            yield Check("inputs", Status.FAIL, why, "input-changed")


def _outputs(given: Given) -> Iterator[Check]:
    declared = [spec.name for spec in given.exported.outputs]
    found = [value.name for value in given.graph.outputs]
    missing = [name for name in declared if name not in found]
    if missing:
        why = f"output {_listed(missing)} is not in the file; it has {_listed(found)}"
        yield Check("outputs", Status.FAIL, why, "output-missing")
    elif declared != found:
        why = f"outputs come as {_listed(found)}, torch's as {_listed(declared)}"
        yield Check("outputs", Status.FAIL, why, "output-order")
    types = {value.name: value.dtype for value in given.graph.outputs}
    half = given.exported.precision == "fp16"
    for spec in given.exported.outputs:
        if spec.name in types and types[spec.name] not in _types(spec.dtype, half=half):
            why = f"output `{spec.name}` is {types[spec.name]}, torch's is {spec.dtype}"
            yield Check("outputs", Status.FAIL, why, "output-type")


def _types(dtype: str, *, half: bool) -> set[str]:
    """Return the types that stand for a declared one; fp16 models may keep float32 at the edge."""
    return {"float16", "float32"} if half and dtype in {"float16", "float32"} else {dtype}


def _axes(given: Given) -> Iterator[Check]:
    """Every axis declared dynamic must have no length in the file."""
    sides: tuple[tuple[str, tuple[TensorSpec, ...], tuple[Value, ...]], ...] = (
        ("input", given.exported.inputs, given.graph.inputs),
        ("output", given.exported.outputs, given.graph.outputs),
    )
    for side, specs, values in sides:
        by_name = {value.name: value for value in values}
        for spec in specs:
            value = by_name.get(spec.name)
            if value is not None:
                yield from _frozen(side, spec, value)


def _frozen(side: str, spec: TensorSpec, value: Value) -> Iterator[Check]:
    if len(spec.shape) != len(value.shape):
        if value.shape:
            why = f"{side} `{spec.name}` has {len(value.shape)} axes, torch's {len(spec.shape)}"
            yield Check(
                "axes", Status.FAIL, why, f"{side}-{'changed' if side == 'input' else 'shape'}"
            )
        return
    for place, (declared, found) in enumerate(zip(spec.shape, value.shape, strict=True)):
        if isinstance(declared, str) and isinstance(found, int):
            why = f"axis {place} (`{declared}`) of {side} `{spec.name}` is fixed to {found}"
            yield Check("axes", Status.FAIL, why, "axis-frozen")
        elif isinstance(declared, int) and isinstance(found, int) and declared != found:
            why = f"axis {place} of {side} `{spec.name}` is {found}, torch's {declared}"
            reason = "input-changed" if side == "input" else "output-shape"
            yield Check("axes", Status.FAIL, why, reason)


def _training(given: Given) -> Iterator[Check]:
    found = given.inspection.training
    if found:
        why = f"{_listed(found)} {'is' if len(found) == 1 else 'are'} in training mode"
        yield Check("training mode", Status.FAIL, why, "training-mode")


def _random(given: Given) -> Iterator[Check]:
    found = given.inspection.random
    if found:
        why = f"{_listed(found)} {'draws' if len(found) == 1 else 'draw'} random numbers"
        yield Check("random operators", Status.FAIL, why, "random-operator")


def _dependence(given: Given) -> Iterator[Check]:
    """Say which outputs no input reaches, and which inputs reach no output: parity decides."""
    reaches = given.inspection.reaches or {}
    for output, inputs in reaches.items():
        if not inputs:
            why = f"output `{output}` does not depend on the values of any input"
            yield Check("dependence", Status.WARN, why, "constant-output")
    used = {name for inputs in reaches.values() for name in inputs}
    for value in given.graph.inputs:
        if value.name not in used:
            why = f"no output depends on the values of input `{value.name}`"
            yield Check("dependence", Status.WARN, why, "input-unused")


def _metadata(given: Given) -> Iterator[Check]:
    expected = {"mlactions.commit": given.exported.metadata.commit}
    for name, value in expected.items():
        if value and given.graph.metadata.get(name) != value:
            why = f"`{name}` in the file is {given.graph.metadata.get(name, '')!r}, not {value!r}"
            yield Check("metadata", Status.WARN, why, "metadata")


def _paths(given: Given) -> Iterator[Check]:
    if given.inspection.paths:
        why = f"{given.inspection.paths:,} nodes carry paths of the machine that exported them"
        yield Check("source paths", Status.WARN, why, "source-paths")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:NAMED]) or "none"
    return f"{shown} and {len(names) - NAMED:,} more" if len(names) > NAMED else shown


_LOOKS: tuple[tuple[str, str, Look], ...] = (
    ("external data", "every tensor lies where the file says", _external),
    ("checker", "onnx's full check and its shape inference accept the file", _checker),
    ("opset", "the opset is the one asked for", _opset),
    ("inputs", "names, order and types are those exported", _inputs),
    ("outputs", "names, order and types are torch's", _outputs),
    ("axes", "every dynamic axis is open in the file", _axes),
    ("training mode", "no node is in training mode", _training),
    ("random operators", "no node draws random numbers", _random),
    ("dependence", "every output depends on the inputs, and every input is used", _dependence),
    ("metadata", "the commit in the file is the one exported", _metadata),
    ("source paths", "the file names no path of the machine that made it", _paths),
)

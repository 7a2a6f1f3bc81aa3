"""Reading export.json: the bundle against its manifest, the document into dataclasses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlactions.bundle import Bundle, open_bundle
from mlactions.errors import UserError
from mlactions.export.exported import (
    EXPORTED,
    MODEL,
    WORD,
    Axis,
    Case,
    Checkpoint,
    Exported,
    Failure,
    Metadata,
    Model,
    Module,
    Noise,
    Provenance,
    SourceLine,
    TaskData,
    TensorSpec,
    Timing,
)


def open_export(folder: Path) -> tuple[Bundle, Exported]:
    """Read and check a measured bundle: its files against the manifest, export.json throughout."""
    bundle = open_bundle(folder, word=WORD)
    return bundle, read_exported(bundle)


def read_exported(bundle: Bundle) -> Exported:
    """Read export.json; what it names must be listed in the manifest."""
    exported = from_document(bundle.json(EXPORTED, schema=WORD))
    file = str(bundle.folder / EXPORTED)
    if (exported.status == "ok") != (exported.failure is None) or (
        exported.status == "ok" and exported.files[:1] != (MODEL,)
    ):
        raise UserError("broken bundle", "status, failure and files contradict.", file=file)
    if why := contradiction(exported):
        raise UserError("broken bundle", f"{why}.", "Run the measuring step again.", file=file)
    for name in _named(exported):
        bundle.path(name)
    return exported


def contradiction(exported: Exported) -> str:
    """Say what cannot be in a document that holds to the schema; nothing if all is well."""
    ids = Counter(case.id for case in exported.cases)
    inputs = Counter(spec.name for spec in exported.inputs)
    outputs = Counter(spec.name for spec in exported.outputs)
    axes = Counter(axis.name for axis in exported.axes)
    dynamic = [n for spec in exported.inputs for n in spec.shape if isinstance(n, str)]
    wrong = [
        *(f"case `{name}` is listed twice" for name, count in ids.items() if count > 1),
        *(f"axis `{name}` is listed twice" for name, count in axes.items() if count > 1),
        *(f"input `{name}` is listed twice" for name, count in inputs.items() if count > 1),
        *(f"output `{name}` is listed twice" for name, count in outputs.items() if count > 1),
        *(f"axis `{name}` is not in `axes`" for name in dynamic if name not in axes),
        *(f"axis `{a.name}` is {a.low} to {a.high}" for a in exported.axes if a.low > a.high),
    ]
    return wrong[0] if wrong else ""


def _named(exported: Exported) -> list[str]:
    names = [*exported.files]
    for case in exported.cases:
        names += [case.inputs, case.reference]
    if exported.task is not None:
        names += [exported.task.inputs, exported.task.reference]
    if exported.failure is not None and exported.failure.report is not None:
        names.append(exported.failure.report)
    return names


def from_document(document: Mapping[str, Any]) -> Exported:
    """Return the dataclasses of a document that holds to the schema."""
    given = {name: value for name, value in document.items() if name != "version"}
    task, checkpoint = given["task"], given["checkpoint"]
    return Exported(
        **given
        | {
            "failure": failure_of(given["failure"]),
            "model": model_of(given["model"]),
            "checkpoint": None if checkpoint is None else Checkpoint(**checkpoint),
            "inputs": tuple(map(tensor_of, given["inputs"])),
            "outputs": tuple(map(tensor_of, given["outputs"])),
            "axes": tuple(Axis(**axis) for axis in given["axes"]),
            "files": tuple(given["files"]),
            "cases": tuple(
                Case(**case | {"noise": Noise(**case["noise"])}) for case in given["cases"]
            ),
            "timing": timing_of(given["timing"]),
            "task": None if task is None else TaskData(**task),
            "metadata": Metadata(**given["metadata"]),
            "provenance": Provenance(**given["provenance"]),
            "notes": tuple(given["notes"]),
        }
    )


def failure_of(given: Mapping[str, Any] | None) -> Failure | None:
    """Return a failure; its `class` is called `kind` here, for `class` is Python's word."""
    if given is None:
        return None
    rest = {name: value for name, value in given.items() if name != "class"}
    lines = tuple(SourceLine(**line) for line in given["source"])
    tail = tuple(given["log_tail"])
    return Failure(**rest | {"kind": given["class"], "source": lines, "log_tail": tail})


def model_of(given: Mapping[str, Any] | None) -> Model | None:
    """Return the model with its module tree."""
    if given is None:
        return None
    tree = tuple(Module(**_class_name(module)) for module in given["tree"])
    names = {name: tuple(given.get(name, ())) for name in ("training_modules", "state")}
    return Model(**_class_name(given) | {"tree": tree} | names)


def tensor_of(given: Mapping[str, Any]) -> TensorSpec:
    """Return an input or output."""
    return TensorSpec(**{**given, "shape": tuple(given["shape"])})


def timing_of(given: Mapping[str, Any]) -> Timing:
    """Return the seconds taken."""
    eager = {batch: tuple(seconds) for batch, seconds in given["eager"].items()}
    return Timing(given["import_s"], given["export_s"], eager, given.get("reference_s", 0.0))


def _class_name(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"class_name" if name == "class" else name: value for name, value in given.items()}

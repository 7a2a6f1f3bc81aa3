"""export.json: what a user's model gave when it was exported. Written by measure, read by all.

Every path in it is relative: `files`, `inputs` and `reference` to the bundle, `file` to the user's
repository. A number that is not finite is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

WORD = "export"
EXPORTED = "export.json"
MODEL = "model/model.onnx"
DATA = "model/model.onnx.data"

Precision = Literal["fp32", "fp16"]
Optimize = Literal["none", "basic", "extended", "all"]
Quantize = Literal["none", "dynamic-int8"]
Values = Literal["random", "varied", "zeros", "large", "denormal"]
"""`varied` are those of an example whose samples are alike, made to differ; gated as well."""

FAILURES = (
    "data-dependent-control-flow",
    "static-shape",
    "unsupported-operator",
    "random-operator",
    "export-failed",
    "forward-raised",
    "timed-out",
    "crashed",
    "out-of-memory",
    "killed",
    "disk-full",
    "interrupted",
)
"""The classes of a failed export, most telling first."""


@dataclass(frozen=True)
class SourceLine:
    """A line of the user's source, as it was when the export failed."""

    line: int
    text: str


@dataclass(frozen=True)
class Failure:
    """Why there is no model: one of FAILURES, and where in the user's code it lies, if known.

    `module` is the path in the module tree; `report` a file of the bundle.
    """

    kind: str
    message: str
    file: str | None = None
    line: int | None = None
    module: str | None = None
    source: tuple[SourceLine, ...] = ()
    log_tail: tuple[str, ...] = ()
    report: str | None = None


@dataclass(frozen=True)
class Module:
    """A module of the tree; `file` and `line` are its class's, None for a library's class."""

    name: str
    class_name: str
    parameters: int
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class Model:
    """The user's model. `training_modules` were in training mode before eval was forced.

    `state` names the buffers that a forward pass in eval mode changed.
    """

    factory: str
    class_name: str
    parameters: int
    parameter_bytes: int
    training_modules: tuple[str, ...] = ()
    tree: tuple[Module, ...] = ()
    state: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """Where the weights came from; `key` is where in the file, empty for the file itself."""

    source: str
    sha256: str
    format: Literal["torch", "safetensors", "pickle"]
    key: str
    tensors: int


@dataclass(frozen=True)
class TensorSpec:
    """An input or output. A string in `shape` names a dynamic axis.

    `low` and `high` bound integer inputs: the declared range, else what was observed.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Axis:
    """A dynamic axis and the lengths it is declared for, both ends included."""

    name: str
    low: int
    high: int


@dataclass(frozen=True)
class Noise:
    """The scaled error of torch against itself, by output; None where it could not be had.

    `float64`: the same model in double precision; `threads`: on one thread against two.
    `relative`: the larger of both, with each element's error over 1 + its own magnitude.
    """

    float64: Mapping[str, float | None] | None = None
    threads: Mapping[str, float | None] | None = None
    relative: Mapping[str, float | None] | None = None
    note: str = ""


@dataclass(frozen=True)
class Case:
    """One input and what the fp32 model in eval mode made of it; only `gated` ones can fail.

    `axes` holds the length of every dynamic axis, `batch` that of the axis of this name.
    """

    id: str
    kind: Literal["gated", "edge"]
    batch: int
    axes: Mapping[str, int]
    seed: int
    values: Values
    inputs: str
    reference: str
    noise: Noise = field(default_factory=Noise)


@dataclass(frozen=True)
class Timing:
    """Seconds. `eager` holds torch's own forward passes by batch size, repeated.

    `reference_s` is what the references, their noise and these passes took together.
    """

    import_s: float = 0.0
    export_s: float = 0.0
    eager: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    reference_s: float = 0.0


@dataclass(frozen=True)
class TaskData:
    """Labelled samples: `inputs` holds the arrays of the inputs and one named `label`."""

    samples: int
    inputs: str
    reference: str


@dataclass(frozen=True)
class Metadata:
    """What is written into the model file as well, there with the prefix `mlactions.`."""

    commit: str = ""
    dirty: bool = False
    run: str = ""
    config: str = ""
    python: str = ""
    torch: str = ""
    onnxscript: str = ""
    mlactions: str = ""


@dataclass(frozen=True)
class Provenance:
    """What the reference was computed on."""

    hardware: str = ""
    platform: str = ""
    threads: int = 0


@dataclass(frozen=True)
class Exported:
    """The whole of export.json. `model` is None where the user's process ended before it was built.

    `files` are the model file and, when there is one, its external data, in this order.
    """

    status: Literal["ok", "failed"]
    failure: Failure | None
    model: Model | None
    checkpoint: Checkpoint | None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    axes: tuple[Axis, ...]
    opset: int
    precision: Precision
    optimize: Optimize
    quantize: Quantize
    files: tuple[str, ...]
    cases: tuple[Case, ...]
    timing: Timing
    task: TaskData | None
    metadata: Metadata
    provenance: Provenance
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return what export.json holds."""
        return {"version": 1, **_plain(self)}


def _plain(value: Any) -> Any:
    """Return dataclasses as JSON; `kind` of a failure and `class_name` become `class`."""
    if hasattr(value, "__dataclass_fields__"):
        renamed = {"class_name": "class", **({"kind": "class"} if type(value) is Failure else {})}
        return {renamed.get(name, name): _plain(item) for name, item in vars(value).items()}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value

"""What torch, optimum-onnx and onnx make of wrong exports; runs in the peers' interpreter.

    export_peers.py <CASES.json    [{"name", "model", "half", "outputs", "example", "other"}, ...]
                    >{"name": {"torch": verdict, "optimum": verdict, "checker": verdict}, ...}

`example` and `other` are pairs of .npz files, inputs and what the right model gives for them: those
the export was made with, and others of the same batch size. They stand for the user's model, so
that each check has the true reference. A verdict is ["caught" | "missed", what was said].

- torch: what `torch.onnx.export(verify=True)` does once it has the file (steps 4 to 6 of
  torch/onnx/_internal/exporter/_core.py): onnx's checker, onnxruntime on the example inputs, and
  a warning from an absolute difference of 5e-3 or a relative one of 0.1 on.
- optimum: `validate_model_outputs`, which its command line calls for every export.
- checker: `onnx.checker.check_model(full_check=True)`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnx
import onnx_ir  # type: ignore[import-not-found]  # the peers' only
import torch
from optimum.exporters.onnx.base import OnnxConfig  # type: ignore[import-not-found]
from optimum.exporters.onnx.convert import (  # type: ignore[import-not-found]
    validate_model_outputs,
)
from torch.onnx import ONNXProgram
from torch.onnx._internal._lazy_import import onnxscript_apis
from torch.onnx._internal.exporter._verification import (
    verify_onnx_program,
)

LARGEST_ABSOLUTE, LARGEST_RELATIVE = 5e-3, 1e-1
OPTIMUM_TOLERANCE = {False: 1e-5, True: 5e-3}

Case = dict[str, Any]


class WrongError(Exception):
    """What torch only warns of."""


def main() -> None:
    """Judge every case of standard input."""
    logging.disable(logging.CRITICAL)
    cases = json.load(sys.stdin)
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        found = {case["name"]: _judged(case) for case in cases}
    json.dump(found, out)


def _judged(case: Case) -> dict[str, tuple[str, str]]:
    checks: dict[str, Callable[[Case], None]] = {
        "torch": _torch,
        "optimum": _optimum,
        "checker": _checker,
    }
    return {name: _verdict(check, case) for name, check in checks.items()}


def _verdict(check: Callable[[Case], None], case: Case) -> tuple[str, str]:
    """Return what became of one check: any refusal counts, also by a crash of the check."""
    try:
        check(case)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what we count
        return "caught", f"{type(error).__name__}: {error}"[:300]
    return "missed", ""


def _checker(case: Case) -> None:
    onnx.checker.check_model(case["model"], full_check=True)


def _torch(case: Case) -> None:
    inputs, references = _arrays(case["example"])
    given = tuple(torch.from_numpy(array) for array in inputs.values())
    expected = tuple(torch.from_numpy(references[name]) for name in case["outputs"])
    user_model = SimpleNamespace(
        example_inputs=(given, {}),
        _get_flat_args_with_check=lambda args, _: (args, None),
        module=lambda: lambda *_: expected,
    )
    model = onnx_ir.external_data.load_to_model(onnx_ir.load(case["model"]))
    program = ONNXProgram(model, user_model)
    onnxscript_apis.check_model(program.model)
    for result in verify_onnx_program(program):
        if result.max_abs_diff >= LARGEST_ABSOLUTE or result.max_rel_diff >= LARGEST_RELATIVE:
            raise WrongError(f"{result.name}: {result.max_abs_diff}, {result.max_rel_diff}")


class _UserModel(torch.nn.Module):  # type: ignore[misc]  # torch is Any here
    def __init__(self, outputs: dict[str, Any]) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, **_: Any) -> dict[str, Any]:
        return self.outputs


class _Config(OnnxConfig):  # type: ignore[misc]  # optimum is Any here
    """The little that validation asks of a configuration, answered for this case."""

    torch_to_onnx_output_map: dict[str, str] = {}  # noqa: RUF012  # optimum's own name and kind

    def __init__(self, case: Case) -> None:  # the parent wants a transformers configuration
        self._case = case
        self._inputs, _ = _arrays(case["other"])

    @property
    def inputs(self) -> dict[str, dict[int, str]]:
        return {name: dict(enumerate(axes)) for name, axes in self._case["axes"].items()}

    @property
    def outputs(self) -> dict[str, dict[int, str]]:
        return {name: {} for name in self._case["outputs"]}

    def generate_dummy_inputs(self, **_: Any) -> dict[str, Any]:
        return {name: torch.from_numpy(array) for name, array in self._inputs.items()}

    def generate_dummy_inputs_for_validation(self, inputs: Any, _: Any = None) -> Any:
        return inputs

    def rename_ambiguous_inputs(self, inputs: Any) -> Any:
        return inputs

    @contextlib.contextmanager
    def patch_model_for_export(self, *_: Any, **__: Any) -> Iterator[None]:
        yield


def _optimum(case: Case) -> None:
    _, references = _arrays(case["other"])
    outputs = {name: torch.from_numpy(references[name]) for name in case["outputs"]}
    validate_model_outputs(
        _Config(case),
        _UserModel(outputs),
        Path(case["model"]),
        case["outputs"],
        atol=OPTIMUM_TOLERANCE[case["half"]],
        use_subprocess=False,
    )


def _arrays(pair: tuple[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    inputs, references = (dict(np.load(path)) for path in pair)
    return inputs, references


if __name__ == "__main__":
    main()

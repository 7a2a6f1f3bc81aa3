"""What a caller may set for the measuring part, checked before anything runs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mlactions.errors import UserError
from mlactions.evaluate.settings import parse_seeds
from mlactions.export.checkpoint import Choice, choose
from mlactions.export.exported import Axis, Optimize, Precision, Quantize
from mlactions.export.spec import (
    CasePlan,
    Examples,
    check_declared,
    parse_axes,
    parse_dynamic,
    parse_examples,
    plan_cases,
)
from mlactions.settings import parse_duration_minutes

OPSETS = (17, 24)
BATCH_SIZES = (1, 2, 3, 7, 16)
TIMED_BATCHES = (1, 16)
LARGEST_BATCH = 65536

_FACTORY = re.compile(r"[A-Za-z_][\w]*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_FACTORY_HINT = "Write package.module:factory."


@dataclass(frozen=True)
class Settings:
    """The inputs of `export measure`. Paths in the caller's words are resolved by now.

    `folder` is where the user's code runs, `cases` what is computed for the parity matrix.
    """

    factory: str
    model_arguments: Mapping[str, Any]
    checkpoint: Choice | None
    checkpoint_key: str
    allow_pickle: bool
    examples: Examples
    outputs: tuple[str, ...]
    axes: Mapping[str, Axis]
    dynamic: Mapping[str, tuple[str | None, ...]]
    cases: tuple[CasePlan, ...]
    timed_batches: tuple[int, ...]
    opset: int
    precision: Precision
    optimize: Optimize
    quantize: Quantize
    external_data: Literal["auto", "always"]
    task_data: Path | None
    config: tuple[str, ...]
    python: tuple[str, ...]
    folder: Path
    timeout: float
    notes: tuple[str, ...] = field(default_factory=tuple)


def read_settings(given: Mapping[str, Any], *, folder: Path) -> Settings:
    """Return the settings behind click's values; `folder` is where the caller stands."""
    work = _folder(folder, str(given.get("working_directory") or "."))
    examples, axes = parse_examples(given["example_inputs"]), parse_axes(given.get("axes") or ())
    check_declared(examples, axes)
    dynamic = _dynamic(given, examples)
    if examples.path:
        _file(work, examples.path, "example-inputs")
    checkpoint = _checkpoint(given, work)
    used = _used(examples, dynamic, axes)
    sizes, seeds = parse_batches(given.get("batch_sizes") or ()), parse_seeds(given["seeds"] or ())
    return Settings(
        factory=parse_factory(str(given.get("model") or "")),
        model_arguments=parse_arguments(str(given.get("model_arguments") or "")),
        checkpoint=checkpoint,
        checkpoint_key=str(given.get("checkpoint_key") or ""),
        allow_pickle=bool(given.get("allow_pickle")),
        examples=examples,
        outputs=parse_outputs(given.get("outputs") or ()),
        axes=axes,
        dynamic=dynamic,
        cases=plan_cases(used, sizes, seeds or (0, 1)),
        timed_batches=tuple(
            n for n in TIMED_BATCHES if axes["batch"].low <= n <= axes["batch"].high
        ),
        opset=parse_opset(str(given.get("opset") or "20")),
        precision=given.get("precision") or "fp32",
        optimize=given.get("optimize") or "none",
        quantize=given.get("quantize") or "none",
        external_data=given.get("external_data") or "auto",
        task_data=_task_data(given, work),
        config=tuple(given.get("config") or ()),
        python=parse_python(str(given.get("python") or "python")),
        folder=work,
        timeout=parse_duration_minutes(
            str(given.get("timeout_minutes") or "30"), field="timeout-minutes"
        ),
        notes=(checkpoint.note,) if checkpoint and checkpoint.note else (),
    )


def _dynamic(given: Mapping[str, Any], examples: Examples) -> dict[str, tuple[str | None, ...]]:
    """Return the axes named for arrays; declared shapes name their own."""
    dynamic = parse_dynamic(given.get("dynamic") or ())
    if dynamic and examples.tensors:
        raise UserError(
            "bad input",
            "`dynamic` is given, and `example-inputs` declares shapes, which name their axes.",
            "Leave out `dynamic`.",
        )
    return dynamic


def _folder(folder: Path, text: str) -> Path:
    work = (folder / text).resolve()
    if not work.is_dir():
        raise UserError("bad input", f"`working-directory` is {text!r}: no such folder.")
    return work


def _file(folder: Path, text: str, name: str) -> Path:
    path = (folder / text).resolve()
    if not path.is_file():
        raise UserError(
            "bad input",
            f"`{name}` is {text!r}: there is no such file.",
            "Write its path from the working directory.",
        )
    return path


def _checkpoint(given: Mapping[str, Any], work: Path) -> Choice | None:
    text = str(given.get("checkpoint") or "")
    directory = str(given.get("checkpoint_dir") or "")
    if directory and not text.startswith("best:"):
        raise UserError(
            "bad input",
            "`checkpoint-dir` is given, and `checkpoint` names no metric.",
            "Write `checkpoint: best:val_accuracy`.",
        )
    if not text:
        return None
    choice = choose(text, folder=work, directory=directory)
    if choice.path is not None and not choice.path.is_file():
        raise UserError(
            "no checkpoint",
            f"`checkpoint` is {text!r}: there is no such file.",
            "Write its path from the working directory, or best:METRIC with `checkpoint-dir`.",
        )
    return choice


def _task_data(given: Mapping[str, Any], work: Path) -> Path | None:
    text = str(given.get("task_data") or "")
    if text:
        return _file(work, text, "task-data")
    fp16, int8 = given.get("precision") == "fp16", given.get("quantize") == "dynamic-int8"
    if fp16 or int8:
        what = "`precision: fp16`" if fp16 else "`quantize: dynamic-int8`"
        raise UserError(
            "bad input",
            f"{what} changes the numbers, and `task-data` is missing.",
            "Name an .npz with one array for each input and one named `label`: fewer bits are"
            " allowed only as long as the answers stay right.",
        )
    return None


def _used(
    examples: Examples, dynamic: Mapping[str, Sequence[str | None]], axes: Mapping[str, Axis]
) -> dict[str, Axis]:
    """Return the axes that the inputs really have; undeclared, an array's first is the batch."""
    if examples.tensors:
        names = {str(axis) for tensor in examples.tensors for axis in tensor.shape}
    else:
        names = {str(axis) for given in dynamic.values() for axis in given}
        names |= {"batch"} if not dynamic else set()
    return {name: axis for name, axis in axes.items() if name in names}


def parse_factory(text: str) -> str:
    """Accept `package.module:factory`."""
    if not text:
        raise UserError("bad input", "`model` is missing.", _FACTORY_HINT)
    if not _FACTORY.fullmatch(text):
        raise UserError("bad input", f"`model` is {text!r}, not a factory's name.", _FACTORY_HINT)
    return text


def parse_arguments(text: str) -> dict[str, Any]:
    """Read the factory's keyword arguments, a JSON object."""
    hint = 'Write a JSON object: {"width": 24, "dropout": 0.1}.'
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        message = f"`model-arguments` is not JSON: {error}."
        raise UserError("bad input", message, hint) from None
    if not isinstance(found, dict) or not all(name.isidentifier() for name in found):
        raise UserError("bad input", f"`model-arguments` is {text[:80]!r}.", hint)
    return found


def parse_outputs(lines: Sequence[str]) -> tuple[str, ...]:
    """Read the outputs' names."""
    names = tuple(word for line in lines for word in re.split(r"[\s,]+", line) if word)
    for name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]{0,127}", name) or names.count(name) > 1:
            raise UserError(
                "bad input",
                f"`outputs` has {name!r}.",
                "Name every output once, with letters, digits and underscores.",
            )
    return names


def parse_batches(lines: Sequence[str]) -> tuple[int, ...]:
    """Read batch sizes separated by commas, spaces or lines."""
    words = [word for line in lines for word in re.split(r"[\s,]+", line) if word]
    if any(not word.isdecimal() or not 1 <= int(word) <= LARGEST_BATCH for word in words):
        raise UserError("bad input", f"`batch-sizes` is {' '.join(words)!r}.", "Write 1,2,3,7,16.")
    return tuple(sorted({int(word) for word in words})) or BATCH_SIZES


def parse_opset(text: str) -> int:
    """Accept an opset that torch writes and onnxruntime reads."""
    low, high = OPSETS
    if not text.isdecimal() or not low <= int(text) <= high:
        raise UserError("bad input", f"`opset` is {text!r}.", f"Write a number, {low} to {high}.")
    return int(text)


def parse_python(text: str) -> tuple[str, ...]:
    """Split the command that starts the user's Python; no shell sees it."""
    try:
        words = tuple(shlex.split(text))
    except ValueError:
        words = ()
    if not words:
        raise UserError("bad input", f"`python` is {text!r}.", "Write python, or a path to it.")
    return words

"""What the model computes in PyTorch: references, how much they wobble, and how long they take."""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .calling import Call, flatten
from .examples import Arrays
from .problems import BadInput, Failed, Sources, first_line

DOUBLE_BYTES = 2**30
"""Above this many bytes of weights no float64 copy is made: it would take twice as many more."""

TIMED_SECONDS = 2.0
TIMED_RUNS = (3, 100)
WARM_SECONDS = 0.2
WARM_RUNS = (1, 10)
"""Where other processes press, single passes take a hundred times as long: the fastest of many is
compared, so that there has to be one that nobody disturbed."""


class Reference:
    """The fp32 model in eval mode, and how it is called."""

    def __init__(
        self, model: nn.Module, call: Call, names: Sequence[str], sources: Sources
    ) -> None:
        self.model, self.call, self.sources = model, call, sources
        self._given = names
        size = sum(p.numel() * p.element_size() for p in model.parameters())
        self._double: nn.Module | None = None
        self.double_note = (
            "" if size <= DOUBLE_BYTES else "no float64 reference: over 1 GiB of weights"
        )

    def run(self, arrays: Arrays, model: nn.Module | None = None) -> dict[str, Tensor]:
        """Return the outputs for inputs as they are; half precision is computed in float32."""
        result = self.call(model or self.model, tensors(arrays))
        return flatten(result, self._given)

    def checked(self, arrays: Arrays, what: str) -> dict[str, Tensor]:
        """Return the outputs; a model that raises has failed, for it has to take this input."""
        try:
            return self.run(arrays)
        except (BadInput, MemoryError):
            raise
        except Exception as error:
            place = self.sources.place_of_error(error)
            message = f"the model raised {self.sources.scrub(first_line(error))}, given {what}."
            report = f"# What the model said\n\n{message}\n"
            raise Failed("forward-raised", message, place, report=report) from error

    def noise(self, arrays: Arrays, found: Mapping[str, Tensor]) -> dict[str, Any]:
        """Return the scaled errors of torch against itself: float64, and one thread against two.

        `relative` is the larger of both with every element held against its own size.
        """
        one, two = (self._on_threads(arrays, count) for count in (1, 2))
        threads = {name: scaled(one[name], two[name]) for name in one}
        own = {name: relative(one[name], two[name]) for name in one}
        note, double = self.double_note, None
        if not note:
            try:
                wide = self._in_double(arrays)
                double = {name: scaled(found[name], wide[name]) for name in found}
                own = {name: larger(own[name], relative(found[name], wide[name])) for name in own}
            except Exception as error:  # noqa: BLE001  # any model may refuse doubles: it is said
                text = self.sources.scrub(first_line(error, 200))
                self.double_note = note = f"no float64 reference: {text}"
        return {"float64": double, "threads": threads, "relative": own, "note": note}

    def _on_threads(self, arrays: Arrays, count: int) -> dict[str, Tensor]:
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        try:
            return self.run(arrays)
        finally:
            torch.set_num_threads(before)

    def _in_double(self, arrays: Arrays) -> dict[str, Tensor]:
        if self._double is None:
            self._double = copy.deepcopy(self.model).double()
        wide = {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in arrays.items()}
        return flatten(
            self.call(self._double, {n: torch.from_numpy(a) for n, a in wide.items()}), self._given
        )

    def eager(self, arrays: Arrays) -> list[float]:
        """Return seconds of forward passes of a warm model: 3 of a slow one, 100 of a fast one."""
        given = tensors(arrays)
        self._timed(given, WARM_RUNS, WARM_SECONDS)
        return self._timed(given, TIMED_RUNS, TIMED_SECONDS)

    def _timed(
        self, given: Mapping[str, Tensor], runs: tuple[int, int], enough: float
    ) -> list[float]:
        seconds: list[float] = []
        fewest, most = runs
        while len(seconds) < fewest or (len(seconds) < most and sum(seconds) < enough):
            started = time.perf_counter()
            self.call(self.model, given)
            seconds.append(round(time.perf_counter() - started, 6))
        return seconds


def tensors(arrays: Arrays) -> dict[str, Tensor]:
    """Return arrays as tensors for the fp32 model."""
    return {
        name: torch.from_numpy(a.astype(np.float32) if a.dtype == np.float16 else a)
        for name, a in arrays.items()
    }


def scaled(one: Tensor, other: Tensor) -> float | None:
    """Return max|one - other| / max(1, max|other|); None where that is not finite."""
    wide, reference = _apart(one, other)
    if wide.numel() == 0:
        return 0.0
    return _finite((wide - reference).abs().max() / reference.abs().max().clamp(min=1.0))


def relative(one: Tensor, other: Tensor) -> float | None:
    """Return max(|one - other| / (1 + |other|)), element by element; None if not finite."""
    wide, reference = _apart(one, other)
    if wide.numel() == 0:
        return 0.0
    return _finite(((wide - reference).abs() / (1 + reference.abs())).max())


def larger(one: float | None, other: float | None) -> float | None:
    """Return the larger error; None, which is worse, where one could not be had."""
    return None if one is None or other is None else max(one, other)


def _apart(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return both as float64, without the infinities, as of a mask, that they share."""
    wide, reference = one.double(), other.double()
    same = torch.isinf(reference) & (wide == reference)
    return (wide[~same], reference[~same]) if same.any() else (wide, reference)


def _finite(error: Tensor) -> float | None:
    value = error.item()
    return value if math.isfinite(value) else None


def buffers(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of a model's buffers."""
    return {name: buffer.detach().clone() for name, buffer in model.named_buffers()}


def changed(before: Mapping[str, Tensor], model: nn.Module) -> list[str]:
    """Return the buffers that are others than before; what a first pass computes stays as it is."""
    after = dict(model.named_buffers())
    return [
        name
        for name in sorted(before.keys() | after.keys())
        if name not in before or name not in after or not _equal(before[name], after[name])
    ]


def _equal(one: Tensor, other: Tensor) -> bool:
    same = one.shape == other.shape and one.dtype == other.dtype
    return same and bool(torch.isclose(one, other, rtol=0, atol=0, equal_nan=True).all())


def to_arrays(outputs: Mapping[str, Tensor]) -> Arrays:
    """Return outputs as arrays; the weights' gradients never mattered."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in outputs.items()}


def save(path: Path, arrays: Arrays) -> None:
    """Write an .npz; numpy dates every entry 1980, so equal arrays are equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)  # type: ignore[arg-type]  # names are the user's, values are arrays


def as_precision(arrays: Arrays, precision: str) -> Arrays:
    """Round floating inputs to what the exported model takes."""
    if precision != "fp16":
        return arrays
    return {n: a.astype(np.float16) if a.dtype.kind == "f" else a for n, a in arrays.items()}


def differs(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """Return the largest scaled difference of two runs; infinity for other shapes or NaN places."""
    worst = 0.0
    for name, tensor in one.items():
        if tensor.shape != other[name].shape:
            return math.inf
        if torch.equal(tensor, other[name]):
            continue
        same = torch.isclose(tensor, other[name], rtol=0, atol=0, equal_nan=True)
        error = scaled(tensor[~same], other[name][~same])
        worst = max(worst, math.inf if error is None else error)
    return worst


def task_batches(
    path: Path, names: Sequence[str], batch: int
) -> tuple[int, Arrays, Iterable[Arrays]]:
    """Read labelled samples; return their number, all arrays, and the inputs in batches."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:
        raise BadInput(
            f"`task-data` is `{path.name}`, which cannot be read: {first_line(error)}."
        ) from error
    wanted = [*names, "label"]
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise BadInput(
            f"`task-data` lacks {', '.join(f'`{name}`' for name in missing)}.",
            f"Save one array for each of {', '.join(f'`{name}`' for name in wanted)}.",
        )
    samples = {name: len(arrays[name]) for name in wanted}
    if len(set(samples.values())) != 1 or not samples["label"]:
        raise BadInput(f"`task-data` has arrays of different lengths: {samples}.")
    starts = range(0, samples["label"], batch)
    cut = ({name: arrays[name][start : start + batch] for name in names} for start in starts)
    return samples["label"], {name: arrays[name] for name in wanted}, cut


def joined(parts: Iterable[Mapping[str, Tensor]]) -> Arrays:
    """Join the outputs of batches along their first axis."""
    found = list(parts)
    return {name: np.concatenate([to_arrays(p)[name] for p in found]) for name in found[0]}


@contextmanager
def half(model: nn.Module, precision: str) -> Any:
    """Give the model that is exported: itself, or a copy in half precision."""
    yield copy.deepcopy(model).half() if precision == "fp16" else model


def shapes_of(outputs: Mapping[str, Tensor]) -> str:
    """Return `logits [2, 10]` for people."""
    pairs = itertools.islice(outputs.items(), 8)
    return ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in pairs)

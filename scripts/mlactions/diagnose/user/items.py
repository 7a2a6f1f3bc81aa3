"""Items and batches of the user's data, as the probes need them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from .setup import Made, tensors_of

MAX_ITEMS = 2048
MAX_BATCHES = 200


class NotApplicableError(Exception):
    """The set-up has nothing for this probe."""


def digests(made: Made, items: Iterable[Any]) -> Iterable[bytes]:
    """Yield a hash of each item, of all its tensors: one alone may be a mask that all share."""
    for given, _ in made.batches(items):
        tensors = [t.detach().cpu().contiguous() for t in tensors_of(given) if t.dim()]
        for parts in zip(*tensors, strict=False):
            digest = hashlib.sha256()
            for part in parts:
                digest.update(part.numpy().tobytes())
            yield digest.digest()


def some(made: Made, items: Iterable[Any]) -> Iterable[tuple[Any, Any]]:
    """Yield batches until there are enough items."""
    seen = 0
    for number, (given, targets) in enumerate(made.batches(items)):
        if seen >= MAX_ITEMS or number >= MAX_BATCHES:
            return
        yield given, targets
        seen += len(targets) if isinstance(targets, Tensor) and targets.dim() else 1


def items_of(made: Made, items: Iterable[Any]) -> tuple[Tensor, Tensor]:
    """Return inputs and targets as two tensors, where inputs are one tensor of one shape."""
    pairs = list(some(made, items))
    if not all(isinstance(given, Tensor) and isinstance(t, Tensor) for given, t in pairs):
        raise NotApplicableError("its inputs are not one tensor")
    if len({given.shape[1:] for given, _ in pairs}) > 1:
        raise NotApplicableError("its inputs have several shapes")
    return torch.cat([given for given, _ in pairs]), torch.cat([t for _, t in pairs])


def part_of(value: Any, count: int) -> Any:
    """Return the first items of a batch's inputs or targets."""
    if isinstance(value, Mapping):
        return {key: part_of(item, count) for key, item in value.items()}
    return value[:count] if isinstance(value, Tensor) and value.dim() else value


def flat(targets: Any) -> Tensor:
    """Return targets in one row."""
    if not isinstance(targets, Tensor):
        raise NotApplicableError("its targets are no tensor")
    return targets.detach().flatten().cpu()

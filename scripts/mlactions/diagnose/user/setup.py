"""What the user's function returned, checked: model, batches, loss, optimiser."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from .program import BadInputError

_HINT = (
    "Return a mapping with `model`, `train` (batches of inputs and targets) and, where you have"
    " them, `validation`, `loss` and `optimizer`."
)
_KNOWN = ("model", "train", "validation", "loss", "optimizer", "scheduler")
PAIR = 2


@dataclass(frozen=True)
class Made:
    """A set-up before its first step. Batches are pairs of inputs and targets."""

    model: nn.Module
    train: Iterable[Any]
    validation: Iterable[Any] | None
    given_loss: Callable[[Any, Any], Any] | None
    optimizer: torch.optim.Optimizer | None

    @classmethod
    def of(cls, returned: Any, target: str) -> Made:
        """Check what the function returned."""
        given = returned if isinstance(returned, Mapping) else _attributes(returned)
        if not isinstance(given.get("model"), nn.Module):
            found = type(given.get("model")).__name__
            raise BadInputError("no model", f"`{target}` returned {found} as `model`.", _HINT)
        if not isinstance(given.get("train"), Iterable):
            raise BadInputError("no data", f"`{target}` returned no batches as `train`.", _HINT)
        optimizer = given.get("optimizer")
        if optimizer is not None and not isinstance(optimizer, torch.optim.Optimizer):
            found = type(optimizer).__name__
            raise BadInputError(
                "no optimizer", f"`{target}` returned {found} as `optimizer`.", _HINT
            )
        return cls(
            given["model"], given["train"], given.get("validation"), given.get("loss"), optimizer
        )

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        first = next(itertools.chain(self.model.parameters(), self.model.buffers()), None)
        return torch.device("cpu") if first is None else first.device

    def batches(self, items: Iterable[Any] | None = None) -> Iterator[tuple[Any, Any]]:
        """Yield pairs of inputs and targets on the model's device."""
        for batch in self.train if items is None else items:
            if isinstance(batch, Mapping):
                targets = batch.get("labels", batch.get("targets", batch.get("label")))
                inputs = {key: value for key, value in batch.items() if value is not targets}
                yield _moved(inputs, self.device), _moved(targets, self.device)
            elif isinstance(batch, list | tuple) and len(batch) >= PAIR:
                yield _moved(batch[0], self.device), _moved(batch[1], self.device)
            else:
                raise BadInputError("bad batch", f"a batch is a {type(batch).__name__}.", _HINT)

    def forward(self, inputs: Any) -> Any:
        """Call the model."""
        return self.model(**inputs) if isinstance(inputs, Mapping) else self.model(inputs)

    def loss(self, outputs: Any, targets: Any) -> Tensor:
        """Return the user's loss; else cross entropy for classes, squared error for values."""
        if self.given_loss is not None:
            found: Tensor = self.given_loss(outputs, targets)
            return found
        outputs = logits_of(outputs)
        if is_classes(targets):
            return cross_entropy(outputs.flatten(0, -2), targets.flatten())
        return mse_loss(outputs.squeeze(-1), targets.float())

    def fresh_optimizer(self) -> torch.optim.Optimizer:
        """Return Adam over all that may be trained: the model is probed, not its recipe."""
        trainable = [p for p in self.model.parameters() if p.requires_grad]
        return torch.optim.Adam(trainable, lr=1e-3)

    def own_optimizer(self) -> torch.optim.Optimizer | None:
        """Return the set-up's own kind of optimiser at its highest rate; None where that fails."""
        if self.optimizer is None:
            return None
        trainable = [p for p in self.model.parameters() if p.requires_grad]
        rate = max((float(group["lr"]) for group in self.optimizer.param_groups), default=0.0)
        settings = {**self.optimizer.defaults, "lr": rate}
        try:
            return type(self.optimizer)(trainable, **settings)
        except (TypeError, ValueError):
            return None


def _attributes(returned: Any) -> dict[str, Any]:
    return {name: getattr(returned, name) for name in _KNOWN if hasattr(returned, name)}


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: _moved(item, device) for key, item in value.items()}
    return value


def logits_of(outputs: Any) -> Tensor:
    """Return the tensor that counts: models wrap it in objects, mappings and tuples."""
    if isinstance(outputs, Tensor):
        return outputs
    if isinstance(outputs, Mapping):
        outputs = outputs.get("logits", next(iter(outputs.values())))
    elif isinstance(outputs, list | tuple):
        outputs = outputs[0]
    else:
        outputs = getattr(outputs, "logits", outputs)
    if not isinstance(outputs, Tensor):
        raise BadInputError("no logits", f"the model returned {type(outputs).__name__}.", _HINT)
    return outputs


def is_classes(targets: Any) -> bool:
    """Tell class numbers from values to predict."""
    return isinstance(targets, Tensor) and not (targets.is_floating_point() or targets.is_complex())


def tensors_of(inputs: Any) -> list[Tensor]:
    """Return the tensors of a batch's inputs."""
    found = inputs.values() if isinstance(inputs, Mapping) else [inputs]
    return [value for value in found if isinstance(value, Tensor)]

"""The probes by name. Each gets a fresh set-up and the request, and returns numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .activity import watched
from .gradients import MAX_LISTED, gradients
from .items import NotApplicableError, digests, flat, items_of, part_of, some
from .order import recorded
from .setup import Made, is_classes, logits_of, tensors_of

OVERFIT_ITEMS = 32
LONGER = 5
HALF = 0.5
FALLS = 0.99
"""A loss whose last quarter is below this share of the one before is falling still."""

PASSING = (nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout)
NORMS = (
    nn.modules.batchnorm._NormBase,  # noqa: SLF001  # the base of them all
    nn.LayerNorm,
    nn.GroupNorm,
)


def one_batch(made: Made, request: Mapping[str, Any]) -> dict[str, Any]:
    """Train on a few items alone: whatever learns at all learns them by heart.

    First with Adam; where that is not enough, with the set-up's own optimiser, which knows the
    scale of its targets.
    """
    inputs, targets = next(made.batches())
    batch = part_of(inputs, OVERFIT_ITEMS), part_of(targets, OVERFIT_ITEMS)
    steps = int(request["steps"])
    _quieten(made.model)
    state = {name: value.clone() for name, value in made.model.state_dict().items()}
    found = _by_heart(made, batch, made.fresh_optimizer(), steps)
    own = made.own_optimizer()
    if own is not None and _share(found) > HALF:
        made.model.load_state_dict(state)
        again = _by_heart(made, batch, own, steps)
        found = again if _share(again) < _share(found) else found
    return found


def _share(found: Mapping[str, Any]) -> float:
    """Return which share of its loss a batch kept; NaN counts as all."""
    share = found["last"] / found["first"] if found["first"] else math.inf
    return share if math.isfinite(share) else math.inf


def _by_heart(
    made: Made, batch: tuple[Any, Any], optimizer: torch.optim.Optimizer, steps: int
) -> dict[str, Any]:
    """Train on one batch; go on for as long as its loss falls, but no more than LONGER times."""
    inputs, targets = batch
    losses: list[float] = []
    while len(losses) < steps or (len(losses) < LONGER * steps and _falls(losses, steps)):
        optimizer.zero_grad(set_to_none=True)
        outputs = made.forward(inputs)
        loss = made.loss(outputs, targets)
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            break
        loss.backward()
        optimizer.step()
    score = _accuracy(outputs, targets)
    return {
        "first": losses[0],
        "last": losses[-1],
        "steps": len(losses),
        "accuracy": score,
        "falling": _falls(losses, steps),
    }


def _falls(losses: Sequence[float], steps: int) -> bool:
    """Tell whether a loss that is not learnt by heart yet fell through the last steps."""
    size = max(steps // 4, 1)
    now, before = losses[-size:], losses[-2 * size : -size]
    if not before or not math.isfinite(losses[-1]) or losses[-1] < HALF * losses[0]:
        return False
    return sum(now) / len(now) < FALLS * sum(before) / len(before)


def labels(made: Made, request: Mapping[str, Any]) -> dict[str, Any]:
    """Do inputs tell labels? Nearest neighbours, and short training on true and shuffled labels."""
    inputs, targets = items_of(made, made.train)
    if not is_classes(targets) or targets.dim() != 1:
        raise NotApplicableError("its targets are no classes, one an item")
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))
    inputs, targets = inputs[order], targets[order]
    half = len(targets) // 2
    state = {name: value.clone() for name, value in made.model.state_dict().items()}
    shuffled = targets[:half][
        torch.randperm(half, generator=torch.Generator().manual_seed(1)).to(targets.device)
    ]
    found = {}
    for name, labels_of in (("true", targets[:half]), ("shuffled", shuffled)):
        made.model.load_state_dict(state)
        _fit(made, inputs[:half], labels_of, int(request["steps"]))
        found[name] = _held_out(made, inputs[half:], targets[half:])
    classes = torch.bincount(targets)
    return {
        **found,
        "neighbours": _neighbours(inputs[:half], targets[:half], inputs[half:], targets[half:]),
        "chance": float((classes.double() / len(targets)).square().sum()),
        "majority": float(classes.max() / len(targets)),
        "items": len(targets) - half,
    }


def constant(made: Made, _request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a predictor that always says the same gets, from the training targets."""
    targets = torch.cat([flat(t) for _, t in some(made, made.train)])
    if is_classes(targets):
        counts = torch.bincount(targets[targets >= 0]).double()
        shares = counts[counts > 0] / counts.sum()
        loss = float(-(shares * shares.log()).sum())
        return {
            "kind": "classes",
            "classes": len(shares),
            "loss": loss,
            "accuracy": float(shares.max()),
        }
    values = targets.double()
    return {
        "kind": "values",
        "loss": float(values.var(unbiased=False)),
        "mean": float(values.mean()),
    }


def activations(made: Made, _request: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many units of each ReLU or its kin are 0 for every item of some batches."""
    made.model.train()
    alive: dict[str, Tensor] = {}
    with torch.no_grad(), watched(made.model, alive):
        for inputs, _ in some(made, made.train):
            made.forward(inputs)
    if not alive:
        raise NotApplicableError("the model calls no ReLU")
    layers = [
        {"name": name, "units": seen.numel(), "dead": int((~seen.bool()).sum())}
        for name, seen in alive.items()
    ]
    return {"layers": layers[:MAX_LISTED]}


def groups(made: Made, _request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the optimiser's parameter groups, and which of them decay norms and biases."""
    if made.optimizer is None:
        raise NotApplicableError("the set-up returned no `optimizer`")
    names = {id(parameter): name for name, parameter in made.model.named_parameters()}
    norms = {
        id(parameter)
        for module in made.model.modules()
        if isinstance(module, NORMS)
        for parameter in module.parameters(recurse=False)
    }
    found = []
    for group in made.optimizer.param_groups:
        decayed = [p for p in group["params"] if float(group.get("weight_decay", 0)) > 0]
        spared = [p for p in decayed if id(p) in norms or p.dim() <= 1]
        found.append(
            {
                "lr": float(group["lr"]),
                "weight_decay": float(group.get("weight_decay", 0)),
                "parameters": sum(p.numel() for p in group["params"]),
                "tensors": len(group["params"]),
                "decayed_norms_and_biases": [names.get(id(p), "?") for p in spared][:MAX_LISTED],
                "unknown": sum(id(p) not in names for p in group["params"]),
            }
        )
    return {"optimizer": type(made.optimizer).__name__, "groups": found}


def inputs(made: Made, _request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scale of what the model sees."""
    parts = [t for given, _ in some(made, made.train) for t in tensors_of(given)]
    floats = [part.detach().double().flatten() for part in parts if part.is_floating_point()]
    if not floats:
        raise NotApplicableError("its inputs are no floating-point tensors")
    values = torch.cat(floats)
    finite = values[values.isfinite()]
    if not len(finite):
        return {"broken": 1.0, "mean": None, "std": None, "low": None, "high": None}
    made.model.eval()
    with recorded(made.model) as called, torch.no_grad():
        made.forward(next(made.batches())[0])
    first = [module for _, module in called if not isinstance(module, PASSING)][:1]
    return {
        "normalised_by": type(first[0]).__name__ if first and isinstance(first[0], NORMS) else "",
        "broken": float((~values.isfinite()).double().mean()),
        "mean": float(finite.mean()),
        "std": float(finite.std(unbiased=False)),
        "low": float(finite.min()),
        "high": float(finite.max()),
    }


def overlap(made: Made, _request: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many held-out items are, byte for byte, among the training items."""
    if made.validation is None:
        raise NotApplicableError("the set-up returned no `validation`")
    training = set(digests(made, made.train))
    held = list(digests(made, made.validation))
    shared = sum(digest in training for digest in held)
    return {"training": len(training), "held_out": len(held), "shared": shared}


def _fit(made: Made, given: Tensor, targets: Tensor, steps: int) -> None:
    made.model.train()
    torch.manual_seed(0)
    optimizer = made.fresh_optimizer()
    size = min(64, len(targets))
    for step in range(steps):
        at = [(step * size + n) % len(targets) for n in range(size)]
        optimizer.zero_grad(set_to_none=True)
        made.loss(made.forward(given[at]), targets[at]).backward()
        optimizer.step()


def _held_out(made: Made, given: Tensor, targets: Tensor) -> float:
    made.model.eval()
    with torch.no_grad():
        logits = logits_of(made.forward(given))
    return float((logits.argmax(-1) == targets).double().mean())


def _neighbours(known: Tensor, known_targets: Tensor, given: Tensor, targets: Tensor) -> float:
    """Return how often the nearest training item has the held-out item's label."""
    first, second = known.flatten(1).float(), given.flatten(1).float()
    first, second = first.nan_to_num(), second.nan_to_num()
    nearest = torch.cdist(second, first).argmin(1)
    return float((known_targets[nearest] == targets).double().mean())


def _accuracy(outputs: Any, targets: Any) -> float | None:
    if not is_classes(targets):
        return None
    return float((logits_of(outputs).argmax(-1) == targets).double().mean())


def _quieten(model: nn.Module) -> None:
    """Train without dropout, which keeps a batch from being learnt by heart."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):  # noqa: SLF001  # the base of them all
            module.eval()


PROBES: Mapping[str, Callable[[Made, Mapping[str, Any]], dict[str, Any]]] = {
    "one-batch": one_batch,
    "gradients": gradients,
    "labels": labels,
    "constant": constant,
    "activations": activations,
    "groups": groups,
    "inputs": inputs,
    "overlap": overlap,
}

"""The gradient of each parameter, which parameters are frozen, and which layers run first and last.

A weight behind another that starts at zero has a gradient of exactly 0 at the first step and not
after it, so such a gradient is looked at again after a few steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from .order import recorded
from .setup import Made

MAX_LISTED = 200
AGAIN = 10
"""Steps after which a gradient of 0 is looked at again."""


def gradients(made: Made, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the gradient's and the weights' norm of each parameter after one backward pass.

    Where a gradient is exactly 0, the one after some steps instead; `after` counts them.
    """
    made.model.train()
    batch = next(made.batches())
    with recorded(made.model) as called:
        loss = made.loss(made.forward(batch[0]), batch[1])
    loss.backward()
    layers = _layers(made, called)
    found = {
        "first": _of(_owners(called)[:1], layers),
        "last": _of(_owners(called)[-1:], layers) or list(layers[-MAX_LISTED:][-4:]),
    }
    _look_again(made, batch, layers, min(AGAIN, int(request["steps"])))
    frozen = [x for x in layers if not (x["trainable"] and x["optimised"])]
    return {
        "loss": float(loss.detach()),
        "layers": layers[:MAX_LISTED],
        **found,
        "count": len(layers),
        "frozen": len(frozen),
        "frozen_parameters": sum(int(x["parameters"]) for x in frozen),
        "parameters": sum(int(x["parameters"]) for x in layers),
    }


def _layers(made: Made, called: Sequence[tuple[str, nn.Module]]) -> list[dict[str, Any]]:
    known = _optimised(made.optimizer)
    # A module that ran and got nothing was cut off; one that did not run is another matter.
    ran = {id(p) for _, module in called for p in module.parameters(recurse=False)}
    return [
        {
            "name": name,
            "gradient": _norm(parameter, ran=id(parameter) in ran),
            "weight": float(parameter.detach().norm()),
            "trainable": parameter.requires_grad,
            "optimised": known is None or id(parameter) in known,
            "parameters": parameter.numel(),
        }
        for name, parameter in made.model.named_parameters()
    ]


def _norm(parameter: nn.Parameter, *, ran: bool) -> float | None:
    if parameter.grad is None:
        return 0.0 if ran and parameter.requires_grad else None
    return float(parameter.grad.norm())


def _look_again(
    made: Made, batch: tuple[Any, Any], layers: Sequence[dict[str, Any]], steps: int
) -> None:
    """Put the gradient after some steps where it is 0; what no path leads to keeps its 0."""
    parameters = dict(made.model.named_parameters())
    zero = [x for x in layers if x["gradient"] == 0 and parameters[x["name"]].grad is not None]
    if not zero:
        return
    optimizer = made.fresh_optimizer()
    for _ in range(steps):
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss = made.loss(made.forward(batch[0]), batch[1])
        if not math.isfinite(float(loss.detach())):
            return
        loss.backward()
    for layer in zero:
        again = _norm(parameters[layer["name"]], ran=True)
        if again:
            layer |= {"gradient": again, "after": steps}


def _owners(called: Sequence[tuple[str, nn.Module]]) -> list[str]:
    """Return the modules that have parameters of their own, in the order they ran."""
    return [
        name for name, module in called if next(module.parameters(recurse=False), None) is not None
    ]


def _of(owners: Sequence[str], layers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the parameters of these modules, at most four."""
    return [x for x in layers if x["name"].rpartition(".")[0] in owners][-4:]


def _optimised(optimizer: torch.optim.Optimizer | None) -> set[int] | None:
    if optimizer is None:
        return None
    return {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}

"""Which units of activations ever let something through: modules by name, functions by number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

CLASSES = (nn.ReLU, nn.ReLU6, nn.Threshold, nn.GELU, nn.SiLU)
FUNCTIONS = frozenset(
    {
        *(functional.relu, functional.relu6, functional.gelu, functional.silu),
        *(torch.relu, torch.relu_, Tensor.relu, Tensor.relu_),
    }
)
NEXT_TO_NOTHING = 1e-6
"""A GELU far below 0 is no exact 0."""

PLANES = 3
"""Dimensions from which the second is that of channels; else the last is that of units."""


@contextmanager
def watched(model: nn.Module, alive: dict[str, Tensor]) -> Iterator[None]:
    """Fill `alive` with what each activation's units let through while the model is called."""
    modules = [(name, m) for name, m in model.named_modules() if isinstance(m, CLASSES)]
    with ExitStack() as stack:
        for name, module in modules:
            handle = module.register_forward_hook(_hook(name, alive))
            stack.callback(handle.remove)
        if not modules:
            calls = _Calls(alive)
            stack.callback(model.register_forward_pre_hook(calls.begin).remove)
            stack.enter_context(calls)
        yield


def _hook(name: str, alive: dict[str, Tensor]) -> Callable[..., None]:
    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        _note(name, output, alive)

    return hook


def _note(name: str, output: Tensor, alive: dict[str, Tensor]) -> None:
    axis = 1 if output.dim() >= PLANES else output.dim() - 1
    others = [number for number in range(output.dim()) if number != axis]
    through = output.abs() > NEXT_TO_NOTHING
    seen = through.amax(others) if others else through.flatten().any()
    alive[name] = alive[name] | seen if name in alive else seen


class _Calls(TorchFunctionMode):  # type: ignore[misc]  # torch is the user's
    """Sees activations that are called as functions, and numbers them from each forward pass."""

    def __init__(self, alive: dict[str, Tensor]) -> None:
        super().__init__()
        self.alive, self.number = alive, 0

    def begin(self, _module: nn.Module, _inputs: Any) -> None:
        """Begin to count anew: a model is called once for each batch."""
        self.number = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        output = func(*args, **(kwargs or {}))
        if func in FUNCTIONS and isinstance(output, Tensor):
            self.number += 1
            _note(f"{func.__name__} {self.number}", output, self.alive)
        return output

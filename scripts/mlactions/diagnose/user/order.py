"""In which order modules run: what a class defines last need not come last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def recorded(model: nn.Module) -> Iterator[list[tuple[str, nn.Module]]]:
    """Give a list that fills with the modules without children, by name, as they are called."""
    called: list[tuple[str, nn.Module]] = []
    handles = []
    for name, module in model.named_modules():
        if next(module.children(), None) is None:

            def note(it: nn.Module, _inputs: Any, _output: Any, name: str = name) -> None:
                called.append((name, it))

            handles.append(module.register_forward_hook(note))
    try:
        yield called
    finally:
        for handle in handles:
            handle.remove()

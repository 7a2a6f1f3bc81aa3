"""How a model is called: which input goes where, and what its outputs are called."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from .problems import BadInput


class Call:
    """The arguments of `forward` for inputs of certain names, in their final order."""

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        parameters = inspect.signature(model.forward).parameters
        self.by_name = bool(names) and set(names) <= _nameable(parameters)
        if self.by_name:
            # torch.export numbers keyword arguments in the signature's order.
            names = [name for name in parameters if name in names]
        self.names = tuple(names)
        self._positional = sum(p.kind in _POSITIONAL for p in parameters.values())

    def arguments(
        self, inputs: Mapping[str, Tensor]
    ) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        """Return args and kwargs."""
        if self.by_name:
            return (), {name: inputs[name] for name in self.names}
        return tuple(inputs[name] for name in self.names), {}

    def dynamic_shapes(self, shapes: Mapping[str, Any]) -> Any:
        """Return shapes as torch.export wants them: nested like the arguments of forward."""
        if self.by_name:
            return {name: shapes[name] for name in self.names}
        ordered = [shapes[name] for name in self.names]
        rest = ordered[self._positional :]  # these go into *args
        return (*ordered[: self._positional], *([tuple(rest)] if rest else []))

    def __call__(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> Any:
        """Run the model without gradients."""
        args, kwargs = self.arguments(inputs)
        with torch.inference_mode():
            return model(*args, **kwargs)


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _nameable(parameters: Mapping[str, inspect.Parameter]) -> set[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name for name, parameter in parameters.items() if parameter.kind in kinds}


def parameter_names(model: nn.Module) -> list[str]:
    """Return the names of forward's positional parameters."""
    parameters = inspect.signature(model.forward).parameters
    return [name for name, parameter in parameters.items() if parameter.kind in _POSITIONAL]


def flatten(result: Any, given: Sequence[str]) -> dict[str, Tensor]:
    """Return a model's outputs by name, in the order that the exporter gives them.

    `given` are the user's names. Without them a mapping's keys and a named tuple's fields name
    the outputs; a single tensor is `output`, those of a tuple are `output_0` and so on.
    """
    leaves = [
        (path, leaf) for path, leaf in pytree.tree_flatten_with_path(result)[0] if leaf is not None
    ]
    if not leaves:
        raise BadInput(
            "the model returns no tensors.",
            "Let `forward` return what it computed: a tensor, a tuple or a mapping of tensors.",
            title="no tensors",
        )
    for path, leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise BadInput(
                f"the model returns {type(leaf).__name__} as `{_name(path)}`, not a tensor.",
                "Let the model that is exported return tensors only.",
                title="not a tensor",
            )
        if leaf.dtype == torch.bfloat16 or leaf.is_complex():
            raise BadInput(
                f"the model returns `{_name(path)}` as {leaf.dtype}, which no array holds.",
                "Let the model that is exported return it as float32.",
                title="no such array",
            )
    names = list(given) or [_name(path) for path, _ in leaves]
    if len(names) != len(leaves):
        raise BadInput(
            f"`outputs` names {len(names)}, the model returns {len(leaves)}.",
            "Name every output once, in the order the model returns them.",
        )
    if len(set(names)) != len(names):
        raise BadInput("two outputs have the same name.", "Name them with `outputs`.")
    return {name: leaf for name, (_, leaf) in zip(names, leaves, strict=True)}


def _name(path: Sequence[Any]) -> str:
    parts = []
    for step in path:
        key = next((getattr(step, at) for at in ("key", "name", "idx") if hasattr(step, at)), "")
        parts.append(str(key))
    text = "_".join(parts)
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in text)
    return name if name[:1].isalpha() or name[:1] == "_" else f"output_{name}".rstrip("_")

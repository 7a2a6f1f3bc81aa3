"""From `package.module:factory` to a model in eval mode, and what it is made of."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .problems import BadInput, Sources, first_line

MAX_MODULES = 2000


def find(target: str, field: str, sources: Sources) -> Any:
    """Import the object that `package.module:name` names."""
    module_name, _, name = target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = str(error.name)
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise BadInput(
                f"`{field}` is `{target}`, and there is no module `{missing}` in {Path.cwd().name}/"
                " or among the installed packages.",
                "Write package.module:function as it is imported from the working directory.",
                title="no such module",
            ) from None
        raise BadInput(
            f"`{field}` is `{target}`, which imports `{missing}`: that is not installed.",
            "Install it for the Python that `python` names, or name another one.",
            title="missing package",
            place=sources.place_of_error(error),
        ) from error
    except (Exception, SystemExit) as error:
        did = "called" if isinstance(error, SystemExit) else "raised"
        raise BadInput(
            f"`{field}` is `{target}`, and importing it {did} {first_line(error)}.",
            title="import failed",
            place=sources.place_of_error(error),
        ) from error
    return _attribute(module, name, target, field)


def _attribute(module: Any, name: str, target: str, field: str) -> Any:
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            names = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
            near = difflib.get_close_matches(part, names, n=1)
            known = f"Did you mean `{near[0]}`?" if near else f"It has: {', '.join(names[:12])}."
            raise BadInput(
                f"`{field}` is `{target}`, and `{module.__name__}` has no `{part}`.",
                known if names else "Write the function's name behind the colon.",
                title="no such factory" if field == "model" else "no such function",
            )
        found = getattr(found, part)
    return found


def build(target: str, arguments: Mapping[str, Any], sources: Sources) -> nn.Module:
    """Call the factory and return its model on the CPU; anything but a module is refused."""
    factory: Callable[..., Any] = find(target, "model", sources)
    torch.manual_seed(0)
    if isinstance(factory, nn.Module) and not arguments:
        model: Any = factory
    else:
        try:
            model = factory(**arguments)
        except (Exception, SystemExit) as error:
            raise _not_built(target, error, sources) from error
    if not isinstance(model, nn.Module):
        raise BadInput(
            f"`{target}` returned {type(model).__name__}, not a torch.nn.Module.",
            "Let the factory return the model itself.",
            title="not a model",
        )
    sources.name_modules(model)
    return model.cpu()


def _not_built(target: str, error: BaseException, sources: Sources) -> BadInput:
    """Return what is wrong with a factory that raised, or that ended Python as a script does."""
    left = isinstance(error, SystemExit)
    hint = (
        "Let the factory return the model, and keep what a script does out of it."
        if left
        else "Call it in that Python with the same `model-arguments`, and mend what it says."
    )
    return BadInput(
        f"`{target}` {'called' if left else 'raised'} {first_line(error)}.",
        hint,
        title="the factory ended Python" if left else "the factory raised",
        place=sources.place_of_error(error),
    )


def force_eval(model: nn.Module) -> list[str]:
    """Put a model into eval mode; return the paths of the modules that were in training mode.

    Only those whose mode matters are named: a container does the same in both.
    """
    training = [
        name or type(module).__name__
        for name, module in model.named_modules()
        if module.training and _minds_mode(module)
    ]
    model.eval()
    for module in model.modules():
        module.training = False  # also where a class overrides train()
    return training[:MAX_MODULES]


def _minds_mode(module: nn.Module) -> bool:
    kinds = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase)  # noqa: SLF001  # the bases of all
    return isinstance(module, (*kinds, nn.MultiheadAttention, nn.RNNBase)) and (
        not isinstance(module, nn.MultiheadAttention | nn.RNNBase) or bool(module.dropout)
    )


def describe(
    model: nn.Module, target: str, training: list[str], sources: Sources
) -> dict[str, Any]:
    """Return the model's part of export.json."""
    parameters = list(model.parameters())
    tensors = [*parameters, *model.buffers()]
    tree = [
        {
            "name": name,
            "class": type(module).__qualname__,
            "parameters": sum(p.numel() for p in module.parameters()),
            **_place(type(module), sources),
        }
        for name, module in list(model.named_modules())[:MAX_MODULES]
    ]
    return {
        "factory": target,
        "class": type(model).__qualname__,
        "parameters": sum(p.numel() for p in parameters),
        "parameter_bytes": sum(t.numel() * t.element_size() for t in tensors),
        "training_modules": training,
        "tree": tree,
    }


def _place(kind: type, sources: Sources) -> dict[str, Any]:
    try:
        file = sources.relative(inspect.getfile(kind))
        line = inspect.getsourcelines(kind)[1] if file else None
    except (OSError, TypeError):
        file = line = None
    return {"file": file, "line": line}

"""From a checkpoint file to a model's weights. Nothing in the file is run unless it is allowed."""

from __future__ import annotations

import hashlib
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .problems import BadInput, first_line

SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
KEYS = ("state_dict", "model_state_dict", "model", "weights")
PREFIXES = ("module.", "_orig_mod.", "model.")
SHOWN_KEYS = 8

_REFUSED = re.compile(r"GLOBAL ([\w.]+)")

_PICKLE_RISK = (
    "Reading it can run any program that the file holds, as you, on this machine. Save"
    " `model.state_dict()` with torch.save, or as safetensors; or, if you trust where the file"
    " comes from as you trust code, set `allow-pickle: true`."
)


class Loaded:
    """A checkpoint's weights, and how they were read."""

    def __init__(self, weights: Mapping[str, Tensor], key: str, kind: str, digest: str) -> None:
        self.weights, self.key, self.format, self.sha256 = weights, key, kind, digest


def read(path: Path, source: str, *, key: str, allow_pickle: bool) -> Loaded:
    """Read the state dict of a file; `source` is what the user calls it."""
    if not path.is_file():
        raise BadInput(
            f"`checkpoint` is `{source}`: there is no such file.",
            "Write its path from the folder that the command is started in.",
            title="no checkpoint",
        )
    with path.open("rb") as stream:
        digest = _digest(stream)
    if path.suffix == ".safetensors":
        content, kind = _safetensors(path, source), "safetensors"
    else:
        content, kind = _torch(path, source, allow_pickle=allow_pickle)
    weights, found = _state_dict(content, source, key)
    return Loaded(weights, found, kind, digest)


def _digest(stream: Any) -> str:
    """Return the SHA-256 of a stream; hashlib.file_digest is Python 3.11's."""
    hashed = hashlib.sha256()
    while block := stream.read(1 << 20):
        hashed.update(block)
    return hashed.hexdigest()


def _safetensors(path: Path, source: str) -> Any:
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise BadInput(
            f"`checkpoint` is `{source}`, and the package safetensors is not installed.",
            "Install it for the Python that `python` names.",
            title="missing package",
        ) from None
    try:
        return load_file(path)
    except Exception as error:
        raise _not_one(source, first_line(error)) from error


def _torch(path: Path, source: str, *, allow_pickle: bool) -> tuple[Any, str]:
    with path.open("rb") as stream:
        start = stream.read(64)
    if start.startswith(b"version https://git-lfs"):
        raise BadInput(
            f"`checkpoint` is `{source}`: that is a pointer of Git LFS, not the file itself.",
            "Check out with `lfs: true`, or run `git lfs pull`.",
            title="not a checkpoint",
        )
    if not (zipfile.is_zipfile(path) or start[:1] == b"\x80"):
        raise _not_one(source, "it starts like neither a zip nor a pickle, as torch.save writes")
    try:
        mapped = zipfile.is_zipfile(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped), "torch"
    except (pickle.UnpicklingError, RuntimeError) as error:
        if "weights_only" not in str(error) and "Weights only" not in str(error):
            raise _not_one(source, first_line(error)) from error
        if not allow_pickle:
            raise BadInput(
                f"`checkpoint` is `{source}`, which holds more than tensors: {_what(error)}.",
                _PICKLE_RISK,
                title="a pickle that may run code",
            ) from error
    except Exception as error:
        raise _not_one(source, first_line(error)) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=False), "pickle"
    except Exception as error:
        raise _not_one(source, first_line(error)) from error


def _what(error: BaseException) -> str:
    """Return the name that torch's loader refused, without its advice on how to allow it."""
    text = str(error)
    if refused := _REFUSED.search(text):
        return f"it is made with `{refused[1].rstrip('.')}`"
    for line in text.splitlines():
        if "GLOBAL" in line or "Unsupported" in line or "TorchScript" in line:
            return " ".join(line.split())[:200].rstrip(".")
    return "torch.load(weights_only=True) refuses it"


def _not_one(source: str, why: str) -> BadInput:
    return BadInput(
        f"`checkpoint` is `{source}`, which cannot be read: {why}.",
        "Name a file that torch.save or safetensors wrote.",
        title="not a checkpoint",
    )


def _state_dict(content: Any, source: str, key: str) -> tuple[Mapping[str, Tensor], str]:
    """Return the tensors in a file's content, and the dotted key they were found under."""
    if isinstance(content, nn.Module):
        return content.state_dict(), ""
    if key:
        found = content
        for part in key.split("."):
            if not isinstance(found, Mapping) or part not in found:
                raise BadInput(
                    f"`checkpoint-key` is `{key}`, and `{source}` has no `{part}`.",
                    f"It has: {_keys(found)}.",
                    title="no such key",
                )
            found = found[part]
        if isinstance(found, nn.Module):
            found = found.state_dict()
        if _all_tensors(found):
            return found, key
        raise BadInput(
            f"`checkpoint-key` is `{key}`, and in `{source}` that is not a state dict.",
            "Name the mapping of tensors.",
            title="no weights",
        )
    if _all_tensors(content):
        return content, ""
    named = [name for name in KEYS if isinstance(content, Mapping) and name in content]
    for name in named:
        if _all_tensors(content[name]):
            return content[name], name
    raise BadInput(
        f"`{source}` holds no state dict under {', '.join(KEYS)}.",
        f"Name it with `checkpoint-key`. The file has: {_keys(content)}.",
        title="no weights",
    )


def _all_tensors(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(tensor, Tensor) for tensor in value.values())
    )


def _keys(value: Any) -> str:
    if not isinstance(value, Mapping):
        return f"a {type(value).__name__}"
    return _some([str(key) for key in value])


def _some(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:SHOWN_KEYS])
    more = len(names) - SHOWN_KEYS
    return f"{shown} and {more} more" if more > 0 else shown


def apply(model: nn.Module, loaded: Loaded, source: str) -> str:
    """Load weights into a model; return a note where a wrapper's prefix was dropped.

    Every key has to be there, none may be left over, every shape has to fit.
    """
    wanted = model.state_dict()
    weights, note = _without_prefix(loaded.weights, set(wanted))
    missing = [name for name in wanted if name not in weights]
    unexpected = [name for name in weights if name not in wanted]
    if missing or unexpected:
        parts = [
            f"{len(names)} {what}: {_some(names)}"
            for what, names in (("missing", missing), ("unexpected", unexpected))
            if names
        ]
        raise BadInput(
            f"`{source}` does not fit the model. Keys {'; '.join(parts)}.",
            "Build the model with the `model-arguments` it was trained with, or name another"
            " `checkpoint` or `checkpoint-key`.",
            title="checkpoint of another model",
        )
    odd = [
        f"`{name}` is {list(weights[name].shape)}, the model has {list(tensor.shape)}"
        for name, tensor in wanted.items()
        if weights[name].shape != tensor.shape
    ]
    if odd:
        more = f"; and {len(odd) - SHOWN_KEYS} more" if len(odd) > SHOWN_KEYS else ""
        raise BadInput(
            f"`{source}` does not fit the model: {'; '.join(odd[:SHOWN_KEYS])}{more}.",
            "Build the model with the `model-arguments` it was trained with.",
            title="checkpoint of another shape",
        )
    model.load_state_dict(weights)
    return note


def _without_prefix(
    weights: Mapping[str, Tensor], wanted: set[str]
) -> tuple[Mapping[str, Tensor], str]:
    """Drop what DistributedDataParallel, torch.compile or Lightning put before every name.

    Only where all names fit afterwards, so that nothing is guessed.
    """
    dropped, names = "", dict(weights)
    while names.keys() != wanted:
        prefix = next((p for p in PREFIXES if all(n.startswith(p) for n in names)), None)
        if prefix is None:
            return weights, ""
        dropped += prefix
        names = {name[len(prefix) :]: tensor for name, tensor in names.items()}
    return names, f"The prefix `{dropped}` of the checkpoint's keys was dropped." if dropped else ""

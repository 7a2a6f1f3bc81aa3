"""Print the SHA-256 of every tensor in the files of a folder, as JSON. Runs in the user's Python.

Checkpoints are read with `weights_only=True`: nothing in them is run.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".npz", ".npy")


def main() -> None:
    """Read the folder that the first argument names."""
    root = Path(sys.argv[1])
    found: dict[str, dict[str, str]] = {}
    unread: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix not in SUFFIXES or path.is_symlink() or not path.is_file():
            continue
        name = path.relative_to(root).as_posix()
        try:
            found[name] = {key: digest(value) for key, value in tensors(path)}
        except Exception as error:  # noqa: BLE001  # a user's file may break in any way
            unread[name] = f"{type(error).__name__}: {error}"[:300]
    json.dump({"files": found, "unread": unread}, sys.stdout)


def tensors(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield what a file holds, by name."""
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(str(path), framework="pt") as stream:
            yield from ((key, stream.get_tensor(key)) for key in sorted(stream.keys()))
    elif path.suffix in {".npz", ".npy"}:
        import numpy as np

        loaded = np.load(path, allow_pickle=False)
        yield from (
            ((key, loaded[key]) for key in loaded) if path.suffix == ".npz" else [("array", loaded)]
        )
    else:
        import torch

        yield from flatten(torch.load(path, map_location="cpu", weights_only=True), "")


def flatten(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the tensors of nested dicts and lists; other values count by their text."""
    if isinstance(value, Mapping):
        for key in value:
            yield from flatten(value[key], f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from flatten(item, f"{name}[{position}]")
    else:
        yield name, value


def digest(value: Any) -> str:
    """Return the SHA-256 of a tensor's type, shape and bytes."""
    if hasattr(value, "untyped_storage"):
        value = value.detach().cpu().clone(memory_format=_contiguous())
        about, data = f"{value.dtype} {tuple(value.shape)}", bytes(value.untyped_storage())
    elif hasattr(value, "tobytes"):
        about, data = f"{value.dtype} {value.shape}", value.tobytes()
    else:
        about, data = type(value).__name__, repr(value).encode()
    return hashlib.sha256(about.encode() + b"\0" + data).hexdigest()


def _contiguous() -> Any:
    import torch

    return torch.contiguous_format


if __name__ == "__main__":
    main()

"""What loading a file of weights can do, by its name. Pure: only formats known as data are data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Loading = Literal["data", "pickle", "code", "unknown"]

_DATA = (".gguf", ".onnx", ".safetensors")
_PICKLES = (
    *(".bin", ".ckpt", ".dill", ".joblib", ".nemo", ".pdparams", ".pickle", ".pkl"),
    *(".pt", ".pt2", ".pth", ".sav", ".t7"),
)
"""Files that Python's pickle or its like reads, or archives of such: they run what they say."""

_CODE = (".engine", ".h5", ".hdf5", ".keras", ".llamafile", ".pb", ".plan", ".so")
"""Graphs and layers that may hold functions of their own, and compiled code."""

_UNKNOWN = (
    *(".caffemodel", ".distcp", ".mar", ".mlmodel", ".msgpack", ".npy", ".npz", ".ot", ".params"),
    *(".pdiparams", ".pdmodel", ".pte", ".tar", ".tflite", ".tgz", ".zip"),
)
_PACKED = (".bz2", ".gz", ".lz4", ".xz", ".zst")
_NOT_PICKLED = ("openvino", "spiece", "tokenizer", "vocab")
_BESIDE = ("optimizer", "rng_state", "scaler", "scheduler", "training_args")
_READ = (
    *(".arrow", ".csv", ".h5", ".hdf5", ".json", ".jsonl", ".ndjson", ".parquet", ".tar", ".tsv"),
    *(".txt", ".xml", ".zip", ".avi", ".bmp", ".flac", ".gif", ".jpeg", ".jpg", ".m4a", ".mkv"),
    *(".mov", ".mp3", ".mp4", ".ogg", ".opus", ".pdf", ".png", ".tif", ".tiff", ".wav", ".webm"),
    ".webp",
)
"""Files that load_dataset reads: https://huggingface.co/docs/hub/datasets-adding."""

ROOT_ONLY = ("timm", "transformers")
"""Libraries that load weights of the top folder alone."""


def loading(path: str) -> Loading | None:
    """Return what loading a file can do; None for what does not look like weights.

    Data is spelled as loaders look for it: other letters are another file to them.
    """
    name = path.rpartition("/")[2]
    if name.endswith(_DATA):
        return "data"
    plain = _unpacked(name)
    if plain.endswith(".bin") and plain.startswith(_NOT_PICKLED):
        return None
    if plain.endswith(_PICKLES):
        return "pickle"
    if plain.endswith(_CODE):
        return "code"
    return "unknown" if plain.endswith((*_UNKNOWN, *_DATA)) else None


def readable(path: str) -> bool:
    """Return whether load_dataset knows a file of data by its name."""
    return _unpacked(path.rpartition("/")[2]).endswith(_READ)


def _unpacked(name: str) -> str:
    """Return a name in small letters, without the ends that packing adds."""
    plain = name.lower()
    while plain.endswith(_PACKED):
        plain = plain.rpartition(".")[0]
    return plain


def beside(path: str) -> bool:
    """Return whether a file belongs to the training and not to the model."""
    return path.rpartition("/")[2].lower().startswith(_BESIDE)


def alone(paths: Iterable[str], library: str) -> tuple[str, ...]:
    """Return the weights that can run code and have no data format in their folder."""
    kinds = {path: loading(path) for path in paths if not beside(path)}
    if library in ROOT_ONLY:
        kinds = {path: kind for path, kind in kinds.items() if "/" not in path}
    safe = {_folder(path) for path, kind in kinds.items() if kind == "data"}
    risky = (path for path, kind in kinds.items() if kind in ("pickle", "code"))
    return tuple(sorted(path for path in risky if _folder(path) not in safe))


def _folder(path: str) -> str:
    return path.rpartition("/")[0]

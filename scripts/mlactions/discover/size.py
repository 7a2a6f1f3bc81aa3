"""How many parameters a model has, where the headers of its weights prove it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mlactions.discover.model import is_repository

_MAX = 1 << 62
_INTEGERS = ("I8", "I16", "I32", "U8", "U16", "U32")
_SHARE = 20
"""Integers that are one part in so many of a model are no buffers: they hold packed weights."""

_QUANTISED = ("4-bit", "8-bit", "aqlm", "awq", "bitsandbytes", "compressed-tensors", "gptq", "hqq")
_BASE = "base_model:adapter:"
_PART = re.compile(r"-\d{5}-of-\d{5}$")
_PACKING = re.compile(
    r"[._-](?:ud[._-])?(?:i?q\d\w*|t?q\d\w*|bf16|f16|f32|fp16|fp32|fp8|mxfp4\w*)(?=$|[._-])"
)
_ADAPTER = "adapter_config.json"
_WIDEST = 4
"""Bytes that a parameter takes at most in a GGUF file, which also holds some megabytes of words."""

_WORDS = 64 * 1024 * 1024


def count_parameters(
    raw: Mapping[str, Any], library: str, tags: Sequence[str], paths: Sequence[str]
) -> tuple[int | None, str, str]:
    """Return how many there are, the format that says so, and why what it says does not count."""
    adapter = _adapter(library, tags, paths)
    if adapter:
        return None, "", adapter
    if _packed(raw, tags):
        text = "its weights are packed (quantised), so the headers do not say how many there are"
        return None, "", text
    for source in ("safetensors", "gguf"):
        total = _count(_mapping(raw.get(source)).get("total"))
        why = _uncounted(raw, paths, total) if total and source == "gguf" else ""
        if total:
            return (None, "", why) if why else (total, source, "")
    return None, "", ""


def _uncounted(raw: Mapping[str, Any], paths: Sequence[str], total: int) -> str:
    """Return why the parameters of a GGUF file, which the Hub counts, are not those of the model.

    Names alone prove no size: no file may hold more than so many parameters can fill.
    """
    if any(path.endswith(".safetensors") for path in paths):
        return "the Hub has counted its GGUF file, not its safetensors"
    listed = map(_mapping, raw.get("siblings") or ())
    sizes = [_count(item.get("size")) for item in listed if _is_gguf(item.get("path"))]
    if len(_gguf_models(paths)) > 1 or max(sizes, default=0) > _WIDEST * total + _WORDS:
        return "it has GGUF files of several models, and the Hub counts the parameters of one"
    return ""


def _is_gguf(path: Any) -> bool:
    return isinstance(path, str) and path.lower().endswith(".gguf")


def _gguf_models(paths: Sequence[str]) -> frozenset[str]:
    """Return the models that GGUF files hold: its parts, and packed ones, are one model."""
    names = (path.rpartition("/")[2] for path in paths if _is_gguf(path))
    plain = (_PART.sub("", name.rpartition(".")[0].lower()) for name in names)
    return frozenset(_PACKING.sub("", name) for name in plain)


def has_headers(raw: Mapping[str, Any]) -> bool:
    """Return whether the Hub has read the headers of safetensors files."""
    return _count(_mapping(raw.get("safetensors")).get("total")) > 0


def _adapter(library: str, tags: Sequence[str], paths: Sequence[str]) -> str:
    bases = [tag.removeprefix(_BASE) for tag in tags if tag.startswith(_BASE)]
    if not bases and library != "peft" and _ADAPTER not in paths:
        return ""
    name = next((f" `{base}`" for base in bases if is_repository(base)), "")
    return f"it is an adapter: its weights come on top of those of its base model{name}"


def _packed(raw: Mapping[str, Any], tags: Sequence[str]) -> bool:
    """Return whether several parameters may share one element of the weights."""
    about, config = _mapping(raw.get("safetensors")), _mapping(raw.get("config"))
    counts = _mapping(about.get("parameters"))
    integers = sum(_count(counts.get(name)) for name in _INTEGERS)
    declared = bool(config.get("quantization_config") or config.get("quantization"))
    declared = declared or any(tag.lower() in _QUANTISED for tag in tags)
    if not counts:
        return declared and _count(about.get("total")) > 0
    return integers > 0 and (declared or integers * _SHARE >= sum(map(_count, counts.values())))


def _count(value: Any) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value < _MAX else 0


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

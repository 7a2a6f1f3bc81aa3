"""A model name for each config, safe as a file name and unlike all others."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from mlactions.evaluate.records import Config

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_NAME = 100


def name_models(paths: Iterable[str]) -> tuple[Config, ...]:
    """Name each config's model: its stem; where two are equal, its path with dots for slashes.

    Characters that no file name should hold become dashes. What is still equal gets a hash.
    """
    paths = sorted(set(paths))
    names = {path: _safe(PurePosixPath(path).stem) for path in paths}
    for longer in (_dotted, _hashed):
        names |= {path: longer(path) for path in _clashing(names)}
    return tuple(Config(path, PurePosixPath(path).stem, names[path]) for path in paths)


def _clashing(names: dict[str, str]) -> list[str]:
    # Case counts for nothing: some file systems hold `ViT` and `vit` to be one name.
    counts = Counter(name.casefold() for name in names.values())
    return [path for path, name in names.items() if counts[name.casefold()] > 1 or not name]


def _safe(text: str) -> str:
    return _UNSAFE.sub("-", text).lstrip("-._")[:_MAX_NAME]


def _dotted(path: str) -> str:
    return _safe(str(PurePosixPath(path).with_suffix("")).replace("/", "."))


def _hashed(path: str) -> str:
    digest = hashlib.sha256(path.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{_dotted(path) or 'config'}-{digest}"

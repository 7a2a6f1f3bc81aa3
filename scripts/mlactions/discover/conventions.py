"""What the repository at hand uses already, read from the files that declare it."""

from __future__ import annotations

import re
from pathlib import Path

from mlactions.discover.model import Conventions

MAX_BYTES = 1024 * 1024
_DECLARED = ("pyproject.toml", "requirements.txt", "setup.cfg", "environment.yml", "uv.lock")
_NAMES = (
    "datasets",
    "diffusers",
    "huggingface-hub",
    "hydra-core",
    "safetensors",
    "sentence-transformers",
    "timm",
    "torch",
    "transformers",
)


def read_conventions(folder: Path) -> Conventions:
    """Return which packages a project names, as far as they matter here; no file is an error."""
    texts = [_text(folder / name) for name in _DECLARED]
    texts += [_text(path) for path in sorted(folder.glob("requirements*/*.txt"))[:10]]
    return conventions("\n".join(texts))


def conventions(text: str) -> Conventions:
    """Return what declarations say; any mention of a package's name counts."""
    plain = text.lower().replace("_", "-")
    found = {name for name in _NAMES if re.search(rf"(?<![\w-]){name}(?![\w-])", plain)}
    return Conventions(frozenset(found), hydra="hydra-core" in found)


def _text(path: Path) -> str:
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

"""Which files a Hydra config is composed of, read from its defaults lists without running Hydra."""

from __future__ import annotations

import hashlib
from pathlib import Path


def config_hash(folder: Path, config: str) -> str | None:
    """Return the hash of a composed config: every file it is made of, in one spelling."""
    path = folder / config
    if not path.is_file():
        return None
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"

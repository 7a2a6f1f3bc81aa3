"""What a target consists of, before anything is written: texts, and where the model goes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources


@dataclass(frozen=True)
class Target:
    """Files of one serving target, relative to its folder.

    `texts` are contents by path; `models` are places by the model file's name.
    """

    name: str
    texts: Mapping[str, str]
    models: Mapping[str, str] = field(default_factory=dict)


def server_sources(names: tuple[str, ...] | None = None) -> dict[str, str]:
    """Return the modules of the server that is shipped, by path; all of them by default."""
    folder = resources.files("mlactions.export.serving") / "model_server"
    found = {
        item.name: item.read_text(encoding="utf-8")
        for item in folder.iterdir()
        if item.name.endswith(".py") and (names is None or item.name in names)
    }
    return {f"model_server/{name}": text for name, text in sorted(found.items())}


def requirements(target: str) -> str:
    """Return the locked requirements of a target, with hashes."""
    folder = resources.files("mlactions.export.serving") / "requirements"
    return (folder / f"{target}.txt").read_text(encoding="utf-8")


def dockerfile(text: str) -> str:
    """Return a Dockerfile without the empty lines that absent parts leave."""
    return re.sub(r"\n{3,}", "\n\n", text.strip()) + "\n"

"""From objects of huggingface_hub to plain data, and what its scanner says of files. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from mlactions.discover.model import Entry

_RESULTS = ("safe", "suspicious", "unsafe")
"""What a scan that is done can come to."""


def scanned(entry: Entry, paths: Sequence[str], found: Iterable[Any]) -> Entry:
    """Return an entry with what the scanner says of these files; what it does not say is open."""
    said = {
        str(item.path): str((getattr(item, "security", None) or {}).get("status")) for item in found
    }
    return replace(
        entry,
        unsafe=tuple(path for path in paths if said.get(path) == "unsafe"),
        suspicious=tuple(path for path in paths if said.get(path) == "suspicious"),
        unscanned=any(said.get(path) not in _RESULTS for path in paths),
    )


def plain(info: Any) -> dict[str, Any]:
    """Return the library's object as plain data; what it does not have is left out."""
    card = getattr(info, "card_data", None)
    files = getattr(info, "siblings", None) or ()
    modified, safetensors = info.last_modified, getattr(info, "safetensors", None)
    about = getattr(info, "transformers_info", None)
    names = ("id", "sha", "gated", "disabled", "tags", "downloads", "likes", "author", "citation")
    more = ("pipeline_tag", "library_name", "gguf", "model_index", "config")
    return {
        **{name: getattr(info, name, None) for name in (*names, *more)},
        "card": dict(vars(card)) if hasattr(card, "__dict__") else card,
        "siblings": [{"path": file.rfilename, "size": file.size} for file in files],
        "modified": modified.date().isoformat() if modified else "",
        "safetensors": dict(vars(safetensors)) if safetensors else None,
        "transformers_info": dict(vars(about)) if about else None,
        "security": getattr(info, "security_repo_status", None),
    }

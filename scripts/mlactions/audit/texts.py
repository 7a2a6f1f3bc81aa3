"""Texts of other people in our documents: encodable, and no longer than a schema allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_TEXT = 2_000


def clean(value: Any) -> Any:
    """Return a document whose texts are UTF-8 and short; names of files may be neither."""
    if isinstance(value, str):
        return shortened(value.encode("utf-8", "backslashreplace").decode(), MAX_TEXT)
    if isinstance(value, Mapping):
        return {clean(key): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return value


def shortened(text: str, limit: int) -> str:
    """Return a text of at most `limit` characters, with a mark where it was cut."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"

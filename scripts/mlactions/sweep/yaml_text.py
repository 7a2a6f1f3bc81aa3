"""Values as YAML that every reader takes for the same: OmegaConf's loader is one of YAML 1.1."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Words that YAML 1.1 takes for truth values, also as keys.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_UNSAFE = re.compile("[^\n\x20-\x7e]")


def scalar(value: Any) -> str:
    """Return a value on one line: text always in quotes, collections in flow style."""
    if isinstance(value, str):
        return text(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, Mapping):
        return (
            "{"
            + ", ".join(f"{key(str(name))}: {scalar(item)}" for name, item in value.items())
            + "}"
        )
    return "[" + ", ".join(map(scalar, value)) + "]"


def text(value: str) -> str:
    """Return text in double quotes; whatever cannot be seen is escaped."""
    return _UNSAFE.sub(_escaped, json.dumps(value, ensure_ascii=False))


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    # Line ends of YAML 1.1, marks and the like would be folded, or refused.
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"  # noqa: PLR2004  # the planes


def key(name: str) -> str:
    """Return a mapping's key, in quotes where it could be taken for something else."""
    return name if _PLAIN_KEY.fullmatch(name) and name.lower() not in _WORDS else text(name)


def _float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    digits = repr(value)
    if "e" in digits and "." not in digits:
        return digits.replace("e", ".0e")  # YAML 1.1 knows no number without a dot there
    return digits

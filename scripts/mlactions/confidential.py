"""Settings that hold secrets, told by their names: their values are neither kept nor shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlactions.values import canonical_key, dotted, flatten, parse

HIDDEN = "(hidden)"

_SECRET = re.compile(
    r"(?:password|passwd|passphrase|(?:^|[._-])\w*secret|credentials?"
    r"|(?:api|access|private|secret|signing|encryption)[._-]?key"
    r"|(?:^|[._-]|hf|hub|auth|access|api|bearer|refresh)token)$",
    re.IGNORECASE,
)
_ORDINARY = re.compile(
    r"(?:^|[._-])(?:pad|eos|bos|unk|mask|sep|cls|additional|special|image|audio|video|num|per"
    r"|first|last|max|next|start|end|stop|decoder_start)_token$",
    re.IGNORECASE,
)


def is_secret(name: str) -> bool:
    """Tell whether a setting of this name holds a secret; those of tokenizers are no secrets."""
    key = canonical_key(name)
    return bool(_SECRET.search(key)) and not _ORDINARY.search(key)


def masked(params: Mapping[str, str]) -> dict[str, str]:
    """Return logged parameters, hidden where their name, or one in their value, is a secret's."""
    return {name: HIDDEN if _holds_secret(name, text) else text for name, text in params.items()}


def _holds_secret(name: str, text: str) -> bool:
    if is_secret(name):
        return True
    value: Any = parse(text) if text[:1] in {"{", "["} else text
    return isinstance(value, dict | list) and any(
        is_secret(dotted(place)) for place, _ in flatten(value)
    )

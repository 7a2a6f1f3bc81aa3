"""When two configurations are the same: one hash, whatever the spelling.

`0.1`, `0.10` and `1e-1` are one number, as are 1 and 1.0; the order of keys does not count.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from mlactions.sweep.model import Space
from mlactions.values import flatten

PREFIX = "sha256:"


def canonical_value(value: Any) -> str:
    """Return a value's only spelling: JSON with sorted keys and the shortest digits."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, Mapping):
        pairs = sorted(
            (json.dumps(str(key), ensure_ascii=False), item) for key, item in value.items()
        )
        return "{" + ",".join(f"{key}:{canonical_value(item)}" for key, item in pairs) + "}"
    if isinstance(value, Iterable):
        return "[" + ",".join(map(canonical_value, value)) + "]"
    return json.dumps(str(value), ensure_ascii=False)


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    if math.isfinite(value) and value.is_integer() and abs(value) < 2**63:
        return str(int(value))
    return repr(value)


def fragment(key: str, value: Any) -> str:
    """Return a setting as it stands in what is hashed."""
    return f"{json.dumps(key, ensure_ascii=False)}:{canonical_value(value)}"


def config_hash(fragments: Iterable[str], base: str = "") -> str:
    """Return the hash of settings over a base; they have to be in the order of their keys.

    `base` is the fingerprint of the composed config that the settings change.
    """
    text = f"{base}{{{','.join(fragments)}}}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def fingerprint(document: Mapping[str, Any], without: Iterable[str] = ()) -> str:
    """Return the hash of a composed config, as it is written, without some dotted keys."""
    left = set(without)
    settings = {".".join(map(str, place)): value for place, value in flatten(document)}
    return config_hash(fragment(key, settings[key]) for key in sorted(settings) if key not in left)


def search_hash(space: Space) -> str:
    """Return the hash of what a space says of the search: not its limits, its command or its name.

    What is proposed for one search means nothing for another.
    """
    metric = (space.metric.name, space.metric.goal) if space.metric else None
    parts = [
        [(item.key, item.prefix, item.domain, item.when) for item in space.parameters],
        [rule.tests for rule in space.exclude],
        [space.method, space.seeds, space.seed_parameter, metric],
    ]
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()

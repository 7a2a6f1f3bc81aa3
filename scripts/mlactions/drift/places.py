"""Settings that say where or how a program runs, and not which model it is. Pure."""

from __future__ import annotations

import re

_NAMED = re.compile(
    r"(?:^|[._-])(?:\w*(?:dir|directory|folder|path|uri|url|root|host|hostname|port)"
    r"|(?:num|n)_?workers|workers|device|devices|log\w*|verbose|cache\w*|pin_memory|prefetch\w*"
    r"|tmp|output|outputs|checkpoints?|run_name|job_name|experiment_name)$",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://|(?:\.{0,2}|~)/\S|[A-Za-z]:\\", re.IGNORECASE)


def is_place(name: str, *values: str) -> bool:
    """Tell whether a setting is a place, an address or a matter of the machine.

    `values` are those that differ: paths and addresses tell themselves.
    """
    known = [value for value in values if value]
    return bool(_NAMED.search(name)) or (bool(known) and all(map(_ADDRESS.match, known)))

"""Whether two measurements may be compared at all: same data, same protocol, same machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlactions.compare.baseline import TIME_AND_MEMORY
from mlactions.compare.model import Rule

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

ALWAYS = ("data", "protocol")


def required(rule: Rule) -> tuple[str, ...]:
    """Return the provenance fields that must agree: the rule's own list, or the default."""
    if rule.comparable_on is not None:
        return rule.comparable_on
    return (*ALWAYS, "hardware") if rule.unit.lower() in TIME_AND_MEMORY else ALWAYS


def incomparable(
    rule: Rule, reference: Mapping[str, Any], measured: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield a reason code and an explanation for each field in which two sides differ.

    A field that the baseline does not record is only missed where the rule asks for it by name;
    one that it records must be reported by the candidate too.
    """
    for name in required(rule):
        first, second = reference.get(name), measured.get(name)
        if first is None:
            if rule.comparable_on is not None:
                yield f"{name}-unknown", f"the baseline records no `{name}`"
        elif second is None:
            yield f"{name}-unknown", f"the run reports no `{name}`, the baseline {_short(first)}"
        elif first != second:
            yield (
                f"{name}-differs",
                f"`{name}` is {_short(second)}, in the baseline {_short(first)}",
            )


def _short(value: Any) -> str:
    text = str(value)
    return f"`{text[:23]}…`" if _DIGEST.fullmatch(text) else f"`{text[:120]}`"

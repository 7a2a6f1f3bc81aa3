"""Whether two measurements may be compared at all: same data, same protocol, same machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlactions.compare.baseline import depends_on_machine
from mlactions.compare.model import Rule, Source

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_AGAIN = "measure the baseline again with `compare update`"

ALWAYS = ("data", "protocol")


@dataclass(frozen=True, slots=True)
class Incomparable:
    """One provenance field that stands in the way: a reason code, why, and what to do."""

    field: str
    reason: str
    why: str


def required(rule: Rule) -> tuple[str, ...]:
    """Return the provenance fields that must agree: the rule's own list, or the default."""
    if rule.comparable_on is not None:
        return rule.comparable_on
    return (*ALWAYS, "hardware") if depends_on_machine(rule.unit) else ALWAYS


def incomparable(
    rule: Rule, reference: Mapping[str, Any], measured: Mapping[str, Any], source: Source
) -> Iterator[Incomparable]:
    """Yield each field in which two sides differ.

    A field that the baseline does not record is only missed where the rule asks for it by name;
    one that it records must be reported by the candidate too.
    """
    for name in required(rule):
        first, second = reference.get(name), measured.get(name)
        if first is None:
            if rule.comparable_on is not None:
                yield Incomparable(name, f"{name}-unknown", _unrecorded(name, second, source))
        elif second is None:
            yield Incomparable(name, f"{name}-unknown", _unreported(name, first, source))
        elif first != second:
            why = f"{_differs(name, first, second, source)}. {_remedy(rule, name, source)}"
            yield Incomparable(name, f"{name}-differs", why)


def _differs(name: str, first: Any, second: Any, source: Source) -> str:
    side = "baseline" if source == "recorded" else "base"
    what = {
        "data": f"the data differs from the data the {side} was measured on",
        "protocol": "the evaluation command, or a file of `protocol-files`, differs from the one"
        f" the {side} was measured with",
        "hardware": f"the machine differs from the one the {side} was measured on",
    }.get(name, f"`{name}` differs from the one the {side} was measured with")
    if _DIGEST.fullmatch(str(first)) and _DIGEST.fullmatch(str(second)):
        return what  # the report's provenance table has the digests
    return f"{what} (`{name}` is {_short(second)}, was {_short(first)})"


def _remedy(rule: Rule, name: str, source: Source) -> str:
    """Return what to do about a field that differs: one sentence, the easiest way first."""
    again = [_AGAIN] if source == "recorded" else []
    rest = ", ".join(field for field in required(rule) if field != name)
    leave = f"leave `{name}` out with `comparable_on: [{rest}]`"
    ways = {
        "data": ["use the same data", *again],
        "protocol": ["use the same command", *again],
        "hardware": [
            "measure on the same machine type",
            *(["set `severity: warn`"] if rule.severity == "fail" else []),
            leave,
        ],
    }.get(name, [f"use the same `{name}`", *again, leave])
    text = f"{', '.join(ways[:-1])}, or {ways[-1]}" if len(ways) > 1 else ways[0]
    return text[0].upper() + text[1:]


def _unrecorded(name: str, measured: Any, source: Source) -> str:
    """Say that the side to compare with does not say what `comparable_on` asks for."""
    side = "the baseline records" if source == "recorded" else "the run at the base reports"
    known = f"{side} no `{name}`, which `comparable_on` asks for"
    if measured is None:
        return f"{known}, and neither does this run. {_report(name)}; `compare update` records it"
    return f"{known}. `compare update` records it"


def _unreported(name: str, first: Any, source: Source) -> str:
    side = "the baseline records" if source == "recorded" else "the run at the base reports"
    told = f"this run reports no `{name}`, and {side} {_short(first)}. {_report(name)}"
    if source == "recorded":
        return f"{told}, or let `compare update` record that there is none"
    return told


def _report(name: str) -> str:
    """Return how a run comes to report a field: the data is known to the user's script alone."""
    own = f"write `{name}` below `provenance` in the metrics file"
    if name == "data":
        return own[0].upper() + own[1:]
    return f"Measure with `evaluate`, or {own}"


def _short(value: Any) -> str:
    text = str(value)
    return f"`{text[:23]}…`" if _DIGEST.fullmatch(text) else f"`{text[:120]}`"

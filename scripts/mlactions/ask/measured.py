"""What was measured of a metric, and whether a printed number follows from it.

A number is verified if a measured value, a difference or a ratio of two values of one metric rounds
to it, in a unit that the metric has: 95 % is 0.95 of a fraction, 0.95 % is not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import isfinite
from typing import Any

from mlactions.ask.numbers import FOLD, PERCENT, POINT, Printed, printed

MAX_LEVELS = 24
"""Of more values of one metric no differences are taken: some would be near any number."""

_TIMES = {
    **dict.fromkeys(("ns",), 1e-9),
    **dict.fromkeys(("us", "µs"), 1e-6),
    **dict.fromkeys(("ms", "millisec", "milliseconds"), 1e-3),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
}
# People write MB for either; a KiB is only the one.
_BYTES: Mapping[str, tuple[float, ...]] = {
    **dict.fromkeys(("b", "byte", "bytes"), (1.0,)),
    **{f"{name}b": (1e3**step, 1024.0**step) for step, name in enumerate("kmgt", start=1)},
    **{f"{name}ib": (1024.0**step,) for step, name in enumerate("kmgt", start=1)},
}
_COUNTS = {"k": 1e3, "thousand": 1e3, "M": 1e6, "million": 1e6, "G": 1e9, "billion": 1e9}
_SHARES = {PERCENT: 0.01, "‰": 0.001}


@dataclass(frozen=True)
class Group:
    """Numbers of one metric, or of one fact. `levels` are what differences are taken between."""

    levels: tuple[float, ...] = ()
    others: tuple[float, ...] = ()
    unit: str = ""

    @property
    def sizes(self) -> Iterator[float]:
        """Every value and every difference of two levels, without signs."""
        yield from map(abs, (*self.levels, *self.others))
        if len(self.levels) <= MAX_LEVELS:
            yield from (abs(one - two) for one, two in combinations(self.levels, 2))

    @property
    def ratios(self) -> Iterator[float]:
        """Ratios and relative changes of two levels."""
        pairs = combinations(self.levels, 2) if len(self.levels) <= MAX_LEVELS else ()
        for low, high in pairs:
            for part, whole in ((low, high), (high, low)):
                if whole:
                    yield abs(part / whole)
                    yield abs((part - whole) / whole)

    @property
    def fraction(self) -> bool:
        """True if its values can be read as shares of one."""
        values = self.levels or self.others
        return not self.unit and bool(values) and all(abs(value) <= 1 for value in values)


@dataclass
class Measured:
    """Sorted sizes of what was measured, by what they may be printed as."""

    groups: Sequence[Group]
    _sizes: dict[str, list[float]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Sort what the groups hold."""
        found: dict[str, set[float]] = {}
        for group in self.groups:
            for kind, scale in _kinds(group):
                found.setdefault(kind, set()).update(size * scale for size in group.sizes)
            found.setdefault("ratio", set()).update(group.ratios)
        self._sizes = {kind: sorted(sizes) for kind, sizes in found.items()}

    def has(self, number: Printed) -> bool:
        """Tell whether something measured rounds to what was printed."""
        if not isfinite(number.size):
            return False
        return any(self._near(kind, number, scale) for kind, scale in _readings(number.unit))

    def _near(self, kind: str, number: Printed, scale: float) -> bool:
        sizes, size = self._sizes.get(kind, ()), number.size * scale
        slack = number.half * scale + 1e-9 * max(scale, size)
        place = bisect_left(sizes, size - slack)
        return place < len(sizes) and sizes[place] <= size + slack


def _kinds(group: Group) -> Iterator[tuple[str, float]]:
    """Yield what the numbers of a group may be printed as, and the factor to that unit."""
    yield "plain", 1.0
    unit = group.unit.lower()
    if group.fraction:
        yield "share", 1.0
    elif unit in {PERCENT, "percent", "pct"}:
        yield "share", 0.01
    elif group.unit in _TIMES:
        yield "seconds", _TIMES[group.unit]
    elif unit in _BYTES:
        yield from (("bytes", scale) for scale in _BYTES[unit])
    else:
        yield "count", 1.0


def _readings(unit: str) -> Iterator[tuple[str, float]]:
    """Yield which numbers one of this unit may stand for, and the factor to them."""
    if not unit:
        yield "plain", 1.0
    elif unit == POINT:
        yield "share", 0.01
    elif unit in _SHARES:
        yield "share", _SHARES[unit]
        yield "ratio", _SHARES[unit]
    elif unit in {"x", "×", FOLD}:
        yield "ratio", 1.0
    elif unit in _TIMES:
        yield "seconds", _TIMES[unit]
    elif unit in _COUNTS:
        yield "count", _COUNTS[unit]
    else:
        yield from (("bytes", scale) for scale in _BYTES.get(unit.lower(), ()))


def group_of(facts: Iterable[Mapping[str, Any]], more: Group | None = None) -> Group:
    """Return the numbers of facts about one metric, with those that were measured besides."""
    levels, others, unit = list(more.levels if more else ()), list(more.others if more else ()), ""
    for fact in facts:
        data = dict(fact.get("data") or {})
        sides = (data.pop("baseline", None), data.pop("candidate", None))
        levels += _leaves([fact.get("value"), *sides])
        others += _leaves(data)
        others += [number.size for number in printed(str(fact["text"])) if _bare(number, fact)]
        unit = unit or str(fact.get("unit") or "")
    return Group(tuple(levels), tuple(others), unit or (more.unit if more else ""))


def stated(fact: Mapping[str, Any]) -> Iterator[Group]:
    """Yield the numbers in a fact's text that have a unit of their own: "timed out after 600 s".

    Not the shares of a metric's fact: the 95 of "95 % bounds" is none of the metric's values.
    """
    for number in printed(str(fact["text"])):
        if number.unit and not _bare(number, fact) and not (number.share and fact.get("metric")):
            yield Group((), (number.size,), number.unit)


def _bare(number: Printed, fact: Mapping[str, Any]) -> bool:
    """Tell whether a number in a fact's text is in the fact's own unit: "95 % bounds" is not."""
    return number.unit in {"", str(fact.get("unit") or "")}


def _leaves(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def sentence_of(fact: Mapping[str, Any]) -> str:
    """Return a fact's text with its value, which some texts leave out."""
    text, value, unit = str(fact["text"]), fact.get("value"), str(fact.get("unit") or "")
    if isinstance(value, str | bool | None):
        return text
    measured = Measured([Group((float(value),), (), unit)])
    if any(measured.has(number) for number in printed(text)):
        return text
    shown = f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
    return f"{text.rstrip('.')}: {shown} {unit}".rstrip()


def words_of(fact: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts behind a fact, such as the end of a log: prose may quote from them."""
    yield from _words(fact.get("data") or {})


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from _words(item)

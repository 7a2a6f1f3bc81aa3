"""Numbers in prose, held against what was measured.

A printed number stands for an interval: half a unit of its last digit to each side. It is verified
if a measured value, a difference or a ratio of two values of one metric, or a number that stands in
a text Codex was given lies in it. Signs are left out: prose says "fell by 0.03".
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

MAX_GROUP = 48
SMALL = 10
"""Whole numbers up to this are counts and ordinals ("both seeds", "3x3"), not measurements."""

# What holds digits and is no number: file positions, versions, dates, names.
_NOT_NUMBERS = re.compile(
    r"""https?://\S+
      | [\w./-]+\.[A-Za-z]\w*(?::\d+)+          # train.py:42
      | \b(?:lines?|L)\s*\#?\d+(?:\s*(?:-|–|to|and|,)\s*\d+)*
      | \#\d+                                  # an issue
      | \d{4}-\d{2}-\d{2}(?:T[\d:.]+Z?)?
      | \b\d+(?:\.\d+){2,}\S*                   # 2.13.0
      | \b\d+(?:\s*[x×]\s*\d+)+\b               # 3x3
      | (?<![\w.])\d+-[A-Za-z]+                 # 5-fold
      | \b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{7,64}\b
      | (?<!\w)[A-Za-z_]\w*(?:-\w+(?!\.\d))*    # fp16, vit-base-224, an ordinary word
    """,
    re.VERBOSE,
)
_NUMBER = re.compile(
    r"(?<![\w.])[-+−]?(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?P<exponent>[eE][-+]?\d+)?(?![\d])"
)
_SUFFIX = re.compile(
    r"\s*(?P<unit>%|percent|pp\b|point|ms\b|s\b|sec|min|h\b|hour|[kKMG]i?B\b|[kMG]\b|[x×](?!\w)"
    r"|million|thousand)"
)
_SEED = re.compile(r"\bseeds?\s*[=:#]?\s*(\d+)", re.IGNORECASE)

# What a printed number must be multiplied by to be in the unit of the measurement.
_PERCENT = (0.01, 1.0)
_RELATIVE = ("%", "percent", "pp", "point", "x", "×")
_SCALES: Mapping[str, tuple[float, ...]] = {
    **dict.fromkeys(("%", "percent", "pp", "point"), _PERCENT),
    **dict.fromkeys(("s", "sec", "x", "×"), (1.0,)),
    "ms": (1.0, 1e-3),
    "min": (1.0, 60.0),
    **dict.fromkeys(("h", "hour"), (1.0, 3600.0)),
    **dict.fromkeys(("k", "thousand"), (1.0, 1e3)),
    **dict.fromkeys(("M", "million"), (1.0, 1e6)),
    "G": (1.0, 1e9),
    **dict.fromkeys(("kB", "KB", "KiB", "kiB"), (1.0, 1e3, 1024.0)),
    **dict.fromkeys(("MB", "MiB"), (1.0, 1e6, 1024.0**2)),
    **dict.fromkeys(("GB", "GiB"), (1.0, 1e9, 1024.0**3)),
}


@dataclass(frozen=True)
class Printed:
    """A number as it was written, its size, half a unit of its last digit, and its unit."""

    token: str
    size: float
    half: float
    unit: str

    @property
    def small(self) -> bool:
        """True for a count or an ordinal."""
        whole = self.token.lstrip("+-−").isdigit()
        return whole and self.size <= SMALL and self.unit not in _SCALES


class Measured:
    """Sorted sizes of everything that was measured, and of what follows from it."""

    def __init__(self, groups: Iterable[Sequence[float]], seeds: frozenset[int]) -> None:
        sizes, ratios = set[float](), set[float]()
        for group in groups:
            few = sorted(group)[:MAX_GROUP]
            sizes |= {abs(value) for value in group}
            sizes |= {high - low for low, high in combinations(few, 2)}
            ratios |= set(_ratios(few))
        self._sizes, self._ratios = sorted(sizes), sorted(ratios)
        self.seeds = seeds

    def has(self, number: Printed) -> bool:
        """Tell whether something measured rounds to what was printed."""
        scales = _SCALES.get(number.unit, (1.0,))
        if any(_within(self._sizes, number.size * s, number.half * s) for s in scales):
            return True
        # A plain number is no ratio: with enough measurements some ratio would be near any.
        share = scales[0]
        relative = number.unit in _RELATIVE
        return relative and _within(self._ratios, number.size * share, number.half * share)

    def any_of(self, text: str) -> bool:
        """Tell whether a text states at least one measured number."""
        return any(self.has(number) for number in printed(text))


def _within(sizes: Sequence[float], size: float, half: float) -> bool:
    slack = half + 1e-9 * max(1.0, size)
    place = bisect_left(sizes, size - slack)
    return place < len(sizes) and sizes[place] <= size + slack


def _ratios(values: Sequence[float]) -> Iterable[float]:
    """Ratios and relative changes of two values of one metric."""
    for low, high in combinations(values, 2):
        for part, whole in ((low, high), (high, low)):
            if whole:
                yield abs(part / whole)
                yield abs((part - whole) / whole)


def sentence_of(fact: Mapping[str, Any]) -> str:
    """Return a fact's text with its value, which some texts leave out."""
    text, value, unit = str(fact["text"]), fact.get("value"), str(fact.get("unit") or "")
    if isinstance(value, str | bool | None) or Measured([[value]], frozenset()).any_of(text):
        return text
    shown = f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
    return f"{text.rstrip('.')}: {shown} {unit}".rstrip()


def texts_in(facts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the words of facts, such as the end of a log: prose may quote numbers from them."""
    return [text for fact in facts for text in _words(fact.get("data") or {})]


def _words(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    for item in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from _words(item)


def groups_of(facts: Iterable[Mapping[str, Any]]) -> list[list[float]]:
    """Return the numbers of facts, those of one model's metric together."""
    groups: dict[tuple[str, str], list[float]] = {}
    for fact in facts:
        key = (str(fact.get("model") or ""), str(fact.get("metric") or fact["id"]))
        numbers = [*_leaves(fact.get("value")), *_leaves(fact.get("data") or {})]
        numbers += [number.size for number in printed(str(fact["text"]))]
        groups.setdefault(key, []).extend(numbers)
    return list(groups.values())


def _leaves(value: Any) -> Iterable[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def printed(text: str) -> list[Printed]:
    """Return the numbers a text states, without those in names, versions, dates and positions."""
    blank = _NOT_NUMBERS.sub(lambda match: " " * len(match[0]), text)
    return [_read(match, text) for match in _NUMBER.finditer(blank)]


def _read(match: re.Match[str], text: str) -> Printed:
    digits = match["digits"].replace(",", "")
    exponent = int(match["exponent"][1:]) if match["exponent"] else 0
    decimals = len(digits.partition(".")[2])
    suffix = _SUFFIX.match(text, match.end())
    unit = suffix["unit"] if suffix else ""
    token = match[0] + (" %" if unit == "%" else "")
    scale = 10.0 ** max(-300, min(300, exponent))
    return Printed(token, float(digits) * scale, 0.5 * 10.0**-decimals * scale, unit)


def numbers_in(texts: Iterable[str]) -> frozenset[float]:
    """Return every number that stands in texts such as logs, diffs and source files."""
    pattern = re.compile(r"(?<![\w.])(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
    return frozenset(float(token) for text in texts for token in pattern.findall(text))


def unverified(
    text: str, measured: Measured, quoted: frozenset[float] = frozenset()
) -> tuple[int, tuple[str, ...]]:
    """Return how many numbers a text states, and those that match nothing, as often as it does."""
    wrong = [
        f"seed {seed}"
        for seed in _SEED.findall(text)
        if measured.seeds and int(seed) not in measured.seeds
    ]
    rest = [number for number in printed(_SEED.sub(" ", text)) if not number.small]
    wrong += [n.token for n in rest if n.size not in quoted and not measured.has(n)]
    return len(rest) + len(_SEED.findall(text)), tuple(wrong)

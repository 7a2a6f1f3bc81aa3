"""Numbers in prose: what counts as one, how exact it is, and in which unit it is written.

Text is read as a reader sees it, without what hides or reorders it. A printed number stands for an
interval: half a unit of its last digit to each side. Signs are left out: prose says "fell by 0.03".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from mlactions.ask.number_words import NUMBER_WORDS, value_of
from mlactions.escaping import printable, untrusted

SMALL = 10
"""Whole numbers up to this are counts and ordinals ("both seeds", "3x3"), not measurements."""

PERCENT, POINT, FOLD = "%", "point", "fold"
"""The units of a share, of a difference of two shares, and of a ratio."""

_SIZE = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
_SHARE_UNIT = (
    r"%|‰|per\s?-?cent(?:age)?(?:[\s-]*points?)?|percentage[\s-]*points?|pp\b|points?\b|fold\b"
)
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_VULGAR = re.compile("(\\d*)([\u00bc-\u00be\u2150-\u215e\u2189])")
_SHARE = re.compile(
    rf"(?<![\d.])(?P<digits>{_SIZE})(?P<exponent>[eE][-+]?\d+)?[\s-]*(?P<unit>{_SHARE_UNIT})",
    re.IGNORECASE,
)
_WORDS = re.compile(
    rf"\b(?P<words>{NUMBER_WORDS})[\s-]+(?P<unit>{_SHARE_UNIT})(?!\w)", re.IGNORECASE
)
# What holds digits and is no number: file positions, versions, dates, names.
_NOT_NUMBERS = re.compile(
    r"""https?://\S+
      | [\w./-]+\.[A-Za-z]\w*(?::\d+)+          # train.py:42
      | \b(?:lines?\s*\#?|L)\d+(?:\s*(?:-|–|to|and|,)\s*\d+)*
      | \d{4}-\d{2}-\d{2}(?:T[\d:.]+Z?)?
      | \b\d+(?:\.\d+){2,}\S*                   # 2.13.0
      | \b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{7,64}\b
      | (?<!\w)[A-Za-z_]\w*(?:-\w+(?!\.\d))*    # fp16, vit-base-224, an ordinary word
    """,
    re.VERBOSE,
)
_SHAPE = re.compile(r"(?<=\d)\s*[x×]\s*(?=\d)")
_GLUED = re.compile(r"(?<!\w)(?:[A-Za-z]+[_-])*([A-Za-z]+)([_-]?)(?=\d+(?:\.\d+)?(?![\w]))")
_HEDGES = frozenset(
    {"about", "approx", "approximately", "around", "ca", "circa", "exactly", "nearly", "roughly"}
    | {"almost", "over", "under", "by", "to", "from", "at", "of", "is", "was", "only", "just"}
)
_NUMBER = re.compile(rf"(?<![\w.])[-+−]?(?P<digits>{_SIZE})(?P<exponent>[eE][-+]?\d+)?(?!\d)")
_SUFFIX = re.compile(
    r"[\s-]*(?P<unit>ms\b|millisec\w*|s\b|sec(?:onds?)?\b|min(?:utes?)?\b|h\b|hours?\b"
    r"|[kKMG]i?B\b|[kMG]\b|[x×](?!\w)|million\b|thousand\b|billion\b)"
)
_LINE = re.compile(r"\b(?:lines?\s*\#?|L)(\d+)(?:\s*(?:-|–|to|and|,)\s*(\d+))*")
_PLACE = re.compile(r"(?<![\w./-])((?:[\w.@+-]+/)*[\w.@+-]*\w\.[A-Za-z]\w*):(\d{1,9})")
_QUOTED = re.compile(r"(?<![\w.])(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_THOUSANDS = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])")
_PARTED = re.compile(r"(?<=\d)_(?=\d)")
_SEED = re.compile(r"\bseeds?\s*[=:#]?\s*(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Printed:
    """A number as it was written, its size, half a unit of its last digit, and its unit."""

    token: str
    size: float
    half: float
    unit: str

    @property
    def small(self) -> bool:
        """True for a count or an ordinal; "5-fold" is one too."""
        whole = self.size.is_integer() and self.half >= 0.5  # noqa: PLR2004  # no decimals
        return whole and self.size <= SMALL and self.unit in {"", FOLD}

    @property
    def share(self) -> bool:
        """True for a percentage or a difference of two."""
        return self.unit in {PERCENT, POINT, "‰"}


def shown(text: str) -> str:
    """Return text as a reader of the report sees it, every digit in its plain form."""
    line = " ".join(_CODE.sub(r"\1", untrusted(printable(text))).split())
    if line.isascii():
        return line
    kept = (char if _VULGAR.fullmatch(char) else _plain(char) for char in line)
    return "".join(kept)


def _plain(char: str) -> str:
    """Return a character in its plain form, nothing for one that is drawn over another."""
    plain = unicodedata.normalize("NFKC", char)
    return "" if unicodedata.category(plain[:1] or "a") in {"Mn", "Me", "Cf"} else plain


def printed(text: str, words: Collection[str] = ()) -> list[Printed]:
    """Return the numbers a text states, without those in names, versions, dates and positions.

    `words` are words that no name consists of, such as those of metrics: `accuracy_93` is 93.
    """
    line = _SEED.sub(_blank, shown(text))
    found: list[tuple[int, Printed]] = []
    for pattern, read in ((_VULGAR, _fraction), (_WORDS, _worded), (_SHARE, _share)):
        found += [(match.start(), read(match)) for match in pattern.finditer(line)]
        line = pattern.sub(_blank, line)
    ordinary = _HEDGES | frozenset(words)
    line = _GLUED.sub(lambda match: _loosened(match, ordinary), _SHAPE.sub(_blank, line))
    rest = _NOT_NUMBERS.sub(_blank, line)
    found += [(match.start(), _plain_number(match, line)) for match in _NUMBER.finditer(rest)]
    return [number for _, number in sorted(found, key=lambda entry: entry[0])]


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _loosened(match: re.Match[str], ordinary: Collection[str]) -> str:
    """Part digits from a word that is no name."""
    if match[1].lower() not in ordinary:
        return match[0]
    return match[0].removesuffix(match[2]) + " " * len(match[2]) if match[2] else _blank(match)


def _number(digits: str, exponent: str | None, token: str, unit: str) -> Printed:
    plain = digits.replace(",", "")
    power = max(-300, min(300, int(exponent[1:]))) if exponent else 0
    decimals = len(plain.partition(".")[2])
    scale = 10.0**power
    return Printed(token, float(plain) * scale, 0.5 * 10.0**-decimals * scale, unit)


def _plain_number(match: re.Match[str], line: str) -> Printed:
    suffix = _SUFFIX.match(line, match.end())
    return _number(match["digits"], match["exponent"], match[0], suffix["unit"] if suffix else "")


def _share(match: re.Match[str]) -> Printed:
    number = f"{match['digits']}{match['exponent'] or ''}"
    token = f"{number} {match['unit']}"
    return _number(match["digits"], match["exponent"], token, _share_unit(match["unit"]))


def _worded(match: re.Match[str]) -> Printed:
    size, decimals = value_of(match["words"])
    return Printed(match[0], size, 0.5 * 10.0**-decimals, _share_unit(match["unit"]))


def _fraction(match: re.Match[str]) -> Printed:
    """Read ½ or 1½: a ratio, known to about a hundredth."""
    size = float(match[1] or 0) + unicodedata.numeric(match[2])
    return Printed(match[0], size, 0.005, "x")


def _share_unit(text: str) -> str:
    word = text.lower()
    if word.startswith("fold"):
        return FOLD
    if "point" in word or word == "pp":
        return POINT
    return "‰" if word == "‰" else PERCENT


def seeds_in(text: str) -> list[int]:
    """Return the seeds that a text names."""
    return [int(seed) for seed in _SEED.findall(shown(text))]


def places_in(text: str) -> list[tuple[str, int]]:
    """Return the places that a text names as `path:line`."""
    return [(path, int(line)) for path, line in _PLACE.findall(shown(text))]


def lines_in(text: str) -> list[int]:
    """Return the lines that a text names without a file, the last one of a range."""
    rest = _SHARE.sub(_blank, _PLACE.sub(_blank, shown(text)))
    return [int(last or first) for first, last in _LINE.findall(rest)]


def numbers_in(texts: Iterable[str]) -> frozenset[float]:
    """Return every number that stands in texts such as logs, diffs and source files.

    `1,797` is read as one number and as two, `1_797` as one, the shape `64x48` as two.
    """
    lines = [_SHAPE.sub(" ", _PARTED.sub("", text)) for text in texts]
    whole = [token.replace(",", "") for line in lines for token in _THOUSANDS.findall(line)]
    return frozenset(map(float, [*whole, *(t for line in lines for t in _QUOTED.findall(line))]))

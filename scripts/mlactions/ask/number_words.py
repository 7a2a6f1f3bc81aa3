"""Numbers that are written out: "ninety-three", "forty-two point five"."""

from __future__ import annotations

import re
from itertools import takewhile

_TO_TEN = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_TEENS = ("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen")
_ONES = ("zero", *_TO_TEN, *_TEENS, "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SIZES = {word: size for size, word in enumerate(_ONES)}
_SIZES |= {word: 10 * size for size, word in enumerate(_TENS, start=2)}
_SIZES["fourty"] = 40
_MULTIPLES = ("hundred", "thousand")
_ANY = "|".join(sorted((*_SIZES, *_MULTIPLES), key=len, reverse=True))

NUMBER_WORDS = rf"(?:{_ANY})(?:[\s-]+(?:and[\s-]+)?(?:{_ANY}|point(?=[\s-]+(?:{_ANY}))))*"
"""A pattern for the words of one number."""


def value_of(words: str) -> tuple[float, int]:
    """Return the number that words name, and how many decimals it has."""
    named = [word for word in re.split(r"[\s-]+", words.lower()) if word != "and"]
    whole = list(takewhile(lambda word: word != "point", named))
    decimals = [str(_SIZES.get(word, 0)) for word in named[len(whole) + 1 :]]
    total, current = 0, 0
    for word in whole:
        if word == "thousand":
            total, current = total + max(1, current) * 1000, 0
        elif word == "hundred":
            current = max(1, current) * 100
        else:
            current += _SIZES[word]
    digits = "".join(decimals)
    return float(f"{total + current}.{digits or 0}"), len(digits)

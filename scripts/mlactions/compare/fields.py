"""The fields a baseline file may have: what each accepts, and what to write when it does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from mlactions.compare.model import DIRECTIONS
from mlactions.metrics import kind, problem_of

Check = Callable[[Any], str | None]
"""Returns what to write instead, or None if the value is fine."""

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_METRIC_NAME = re.compile("[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")
_DATE = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")
MAX_TEXT = 500
MAX_UNIT = 20
MAX_VALUES = 10_000
MAX_SHOWN_LIST = 60
MAX_AGE_DAYS = 36_500


def model_name(value: Any) -> str | None:
    """Accept what is safe as a file name."""
    if isinstance(value, str) and MODEL_NAME.fullmatch(value):
        return None
    return "Use letters, digits, dots, dashes and underscores, at most 128 characters."


def metric_name(value: Any) -> str | None:
    """Accept one line of text."""
    if isinstance(value, str) and _METRIC_NAME.fullmatch(value):
        return None
    if isinstance(value, str):
        return "Use 1 to 200 printable characters."
    return f'A name is text: put it in quotes, "{value}".'


def number(value: Any) -> str | None:
    """Accept a finite number."""
    return None if problem_of(value) is None else "Write a finite number."


def numbers(value: Any) -> str | None:
    """Accept a list of finite numbers, one per seed."""
    if isinstance(value, list) and 0 < len(value) <= MAX_VALUES:
        wrong = [item for item in value if problem_of(item) is not None]
        return f"{found(wrong[0])} is no finite number." if wrong else None
    return "Write a list with one finite number per seed, for example [0.981, 0.983]."


def amount(value: Any) -> str | None:
    """Accept a finite number that is not negative."""
    if problem_of(value) is None and value >= 0:
        return None
    return "Write a finite number, 0 or more."


def text(value: Any) -> str | None:
    """Accept a short text."""
    if isinstance(value, str) and 0 < len(value) <= MAX_TEXT:
        return None
    return f"Write 1 to {MAX_TEXT} characters of text."


def unit(value: Any) -> str | None:
    """Accept a unit's name."""
    if isinstance(value, str) and 0 < len(value) <= MAX_UNIT:
        return None
    return f"Write 1 to {MAX_UNIT} characters, for example ms."


def day(value: Any) -> str | None:
    """Accept a calendar day."""
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            date.fromisoformat(value)
        except ValueError:
            return "There is no such day."
        return None
    return "Write a day as year-month-day, for example 2026-11-01."


def whole(value: Any) -> bool:
    """Tell whether a value is a whole number; JSON does not know 1 from 1.0."""
    return problem_of(value) is None and float(value).is_integer()


def age(value: Any) -> str | None:
    """Accept a number of days."""
    if whole(value) and 0 < value <= MAX_AGE_DAYS:
        return None
    return "Write a whole number of days, for example 90."


def one_of(*choices: str) -> Check:
    """Accept one of a few words."""
    listed = ", ".join(f"`{choice}`" for choice in choices[:-1])
    hint = f"Write {listed}{' or ' if listed else ''}`{choices[-1]}`."
    return lambda value: None if isinstance(value, str) and value in choices else hint


def scalar_or_list(value: Any) -> str | None:
    """Accept what provenance records: text, a number, nothing, or a list of those."""
    items = value if isinstance(value, list) else [value]
    if len(items) <= MAX_VALUES and all(_scalar(item) for item in items):
        return None
    return "Write text, a number, or a list of them."


def _scalar(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    return value is None or isinstance(value, bool) or problem_of(value) is None


def names(value: Any) -> str | None:
    """Accept a list of provenance fields, each once."""
    known = [name for name in PROVENANCE if name not in _NOT_COMPARABLE]
    fields = f"Known fields: {', '.join(known)}."
    if not isinstance(value, list):
        return f"Write a list of provenance fields. {fields}"
    wrong = next((item for item in value if item not in known), None)
    if wrong is not None:
        return f"{found(wrong)} is no field of the provenance. {fields}"
    return None if len(set(value)) == len(value) else "Name each field once."


def tolerance(value: Any) -> str | None:
    """Accept a mapping; a bare number does not say of what it is."""
    if isinstance(value, dict):
        return None
    number = value if amount(value) is None else 0.005
    return f"Write {{absolute: {number}}} or {{relative: {number}}}."


def seeds(value: Any) -> str | None:
    """Accept a list of whole numbers, or nothing where an evaluation has no seeds."""
    listed = isinstance(value, list) and all(map(whole, value))
    return None if value is None or listed else "Write a list of whole numbers, [0, 1, 2]."


def mapping(value: Any) -> str | None:
    """Accept a mapping; what is in it is checked on its own."""
    return None if isinstance(value, dict) else "Write a mapping."


def found(value: Any) -> str:
    """Return a value as a message quotes it."""
    if isinstance(value, dict | list):
        shown_list = f"[{', '.join(map(str, value))}]"
        if (
            value
            and all(isinstance(item, str | int | float) for item in value)
            and (isinstance(value, list) and len(shown_list) <= MAX_SHOWN_LIST)
        ):
            return f"`{shown_list}`"
        return "an empty list" if value == [] else f"a {kind(value)}"
    shown = {None: "nothing", True: "`true`", False: "`false`"}
    if value is None or isinstance(value, bool):
        return shown[value]
    return f"`{value}`" if not isinstance(value, str) else f"`{value[:80]}` (text)"


_NOT_COMPARABLE = frozenset({"commit", "measured", "seeds", "dirty"})

PROVENANCE: Mapping[str, Check] = {
    "commit": scalar_or_list,
    "dirty": scalar_or_list,
    "protocol": scalar_or_list,
    "config": scalar_or_list,
    "data": scalar_or_list,
    "seeds": seeds,
    "hardware": scalar_or_list,
    "python": scalar_or_list,
    "torch": scalar_or_list,
    "measured": day,
}
TOLERANCE: Mapping[str, Check] = {"absolute": amount, "relative": amount}
RULE: Mapping[str, Check] = {
    "value": number,
    "values": numbers,
    "direction": one_of(*DIRECTIONS),
    "tolerance": tolerance,
    "min": number,
    "max": number,
    "severity": one_of("fail", "warn"),
    "comparable_on": names,
    "paired": one_of("same-weights"),
    "score": text,
    "require": one_of("non-inferior"),
    "on-inconclusive": one_of("fail", "warn"),
    "unit": unit,
    "owner": text,
    "reason": text,
}
MODEL: Mapping[str, Check] = {
    "provenance": mapping,
    "metrics": mapping,
    "owner": text,
    "max-age-days": age,
}
WAIVER: Mapping[str, Check] = {
    "model": model_name,
    "metric": metric_name,
    "reason": text,
    "until": day,
}
ROOT: Mapping[str, Check] = {
    "version": lambda value: None if whole(value) and value == 1 else "Write `version: 1`.",
    "models": mapping,
    "waivers": lambda value: None if isinstance(value, list) else "Write a list of waivers.",
    "max-age-days": age,
    "on-inconclusive": one_of("fail", "warn"),
    "require": one_of("non-inferior"),
}

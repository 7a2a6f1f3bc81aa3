"""The settings of a configuration against the parameters of a run. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlactions.confidential import HIDDEN, hides, shown
from mlactions.drift.interpolation import resolve
from mlactions.drift.model import (
    Config,
    Level,
    Row,
    RowState,
    Rules,
    Setting,
    Unresolved,
    covers,
)
from mlactions.values import Place, canonical_key, dotted, match, parse, show, spread

_CAPPED: Mapping[str, Level] = {"order": "warn", "location": "notice"}
"""The most serious that a difference of a kind can be: it may well mean nothing."""
_ORDER: Sequence[Level] = ("none", "notice", "warn", "fail")
_SECRET = "a secret: compared, and not shown"  # noqa: S105  # what is said of one
_SPELT = "a text in quotes here; the two are equal as numbers only"
_QUOTED = re.compile(r"\d+\.\d+")
FEWEST_OF_SECRET = 4
"""Characters: a shorter secret would be found in everything."""


def compare(config: Config, params: Mapping[str, str], rules: Rules) -> tuple[Row, ...]:
    """Return one row per setting, then one per parameter that the configuration lacks."""
    logged = spread(params)
    find = _finder(logged)
    used: set[str] = set()
    rows = []
    for setting in config.settings:
        name = canonical_key(rules.renames.get(setting.key, setting.key))
        used.add(name)
        used.update(_items_of(name, logged))
        rows.append(_row(setting, name, logged, find, rules))
    secrets = _secrets(config, logged)
    found = (*rows, *_only_logged(logged, used, rules))
    return tuple(_eased(_scrubbed(row, secrets), rules) for row in found)


def _secrets(config: Config, logged: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the texts of all secrets: other values may hold one, as `${db.password}` puts it in.

    The longest come first, so that none is hidden in part.
    """
    ours = ((setting.key, setting.value) for setting in config.settings)
    found = {str(value) for key, value in (*ours, *logged.items()) if _is_hidden(key, value)}
    return tuple(sorted((text for text in found if len(text) >= FEWEST_OF_SECRET), key=_by_length))


def _by_length(text: str) -> tuple[int, str]:
    return -len(text), text


def _scrubbed(row: Row, secrets: Iterable[str]) -> Row:
    current, logged = row.current, row.logged
    for secret in secrets:
        current, logged = current.replace(secret, HIDDEN), logged.replace(secret, HIDDEN)
    return replace(row, current=current, logged=logged)


def _eased(row: Row, rules: Rules) -> Row:
    """Take notice only of values that differ in nothing but a secret: each place has its own.

    Unless the rules say that this one has to be the same.
    """
    apart = row.state == "drift" and HIDDEN in row.current and row.current == row.logged
    if not apart or any(covers(glob, row.name) for glob, _ in rules.severity):
        return row
    return replace(row, level=min(row.level, "notice", key=_ORDER.index), note=row.note or _SECRET)


def _is_hidden(key: str, value: Any) -> bool:
    return not isinstance(value, Unresolved) and hides(key, value)


def _finder(logged: Mapping[str, Any]) -> Any:
    """Return how the interpolations that a run logged unresolved are looked up in it."""

    def find(place: Place) -> Any:
        return logged[canonical_key(dotted(place))]

    return find


def _items_of(name: str, logged: Mapping[str, Any]) -> Iterator[str]:
    """Yield the parameters that are items of a list that was compared as one."""
    value = logged.get(name)
    if isinstance(value, list):
        yield from (f"{name}.{position}" for position in range(len(value)))


def _row(setting: Setting, name: str, logged: Mapping[str, Any], find: Any, rules: Rules) -> Row:
    state, note = _state(setting, name, logged, find)
    if state == "order" and rules.is_unordered(setting.key):
        state, note = "same", "in another order, which means nothing here"
    value, theirs = setting.value, logged.get(name)
    level = _level(state, setting.key, rules)
    if note == _SPELT:
        level = min(level, "notice", key=_ORDER.index)
    hidden = _is_hidden(setting.key, value) or _is_hidden(name, theirs)
    if rules.ignores(setting.key):
        state, level, note = "ignored", "none", ""
    elif hidden:
        note = _SECRET
    return Row(
        kind="parameter",
        name=setting.key,
        state=state,
        level=level,
        current=HIDDEN if hidden else _shown(setting.key, value),
        logged=(HIDDEN if hidden else _shown(name, theirs)) if name in logged else "",
        logged_as="" if name == setting.key else name,
        note=note or setting.origin,
        file=setting.file,
        line=setting.line,
    )


def _state(
    setting: Setting, name: str, logged: Mapping[str, Any], find: Any
) -> tuple[RowState, str]:
    if name not in logged:
        return "unknown", "the run did not log it"
    theirs = logged[name]
    if isinstance(setting.raw, str) and theirs == setting.raw:
        return "same", ""
    if isinstance(theirs, str) and "${" in theirs:
        theirs = resolve(theirs, find, tuple(name.split(".")))
    for value in (setting.value, theirs):
        if isinstance(value, Unresolved):
            return "unknown", value.why
    found = match(setting.value, theirs)
    notes = {
        "order": "the same items in another order",
        "location": "the same path below another folder",
        "beyond": "MLflow cut the run's value; it is equal as far as it goes",
    }
    if found == "same" and _is_spelt_otherwise(setting.raw, theirs):
        return "drift", _SPELT
    return ("drift" if found == "different" else found), notes.get(found, "")


def _is_spelt_otherwise(raw: Any, logged: Any) -> bool:
    """Tell a version from a number: YAML gives `1.10` as a text only where it stands in quotes."""
    return (
        isinstance(raw, str)
        and isinstance(logged, str)
        and _QUOTED.fullmatch(raw) is not None
        and raw != logged.strip()
    )


def _level(state: RowState, key: str, rules: Rules) -> Level:
    if state == "same":
        return "none"
    if state == "unknown":
        return rules.unknown
    if state == "beyond":
        return "notice"
    level = rules.level(key)
    cap = _CAPPED.get(state, level)
    return min(level, cap, key=_ORDER.index)


def _only_logged(logged: Mapping[str, Any], used: set[str], rules: Rules) -> Iterator[Row]:
    """Yield the parameters that only the run has; items of lists are shown with their list."""
    inside = {item for name in logged for item in _items_of(name, logged)}
    for name in sorted(logged):
        if name in used or name in inside:
            continue
        ignored, hidden = rules.ignores(name), _is_hidden(name, logged[name])
        yield Row(
            kind="parameter",
            name=name,
            state="ignored" if ignored else "only-logged",
            level="none" if ignored else rules.only_logged,
            logged=HIDDEN if hidden else _shown(name, logged[name]),
            note="the configuration does not have it",
        )


def _shown(name: str, value: Any, limit: int = 300) -> str:
    if isinstance(value, Unresolved):
        text = value.text
    elif isinstance(value, str):
        # A list is shown alike on both sides, a number as it was logged.
        text = show(parse(value)) if isinstance(parse(value), list | dict) else value
    else:
        text = show(value)
    text = shown(name, text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"

"""The settings of a configuration against the parameters of a run. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlactions.confidential import HIDDEN, is_secret
from mlactions.drift.interpolation import resolve
from mlactions.drift.model import Config, Level, Row, RowState, Rules, Setting, Unresolved
from mlactions.values import Place, canonical_key, dotted, match, parse, show, spread

_CAPPED: Mapping[str, Level] = {"order": "warn", "location": "notice"}
"""The most serious that a difference of a kind can be: it may well mean nothing."""
_ORDER: Sequence[Level] = ("none", "notice", "warn", "fail")


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
    return (*rows, *_only_logged(logged, used, rules))


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
    level = _level(state, setting.key, rules)
    hidden = is_secret(setting.key)
    if hidden or rules.ignores(setting.key):
        state, level = "ignored", "none"
        note = "a secret" if hidden else ""
    value = setting.value
    return Row(
        kind="parameter",
        name=setting.key,
        state=state,
        level=level,
        current=HIDDEN if hidden else _shown(value),
        logged=(HIDDEN if hidden else _shown(logged[name])) if name in logged else "",
        logged_as="" if name == setting.key else name,
        note=note,
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
    return ("drift" if found == "different" else found), notes.get(found, "")


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
        ignored = rules.ignores(name) or is_secret(name)
        yield Row(
            kind="parameter",
            name=name,
            state="ignored" if ignored else "only-logged",
            level="none" if ignored else rules.only_logged,
            logged=HIDDEN if is_secret(name) else _shown(logged[name]),
            note="the configuration does not have it",
        )


def _shown(value: Any, limit: int = 300) -> str:
    if isinstance(value, Unresolved):
        text = value.text
    elif isinstance(value, str):
        # A list is shown alike on both sides, a number as it was logged.
        text = show(parse(value)) if isinstance(parse(value), list | dict) else value
    else:
        text = show(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"

"""Read a baseline file: everything is checked here, so that what follows can trust it.

Written by hand rather than left to a JSON Schema, because each message names the line, what was
found and what to write; `schemas/baseline.schema.json` says the same to editors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlactions.compare import fields
from mlactions.compare.model import Baseline, ModelRules, Rule, Waiver
from mlactions.errors import UserError
from mlactions.yaml_lines import line_of, parse_marked

Keys = tuple[str | int, ...]

_TIMES = ("ns", "us", "ms", "sec", "seconds", "minutes", "hours")
_SIZES = ("bytes", "kb", "mb", "gb", "kib", "mib", "gib")
_SUFFIXES = frozenset(_TIMES + _SIZES)

_OF_TIME = re.compile(
    r"(?:^|[._-])(?:time|latency|duration|elapsed|runtime|wall|epoch|step|startup|warmup|delay"
    r"|train(?:ing)?|inference|eval(?:uation)?|forward|backward|load(?:ing)?)(?:$|[._-])"
)

TIME_AND_MEMORY = _SUFFIXES | {"µs", "s", "min", "h", "b"}
"""Units whose metrics depend on the machine: by default they are comparable on equal hardware."""


class _WrongError(Exception):
    """A field that is not as it must be, and its place."""

    def __init__(self, keys: Keys, title: str, message: str, hint: str = "") -> None:
        super().__init__(title)
        self.keys, self.title, self.message, self.hint = keys, title, message, hint


def parse_baseline(text: str, *, name: str) -> Baseline:
    """Read a baseline's YAML; `name` is the file that messages speak of.

    Raises UserError with the line of the first thing that is wrong.
    """
    marked = parse_marked(text, name=name)
    try:
        return replace(_baseline(marked.value, text, name), marked=marked)
    except _WrongError as wrong:
        raise UserError(
            wrong.title, wrong.message, wrong.hint, name, line_of(text, wrong.keys)
        ) from None


def _baseline(document: Any, text: str, name: str) -> Baseline:
    if not isinstance(document, dict):
        what = "the file is empty" if document is None else f"found {fields.found(document)}"
        raise _WrongError((), "no baseline", f"{what}.", "Start with `version: 1` and `models:`.")
    _check(document, fields.ROOT, (), required=("version", "models"))
    models = {
        model: _model(model, body)
        for model, body in document["models"].items()
        if _name(model, ("models", model), "model", fields.model_name)
    }
    return Baseline(
        name=name,
        text=text,
        models=models,
        waivers=tuple(_waiver(body, n) for n, body in enumerate(document.get("waivers", ()))),
        max_age_days=document.get("max-age-days"),
        on_inconclusive=document.get("on-inconclusive"),
        non_inferior="require" in document,
    )


def _model(model: str, body: Any) -> ModelRules:
    keys: Keys = ("models", model)
    _check(body, fields.MODEL, keys, required=("metrics",))
    provenance = body.get("provenance", {})
    _check(provenance, fields.PROVENANCE, (*keys, "provenance"))
    owner = body.get("owner", "")
    rules = {metric: _rule(model, metric, rule, owner) for metric, rule in body["metrics"].items()}
    return ModelRules(rules, provenance, body.get("max-age-days"), owner)


def _rule(model: str, metric: Any, body: Any, owner: str) -> Rule:
    keys: Keys = ("models", model, "metrics", metric)
    _name(metric, keys, "metric", fields.metric_name)
    _check(body, fields.RULE, keys, required=("direction",))
    tolerance = body.get("tolerance", {})
    if tolerance:
        _check(tolerance, fields.TOLERANCE, (*keys, "tolerance"))
    values = _values(body, keys)
    rule = Rule(
        model=model,
        metric=metric,
        direction=body["direction"],
        values=values,
        absolute=tolerance.get("absolute", 0.0),
        relative=tolerance.get("relative", 0.0),
        minimum=body.get("min"),
        maximum=body.get("max"),
        severity=body.get("severity", "fail"),
        comparable_on=tuple(body["comparable_on"]) if "comparable_on" in body else None,
        paired="paired" in body,
        score=body.get("score", ""),
        non_inferior="require" in body,
        on_inconclusive=body.get("on-inconclusive"),
        unit=body.get("unit") or unit_of(metric),
        owner=body.get("owner", owner),
        reason=body.get("reason", ""),
        has_tolerance="tolerance" in body,
    )
    _check_sense(rule, keys)
    return rule


def _values(body: Mapping[str, Any], keys: Keys) -> tuple[float, ...]:
    if "value" not in body:
        return tuple(body.get("values", ()))
    if "values" in body:
        raise _WrongError(
            (*keys, "values"),
            "value twice",
            f"`{_dotted(keys)}` has `value` and `values`.",
            "Keep `values`, one per seed, or `value`.",
        )
    return (body["value"],)


def _check_sense(rule: Rule, keys: Keys) -> None:
    """Refuse fields that are each fine and together allow nothing, or anything."""
    if rule.minimum is not None and rule.maximum is not None and rule.minimum > rule.maximum:
        raise _WrongError(
            (*keys, "min"),
            "min above max",
            f"`{_dotted(keys)}`: no value is at least {rule.minimum} and at most {rule.maximum}.",
        )
    if rule.score and not rule.paired:
        raise _WrongError(
            (*keys, "score"),
            "score without paired",
            f"`{_dotted(keys)}.score` names a column of predictions, which nothing reads.",
            "Add `paired: same-weights`, or remove `score`.",
        )
    if rule.relative and not rule.absolute and rule.values and math.fsum(rule.values) == 0:
        raise _WrongError(
            (*keys, "tolerance"),
            "zero baseline",
            f"`{_dotted(keys)}`: a relative tolerance of a baseline of 0 allows nothing.",
            "Add `absolute` to the tolerance.",
        )


def _waiver(body: Any, position: int) -> Waiver:
    keys: Keys = ("waivers", position)
    _check(body, fields.WAIVER, keys, required=("metric", "reason", "until"))
    return Waiver(body["metric"], body["reason"], body["until"], body.get("model", ""))


def _name(value: Any, keys: Keys, what: str, check: fields.Check) -> bool:
    hint = check(value)
    if hint is not None:
        raise _WrongError(keys, f"bad {what} name", f"found {fields.found(value)}.", hint)
    return True


def _check(
    body: Any, known: Mapping[str, fields.Check], keys: Keys, required: tuple[str, ...] = ()
) -> None:
    """Check one mapping's fields: known, present where required, each with a value that fits."""
    if not isinstance(body, dict):
        where = f"`{_dotted(keys)}` is {fields.found(body)}."
        raise _WrongError(keys, "bad value", where, f"Write a mapping with {_listed(known)}.")
    for key, value in body.items():
        check = known.get(key)
        if check is None:
            raise _unknown((*keys, key), known)
        hint = check(value)
        if hint is not None:
            raise _WrongError(
                (*keys, key),
                f"bad {key}",
                f"`{_dotted((*keys, key))}` is {fields.found(value)}.",
                hint,
            )
    for key in required:
        if key not in body:
            raise _missing(keys, key, known)


def _unknown(keys: Keys, known: Mapping[str, fields.Check]) -> _WrongError:
    from difflib import get_close_matches  # only once something is wrong

    close = get_close_matches(str(keys[-1]), known, n=1, cutoff=0.6)
    hint = f"Did you mean `{close[0]}`?" if close else f"Known fields: {_listed(known)}."
    return _WrongError(keys, "unknown field", f"`{_dotted(keys)}`.", hint)


def _missing(keys: Keys, key: str, known: Mapping[str, fields.Check]) -> _WrongError:
    where = f"`{_dotted(keys)}`" if keys else "the file"
    return _WrongError(
        keys, "missing field", f"{where} has no `{key}`.", known[key](None) or f"Add `{key}`."
    )


def _listed(known: Mapping[str, fields.Check]) -> str:
    return ", ".join(f"`{key}`" for key in known)


def _dotted(keys: Keys) -> str:
    return ".".join(str(key) for key in keys)


def depends_on_machine(unit: str) -> bool:
    """Tell whether a unit is one of time or memory, so that another machine gives other numbers."""
    return unit.lower() in TIME_AND_MEMORY


def unit_of(metric: str) -> str:
    """Return the unit a metric's name ends with: `latency_ms` is in ms; else nothing.

    `s` is seconds only behind a word of time: `epoch_s` is, `model_s` need not be.
    """
    stem, _, last = metric.partition("/")[0].rpartition("_")
    known = last.lower() in _SUFFIXES or (last == "s" and _OF_TIME.search(stem.lower()))
    return last if stem and known else ""

"""Claims about runs, each held to what MLflow has: a value at the precision it is printed with."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from mlactions.analyze.records import Record
from mlactions.ask.identifiers import identifiers_in
from mlactions.ask.measured import Group, Measured
from mlactions.ask.numbers import printed
from mlactions.values import canonical_key, match, parse, show

FEWEST_DIGITS = 2
"""Significant digits: one alone is near anything."""

MAX_TEXT = 600
MAX_UNVERIFIED = 10
MAX_NAMED = 10
"""As many runs of one sentence are looked up."""

_NUMBER = re.compile(
    r"(?P<sign>[-+−]?)(?P<whole>\d[\d,_]*|)(?:\.(?P<decimals>\d*))?"
    r"(?:[eE](?P<exponent>[-+]?\d{1,3}))?\s*(?P<percent>%?)"
)


class Lookup(Protocol):
    """Where claims are looked up."""

    def run(self, identifier: str, parameter: str = "") -> Record | str:
        """Return a run, with the whole value of a parameter, or why there is none."""
        ...

    def at_step(self, run: str, metric: str, step: int) -> float | str:
        """Return a metric's value at a step, or why there is none."""
        ...


@dataclass(frozen=True)
class Claim:
    """What is said of one run; without a `step` it is about a metric's last value."""

    run: str
    kind: Literal["metric", "parameter"]
    name: str
    value: str
    step: int | None
    says: str

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Claim:
        """Read a claim of an answer, whose form was checked."""
        texts = {name: " ".join(entry[name].split())[:MAX_TEXT] for name in ("run", "name")}
        return cls(
            kind=entry["kind"],
            value=entry["value"].strip()[:MAX_TEXT],
            step=entry["step"],
            says=" ".join(entry["says"].split())[:MAX_TEXT],
            **texts,
        )


@dataclass(frozen=True)
class Checked:
    """A claim with what was measured, or why it was struck; numbers beside it nobody measured."""

    claim: Claim
    run: str = ""
    measured: str = ""
    struck: str = ""
    unverified: tuple[str, ...] = ()


def check(claim: Claim, lookup: Lookup) -> Checked:
    """Look a claim up. What cannot be looked up does not hold."""
    run = lookup.run(claim.run, claim.name if claim.kind == "parameter" else "")
    if isinstance(run, str):
        return Checked(claim, struck=run)
    logged = _logged(claim, run, lookup)
    if isinstance(logged, Missing):
        return Checked(claim, run.id, struck=logged.why)
    wrong = _wrong(claim.value, logged) or _stranger(claim, run, lookup)
    measured = show(parse(logged)) if isinstance(logged, str) else f"{logged:.6g}"
    doubtful = _unverified(claim, run, logged)[:MAX_UNVERIFIED]
    return Checked(claim, run.id, measured[:MAX_TEXT], wrong, doubtful)


@dataclass(frozen=True)
class Missing:
    """Why there is no value."""

    why: str


def _logged(claim: Claim, run: Record, lookup: Lookup) -> float | str | Missing:
    """Return what a run logged: a metric's number, or a parameter's text."""
    if claim.kind == "parameter":
        found = _parameter(claim.name, run.params)
        return Missing(f"run {run.id} has no parameter {claim.name!r}") if found is None else found
    if claim.step is None:
        value = run.metrics.get(claim.name)
        return Missing(f"run {run.id} has no metric {claim.name!r}") if value is None else value
    there = lookup.at_step(run.id, claim.name, claim.step)
    return Missing(there) if isinstance(there, str) else there


def _parameter(name: str, params: Mapping[str, str]) -> str | None:
    if name in params:
        return params[name]
    wanted = canonical_key(name)
    return next((text for key, text in params.items() if canonical_key(key) == wanted), None)


def _wrong(claimed: str, logged: float | str) -> str:
    """Return what is wrong with a value, or nothing."""
    number = _as_float(logged if isinstance(logged, float) else parse(logged))
    if number is not None:
        return _wrong_number(claimed, number)
    # What a tracking server cut says nothing of how the value went on.
    same = match(claimed, str(logged)) == "same"
    return "" if same else f"it is {show(parse(str(logged)))[:200]}"


def _as_float(value: Any) -> float | None:
    """Return a number as a float; None for what is no number, or beyond every float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _wrong_number(claimed: str, number: float) -> str:
    found = _NUMBER.fullmatch(claimed)
    if found is None or not (found["whole"] or found["decimals"]):
        same = match(claimed, str(number)) == "same"
        return "" if same else f"{claimed[:80]!r} is no number; it is {number:.6g}"
    if not math.isfinite(number):
        return f"it is {number}"
    scales = (0.01, 1.0) if found["percent"] and abs(number) > 1 else (1.0,)
    if found["percent"] and abs(number) <= 1:
        scales = (0.01,)
    value, half, digits = _size(found)
    if not (math.isfinite(value) and math.isfinite(half)):
        return f"no value is as large as {claimed[:80]}; it is {number:.6g}"
    near = any(abs(value * scale - number) <= half * scale * (1 + 1e-9) for scale in scales)
    exact = any(math.isclose(value * scale, number, rel_tol=1e-12) for scale in scales)
    if near and not exact and digits < FEWEST_DIGITS:
        return f"one digit is too few to tell; it is {number:.6g}"
    return "" if near or exact else f"it is {number:.6g}"


def _size(found: re.Match[str]) -> tuple[float, float, int]:
    """Return a printed number, half a unit of its last digit, and its significant digits."""
    whole = re.sub(r"[,_]", "", found["whole"])
    decimals, exponent = found["decimals"] or "", int(found["exponent"] or 0)
    sign = -1.0 if found["sign"] in {"-", "−"} else 1.0
    value = sign * float(f"{whole or '0'}.{decimals or '0'}e{exponent}")
    half = 0.5 * float(f"1e{exponent - len(decimals)}")  # 10.0 ** 309 raises, 1e309 is infinite
    return value, half, len(f"{whole}{decimals}".lstrip("0"))


def _unverified(claim: Claim, run: Record, logged: float | str) -> tuple[str, ...]:
    """Return the numbers of a sentence that neither the claim nor its run has."""
    values = [parse(text) for text in run.params.values()]
    numbers = (_as_float(value) for value in (*values, claim.step or 0))
    levels = [*run.metrics.values(), *(value for value in numbers if value is not None)]
    levels += [logged] if isinstance(logged, float) else []
    one_each = [Group((level,)) for level in levels if math.isfinite(level)]
    measured = Measured(one_each)
    found = (number for number in printed(claim.says) if not number.small)
    return tuple(number.token for number in found if not measured.has(number))


def _stranger(claim: Claim, run: Record, lookup: Lookup) -> str:
    """Return what is wrong with the identifiers of a sentence, or nothing.

    What a claim says beside its value is believed with it, so one that names a run nobody knows
    does not hold. An identifier that the run was given, such as a digest, is no run.
    """
    given = " ".join(run.params.values()).lower()
    named = dict.fromkeys(token.lower() for token in identifiers_in(claim.says))
    for number, name in enumerate(name for name in named if name not in given):
        if number == MAX_NAMED:
            return f"it names more than {MAX_NAMED} runs"
        found = lookup.run(name)
        if isinstance(found, str):
            return f"it names {name}: {found}"
    return ""

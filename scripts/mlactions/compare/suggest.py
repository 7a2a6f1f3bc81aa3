"""Rules to paste for what has none: valid YAML, with what a person must still decide marked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from mlactions.compare.edit import quoted
from mlactions.compare.model import Baseline, Candidate, Direction, Finding
from mlactions.compare.slices import parent
from mlactions.compare.statistics import noise_margin
from mlactions.compare.words import LARGEST, plural

MAX_SUGGESTED = 40
NAMED = 5
FALSE_ALARMS = 0.01

_SAFE_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_./=-]*")
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off"})
_LOWER = re.compile(
    r"(?:^|[_./-])(?:loss|nll|error|err|latency|duration|time|memory|perplexity|ppl|mse|rmse|mae"
    r"|mape|wer|cer|fid|ece|brier|ns|us|ms|sec|seconds|bytes|kb|mb|gb|kib|mib|gib|size)(?:$|[_./=-])"
)


def without_rule(baseline: Baseline, candidate: Candidate) -> dict[str, tuple[str, ...]]:
    """Return the measured metrics that no rule speaks of; slices of declared metrics may be."""
    found = {}
    for model, side in candidate.head.items():
        group = baseline.models.get(model)
        rules = group.rules if group else {}
        names = tuple(
            name for name in side.values if name not in rules and parent(name) not in rules
        )
        if names:
            found[model] = names
    return found


def notices(missing: Mapping[str, Sequence[str]], baseline: Baseline) -> Iterator[Finding]:
    """Yield one notice per model about what has no rule."""
    for model, names in missing.items():
        shown = ", ".join(f"`{name}`" for name in names[:NAMED])
        more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
        reason = "no-rule" if model in baseline.models else "no-rules"
        message = f"`{model}` has {plural(len(names), 'metric')} without a rule: {shown}{more}."
        yield Finding(reason, "notice", message, model, keys=("models", model))


def paste(missing: Mapping[str, Sequence[str]], candidate: Candidate) -> str:
    """Return rules for what has none, as YAML below `models:`; at most MAX_SUGGESTED of them."""
    lines: list[str] = []
    room = MAX_SUGGESTED
    for model, names in missing.items():
        if room <= 0:
            break
        lines += [f"  {key(model)}:", "    metrics:"]
        values = candidate.head[model].values
        lines += [f"      {key(name)}: {rule(name, values[name])}" for name in names[:room]]
        room -= len(names)
    if room < 0:
        lines.append(f"  # and {-room:,} more")
    return "\n".join(["models:", *lines, ""]) if lines else ""


def key(name: str) -> str:
    """Return a name as a YAML key."""
    safe = _SAFE_KEY.fullmatch(name) and name.lower() not in _RESERVED
    return name if safe else quoted(name)


def rule(name: str, values: Sequence[float]) -> str:
    """Return one rule in YAML: the values, a guessed direction, a tolerance above their noise."""
    numbers = as_written(values)
    given = f"value: {numbers[0]!r}" if len(values) == 1 else f"values: {numbers!r}"
    tolerance = noise_margin(values, len(values), FALSE_ALARMS)
    allowed = f"{{absolute: {tolerance:g}}}" if tolerance else "{absolute: 0}"
    decide = "direction" if tolerance else "direction and tolerance"
    return f"{{{given}, direction: {direction(name)}, tolerance: {allowed}}}  # check {decide}"


def as_written(values: Sequence[float]) -> list[float]:
    """Return values as a file should have them: counts without a decimal point."""
    whole = all(value.is_integer() and abs(value) < LARGEST for value in values)
    return [int(value) for value in values] if whole else list(values)


def direction(name: str) -> Direction:
    """Guess from a metric's name whether less is better; a person has to check."""
    return "lower" if _LOWER.search(name.lower()) else "higher"

"""Rules to paste for what has none: valid YAML, with what a person must still decide marked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from mlactions.compare.baseline import depends_on_machine, unit_of
from mlactions.compare.edit import quoted
from mlactions.compare.findings import listed
from mlactions.compare.model import Baseline, Candidate, Direction, Finding
from mlactions.compare.slices import parent
from mlactions.compare.statistics import noise_margin
from mlactions.compare.words import LARGEST
from mlactions.text import plural

MAX_SUGGESTED = 40
FALSE_ALARMS = 0.01

_SAFE_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_./=-]*")
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off"})
_LOWER = re.compile(
    r"(?:^|[_./-])(?:loss|nll|error|err|latency|duration|time|memory|perplexity|ppl|mse|rmse|mae"
    r"|mape|wer|cer|fid|ece|brier|ns|us|ms|sec|seconds|bytes|kb|mb|gb|kib|mib|gib|size)(?:$|[_./=-])"
)
_RATE = re.compile(r"(?:^|[_./-])per_(?:s|sec|seconds?|min|minutes?|h|hours?)(?:$|[_./=-])")


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


def notices(
    missing: Mapping[str, Sequence[str]], baseline: Baseline, renamed: Collection[str] = ()
) -> Iterator[Finding]:
    """Yield one notice per model about what has no rule; those that were `renamed` are known."""
    for model, names in missing.items():
        if model in renamed:
            continue
        reason = "no-rule" if model in baseline.models else "no-rules"
        count = plural(len(names), "metric")
        message = f"`{model}` has {count} without a rule: {listed(names)}."
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
        lines += [f"      {line}" for line in rule_lines(names[:room], values)]
        room -= len(names)
    if room < 0:
        lines.append(f"  # and {-room:,} more")
    return "\n".join(["models:", *lines, ""]) if lines else ""


def key(name: str) -> str:
    """Return a name as a YAML key."""
    safe = _SAFE_KEY.fullmatch(name) and name.lower() not in _RESERVED
    return name if safe else quoted(name)


def rule_lines(names: Iterable[str], values: Mapping[str, Sequence[float]]) -> list[str]:
    """Return rules in YAML, one a line: name, rule, and what a person must still decide."""
    return [f"{key(name)}: {rule(name, values[name])}  # {remark(name, values)}" for name in names]


def rule(name: str, values: Sequence[float]) -> str:
    """Return one rule in YAML: the values, a guessed direction, a tolerance above their noise."""
    numbers = as_written(values)
    given = f"value: {numbers[0]!r}" if len(values) == 1 else f"values: {numbers!r}"
    tolerance = noise_margin(values, len(values), FALSE_ALARMS)
    allowed = f"{{absolute: {tolerance:g}}}" if tolerance else "{absolute: 0}"
    severity = severity_of(name)
    return f"{{{given}, direction: {direction(name)}, tolerance: {allowed}{severity}}}"


def severity_of(name: str) -> str:
    """Return the field that makes a rule warn only, for times and memory: machines differ."""
    return ", severity: warn" if depends_on_machine(unit_of(name)) else ""


def remark(name: str, values: Mapping[str, Sequence[float]]) -> str:
    """Return what a person must still decide about a suggested rule, and why it only warns."""
    tolerance = noise_margin(values[name], len(values[name]), FALSE_ALARMS)
    check = "check direction" if tolerance else "check direction and tolerance"
    machine = depends_on_machine(unit_of(name))
    return f"warns only, for it depends on the machine; {check}" if machine else check


def as_written(values: Sequence[float]) -> list[float]:
    """Return values as a file should have them: counts without a decimal point."""
    whole = all(value.is_integer() and abs(value) < LARGEST for value in values)
    return [int(value) for value in values] if whole else list(values)


def direction(name: str) -> Direction:
    """Guess from a metric's name whether less is better; a person has to check."""
    lower = _LOWER.search(name.lower()) or depends_on_machine(unit_of(name))
    return "lower" if lower and not _RATE.search(name.lower()) else "higher"

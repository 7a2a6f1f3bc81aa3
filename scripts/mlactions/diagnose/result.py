"""All signs, all causes, one verdict, and the JSON that the report is made from. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mlactions.curves import Value
from mlactions.diagnose.causes import causes_of
from mlactions.diagnose.config import checks, constant_loss
from mlactions.diagnose.difference import shown_settings
from mlactions.diagnose.failure import failure_causes, failure_signs
from mlactions.diagnose.model import (
    LEVELS,
    STRENGTHS,
    Against,
    Cause,
    Constant,
    Roles,
    Settings,
    Sign,
    Training,
)
from mlactions.diagnose.probes import constant_of, probe_signs
from mlactions.diagnose.rates import rates
from mlactions.diagnose.roles import roles_of, with_highest_rate
from mlactions.diagnose.symptoms import symptoms
from mlactions.settings import Status
from mlactions.text import plural

POINTS = 100
MAX_TEXT = 1900
MAX_SETTINGS = 300
_MEMORY = ("out of memory", "outofmemory", "cannot allocate memory")

Answers = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a run, as far as it can be told."""

    training: Training
    roles: Roles
    constant: Constant | None
    signs: tuple[Sign, ...]
    causes: tuple[Cause, ...]
    status: Status
    verdict: str


def diagnose(training: Training, settings: Settings, answers: Answers) -> Diagnosis:
    """Measure the signs of a run and of its probes, and name the causes that rules know."""
    roles = with_highest_rate(roles_of(training.series, settings.metrics), training.series)
    constant = _constant(training, settings, answers)
    signs = (
        *_memory(training),
        *failure_signs(training.failed),
        *symptoms(training, roles, constant),
        *rates(training, roles),
        *checks(training, roles),
        *probe_signs(answers),
    )
    signs = tuple(sorted(signs, key=lambda sign: LEVELS.index(sign.level)))
    measured = [name for name, answer in answers.items() if answer["outcome"] == "measured"]
    seen, ruled = tuple(failure_causes(training.failed)), causes_of(signs, measured)
    # What is only possible stands behind the rules': that a loss is NaN is no cause of itself.
    causes = (*seen, *ruled) if _is_founded(seen) else (*ruled, *seen)
    causes = tuple(sorted(causes, key=lambda cause: STRENGTHS.index(cause.strength)))
    status = _status(signs, causes)
    return Diagnosis(
        training, roles, constant, signs, causes, status, _verdict(training, signs, causes, status)
    )


def _constant(training: Training, settings: Settings, answers: Answers) -> Constant | None:
    """Return the constant predictor's loss: given, probed, or ln K of the configured classes."""
    if settings.constant_loss is not None:
        return Constant(settings.constant_loss, None, "as given")
    probed = constant_of(answers)
    if probed is not None:
        return probed
    found = constant_loss(training.params, settings.classes)
    return Constant(found[0], 1 / found[1], found[2]) if found else None


def _memory(training: Training) -> tuple[Sign, ...]:
    if any(word in training.error.lower() for word in _MEMORY):
        return (Sign("memory", "fail", f"It ended for want of memory: {training.error[:300]}"),)
    return ()


def _status(signs: Sequence[Sign], causes: Sequence[Cause]) -> Status:
    """Return the worst of it: a setting that is unusual and harmed nothing only warns."""
    levels = {sign.level for sign in signs} | {
        cause.level for cause in causes if cause.strength != "possible"
    }
    return Status.FAIL if "fail" in levels else Status.WARN if "warn" in levels else Status.PASS


_SAID = {"shown": "", "likely": "Most likely: ", "possible": "Possibly: "}


def _verdict(
    training: Training, signs: Sequence[Sign], causes: Sequence[Cause], status: Status
) -> str:
    if status is Status.PASS:
        count = sum(len(values) for values in training.series.values())
        return f"Nothing is wrong as far as {plural(count, 'value')} of the run can tell."
    worst = signs[0].message.replace("`", "")
    founded = [cause for cause in causes if cause.strength != "possible"]
    if founded:
        first = founded[0]
        cited = {sign.code: sign.message.replace("`", "") for sign in signs}
        more = len(founded) - 1
        also = f" And {plural(more, 'other cause')}." if more else ""
        said = f"{_SAID[first.strength]}{first.title}: {_lower(cited[first.evidence[0]])}{also}"
        return said[:MAX_TEXT]
    maybe = [_lower(cause.title) for cause in causes[:3]]
    open_causes = f" Possible are: {'; '.join(maybe)}." if maybe else ""
    unread = training.kind != "mlflow" and not training.params
    unread_settings = " Its settings were not read: name them with `config`." if unread else ""
    told = f"{worst} Why is unknown: no rule explains it for certain."
    return f"{told}{open_causes}{unread_settings}"[:MAX_TEXT]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text


def document(
    found: Diagnosis,
    settings: Settings,
    against: Against,
    answers: Answers,
    source: Mapping[str, Any],
) -> dict[str, Any]:
    """Return `result.json`."""
    training = found.training
    return {
        "version": 1,
        "word": "diagnose",
        "status": str(found.status),
        "verdict": found.verdict,
        "commit": training.commit if len(training.commit) in {40, 64} else "",
        "key": settings.key,
        "source": {
            "kind": training.kind,
            "name": training.name,
            "status": training.status,
            "tracking": source.get("tracking", ""),
            "url": source.get("url", ""),
        },
        "roles": asdict(found.roles),
        "constant": asdict(found.constant) if found.constant else None,
        "diagnosis": found.causes[0].code if _is_founded(found.causes) else _unknown(found.status),
        "causes": [{**asdict(cause), "evidence": list(cause.evidence)} for cause in found.causes],
        "signs": [_sign(sign) for sign in found.signs],
        "series": [_series(name, training.series[name]) for name in _shown(found)],
        "settings": _settings(training),
        "probes": {name: dict(answer) for name, answer in answers.items()},
        "against": {
            **asdict(against),
            "changes": [{**asdict(c), "details": list(c.details)} for c in against.changes],
        },
    }


def _is_founded(causes: Sequence[Cause]) -> bool:
    return bool(causes) and causes[0].strength != "possible"


def _unknown(status: Status) -> str:
    return "none" if status is Status.PASS else "unknown"


def _sign(sign: Sign) -> dict[str, Any]:
    values = {
        key: value if not isinstance(value, float) or math.isfinite(value) else str(value)
        for key, value in sign.values.items()
    }
    return {
        "code": sign.code,
        "level": sign.level,
        "message": sign.message,
        "metric": sign.metric,
        "values": values,
    }


def _shown(found: Diagnosis) -> list[str]:
    """Return the metrics that are drawn: those that play a part."""
    roles = asdict(found.roles)
    return [name for name in roles.values() if name and found.training.series.get(name)]


def _series(name: str, values: Sequence[Value]) -> dict[str, Any]:
    """Return a metric's values, thinned to POINTS; null where one is no finite number."""
    last = len(values) - 1
    count = min(len(values), POINTS)
    chosen = sorted({round(at * last / (count - 1)) for at in range(count)}) if count > 1 else [0]
    return {
        "metric": name,
        "points": len(values),
        "steps": [values[at][0] for at in chosen],
        "values": [values[at][1] if math.isfinite(values[at][1]) else None for at in chosen],
    }


def _settings(training: Training) -> dict[str, str]:
    return dict(list(shown_settings(training.params).items())[:MAX_SETTINGS])

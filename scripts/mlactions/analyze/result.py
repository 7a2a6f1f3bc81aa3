"""The analysis as JSON: `result.json`, all that the report, the facts and a next analysis need."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mlactions.analyze.model import Analysis, Settings
from mlactions.schema import validate


def document(analysis: Analysis) -> dict[str, Any]:
    """Return the result's document, checked against its schema."""
    found = {
        "version": 1,
        "word": "analyze",
        "status": str(analysis.status),
        "verdict": analysis.verdict[:2000],
        "commit": "",
        "key": analysis.settings.key,
        "settings": _settings(analysis.settings),
        "source": dict(analysis.source),
        "counts": dict(analysis.counts),
        "configuration_count": analysis.configuration_count,
        "configurations": [asdict(item) for item in analysis.configurations],
        "parameters": [asdict(item) for item in analysis.parameters],
        "constants": dict(analysis.constants),
        "set_aside": dict(analysis.set_aside),
        "range": None if analysis.limits is None else analysis.limits.document(),
        "pairs": [asdict(item) for item in analysis.pairs],
        "agreement": None if analysis.agreement is None else asdict(analysis.agreement),
        "failed": [asdict(item) for item in analysis.failed],
        "running": [asdict(item) for item in analysis.running],
        "curves": [asdict(item) for item in analysis.curves],
        "cost": {**asdict(analysis.cost), "total": analysis.cost.total},
        "findings": [asdict(item) for item in analysis.findings],
        "changes": None
        if analysis.changes is None
        else [asdict(item) for item in analysis.changes],
        "coordinates": dict(analysis.coordinates),
        "digest": analysis.digest,
    }
    plain: dict[str, Any] = _plain(found)
    validate(plain, "analyze-result", file="result.json")
    return plain


def _plain(value: Any) -> Any:
    """Return tuples as the lists that JSON makes of them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _settings(settings: Settings) -> dict[str, Any]:
    """Return what was asked; not the day, which says nothing of the runs."""
    return {
        "experiment": settings.experiment,
        "metric": settings.metric,
        "direction": settings.direction,
        "sweep": settings.sweep,
        "filter": settings.filter,
        "top": settings.top,
        "seeds": list(settings.seeds),
        "renames": dict(settings.renames),
        "ignore": list(settings.ignore),
        "requirements": [item.text for item in settings.requirements],
    }

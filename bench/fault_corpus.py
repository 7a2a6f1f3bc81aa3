"""The fault corpus as cases: which file is broken, of what family, and sound files as controls."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure import ROOT

CORPUS = ROOT / "tests" / "cases" / "compare" / "faults"


@dataclass(frozen=True)
class Case:
    """A baseline and a metrics file, one of them broken; a control where neither is."""

    name: str
    baseline: Path
    metrics: Path
    family: str

    @property
    def broken(self) -> Path:
        """The file with the fault."""
        return self.baseline if self.name.startswith("baseline/") else self.metrics


FAMILIES = (
    "a value that is no finite number",
    "a metric missing or written twice",
    "a metrics file that cannot be read",
    "a model that is worse",
    "other data, protocol or machine",
    "a rule that cannot be meant",
    "a baseline file that cannot be read",
    "a field that only our baseline has",
)
_VALUES = {"nan", "infinite", "boolean", "string", "null", "empty-list", "not-a-number"}
_PRESENCE = {"missing-metric", "missing-seeds", "duplicate-key"}
_UNREADABLE = {
    "duplicate-key",
    "endless-alias",
    "no-baseline",
    "not-text",
    "not-valid-yaml",
    "too-many-values",
}
_OURS_ALONE = ("comparable", "measured", "paired", "provenance", "severity", "version", "waiver")


def family(name: str, reason: str) -> str:
    """Return the family of a fault, from its file's name and the reason to refuse it for."""
    if name.startswith("baseline/"):
        if reason in _UNREADABLE:
            return FAMILIES[6]
        return FAMILIES[7] if any(word in name for word in _OURS_ALONE) else FAMILIES[5]
    if reason in _VALUES:
        return FAMILIES[0]
    if reason in _PRESENCE:
        return FAMILIES[1]
    if reason.startswith("regression") or reason in {"below-min", "above-max"}:
        return FAMILIES[3]
    return FAMILIES[4] if reason.endswith(("-differs", "-unknown")) else FAMILIES[2]


def faults(corpus: Path = CORPUS) -> list[Case]:
    """Return the cases of the corpus; the tests of `compare` hold it to the same list."""
    expected: dict[str, dict[str, Any]] = json.loads((corpus / "expected.json").read_text())
    good = corpus / "good"
    return [
        Case(
            name,
            corpus / name if name.startswith("baseline/") else good / "baseline.yaml",
            corpus / name if name.startswith("candidate/") else good / "cnn.json",
            family(name, entry["reason"]),
        )
        for name, entry in expected.items()
    ]


def controls(folder: Path, corpus: Path = CORPUS) -> list[Case]:
    """Write sound metrics files: who refuses these catches faults by refusing everything."""
    good = json.loads((corpus / "good" / "cnn.json").read_text())
    changes: dict[str, dict[str, Any]] = {
        "unchanged": {},
        "better": {"accuracy": [0.99, 0.989, 0.991, 0.99, 0.988], "loss": 0.03},
        "worse-within-tolerance": {"skill": 0.16, "log_likelihood": -10.4, "latency_ms": 3.3},
        "one-seed": {"accuracy": 0.98, "loss": 0.062},
        "more-metrics-than-rules": {"f1": 0.97},
        "whole-numbers": {"log_likelihood": -10, "latency_ms": 3},
    }
    cases = []
    for name, change in changes.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(good | {"metrics": good["metrics"] | change}))
        cases.append(Case(f"good/{name}", corpus / "good" / "baseline.yaml", path, ""))
    return cases

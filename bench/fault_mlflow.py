"""MLflow's verdict on the fault corpus; runs in the peers' interpreter, which has no mlactions.

    fault_mlflow.py <CASES.json    [{"name", "baseline": path, "metrics": path}, ...]
                    >{"name": ["caught" | "crashed" | "missed", what it said], ...}

This is the script a careful user of `validate_evaluation_results` would write around our file
formats. MLflow knows thresholds on single numbers, so it does all it can to help: the means of the
seeds are held against `baseline mean ± tolerance`, the worst seed against `min` and `max`, `equal`
against both sides. MLflow's own comparison with a baseline cannot be used: it demands an
improvement, and its constructor refuses a tolerance. `comparable_on` has no counterpart.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from mlflow import validate_evaluation_results
from mlflow.exceptions import MlflowException
from mlflow.models import EvaluationResult, MetricThreshold

Verdict = tuple[str, str]


def main() -> None:
    """Judge every case of standard input."""
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    cases = json.load(sys.stdin)
    json.dump({case["name"]: judge(case) for case in cases}, sys.stdout)


def judge(case: dict[str, str]) -> Verdict:
    """Return what became of one case: any other exception than MLflow's own is a crash."""
    try:
        validate(Path(case["baseline"]), Path(case["metrics"]))
    except MlflowException as error:
        return "caught", error.message
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what we count
        return "crashed", f"{type(error).__name__}: {error}"[:300]
    return "missed", ""


def validate(baseline: Path, metrics: Path) -> None:
    """Let MLflow judge one model; every rule of the file becomes thresholds."""
    rules = yaml.safe_load(baseline.read_text())["models"]["cnn"]["metrics"]
    measured = flat(json.loads(metrics.read_text())["metrics"])
    thresholds: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for metric, rule in rules.items():
        for suffix, reduce, threshold in thresholds_of(rule):
            thresholds[metric + suffix] = threshold
            # A metric that was not measured stays absent: MLflow reports it.
            if metric in measured:
                values[metric + suffix] = reduce(measured[metric])
    validate_evaluation_results(thresholds, EvaluationResult(metrics=values, artifacts={}))


def thresholds_of(rule: dict[str, Any]) -> Iterator[tuple[str, Callable[[Any], Any], Any]]:
    """Yield a suffix for the metric's name, how to make one number of the seeds, a threshold."""
    center = mean(rule["values"] if "values" in rule else rule["value"])
    tolerance = rule.get("tolerance", {})
    allowed = tolerance.get("absolute", 0) + tolerance.get("relative", 0) * abs(center)
    greater = {"higher": [True], "lower": [False], "equal": [True, False]}[rule["direction"]]
    for better in greater:
        limit = center - allowed if better else center + allowed
        yield f" {better}", mean, MetricThreshold(threshold=limit, greater_is_better=better)
    if "min" in rule:
        yield " min", lowest, MetricThreshold(threshold=rule["min"], greater_is_better=True)
    if "max" in rule:
        yield " max", highest, MetricThreshold(threshold=rule["max"], greater_is_better=False)


def mean(value: Any) -> Any:
    """Return the mean of a list; a scalar is handed to MLflow as it stands."""
    return sum(value) / len(value) if isinstance(value, list) else value


def lowest(value: Any) -> Any:
    """Return the lowest seed."""
    return min(value) if isinstance(value, list) else value


def highest(value: Any) -> Any:
    """Return the highest seed."""
    return max(value) if isinstance(value, list) else value


def flat(metrics: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested metrics under dotted names."""
    found: dict[str, Any] = {}
    for name, value in metrics.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


if __name__ == "__main__":
    main()

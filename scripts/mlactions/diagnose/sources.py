"""Read a training run: from MLflow, from a log file, or from the bundle of `train`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlactions import mlflow_tags
from mlactions.bundle import Bundle, open_bundle
from mlactions.curves import Value
from mlactions.diagnose.failure import MEMORY
from mlactions.diagnose.logs import Log, parse_log
from mlactions.diagnose.model import Failed, Training
from mlactions.drift.packages import pins
from mlactions.errors import UserError
from mlactions.mlflow_store import Run, Store
from mlactions.schema import load_yaml
from mlactions.values import canonical_key, dotted, flatten, spread

MAX_LOG_BYTES = 64 * 1024 * 1024
MAX_HISTORIES = 60
MAX_BYTES = 1024 * 1024
COMMIT_TAGS = (mlflow_tags.COMMIT, "mlflow.source.git.commit")
REQUIREMENTS = ("requirements.txt", "model/requirements.txt")

_DATA = re.compile(
    r"(?:^|[._-])data(?:set)?[._-]?(?:sha256|hash|digest|version|revision)$", re.IGNORECASE
)


def read_log(path: Path, config: Path | None) -> Training:
    """Read a log file; `config` is the YAML or JSON file that the run was started with."""
    log = parse_log(log_text(path))
    if not log.series:
        raise UserError(
            "no metrics",
            f"none of its {log.lines:,} lines holds a name and a number.",
            "Lines such as `epoch=1 train_loss=0.3`, JSON lines and Trainer's dicts are read.",
            str(path),
        )
    params = read_config(config) if config else {}
    return Training(
        "log",
        path.name,
        log.series,
        params,
        error=log.error,
        data=data_of(params),
        stepped=log.stepped,
    )


def log_text(path: Path) -> str:
    """Return a log's text; bytes that are no UTF-8 are replaced: a log is not ours to refuse."""
    try:
        if not path.is_file():
            raise UserError("file not found", "there is no such log file.", file=str(path))
        if path.stat().st_size > MAX_LOG_BYTES:
            hint = "Give the part of it that holds the metrics."
            size = f"more than {MAX_LOG_BYTES // 2**20:,} MiB."
            raise UserError("file too large", size, hint, str(path))
        data = path.read_bytes()
    except OSError as error:
        raise UserError("cannot read", f"{error.strerror}.", file=str(path)) from None
    if b"\0" in data[:4096]:
        raise UserError("not text", "this is a binary file, no log.", file=str(path))
    return data.decode("utf-8", "replace")


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings of a YAML or JSON file by their dotted names."""
    document = load_yaml(path)
    if not isinstance(document, dict):
        raise UserError("bad config", "it holds no mapping.", file=str(path))
    return {canonical_key(dotted(place)): value for place, value in flatten(document)}


def data_of(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that say which data it was."""
    return {key: str(value) for key, value in params.items() if _DATA.search(key)}


def read_mlflow(store: Store, run_id: str) -> Training:
    """Read a run with the histories of its metrics."""
    run = store.run(run_id)
    series: dict[str, tuple[Value, ...]] = {}
    for name in _worth_reading(run):
        series[name] = tuple((point.step, point.value) for point in store.history(run.id, name))
    return training_of(run, series, _packages(store, run))


def _worth_reading(run: Run) -> list[str]:
    """Return the metrics whose histories count: MLflow's own of the machine do not."""
    names = [name for name in run.metrics if not name.startswith("system/")]
    return sorted(names, key=lambda name: (len(name), name))[:MAX_HISTORIES]


def training_of(
    run: Run, series: Mapping[str, tuple[Value, ...]], packages: Mapping[str, str]
) -> Training:
    """Return a run as training."""
    params = spread(run.params)
    commit = next((run.tags[tag] for tag in COMMIT_TAGS if run.tags.get(tag)), "")
    data = data_of(params) | {item.name: item.digest for item in run.inputs if item.digest}
    if run.tags.get(mlflow_tags.DATA):
        data["data"] = run.tags[mlflow_tags.DATA]
    return Training(
        kind="mlflow",
        name=run.id,
        series=dict(series),
        params=params,
        status=run.status,
        commit=commit,
        started_ms=run.start_ms,
        data=data,
        environment=packages,
    )


def _packages(store: Store, run: Run) -> dict[str, str]:
    for path in REQUIREMENTS:
        text = store.artifact_text(run, path, MAX_BYTES)
        if text is not None:
            return {name: version for name, (version, _) in pins(text).items() if version}
    return {}


def read_train(folder: Path, config: Path | None) -> Training:
    """Read what `train` left: its log first, its own record of the loss where that has none."""
    bundle = open_bundle(folder, word="train")
    result = bundle.json("result.json", schema="train-result")
    log = _train_log(bundle)
    series = dict(log.series)
    history = [
        (item["step"], _number(item["loss"]))
        for item in result["progress"]["history"]
        if item["step"] is not None and item["loss"] is not None
    ]
    if history and not any("loss" in name.lower() for name in series):
        series["loss"] = tuple(history)
    failure = result["failure"]
    params = read_config(config) if config else {}
    return Training(
        kind="train",
        name=folder.name,
        series=series,
        params=params,
        status=result["state"],
        error=_memory(failure) if failure else log.error,
        failed=_failed(failure) if failure else None,
        commit=result["commit"],
        data=data_of(params),
        environment=_environment(result["machine"]),
        stepped=log.stepped,
    )


def _train_log(bundle: Bundle) -> Log:
    if any(entry.path == "train.log" for entry in bundle.entries):
        return parse_log(log_text(bundle.path("train.log")))
    return Log({})


def _memory(failure: Mapping[str, Any]) -> str:
    return f"out of memory: {failure['evidence']}" if failure["class"] in MEMORY else ""


def _failed(failure: Mapping[str, Any]) -> Failed:
    place = f"{failure['file']}:{failure['file_line']}" if failure["file"] else ""
    advice = tuple(failure["advice"])
    return Failed(failure["class"], failure["evidence"], failure["line"], place, advice)


def _environment(machine: Mapping[str, Any]) -> dict[str, str]:
    torch = machine["torch"]["version"] if machine["torch"] else ""
    found = {"python": machine["python"], "torch": torch, "driver": machine["driver"]}
    return {name: version for name, version in found.items() if version}


def _number(value: float | str) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan

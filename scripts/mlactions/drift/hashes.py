"""Hashes: of the data a run was trained on, and of the model file that is served."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mlactions.bundle import digest as file_digest
from mlactions.drift.model import DataRule, Deployed, Row, Rules, Settings
from mlactions.errors import UserError
from mlactions.mlflow_store import ModelVersion, Run, Store
from mlactions.schema import load_yaml
from mlactions.settings import path_below

MAX_FOLDERS = 50
_ALGORITHMS = {32: "md5", 40: "sha1", 64: "sha256"}
_HEX = re.compile(r"[0-9a-f]{8,128}")


def data(
    settings: Settings, deployed: Deployed, values: Mapping[str, Any], rules: Rules
) -> tuple[Row, ...]:
    """Return a row per data rule, then one per data set of the run that no rule speaks of."""
    named = {rule.dataset for rule in rules.data}
    rows = [_data_row(rule, settings, deployed, values, rules) for rule in rules.data]
    rows += [
        Row("data", item.name, "unknown", "notice", "", item.digest, note="no rule names its hash")
        for item in deployed.run.inputs
        if item.name not in named
    ]
    return tuple(rows)


def _data_row(
    rule: DataRule,
    settings: Settings,
    deployed: Deployed,
    values: Mapping[str, Any],
    rules: Rules,
) -> Row:
    line = rules.marked.line(("data", rule.name)) if rules.marked else None
    place: dict[str, Any] = {"file": rules.name or None, "line": line}
    logged = _logged(rule, deployed)
    if not logged:
        what = f"no data set `{rule.dataset}`" if rule.dataset else f"no `{rule.logged}`"
        level = "warn" if rule.level == "fail" else rule.level
        return Row("data", rule.name, "unknown", level, note=f"the run logged {what}", **place)
    current, why = _current(rule, settings, values, logged)
    if not current:
        return Row("data", rule.name, "unknown", rule.level, "", logged, note=why, **place)
    if _bare(current) == _bare(logged):
        return Row("data", rule.name, "same", "none", current, logged, **place)
    return Row("data", rule.name, "drift", rule.level, current, logged, **place)


def _logged(rule: DataRule, deployed: Deployed) -> str:
    if rule.dataset:
        found = (item.digest for item in deployed.run.inputs if item.name == rule.dataset)
        return next(found, "")
    return deployed.params.get(rule.logged) or deployed.run.tags.get(rule.logged, "")


def _current(
    rule: DataRule, settings: Settings, values: Mapping[str, Any], logged: str
) -> tuple[str, str]:
    """Return the expected hash, or nothing and why."""
    if rule.key:
        value = values.get(rule.key)
        return ("", f"the configuration has no `{rule.key}`") if value is None else (str(value), "")
    path = path_below(settings.folder, rule.file, field=f"data.{rule.name}.file")
    if not path.is_file():
        return "", f"there is no file {rule.file}"
    if path.suffix == ".dvc":
        return _dvc(path)
    algorithm = _ALGORITHMS.get(len(_bare(logged)))
    if algorithm is None or not _HEX.fullmatch(_bare(logged)):
        return "", "what the run logged is no hash of a file"
    return file_digest(path, algorithm), ""


def _dvc(path: Path) -> tuple[str, str]:
    """Return the hash in a .dvc file: DVC writes one output."""
    document = load_yaml(path)
    outputs = document.get("outs") if isinstance(document, dict) else None
    if isinstance(outputs, list) and len(outputs) == 1 and isinstance(outputs[0], dict):
        found = outputs[0].get("md5") or outputs[0].get("hash") or ""
        return str(found), "" if found else "the .dvc file holds no hash"
    return "", "the .dvc file does not have one output"


def _bare(digest: str) -> str:
    """Return a hash without its algorithm's name and DVC's mark for folders."""
    return digest.strip().lower().rpartition(":")[2].removesuffix(".dir")


def model_file(
    settings: Settings, deployed: Deployed, store: Store, rules: Rules
) -> tuple[Row, ...]:
    """Return whether the file that is served is the one of the registry or the run."""
    if not settings.model_file:
        return ()
    path = settings.folder / settings.model_file
    if not path.is_file():
        raise UserError("file not found", "`model-file` names no file.", file=path.as_posix())
    name, ours = settings.model_file, file_digest(path)
    place: dict[str, Any] = {"file": path.as_posix()}
    holder: Run | ModelVersion = deployed.version or deployed.run
    found = _artifacts(holder, store, settings, PurePosixPath(name).name)
    if len(found) != 1:
        why = f"{len(found)} artifacts have this name: name one with `model-artifact`"
        if not found:
            why = "no artifact of the run or version has this name"
        return (Row("model-file", name, "unknown", rules.model_file, ours, note=why, **place),)
    theirs = store.artifact_sha256(holder, found[0])
    if theirs is None:
        why = f"the artifact `{found[0]}` is gone"
        return (Row("model-file", name, "unknown", rules.model_file, ours, note=why, **place),)
    state, level = ("same", "none") if ours == theirs else ("drift", rules.model_file)
    return (Row("model-file", name, state, level, ours, theirs, found[0], **place),)  # type: ignore[arg-type]  # literals


def _artifacts(
    holder: Run | ModelVersion, store: Store, settings: Settings, name: str
) -> list[str]:
    """Return the paths of the artifacts that could be the model file."""
    if settings.model_artifact:
        return [settings.model_artifact]
    return sorted(path for path in _walk(holder, store) if PurePosixPath(path).name == name)


def _walk(holder: Run | ModelVersion, store: Store) -> Iterator[str]:
    """Yield the paths of files, of at most MAX_FOLDERS folders."""
    folders = [""]
    for _ in range(MAX_FOLDERS):
        if not folders:
            return
        for item in store.artifacts(holder, folders.pop(0)):
            if item.is_folder:
                folders.append(item.path)
            else:
                yield item.path

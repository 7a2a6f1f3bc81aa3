"""What is wrong, beside the lines of the configuration: annotations, and SARIF for GitHub."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlactions import sarif
from mlactions.drift.history import CHANGED, UNCOMMITTED
from mlactions.drift.result import called
from mlactions.runner import Annotation
from mlactions.runner import Level as Shown

MAX_ANNOTATED = 50
FILE = "drift.sarif"

_SHOWN: Mapping[str, Shown] = {"fail": "error", "warn": "warning"}
_SARIF: Mapping[str, sarif.Level] = {"fail": "error", "warn": "warning", "notice": "note"}
_TOLD = frozenset({"drift", "order", "location"})
_HELP = {
    "parameter": (
        "A setting of the production config differs from the run behind the deployed model",
        (
            "Set the value that the deployed model was trained with, or deploy a run with this one."
            " Where the difference means nothing, say so in the rules: `severity`, `ignore`,"
            " `renames` or `unordered`."
        ),
    ),
    "code": (
        "The code changed since the deployed run",
        (
            "Check whether the changed files take part in preprocessing or inference. `code.paths`"
            " in the rules says what counts."
        ),
    ),
    "package": (
        "A package has another version than the deployed run was trained with",
        "Pin the version of the run, or show that the other one gives the same predictions.",
    ),
    "data": (
        "The data differs from what the deployed run was trained on",
        "Restore the data set, or train and deploy again.",
    ),
    "model-file": (
        "The model file is not the registered one",
        "Fetch the file from the registry again, by version.",
    ),
    "state": (
        "The deployed run could not be compared with",
        "Tag exactly one run as deployed, or point an alias of the registered model to it.",
    ),
}


def marks(result: Mapping[str, Any], root: Path) -> Iterator[Annotation]:
    """Yield what fails or warns, the worst first, at most MAX_ANNOTATED; see `sarif_document`."""
    config = _below(result["config"]["file"], root)
    for finding in result["findings"]:
        if finding["level"] in _SHOWN:
            message = finding["message"].replace("`", "")
            yield Annotation(_SHOWN[finding["level"]], message, finding["reason"], config, 1)
    rows = [row for row in result["rows"] if row["level"] in _SHOWN]
    for row in rows[:MAX_ANNOTATED]:
        title = "drift" if row["state"] == "drift" else row["state"].replace("-", " ")
        file, line = _below(row["file"], root) if row["file"] else config, row["line"] or 1
        yield Annotation(_SHOWN[row["level"]], message_of(row), title, file, line)


def message_of(row: Mapping[str, Any]) -> str:
    """Say in one sentence what differs."""
    what = called(row["kind"], row["name"])
    note = f" ({row['note']})" if row["note"] else ""
    if row["kind"] == "code" and row["state"] == "drift":
        return f"{row['note']} the deployed run's commit {row['logged'][:12]}."
    if row["state"] == "unknown":
        return f"{what} could not be compared{note}."
    if row["state"] == "only-logged":
        return f"{what} is {row['logged']} in the deployed run and not set here."
    if row["state"] == "drift" and row["note"].startswith((CHANGED, UNCOMMITTED)):
        note = f" It was {row['note']}."
        return f"{what} is {row['current']}, the deployed run has {row['logged']}.{note}"
    return f"{what} is {row['current']}, the deployed run has {row['logged']}{note}."


def sarif_document(result: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Return the findings as SARIF; files are named as they stand below `root`."""
    rules = [
        sarif.Rule(f"drift/{kind}", _name(kind), text, help_text)
        for kind, (text, help_text) in _HELP.items()
    ]
    config = result["config"]["file"]
    results = [
        sarif.Result(
            "drift/state",
            _SARIF[item["level"]],
            item["message"].replace("`", ""),
            _below(config, root),
            1,
            item["reason"],
        )
        for item in result["findings"]
        if item["level"] in _SARIF
    ]
    results += [
        sarif.Result(
            f"drift/{row['kind']}",
            _SARIF[row["level"]],
            message_of(row),
            _below(row["file"] or config, root),
            row["line"],
            row["name"],
        )
        for row in result["rows"]
        if row["level"] in _SARIF and (row["state"] in _TOLD or row["level"] != "notice")
    ]
    return sarif.document(rules, results, category=f"drift/{result['key']}")


def _name(kind: str) -> str:
    return "".join(part.capitalize() for part in f"drift-{kind}".split("-"))


def _below(file: str, root: Path) -> str:
    """Return a path relative to the checkout, where it lies in it."""
    path = Path(file)
    relative = Path(os.path.relpath(path.parent.resolve() / path.name, root.resolve()))
    return file if relative.parts[:1] == ("..",) else relative.as_posix()

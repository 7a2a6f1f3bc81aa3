"""The manifest of a sweep: what each trial is, a row a line; written and read as a stream."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.errors import UserError
from mlactions.schema import load_json, validate
from mlactions.sweep.model import Trial

NAME = "manifest.json"
MAX_BYTES = 1024**3
_CHECKED_WHOLE = 2000
_ROW = {"number": int, "name": str, "hash": str, "overrides": dict, "status": str}
_HINT = "Generate the sweep again, with `--replace`."


@dataclass(frozen=True)
class Manifest:
    """A manifest that was read and checked."""

    header: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...]

    def trials(self) -> Iterator[Trial]:
        """Yield the rows as trials."""
        for row in self.rows:
            yield Trial(row["number"], row["overrides"], row["hash"], row["seed"])


def row_text(trial: Trial, width: int, status: str) -> str:
    """Return a row of the manifest."""
    seed = "null" if trial.seed is None else str(trial.seed)
    values = json.dumps(trial.values, ensure_ascii=False)
    return (
        f'  {{"hash": "{trial.hash}", "name": "{trial.name(width)}", "number": {trial.number},'
        f' "overrides": {values}, "seed": {seed}, "status": "{status}"}}'
    )


def write_manifest(path: Path, header: Mapping[str, Any], rows: Iterable[str]) -> None:
    """Write a manifest whole or not at all, however many rows there are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogatepass") as stream:
            stream.write("{\n")
            for key, value in sorted(header.items()):
                text = json.dumps(value, sort_keys=True, ensure_ascii=False)
                stream.write(f' "{key}": {text},\n')
            stream.write(' "trials": [')
            between = "\n"
            for row in rows:
                stream.write(between)
                stream.write(row)
                between = ",\n"
            stream.write("\n ]\n}\n")
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_manifest(path: Path) -> Manifest:
    """Read a manifest. Raises UserError for one that is missing, cut off or altered."""
    try:
        document = load_json(path, max_bytes=MAX_BYTES)
    except UserError as error:
        if error.title == "file not found":
            hint = "Generate it first: `mlactions sweep --space …`."
            raise UserError("no such sweep", "there is no manifest.", hint, str(path)) from None
        message = f"the manifest cannot be read: {error.message}"
        raise UserError("damaged manifest", message, _HINT, str(path), error.line) from None
    rows = document.get("trials") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise UserError("damaged manifest", "it holds no trials.", _HINT, str(path))
    header = {key: value for key, value in document.items() if key != "trials"}
    validate({**header, "trials": rows[:_CHECKED_WHOLE]}, "sweep-manifest", file=str(path))
    for place, row in enumerate(rows):
        if not _is_row(row) or row["number"] != place + 1:
            message = f"the trial after {place} is not one, or not in its order."
            raise UserError("damaged manifest", message, _HINT, str(path))
    return Manifest(header, tuple(rows))


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and all(type(row.get(key)) is kind for key, kind in _ROW.items())
        and (row.get("seed") is None or type(row["seed"]) is int)
    )

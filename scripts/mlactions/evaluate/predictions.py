"""The predictions file: one row per item, an id and one column per score."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlactions.errors import UserError
from mlactions.metrics import problem_of

_FIELD_CHARACTERS = 10_000


def is_json_lines(path: Path) -> bool:
    """Tell the format by its first character: the file's name is ours, its content the user's."""
    with path.open("rb") as stream:
        return stream.read(256).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def check_predictions(path: Path) -> None:
    """Refuse rows without an id, an id that comes twice, other columns, values that are no number.

    Raises UserError with the line and without a full stop.
    """
    ids: set[str] = set()
    columns: frozenset[str] | None = None
    for line, row in _rows(path):
        name = row.pop("id", None)
        if not isinstance(name, str | int) or isinstance(name, bool) or name == "":
            raise _bad("the row has no `id`", line)
        if str(name) in ids:
            raise _bad(f"the id {str(name)[:80]!r} comes twice", line)
        ids.add(str(name))
        columns = frozenset(row) if columns is None else columns
        if frozenset(row) != columns:
            raise _bad("its columns differ from the first row's", line)
        for column, value in row.items():
            if reason := problem_of(float(value) if isinstance(value, bool) else value):
                raise _bad(f"{column} is {str(value)[:80]!r} ({reason})", line)
    if not columns:
        raise _bad("there is no row, or no score beside the id", 1)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        yield from _json_lines(path) if is_json_lines(path) else _csv(path)
    except UnicodeDecodeError as error:
        raise _bad(f"byte {error.start} is not UTF-8", 1) from None


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                raise _bad("not valid JSON", number) from None
            if not isinstance(row, dict):
                raise _bad("not an object", number)
            yield number, row


def _csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(_FIELD_CHARACTERS)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream)
        try:
            header = next(reader, [])
            if len(set(header)) != len(header):
                raise _bad("a column's name comes twice", 1)
            for cells in reader:
                if len(cells) != len(header):
                    raise _bad(f"{len(cells)} cells under {len(header)} columns", reader.line_num)
                row = dict(zip(header, cells, strict=True))
                yield reader.line_num, {k: v if k == "id" else _number(v) for k, v in row.items()}
        except csv.Error as error:
            raise _bad(f"not valid CSV: {error}", reader.line_num) from None


def _number(text: str) -> float | str:
    """Read a cell; booleans are written in many ways, and are scores too."""
    if text.strip().lower() in {"true", "false"}:
        return float(text.strip().lower() == "true")
    try:
        return float(text)
    except ValueError:
        return text


def _bad(message: str, line: int) -> UserError:
    return UserError("bad predictions", message, line=line)
